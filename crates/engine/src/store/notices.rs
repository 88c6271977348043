//! The log of notifications.

use lamplight_model::attention::CauseKind;
use lamplight_model::ids::{FactId, Timestamp};
use lamplight_model::notice::{HeldBack, NoticeOutcome};
use rusqlite::{Connection, OptionalExtension};

use super::StoreError;

/// Entries kept; a busy day makes a few hundred.
const KEPT: i64 = 20_000;

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logged {
    pub at: Timestamp,
    pub cause: FactId,
    pub kind: CauseKind,
    pub outcome: NoticeOutcome,
    pub why: Option<HeldBack>,
}

/// Adds an entry.
pub(crate) fn put(db: &Connection, session: i64, entry: &Logged) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO notices (at_ms, session, cause, kind, outcome, why) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((
        entry.at.0,
        session,
        entry.cause.0.to_be_bytes(),
        entry.kind.as_str(),
        entry.outcome.as_str(),
        entry.why.map(HeldBack::as_str),
    ))?;
    db.prepare_cached("DELETE FROM notices WHERE id <= (SELECT max(id) FROM notices) - ?1")?
        .execute([KEPT])?;
    Ok(())
}

/// What became of a cause last, and why.
pub(crate) fn last_of(
    db: &Connection,
    cause: FactId,
) -> Result<Option<(NoticeOutcome, Option<HeldBack>)>, StoreError> {
    let mut select =
        db.prepare_cached("SELECT outcome, why FROM notices WHERE cause = ?1 ORDER BY id DESC LIMIT 1")?;
    let found = select.query_row([cause.0.to_be_bytes()], |row| {
        let (outcome, why): (String, Option<String>) = (row.get(0)?, row.get(1)?);
        Ok((NoticeOutcome::from_word(&outcome), why.as_deref().and_then(HeldBack::from_word)))
    });
    Ok(found.optional()?.and_then(|(outcome, why)| Some((outcome?, why))))
}

/// When a cause was told last, if ever.
pub(crate) fn told_at(db: &Connection, cause: FactId) -> Result<Option<Timestamp>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT max(at_ms) FROM notices WHERE cause = ?1 AND outcome IN ('told', 'grouped')",
    )?;
    let at: Option<i64> = select.query_row([cause.0.to_be_bytes()], |row| row.get(0))?;
    Ok(at.map(Timestamp))
}

/// Entries before `before`, the newest first, each with its number and session.
pub(crate) fn page(db: &Connection, before: i64, limit: u32) -> Result<Vec<(i64, i64, Logged)>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT id, session, at_ms, cause, kind, outcome, why FROM notices WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
    )?;
    let rows = select.query_map((before, limit), |row| {
        let cause: [u8; 16] = row.get(3)?;
        let (kind, outcome): (String, String) = (row.get(4)?, row.get(5)?);
        let why: Option<String> = row.get(6)?;
        let entry = Logged {
            at: Timestamp(row.get(2)?),
            cause: FactId(u128::from_be_bytes(cause)),
            // Words of a newer version read as the plainest ones.
            kind: CauseKind::from_word(&kind).unwrap_or(CauseKind::Reply),
            outcome: NoticeOutcome::from_word(&outcome).unwrap_or(NoticeOutcome::HeldBack),
            why: why.as_deref().and_then(HeldBack::from_word),
        };
        Ok((row.get(0)?, row.get(1)?, entry))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
