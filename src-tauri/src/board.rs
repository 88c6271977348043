//! What the tray says, projected from the cards: what needs its person, what works, what lies uncommitted.

use std::collections::HashMap;

use lamplight_model::attention::{CauseKind, Tier};
use lamplight_model::session::TurnState;
use lamplight_model::view::{ChangeSet, SessionCard, SourceHealth, SourceView, Status, Worktree};

/// The lamp's three shapes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Lamp {
    /// Nothing works, nothing waits.
    #[default]
    Quiet,
    /// At least one session works.
    Working,
    /// At least one session is blocked on its person, or it is their turn.
    NeedsYou,
}

/// One session that needs its person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// `agent:session_id`.
    pub id: String,
    /// Its name.
    pub label: String,
    /// Why, in one word.
    pub reason: &'static str,
    /// The cause, for a snooze.
    pub cause_id: String,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: i64,
    /// Whether a resume command can be copied.
    pub has_resume: bool,
    /// Whether its terminal can be brought to the front.
    pub can_focus: bool,
}

/// What the tray shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Blocked first, then your turn; the longest wait first in each.
    pub needs: Vec<Need>,
    /// How many of them are blocked on their person.
    pub blocked: usize,
    /// Sessions that call nobody, because they or their project are muted, although something of them is open.
    pub muted: usize,
    /// Sessions at work.
    pub working: usize,
    /// Sessions whose turn is over while their shells or subagents run.
    pub background: usize,
    /// Worktrees with uncommitted work.
    pub uncommitted: usize,
    /// The engine has told how things stand.
    pub is_known: bool,
    /// Something that states are read from fails: this may not be all.
    pub is_blind: bool,
    /// The person keeps notifications away for now.
    pub is_paused: bool,
}

impl Summary {
    /// Returns which lamp to show.
    pub fn lamp(&self) -> Lamp {
        match self {
            Self { needs, .. } if !needs.is_empty() => Lamp::NeedsYou,
            Self { working: 0, background: 0, .. } => Lamp::Quiet,
            _ => Lamp::Working,
        }
    }

    /// Returns what the window's headline says, in a tray's words.
    pub fn headline(&self) -> String {
        match self.needs.len() {
            _ if !self.is_known => "Starting".to_owned(),
            0 if self.is_blind => "Nothing needs you, as far as Lamplight can see".to_owned(),
            0 => "All clear".to_owned(),
            1 => "1 session needs you".to_owned(),
            n => format!("{n} sessions need you"),
        }
    }

    /// Returns how many of each tier need their person, or `None` when nobody does.
    pub fn tiers(&self) -> Option<String> {
        let turn = self.needs.len().saturating_sub(self.blocked);
        match (self.blocked, turn) {
            (0, 0) => None,
            (blocked, 0) => Some(format!("{blocked} blocked on you")),
            (0, turn) => Some(format!("{turn} your turn")),
            (blocked, turn) => Some(format!("{blocked} blocked on you, {turn} your turn")),
        }
    }

    /// Returns what is muted and would need its person, or `None` when nothing does.
    pub fn quieted(&self) -> Option<String> {
        (self.muted > 0).then(|| format!("{} muted", self.muted))
    }

    /// Returns that notifications are kept away, or `None` when they come.
    pub fn paused(&self) -> Option<String> {
        self.is_paused.then(|| "Notifications are paused".to_owned())
    }

    /// Returns what goes on by itself, or `None` when nothing does.
    pub fn at_work(&self) -> Option<String> {
        match (self.working, self.background) {
            (0, 0) => None,
            (working, 0) => Some(format!("{working} working")),
            (0, background) => Some(format!("{background} in background")),
            (working, background) => Some(format!("{working} working, {background} in background")),
        }
    }

    /// Returns what lies uncommitted, or `None` when nothing does.
    pub fn at_risk(&self) -> Option<String> {
        match self.uncommitted {
            0 => None,
            1 => Some("1 worktree uncommitted".to_owned()),
            n => Some(format!("{n} worktrees uncommitted")),
        }
    }
}

/// The cards as last told by the engine.
#[derive(Debug)]
pub struct Board {
    cards: HashMap<String, SessionCard>,
    worktrees: Vec<Worktree>,
    is_blind: bool,
}

impl Board {
    /// Starts from a snapshot.
    pub fn from_snapshot(status: &Status) -> Self {
        Self {
            cards: status.sessions.iter().map(|card| (id_of(card), card.clone())).collect(),
            worktrees: status.worktrees.clone(),
            is_blind: status.sources.iter().any(blinds),
        }
    }

    /// Applies a change.
    pub fn apply(&mut self, change: &ChangeSet) {
        for id in &change.removed {
            self.cards.remove(id);
        }
        for card in &change.upserted {
            self.cards.insert(id_of(card), card.clone());
        }
        if let Some(worktrees) = &change.worktrees {
            self.worktrees.clone_from(worktrees);
        }
        if let Some(sources) = &change.sources {
            self.is_blind = sources.iter().any(blinds);
        }
    }

    /// Returns what the tray shows at this moment. `now_ms` decides which snoozes have run out.
    pub fn summary(&self, now_ms: i64) -> Summary {
        let mut needs: Vec<(Tier, Need)> =
            self.cards.values().filter_map(|card| need(card, now_ms)).collect();
        needs.sort_by(|(tier_a, a), (tier_b, b)| {
            tier_a.cmp(tier_b).then(a.since_ms.cmp(&b.since_ms)).then(a.id.cmp(&b.id))
        });
        let count = |state: TurnState| self.cards.values().filter(|card| card.turn_state == state).count();
        Summary {
            blocked: needs.iter().filter(|(tier, _)| *tier == Tier::Blocked).count(),
            muted: self.cards.values().filter(|card| card.muted.is_some() && !card.causes.is_empty()).count(),
            needs: needs.into_iter().map(|(_, need)| need).collect(),
            working: count(TurnState::Working),
            background: count(TurnState::Background),
            uncommitted: self.worktrees.iter().filter(|tree| tree.is_at_risk).count(),
            is_known: true,
            is_blind: self.is_blind,
            is_paused: false,
        }
    }
}

impl Board {
    /// Returns when the next snooze runs out: what the tray shows changes then without a word of the engine.
    pub fn next_call(&self, now_ms: i64) -> Option<i64> {
        let snoozes = self.cards.values().flat_map(|card| &card.causes).filter_map(|c| c.snoozed_until_ms);
        snoozes.filter(|until| *until > now_ms).min()
    }
}

/// Whether states may be missing because this source fails.
fn blinds(source: &SourceView) -> bool {
    let gives_states = !["settings", "otlp", "forward"].contains(&source.name.as_str());
    gives_states && source.state == SourceHealth::Degraded
}

/// Returns the id every command takes.
fn id_of(card: &SessionCard) -> String {
    format!("{}:{}", card.agent, card.session_id)
}

/// Returns the most urgent cause that calls: tier 1 or 2 and not put off.
fn need(card: &SessionCard, now_ms: i64) -> Option<(Tier, Need)> {
    if card.muted.is_some() {
        return None;
    }
    let cause = card.causes.iter().find(|cause| {
        cause.tier != Tier::AtRisk && cause.snoozed_until_ms.is_none_or(|until| until <= now_ms)
    })?;
    let need = Need {
        id: id_of(card),
        label: card.label.clone(),
        reason: reason(cause.cause),
        cause_id: cause.cause_id.clone(),
        since_ms: cause.since_ms,
        has_resume: card.resume.command.is_some(),
        can_focus: card.terminal.as_ref().is_some_and(|terminal| terminal.can_focus),
    };
    Some((cause.tier, need))
}

fn reason(kind: CauseKind) -> &'static str {
    match kind {
        CauseKind::Permission => "Permission",
        CauseKind::Question => "Question",
        CauseKind::Plan => "Plan",
        CauseKind::Elicitation => "Input",
        CauseKind::SignIn => "Sign-in",
        CauseKind::Limit => "Limit",
        CauseKind::Error => "Error",
        CauseKind::Reply => "Reply",
        CauseKind::Interrupted => "Interrupted",
        CauseKind::Crashed => "Process gone",
        CauseKind::Uncommitted => "Uncommitted",
    }
}

/// Returns a wait in words: at most two units, never below zero.
pub fn wait(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if minutes == 0 => format!("{seconds}\u{a0}s"),
        () if hours == 0 => format!("{minutes}\u{a0}min"),
        () if days == 0 && minutes % 60 == 0 => format!("{hours}\u{a0}h"),
        () if days == 0 => format!("{hours}\u{a0}h {}\u{a0}min", minutes % 60),
        () => format!("{days}\u{a0}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_words() {
        for (ms, words) in [
            (-5, "0 s"),
            (8_400, "8 s"),
            (12 * 60_000, "12 min"),
            (3 * 3_600_000, "3 h"),
            (12_000_000, "3 h 20 min"),
            (200_000_000, "2 d"),
        ] {
            assert_eq!(wait(ms).replace('\u{a0}', " "), words);
        }
    }

    fn card(id: &str, state: &str, causes: serde_json::Value) -> SessionCard {
        let known = serde_json::json!({
            "agent": "claude-code", "session_id": id, "kind": "coding", "entry": "interactive", "label": id,
            "label_source": "rename", "label_default": id, "turn_state": state, "lifecycle": "active",
            "liveness": { "state": "alive" }, "tool_calls": 0, "errors": 0, "context": {},
            "subagents": { "running": 0, "total": 0 }, "causes": causes,
            "resume": { "command": null, "state": "unsupported" }, "evidence": [],
        });
        serde_json::from_value(known).expect("a card whose other fields are not known")
    }

    fn cause(tier: u8, kind: &str, since_ms: i64, snoozed_until_ms: Option<i64>) -> serde_json::Value {
        serde_json::json!({ "tier": tier, "cause": kind, "cause_id": format!("{kind}{since_ms}"), "since_ms": since_ms, "snoozed_until_ms": snoozed_until_ms, "until_change": false })
    }

    #[test]
    fn blocked_comes_first_then_the_longest_wait_and_what_is_put_off_waits() {
        let cards = [
            card("young", "awaiting_permission", serde_json::json!([cause(1, "permission", 900, None)])),
            card("old-turn", "awaiting_reply", serde_json::json!([cause(2, "reply", 100, None)])),
            card("old", "awaiting_permission", serde_json::json!([cause(1, "permission", 500, None)])),
            card("asleep", "awaiting_reply", serde_json::json!([cause(2, "reply", 1, Some(2_000))])),
            card("at-risk", "ended", serde_json::json!([cause(3, "uncommitted", 1, None)])),
            card("busy", "working", serde_json::json!([])),
        ];
        let board = Board {
            cards: cards.into_iter().map(|card| (id_of(&card), card)).collect(),
            worktrees: Vec::new(),
            is_blind: false,
        };
        let ids = |now_ms| board.summary(now_ms).needs.into_iter().map(|need| need.label).collect::<Vec<_>>();
        assert_eq!(ids(1_000), ["old", "young", "old-turn"]);
        assert_eq!(
            ids(2_000),
            ["old", "young", "asleep", "old-turn"],
            "a snooze that has run out calls again"
        );
        let summary = board.summary(1_000);
        assert_eq!((summary.working, summary.blocked), (1, 2));
        assert_eq!(summary.tiers().as_deref(), Some("2 blocked on you, 1 your turn"));
        assert_eq!((board.next_call(1_000), board.next_call(2_000)), (Some(2_000), None));
    }

    #[test]
    fn what_is_muted_calls_nobody_and_is_counted() {
        let mut muted =
            card("muted", "awaiting_permission", serde_json::json!([cause(1, "permission", 5, None)]));
        muted.muted = Some(lamplight_model::view::Muted::Session);
        let cards = [(id_of(&muted), muted)].into_iter().collect();
        let board = Board { cards, worktrees: Vec::new(), is_blind: false };
        let summary = board.summary(1_000);
        assert_eq!((summary.lamp(), summary.tiers(), summary.needs.len()), (Lamp::Quiet, None, 0));
        assert_eq!(summary.quieted().as_deref(), Some("1 muted"));
    }

    #[test]
    fn the_lamp_and_its_sentence_follow_the_counts() {
        assert_eq!(Summary::default().headline(), "Starting", "nobody has looked yet");
        let quiet = Summary { is_known: true, ..Summary::default() };
        assert_eq!(
            Summary { is_blind: true, ..quiet.clone() }.headline(),
            "Nothing needs you, as far as Lamplight can see"
        );
        assert_eq!(
            (quiet.lamp(), quiet.headline(), quiet.at_work(), quiet.at_risk()),
            (Lamp::Quiet, "All clear".to_owned(), None, None)
        );
        let working = Summary { working: 4, background: 1, uncommitted: 3, ..Summary::default() };
        assert_eq!(working.lamp(), Lamp::Working);
        assert_eq!(working.at_work().as_deref(), Some("4 working, 1 in background"));
        assert_eq!(working.at_risk().as_deref(), Some("3 worktrees uncommitted"));
    }
}
