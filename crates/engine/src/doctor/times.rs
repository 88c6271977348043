//! Whether what is written is read, and whether the clocks agree.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use lamplight_model::ids::{Agent, Timestamp};
use lamplight_model::view::{DoctorCheck, Status};
use rusqlite::Connection;

use super::roots::{Seen, name};
use super::{Patient, ok, span, warn};
use crate::reports::transcripts;
use crate::sources::discover::Found;
use crate::sources::open::open_regular;
use crate::store::{StoreError, files};

/// A change this young may just be being read.
const FRESH_MS: i64 = 30_000;
/// Clocks this far apart are not one clock: a record is written within a second of its time.
const SKEW_MS: i64 = 60_000;
/// End of a transcript that is looked at for its latest time.
const TAIL_BYTES: u64 = 256 * 1024;

pub(super) fn checks(
    seen: &Seen,
    patient: Patient<'_>,
    database: Option<&Connection>,
    now: Timestamp,
) -> Vec<DoctorCheck> {
    let mut checks = Vec::new();
    for agent in Agent::ALL {
        let Some(newest) = seen.newest(agent) else { continue };
        if let (Patient::Running(status), Some(db)) = (patient, database) {
            // A store that fails is a finding of its own.
            checks.extend(reading(agent, newest, status, db, now).unwrap_or_default());
        }
        checks.extend(skew(agent, newest, now));
    }
    let can_tell = Agent::ALL.iter().any(|agent| seen.newest(*agent).is_some());
    if can_tell && checks.iter().all(|check| check.id != "clock") {
        checks.push(ok("clock", "Clock", "The times that agents write agree with this machine's."));
    }
    checks
}

/// The file written last has been read to its end.
fn reading(
    agent: Agent,
    newest: &Found,
    status: &Status,
    db: &Connection,
    now: Timestamp,
) -> Result<Option<DoctorCheck>, StoreError> {
    if status.importing.is_some() || now.since(newest.modified_at) < FRESH_MS {
        return Ok(None);
    }
    let read = files::find(db, newest.file)?.map_or(0, |known| known.offset);
    let (id, about) = ("freshness", format!("{} reading", name(agent)));
    let ago = span(now.since(newest.modified_at));
    // A last line without its end is read once it is whole.
    let behind = newest.size_bytes.saturating_sub(read);
    let is_whole = match agent {
        // A revision, not a length.
        Agent::OpenCode => read == newest.size_bytes,
        _ => behind == 0 || !has_line_end(newest, read),
    };
    let facts = status.sources.iter().find(|source| source.name == transcripts(agent));
    let issue = facts.and_then(|source| source.issues.first()).map(|issue| format!(" {}", issue.message));
    Ok(Some(if is_whole {
        ok(id, &about, format!("Up to date: written last {ago} ago, read to the end."))
    } else {
        warn(
            id,
            &about,
            format!("A transcript written {ago} ago is not read to its end.{}", issue.unwrap_or_default()),
            "Run lamp import; if it stays so, start Lamplight again and look at its log.",
        )
    }))
}

fn has_line_end(found: &Found, from: u64) -> bool {
    tail(found, from.max(found.size_bytes.saturating_sub(TAIL_BYTES)))
        .is_some_and(|bytes| bytes.contains(&b'\n'))
}

fn tail(found: &Found, from: u64) -> Option<Vec<u8>> {
    let (mut file, _): (File, _) = open_regular(&found.path).ok()?;
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The agent's clock against that of the disk and of this machine: a record dated after its file was written, or a file
/// written after now. A clock that runs behind cannot be told from a quiet minute.
fn skew(agent: Agent, newest: &Found, now: Timestamp) -> Option<DoctorCheck> {
    let remedy = "Set the clocks of this machine, its containers and its mounted disks; until then ages and order of \
                  such sessions are by the moment of reading.";
    let ahead = |ms: i64, what: &str| {
        Some(warn(
            "clock",
            "Clock",
            format!("{what} of {} is dated {} ahead.", name(agent), span(ms)),
            remedy,
        ))
    };
    let by_disk = newest.modified_at.since(now);
    if by_disk > SKEW_MS {
        return ahead(by_disk, "The newest transcript file");
    }
    let record = latest_time(&tail(newest, newest.size_bytes.saturating_sub(TAIL_BYTES))?)?;
    let by_agent = record.since(newest.modified_at);
    if by_agent > SKEW_MS { ahead(by_agent, "The newest record") } else { None }
}

/// The latest time among the records of the end of a transcript.
fn latest_time(bytes: &[u8]) -> Option<Timestamp> {
    #[derive(serde::Deserialize)]
    struct Dated<'a> {
        #[serde(borrow)]
        timestamp: Option<std::borrow::Cow<'a, str>>,
    }
    let dated = |line: &[u8]| -> Option<Timestamp> {
        Timestamp::from_rfc3339(&serde_json::from_slice::<Dated<'_>>(line).ok()?.timestamp?)
    };
    bytes.split(|b| *b == b'\n').filter_map(dated).max()
}
