//! The database: whole, of our schema, nothing missing.

use std::io::ErrorKind;

use lamplight_model::ids::Timestamp;
use lamplight_model::view::DoctorCheck;
use rusqlite::Connection;

use super::{counted, fail, ok, warn};
use crate::config::Config;
use crate::store::{self, StoreError, read_only, schema};

const ABOUT: &str = "Database";
/// Faults named in a message; the rest is counted.
const MOST_NAMED: usize = 3;

/// Looks at the database and returns a connection for further looks, where it can be read.
pub(super) fn checks(config: &Config, now: Timestamp, checks: &mut Vec<DoctorCheck>) -> Option<Connection> {
    let path = config.data_dir.join(store::FILE);
    match std::fs::metadata(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            checks.push(ok("database", ABOUT, "There is none yet; it is made at the first start."));
            return None;
        }
        _ => {}
    }
    let db = match read_only(&config.data_dir) {
        Ok(db) => db,
        Err(error) => {
            checks.push(unreadable(&error));
            return None;
        }
    };
    match look(&db, now) {
        Ok(found) => {
            checks.extend(found);
            Some(db)
        }
        Err(error) => {
            checks.push(unreadable(&error));
            None
        }
    }
}

fn look(db: &Connection, now: Timestamp) -> Result<Vec<DoctorCheck>, StoreError> {
    let (found, known) = schema::versions(db)?;
    if found > known {
        return Ok(vec![fail(
            "database",
            ABOUT,
            format!("It has schema {found}; this version knows up to {known}."),
            "Use the newer Lamplight, or move lamplight.db out of the data folder to start anew.",
        )]);
    }
    let mut checks = Vec::new();
    let faults = faults(db)?;
    if let Some(first) = faults.first() {
        let named = faults.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
        let is_index = faults.iter().all(|fault| is_of_index(fault));
        let remedy = if is_index {
            "Quit Lamplight and run lamp doctor --repair, which builds the indexes anew."
        } else {
            "Quit Lamplight and move lamplight.db, with -wal and -shm, out of the data folder: at the next start all \
             transcripts are read again. Names given in Lamplight and what hooks told are lost."
        };
        let n = u64::try_from(faults.len()).unwrap_or(u64::MAX);
        let message = if faults.len() == 1 {
            format!("It is damaged: {first}.")
        } else {
            format!("It is damaged in {}: {named}.", counted(n, "place"))
        };
        checks.push(fail("database", ABOUT, message, remedy));
    }
    let lacks = schema::lacks(db)?;
    if !lacks.is_empty() && found == known {
        let names: Vec<&str> = lacks.iter().map(|part| part.what.as_str()).collect();
        checks.push(fail(
            "database",
            ABOUT,
            format!("Its schema lacks {}.", names.join(", ")),
            "Quit Lamplight and run lamp doctor --repair; a start of Lamplight adds it as well.",
        ));
    }
    if found < known {
        checks.push(ok(
            "database",
            ABOUT,
            format!("It has schema {found}; the next start brings it to {known}."),
        ));
    }
    let ahead = store::rows::meta(db, "seen_until_ms")?
        .and_then(|at| at.parse().ok())
        .filter(|at: &i64| *at > now.plus_ms(60_000).0);
    if let Some(ahead) = ahead {
        checks.push(warn(
            "clock",
            "Clock",
            format!(
                "The clock went back by {} since Lamplight ran last.",
                super::span(ahead.saturating_sub(now.0))
            ),
            "Check the time of this machine; what was told ahead of it is shown as of now.",
        ));
    }
    if checks.is_empty() {
        let sessions: i64 = db.query_row("SELECT count(*) FROM sessions", [], |row| row.get(0))?;
        let n = store::from_sql(sessions);
        checks.push(ok(
            "database",
            ABOUT,
            format!("It is whole, schema {known}, with {}.", counted(n, "session")),
        ));
    }
    Ok(checks)
}

/// What SQLite finds wrong with the file; empty when it is whole.
pub(super) fn faults(db: &Connection) -> Result<Vec<String>, StoreError> {
    let mut check = db.prepare("PRAGMA integrity_check(20)")?;
    let rows = check.query_map([], |row| row.get::<_, String>(0))?;
    let found: Vec<String> = rows.collect::<Result<_, _>>()?;
    Ok(found.into_iter().filter(|line| line != "ok").map(|line| line.replace('\n', " ")).collect())
}

/// Whether a fault is in an index, which can be built anew from its table.
pub(super) fn is_of_index(fault: &str) -> bool {
    fault.contains("index")
}

fn unreadable(error: &StoreError) -> DoctorCheck {
    let mut message = error.to_string();
    if let Some(cause) = std::error::Error::source(error) {
        message = format!("{message}: {cause}");
    }
    fail(
        "database",
        ABOUT,
        format!("It cannot be read: {message}."),
        "Make it readable for you. If it is damaged, move lamplight.db, with -wal and -shm, out of the data folder: all \
         transcripts are read again. Names given in Lamplight and what hooks told are lost.",
    )
}
