//! How many resumes were seen to fail: counters among the engine's notes, which only grow.

use lamplight_model::ids::Agent;
use lamplight_model::session::ResumeFailure;
use rusqlite::Connection;

use super::{StoreError, rows};

fn name(agent: Agent, class: ResumeFailure) -> String {
    format!("resume_failures:{}:{}", agent.as_str(), class.as_str())
}

/// Counts one.
pub(crate) fn count(db: &Connection, agent: Agent, class: ResumeFailure) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO meta (key, value) VALUES (?1, '1')
         ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT)",
    )?
    .execute([name(agent, class)])?;
    Ok(())
}

/// The count of every class of every agent, zeros included.
pub(crate) fn counts(db: &Connection) -> Result<Vec<(Agent, ResumeFailure, u64)>, StoreError> {
    let mut counts = Vec::new();
    for agent in Agent::ALL {
        for class in ResumeFailure::ALL {
            let known = rows::meta(db, &name(agent, class))?.and_then(|n| n.parse().ok());
            counts.push((agent, class, known.unwrap_or(0)));
        }
    }
    Ok(counts)
}
