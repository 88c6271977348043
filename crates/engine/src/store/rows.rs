//! Session rows, labels, live facts and small notes of the engine itself.

use std::collections::BTreeMap;

use lamplight_model::ids::{Agent, SessionId, SessionKey, Timestamp};
use lamplight_model::session::SessionState;
use lamplight_model::view::{ImportTotals, TokenTotals};
use rusqlite::{Connection, OptionalExtension};

use super::{StoreError, from_sql};

/// Version of the fold; a state folded by another one is read anew from its transcripts.
pub(crate) const FOLD_VERSION: i64 = 2;

/// A session as stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SessionRow {
    pub id: i64,
    pub key: SessionKey,
    pub state: SessionState,
    pub has_main: bool,
    pub class: Class,
}

/// Whether a session is a row of the screen, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    Row,
    Zombie,
    Subagent,
    TitleThread,
    Spare,
}

impl Class {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Row => "row",
            Self::Zombie => "zombie",
            Self::Subagent => "subagent",
            Self::TitleThread => "title_thread",
            Self::Spare => "spare",
        }
    }

    fn from_word(word: &str) -> Self {
        [Self::Row, Self::Subagent, Self::TitleThread, Self::Spare]
            .into_iter()
            .find(|c| c.as_str() == word)
            .unwrap_or(Self::Zombie)
    }
}

/// What is written of a session after a change.
#[derive(Debug)]
pub(crate) struct SessionWrite<'a> {
    pub id: i64,
    pub state: &'a SessionState,
    pub has_main: bool,
    pub live: bool,
    pub class: Class,
    pub last_activity: Option<Timestamp>,
    /// What a search looks in; `None` leaves it.
    pub text: Option<&'a str>,
}

/// Row of a session, created when it is seen first.
pub(crate) fn ensure(db: &Connection, key: &SessionKey) -> Result<i64, StoreError> {
    if let Some(id) = find(db, key)? {
        return Ok(id);
    }
    db.prepare_cached(
        "INSERT INTO sessions (agent, session_id, fold_version, state) VALUES (?1, ?2, ?3, '{}')",
    )?
    .execute((key.agent.as_str(), key.id.as_str(), FOLD_VERSION))?;
    Ok(db.last_insert_rowid())
}

/// Row of a session, if it is known.
pub(crate) fn find(db: &Connection, key: &SessionKey) -> Result<Option<i64>, StoreError> {
    let mut select = db.prepare_cached("SELECT id FROM sessions WHERE agent = ?1 AND session_id = ?2")?;
    Ok(select.query_row((key.agent.as_str(), key.id.as_str()), |row| row.get(0)).optional()?)
}

/// Sessions with this id, of any agent.
pub(crate) fn find_bare(db: &Connection, id: &str) -> Result<Vec<SessionKey>, StoreError> {
    let mut select = db.prepare_cached("SELECT agent, session_id FROM sessions WHERE session_id = ?1")?;
    let rows = select.query_map([id], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut keys = Vec::new();
    for row in rows {
        let (agent, id) = row?;
        keys.extend(key(&agent, &id));
    }
    Ok(keys)
}

/// Sessions of the screen and the archive whose id begins so, at most six.
pub(crate) fn find_beginning(db: &Connection, beginning: &str) -> Result<Vec<SessionKey>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT agent, session_id FROM sessions
         WHERE class = 'row' AND substr(session_id, 1, length(?1)) = ?1 ORDER BY session_id LIMIT 6",
    )?;
    let rows =
        select.query_map([beginning], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut keys = Vec::new();
    for row in rows {
        let (agent, id) = row?;
        keys.extend(key(&agent, &id));
    }
    Ok(keys)
}

fn key(agent: &str, id: &str) -> Option<SessionKey> {
    Some(SessionKey { agent: Agent::from_word(agent)?, id: SessionId::new(id).ok()? })
}

/// Loads a session.
pub(crate) fn load(db: &Connection, id: i64) -> Result<Option<SessionRow>, StoreError> {
    let mut select =
        db.prepare_cached("SELECT agent, session_id, state, has_main, class FROM sessions WHERE id = ?1")?;
    let found: Option<(String, String, String, bool, String)> = select
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
        .optional()?;
    let Some((agent, session_id, state, has_main, class)) = found else { return Ok(None) };
    let Some(key) = key(&agent, &session_id) else { return Ok(None) };
    Ok(Some(SessionRow {
        id,
        key,
        state: serde_json::from_str(&state)?,
        has_main,
        class: Class::from_word(&class),
    }))
}

/// Writes a session after a change.
pub(crate) fn save(db: &Connection, w: &SessionWrite<'_>) -> Result<(), StoreError> {
    db.prepare_cached(
        "UPDATE sessions SET state = ?2, has_main = ?3, live = ?4, class = ?5, last_activity_ms = ?6,
                             fold_version = ?7, run = ?8, instance = ?9
         WHERE id = ?1",
    )?
    .execute((
        w.id,
        serde_json::to_string(w.state)?,
        w.has_main,
        w.live,
        w.class.as_str(),
        w.last_activity.map_or(0, |t| t.0),
        FOLD_VERSION,
        w.state.telemetry.run.as_ref().map(|d| &d.value),
        w.state.telemetry.instance.as_ref().map(|d| &d.value),
    ))?;
    if let Some(text) = w.text {
        db.prepare_cached("INSERT OR REPLACE INTO session_text (session, text) VALUES (?1, ?2)")?
            .execute((w.id, text))?;
    }
    Ok(())
}

/// Sessions that were live, or active since `since`, newest first.
pub(crate) fn present(db: &Connection, since: Timestamp) -> Result<Vec<i64>, StoreError> {
    let mut select = db.prepare(
        "SELECT id FROM sessions WHERE last_activity_ms >= ?1
         UNION SELECT id FROM sessions WHERE live = 1",
    )?;
    let rows = select.query_map([since.0], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Every session.
pub(crate) fn ids(db: &Connection) -> Result<Vec<i64>, StoreError> {
    let mut select = db.prepare("SELECT id FROM sessions ORDER BY id")?;
    let rows = select.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether a process may have run a session when it was judged last.
pub(crate) fn is_live(db: &Connection, id: i64) -> Result<bool, StoreError> {
    let mut select = db.prepare_cached("SELECT live FROM sessions WHERE id = ?1")?;
    Ok(select.query_row([id], |row| row.get(0)).optional()?.unwrap_or(false))
}

/// How many sessions of each class there are.
pub(crate) fn classes(db: &Connection) -> Result<Vec<(Class, u64)>, StoreError> {
    let mut select = db.prepare("SELECT class, count(*) FROM sessions GROUP BY class")?;
    let rows = select.query_map([], |row| {
        let word: String = row.get(0)?;
        Ok((Class::from_word(&word), from_sql(row.get(1)?)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Label given in Lamplight.
pub(crate) fn label(db: &Connection, key: &SessionKey) -> Result<Option<String>, StoreError> {
    let mut select = db.prepare_cached("SELECT label FROM labels WHERE agent = ?1 AND session_id = ?2")?;
    Ok(select.query_row((key.agent.as_str(), key.id.as_str()), |row| row.get(0)).optional()?)
}

/// Sets or takes back a label.
pub(crate) fn set_label(
    db: &Connection,
    key: &SessionKey,
    label: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    match label {
        Some(label) => db
            .prepare_cached(
                "INSERT OR REPLACE INTO labels (agent, session_id, label, at_ms) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((key.agent.as_str(), key.id.as_str(), label, now.0))?,
        None => db
            .prepare_cached("DELETE FROM labels WHERE agent = ?1 AND session_id = ?2")?
            .execute((key.agent.as_str(), key.id.as_str()))?,
    };
    Ok(())
}

/// Keeps a fact that exists nowhere else.
pub(crate) fn keep_live_fact(
    db: &Connection,
    session: i64,
    at: Timestamp,
    source: &str,
    pid: Option<u32>,
    fact: &str,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO live_facts (session, at_ms, source, pid, fact) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((session, at.0, source, pid, fact))?;
    Ok(())
}

/// A fact that exists nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LiveFact {
    pub at: Timestamp,
    pub source: String,
    pub fact: String,
}

/// The latest of such facts of a session, newest first.
pub(crate) fn live_facts(db: &Connection, session: i64, most: u32) -> Result<Vec<LiveFact>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT at_ms, source, fact FROM live_facts WHERE session = ?1 ORDER BY at_ms DESC, id DESC LIMIT ?2",
    )?;
    let rows = select.query_map((session, most), |row| {
        Ok(LiveFact { at: Timestamp(row.get(0)?), source: row.get(1)?, fact: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Keeps such a fact of a source that may tell it again, once.
pub(crate) fn keep_live_fact_once(
    db: &Connection,
    session: i64,
    at: Timestamp,
    source: &str,
    fact: &str,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO live_facts (session, at_ms, source, fact) SELECT ?1, ?2, ?3, ?4
         WHERE NOT EXISTS (SELECT 1 FROM live_facts WHERE session = ?1 AND at_ms = ?2 AND source = ?3 AND fact = ?4)",
    )?
    .execute((session, at.0, source, fact))?;
    Ok(())
}

/// Drops live facts older than 400 days.
pub(crate) fn prune_live_facts(db: &Connection, now: Timestamp) -> Result<(), StoreError> {
    const DAYS_400_MS: i64 = 400 * 86_400_000;
    // Rows are written in the order of time: only the oldest need a look, and a start must not wait for more.
    db.execute(
        "DELETE FROM live_facts WHERE id IN (SELECT id FROM live_facts ORDER BY id LIMIT 10000) AND at_ms < ?1",
        [now.plus_ms(-DAYS_400_MS).0],
    )?;
    Ok(())
}

/// After a change of the fold every transcript that is still there is read again from its start, in the order the
/// reader has anyway, newest first; until then, and for ever where the transcript is gone, the old row is shown.
pub(crate) fn refold_if_older(db: &Connection) -> Result<(), StoreError> {
    let known = FOLD_VERSION.to_string();
    let found = meta(db, "fold_version")?;
    if found.as_deref() == Some(known.as_str()) {
        return Ok(());
    }
    if found.is_some() {
        db.execute("UPDATE files SET offset = 0, carry = '' WHERE gone = 0", [])?;
    }
    set_meta(db, "fold_version", &known)
}

/// A note of the engine about itself.
pub(crate) fn meta(db: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    Ok(db
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?)
}

/// Writes such a note.
pub(crate) fn set_meta(db: &Connection, key: &str, value: &str) -> Result<(), StoreError> {
    db.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?.execute((key, value))?;
    Ok(())
}

/// Totals over everything that was read.
pub(crate) fn totals(db: &Connection) -> Result<ImportTotals, StoreError> {
    let count =
        |sql: &str| -> Result<u64, StoreError> { Ok(from_sql(db.query_row(sql, [], |row| row.get(0))?)) };
    let mut tokens = BTreeMap::new();
    let mut select = db.prepare(
        "SELECT m.name, sum(input), sum(output), sum(cache_write_5m), sum(cache_write_1h), sum(cache_read)
         FROM llm_calls c JOIN models m ON m.id = c.model GROUP BY c.model",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let sum = |i| -> rusqlite::Result<u64> { Ok(from_sql(row.get(i)?)) };
        let totals = TokenTotals {
            input: sum(1)?,
            output: sum(2)?,
            cache_write_5m: sum(3)?,
            cache_write_1h: sum(4)?,
            cache_read: sum(5)?,
        };
        tokens.insert(row.get(0)?, totals);
    }
    Ok(ImportTotals {
        sessions: count("SELECT count(*) FROM sessions WHERE has_main = 1 AND class <> 'subagent'")?,
        messages: count("SELECT count(*) FROM llm_calls")?,
        prompts: count("SELECT count(*) FROM prompts")?,
        tool_calls: count("SELECT count(*) FROM tool_calls")?,
        subagents: count(
            "SELECT (SELECT count(*) FROM (SELECT DISTINCT s.agent, f.subagent FROM files f
                                           JOIN sessions s ON s.id = f.session WHERE f.subagent IS NOT NULL))
                  + (SELECT count(*) FROM sessions WHERE class = 'subagent' AND has_main = 1)",
        )?,
        tokens,
        bytes_read: 0,
        elapsed_ms: 0,
    })
}
