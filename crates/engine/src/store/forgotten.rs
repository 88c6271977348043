//! Sessions that were forgotten, and how everything of a session leaves the database.
//!
//! Which rows go is named by a JSON array of their ids, so that each statement is one text whatever their number.

use std::path::{Path, PathBuf};

use lamplight_model::event::{Event, EventKind};
use lamplight_model::ids::{Agent, FactId, SessionId, SessionKey, Timestamp};
use rusqlite::{Connection, OptionalExtension};

use super::otlp::StoredRequest;
use super::{StoreError, otlp, rows, spans};
use crate::forget::Unfinished;

/// What is left to do after sessions were forgotten, among the engine's notes.
const UNFINISHED: &str = "forgetting";

/// Statements that take everything of the sessions in `?1` out, the rows that others lean on last.
const ERASE: &[&str] = &[
    // A request whose response another session owns is that one's.
    "UPDATE reported_requests SET session = (SELECT c.session FROM llm_calls c WHERE c.key = reported_requests.call)
     WHERE session IN (SELECT value FROM json_each(?1))
       AND call IN (SELECT key FROM llm_calls WHERE session NOT IN (SELECT value FROM json_each(?1)))",
    "DELETE FROM reported_requests WHERE session IN (SELECT value FROM json_each(?1))",
    "DELETE FROM call_requests
     WHERE call IN (SELECT key FROM llm_calls WHERE session IN (SELECT value FROM json_each(?1)))",
    "DELETE FROM llm_calls WHERE session IN (SELECT value FROM json_each(?1))",
    "DELETE FROM tool_calls WHERE session IN (SELECT value FROM json_each(?1))",
    "DELETE FROM prompts WHERE session IN (SELECT value FROM json_each(?1))",
    "DELETE FROM told_calls WHERE session IN (SELECT value FROM json_each(?1))",
    "DELETE FROM session_text WHERE session IN (SELECT value FROM json_each(?1))",
    "DELETE FROM files WHERE session IN (SELECT value FROM json_each(?1))",
    "DELETE FROM notices WHERE session IN (SELECT value FROM json_each(?1))",
    "DELETE FROM causes WHERE session IN (SELECT value FROM json_each(?1))",
    "DELETE FROM live_facts WHERE session IN (SELECT value FROM json_each(?1))",
    "DELETE FROM stories WHERE session IN (SELECT value FROM json_each(?1))",
    "DELETE FROM service_sessions WHERE session IN (SELECT value FROM json_each(?1))",
    "DELETE FROM labels WHERE EXISTS (
         SELECT 1 FROM sessions s, json_each(?1) g
         WHERE s.id = g.value AND s.agent = labels.agent AND s.session_id = labels.session_id)",
    "DELETE FROM muted WHERE EXISTS (
         SELECT 1 FROM sessions s, json_each(?1) g
         WHERE s.id = g.value AND s.agent = muted.agent AND s.session_id = muted.session_id)",
    "DELETE FROM sessions WHERE id IN (SELECT value FROM json_each(?1))",
];

/// Every session that was forgotten.
pub(crate) fn all(db: &Connection) -> Result<Vec<SessionKey>, StoreError> {
    let mut select = db.prepare("SELECT agent, session_id FROM forgotten")?;
    let rows = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut keys = Vec::new();
    for row in rows {
        let (agent, id) = row?;
        // What a newer version knows and this one does not, this one cannot meet either.
        let (Some(agent), Ok(id)) = (Agent::from_word(&agent), SessionId::new(&id)) else { continue };
        keys.push(SessionKey { agent, id });
    }
    Ok(keys)
}

/// Remembers that a session is to stay forgotten.
pub(crate) fn remember(db: &Connection, key: &SessionKey, now: Timestamp) -> Result<(), StoreError> {
    db.prepare_cached("INSERT OR IGNORE INTO forgotten (agent, session_id, at_ms) VALUES (?1, ?2, ?3)")?
        .execute((key.agent.as_str(), key.id.as_str(), now.0))?;
    Ok(())
}

/// Takes everything of these sessions out, but for what other sessions own.
pub(crate) fn erase(db: &Connection, ids: &[i64]) -> Result<(), StoreError> {
    let going = serde_json::to_string(ids)?;
    spans::erase::sessions(db, &going)?;
    for sql in ERASE {
        db.execute(sql, [&going])?;
    }
    Ok(())
}

/// Times of the first and last record that these sessions own of what is counted once; `None` when they own nothing.
pub(crate) fn window(db: &Connection, ids: &[i64]) -> Result<Option<(Timestamp, Timestamp)>, StoreError> {
    let mut select = db.prepare(
        "SELECT min(at), max(at) FROM (
             SELECT rank_at_ms AS at FROM llm_calls WHERE session IN (SELECT value FROM json_each(?1))
             UNION ALL SELECT rank_at_ms FROM tool_calls WHERE session IN (SELECT value FROM json_each(?1))
             UNION ALL SELECT rank_at_ms FROM prompts WHERE session IN (SELECT value FROM json_each(?1)))",
    )?;
    let times: (Option<i64>, Option<i64>) =
        select.query_row([serde_json::to_string(ids)?], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(times.0.zip(times.1).map(|(from, to)| (Timestamp(from), Timestamp(to))))
}

/// Parts requests of other sessions from responses that these own; returns them as they were.
pub(crate) fn part_requests(db: &Connection, ids: &[i64]) -> Result<Vec<StoredRequest>, StoreError> {
    let going = serde_json::to_string(ids)?;
    let mut select = db.prepare(
        "SELECT r.request FROM reported_requests r JOIN llm_calls c ON c.key = r.call
         WHERE c.session IN (SELECT value FROM json_each(?1))
           AND r.session NOT IN (SELECT value FROM json_each(?1))",
    )?;
    let keys: Vec<[u8; 16]> = select.query_map([&going], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut parted = Vec::with_capacity(keys.len());
    for key in keys {
        parted.extend(otlp::request(db, FactId(u128::from_be_bytes(key)))?);
        db.prepare_cached("UPDATE reported_requests SET call = NULL WHERE request = ?1")?.execute([key])?;
    }
    Ok(parted)
}

/// Paths of all transcripts of these sessions.
pub(crate) fn paths(db: &Connection, ids: &[i64]) -> Result<Vec<String>, StoreError> {
    let mut select =
        db.prepare("SELECT path FROM files WHERE session IN (SELECT value FROM json_each(?1))")?;
    let rows = select.query_map([serde_json::to_string(ids)?], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Where each session worked: where it is, where it was before its client removed that, and what worktree it was seen in.
const WORKED_IN: &str = "
    SELECT s.id AS id, m.value ->> '$.cwd' AS directory FROM sessions s, json_each(s.state, '$.mains') m
    UNION ALL SELECT s.id, m.value ->> '$.worked_in' FROM sessions s, json_each(s.state, '$.mains') m
    UNION ALL SELECT s.id, s.state ->> '$.worktree.root' FROM sessions s";

/// Directories these sessions worked in.
pub(crate) fn directories(db: &Connection, ids: &[i64]) -> Result<Vec<PathBuf>, StoreError> {
    let mut select = db.prepare(&format!(
        "SELECT DISTINCT directory FROM ({WORKED_IN})
         WHERE id IN (SELECT value FROM json_each(?1)) AND directory IS NOT NULL"
    ))?;
    let rows = select.query_map([serde_json::to_string(ids)?], |row| row.get::<_, String>(0))?;
    Ok(rows.map(|row| row.map(PathBuf::from)).collect::<Result<_, _>>()?)
}

/// Lets go of what is kept of the worktrees around these directories, where no session that is left works.
pub(crate) fn erase_worktrees(
    db: &Connection,
    directories: &[PathBuf],
    is_in_use: impl Fn(&str) -> bool,
) -> Result<(), StoreError> {
    let mut select = db.prepare("SELECT root FROM worktree_memory")?;
    let roots: Vec<String> = select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for root in roots {
        let was_theirs = directories.iter().any(|dir| dir.starts_with(Path::new(&root)));
        if !was_theirs || is_in_use(&root) {
            continue;
        }
        db.execute(
            &format!(
                "DELETE FROM worktree_memory WHERE root = ?1 AND NOT EXISTS (
                     SELECT 1 FROM ({WORKED_IN}) WHERE directory = ?1 OR instr(directory, ?1 || '/') = 1)"
            ),
            [&root],
        )?;
    }
    Ok(())
}

/// Whether what an event counts once is counted; what counts nothing is.
pub(crate) fn is_counted(db: &Connection, event: &Event) -> Result<bool, StoreError> {
    let (sql, key) = match &event.kind {
        EventKind::ResponseReceived(response) => {
            ("SELECT EXISTS (SELECT 1 FROM llm_calls WHERE key = ?1)", response.key)
        }
        EventKind::ToolCalled(call) => ("SELECT EXISTS (SELECT 1 FROM tool_calls WHERE key = ?1)", call.key),
        EventKind::PromptSubmitted(prompt) => match prompt.key {
            Some(key) => ("SELECT EXISTS (SELECT 1 FROM prompts WHERE key = ?1)", key),
            None => return Ok(true),
        },
        _ => return Ok(true),
    };
    Ok(db.prepare_cached(sql)?.query_row([key.0.to_be_bytes()], |row| row.get(0))?)
}

/// Sessions of an agent that were active at `from` or later.
pub(crate) fn active_since(db: &Connection, agent: Agent, from: Timestamp) -> Result<Vec<i64>, StoreError> {
    let mut select = db.prepare("SELECT id FROM sessions WHERE agent = ?1 AND last_activity_ms >= ?2")?;
    let rows = select.query_map((agent.as_str(), from.0), |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What is left to do after sessions were forgotten.
pub(crate) fn unfinished(db: &Connection) -> Result<Option<Unfinished>, StoreError> {
    Ok(rows::meta(db, UNFINISHED)?.map(|text| serde_json::from_str(&text)).transpose()?)
}

/// Notes what is left to do, or that nothing is.
pub(crate) fn set_unfinished(db: &Connection, left: Option<&Unfinished>) -> Result<(), StoreError> {
    match left {
        Some(left) => rows::set_meta(db, UNFINISHED, &serde_json::to_string(left)?),
        None => {
            db.execute("DELETE FROM meta WHERE key = ?1", [UNFINISHED])?;
            Ok(())
        }
    }
}

/// Makes the bytes of what was deleted go from the files: the database is written anew, without what lay in its unused
/// parts, and the log of writes is emptied.
///
/// Nobody else can write meanwhile. Whoever reads is waited for, 5 s at a time; `false` when somebody still read then.
pub(crate) fn wipe(db: &Connection) -> Result<bool, StoreError> {
    const TRIES: u32 = 4;
    db.execute_batch("VACUUM")?;
    for _ in 0..TRIES {
        let busy: Option<i64> =
            db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).optional()?;
        if busy == Some(0) {
            return Ok(true);
        }
    }
    Ok(false)
}
