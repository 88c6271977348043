//! The folders agents write to: there, readable, with what in them.

use std::io::ErrorKind;
use std::path::Path;

use lamplight_model::ids::{Agent, Timestamp};
use lamplight_model::view::{DoctorCheck, SourceHealth};

use super::{Patient, counted, fail, ok, shown, size, warn};
use crate::config::{Config, Root};
use crate::sources::discover::{self, Found};
use crate::sources::opencode::{self, Trouble};

/// What lies below the roots.
pub(super) struct Seen {
    pub(super) roots: Vec<SeenRoot>,
}

pub(super) struct SeenRoot {
    pub(super) agent: Agent,
    pub(super) files: u64,
    /// The transcript that was written last, subagents' included.
    pub(super) newest: Option<Found>,
    /// Folders to be watched.
    pub(super) folders: u64,
    bytes: u64,
    partial: bool,
    trouble: Option<Trouble>,
}

impl Seen {
    pub(super) fn of(config: &Config) -> Self {
        Self { roots: config.roots.iter().map(SeenRoot::of).collect() }
    }

    /// When a transcript of an agent was written last.
    pub(super) fn newest(&self, agent: Agent) -> Option<&Found> {
        let of_agent = self.roots.iter().filter(|root| root.agent == agent);
        of_agent.filter_map(|root| root.newest.as_ref()).max_by_key(|found| found.modified_at)
    }
}

impl SeenRoot {
    fn of(root: &Root) -> Self {
        let listing = discover::list(root, &|_| None).unwrap_or_default();
        let mut folders: Vec<&Path> = listing.found.iter().filter_map(|found| found.path.parent()).collect();
        folders.sort_unstable();
        folders.dedup();
        Self {
            agent: root.agent,
            files: u64::try_from(listing.found.len()).unwrap_or(u64::MAX),
            bytes: opencode::size(root)
                .unwrap_or_else(|| listing.found.iter().map(|found| found.size_bytes).sum()),
            trouble: listing.trouble,
            folders: u64::try_from(folders.len()).unwrap_or(u64::MAX),
            partial: listing.partial,
            newest: listing.found.into_iter().next(),
        }
    }
}

/// The name of an agent on screen.
pub(super) fn name(agent: Agent) -> &'static str {
    match agent {
        Agent::ClaudeCode => "Claude Code",
        Agent::Codex => "Codex",
        Agent::Gemini => "Gemini CLI",
        Agent::OpenCode => "OpenCode",
        Agent::Otel => "OpenTelemetry",
    }
}

pub(super) fn checks(config: &Config, seen: &Seen, patient: Patient<'_>) -> Vec<DoctorCheck> {
    let mut checks: Vec<DoctorCheck> =
        config.roots.iter().zip(&seen.roots).map(|(root, seen)| look(config, root, seen)).collect();
    checks.extend(issues(patient));
    checks
}

fn look(config: &Config, root: &Root, seen: &SeenRoot) -> DoctorCheck {
    let (id, about, path) = (root.agent.as_str(), name(root.agent), shown(&root.path, config));
    match std::fs::read_dir(&root.path) {
        Err(e) if e.kind() == ErrorKind::NotFound && root.is_default => {
            return ok(id, about, format!("{path} is not there: never started here. It is watched for."));
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let remedy = "Correct the path in the settings file, or make the folder.";
            return warn(id, about, format!("{path}, a root of the settings, is not there."), remedy);
        }
        Err(e) => {
            let remedy = "Make it readable for you; other agents are not affected.";
            return fail(id, about, format!("{path} cannot be read: {e}."), remedy);
        }
        Ok(_) => {}
    }
    if root.agent == Agent::OpenCode {
        return database(path, seen);
    }
    let what = format!("{path}: {} of transcripts in {}", size(seen.bytes), counted(seen.files, "file"));
    if seen.partial {
        let remedy = "Make the folders below it readable for you.";
        return fail(
            id,
            about,
            format!("{what}. A folder below it cannot be read, so that sessions are missing."),
            remedy,
        );
    }
    ok(id, about, format!("{what}."))
}

/// A database in place of transcripts.
fn database(path: String, seen: &SeenRoot) -> DoctorCheck {
    let (id, about) = (seen.agent.as_str(), name(seen.agent));
    match seen.trouble {
        None if seen.bytes == 0 => {
            ok(id, about, format!("{path} holds no {}: nothing was asked of it yet.", opencode::DATABASE))
        }
        None => ok(
            id,
            about,
            format!("{path}: {} in a database of {}.", counted(seen.files, "session"), size(seen.bytes)),
        ),
        // It is a matter of a moment.
        Some(Trouble::Held) => {
            warn(id, about, format!("{path}: {}", Trouble::Held.message()), "Look again in a moment.")
        }
        Some(trouble) => {
            let (what, remedy) = trouble.message().rsplit_once(". ").unwrap_or((trouble.message(), ""));
            fail(id, about, format!("{path}: {what}."), remedy)
        }
    }
}

/// What the running engine could not use, source by source.
fn issues(patient: Patient<'_>) -> Vec<DoctorCheck> {
    let Patient::Running(status) = patient else { return Vec::new() };
    let of_source = |source: &lamplight_model::view::SourceView| {
        // The address is a finding of its own.
        let issue = source.issues.iter().find(|issue| issue.kind != "port_taken")?;
        let others = source.issues.len() - 1;
        let mut message = issue.message.clone();
        if issue.count > 1 {
            message.push_str(&format!(" ({} times)", issue.count));
        }
        if others > 0 {
            message.push_str(&format!(
                " And {}.",
                counted(u64::try_from(others).unwrap_or(u64::MAX), "other kind")
            ));
        }
        let is_failing = source.state == SourceHealth::Degraded;
        Some(if is_failing {
            warn(
                &source.name,
                &source.name,
                message,
                "The list of sources in the app shows each, with its file.",
            )
        } else {
            ok(&source.name, &source.name, message)
        })
    };
    status.sources.iter().filter(|source| source.name != "store").filter_map(of_source).collect()
}

/// When a file was changed last; `None` where it is not there.
pub(super) fn changed_at(path: &Path) -> Option<Timestamp> {
    std::fs::metadata(path).ok().map(|meta| crate::sources::open::modified_at(&meta))
}
