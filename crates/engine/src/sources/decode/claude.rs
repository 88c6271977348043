//! Claude Code: its transcripts, and the small files beside them.

mod call;
mod failure;
mod hook;
mod person;
mod registry;
mod response;
mod wire;

use std::io::BufRead;

use lamplight_model::event::{ContextSeen, EventKind, Lineage, OwnerRank, TitleGiver};
use lamplight_model::ids::{SessionId, Timestamp};
use lamplight_model::session::EntryKind;
use serde::{Deserialize, Serialize};

pub(super) use hook::hook;
pub use registry::{RegistryError, RegistryFile, SubagentMeta, registry, subagent_meta};

use super::lenient::Text;
use super::{BadLine, Decoded, moment, scan};
use crate::facts::{FileRole, IssueKind};
use wire::Record;

/// What is remembered between the lines of a transcript.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Carry {
    last_at: Option<Timestamp>,
    cwd: Option<String>,
    branch: Option<String>,
    version: Option<String>,
    entry: Option<EntryKind>,
    user_title: Option<String>,
    agent_title: Option<String>,
    git_root: Option<String>,
    cost: Option<f64>,
    has_parent: bool,
    prompted_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    early: Vec<Early>,
}

/// A fact whose record has no time and stands before every record that has one. It waits for that one: the moment of
/// reading would make a session of last year one of today.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Early {
    UserTitle(String),
    AgentTitle(String),
    Cost(f64),
    Cwd(String),
    GitRoot(String),
}

/// Facts that may wait; beyond it the oldest goes. Titles repeat in bursts, so a few are ordinary.
const MAX_EARLY: usize = 16;

impl From<Early> for EventKind {
    fn from(early: Early) -> Self {
        match early {
            Early::UserTitle(text) => Self::TitleGiven { text, by: TitleGiver::User },
            Early::AgentTitle(text) => Self::TitleGiven { text, by: TitleGiver::Agent },
            Early::Cost(usd) => Self::CostReported { usd },
            Early::Cwd(cwd) => {
                Self::ContextSeen(ContextSeen { cwd: Some(cwd), relocated: true, ..ContextSeen::default() })
            }
            Early::GitRoot(root) => {
                Self::ContextSeen(ContextSeen { git_root: Some(root), ..ContextSeen::default() })
            }
        }
    }
}

/// Decodes a line held in memory.
pub(super) fn line(
    carry: &mut Carry,
    role: &FileRole,
    text: &str,
    read_at: Timestamp,
    out: &mut Decoded,
) -> Result<(), BadLine> {
    if let Some(kind) = scan::string_at(text, &["type"]) {
        let subtype = || scan::string_at(text, &["subtype"]);
        let attachment = || scan::string_at(text, &["attachment", "type"]);
        if !has_fact(role, kind, subtype, attachment) {
            return Ok(());
        }
    }
    let record: Record<'_> = serde_json::from_str(text)?;
    Line { carry, role, read_at, out }.record(record);
    Ok(())
}

/// Decodes a line that is read in a stream.
pub(super) fn long_line(
    carry: &mut Carry,
    role: &FileRole,
    reader: impl BufRead,
    read_at: Timestamp,
    out: &mut Decoded,
) -> Result<(), BadLine> {
    let record: Record<'static> = super::from_stream(reader)?;
    Line { carry, role, read_at, out }.record(record);
    Ok(())
}

/// Whether a record of this type can hold a fact. A type that could not be read cheaply may hold one.
fn has_fact<'a>(
    role: &FileRole,
    kind: &str,
    subtype: impl FnOnce() -> Option<&'a str>,
    attachment: impl FnOnce() -> Option<&'a str>,
) -> bool {
    match kind {
        "system" => subtype().is_none_or(|s| matches!(s, "turn_duration" | "api_error" | "compact_boundary")),
        "attachment" => attachment().is_none_or(|kind| kind == "queued_command"),
        "api-request" => role.subagent.is_none(),
        "user" | "assistant" | "custom-title" | "agent-name" | "ai-title" | "summary" | "cost-state"
        | "relocated" | "continued-in" | "worktree-state" => true,
        _ => false,
    }
}

/// Returns how a session is driven, by the words of a record or of a registry file.
fn entry_kind(entrypoint: Option<&str>, session_kind: Option<&str>) -> Option<EntryKind> {
    if session_kind == Some("bg") {
        return Some(EntryKind::Background);
    }
    Some(match entrypoint? {
        "cli" => EntryKind::Interactive,
        "sdk-cli" => EntryKind::Print,
        _ => EntryKind::Sdk,
    })
}

/// One line on its way to facts.
struct Line<'a> {
    carry: &'a mut Carry,
    role: &'a FileRole,
    read_at: Timestamp,
    out: &'a mut Decoded,
}

/// When a record happened, and whether it belongs to a subagent inside a main file.
#[derive(Clone, Copy)]
struct Stamp {
    at: Timestamp,
    sidechain: bool,
    /// The record speaks of the main thread of its session.
    main: bool,
}

impl Line<'_> {
    fn record(&mut self, record: Record<'_>) {
        let kind = record.kind.get().unwrap_or_default();
        // A record that was read although it holds no fact must leave no trace: where it stands in the file would
        // otherwise depend on how it was read.
        if !has_fact(
            self.role,
            kind,
            || record.subtype.get().or(Some("")),
            || record.attachment.kind.get().or(Some("")),
        ) {
            return;
        }
        let at = moment(record.timestamp.get(), &mut self.carry.last_at, self.read_at, self.out);
        self.release_early(at);
        let sidechain = record.is_sidechain.0 && self.role.subagent.is_none();
        let stamp = Stamp { at, sidechain, main: !sidechain && self.role.subagent.is_none() };
        match kind {
            "user" => {
                self.circumstances(&record, stamp);
                self.user(record, stamp);
            }
            "assistant" => {
                self.circumstances(&record, stamp);
                self.assistant(record, stamp);
            }
            "system" => {
                self.circumstances(&record, stamp);
                self.system(&record, stamp);
            }
            "attachment" => {
                self.circumstances(&record, stamp);
                self.attachment(record, stamp);
            }
            "api-request" => self.request(&record, stamp),
            "custom-title" => {
                if let Some(text) = record.custom_title.into_string() {
                    self.title(text, TitleGiver::User);
                }
            }
            "ai-title" => {
                if let Some(text) = record.ai_title.into_string() {
                    self.title(text, TitleGiver::Agent);
                }
            }
            "agent-name" => {
                if let Some(text) = record.agent_name.into_string() {
                    self.agent_name(text);
                }
            }
            "summary" => {
                if let Some(text) = record.summary.into_string() {
                    self.title(text, TitleGiver::Agent);
                }
            }
            "cost-state" => {
                if let Some(usd) = record.cost.0
                    && self.carry.cost != Some(usd)
                {
                    self.carry.cost = Some(usd);
                    self.undated(Early::Cost(usd));
                }
            }
            "relocated" => {
                if let Some(cwd) = changed(&mut self.carry.cwd, &record.relocated) {
                    self.undated(Early::Cwd(cwd));
                }
            }
            "worktree-state" => {
                if let Some(root) = record.worktree.original.into_string()
                    && self.carry.git_root.as_deref() != Some(root.as_str())
                {
                    self.carry.git_root = Some(root.clone());
                    self.undated(Early::GitRoot(root));
                }
            }
            "continued-in" => {
                if let Some(session) = self.session_id(&record.continued_in) {
                    self.push(stamp, EventKind::ContinuedIn { session });
                }
            }
            _ => {}
        }
    }

    fn push(&mut self, stamp: Stamp, kind: EventKind) {
        self.out.push(stamp.at, stamp.sidechain, kind);
    }

    // ---- records without a time

    fn undated(&mut self, fact: Early) {
        match self.carry.last_at {
            Some(at) => self.out.push(at, false, fact.into()),
            None => {
                if self.carry.early.len() >= MAX_EARLY {
                    self.carry.early.remove(0);
                }
                self.carry.early.push(fact);
            }
        }
    }

    fn release_early(&mut self, at: Timestamp) {
        if self.carry.last_at.is_some() {
            for early in std::mem::take(&mut self.carry.early) {
                self.out.push(at, false, early.into());
            }
        }
    }

    fn title(&mut self, text: String, by: TitleGiver) {
        let known = match by {
            TitleGiver::User => &mut self.carry.user_title,
            TitleGiver::Agent => &mut self.carry.agent_title,
        };
        if known.as_ref() == Some(&text) {
            return;
        }
        *known = Some(text.clone());
        self.undated(match by {
            TitleGiver::User => Early::UserTitle(text),
            TitleGiver::Agent => Early::AgentTitle(text),
        });
    }

    /// The name other sessions know this one by: a copy of the person's title where there is one, made by a model else.
    fn agent_name(&mut self, text: String) {
        if self.carry.user_title.as_ref() != Some(&text) {
            self.title(text, TitleGiver::Agent);
        }
    }

    // ---- circumstances and lineage

    fn circumstances(&mut self, record: &Record<'_>, stamp: Stamp) {
        if self.role.subagent.is_some() {
            return;
        }
        let mut seen = ContextSeen {
            cwd: changed(&mut self.carry.cwd, &record.cwd),
            branch: changed(&mut self.carry.branch, &record.branch),
            version: changed(&mut self.carry.version, &record.version),
            ..ContextSeen::default()
        };
        let entry = entry_kind(record.entrypoint.get(), record.session_kind.get());
        if entry.is_some() && entry != self.carry.entry {
            self.carry.entry = entry;
            seen.entry = entry;
        }
        if seen != ContextSeen::default() {
            self.push(stamp, EventKind::ContextSeen(seen));
        }
        if !self.carry.has_parent {
            let branch = self.session_id(&record.forked_from.session);
            let fork = self.session_id(&record.request_session);
            let parent = branch.map(|id| (id, Lineage::Branch)).or(fork.map(|id| (id, Lineage::Fork)));
            if let Some((parent, how)) = parent.filter(|(parent, _)| *parent != self.role.session) {
                self.carry.has_parent = true;
                self.push(stamp, EventKind::LineageSeen { parent, how });
            }
        }
    }

    /// Returns the session a copied record names as its origin, and how strongly.
    fn owner(&mut self, record: &Record<'_>) -> (Option<SessionId>, OwnerRank) {
        if let Some(id) = self.session_id(&record.request_session) {
            return (Some(id), OwnerRank::Request);
        }
        match self.session_id(&record.forked_from.session) {
            Some(id) => (Some(id), OwnerRank::ForkedFrom),
            None => (None, OwnerRank::Own),
        }
    }

    fn session_id(&mut self, text: &Text<'_>) -> Option<SessionId> {
        let text = text.get()?;
        let id = SessionId::new(text).ok();
        if id.is_none() {
            self.out.issues.push(IssueKind::BadId);
        }
        id
    }

    // ---- requests and system records

    /// The client sent a request: the earliest sign of work. A burst may hold it behind the response it led to.
    fn request(&mut self, record: &Record<'_>, stamp: Stamp) {
        let of_main_thread = record
            .query_source
            .get()
            .is_none_or(|source| source.starts_with("repl_main_thread") || source == "sdk");
        let answered = self.carry.ended_at.is_some_and(|ended| stamp.at <= ended);
        if stamp.main && record.agent.get().is_none() && of_main_thread && !answered {
            self.push(stamp, EventKind::TurnStarted);
        }
    }

    fn system(&mut self, record: &Record<'_>, stamp: Stamp) {
        match record.subtype.get().unwrap_or_default() {
            // Of a turn that ended before the latest prompt: a burst may hold it behind that prompt.
            "turn_duration" if self.carry.prompted_at.is_some_and(|prompted| stamp.at < prompted) => {}
            "turn_duration" if !stamp.sidechain => self.ended(stamp, EventKind::TurnEnded),
            "api_error" => {
                let number = |count: super::lenient::Count| {
                    count.0.map(|n| u32::try_from(n).unwrap_or(u32::MAX)).unwrap_or_default()
                };
                let (attempt, of) = (number(record.retry), number(record.retries));
                self.push(stamp, EventKind::RetryAnnounced { attempt, of });
            }
            "compact_boundary" => {
                let post_tokens = record.compaction.post_tokens.0;
                self.push(stamp, EventKind::Compacted { post_tokens });
            }
            _ => {}
        }
    }

    fn ended(&mut self, stamp: Stamp, kind: EventKind) {
        if stamp.main {
            self.carry.ended_at = Some(stamp.at);
        }
        self.push(stamp, kind);
    }
}

/// Returns a value that differs from the known one, and remembers it.
fn changed(known: &mut Option<String>, seen: &Text<'_>) -> Option<String> {
    let seen = seen.get()?;
    if known.as_deref() == Some(seen) {
        return None;
    }
    *known = Some(seen.to_owned());
    known.clone()
}
