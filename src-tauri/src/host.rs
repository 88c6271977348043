//! The engine in this process and the questions asked of it.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use lamplight_api::serve::{GrpcAddress, ServeOptions, Served};
use lamplight_api::{ApiError, ErrorCode, config_file, serve};
use lamplight_engine::setup::lamp_beside;
use lamplight_engine::{Engine, StartError};
use serde_json::Value;
use tauri::{AppHandle, Manager as _};
use tauri_plugin_dialog::{DialogExt as _, MessageDialogKind};
use tokio::sync::watch;

/// Exit code when there is no engine to show.
const FAILED: i32 = 1;

/// What to do when another engine is there.
const ONLY_ONE: &str = "Only one may use a data directory at a time. Quit the other one (`lamp serve` is one, too), then start Lamplight again; or set LAMPLIGHT_DATA to another folder.";

/// The engine, once it has started, and the local server around it.
pub struct Host {
    /// Written once by the starting thread; everyone who asks before waits here.
    engine: watch::Sender<Option<Engine>>,
    /// Held while the server is put in at start and taken out at the end.
    served: Mutex<Option<Served>>,
}

impl Default for Host {
    fn default() -> Self {
        Self { engine: watch::Sender::new(None), served: Mutex::new(None) }
    }
}

impl Host {
    /// Returns the engine, waiting for it if it is still starting.
    ///
    /// # Errors
    /// `unavailable` when the app is ending.
    pub async fn engine(&self) -> Result<Engine, ApiError> {
        let mut started = self.engine.subscribe();
        let engine = started.wait_for(Option::is_some).await.ok().and_then(|engine| engine.clone());
        engine.ok_or_else(|| ApiError::new(ErrorCode::Unavailable, "Lamplight is ending."))
    }

    /// Returns the engine if it has started already.
    pub fn started(&self) -> Option<Engine> {
        self.engine.borrow().clone()
    }

    /// Runs one command of the contract.
    ///
    /// # Errors
    /// What the command says.
    pub async fn call(&self, command: &'static str, params: Value) -> Result<Value, ApiError> {
        let engine = self.engine().await?;
        self.blocking(move || lamplight_api::call(&engine, command, params)).await
    }

    /// Runs something that reads the database, apart from the threads that draw and listen.
    ///
    /// # Errors
    /// What it says, or `internal` when it ended in the middle.
    pub async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let ended = |error: tauri::Error| {
            ApiError::new(ErrorCode::Internal, format!("The command ended in the middle: {error}."))
        };
        tauri::async_runtime::spawn_blocking(act).await.map_err(ended)?
    }

    /// Ends in order: first nobody may ask, then what is known is flushed.
    pub fn stop(&self) {
        let served = self.served.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(served) = served {
            served.shutdown();
        }
        if let Some(engine) = self.started() {
            engine.shutdown();
        }
    }
}

/// Starts engine and server beside the window, which is on its way to the screen meanwhile.
pub fn start(app: &AppHandle) {
    let app = app.clone();
    std::thread::spawn(move || {
        if let Err(reason) = start_engine(&app) {
            give_up(&app, &reason);
        }
    });
}

fn start_engine(app: &AppHandle) -> Result<(), String> {
    let mut config = config_file::load(&environment).map_err(|error| sentence(&error))?;
    let exe = std::env::current_exe().ok();
    config.setup.lamp = exe.and_then(|exe| lamp_beside(&exe, environment("PATH").as_deref()));
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let data_dir = config.data_dir.clone();
    let engine = Engine::start(config).map_err(|error| match error {
        // One engine holds a data directory; this app is not a client of another.
        StartError::Locked { .. } => format!("{}.\n\n{ONLY_ONE}", sentence(&error)),
        _ => sentence(&error),
    })?;
    config_file::follow(&engine, environment);
    let host = app.state::<Host>();
    // The window is answered from here on; the server may take its time.
    host.engine.send_replace(Some(engine.clone()));
    if config_file::shown(&engine.config()).is_ok_and(|settings| settings.strip) {
        crate::strip::set(app, true);
    }
    match serve::spawn_with(engine, options(&data_dir), telemetry()) {
        Ok(served) => *host.served.lock().unwrap_or_else(PoisonError::into_inner) = Some(served),
        // Window, tray and notifications need no server: only `lamp` and the browser do.
        Err(error) => tracing::error!(
            "no local server, `lamp` and the browser cannot reach this engine: {}",
            sentence(&error)
        ),
    }
    Ok(())
}

fn options(data_dir: &Path) -> ServeOptions {
    ServeOptions { http: None, explicit: false, data_dir: data_dir.to_owned(), ui: false }
}

/// Telemetry is received where exporters look for a receiver; a port that another program holds is left to it.
fn telemetry() -> GrpcAddress {
    GrpcAddress::Default
}

/// Says why there is nothing to show, and ends.
fn give_up(app: &AppHandle, reason: &str) {
    tracing::error!("{reason}");
    app.dialog()
        .message(reason)
        .title("Lamplight cannot start")
        .kind(MessageDialogKind::Error)
        .blocking_show();
    app.exit(FAILED);
}

#[expect(
    clippy::disallowed_methods,
    reason = "the shell is a host: it reads the environment and passes it on"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Joins an error and its causes, beginning with a capital letter.
fn sentence(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// The signals that ask the process to end. Listened to from the moment it is made.
#[cfg(unix)]
pub struct Termination {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Termination {
    /// Begins to listen. Call it on a thread of the runtime.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Returns when one has arrived.
    pub async fn arrived(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The request to end of a console.
#[cfg(not(unix))]
pub struct Termination;

#[cfg(not(unix))]
impl Termination {
    /// Nothing to prepare.
    ///
    /// # Errors
    /// Never.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    /// Returns when it has arrived; never, where there is no console.
    pub async fn arrived(self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
