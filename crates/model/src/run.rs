//! Runs: what the members of one add up to, and how they hang together.
//!
//! A run is what its spawner declared it to be; nothing is guessed from times, folders or names.

use std::collections::HashMap;

use crate::attention::Tier;
use crate::ids::{SessionId, SessionKey, Timestamp};
use crate::session::TurnState;
use crate::view::{CostSource, RunSummary, SessionCard, TokenTotals};

/// A member, as far as its place in the tree depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Spawned<'a> {
    /// Which session.
    pub key: &'a SessionKey,
    /// The session that spawned it, as declared.
    pub parent: Option<&'a SessionId>,
    /// First fact of it.
    pub started_at: Option<Timestamp>,
}

/// A member's place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which of the members.
    pub member: usize,
    /// Depth, 0 for one whose parent is not a member.
    pub depth: u32,
    /// Which of the members its parent is.
    pub parent: Option<usize>,
}

/// Orders members as a tree by declared parent: each parent before its children, siblings by their start, then by key.
///
/// Every member has exactly one place. A parent that is not a member leaves its children at the top; of members that
/// declare each other in a circle the one that started first is at the top.
#[must_use]
pub fn tree(members: &[Spawned<'_>]) -> Vec<Place> {
    // Those without a time last: what is not known cannot come first.
    let rank = |i: usize| members.get(i).map(|m| (m.started_at.is_none(), m.started_at, m.key));
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|i| rank(*i));
    let mut parents = parents(members, &order);
    cut_circles(&mut parents, &order);
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); members.len()];
    let mut next: Vec<(usize, u32)> = Vec::new();
    for i in order.iter().rev() {
        match parents.get(*i).copied().flatten().and_then(|p| children.get_mut(p)) {
            Some(siblings) => siblings.push(*i),
            None => next.push((*i, 0)),
        }
    }
    let mut places = Vec::with_capacity(members.len());
    while let Some((member, depth)) = next.pop() {
        places.push(Place { member, depth, parent: parents.get(member).copied().flatten() });
        let own = children.get(member).map(Vec::as_slice).unwrap_or_default();
        next.extend(own.iter().map(|child| (*child, depth.saturating_add(1))));
    }
    places
}

/// The parent of each member among the members. Ids of two agents can be equal: the own agent's comes first, then the
/// one that started first.
fn parents(members: &[Spawned<'_>], order: &[usize]) -> Vec<Option<usize>> {
    let mut by_id: HashMap<&SessionId, Vec<usize>> = HashMap::new();
    for i in order {
        if let Some(member) = members.get(*i) {
            by_id.entry(&member.key.id).or_default().push(*i);
        }
    }
    let parent_of = |member: &Spawned<'_>| {
        let named = by_id.get(member.parent?)?;
        let same_agent = |i: &&usize| members.get(**i).is_some_and(|p| p.key.agent == member.key.agent);
        named.iter().find(same_agent).or(named.first()).copied()
    };
    members.iter().map(parent_of).collect()
}

/// Takes the parent from the first of each circle. `order` lists all members, the first first.
fn cut_circles(parents: &mut [Option<usize>], order: &[usize]) {
    const UNSEEN: usize = usize::MAX;
    let mut first_rank = vec![0; parents.len()];
    for (rank, i) in order.iter().enumerate() {
        if let Some(slot) = first_rank.get_mut(*i) {
            *slot = rank;
        }
    }
    let mut walked_by = vec![UNSEEN; parents.len()];
    for start in order {
        let mut at = *start;
        loop {
            match walked_by.get_mut(at) {
                Some(walk) if *walk == UNSEEN => *walk = *start,
                // Where this very walk came back to is a circle; where an earlier one went, there is none left.
                Some(walk) if *walk == *start => {
                    let mut first = at;
                    let mut next = parents.get(at).copied().flatten();
                    while let Some(i) = next.filter(|i| *i != at) {
                        if first_rank.get(i) < first_rank.get(first) {
                            first = i;
                        }
                        next = parents.get(i).copied().flatten();
                    }
                    if let Some(parent) = parents.get_mut(first) {
                        *parent = None;
                    }
                    break;
                }
                Some(_) | None => break,
            }
            match parents.get(at).copied().flatten() {
                Some(parent) => at = parent,
                None => break,
            }
        }
    }
}

/// Adds up a run. `members` are its rows; `hidden` are sessions that declared it and are never rows (threads of
/// subagents): what they used counts, and nothing else of them.
#[must_use]
pub fn sums(run_id: &str, members: &[SessionCard], hidden: &[SessionCard]) -> RunSummary {
    let count = |test: fn(&SessionCard) -> bool| {
        u32::try_from(members.iter().filter(|card| test(card)).count()).unwrap_or(u32::MAX)
    };
    let mut sum = RunSummary {
        run_id: run_id.to_owned(),
        project: common_project(members),
        started_at_ms: members.iter().filter_map(|card| card.started_at_ms).min(),
        last_activity_at_ms: members.iter().filter_map(|card| card.last_activity_at_ms).max(),
        members: count(|_| true),
        running: count(is_running),
        needs_you: count(needs_you),
        failed: count(has_failed),
        tokens: None,
        tool_calls: 0,
        cost_usd: None,
        cost_source: None,
        unpriced: 0,
    };
    for card in members.iter().chain(hidden) {
        sum.tool_calls = sum.tool_calls.saturating_add(card.tool_calls);
        if let Some(tokens) = &card.tokens {
            sum.tokens = Some(plus(sum.tokens.unwrap_or_default(), tokens));
        }
        match (card.cost_usd, &card.tokens) {
            (Some(usd), _) => {
                sum.cost_usd = Some(sum.cost_usd.unwrap_or(0.0) + usd);
                sum.cost_source = card.cost_source.map(|source| match sum.cost_source {
                    Some(before) if before != source => CostSource::Mixed,
                    _ => source,
                });
            }
            (None, Some(_)) => sum.unpriced = sum.unpriced.saturating_add(1),
            // Nothing was used, so nothing is missing.
            (None, None) => {}
        }
    }
    sum
}

fn is_running(card: &SessionCard) -> bool {
    matches!(card.turn_state, TurnState::Starting | TurnState::Working | TurnState::Background)
}

fn needs_you(card: &SessionCard) -> bool {
    card.causes.iter().any(|cause| matches!(cause.tier, Tier::Blocked | Tier::YourTurn))
}

fn has_failed(card: &SessionCard) -> bool {
    matches!(card.turn_state, TurnState::Errored | TurnState::Crashed)
}

/// The project all members have; `None` as soon as two differ or one has none.
fn common_project(members: &[SessionCard]) -> Option<String> {
    let first = members.first()?.project.as_ref()?;
    members.iter().all(|card| card.project.as_ref() == Some(first)).then(|| first.clone())
}

fn plus(a: TokenTotals, b: &TokenTotals) -> TokenTotals {
    TokenTotals {
        input: a.input.saturating_add(b.input),
        output: a.output.saturating_add(b.output),
        cache_write_5m: a.cache_write_5m.saturating_add(b.cache_write_5m),
        cache_write_1h: a.cache_write_1h.saturating_add(b.cache_write_1h),
        cache_read: a.cache_read.saturating_add(b.cache_read),
    }
}

#[cfg(test)]
mod tests;
