//! Claude Code's registry of live processes: `sessions/<pid>.json`, read and checked against the process table.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use lamplight_model::ids::{Agent, SessionId, Timestamp};
use lamplight_model::session::Validity;

use super::decode;
use super::open::{OpenError, open_regular};
use super::processes::{Liveness, StartTicks, look_up, own_pid_namespace};
use crate::facts::{Issue, IssueKind, RegistryUpdate};

/// Largest registry file read; the real ones have about 600 bytes.
const MAX_BYTES: u64 = 256 * 1024;

/// Milliseconds a file's time of change may lie in the future before it is counted: clocks of one machine tick alike,
/// but a mounted home may come from another.
const FUTURE_TOLERANCE_MS: i64 = 2_000;

/// What reading a registry file gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// It was read and checked.
    Update {
        /// What it says.
        update: RegistryUpdate,
        /// A trouble with its content that does not keep it from being used.
        issue: Option<IssueKind>,
    },
    /// It could not be parsed: the client rewrites it in place. What it said before holds.
    HalfWritten,
    /// It is gone.
    Gone,
    /// It is not a registry file one could use.
    Refused(IssueKind),
}

/// The pid in a registry file's name; `None` for every other file, keys above all.
#[must_use]
pub fn pid_of(name: &OsStr) -> Option<u32> {
    let digits = name.to_str()?.strip_suffix(".json")?;
    (digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0')).then(|| digits.parse().ok())?
}

/// Lists the registry files of a folder; `None` when there is none.
#[must_use]
pub fn list(folder: &Path) -> Option<Vec<(u32, PathBuf)>> {
    let entries = fs::read_dir(folder).ok()?;
    let mut files: Vec<_> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| Some((pid_of(&entry.file_name())?, entry.path())))
        .collect();
    files.sort_unstable();
    Some(files)
}

/// Reads and checks one registry file.
#[must_use]
pub fn read(path: &Path, pid: u32, read_at: Timestamp) -> Reading {
    let bytes = match read_bytes(path) {
        Ok(bytes) => bytes,
        Err(OpenError::Gone) => return Reading::Gone,
        Err(OpenError::NotAFile) => return Reading::Refused(IssueKind::NotAFile),
        Err(OpenError::Link) => return Reading::Refused(IssueKind::OutsideRoot),
        Err(OpenError::Io(_)) => return Reading::Refused(IssueKind::Unreadable),
    };
    let Ok(file) = decode::claude::registry(&bytes) else { return Reading::HalfWritten };
    let Ok(session) = SessionId::new(&file.session_id) else { return Reading::Refused(IssueKind::BadId) };
    if file.pid != pid {
        return Reading::Refused(IssueKind::BadId);
    }
    let said_at = file.status_at.unwrap_or(read_at);
    let validity = validate(pid, file.proc_start.as_deref(), file.pid_domain.as_deref());
    let update = RegistryUpdate {
        agent: Agent::ClaudeCode,
        pid,
        session,
        entry: file.entry,
        validity,
        status_at: said_at.min(read_at),
        read_at,
    };
    let ahead = said_at > read_at.plus_ms(FUTURE_TOLERANCE_MS);
    Reading::Update { update, issue: ahead.then_some(IssueKind::FutureTime) }
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, OpenError> {
    let (file, _) = open_regular(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(OpenError::Io)?;
    Ok(bytes)
}

/// Says whether the process a registry file speaks of is the one that has its pid here.
#[must_use]
pub fn validate(pid: u32, proc_start: Option<&str>, pid_domain: Option<&str>) -> Validity {
    // `linux:<machine hash>:pid:[<inode>]`. How the hash is made is not known, so only the namespace is compared.
    let written_in = pid_domain.and_then(|domain| domain.rfind("pid:[").and_then(|at| domain.get(at..)));
    if let (Some(theirs), Some(ours)) = (written_in, own_pid_namespace())
        && theirs != ours
    {
        return Validity::Foreign;
    }
    match look_up(pid) {
        Liveness::Gone => Validity::Dead,
        Liveness::Unknown => Validity::Foreign,
        Liveness::Alive(start) => match (start, proc_start.map(|t| t.trim().parse().map(StartTicks))) {
            // Another process has the pid now; a start that is no number cannot be this process's.
            (Some(start), Some(written)) if written != Ok(start) => Validity::Dead,
            _ => Validity::Valid,
        },
    }
}

/// Builds an issue about a registry file.
#[must_use]
pub fn issue(kind: IssueKind, path: &Path) -> Issue {
    Issue { kind, path: Some(path.to_owned()), at: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_digits_are_registry_files() {
        for (name, pid) in [
            ("30.json", Some(30)),
            ("4194304.json", Some(4_194_304)),
            ("30.0123abcd.key", None),
            ("30.key", None),
            ("x30.json", None),
            ("030.json", None),
            ("-1.json", None),
            (".json", None),
            ("30.json.tmp", None),
            ("99999999999.json", None),
        ] {
            assert_eq!(pid_of(OsStr::new(name)), pid, "{name}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_is_itself_only_with_its_start_and_in_its_namespace() {
        let own = std::process::id();
        let Liveness::Alive(Some(StartTicks(start))) = look_up(own) else {
            panic!("no stat of this process")
        };
        let here = format!("linux:0f0f:{}", own_pid_namespace().unwrap());
        let (right, wrong) = (start.to_string(), (start + 1).to_string());
        for (pid, proc_start, domain, validity) in [
            (own, Some(right.as_str()), Some(here.as_str()), Validity::Valid),
            (own, Some(right.as_str()), None, Validity::Valid),
            (own, None, None, Validity::Valid),
            (own, Some(wrong.as_str()), Some(here.as_str()), Validity::Dead),
            (own, Some("yesterday"), Some(here.as_str()), Validity::Dead),
            (own, Some(right.as_str()), Some("linux:0f0f:pid:[1]"), Validity::Foreign),
            (4_194_305, Some(right.as_str()), Some(here.as_str()), Validity::Dead),
        ] {
            assert_eq!(validate(pid, proc_start, domain), validity, "{pid} {proc_start:?} {domain:?}");
        }
    }
}
