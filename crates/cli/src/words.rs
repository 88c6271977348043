//! What a card says, in the words the window uses too.

use lamplight_model::session::{TurnState, WaitKind};
use lamplight_model::view::{CostSource, Doing, SessionCard, TokenTotals, WaitingFor};

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
        Some("Edit" | "MultiEdit" | "Write" | "NotebookEdit" | "apply_patch" | "edit" | "write") => "Editing",
        Some("Read" | "NotebookRead" | "view_image" | "read") => "Reading",
        Some("Grep" | "Glob" | "LS" | "WebSearch" | "web_search" | "grep" | "glob" | "websearch") => {
            "Searching"
        }
        Some("WebFetch" | "webfetch") => "Fetching",
        Some("Agent" | "Task" | "spawn_agent" | "task") => "Delegating",
        Some("Bash" | "shell" | "exec_command" | "local_shell" | "bash") => "Running",
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

/// `1 file`, `1,204 files`.
pub(crate) fn counted(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{} {one}s", count(n)) }
}

/// A large number in three figures: `640`, `640k`, `8.4M`, `1.2B`.
pub(crate) fn short(n: u64) -> String {
    for (unit, size) in [("B", 1_000_000_000), ("M", 1_000_000)] {
        // From where the smaller unit would be rounded up to a thousand of its own.
        if n >= size - size / 2000 {
            let tenths = n.saturating_add(size / 20) / (size / 10);
            return match (tenths / 10, tenths % 10) {
                (whole, 0) => format!("{whole}{unit}"),
                (whole, _) if whole >= 100 => format!("{whole}{unit}"),
                (whole, tenth) => format!("{whole}.{tenth}{unit}"),
            };
        }
    }
    if n < 1000 { n.to_string() } else { format!("{}k", (n + 500) / 1000) }
}

/// All tokens, cached ones included.
pub(crate) fn all_tokens(tokens: &TokenTotals) -> u64 {
    [tokens.input, tokens.output, tokens.cache_write_5m, tokens.cache_write_1h, tokens.cache_read]
        .into_iter()
        .fold(0, u64::saturating_add)
}

/// Money: `$0.41`, `$1,204.00`, below a cent `<$0.01`; what is not known is said to be so, never zero.
pub(crate) fn money(usd: Option<f64>) -> String {
    let Some(usd) = usd.filter(|usd| usd.is_finite() && *usd >= 0.0) else { return "not known".to_owned() };
    if usd > 0.0 && usd < 0.01 {
        return "<$0.01".to_owned();
    }
    let text = format!("{usd:.2}");
    let (dollars, cents) = text.split_once('.').unwrap_or((&text, "00"));
    match dollars.parse() {
        Ok(whole) => format!("${}.{cents}", count(whole)),
        // More than a u64 holds.
        Err(_) => format!("${text}"),
    }
}

/// Money with where it comes from: `$1.75 list price`.
pub(crate) fn cost(usd: Option<f64>, source: Option<CostSource>) -> String {
    let words = match (usd, source) {
        (None, _) | (_, None) => "",
        (_, Some(CostSource::Reported)) => " reported",
        (_, Some(CostSource::Table)) => " list price",
        (_, Some(CostSource::Mixed)) => " partly reported, partly list price",
    };
    match usd {
        None => "cost not known".to_owned(),
        usd => format!("{}{words}", money(usd)),
    }
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

    #[test]
    fn large_numbers_and_money_are_written_as_the_window_does() {
        for (n, words) in [
            (640, "640"),
            (999, "999"),
            (1_000, "1k"),
            (640_400, "640k"),
            (999_499, "999k"),
            (999_500, "1M"),
            (8_400_000, "8.4M"),
            (8_449_000, "8.4M"),
            (99_940_000, "99.9M"),
            (640_000_000, "640M"),
            (999_500_000, "1B"),
            (1_234_000_000, "1.2B"),
            (u64::MAX, "18446744073B"),
        ] {
            assert_eq!(short(n), words, "{n}");
        }
        for (usd, words) in [
            (None, "not known"),
            (Some(f64::NAN), "not known"),
            (Some(0.0), "$0.00"),
            (Some(0.004), "<$0.01"),
            (Some(0.41), "$0.41"),
            (Some(1_204.0), "$1,204.00"),
            (Some(1e30), "$1000000000000000019884624838656.00"),
        ] {
            assert_eq!(money(usd), words);
        }
        assert_eq!(cost(Some(1.0), Some(CostSource::Table)), "$1.00 list price");
        assert_eq!(cost(None, None), "cost not known");
        assert_eq!((counted(1, "run"), counted(1204, "run")), ("1 run".to_owned(), "1,204 runs".to_owned()));
    }
}
