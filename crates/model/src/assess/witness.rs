//! Facts that say otherwise than what is believed: shown apart, and counted once they had time to agree.
//!
//! Sources lag behind each other by up to [`SETTLE_MS`], so that every turn begins and ends with two of them saying
//! different things for a moment. Only what still says otherwise after that contradicts; and only a fact that is not
//! older than what is believed does: an older one is the past. Which of them is believed is decided elsewhere, by trust.

use super::Verdict;
use crate::ids::Timestamp;
use crate::session::TurnState;
use crate::view::Evidence;

/// Time the sources have to agree: hooks and the first lines of a transcript come up to 2 s late.
pub(super) const SETTLE_MS: i64 = 2_000;

/// What a fact says of the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// A turn is open.
    Works,
    /// Something in it waits for the person.
    Asks,
    /// No turn runs.
    Over,
}

/// A fact, and what it says of the turn, if anything.
#[derive(Debug, Clone)]
pub(super) struct Noted {
    pub evidence: Evidence,
    pub claim: Option<Claim>,
}

/// A source that said otherwise than what is believed, for longer than sources lag behind each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// The source that is not believed.
    pub source: String,
    /// When its fact became true.
    pub at: Timestamp,
}

impl Claim {
    /// Whether a state is what this claim says, or leaves open.
    fn agrees(self, state: TurnState) -> bool {
        match state {
            TurnState::Starting | TurnState::Working => self != Self::Over,
            // A turn that asks is open, and a source need not know what it asks.
            TurnState::AwaitingPermission | TurnState::AwaitingAnswer => self != Self::Over,
            TurnState::AwaitingReply
            | TurnState::Background
            | TurnState::Interrupted
            | TurnState::Errored
            | TurnState::Ended => self == Self::Over,
            // A process that died took an open turn with it; of an unknown state nothing can be said otherwise.
            TurnState::Crashed | TurnState::Unknown => true,
        }
    }
}

/// Marks the facts that say otherwise, and returns those of them that had the time to agree.
pub(super) fn weigh(v: &mut Verdict, now: Timestamp) -> Vec<Contradiction> {
    let Some(since) = v.since else { return Vec::new() };
    let state = v.turn_state;
    let mut standing = Vec::new();
    let mut due = None;
    for noted in &mut v.evidence {
        let at = Timestamp(noted.evidence.at_ms);
        let is_other =
            noted.claim.is_some_and(|claim| !claim.agrees(state)) && noted.evidence.source != v.source;
        if !is_other || at < since {
            continue;
        }
        noted.evidence.overruled = true;
        let judged = at.plus_ms(SETTLE_MS);
        if now >= judged {
            standing.push(Contradiction { source: noted.evidence.source.clone(), at });
        } else {
            due = Some(due.map_or(judged, |before: Timestamp| before.min(judged)));
        }
    }
    if let Some(at) = due {
        v.recheck(at);
    }
    // What is believed stands first, and what says otherwise last; in each the order stays.
    v.evidence.sort_by_key(|noted| noted.evidence.overruled);
    standing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_otherwise_is_marked_and_counts_after_it_had_time() {
        let check = |believed: TurnState, claim: Claim, at: i64, now: i64, want: (bool, bool)| {
            let mut v = Verdict::new(believed, Some(Timestamp(1_000)), "registry");
            v.note_that("transcript", Timestamp(at), "a fact".to_owned(), claim);
            v.note_that("registry", Timestamp(1_000), "what is believed".to_owned(), Claim::Works);
            let standing = weigh(&mut v, Timestamp(now));
            let marked = v.evidence.iter().any(|n| n.evidence.overruled);
            assert_eq!((marked, !standing.is_empty()), want, "{believed:?} {claim:?} at {at}, now {now}");
            assert_eq!(v.evidence.last().is_some_and(|n| n.evidence.overruled), marked, "it stands last");
        };
        // A transcript whose turn is over while the registry is busy: a moment's lag, then a contradiction.
        check(TurnState::Working, Claim::Over, 1_500, 1_600, (true, false));
        check(TurnState::Working, Claim::Over, 1_500, 3_500, (true, true));
        // The end of the turn before is the past.
        check(TurnState::Working, Claim::Over, 900, 60_000, (false, false));
        // An open turn in which something is asked.
        check(TurnState::AwaitingPermission, Claim::Works, 1_500, 60_000, (false, false));
        check(TurnState::AwaitingPermission, Claim::Over, 1_500, 60_000, (true, true));
        check(TurnState::Interrupted, Claim::Works, 1_000, 60_000, (true, true));
        check(TurnState::Crashed, Claim::Works, 1_500, 60_000, (false, false));
        check(TurnState::Unknown, Claim::Asks, 1_500, 60_000, (false, false));
    }
}
