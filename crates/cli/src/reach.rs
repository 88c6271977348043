//! Who answers: the engine that runs, or this process for one pass.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use lamplight_api::{ApiError, ErrorCode};
use lamplight_engine::config::Config;
use lamplight_engine::{Engine, StartError};
use lamplight_model::view::ImportTotals;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::NothingMatches;
use crate::client::{AskError, Client};

/// Time an engine that holds the data directory gets to open its socket, or another `lamp` to finish its pass.
const LOCKED_PATIENCE: Duration = Duration::from_secs(15);
/// Pause between two tries.
const LOCKED_PAUSE: Duration = Duration::from_millis(50);

/// Asks the running engine `command`; with none, does `here` in this process.
///
/// # Errors
/// [`NothingMatches`] when nothing has the id asked for, else whatever either of them says.
pub(crate) fn ask<T: DeserializeOwned>(
    config: &Config,
    command: &str,
    params: &Value,
    mut here: impl FnMut(Config) -> Result<T, HereError>,
) -> anyhow::Result<T> {
    let runtime = runtime()?;
    let client = Client::new(&config.data_dir);
    let patience = Instant::now() + LOCKED_PATIENCE;
    loop {
        match runtime.block_on(ask_engine(&client, command, params)) {
            Ok(answer) => return Ok(answer),
            Err(AskError::NobodyThere) => {}
            Err(AskError::Refused(error)) => return Err(failure(error)),
            Err(AskError::Broken(error)) => return Err(error),
        }
        match here(config.clone()) {
            Ok(answer) => return Ok(answer),
            Err(HereError::Refused(error)) => return Err(failure(error)),
            Err(HereError::Start(StartError::Locked { .. })) if Instant::now() < patience => {
                runtime.block_on(async { tokio::time::sleep(LOCKED_PAUSE).await });
            }
            Err(HereError::Start(error)) => return Err(start_failure(error)),
        }
    }
}

/// Asks the engine; where it knows no such session, has it look at the disk and asks again: it may have been started a
/// moment ago, or the session may.
async fn ask_engine<T: DeserializeOwned>(
    client: &Client,
    command: &str,
    params: &Value,
) -> Result<T, AskError> {
    match client.ask(command, params.clone()).await {
        Err(AskError::Refused(error)) if error.code == ErrorCode::NotFound => {
            client.ask::<ImportTotals>("import", json!({})).await?;
            client.ask(command, params.clone()).await
        }
        answer => answer,
    }
}

/// Why this process could not answer itself.
pub(crate) enum HereError {
    /// The data directory cannot be used.
    Start(StartError),
    /// The command says no.
    Refused(ApiError),
}

impl From<StartError> for HereError {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}

impl From<ApiError> for HereError {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

/// Starts an engine in this process, reads what is new, runs one command, and stops it.
pub(crate) fn once<T>(
    config: Config,
    body: impl FnOnce(&Engine) -> Result<T, ApiError>,
) -> Result<T, HereError> {
    let engine = Engine::start(config)?;
    let answer = engine.rescan().map_err(ApiError::from).and_then(|_| body(&engine));
    engine.shutdown();
    Ok(answer?)
}

/// An error of the command table as an error of `lamp`.
pub(crate) fn failure(error: ApiError) -> anyhow::Error {
    match error.code {
        ErrorCode::NotFound => NothingMatches(error.message).into(),
        _ => anyhow!(error.message),
    }
}

/// An error of starting an engine, with what to do.
pub(crate) fn start_failure(error: StartError) -> anyhow::Error {
    match error {
        StartError::Locked { dir, pid } => {
            let process = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
            anyhow!(
                "another Lamplight{process} uses {} and does not answer. Wait for it to finish, or stop it.",
                dir.display()
            )
        }
        StartError::DataDir { dir, source } => {
            anyhow!(
                "cannot use the data folder {}: {source}. Make it writable, or set LAMPLIGHT_DATA to another one.",
                dir.display()
            )
        }
        error => error.into(),
    }
}

/// As [`start_failure`], where one that runs already is no fault.
pub(crate) fn serve_failure(config: &Config, error: StartError) -> anyhow::Error {
    let answers = || {
        let asked = runtime().ok()?;
        asked.block_on(Client::new(&config.data_dir).ask::<Value>("status", json!({}))).ok()
    };
    match error {
        StartError::Locked { pid, .. } if answers().is_some() => {
            let process = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
            anyhow!("Lamplight runs already{process}, and there is one at a time. Use it, or quit it first.")
        }
        error => start_failure(error),
    }
}

/// The small runtime that speaks to the socket and waits for signals.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")
}

/// Returns what finishes when the process is told to stop (Ctrl-C, SIGTERM, its terminal closed).
///
/// The handlers are in place once this returns, not only when it is awaited. Call it inside a runtime.
pub(crate) fn told_to_stop() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let context = "cannot listen for signals";
    let mut interrupt = signal(SignalKind::interrupt()).context(context)?;
    let mut terminate = signal(SignalKind::terminate()).context(context)?;
    let mut hangup = signal(SignalKind::hangup()).context(context)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}
