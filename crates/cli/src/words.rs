//! What a card says, in the words the window uses too.

use lamplight_model::session::{TurnState, WaitKind};
use lamplight_model::view::{Doing, SessionCard, WaitingFor};

use crate::plain::plain;

/// The state of a session in words, and what comes after them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) words: String,
    pub(crate) detail: Option<String>,
}

/// Says what a session is doing or waiting for.
pub(crate) fn state(card: &SessionCard) -> State {
    let (words, detail) = match (&card.superseded_by, card.turn_state) {
        (Some(successor), _) => (format!("Continued in {}", plain(successor)), None),
        (None, TurnState::Starting) => ("Starting".to_owned(), None),
        (None, TurnState::Working) => working(card.doing.as_ref()),
        (None, TurnState::AwaitingPermission | TurnState::AwaitingAnswer) => match &card.waiting_for {
            Some(waiting) => asked(waiting),
            None => ("Waits for you".to_owned(), None),
        },
        (None, TurnState::AwaitingReply) if card.attention.is_none() => {
            ("Idle".to_owned(), card.excerpt.clone())
        }
        (None, TurnState::AwaitingReply) => ("Awaiting your reply".to_owned(), card.excerpt.clone()),
        (None, TurnState::Background) => ("In background".to_owned(), running(card.subagents.running)),
        (None, TurnState::Interrupted) => ("You interrupted it".to_owned(), card.excerpt.clone()),
        (None, TurnState::Errored) => match &card.waiting_for {
            Some(waiting) => asked(waiting),
            None => ("Stopped by an error".to_owned(), None),
        },
        (None, TurnState::Ended) => ("Ended".to_owned(), card.excerpt.clone()),
        (None, TurnState::Crashed) => ("Process gone".to_owned(), None),
        (None, TurnState::Unknown) => ("Not known".to_owned(), None),
    };
    State { words, detail: detail.map(|text| plain(&text).trim().to_owned()).filter(|text| !text.is_empty()) }
}

fn working(doing: Option<&Doing>) -> (String, Option<String>) {
    let Some(doing) = doing else { return ("Working".to_owned(), None) };
    let verb = match doing.tool.as_deref() {
        None => "Thinking",
        Some("Edit" | "MultiEdit" | "Write" | "NotebookEdit" | "apply_patch") => "Editing",
        Some("Read" | "NotebookRead" | "view_image") => "Reading",
        Some("Grep" | "Glob" | "LS" | "WebSearch" | "web_search") => "Searching",
        Some("WebFetch") => "Fetching",
        Some("Agent" | "Task" | "spawn_agent") => "Delegating",
        Some("Bash" | "shell" | "exec_command" | "local_shell") => "Running",
        Some(other) => return (format!("Running {}", plain(other)), doing.target.clone()),
    };
    (verb.to_owned(), doing.target.clone())
}

fn asked(waiting: &WaitingFor) -> (String, Option<String>) {
    let tool = waiting.tool.as_deref().map(plain);
    let words = match waiting.kind {
        WaitKind::Permission => match tool.as_deref() {
            Some("Bash" | "shell" | "exec_command" | "local_shell") => {
                "Permission to run a command".to_owned()
            }
            Some("Edit" | "MultiEdit" | "Write" | "NotebookEdit" | "apply_patch") => {
                "Permission to edit a file".to_owned()
            }
            Some("WebFetch") => "Permission to fetch a page".to_owned(),
            Some(tool) => format!("Permission to use {tool}"),
            None => "Asks for permission".to_owned(),
        },
        WaitKind::Question => "Asks you a question".to_owned(),
        WaitKind::Plan => "Plan ready for approval".to_owned(),
        WaitKind::Elicitation => match tool {
            Some(server) => format!("{server} asks for input"),
            None => "Asks for input".to_owned(),
        },
        WaitKind::SignIn => "Needs you to sign in".to_owned(),
        WaitKind::Error => "Stopped by an API error".to_owned(),
        WaitKind::Limit => "Stopped by a usage limit".to_owned(),
        WaitKind::Reply => "Awaiting your reply".to_owned(),
    };
    let detail = match (&waiting.detail, waiting.options.is_empty()) {
        (Some(detail), false) => Some(format!("{detail} ({})", waiting.options.join(" / "))),
        (detail, _) => detail.clone(),
    };
    (words, detail)
}

fn running(subagents: u32) -> Option<String> {
    match subagents {
        0 => None,
        1 => Some("1 subagent".to_owned()),
        n => Some(format!("{n} subagents")),
    }
}

/// A time span as `8 s`, `12 min`, `3 h 20 min`, `2 d`; never below 0.
pub(crate) fn span(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) if minutes % 60 == 0 => format!("{hours} h"),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        (1..=6, _, _) if hours % 24 > 0 => format!("{days} d {} h", hours % 24),
        _ => format!("{days} d"),
    }
}

/// A measured duration: `640 ms`, `3.2 s`, then as [`span`].
pub(crate) fn duration(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => span(i64::try_from(ms).unwrap_or(i64::MAX)),
    }
}

/// A number with separated thousands: `1,204`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A size: `412 bytes`, `3.4 MB`, in decimal units.
pub(crate) fn bytes(n: u64) -> String {
    for (unit, size) in [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)] {
        if n >= size {
            return format!("{}.{} {unit}", n / size, n % size * 10 / size);
        }
    }
    format!("{n} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_at_most_two_units() {
        let (s, min, h, d) = (1000, 60_000, 3_600_000, 86_400_000);
        for (ms, words) in [
            (-5 * s, "0 s"),
            (8 * s + 999, "8 s"),
            (60 * s, "1 min"),
            (12 * min, "12 min"),
            (3 * h, "3 h"),
            (3 * h + 20 * min + 5 * s, "3 h 20 min"),
            (d, "1 d"),
            (2 * d + 5 * h, "2 d 5 h"),
            (30 * d + 5 * h, "30 d"),
        ] {
            assert_eq!(span(ms), words);
        }
        for (ms, words) in [(0, "0 ms"), (640, "640 ms"), (3210, "3.2 s"), (61_000, "1 min")] {
            assert_eq!(duration(ms), words);
        }
    }

    #[test]
    fn numbers_are_written_for_people() {
        for (n, words) in [(0, "0"), (999, "999"), (1204, "1,204"), (1_000_000, "1,000,000")] {
            assert_eq!(count(n), words);
        }
        for (n, words) in
            [(412, "412 bytes"), (1000, "1.0 kB"), (3_450_000, "3.4 MB"), (1_999_999_999, "1.9 GB")]
        {
            assert_eq!(bytes(n), words);
        }
    }
}
