//! The small JSON files Claude Code keeps beside its transcripts.

use lamplight_model::ids::Timestamp;
use lamplight_model::session::{EntryKind, RegistryEntry, RegistryStatus};

use super::entry_kind;
use super::wire::{Meta, Registry};
use crate::sources::decode::lenient::Count;

/// What `sessions/<pid>.json` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryFile {
    /// Process it speaks of.
    pub pid: u32,
    /// When that process started, by the kernel's count; a number of clock ticks written as text.
    pub proc_start: Option<String>,
    /// Boot or machine and pid namespace in which `pid` means something.
    pub pid_domain: Option<String>,
    /// Session it runs, as written.
    pub session_id: String,
    /// The rest.
    pub entry: RegistryEntry,
    /// When the status changed: `statusUpdatedAt`, else `updatedAt`.
    pub status_at: Option<Timestamp>,
    /// When the file was written last.
    pub updated_at: Option<Timestamp>,
}

/// Why a registry file says nothing: half written, or another file.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No JSON; the client rewrites the file in place, so a reader can meet a part of it.
    #[error("not JSON")]
    Json(#[from] serde_json::Error),
    /// It names no process or no session.
    #[error("no pid or no session id")]
    NoIds,
}

/// Reads `sessions/<pid>.json`.
///
/// # Errors
/// [`RegistryError`] when it is half written or names no process; the caller keeps what it said before.
pub fn registry(bytes: &[u8]) -> Result<RegistryFile, RegistryError> {
    let file: Registry<'_> = serde_json::from_slice(bytes)?;
    let pid = file.pid.0.and_then(|pid| u32::try_from(pid).ok()).ok_or(RegistryError::NoIds)?;
    let session_id = file.session.into_string().filter(|id| !id.is_empty()).ok_or(RegistryError::NoIds)?;
    let status = file.status.get().map(|status| match status {
        "idle" => RegistryStatus::Idle,
        "busy" => RegistryStatus::Busy,
        "shell" => RegistryStatus::Shell,
        "waiting" => RegistryStatus::Waiting(file.waiting_for.get().unwrap_or_default().to_owned()),
        other => RegistryStatus::Other(other.to_owned()),
    });
    let updated_at = instant(file.updated_at);
    Ok(RegistryFile {
        pid,
        proc_start: file.proc_start.into_string(),
        pid_domain: file.pid_domain.into_string(),
        session_id,
        entry: RegistryEntry {
            cwd: file.cwd.into_string(),
            kind: entry_kind(file.entrypoint.get(), file.kind.get()).unwrap_or(EntryKind::Interactive),
            named_by_user: file.name_source.is("user"),
            name: file.name.into_string(),
            status,
            version: file.version.into_string(),
            spare: file.spare.0,
            started_at: instant(file.started_at),
        },
        status_at: instant(file.status_updated_at).or(updated_at),
        updated_at,
    })
}

fn instant(ms: Count) -> Option<Timestamp> {
    ms.0.and_then(|ms| i64::try_from(ms).ok()).map(Timestamp)
}

/// What `agent-<id>.meta.json` says of a subagent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubagentMeta {
    /// Its type.
    pub kind: Option<String>,
    /// Its task, in a few words.
    pub description: Option<String>,
    /// Written at its end.
    pub finished: bool,
}

/// Reads a subagent's meta file; `None` when it is half written.
#[must_use]
pub fn subagent_meta(bytes: &[u8]) -> Option<SubagentMeta> {
    // A half-written file is written again at once; there is nothing to say about it.
    let meta: Meta<'_> = serde_json::from_slice(bytes).ok()?;
    Some(SubagentMeta {
        kind: meta.kind.into_string(),
        description: meta.description.into_string(),
        finished: meta.finished.0,
    })
}
