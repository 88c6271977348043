//! Causes are born, kept and cleared here; and the person is told of each once.

use std::collections::{BTreeMap, HashMap};

use chrono::{Local, TimeZone, Timelike};
use lamplight_model::assess::{Anchor, Assessment, NEWS_MS};
use lamplight_model::attention::{Cause, CauseKind, ClearedBy, Tier};
use lamplight_model::ids::{FactId, SessionKey, Timestamp};
use lamplight_model::session::{LivenessState, TurnState};
use lamplight_model::view::SessionCard;
use serde::Serialize;

use super::cause_id;
use super::worktrees::Risk;
use crate::board::Pending;
use crate::config::Notify;
use crate::store::causes::StoredCause;

/// Time in which a blocked session may be answered before the person is told.
const GRACE_BLOCKED_MS: i64 = 2_000;
/// The same for a turn that is over.
const GRACE_TURN_MS: i64 = 10_000;
/// Time in which whoever ended a session may see to the work it left.
const GRACE_RISK_MS: i64 = 120_000;
/// Notices due within this of each other are told together.
const GROUP_MS: i64 = 500;
/// Two sources that date one prompt differ by less than this.
const SAME_PROMPT_MS: i64 = 2_000;
/// Causes of a session kept in memory; older ones that are over stand in the store.
const MOST_CAUSES: usize = 64;
/// So many at once become one.
const GROUP_FROM: usize = 3;

/// Something to tell the person, or to take back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Notice {
    /// Show it.
    Show {
        /// Causes it speaks of; one, unless several fired at once.
        cause_ids: Vec<String>,
        /// `agent:session_id` of the session it speaks of; `None` for several.
        session: Option<String>,
        /// First line: the session's name, or how many need you.
        title: String,
        /// What is needed; second line what was asked or said, if previews are on.
        body: String,
        /// 1 is urgent.
        tier: u8,
        /// Line to copy for the action *Copy resume*.
        resume: Option<String>,
    },
    /// The cause is gone; take the notification back.
    Withdraw {
        /// Which.
        cause_id: String,
    },
}

/// Decides who is told what, when.
#[derive(Debug)]
pub(crate) struct Notifier {
    settings: Notify,
    paused: bool,
    /// `agent:session_id` of the session whose page is on screen and focused.
    attended: Option<String>,
    /// Causes that wait for their grace to pass.
    due: BTreeMap<(Timestamp, FactId), String>,
    /// Causes that were told, by id, so that they can be taken back.
    told: HashMap<FactId, ()>,
    /// What happened before this was before the person looked.
    news_from: Timestamp,
    /// After sleep nothing is told until the registries were looked at again.
    held_until: Timestamp,
    out: Vec<Notice>,
    told_now: Vec<(FactId, Timestamp)>,
    cards: HashMap<String, SessionCard>,
    pub(crate) pending: Pending,
}

impl Notifier {
    pub(crate) fn new(settings: Notify, news_from: Timestamp) -> Self {
        Self {
            settings,
            paused: false,
            attended: None,
            due: BTreeMap::new(),
            told: HashMap::new(),
            news_from,
            held_until: Timestamp::default(),
            out: Vec::new(),
            told_now: Vec::new(),
            cards: HashMap::new(),
            pending: Pending::default(),
        }
    }

    /// Compares what a session needs now with the causes that stand; returns the causes that changed.
    pub(crate) fn weigh_causes(
        &mut self,
        key: &SessionKey,
        verdict: &Assessment,
        causes: &mut Vec<StoredCause>,
        first_look: bool,
        listed: bool,
        now: Timestamp,
    ) -> Vec<StoredCause> {
        // Before the listing is complete nobody can say that a session has no process.
        if !listed && verdict.liveness.state != LivenessState::Alive {
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
            self.withdraw(stored.cause.id);
            changed.push(stored.clone());
        }
        if let Some((id, need)) = wanted {
            match causes.iter_mut().find(|s| s.cause.id == id) {
                Some(stored) => {
                    let reopened = stored.cause.cleared_at.is_some();
                    if reopened || stored.cause.kind != need.kind {
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
                    // An end found at the first look is dated by the look itself.
                    let found = first_look && need.kind == CauseKind::Crashed;
                    let baseline = found || need.since < self.news_from;
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
                            notified_at: None,
                        },
                        baseline,
                    };
                    if !baseline {
                        self.schedule(&stored.cause, key, now);
                    }
                    causes.push(stored.clone());
                    changed.push(stored);
                    if causes.len() > MOST_CAUSES
                        && let Some(oldest) = causes.iter().position(|s| s.cause.cleared_at.is_some())
                    {
                        causes.remove(oldest);
                    }
                }
            }
        }
        changed
    }

    /// Compares what is at risk in the worktree of a session with the cause that stands; returns the causes that changed.
    pub(super) fn weigh_worktree(
        &mut self,
        key: &SessionKey,
        risk: Risk,
        causes: &mut Vec<StoredCause>,
        first_look: bool,
        now: Timestamp,
    ) -> Vec<StoredCause> {
        let standing = causes
            .iter_mut()
            .find(|s| s.cause.kind == CauseKind::Uncommitted && s.cause.cleared_at.is_none());
        match (risk, standing) {
            // What nobody could see now is as it was.
            (Risk::NotKnown, _) | (Risk::None, None) => Vec::new(),
            (Risk::None, Some(stored)) => {
                stored.cause.cleared_at = Some(now);
                stored.cause.cleared_by = Some(ClearedBy::Resolution);
                let stored = stored.clone();
                self.withdraw(stored.cause.id);
                vec![stored]
            }
            (Risk::Since(_), Some(stored)) => {
                if stored.cause.notified_at.is_none() && !stored.baseline && stored.cause.is_open() {
                    self.schedule(&stored.cause, key, now);
                }
                Vec::new()
            }
            (Risk::Since(since), None) => {
                let id = cause_id(key, &format!("worktree:{}", since.0));
                // The same work of the same session, which was seen to: a look that failed in between raises nothing.
                if let Some(stored) = causes.iter_mut().find(|s| s.cause.id == id) {
                    stored.cause.cleared_at = None;
                    stored.cause.cleared_by = None;
                    return vec![stored.clone()];
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
                        notified_at: None,
                    },
                    baseline: first_look || since < self.news_from,
                };
                if !stored.baseline {
                    self.schedule(&stored.cause, key, now);
                }
                causes.push(stored.clone());
                vec![stored]
            }
        }
    }

    fn schedule(&mut self, cause: &Cause, key: &SessionKey, now: Timestamp) {
        // The person did this themselves, a moment ago, at that very terminal.
        let own_doing = cause.kind == CauseKind::Interrupted;
        if (own_doing && cause.snoozed_until.is_none()) || self.due.keys().any(|(_, id)| *id == cause.id) {
            return;
        }
        let grace = match cause.kind.tier() {
            Tier::Blocked => GRACE_BLOCKED_MS,
            Tier::YourTurn => GRACE_TURN_MS,
            Tier::AtRisk => GRACE_RISK_MS,
        };
        let at = cause.snoozed_until.unwrap_or(now).max(now).plus_ms(grace);
        self.due.insert((at, cause.id), key.to_string());
    }

    /// A cause is gone, waved away or put off.
    pub(crate) fn withdraw(&mut self, id: FactId) {
        self.due.retain(|(_, due), _| *due != id);
        if self.told.remove(&id).is_some() {
            self.out.push(Notice::Withdraw { cause_id: id.to_string() });
        }
    }

    /// A cause was put off: it is told again when the time has come.
    pub(crate) fn snoozed(&mut self, cause: &Cause, key: &SessionKey, now: Timestamp) {
        self.withdraw(cause.id);
        self.schedule(cause, key, now);
    }

    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.due.keys().next().map(|(at, _)| (*at).max(self.held_until))
    }

    /// Tells nothing before `until`.
    pub(crate) fn hold(&mut self, until: Timestamp) {
        self.held_until = until;
    }

    /// Other settings hold from now on, for what has not been told yet too.
    pub(crate) fn reconfigure(&mut self, settings: Notify) {
        self.settings = settings;
    }

    pub(crate) fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    pub(crate) fn attend(&mut self, session: Option<String>) {
        self.attended = session;
    }

    /// Tells what is due. Returns the causes that were told or passed over, to be marked in the store.
    pub(crate) fn tell(&mut self, now: Timestamp) -> Vec<(FactId, Timestamp)> {
        let until = now.plus_ms(GROUP_MS);
        if now < self.held_until {
            return Vec::new();
        }
        if self.due.keys().next().is_none_or(|(at, _)| *at > now) {
            return Vec::new();
        }
        let due: Vec<((Timestamp, FactId), String)> =
            self.due.iter().take_while(|((at, _), _)| *at <= until).map(|(k, v)| (*k, v.clone())).collect();
        let mut shown = Vec::new();
        for ((at, id), session) in due {
            self.due.remove(&(at, id));
            self.told_now.push((id, now));
            let Some(card) = self.cards.get(&session) else { continue };
            let Some(cause) = card.causes.iter().find(|c| c.cause_id == id.to_string()) else { continue };
            let from = cause.since_ms.max(cause.snoozed_until_ms.unwrap_or(i64::MIN));
            let old = now.since(Timestamp(from)) > NEWS_MS;
            let attended = self.attended.as_deref() == Some(session.as_str());
            if self.is_silent(now) || old || attended || self.settings.muted.contains(&cause.cause) {
                continue;
            }
            self.told.insert(id, ());
            shown.push((id, session, reason(card, cause.cause), u8::from(cause.tier)));
        }
        if shown.len() >= GROUP_FROM {
            let body = shown
                .iter()
                .filter_map(|(_, session, reason, _)| {
                    Some(format!("{}: {reason}", self.cards.get(session)?.label))
                })
                .collect::<Vec<_>>();
            self.out.push(Notice::Show {
                cause_ids: shown.iter().map(|(id, ..)| id.to_string()).collect(),
                session: None,
                title: format!("{} sessions need you", shown.len()),
                body: body.join("\n"),
                tier: shown.iter().map(|(.., tier)| *tier).min().unwrap_or(2),
                resume: None,
            });
        } else {
            for (id, session, reason, tier) in shown {
                let Some(card) = self.cards.get(&session) else { continue };
                let preview = if self.settings.previews { preview(card) } else { None };
                self.out.push(Notice::Show {
                    cause_ids: vec![id.to_string()],
                    title: card.label.clone(),
                    body: preview.map_or(reason.clone(), |preview| format!("{reason}\n{preview}")),
                    tier,
                    resume: card.resume.command.clone(),
                    session: Some(session),
                });
            }
        }
        std::mem::take(&mut self.told_now)
    }

    pub(crate) fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.out)
    }

    fn is_silent(&self, now: Timestamp) -> bool {
        if self.paused || !self.settings.enabled {
            return true;
        }
        let Some((from, to)) = self.settings.quiet else { return false };
        // Local wall-clock time: a change of daylight saving moves the quiet hours with the clock on the wall.
        let Some(local) = Local.timestamp_millis_opt(now.0).single() else { return false };
        is_quiet(local.hour() * 60 + local.minute(), from, to)
    }

    pub(crate) fn remember_card(&mut self, card: &SessionCard) {
        let key = format!("{}:{}", card.agent, card.session_id);
        self.cards.insert(key, card.clone());
    }

    pub(crate) fn forget_card(&mut self, key: &str) {
        self.cards.remove(key);
    }

    pub(crate) fn last_card(&self, key: &str) -> Option<SessionCard> {
        self.cards.get(key).cloned()
    }
}

fn is_quiet(minute: u32, from: u32, to: u32) -> bool {
    if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to }
}

/// What cleared a cause of this kind.
fn clears(kind: CauseKind, verdict: &Assessment) -> ClearedBy {
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

/// Why, in the words of the notification.
fn reason(card: &SessionCard, kind: CauseKind) -> String {
    let detail = card.waiting_for.as_ref().and_then(|w| w.detail.as_deref());
    match kind {
        CauseKind::Permission => match card.waiting_for.as_ref().and_then(|w| w.tool.as_deref()) {
            Some("Bash" | "exec_command" | "shell") => "Needs permission to run a command".to_owned(),
            Some("Edit" | "Write" | "MultiEdit" | "NotebookEdit" | "apply_patch") => {
                "Needs permission to edit a file".to_owned()
            }
            Some("WebFetch") => "Needs permission to fetch a page".to_owned(),
            Some(tool) => format!("Needs permission to use {tool}"),
            None => "Needs your permission".to_owned(),
        },
        CauseKind::Question => "Asks you a question".to_owned(),
        CauseKind::Plan => "Plan ready for approval".to_owned(),
        CauseKind::Elicitation => "Asks for input".to_owned(),
        CauseKind::SignIn => "Needs you to sign in".to_owned(),
        CauseKind::Limit => "Stopped by a usage limit".to_owned(),
        CauseKind::Error => match detail {
            Some(text) => format!("Stopped: {}", lamplight_model::fold::cut(text, 80)),
            None => "Stopped by an API error".to_owned(),
        },
        CauseKind::Reply => "Awaits your reply".to_owned(),
        CauseKind::Interrupted => "You interrupted it".to_owned(),
        CauseKind::Crashed => "Its process is gone".to_owned(),
        CauseKind::Uncommitted => left_uncommitted(card),
    }
}

/// "7 files uncommitted in refund-flow, no agent left".
fn left_uncommitted(card: &SessionCard) -> String {
    let git = card.git.as_ref();
    let files = match git.and_then(|g| g.dirty_files) {
        Some(1) => "1 file uncommitted".to_owned(),
        Some(n) => format!("{n} files uncommitted"),
        None => "Uncommitted work".to_owned(),
    };
    let name = git.and_then(|g| g.root.as_deref()).and_then(|root| root.rsplit('/').next());
    let name: String =
        name.unwrap_or_default().chars().filter(|c| !lamplight_model::label::is_unsafe(*c)).collect();
    if name.is_empty() {
        return format!("{files}, no agent left");
    }
    format!("{files} in {}, no agent left", lamplight_model::fold::cut(&name, 60))
}

/// The command or question, else what was said last; one line.
fn preview(card: &SessionCard) -> Option<String> {
    let detail = card.waiting_for.as_ref().and_then(|w| w.detail.as_deref());
    let text = detail.or(card.excerpt.as_deref())?;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let clean: String = line.chars().filter(|c| !lamplight_model::label::is_unsafe(*c)).collect();
    (!clean.is_empty()).then(|| lamplight_model::fold::cut(&clean, 160))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_may_span_midnight_x19() {
        for (minute, from, to, want) in [
            (60, 0, 480, true),
            (480, 0, 480, false),
            (1400, 1320, 420, true),
            (100, 1320, 420, true),
            (420, 1320, 420, false),
            (800, 1320, 420, false),
            (5, 5, 5, false),
        ] {
            assert_eq!(is_quiet(minute, from, to), want, "{minute} in {from}..{to}");
        }
    }
}
