//! The session a harness should resume: by facts alone, so that no attempt is wasted.

use std::collections::BTreeMap;
use std::path::Path;

use lamplight_model::ids::{Agent, Timestamp};
use lamplight_model::resume::Hindrance;
use lamplight_model::session::{ResumeState, SessionState, Validity};
use lamplight_model::view::SessionCard;
use rusqlite::Connection;

use crate::archive::{self, Cards};
use crate::board::Board;
use crate::card;
use crate::config::Config;
use crate::errors::EngineError;
use crate::store::{files, rows};

/// Which sessions are meant.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// Only those of this project, by its name.
    pub project: Option<&'a str>,
    /// Only those of this agent.
    pub agent: Option<Agent>,
}

/// Finds the session active last of those that are worth resuming; without one, says in a sentence why.
pub(crate) fn find(
    db: &Connection,
    config: &Config,
    board: &Board,
    wanted: Wanted<'_>,
    now: Timestamp,
) -> Result<Result<SessionCard, String>, EngineError> {
    let oldest = now.plus_ms(-i64::from(config.resume_max_hours).saturating_mul(3_600_000));
    let mut cards = Cards::new(db, config, board, now);
    let mut hindrances: BTreeMap<Hindrance, u64> = BTreeMap::new();
    // The latest first: from the first one that is too old on, all are.
    for (_, id) in archive::all(db)?.into_iter().take_while(|(last, _)| *last >= oldest.0) {
        let Some(row) = rows::load(db, id)? else { continue };
        if row.key.agent == Agent::Otel || wanted.agent.is_some_and(|agent| agent != row.key.agent) {
            continue;
        }
        let card = cards.of_row(&row)?;
        if wanted.project.is_some() && card.project.as_deref() != wanted.project {
            continue;
        }
        match hindrance(db, id, &card, &row.state)? {
            None => return Ok(Ok(card)),
            Some(hindrance) => *hindrances.entry(hindrance).or_default() += 1,
        }
    }
    Ok(Err(sentence(wanted, config.resume_max_hours, &hindrances)))
}

/// What speaks against resuming it.
fn hindrance(
    db: &Connection,
    id: i64,
    card: &SessionCard,
    state: &SessionState,
) -> Result<Option<Hindrance>, EngineError> {
    let hindrance = match card.resume.state {
        ResumeState::Running => Some(Hindrance::Running),
        ResumeState::NoTranscript => Some(Hindrance::NoTranscript),
        ResumeState::NoDirectory => Some(Hindrance::NoDirectory),
        ResumeState::Unsupported => Some(Hindrance::NoCommand),
        ResumeState::Stale => Some(Hindrance::Failed),
        ResumeState::Ready if card.archived_at_ms.is_some() => Some(Hindrance::PutAway),
        ResumeState::Ready if card.superseded_by.is_some() => Some(Hindrance::Superseded),
        ResumeState::Ready if runs_out_of_sight(state) => Some(Hindrance::OutOfSight),
        ResumeState::Ready => None,
    };
    if hindrance.is_some() {
        return Ok(hindrance);
    }
    // An attempt is worth a look at the disk itself: nobody may have heard yet of what is gone.
    let transcript = files::main_path(db, id)?;
    let directory = card::home_directory(state, transcript.as_deref()).map(Path::new);
    let is_gone = |path: &Path| matches!(path.try_exists(), Ok(false));
    Ok(if transcript.as_deref().is_some_and(is_gone) {
        Some(Hindrance::NoTranscript)
    } else if directory.is_some_and(is_gone) {
        Some(Hindrance::NoDirectory)
    } else {
        None
    })
}

/// A process that nobody here can look at has it, by the last that was heard.
fn runs_out_of_sight(state: &SessionState) -> bool {
    let foreign = state.processes.values().any(|p| {
        p.validity == Validity::Foreign
            && p.removed_at.is_none()
            && p.exited_at.is_none()
            && p.moved_to.is_none()
    });
    foreign || state.lock.is_some_and(|lock| lock.holder.is_some())
}

fn sentence(wanted: Wanted<'_>, hours: u32, hindrances: &BTreeMap<Hindrance, u64>) -> String {
    let agent = wanted.agent.map_or_else(String::new, |agent| format!("{} ", agent.as_str()));
    let project = wanted.project.map_or_else(String::new, |project| format!(" of project {project:?}"));
    if hindrances.is_empty() {
        return format!("No {agent}session{project} was used within the last {hours} h.");
    }
    let why: Vec<String> =
        hindrances.iter().map(|(hindrance, n)| format!("{n} {}", hindrance.of(*n))).collect();
    format!(
        "No {agent}session{project} is worth resuming. Of those used within the last {hours} h: {}.",
        why.join(", ")
    )
}
