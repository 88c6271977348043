//! Notifications: shown, withdrawn and answered here; *when* one is due is the engine's decision.

pub mod pause;
#[cfg_attr(target_os = "linux", path = "notices/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "notices/other.rs")]
mod platform;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lamplight_engine::Notice;
use tauri::{AppHandle, Builder, Manager as _, Wry};
use tokio::sync::{mpsc, oneshot};

use pause::Pause;

use crate::host::Host;
use crate::text;

/// Requests waiting for the server. The engine sends one per cause; when full, its thread waits here, not the engine.
const QUEUE: usize = 64;
/// How long the end of the app waits for the server to take notifications back.
const FAREWELL: Duration = Duration::from_millis(500);
/// How long the server may take for one that is sent to try it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Characters of a title, and of a body: servers cut on their own, but not all of them.
const MAX_TITLE: usize = 120;
const MAX_BODY: usize = 600;

/// What the notification server is asked to do.
#[derive(Debug)]
enum Request {
    /// Show this.
    Show(Shown),
    /// Take back what was shown for this cause: it is resolved.
    Withdraw(String),
    /// Show one to try it, then answer whether somebody took it.
    Try { sound: bool, done: oneshot::Sender<bool> },
    /// Take back everything, then answer: nobody will be there for its actions.
    WithdrawAll(oneshot::Sender<()>),
}

/// One notification.
#[derive(Debug, Clone)]
struct Shown {
    /// Causes it speaks of that still stand; when none is left it is taken back.
    cause_ids: Vec<String>,
    /// `agent:session_id`; `None` when it speaks of several.
    session: Option<String>,
    title: String,
    body: String,
    has_resume: bool,
    can_focus: bool,
    /// The person wants to hear it.
    sound: bool,
}

/// The way to the task that talks to the server; empty before the start.
#[derive(Default)]
struct Outbox(Mutex<Option<mpsc::Sender<Request>>>);

/// Prepares what the platform needs before the app is built.
pub fn install(builder: Builder<Wry>) -> Builder<Wry> {
    platform::install(builder).manage(Pause::default()).manage(Outbox::default())
}

/// Starts showing what the engine finds due.
pub fn start(app: &AppHandle) {
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        // No engine: the app is ending, and says why.
        let Ok(engine) = app.state::<Host>().engine().await else { return };
        let (sender, requests) = mpsc::channel(QUEUE);
        *app.state::<Outbox>().0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender.clone());
        // The engine's receiver blocks, so it has a thread of its own; it ends with the engine.
        std::thread::spawn(move || {
            for notice in engine.notices() {
                if sender.blocking_send(request(notice)).is_err() {
                    return;
                }
            }
        });
        platform::run(&app, requests).await;
    });
}

/// Takes back what is on the screen, as the last thing before the end.
pub fn withdraw_all(app: &AppHandle) {
    let sender = app.state::<Outbox>().0.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(sender) = sender else { return };
    tauri::async_runtime::block_on(async {
        let (done, is_done) = oneshot::channel();
        // Whether the queue is full or the server silent: the app ends all the same.
        if sender.try_send(Request::WithdrawAll(done)).is_ok()
            && tokio::time::timeout(FAREWELL, is_done).await.is_err()
        {
            tracing::warn!("the notification server did not take the notifications back in time");
        }
    });
}

/// Shows a notification that says it is only a try; whether somebody took it.
pub async fn try_one(app: &AppHandle) -> bool {
    let sender = app.state::<Outbox>().0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (done, answered) = oneshot::channel();
    let sound = app.state::<Host>().started().is_some_and(|engine| engine.config().notify.sound);
    match sender {
        // A server that says nothing for so long shows nothing either.
        Some(sender) if sender.try_send(Request::Try { sound, done }).is_ok() => {
            matches!(tokio::time::timeout(PATIENCE, answered).await, Ok(Ok(true)))
        }
        _ => false,
    }
}

/// What a notification says that is sent to try it.
fn trial(sound: bool) -> Shown {
    Shown {
        sound,
        cause_ids: Vec::new(),
        session: None,
        title: "Lamplight".to_owned(),
        body: "This is how it tells you that a session needs you.".to_owned(),
        has_resume: false,
        can_focus: false,
    }
}

fn request(notice: Notice) -> Request {
    match notice {
        Notice::Show { cause_ids, session, title, body, resume, can_focus, tier: _, sound } => {
            Request::Show(Shown {
                cause_ids,
                session,
                title: text::one_line(&title, MAX_TITLE),
                body: text::lines(&body, MAX_BODY),
                has_resume: resume.is_some(),
                can_focus,
                sound,
            })
        }
        Notice::Withdraw { cause_id } => Request::Withdraw(cause_id),
    }
}
