//! The person is told of each cause once: when, or why not. `weigh` says what the causes are, `words` what is said.

mod weigh;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{Local, TimeZone, Timelike};
use lamplight_model::assess::NEWS_MS;
use lamplight_model::attention::{Cause, CauseKind, Tier};
use lamplight_model::ids::{FactId, SessionKey, Timestamp};
use lamplight_model::notice::{HeldBack, NoticeOutcome};
use lamplight_model::view::{Attention, Muted, SessionCard};
use serde::Serialize;

use crate::board::Pending;
use crate::config::Notify;
use crate::store::causes::StoredCause;
use crate::store::notices::Logged;
pub(in crate::core) use weigh::Sight;
use words::{preview, reason};

/// Time in which a blocked session may be answered before the person is told.
const GRACE_BLOCKED_MS: i64 = 2_000;
/// The same for a turn that is over.
const GRACE_TURN_MS: i64 = 10_000;
/// Time in which whoever ended a session may see to the work it left.
const GRACE_RISK_MS: i64 = 120_000;
/// Notices due within this of each other are told together.
const GROUP_MS: i64 = 500;
/// So long before a cause is told it is asked whether its terminal is what the person has before them.
const ASK_AHEAD_MS: i64 = 1_000;
/// An answer to that counts for so long.
const FRONT_MS: i64 = 3_000;
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
        /// The session's terminal can be brought to the front.
        can_focus: bool,
        /// The person wants to hear it.
        sound: bool,
    },
    /// The cause is gone; take the notification back.
    Withdraw {
        /// Which.
        cause_id: String,
    },
}

/// A run of the user's own command for one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// Program and arguments.
    pub command: Vec<String>,
    /// What it reads on its standard input.
    pub json: String,
}

/// Decides who is told what, when.
#[derive(Debug)]
pub(crate) struct Notifier {
    settings: Notify,
    paused: bool,
    /// `agent:session_id` of the session whose page is on screen and focused.
    attended: Option<String>,
    /// Sessions whose terminal was seen to be before the person, and when.
    fronts: HashMap<String, Timestamp>,
    /// Sessions, with their processes, whose terminals are to be asked about.
    asks: HashMap<String, u32>,
    /// Causes that wait for their grace to pass.
    due: BTreeMap<(Timestamp, FactId), Due>,
    /// Causes that wait for quiet hours or a pause to end.
    waiting: BTreeMap<FactId, Due>,
    /// Causes that were told, by id, so that they can be taken back.
    told: HashMap<FactId, CauseKind>,
    /// What happened before this was before the person looked.
    news_from: Timestamp,
    /// After sleep nothing is told until the registries were looked at again.
    held_until: Timestamp,
    out: Vec<Notice>,
    /// What became of causes since the last look, for the log.
    log: Vec<Logged>,
    calls: Vec<Call>,
    cards: HashMap<String, SessionCard>,
    pub(crate) pending: Pending,
}

/// A cause that is told now.
struct Chosen {
    id: FactId,
    /// `agent:session_id`.
    session: String,
    kind: CauseKind,
    /// What is needed, in words.
    why: String,
    tier: u8,
}

/// A cause whose time of grace runs.
#[derive(Debug, Clone)]
struct Due {
    /// `agent:session_id`.
    session: String,
    kind: CauseKind,
    /// It was asked whether its terminal is in front.
    is_asked: bool,
    /// It is due at the end of a snooze.
    is_put_off: bool,
}

impl Notifier {
    pub(crate) fn new(settings: Notify, news_from: Timestamp) -> Self {
        Self {
            settings,
            paused: false,
            attended: None,
            fronts: HashMap::new(),
            asks: HashMap::new(),
            due: BTreeMap::new(),
            waiting: BTreeMap::new(),
            told: HashMap::new(),
            news_from,
            held_until: Timestamp::default(),
            out: Vec::new(),
            log: Vec::new(),
            calls: Vec::new(),
            cards: HashMap::new(),
            pending: Pending::default(),
        }
    }

    fn schedule(&mut self, cause: &Cause, key: &SessionKey, now: Timestamp) {
        // Put off until it changes: nothing is due before.
        if cause.snoozed_over.is_some() {
            return;
        }
        // The person did this themselves, a moment ago, at that very terminal.
        if cause.kind == CauseKind::Interrupted && cause.snoozed_until.is_none() {
            return;
        }
        if self.waiting.contains_key(&cause.id) || self.due.keys().any(|(_, id)| *id == cause.id) {
            return;
        }
        let grace = match cause.kind.tier() {
            Tier::Blocked => GRACE_BLOCKED_MS,
            Tier::YourTurn => GRACE_TURN_MS,
            Tier::AtRisk => GRACE_RISK_MS,
        };
        let at = cause.snoozed_until.unwrap_or(now).max(now).plus_ms(grace);
        self.due.insert(
            (at, cause.id),
            Due {
                session: key.to_string(),
                kind: cause.kind,
                is_asked: false,
                is_put_off: cause.snoozed_until.is_some_and(|until| until > now),
            },
        );
    }

    /// What was to be told of a cause later is not: its snooze is over.
    pub(in crate::core) fn unschedule(&mut self, id: FactId) {
        self.due.retain(|(_, other), _| *other != id);
    }

    /// A cause is gone, waved away or put off.
    pub(crate) fn withdraw(&mut self, id: FactId, now: Timestamp) {
        // That it was held back stands in the log, and nothing else became of it.
        self.waiting.remove(&id);
        // What was due at the end of a snooze was told before it, or put off by its person: its end is no news of the log.
        let waiting: Vec<CauseKind> = self
            .due
            .extract_if(.., |(_, due), _| *due == id)
            .filter(|(_, due)| !due.is_put_off)
            .map(|(_, due)| due.kind)
            .collect();
        if let Some(kind) = self.told.remove(&id) {
            self.out.push(Notice::Withdraw { cause_id: id.to_string() });
            self.note(id, kind, NoticeOutcome::Withdrawn, None, now);
        } else if let Some(kind) = waiting.first() {
            self.note(id, *kind, NoticeOutcome::Resolved, None, now);
        }
    }

    /// Takes a notification off the screen while its cause stands; it is not told again.
    pub(in crate::core) fn take_back(&mut self, id: FactId, now: Timestamp) {
        if let Some(kind) = self.told.remove(&id) {
            self.out.push(Notice::Withdraw { cause_id: id.to_string() });
            self.note(id, kind, NoticeOutcome::Withdrawn, None, now);
        }
    }

    /// Ends the snooze of a cause that was put off until something changes, when it has; whether it did. `stands` is the
    /// last activity now, and what lies in the worktree.
    pub(in crate::core) fn wake(
        &mut self,
        key: &SessionKey,
        stored: &mut StoredCause,
        stands: (Option<i64>, Option<i64>),
        now: Timestamp,
    ) -> bool {
        let is_put_off = stored.cause.is_open() && stored.cause.is_put_off_until_change();
        let Some(over) = stored.cause.snoozed_over.filter(|_| is_put_off) else { return false };
        let is_other = match stored.cause.kind {
            CauseKind::Uncommitted => stands.1.is_some_and(|mark| mark != over),
            _ => stands.0.is_some_and(|last| last > over),
        };
        if is_other {
            stored.cause.snoozed_over = None;
            stored.cause.snoozed_until = Some(now);
            self.unschedule(stored.cause.id);
            self.schedule(&stored.cause, key, now);
        }
        is_other
    }

    fn note(
        &mut self,
        cause: FactId,
        kind: CauseKind,
        outcome: NoticeOutcome,
        why: Option<HeldBack>,
        at: Timestamp,
    ) {
        self.log.push(Logged { at, cause, kind, outcome, why });
    }

    /// Runs of the user's command since the last look.
    pub(crate) fn take_calls(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.calls)
    }

    /// What became of causes since the last look.
    pub(crate) fn take_log(&mut self) -> Vec<Logged> {
        std::mem::take(&mut self.log)
    }

    /// A cause was put off: it is told again when the time has come.
    pub(crate) fn snoozed(&mut self, cause: &Cause, key: &SessionKey, now: Timestamp) {
        self.withdraw(cause.id, now);
        self.schedule(cause, key, now);
    }

    /// The machine's clock was set back by so many milliseconds: a time of grace is no longer than it would have been. What
    /// the person put off until a time of day waits for that.
    pub(crate) fn clock_set_back(&mut self, by_ms: i64, now: Timestamp) {
        let is_grace = |at: Timestamp| at.since(now.plus_ms(by_ms)) <= GRACE_RISK_MS;
        let due = std::mem::take(&mut self.due);
        let moved = due.into_iter().map(|((at, id), due)| {
            let at = if is_grace(at) { at.plus_ms(-by_ms) } else { at };
            ((at, id), due)
        });
        self.due = moved.collect();
        self.held_until = self.held_until.plus_ms(-by_ms);
        self.news_from = self.news_from.min(now);
    }

    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let told = self.due.keys().next().map(|(at, _)| *at);
        let has_terminal =
            |due: &Due| self.cards.get(&due.session).is_some_and(|card| card.terminal.is_some());
        let asked = self.due.iter().find(|(_, due)| !due.is_asked && has_terminal(due));
        let asked = asked.map(|((at, _), _)| at.plus_ms(-ASK_AHEAD_MS));
        [told, asked].into_iter().flatten().min().map(|at| at.max(self.held_until))
    }

    /// Notes which of the sessions that are told of soon have a terminal to ask about.
    fn ask_ahead(&mut self, now: Timestamp) {
        self.fronts.retain(|_, at| (0..=FRONT_MS).contains(&now.since(*at)));
        let until = now.plus_ms(ASK_AHEAD_MS);
        for (_, due) in self.due.iter_mut().take_while(|((at, _), _)| *at <= until) {
            let card = self.cards.get(&due.session).filter(|card| card.terminal.is_some());
            if let Some(pid) = card.and_then(|card| card.pid).filter(|_| !due.is_asked) {
                self.asks.insert(due.session.clone(), pid);
            }
            due.is_asked |= card.is_some();
        }
    }

    /// Sessions, with their processes, whose terminals are to be asked about.
    pub(in crate::core) fn take_fronts(&mut self) -> HashMap<String, u32> {
        std::mem::take(&mut self.asks)
    }

    /// Somebody looked whether the terminal of a session is what the person has before them.
    pub(in crate::core) fn front(&mut self, session: String, is_in_front: Option<bool>, at: Timestamp) {
        if is_in_front == Some(true) {
            self.fronts.insert(session, at);
        } else {
            // What cannot be known keeps nothing back.
            self.fronts.remove(&session);
        }
    }

    /// What happened before this was before the person looked.
    pub(in crate::core) fn news_from(&self) -> Timestamp {
        self.news_from
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

    /// Tells what is due, or says in the log why not.
    pub(crate) fn tell(&mut self, now: Timestamp) {
        self.ask_ahead(now);
        if now < self.held_until {
            return;
        }
        let (held, late): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(id, due)| self.still_waits(*id, due, now));
        self.waiting = held.into_iter().collect();
        let late = self.choose(late, now);
        // Whoever comes back to several is told once.
        let is_summary = late.len() > 1;
        self.send(late, is_summary, "While it was quiet: ", now);
        if self.due.keys().next().is_none_or(|(at, _)| *at > now) {
            return;
        }
        let until = now.plus_ms(GROUP_MS);
        let due =
            self.due.extract_if(.., |(at, _), _| *at <= until).map(|((_, id), due)| (id, due)).collect();
        let due = self.choose(due, now);
        let is_summary = due.len() >= GROUP_FROM;
        self.send(due, is_summary, "", now);
    }

    /// Which of the causes whose time has come are told; what became of the others is noted.
    fn choose(&mut self, due: Vec<(FactId, Due)>, now: Timestamp) -> Vec<Chosen> {
        let mut chosen = Vec::new();
        for (id, due) in due {
            let card = self.cards.get(&due.session);
            let cause = card.and_then(|c| c.causes.iter().find(|c| c.cause_id == id.to_string()));
            let (Some(card), Some(cause)) = (card, cause) else {
                self.note(id, due.kind, NoticeOutcome::Resolved, None, now);
                continue;
            };
            if let Some(why) = self.held_back(&due.session, card, cause, now) {
                let kind = cause.cause;
                if why.is_put_off() {
                    self.waiting.insert(id, Due { is_asked: false, ..due });
                }
                self.note(id, kind, NoticeOutcome::HeldBack, Some(why), now);
                continue;
            }
            let why = reason(card, cause.cause);
            if !self.settings.command.is_empty() {
                let json = words::for_command(card, cause, &why, self.settings.previews);
                self.calls.push(Call { command: self.settings.command.clone(), json });
            }
            let (kind, tier) = (cause.cause, u8::from(cause.tier));
            chosen.push(Chosen { id, session: due.session, kind, why, tier });
        }
        chosen
    }

    /// Tells of causes, in one notification or each in its own.
    fn send(&mut self, chosen: Vec<Chosen>, is_summary: bool, before: &str, now: Timestamp) {
        for Chosen { id, kind, .. } in &chosen {
            self.told.insert(*id, *kind);
            let outcome = if is_summary { NoticeOutcome::Grouped } else { NoticeOutcome::Told };
            self.note(*id, *kind, outcome, None, now);
        }
        if is_summary {
            let lines: Vec<String> = chosen
                .iter()
                .filter_map(|c| Some(format!("{}: {}", self.cards.get(&c.session)?.label, c.why)))
                .collect();
            // One session may have several causes.
            let sessions: BTreeSet<&str> = chosen.iter().map(|c| c.session.as_str()).collect();
            let need = match sessions.len() {
                1 => "1 session needs you".to_owned(),
                several => format!("{several} sessions need you"),
            };
            let only = sessions.first().filter(|_| sessions.len() == 1);
            self.out.push(Notice::Show {
                cause_ids: chosen.iter().map(|c| c.id.to_string()).collect(),
                session: only.map(|session| (*session).to_owned()),
                title: format!("{before}{need}"),
                body: lines.join("\n"),
                tier: chosen.iter().map(|c| c.tier).min().unwrap_or(2),
                resume: None,
                can_focus: false,
                sound: self.settings.sound,
            });
            return;
        }
        for Chosen { id, session, why, tier, .. } in chosen {
            let Some(card) = self.cards.get(&session) else { continue };
            let preview = if self.settings.previews { preview(card) } else { None };
            self.out.push(Notice::Show {
                cause_ids: vec![id.to_string()],
                title: card.label.clone(),
                body: preview.map_or(why.clone(), |preview| format!("{why}\n{preview}")),
                tier,
                resume: card.resume.command.clone(),
                can_focus: card.terminal.as_ref().is_some_and(|terminal| terminal.can_focus),
                sound: self.settings.sound,
                session: Some(session),
            });
        }
    }

    /// Whether what holds back a cause that waits is not over: quiet hours let through what blocks, a pause nothing.
    fn still_waits(&self, id: FactId, due: &Due, now: Timestamp) -> bool {
        let card = self.cards.get(&due.session);
        let cause = card.and_then(|card| card.causes.iter().find(|c| c.cause_id == id.to_string()));
        let why = card.zip(cause).and_then(|(card, cause)| self.held_back(&due.session, card, cause, now));
        matches!(why, Some(HeldBack::Paused | HeldBack::QuietHours))
    }

    /// Why a cause whose time has come is not told.
    fn held_back(
        &self,
        session: &str,
        card: &SessionCard,
        cause: &Attention,
        now: Timestamp,
    ) -> Option<HeldBack> {
        let settings = &self.settings;
        let breaks_through = settings.quiet_lets_blocked_through && cause.tier == Tier::Blocked;
        let from = cause.since_ms.max(cause.snoozed_until_ms.unwrap_or(i64::MIN));
        let project = card.project.as_ref().is_some_and(|project| settings.muted_projects.contains(project));
        [
            (!settings.enabled, HeldBack::Off),
            (self.paused, HeldBack::Paused),
            (settings.muted.contains(&cause.cause), HeldBack::Kind),
            (card.muted == Some(Muted::Session), HeldBack::Muted),
            (project, HeldBack::Project),
            (now.since(Timestamp(from)) > NEWS_MS, HeldBack::Old),
            (self.attended.as_deref() == Some(session), HeldBack::Attended),
            (self.is_in_front(session, now), HeldBack::Attended),
            (!breaks_through && self.is_quiet_hour(now), HeldBack::QuietHours),
        ]
        .into_iter()
        .find_map(|(holds, why)| holds.then_some(why))
    }

    fn is_in_front(&self, session: &str, now: Timestamp) -> bool {
        self.fronts.get(session).is_some_and(|at| (0..=FRONT_MS).contains(&now.since(*at)))
    }

    pub(crate) fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.out)
    }

    fn is_quiet_hour(&self, now: Timestamp) -> bool {
        self.settings.quiet.is_some_and(|quiet| is_quiet_in(&Local, now, quiet))
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

/// Whether a moment lies in quiet hours by the clock on the wall, which a change of daylight saving moves.
fn is_quiet_in<Zone: TimeZone>(zone: &Zone, now: Timestamp, (from, to): (u32, u32)) -> bool {
    let Some(local) = zone.timestamp_millis_opt(now.0).single() else { return false };
    is_quiet(local.hour() * 60 + local.minute(), from, to)
}

fn is_quiet(minute: u32, from: u32, to: u32) -> bool {
    if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to }
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

    #[test]
    fn quiet_hours_follow_the_clock_on_the_wall_when_it_is_changed_x19() {
        let berlin = chrono_tz::Europe::Berlin;
        let at = |text: &str| {
            let utc = chrono::DateTime::parse_from_rfc3339(text).expect("a moment");
            Timestamp(utc.timestamp_millis())
        };
        for (moment, quiet, want) in [
            // 29 March 2026: at 01:00 UTC two o'clock becomes three.
            ("2026-03-29T00:59:59Z", (22 * 60, 150), true),
            ("2026-03-29T01:00:00Z", (22 * 60, 150), false),
            ("2026-03-29T04:59:00Z", (22 * 60, 420), true),
            ("2026-03-29T05:00:00Z", (22 * 60, 420), false),
            ("2026-03-28T06:00:00Z", (22 * 60, 420), false),
            // 25 October 2026: at 01:00 UTC three o'clock becomes two, and the hour comes again.
            ("2026-10-25T00:29:00Z", (22 * 60, 150), true),
            ("2026-10-25T00:31:00Z", (22 * 60, 150), false),
            ("2026-10-25T01:29:00Z", (22 * 60, 150), true),
            ("2026-10-25T01:31:00Z", (22 * 60, 150), false),
            ("2026-10-25T05:59:00Z", (22 * 60, 420), true),
            ("2026-10-25T06:00:00Z", (22 * 60, 420), false),
        ] {
            assert_eq!(is_quiet_in(&berlin, at(moment), quiet), want, "{moment} in {quiet:?}");
        }
    }
}
