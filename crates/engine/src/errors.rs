//! Why something was refused or failed.

use std::path::PathBuf;

use lamplight_model::ids::SessionKey;

use crate::store::StoreError;

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another engine holds the data directory.
    #[error("another Lamplight (pid {}) uses {dir}", pid.map_or_else(|| "unknown".to_owned(), |p| p.to_string()))]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// Its process.
        pid: Option<u32>,
    },
    /// The data directory cannot be used.
    #[error("cannot use the data directory {dir}")]
    DataDir {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sources cannot be watched at all.
    #[error("cannot start to watch the agents' folders")]
    Sources(#[source] std::io::Error),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No such session or cause.
    #[error("no {0} is known")]
    NotFound(String),
    /// A parameter makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// It contradicts the present state; what is wrong, then what to do.
    #[error("{0}")]
    Conflict(String),
    /// What was asked to be forgotten is; its bytes could not be wiped from the files. Why.
    #[error(
        "they are forgotten, but unused parts of the database still hold what they said: {0}; the next start of Lamplight wipes them"
    )]
    NotWiped(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine is stopping.
    #[error("the engine is stopping")]
    Stopped,
}

/// Joins an error and its causes, so that the reason reaches the reader.
pub(crate) fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl From<rusqlite::Error> for EngineError {
    fn from(e: rusqlite::Error) -> Self {
        Self::Store(e.into())
    }
}

/// Why an id names no session.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Nothing has it.
    #[error("no session has the id {0}")]
    NotFound(String),
    /// Several agents have it.
    #[error("several sessions have this id: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Ambiguous(Vec<SessionKey>),
    /// It could not be looked up.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Why telemetry was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    /// Too much waits to be committed; to be sent again in a moment.
    #[error("too much telemetry waits to be stored")]
    Busy,
    /// There is too little room on the disk; to be sent again later.
    #[error("the disk is nearly full")]
    NoRoom,
    /// The engine is stopping.
    #[error("the engine is stopping")]
    Stopped,
}
