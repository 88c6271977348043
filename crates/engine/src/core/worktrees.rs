//! Which worktree each session works in, what was found there, and whose work is at risk.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

use lamplight_model::ids::Timestamp;
use lamplight_model::view::{GitState, GitView, Worktree};
use lamplight_model::worktree::{Around, Finding, at_risk};

use crate::facts::WorktreeLook;
use crate::store::worktrees::{Left, Memory};
use crate::worktrees::Order;

/// A session of which nobody knows whether it runs is taken to run for so long after its last sign.
const MAY_RUN_MS: i64 = 5 * 60_000;

/// What was looked at this lately is not looked at again only because somebody came to see.
const FRESH_MS: i64 = 30_000;

/// A look that is done this soon after an agent was started shows what lay there before it.
const JUST_CAME_MS: i64 = 30_000;

/// All worktrees of the sessions on the screen.
#[derive(Debug, Default)]
pub(super) struct Worktrees {
    trees: BTreeMap<String, Tree>,
    of_session: HashMap<i64, String>,
    /// Marks of what the person has seen to, as [`Worktrees::mark_of`] says them.
    waved: HashSet<i64>,
    /// Looks that are wanted and not ordered yet.
    wanted: BTreeSet<String>,
    /// The set of worktrees differs from what the tender follows.
    is_other_set: bool,
    /// The list on the screen may differ.
    changed: bool,
}

#[derive(Debug, Default)]
struct Tree {
    found: Option<Found>,
    memory: Memory,
    /// What of it is stored.
    stored: Memory,
    /// The next look may show what lay there before an agent that came just now.
    awaits_before: bool,
    members: BTreeMap<i64, Presence>,
    /// What was left last: its mark, by whom, and since when.
    left: Option<(u128, i64, Timestamp)>,
    /// What was told of it last.
    risk: Risk,
    owner: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    finding: Finding,
    mark: u128,
    at: Timestamp,
}

/// A session in a worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Presence {
    /// `agent:session_id`.
    pub key: String,
    pub is_alive: bool,
    /// Nobody knows whether it runs.
    pub is_unknown: bool,
    pub started_at: Option<Timestamp>,
    pub last_activity: Option<Timestamp>,
    /// When it ended, where that is known.
    pub left_at: Option<Timestamp>,
    /// Tool calls so far, open ones, and whether it works. Changes when a tool or a turn ends.
    pub step: (u32, usize, bool),
}

/// Whether the work in a worktree is at risk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Risk {
    /// Nobody has looked, or could: what was thought before still holds.
    #[default]
    NotKnown,
    None,
    Since(Timestamp),
    /// The session was put away: it calls for nothing.
    PutAway,
    /// The person has waved away, or put away with another session, exactly what lies there.
    Waved(Timestamp),
}

impl Worktrees {
    /// Begins with what the person has seen to.
    pub(super) fn new(waved: HashSet<i64>) -> Self {
        Self { waved, ..Self::default() }
    }

    /// The person has seen to what lies there: of this nobody is told again.
    pub(super) fn wave(&mut self, mark: i64) {
        self.waved.insert(mark);
    }

    /// The person takes that back.
    pub(super) fn call_back(&mut self, mark: i64) {
        self.waved.remove(&mark);
    }

    /// Whether somebody is known to work there.
    pub(super) fn has(&self, root: &str) -> bool {
        self.trees.contains_key(root)
    }

    /// Begins with a worktree of which something may be remembered.
    pub(super) fn open(&mut self, root: &str, memory: Memory, now: Timestamp) {
        // The clock may have been set back since it was dated.
        let memory = Memory { settled_at: memory.settled_at.map(|at| at.min(now)), ..memory };
        let tree = self.trees.entry(root.to_owned()).or_default();
        (tree.memory, tree.stored) = (memory.clone(), memory);
        self.is_other_set = true;
    }

    /// The machine's clock was set back to `now`: what was dated by our own look is no later than that.
    pub(super) fn clock_set_back(&mut self, now: Timestamp) {
        for tree in self.trees.values_mut() {
            tree.memory.settled_at = tree.memory.settled_at.map(|at| at.min(now));
        }
    }

    /// Notes where a session is. Returns the sessions whose part in it changed, to be judged again.
    pub(super) fn note(
        &mut self,
        id: i64,
        root: Option<&str>,
        presence: Presence,
        now: Timestamp,
    ) -> Vec<i64> {
        let mut touched = Vec::new();
        if self.of_session.get(&id).map(String::as_str) != root {
            touched.extend(self.forget(id, now));
            if let Some(root) = root {
                self.of_session.insert(id, root.to_owned());
            }
        }
        let Some(root) = root else { return touched };
        let tree = self.trees.entry(root.to_owned()).or_default();
        let known = tree.members.get(&id);
        if known != Some(&presence) {
            // Of one of which nobody knows whether it runs, only that it is there for the first time.
            let came = known.is_none_or(|k| presence.is_alive && !k.is_alive)
                && (presence.is_alive || presence.is_unknown);
            if came {
                // Where nobody looks in time an older mark still holds: it is equal only if nothing was touched since.
                // Work that was left is whoever's left it, also when that one comes back.
                tree.awaits_before |= presence.has_just_come(now) && !matches!(tree.risk, Risk::Since(_));
            } else if known.is_some_and(|k| k.step.0 < presence.step.0) {
                // A tool may have written meanwhile.
                tree.awaits_before = false;
            }
            if came || known.is_none_or(|k| k.step != presence.step || k.is_alive != presence.is_alive) {
                self.wanted.insert(root.to_owned());
            }
            self.changed |= known.is_none();
            tree.members.insert(id, presence);
        }
        // Also where nothing was heard: one that may run does not for ever.
        let weighed = tree.weigh(now);
        self.changed |= !weighed.is_empty();
        touched.extend(weighed);
        touched.retain(|other| *other != id);
        touched
    }

    /// A session is not on the screen any more.
    pub(super) fn forget(&mut self, id: i64, now: Timestamp) -> Vec<i64> {
        let Some(root) = self.of_session.remove(&id) else { return Vec::new() };
        let Some(tree) = self.trees.get_mut(&root) else { return Vec::new() };
        tree.members.remove(&id);
        self.changed = true;
        if tree.members.is_empty() {
            self.trees.remove(&root);
            self.wanted.remove(&root);
            self.is_other_set = true;
            return Vec::new();
        }
        tree.weigh(now)
    }

    /// Whether a session is in a worktree that is followed.
    pub(super) fn has_session(&self, id: i64) -> bool {
        self.of_session.contains_key(&id)
    }

    /// Takes what a look found; returns the sessions to be judged again, and what is to be remembered from now on.
    pub(super) fn found(
        &mut self,
        root: &str,
        look: WorktreeLook,
        now: Timestamp,
    ) -> (Vec<i64>, Option<Memory>) {
        // It may have been let go meanwhile.
        let Some(tree) = self.trees.get_mut(root) else { return (Vec::new(), None) };
        tree.learn(&look);
        let is_news = tree.found.as_ref().is_none_or(|known| known.finding != look.finding);
        let is_other = tree.found.as_ref().is_none_or(|known| known.mark != look.mark);
        tree.found = Some(Found { finding: look.finding, mark: look.mark, at: look.at });
        let mut touched = tree.weigh(now);
        self.changed |= is_news || !touched.is_empty();
        if is_news || is_other {
            touched.extend(tree.members.keys());
        }
        let stored = std::mem::replace(&mut tree.stored, tree.memory.clone());
        (touched, Some(&tree.memory).filter(|now| **now != stored).cloned())
    }

    /// Wants a look at the worktree of a session: its person came to see.
    pub(super) fn look_at(&mut self, session: &str) {
        let root = self.trees.iter().find(|(_, tree)| tree.members.values().any(|p| p.key == session));
        self.wanted.extend(root.map(|(root, _)| root.clone()));
    }

    /// Wants a look at every worktree that was not looked at for half a minute.
    pub(super) fn look_at_old(&mut self, now: Timestamp) {
        let is_old = |tree: &Tree| tree.found.as_ref().is_none_or(|found| now.since(found.at) > FRESH_MS);
        self.wanted.extend(self.trees.iter().filter(|(_, tree)| is_old(tree)).map(|(root, _)| root.clone()));
    }

    /// A number that stands for this worktree and what lies in it, when somebody could look.
    pub(super) fn mark_of(&self, id: i64) -> Option<i64> {
        let root = self.of_session.get(&id)?;
        let found = self.trees.get(root)?.found.as_ref()?;
        if !matches!(found.finding, Finding::Clean(_) | Finding::Dirty(..)) {
            return None;
        }
        let text = [root.as_bytes(), &found.mark.to_be_bytes()].concat();
        // 63 of its bits: two states do not meet by accident.
        i64::try_from(xxhash_rust::xxh3::xxh3_64(&text) >> 1).ok()
    }

    /// Whether this session is the one that is told about its worktree, and what.
    pub(super) fn risk_of(&self, id: i64) -> Risk {
        let Some(tree) = self.tree_of(id) else { return Risk::None };
        match tree.risk {
            Risk::Since(_) if tree.owner != Some(id) => Risk::None,
            Risk::Since(since) if self.mark_of(id).is_some_and(|mark| self.waved.contains(&mark)) => {
                Risk::Waved(since)
            }
            risk => risk,
        }
    }

    /// Since when nobody works there: of one of which nobody knows whether it runs, when it had been silent for long
    /// enough.
    pub(super) fn left_since(&self, id: i64, since: Timestamp) -> Timestamp {
        let presence = self.tree_of(id).and_then(|tree| tree.members.get(&id));
        match presence {
            Some(p) if p.is_unknown && p.left_at.is_none() => since.plus_ms(MAY_RUN_MS),
            _ => since,
        }
    }

    /// What the card shows.
    pub(super) fn view_of(&self, id: i64) -> Option<GitView> {
        let root = self.of_session.get(&id)?;
        let found = self.trees.get(root)?.found.as_ref()?;
        Some(GitView {
            state: state(&found.finding),
            dirty_files: found.finding.dirty_paths(),
            root: Some(root.clone()),
            reason: match &found.finding {
                Finding::Unknown(blind) => Some(blind.sentence().to_owned()),
                Finding::Clean(_) | Finding::Dirty(..) | Finding::NotRepo | Finding::Missing => None,
            },
        })
    }

    /// What the tender is to do.
    pub(super) fn take_orders(&mut self) -> Vec<Order> {
        let mut orders = Vec::new();
        if std::mem::take(&mut self.is_other_set) {
            orders.push(Order::Follow(self.trees.keys().map(PathBuf::from).collect()));
        }
        orders.extend(std::mem::take(&mut self.wanted).into_iter().map(|root| Order::Look(root.into())));
        orders
    }

    /// The list on the screen, when it may differ.
    pub(super) fn take_changed(&mut self) -> Option<Vec<Worktree>> {
        std::mem::take(&mut self.changed).then(|| {
            self.trees
                .iter()
                .filter_map(|(root, tree)| {
                    let found = tree.found.as_ref()?;
                    matches!(found.finding, Finding::Dirty(..)).then(|| view(root, tree, found))
                })
                .collect()
        })
    }

    fn tree_of(&self, id: i64) -> Option<&Tree> {
        self.trees.get(self.of_session.get(&id)?)
    }
}

impl Tree {
    /// Learns from a look what lay there before an agent came, and that whoever has left, left nothing.
    fn learn(&mut self, look: &WorktreeLook) {
        let is_clean = matches!(look.finding, Finding::Clean(_));
        if !is_clean && !matches!(look.finding, Finding::Dirty(..)) {
            return;
        }
        let awaits = std::mem::take(&mut self.awaits_before);
        let has_comer = self.members.values().any(|p| p.has_just_come(look.at));
        // What lies there may be the work of whoever was there earlier.
        let has_earlier = self
            .members
            .values()
            .any(|p| !p.has_just_come(look.at) && (p.may_run(look.at) || self.may_be_of(p)));
        if awaits && has_comer && (is_clean || !has_earlier) {
            self.memory.before = Some(look.mark);
        }
        let is_nobodys = is_clean || self.memory.before == Some(look.mark);
        let is_empty = !self.members.values().any(|p| p.may_run(look.at));
        let is_news = self.members.values().any(|p| self.may_be_of(p) && p.seen_last() < Some(look.began));
        if let Some(left) = &mut self.memory.left {
            if stashes(&look.finding, &left.branch) > left.stashes {
                left.is_aside = true;
            } else if is_nobodys {
                self.memory.left = None;
            }
        }
        if is_nobodys && is_empty && is_news {
            self.memory.settled_at = Some(look.began);
        }
    }

    /// Who left what was put into the stash and is there again, and since when.
    fn back(&self) -> Option<(i64, Option<Timestamp>)> {
        let left = self.memory.left.as_ref().filter(|left| left.is_aside)?;
        let finding = self.found.as_ref().map(|found| &found.finding)?;
        if !matches!(finding, Finding::Dirty(..)) || stashes(finding, &left.branch) > left.stashes {
            return None;
        }
        let (id, _) = self.members.iter().find(|(_, p)| p.key == left.by)?;
        Some((*id, Some(left.since)))
    }

    /// Whether what lies there may be the work of this one, when it does not run.
    fn may_be_of(&self, p: &Presence) -> bool {
        self.memory.settled_at.is_none_or(|settled| p.seen_last() >= Some(settled))
    }

    /// Works out whose work is at risk; returns the sessions for which that changed.
    fn weigh(&mut self, now: Timestamp) -> Vec<i64> {
        let agents = self.members.values().filter(|p| p.may_run(now)).count();
        // Whoever was there last is told; of several at once the one that is known longest.
        let owner = self
            .members
            .iter()
            .filter(|(_, p)| self.found.is_none() || self.may_be_of(p))
            .map(|(id, p)| (*id, p.seen_last()))
            .max_by_key(|(id, last)| (*last, std::cmp::Reverse(*id)))
            .or_else(|| self.back());
        let (risk, owner) = match (&self.found, owner) {
            (_, None) => (Risk::None, None),
            (_, Some(_)) if agents > 0 => (Risk::None, None),
            (None, Some((id, _))) => (Risk::NotKnown, Some(id)),
            (Some(found), Some((id, left_at))) => {
                let around =
                    Around { agents: 0, left_at, was_so_before: self.memory.before == Some(found.mark) };
                let risk = match (&found.finding, at_risk(&found.finding, &around)) {
                    (Finding::Unknown(_), _) => Risk::NotKnown,
                    (_, Some(since)) => {
                        // The same work that the same one leaves once more is the same.
                        let known = self.left.filter(|left| (left.0, left.1) == (found.mark, id));
                        let since = known.map_or(since, |(_, _, since)| since);
                        self.left = Some((found.mark, id, since));
                        let by = self.members.get(&id).map(|p| p.key.clone()).unwrap_or_default();
                        // What is put aside of it in parts is counted from the first.
                        if self.memory.left.as_ref().is_none_or(|l| (&l.by, l.since) != (&by, since)) {
                            let branch = found.finding.branch().map_or("", |b| b.stash_name()).to_owned();
                            let stashes = stashes(&found.finding, &branch);
                            self.memory.left = Some(Left { by, since, branch, stashes, is_aside: false });
                        }
                        Risk::Since(since)
                    }
                    (_, None) => Risk::None,
                };
                (risk, Some(id))
            }
        };
        if (risk, owner) == (self.risk, self.owner) {
            return Vec::new();
        }
        let changed = [self.owner, owner].into_iter().flatten().collect();
        (self.risk, self.owner) = (risk, owner);
        changed
    }
}

impl Presence {
    fn may_run(&self, now: Timestamp) -> bool {
        // Whoever was heard after its end has come back.
        let has_left = self.left_at.is_some() && self.left_at >= self.last_activity;
        self.is_alive
            || (self.is_unknown
                && !has_left
                && self.last_activity.is_some_and(|last| now.since(last) < MAY_RUN_MS))
    }

    /// It runs, and has been started so lately that a look at this moment shows what lay there before it.
    fn has_just_come(&self, now: Timestamp) -> bool {
        self.may_run(now) && self.started_at.is_some_and(|at| now.since(at) <= JUST_CAME_MS)
    }

    /// The last sign of it: something it did, or that it left.
    pub(super) fn seen_last(&self) -> Option<Timestamp> {
        self.last_activity.max(self.left_at)
    }
}

fn stashes(finding: &Finding, branch: &str) -> u32 {
    finding.branch().map_or(0, |now| now.stashes_of(branch))
}

fn state(finding: &Finding) -> GitState {
    match finding {
        Finding::Clean(_) => GitState::Clean,
        Finding::Dirty(..) => GitState::Dirty,
        Finding::NotRepo => GitState::NotRepo,
        Finding::Missing => GitState::Missing,
        Finding::Unknown(_) => GitState::Unknown,
    }
}

fn view(root: &str, tree: &Tree, found: &Found) -> Worktree {
    let counts = match &found.finding {
        Finding::Dirty(counts, _) => Some(*counts),
        _ => None,
    };
    let branch = found.finding.branch();
    let mut members: Vec<&Presence> = tree.members.values().collect();
    members.sort_by(|a, b| b.last_activity.cmp(&a.last_activity).then_with(|| a.key.cmp(&b.key)));
    Worktree {
        root: root.to_owned(),
        state: state(&found.finding),
        staged: counts.map(|c| c.staged),
        unstaged: counts.map(|c| c.unstaged),
        untracked: counts.map(|c| c.untracked),
        conflicted: counts.map(|c| c.conflicted),
        ahead: branch.and_then(|b| b.ahead),
        behind: branch.and_then(|b| b.behind),
        observed_at_ms: Some(found.at.0),
        is_at_risk: matches!(tree.risk, Risk::Since(_)),
        was_so_before: tree.memory.before == Some(found.mark),
        sessions: members.iter().map(|p| p.key.clone()).collect(),
    }
}

#[cfg(test)]
mod tests;
