//! Decoding a file in a test, and its facts as lines of text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lamplight_engine::facts::{FileRole, IssueKind};
use lamplight_engine::sources::decode::{Decoded, Decoder};
use lamplight_model::event::{ContextSeen, Event, EventKind, TaskChange, Usage};
use lamplight_model::ids::{Agent, FactId, SessionId, Timestamp};

/// Later than every capture.
pub const READ_AT: Timestamp = Timestamp(1_900_000_000_000);

/// The role of a main transcript.
#[allow(dead_code, reason = "each test file is a program of its own and uses a part of this")]
pub fn role(agent: Agent) -> FileRole {
    let session = SessionId::new("5e551011-0000-4000-8000-000000000000").expect("a session id");
    FileRole { agent, session, subagent: None }
}

/// Decodes lines one after the other.
pub fn decode<'a>(role: &FileRole, lines: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = Decoder::new(role);
    let mut out = Decoded::default();
    for line in lines {
        decoder.line(role, line, READ_AT, &mut out);
    }
    out
}

/// The facts of a text of lines, one per line, and its troubles.
#[allow(dead_code, reason = "each test file is a program of its own and uses a part of this")]
pub fn story(role: &FileRole, text: &str) -> String {
    let decoded = decode(role, text.lines().map(str::as_bytes));
    tell(&decoded.events, &decoded.issues)
}

/// Writes facts as text: time of day, what happened. Keys are numbered in the order in which they appear.
pub fn tell(events: &[Event], issues: &[IssueKind]) -> String {
    let mut keys: BTreeMap<FactId, usize> = BTreeMap::new();
    let mut text = String::new();
    for event in events {
        let ms = event.at.0.rem_euclid(86_400_000);
        let side = if event.sidechain { " (sidechain)" } else { "" };
        let mut number = |key: FactId| {
            let next = keys.len() + 1;
            format!("#{}", keys.entry(key).or_insert(next))
        };
        writeln!(
            text,
            "{:02}:{:02}:{:02}.{:03}{side} {}",
            ms / 3_600_000,
            ms / 60_000 % 60,
            ms / 1000 % 60,
            ms % 1000,
            words(&event.kind, &mut number)
        )
        .expect("writing to a string");
    }
    for issue in issues {
        writeln!(text, "! {issue:?}").expect("writing to a string");
    }
    text
}

fn words(kind: &EventKind, number: &mut impl FnMut(FactId) -> String) -> String {
    match kind {
        EventKind::ContextSeen(seen) => format!("context{}", context(seen)),
        EventKind::PromptSubmitted(p) => {
            let key = p.key.map(number).unwrap_or_else(|| "no key".to_owned());
            format!("prompt {:?} {key} {:?}{}", p.origin, short(&p.text), owner(p.owner.as_ref()))
        }
        EventKind::TurnStarted => "turn started".to_owned(),
        EventKind::ResponseReceived(r) => {
            let who = match &r.owner {
                Some(owner) => format!(" of {} by {:?}", owner.short(), r.owner_rank),
                None => String::new(),
            };
            format!(
                "response {} {} {}{who}",
                number(r.key),
                r.model.as_deref().unwrap_or("no model"),
                usage(r.usage)
            )
        }
        EventKind::AgentSpoke { text } => format!("said {:?}", short(text)),
        EventKind::ToolCalled(c) => {
            let target = c.target.as_deref().map(|t| format!(" {:?}", short(t))).unwrap_or_default();
            let ask = c.ask.as_ref().map(|a| format!(" asks {a:?}")).unwrap_or_default();
            let escalated = if c.escalated { " escalated" } else { "" };
            format!("call {} {}{target}{ask}{escalated}{}", number(c.key), c.name, owner(c.owner.as_ref()))
        }
        EventKind::ToolAnswered(a) => {
            let error = if a.is_error { " error" } else { "" };
            let refused = if a.refused { " refused" } else { "" };
            format!("answer {}{error}{refused}", number(a.key))
        }
        EventKind::TurnEnded => "turn ended".to_owned(),
        EventKind::TurnInterrupted => "turn interrupted".to_owned(),
        EventKind::TurnFailed(f) => {
            let resets = f.resets_at.map(|at| format!(" resets at {}", at.0)).unwrap_or_default();
            let status = f.status.map(|s| format!(" {s}")).unwrap_or_default();
            format!("turn failed {:?}{status} {:?}{resets}", f.class, short(&f.text))
        }
        EventKind::RetryAnnounced { attempt, of } => format!("retry {attempt} of {of}"),
        EventKind::TitleGiven { text, by } => format!("title by {by:?} {text:?}"),
        EventKind::TaskChanged(TaskChange::One { id, done }) => format!("task {id} done {done:?}"),
        EventKind::TaskChanged(TaskChange::All { done, total }) => format!("tasks {done} of {total}"),
        EventKind::BackgroundTask { id, running, what } => {
            format!("background {what:?} {id} {}", if *running { "runs" } else { "over" })
        }
        EventKind::Compacted { post_tokens } => format!("compacted {post_tokens:?}"),
        EventKind::ContextMeasured { used, window } => format!("context filled {used:?} of {window:?}"),
        EventKind::LineageSeen { parent, how } => format!("{how:?} of {}", parent.short()),
        EventKind::ContinuedIn { session } => format!("continued in {}", session.short()),
        EventKind::CostReported { usd } => format!("cost ${usd}"),
    }
}

fn context(seen: &ContextSeen) -> String {
    let mut text = String::new();
    let fields = [
        ("cwd", &seen.cwd),
        ("branch", &seen.branch),
        ("version", &seen.version),
        ("model", &seen.model),
        ("git root", &seen.git_root),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            text.push_str(&format!(" {name} {value:?}"));
        }
    }
    if let Some(entry) = seen.entry {
        text.push_str(&format!(" {entry:?}"));
    }
    if let Some(hidden) = seen.hidden {
        text.push_str(&format!(" hidden {hidden:?}"));
    }
    text
}

fn owner(owner: Option<&SessionId>) -> String {
    owner.map(|owner| format!(" of {}", owner.short())).unwrap_or_default()
}

fn usage(u: Usage) -> String {
    format!(
        "in {} out {} 5m {} 1h {} read {}",
        u.input, u.output, u.cache_write_5m, u.cache_write_1h, u.cache_read
    )
}

fn short(text: &str) -> String {
    if text.chars().count() <= 80 { text.to_owned() } else { text.chars().take(79).chain(['…']).collect() }
}
