//! What became of telling about each cause, read from the store.

use lamplight_model::view::{NoticePage, NoticeView};
use rusqlite::Connection;

use crate::archive::Cards;
use crate::errors::EngineError;
use crate::store::{notices, rows};

/// A page of the log, the newest first.
pub(crate) fn page(
    db: &Connection,
    cards: &mut Cards<'_>,
    before: Option<&str>,
    limit: u32,
) -> Result<NoticePage, EngineError> {
    let before = match before {
        None => i64::MAX,
        Some(text) => text
            .parse()
            .map_err(|_| EngineError::BadRequest(format!("{text:?} is no cursor of this list")))?,
    };
    let mut entries = notices::page(db, before, limit.saturating_add(1))?;
    let has_more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    let next = entries.last().filter(|_| has_more).map(|(id, ..)| id.to_string());
    let mut views = Vec::with_capacity(entries.len());
    for (_, session, entry) in entries {
        let Some(row) = rows::load(db, session)? else { continue };
        let card = cards.of_row(&row)?;
        views.push(NoticeView {
            at_ms: entry.at.0,
            session: row.key.to_string(),
            label: card.label,
            cause_id: entry.cause.to_string(),
            cause: entry.kind,
            tier: entry.kind.tier(),
            outcome: entry.outcome,
            why: entry.why,
        });
    }
    Ok(NoticePage { notices: views, next })
}
