//! Pages of all sessions, and search; read from the store, not from the pipeline.

use lamplight_model::assess::{Assessment, Circumstances, assess};
use lamplight_model::attention::Cause;
use lamplight_model::ids::{Agent, SessionKey, Timestamp};
use lamplight_model::pricing::PriceTable;
use lamplight_model::view::{SessionCard, SessionPage, SourceHealth};
use rusqlite::Connection;

use crate::board::Board;
use crate::card;
use crate::config::Config;
use crate::errors::{EngineError, FindError};
use crate::places::Places;
use crate::sources::gemini;
use crate::store::rows::SessionRow;
use crate::store::{causes, files, muted, rows};

/// Cards on one page at most.
const MOST: u32 = 200;

/// Characters of an id that may stand for it.
const SHORTEST_BEGINNING: usize = 4;
/// Words of a search that are looked at.
const MOST_WORDS: usize = 8;

/// A page of sessions, last activity first; with a query, of those whose text has every word of it.
pub(crate) fn page(
    db: &Connection,
    config: &Config,
    board: &Board,
    query: Option<&str>,
    before: Option<&str>,
    limit: u32,
    now: Timestamp,
) -> Result<SessionPage, EngineError> {
    let limit = limit.clamp(1, MOST) as usize;
    let before = before.map(cursor).transpose()?;
    let words: Vec<String> =
        query.unwrap_or("").to_lowercase().split_whitespace().take(MOST_WORDS).map(str::to_owned).collect();
    let matching = if words.is_empty() { all(db)? } else { search(db, &words)? };
    let total = matching.len() as u64;
    let after: Vec<(i64, i64)> =
        matching.into_iter().filter(|at| before.is_none_or(|before| *at < before)).take(limit + 1).collect();
    let next =
        (after.len() > limit).then(|| after.get(limit - 1)).flatten().map(|(at, id)| format!("{at}.{id}"));
    let mut cards = Cards::new(db, config, board, now);
    let mut sessions = Vec::with_capacity(limit);
    for (_, id) in after.into_iter().take(limit) {
        sessions.extend(cards.card(id)?);
    }
    Ok(SessionPage { sessions, next, total })
}

/// `(last activity, row)` of all rows of the screen, the latest first.
pub(crate) fn all(db: &Connection) -> Result<Vec<(i64, i64)>, EngineError> {
    let mut select = db.prepare_cached(
        "SELECT last_activity_ms, id FROM sessions WHERE class = 'row' ORDER BY last_activity_ms DESC, id DESC",
    )?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn search(db: &Connection, words: &[String]) -> Result<Vec<(i64, i64)>, EngineError> {
    let mut select = db.prepare_cached("SELECT session, text FROM session_text")?;
    let mut rows = select.query([])?;
    let finders: Vec<_> = words.iter().map(|w| memchr::memmem::Finder::new(w.as_bytes())).collect();
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let text = row.get_ref(1)?.as_bytes().unwrap_or_default();
        if finders.iter().all(|finder| finder.find(text).is_some()) {
            found.push(row.get::<_, i64>(0)?);
        }
    }
    let mut activity =
        db.prepare_cached("SELECT last_activity_ms FROM sessions WHERE id = ?1 AND class = 'row'")?;
    let mut matching = Vec::with_capacity(found.len());
    for id in found {
        let mut rows = activity.query([id])?;
        if let Some(row) = rows.next()? {
            matching.push((row.get(0)?, id));
        }
    }
    matching.sort_unstable_by(|a, b| b.cmp(a));
    Ok(matching)
}

fn cursor(text: &str) -> Result<(i64, i64), EngineError> {
    let bad = || EngineError::BadRequest(format!("{text:?} is no cursor of a page"));
    let (at, id) = text.split_once('.').ok_or_else(bad)?;
    Ok((at.parse().map_err(|_| bad())?, id.parse().map_err(|_| bad())?))
}

/// The card of a session: the one on the screen, else one made from the store.
pub(crate) fn card_of(
    db: &Connection,
    config: &Config,
    board: &Board,
    id: i64,
    now: Timestamp,
) -> Result<Option<SessionCard>, EngineError> {
    Cards::new(db, config, board, now).card(id)
}

/// Makes cards of stored sessions, looking at each directory once.
pub(crate) struct Cards<'a> {
    db: &'a Connection,
    config: &'a Config,
    board: &'a Board,
    now: Timestamp,
    places: Places,
    prices: PriceTable,
}

impl<'a> Cards<'a> {
    pub(crate) fn new(db: &'a Connection, config: &'a Config, board: &'a Board, now: Timestamp) -> Self {
        let prices = PriceTable::builtin().with_overrides(&config.prices);
        Self { db, config, board, now, places: Places::default(), prices }
    }

    /// The card of a session: the one on the screen, else one made from the store.
    pub(crate) fn card(&mut self, id: i64) -> Result<Option<SessionCard>, EngineError> {
        let Some(row) = rows::load(self.db, id)? else { return Ok(None) };
        self.of_row(&row).map(Some)
    }

    /// What the facts of a session mean now.
    pub(crate) fn verdict(&self, row: &SessionRow) -> Assessment {
        let Self { config, board, now, .. } = *self;
        let around = Circumstances {
            agent: row.key.agent,
            registry_listed: board.source_state(crate::reports::registry(row.key.agent))
                != Some(SourceHealth::Absent),
            idle_window_ms: i64::from(config.idle_minutes) * 60_000,
        };
        assess(&row.state, &around, now)
    }

    /// The card of a row that is loaded already.
    pub(crate) fn of_row(&mut self, row: &SessionRow) -> Result<SessionCard, EngineError> {
        let Self { db, config, board, now, .. } = *self;
        if let Some(shown) = board.card(&row.key.to_string()) {
            return Ok(shown);
        }
        let verdict = self.verdict(row);
        let open: Vec<Cause> =
            causes::of_session(db, row.id, 50)?.into_iter().map(|s| s.cause).filter(Cause::is_open).collect();
        let renamed = rows::label(db, &row.key)?;
        let chat =
            (row.key.agent == Agent::Gemini).then(|| gemini::find(&config.roots, &row.key.id)).flatten();
        let transcript = match &chat {
            Some(chat) => Some(chat.path.clone()),
            None => files::main_path(db, row.id)?,
        };
        let directory = match &chat {
            Some(chat) => Some(chat.project.as_str()),
            None => card::home_directory(&row.state, transcript.as_deref()),
        };
        let place = self.places.look(directory.unwrap_or(""), now);
        let config_dir =
            transcript.as_deref().and_then(|t| card::foreign_config_dir(row.key.agent, t, config));
        Ok(card::card(
            &card::Known {
                git: None,
                key: &row.key,
                state: &row.state,
                verdict: &verdict,
                causes: &open,
                renamed: renamed.as_deref(),
                muted: muted::is_muted(db, &row.key)?,
                muted_projects: &config.notify.muted_projects,
                session_labels: &config.session_labels,
                projects: &config.projects,
                directory,
                place: &place,
                transcript_exists: transcript.is_some(),
                config_dir: config_dir.as_deref(),
                resume_max_ms: i64::from(config.resume_max_hours) * 3_600_000,
                prices: &self.prices,
            },
            now,
        ))
    }
}

/// Finds a session by `agent:session_id`, by its bare id if only one agent has it, or by the beginning of its id if only one
/// begins so.
pub(crate) fn find(db: &Connection, id: &str) -> Result<Result<SessionKey, FindError>, EngineError> {
    if let Some(key) = SessionKey::from_text(id)
        && rows::find(db, &key)?.is_some()
    {
        return Ok(Ok(key));
    }
    let mut keys = rows::find_bare(db, id)?;
    if keys.is_empty() && id.len() >= SHORTEST_BEGINNING {
        keys = rows::find_beginning(db, id)?;
    }
    Ok(match (keys.pop(), keys.is_empty()) {
        (None, _) => Err(FindError::NotFound(id.to_owned())),
        (Some(key), true) => Ok(key),
        (Some(key), false) => {
            keys.push(key);
            keys.sort();
            Err(FindError::Ambiguous(keys))
        }
    })
}
