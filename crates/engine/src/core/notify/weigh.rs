//! Causes are born, kept and cleared here.

use lamplight_model::assess::{Anchor, Assessment, NEWS_MS};
use lamplight_model::attention::{Cause, CauseKind, ClearedBy, Tier};
use lamplight_model::ids::{SessionKey, Timestamp};
use lamplight_model::notice::{HeldBack, NoticeOutcome};
use lamplight_model::session::{LivenessState, TurnState};

use super::Notifier;
use crate::core::cause_id;
use crate::core::worktrees::Risk;
use crate::store::causes::StoredCause;

/// Two sources that date one prompt differ by less than this.
const SAME_PROMPT_MS: i64 = 2_000;
/// Causes of a session kept in memory; older ones that are over stand in the store.
const MOST_CAUSES: usize = 64;

/// What is known beside the verdict on a session.
#[derive(Debug, Clone, Copy)]
pub(in crate::core) struct Sight {
    /// The engine looks for the first time ever.
    pub is_first: bool,
    /// The first listing of what lives is complete.
    pub is_listed: bool,
    /// When its person opened the session, where the process that runs has not worked since: whoever opens one sees how
    /// it stands.
    pub opened_at: Option<Timestamp>,
}

impl Notifier {
    /// A cause was born: it is told in time, or the log says why not.
    fn announce(&mut self, stored: &StoredCause, is_opened_so: bool, key: &SessionKey, now: Timestamp) {
        let cause = &stored.cause;
        let why = match cause.kind {
            _ if is_opened_so => HeldBack::Opened,
            _ if stored.baseline => HeldBack::Before,
            CauseKind::Interrupted => HeldBack::OwnDoing,
            _ => return self.schedule(cause, key, now),
        };
        self.note(cause.id, cause.kind, NoticeOutcome::HeldBack, Some(why), now);
    }

    /// Compares what a session needs now with the causes that stand; returns the causes that changed.
    pub(in crate::core) fn weigh_causes(
        &mut self,
        key: &SessionKey,
        verdict: &Assessment,
        causes: &mut Vec<StoredCause>,
        sight: Sight,
        now: Timestamp,
    ) -> Vec<StoredCause> {
        // Before the listing is complete nobody can say that a session has no process.
        if !sight.is_listed && verdict.liveness.state != LivenessState::Alive {
            return Vec::new();
        }
        let mut changed = Vec::new();
        let wanted = verdict.need.as_ref().map(|need| {
            let anchor = match need.anchor {
                Anchor::Blocked(at) => format!("blocked:{}", at.0),
                Anchor::Turn(number) => format!("turn:{number}"),
            };
            let id = cause_id(key, &anchor);
            // A hook and the registry date one prompt some milliseconds apart; the status leaves "waiting" between two.
            let same = causes.iter().find(|s| {
                matches!(need.anchor, Anchor::Blocked(_))
                    && s.cause.cleared_at.is_none()
                    && s.cause.kind.tier() == Tier::Blocked
                    && s.cause.kind != CauseKind::SignIn
                    && (s.cause.since.0 - need.since.0).abs() <= SAME_PROMPT_MS
            });
            (same.map_or(id, |s| s.cause.id), need)
        });
        for stored in causes
            .iter_mut()
            .filter(|s| s.cause.cleared_at.is_none() && s.cause.kind != CauseKind::Uncommitted)
        {
            if wanted.as_ref().is_some_and(|(id, _)| *id == stored.cause.id) {
                continue;
            }
            // A dead process is evidence: a crash stays until its person has seen to it.
            let still_crashed = stored.cause.kind == CauseKind::Crashed
                && verdict.turn_state == TurnState::Crashed
                && verdict.clears == ClearedBy::Expired;
            if still_crashed {
                continue;
            }
            stored.cause.cleared_at = Some(now);
            stored.cause.cleared_by = Some(clears(stored.cause.kind, verdict));
            self.withdraw(stored.cause.id, now);
            changed.push(stored.clone());
        }
        if let Some((id, need)) = wanted {
            let is_opened_so = matches!(need.anchor, Anchor::Turn(_)) && Some(need.since) < sight.opened_at;
            match causes.iter_mut().find(|s| s.cause.id == id) {
                Some(stored) => {
                    let reopened = stored.cause.cleared_at.is_some();
                    if reopened || stored.cause.kind != need.kind {
                        // Only for being their own doing was it not told, and it turned out to be something else: the
                        // transcript's last lines were late.
                        if stored.cause.kind == CauseKind::Interrupted && need.kind != CauseKind::Interrupted
                        {
                            stored.baseline &= is_opened_so || need.since < self.news_from;
                        }
                        let is_untold = stored.cause.notified_at.is_none() && !stored.baseline;
                        if is_opened_so && is_untold && stored.cause.snoozed_until.is_none() {
                            self.unschedule(id);
                            self.waiting.remove(&id);
                            stored.baseline = true;
                            self.note(id, need.kind, NoticeOutcome::HeldBack, Some(HeldBack::Opened), now);
                        }
                        stored.cause.kind = need.kind;
                        stored.cause.cleared_at = None;
                        stored.cause.cleared_by = None;
                        changed.push(stored.clone());
                    }
                    if stored.cause.notified_at.is_none() && !stored.baseline && stored.cause.is_open() {
                        self.schedule(&stored.cause, key, now);
                    }
                }
                None => {
                    let baseline = match need.kind {
                        // An end found at the first look is dated by the look itself. One found after a gap is dated
                        // by the last sign of life before it, and happened in it: else it would be known.
                        CauseKind::Crashed => sight.is_first,
                        _ => is_opened_so || need.since < self.news_from,
                    };
                    let stored = StoredCause {
                        cause: Cause {
                            id,
                            kind: need.kind,
                            since: Timestamp(need.since.0.min(now.0)),
                            source: need.source.to_owned(),
                            cleared_at: None,
                            cleared_by: None,
                            dismissed_at: None,
                            snoozed_until: None,
                            snoozed_over: None,
                            notified_at: None,
                        },
                        baseline,
                    };
                    self.announce(&stored, is_opened_so, key, now);
                    causes.push(stored.clone());
                    changed.push(stored);
                    if causes.len() > MOST_CAUSES {
                        let cleared = causes.iter().enumerate().filter(|(_, s)| s.cause.cleared_at.is_some());
                        if let Some((oldest, _)) = cleared.min_by_key(|(_, s)| s.cause.since) {
                            causes.remove(oldest);
                        }
                    }
                }
            }
        }
        changed
    }

    /// Compares what is at risk in the worktree of a session with the cause that stands; returns the causes that changed.
    /// `left_since` says since when nobody works there who is known to.
    pub(in crate::core) fn weigh_worktree(
        &mut self,
        key: &SessionKey,
        risk: Risk,
        left_since: impl Fn(Timestamp) -> Timestamp,
        causes: &mut Vec<StoredCause>,
        first_look: bool,
        now: Timestamp,
    ) -> Vec<StoredCause> {
        let standing = causes
            .iter_mut()
            .find(|s| s.cause.kind == CauseKind::Uncommitted && s.cause.cleared_at.is_none());
        match (risk, standing) {
            // What nobody could see now is as it was.
            (Risk::NotKnown, _) | (Risk::None | Risk::PutAway, None) => Vec::new(),
            (Risk::None | Risk::PutAway, Some(stored)) => {
                stored.cause.cleared_at = Some(now);
                let is_archived = matches!(risk, Risk::PutAway);
                stored.cause.cleared_by =
                    Some(if is_archived { ClearedBy::Archived } else { ClearedBy::Resolution });
                let stored = stored.clone();
                self.withdraw(stored.cause.id, now);
                vec![stored]
            }
            (Risk::Since(_) | Risk::Waved(_), Some(stored)) => {
                if stored.cause.notified_at.is_none() && !stored.baseline && stored.cause.is_open() {
                    self.schedule(&stored.cause, key, now);
                }
                Vec::new()
            }
            (Risk::Since(since) | Risk::Waved(since), None) => {
                let id = cause_id(key, &format!("worktree:{}", since.0));
                // The same work of the same session, which was seen to: a look that failed in between raises nothing.
                if let Some(stored) = causes.iter_mut().find(|s| s.cause.id == id) {
                    stored.cause.cleared_at = None;
                    stored.cause.cleared_by = None;
                    if stored.cause.notified_at.is_none() && !stored.baseline && stored.cause.is_open() {
                        self.schedule(&stored.cause, key, now);
                    }
                    return vec![stored.clone()];
                }
                if matches!(risk, Risk::Waved(_)) {
                    return Vec::new();
                }
                // What was left longer ago is history, unless somebody looks for the first time after it.
                if now.since(since) > NEWS_MS {
                    return Vec::new();
                }
                let stored = StoredCause {
                    cause: Cause {
                        id,
                        kind: CauseKind::Uncommitted,
                        since,
                        source: "git".to_owned(),
                        cleared_at: None,
                        cleared_by: None,
                        dismissed_at: None,
                        snoozed_until: None,
                        snoozed_over: None,
                        notified_at: None,
                    },
                    baseline: first_look || left_since(since) < self.news_from,
                };
                self.announce(&stored, false, key, now);
                causes.push(stored.clone());
                vec![stored]
            }
        }
    }
}

/// What cleared a cause of this kind.
fn clears(kind: CauseKind, verdict: &Assessment) -> ClearedBy {
    if verdict.archived_at.is_some() {
        return ClearedBy::Archived;
    }
    match verdict.turn_state {
        TurnState::Working | TurnState::Background | TurnState::Starting => {
            if kind.tier() == Tier::Blocked {
                ClearedBy::Resolution
            } else {
                ClearedBy::Reply
            }
        }
        _ if verdict.need.is_some() && kind.tier() == Tier::Blocked => ClearedBy::Resolution,
        _ if verdict.need.is_some() => ClearedBy::Reply,
        _ => verdict.clears,
    }
}
