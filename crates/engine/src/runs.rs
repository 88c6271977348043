//! Runs: the sessions that one harness started and declared to belong together; read from the store.

use lamplight_model::ids::{SessionId, SessionKey, Timestamp};
use lamplight_model::run::{Spawned, sums, tree};
use lamplight_model::view::{RunDetail, RunMember, RunPage, SessionCard};
use rusqlite::Connection;

use crate::archive::Cards;
use crate::board::Board;
use crate::config::Config;
use crate::errors::EngineError;
use crate::store::rows::{self, Class};
use crate::store::runs;

/// Runs on one page at most.
const MOST: u32 = 100;

/// The sessions of a run.
#[derive(Default)]
struct Members {
    /// Its rows.
    cards: Vec<SessionCard>,
    /// The key of each row, and the parent it declared.
    declared: Vec<(SessionKey, Option<SessionId>)>,
    /// Threads of subagents and the like: never rows, but what they used was used.
    hidden: Vec<SessionCard>,
}

/// A page of runs, the one active last first.
pub(crate) fn page(
    db: &Connection,
    config: &Config,
    board: &Board,
    before: Option<&str>,
    limit: u32,
    now: Timestamp,
) -> Result<RunPage, EngineError> {
    let limit = limit.clamp(1, MOST) as usize;
    let before = before.map(cursor).transpose()?;
    let mut found = runs::page(db, before, limit + 1)?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|(at, run)| format!("{}.{run}", at.0));
    let mut cards = Cards::new(db, config, board, now);
    let mut summaries = Vec::with_capacity(found.len());
    for (_, run) in &found {
        let members = members(db, &mut cards, run)?;
        summaries.push(sums(run, &members.cards, &members.hidden));
    }
    Ok(RunPage { runs: summaries, next, total: runs::count(db)? })
}

/// A run in full; `None` when no session declared it.
pub(crate) fn run(
    db: &Connection,
    config: &Config,
    board: &Board,
    id: &str,
    now: Timestamp,
) -> Result<Option<RunDetail>, EngineError> {
    let members = members(db, &mut Cards::new(db, config, board, now), id)?;
    if members.cards.is_empty() {
        return Ok(None);
    }
    let spawned: Vec<Spawned<'_>> = members
        .declared
        .iter()
        .zip(&members.cards)
        .map(|((key, parent), card)| Spawned {
            key,
            parent: parent.as_ref(),
            started_at: card.started_at_ms.map(Timestamp),
        })
        .collect();
    let placed = tree(&spawned).into_iter().filter_map(|place| {
        let parent = place.parent.and_then(|p| members.declared.get(p)).map(|(key, _)| key.to_string());
        Some(RunMember { card: members.cards.get(place.member)?.clone(), depth: place.depth, parent })
    });
    Ok(Some(RunDetail { run: sums(id, &members.cards, &members.hidden), members: placed.collect() }))
}

fn members(db: &Connection, cards: &mut Cards<'_>, run: &str) -> Result<Members, EngineError> {
    let mut members = Members::default();
    for id in runs::members(db, run)? {
        let Some(row) = rows::load(db, id)? else { continue };
        match row.class {
            Class::Row => {
                members.cards.push(cards.of_row(&row)?);
                members.declared.push((row.key, row.state.telemetry.parent.map(|declared| declared.value)));
            }
            Class::Zombie => {}
            Class::Subagent | Class::TitleThread | Class::Spare => members.hidden.push(cards.of_row(&row)?),
        }
    }
    Ok(members)
}

/// Reads `<last activity>.<run>`; the run may hold anything.
fn cursor(text: &str) -> Result<(Timestamp, &str), EngineError> {
    let bad = || EngineError::BadRequest(format!("{text:?} is no cursor of a page of runs"));
    let (at, run) = text.split_once('.').ok_or_else(bad)?;
    Ok((Timestamp(at.parse().map_err(|_| bad())?), run))
}
