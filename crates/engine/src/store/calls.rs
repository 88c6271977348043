//! Responses, tool calls and prompts: counted once over all transcripts, owned by exactly one session.
//!
//! Ownership does not depend on the order of import: of all observations of one key the smallest
//! `(rank, time, session id)` wins, and ownership moves when a smaller one is found later.

use lamplight_model::event::{OwnerRank, Usage};
use lamplight_model::ids::{FactId, Timestamp};
use rusqlite::{Connection, OptionalExtension};

use super::{StoreError, from_sql, to_sql};

/// A claim of a session on a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Row of the session.
    pub session: i64,
    /// How strongly.
    pub rank: OwnerRank,
    /// Time of the record.
    pub at: Timestamp,
}

/// What a claim did to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claimed<T> {
    /// First sight of the key.
    New,
    /// Known, and the owner stays.
    Kept {
        /// Its owner.
        owner: i64,
        /// What it held.
        before: T,
    },
    /// Known, and the owner changed.
    Moved {
        /// The former owner.
        from: i64,
        /// What it held.
        before: T,
    },
}

/// A response as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredCall {
    /// Row of the model.
    pub model: i64,
    /// Maximum per field over its lines.
    pub usage: Usage,
}

/// The two tables without a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Counted {
    Tools,
    Prompts,
}

impl Counted {
    fn select(self) -> &'static str {
        match self {
            Self::Tools => "SELECT session, rank, rank_at_ms FROM tool_calls WHERE key = ?1",
            Self::Prompts => "SELECT session, rank, rank_at_ms FROM prompts WHERE key = ?1",
        }
    }

    /// Writes a row: key, session, rank, time.
    pub(crate) fn upsert(self) -> &'static str {
        match self {
            Self::Tools => {
                "INSERT OR REPLACE INTO tool_calls (key, session, rank, rank_at_ms) VALUES (?1, ?2, ?3, ?4)"
            }
            Self::Prompts => {
                "INSERT OR REPLACE INTO prompts (key, session, rank, rank_at_ms) VALUES (?1, ?2, ?3, ?4)"
            }
        }
    }

    fn all(self) -> &'static str {
        match self {
            Self::Tools => "SELECT key, session, rank, rank_at_ms FROM tool_calls",
            Self::Prompts => "SELECT key, session, rank, rank_at_ms FROM prompts",
        }
    }
}

fn rank_number(rank: OwnerRank) -> i64 {
    rank as i64
}

fn rank_of(number: i64) -> OwnerRank {
    match number {
        0 => OwnerRank::Request,
        1 => OwnerRank::ForkedFrom,
        _ => OwnerRank::Own,
    }
}

/// Hands every response to `each`: key, session, rank, time, model, usage.
pub(crate) fn each_response(
    db: &Connection,
    mut each: impl FnMut(u128, i64, OwnerRank, Timestamp, &str, Usage),
) -> Result<(), StoreError> {
    let mut select = db.prepare(
        "SELECT key, session, rank, rank_at_ms, m.name, input, output, cache_write_5m, cache_write_1h, cache_read
         FROM llm_calls c JOIN models m ON m.id = c.model",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let key: [u8; 16] = row.get(0)?;
        let model: String = row.get(4)?;
        let usage = Usage {
            input: from_sql(row.get(5)?),
            output: from_sql(row.get(6)?),
            cache_write_5m: from_sql(row.get(7)?),
            cache_write_1h: from_sql(row.get(8)?),
            cache_read: from_sql(row.get(9)?),
        };
        each(
            u128::from_be_bytes(key),
            row.get(1)?,
            rank_of(row.get(2)?),
            Timestamp(row.get(3)?),
            &model,
            usage,
        );
    }
    Ok(())
}

/// Hands every tool call or prompt to `each`: key, session, rank, time.
pub(crate) fn each_counted(
    db: &Connection,
    table: Counted,
    mut each: impl FnMut(u128, i64, OwnerRank, Timestamp),
) -> Result<(), StoreError> {
    let mut select = db.prepare(table.all())?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let key: [u8; 16] = row.get(0)?;
        each(u128::from_be_bytes(key), row.get(1)?, rank_of(row.get(2)?), Timestamp(row.get(3)?));
    }
    Ok(())
}

/// Whether `new` beats the stored claim; ties go to the smaller session id, which only the caller can compare.
fn beats(db: &Connection, new: Claim, owner: i64, rank: i64, at: i64) -> Result<bool, StoreError> {
    if owner == new.session {
        return Ok((rank_number(new.rank), new.at.0) < (rank, at));
    }
    let order = (rank_number(new.rank), new.at.0).cmp(&(rank, at));
    Ok(match order {
        std::cmp::Ordering::Less => true,
        std::cmp::Ordering::Greater => false,
        std::cmp::Ordering::Equal => {
            let mut name =
                db.prepare_cached("SELECT agent || ':' || session_id FROM sessions WHERE id = ?1")?;
            let ours: String = name.query_row([new.session], |row| row.get(0))?;
            let theirs: String = name.query_row([owner], |row| row.get(0))?;
            ours < theirs
        }
    })
}

/// Claims a response for a session and keeps the maximum of its usage.
pub(crate) fn claim_response(
    db: &Connection,
    key: FactId,
    claim: Claim,
    model: i64,
    usage: Usage,
) -> Result<Claimed<StoredCall>, StoreError> {
    let mut select = db.prepare_cached(
        "SELECT session, rank, rank_at_ms, model, input, output, cache_write_5m, cache_write_1h, cache_read
         FROM llm_calls WHERE key = ?1",
    )?;
    let found = select
        .query_row([key.0.to_be_bytes()], |row| {
            let before = StoredCall {
                model: row.get(3)?,
                usage: Usage {
                    input: from_sql(row.get(4)?),
                    output: from_sql(row.get(5)?),
                    cache_write_5m: from_sql(row.get(6)?),
                    cache_write_1h: from_sql(row.get(7)?),
                    cache_read: from_sql(row.get(8)?),
                },
            };
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, before))
        })
        .optional()?;
    let mut upsert = db.prepare_cached(
        "INSERT OR REPLACE INTO llm_calls
         (key, session, rank, rank_at_ms, model, input, output, cache_write_5m, cache_write_1h, cache_read)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    let mut write = |session: i64, rank: i64, at: i64, model: i64, u: Usage| {
        upsert.execute((
            key.0.to_be_bytes(),
            session,
            rank,
            at,
            model,
            to_sql(u.input),
            to_sql(u.output),
            to_sql(u.cache_write_5m),
            to_sql(u.cache_write_1h),
            to_sql(u.cache_read),
        ))
    };
    let Some((owner, rank, at, before)) = found else {
        write(claim.session, rank_number(claim.rank), claim.at.0, model, usage)?;
        return Ok(Claimed::New);
    };
    let merged = before.usage.max(usage);
    if beats(db, claim, owner, rank, at)? {
        write(claim.session, rank_number(claim.rank), claim.at.0, before.model, merged)?;
        return Ok(if owner == claim.session {
            Claimed::Kept { owner, before }
        } else {
            Claimed::Moved { from: owner, before }
        });
    }
    if merged != before.usage {
        write(owner, rank, at, before.model, merged)?;
    }
    Ok(Claimed::Kept { owner, before })
}

/// Claims a tool call or a prompt for a session.
pub(crate) fn claim_counted(
    db: &Connection,
    table: Counted,
    key: FactId,
    claim: Claim,
) -> Result<Claimed<()>, StoreError> {
    let mut select = db.prepare_cached(table.select())?;
    let found: Option<(i64, i64, i64)> = select
        .query_row([key.0.to_be_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let mut upsert = db.prepare_cached(table.upsert())?;
    let Some((owner, rank, at)) = found else {
        upsert.execute((key.0.to_be_bytes(), claim.session, rank_number(claim.rank), claim.at.0))?;
        return Ok(Claimed::New);
    };
    if beats(db, claim, owner, rank, at)? {
        upsert.execute((key.0.to_be_bytes(), claim.session, rank_number(claim.rank), claim.at.0))?;
        if owner != claim.session {
            return Ok(Claimed::Moved { from: owner, before: () });
        }
    }
    Ok(Claimed::Kept { owner, before: () })
}

/// The session that owns a response.
pub(crate) fn owner_of(db: &Connection, key: FactId) -> Result<Option<i64>, StoreError> {
    let mut select = db.prepare_cached("SELECT session FROM llm_calls WHERE key = ?1")?;
    Ok(select.query_row([key.0.to_be_bytes()], |row| row.get(0)).optional()?)
}

/// Row of a model's name.
pub(crate) fn model_row(db: &Connection, name: &str) -> Result<i64, StoreError> {
    let mut select = db.prepare_cached("SELECT id FROM models WHERE name = ?1")?;
    if let Some(id) = select.query_row([name], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    db.prepare_cached("INSERT INTO models (name) VALUES (?1)")?.execute([name])?;
    Ok(db.last_insert_rowid())
}

/// Name of a model's row.
pub(crate) fn model_name(db: &Connection, id: i64) -> Result<String, StoreError> {
    Ok(db.prepare_cached("SELECT name FROM models WHERE id = ?1")?.query_row([id], |row| row.get(0))?)
}
