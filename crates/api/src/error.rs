//! What every consumer is told when a command fails.

use crate::config_file::SettingsError;
use lamplight_engine::setup::{FileError, SetupError};
use lamplight_engine::{EngineError, FindError};
use serde::{Deserialize, Serialize};

/// A failed command: a word to branch on and a sentence to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// What a program branches on.
    pub code: ErrorCode,
    /// What is wrong, then what to do; never matched on.
    pub message: String,
}

/// Kinds of failure somebody branches on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Nothing has this id, or there is no such route.
    NotFound,
    /// A bare id that more than one agent uses.
    Ambiguous,
    /// The parameters cannot be used.
    BadRequest,
    /// The token is missing or wrong.
    Unauthorized,
    /// The caller's host or origin is not the listener's own.
    Forbidden,
    /// It contradicts the present state.
    Conflict,
    /// The engine could not do it; the message says why.
    Internal,
    /// The engine is stopping or does not answer.
    Unavailable,
}

impl ApiError {
    /// Makes an error of `code` with a sentence.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The parameters cannot be used.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, message)
    }

    /// Nothing has this id.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }
}

impl From<SettingsError> for ApiError {
    fn from(error: SettingsError) -> Self {
        let code = match &error {
            SettingsError::Refused(_) | SettingsError::ByHand { .. } => ErrorCode::BadRequest,
            SettingsError::Syntax { .. }
            | SettingsError::Comment { .. }
            | SettingsError::NoFile
            | SettingsError::Busy(_) => ErrorCode::Conflict,
            SettingsError::File(_) => ErrorCode::Internal,
        };
        let mut text = error.to_string();
        if let Some(first) = text.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Self::new(code, format!("{text}."))
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let code = match &error {
            EngineError::NotFound(_) => ErrorCode::NotFound,
            EngineError::BadRequest(_) => ErrorCode::BadRequest,
            EngineError::Conflict(_) => ErrorCode::Conflict,
            EngineError::NotWiped(_) | EngineError::Store(_) => ErrorCode::Internal,
            EngineError::Stopped => ErrorCode::Unavailable,
        };
        Self::new(code, sentence(&error))
    }
}

impl From<SetupError> for ApiError {
    fn from(error: SetupError) -> Self {
        let code = match &error {
            SetupError::Outdated | SetupError::File { source: FileError::Changed { .. }, .. } => {
                ErrorCode::Conflict
            }
            SetupError::File { .. } => ErrorCode::Internal,
        };
        Self::new(code, format!("{error}."))
    }
}

impl From<FindError> for ApiError {
    fn from(error: FindError) -> Self {
        match error {
            FindError::NotFound(id) => Self::not_found(format!("No session has the id {id:?}.")),
            FindError::Ambiguous(keys) => {
                let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
                Self::new(
                    ErrorCode::Ambiguous,
                    format!("More than one session has this id; name one in full: {}.", keys.join(", ")),
                )
            }
            FindError::Engine(error) => error.into(),
        }
    }
}

/// Joins an error and its causes, so that the reason reaches the reader.
pub(crate) fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
