//! What the shell knows of the desktop around it: is there a tray, does anyone show notifications, what is on screen.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lamplight_engine::clock;
use serde::Serialize;
use tauri::{AppHandle, Emitter as _, Manager as _};

use crate::host::Host;
use crate::window;

/// Event of the page: whether a tray shows the lamp.
const TRAY: &str = "tray";

/// What the window tells its person about the desktop it lives on.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ShellInfo {
    /// Version of the app.
    pub version: &'static str,
    /// Whether a tray shows the lamp; `null` until it is known.
    pub tray: Option<bool>,
    /// Whether someone shows notifications; `null` until the first was sent.
    pub notifications: Option<bool>,
    /// Whether closing the window ends the app: without a tray nothing would lead back to it.
    pub closing_quits: bool,
}

/// Facts about the desktop, written by tray, notices and window, read by whoever needs one.
#[derive(Default)]
pub struct Desk {
    /// Held for single reads and writes only.
    facts: Mutex<Facts>,
    /// Held while the engine is told whom the person looks at, so that what was read last is told last.
    telling: Mutex<()>,
}

#[derive(Default)]
struct Facts {
    tray: Option<bool>,
    notifications: Option<bool>,
    is_focused: bool,
    on_screen: Option<String>,
    open_next: Option<String>,
    /// The page has drawn and hears events.
    is_page_ready: bool,
    is_closed_too_early: bool,
    /// When the lamp was offered to a tray, in milliseconds since the epoch: that there is none may be told after it.
    offered_at_ms: Option<i64>,
}

/// How long after the lamp was offered it may turn out that no tray took it.
const OFFER_MS: i64 = 5_000;

impl Facts {
    /// Whether nobody can know yet that a tray shows the lamp.
    fn is_tray_unsure(&self) -> bool {
        self.tray.is_none() || self.offered_at_ms.is_some_and(|at| clock::now().0 - at < OFFER_MS)
    }
}

impl Desk {
    fn facts(&self) -> MutexGuard<'_, Facts> {
        // The facts are single values: a panic elsewhere cannot have left them half written.
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what the window may show.
    pub fn info(&self) -> ShellInfo {
        let facts = self.facts();
        ShellInfo {
            version: env!("CARGO_PKG_VERSION"),
            tray: facts.tray,
            notifications: facts.notifications,
            closing_quits: facts.tray == Some(false),
        }
    }

    /// Returns whether the app goes on without its window. While nobody knows whether there is a tray it does, and ends
    /// as soon as it turns out that there is none.
    pub fn outlives_window(&self) -> bool {
        let mut facts = self.facts();
        facts.is_closed_too_early = facts.is_tray_unsure();
        facts.tray != Some(false)
    }

    /// Returns the session the person looks at right now, as `agent:session_id`. A page that is being drawn for one shows
    /// it in a moment.
    fn looked_at(&self) -> Option<String> {
        let facts = self.facts();
        facts.open_next.as_ref().or(facts.on_screen.as_ref()).filter(|_| facts.is_focused).cloned()
    }
}

/// Notes that the window gained or lost the focus.
pub fn set_focused(app: &AppHandle, is_focused: bool) {
    attend(app, |facts| facts.is_focused = is_focused);
    if is_focused && let Some(engine) = app.state::<Host>().started() {
        // Whoever comes to look wants to see what lies in the worktrees now.
        tauri::async_runtime::spawn_blocking(move || engine.look_at_worktrees());
    }
}

/// Notes whose page is on screen, `None` for none.
pub fn set_on_screen(app: &AppHandle, id: Option<String>) {
    attend(app, |facts| facts.on_screen = id);
}

/// Keeps what is to be opened, a session or nothing, for a page that does not hear yet; `false` when it does.
pub fn open_next(app: &AppHandle, id: Option<String>) -> bool {
    let mut is_kept = false;
    attend(app, |facts| {
        is_kept = !facts.is_page_ready;
        if is_kept {
            facts.open_next = id;
        }
    });
    is_kept
}

/// Notes that there is no window.
pub fn window_gone(app: &AppHandle) {
    attend(app, |facts| {
        facts.is_focused = false;
        facts.is_page_ready = false;
        facts.on_screen = None;
        facts.open_next = None;
    });
}

/// Tells the engine whom the person looks at: nobody is notified of what is before their eyes.
fn attend(app: &AppHandle, change: impl FnOnce(&mut Facts)) {
    change(&mut app.state::<Desk>().facts());
    let Some(engine) = app.state::<Host>().started() else { return };
    let app = app.clone();
    // Apart from the thread that draws: a busy engine takes its time.
    tauri::async_runtime::spawn_blocking(move || {
        let desk = app.state::<Desk>();
        let _turn = desk.telling.lock().unwrap_or_else(PoisonError::into_inner);
        engine.attend(desk.looked_at());
    });
}

/// Notes whether a tray shows the lamp, and tells the window.
pub fn set_tray(app: &AppHandle, is_there: bool) {
    let was_closed = {
        let desk = app.state::<Desk>();
        let mut facts = desk.facts();
        // A panel that goes later may come again: then the app waits for it.
        let was_unsure = facts.is_tray_unsure();
        facts.tray = Some(is_there);
        std::mem::take(&mut facts.is_closed_too_early) && was_unsure
    };
    if was_closed && !is_there {
        app.exit(0);
    }
    tell(app, TRAY, is_there);
}

/// Notes that the lamp was offered to a tray: one shows it, unless the contrary is known already, or told in a moment.
pub fn tray_offered(app: &AppHandle) {
    let desk = app.state::<Desk>();
    let mut facts = desk.facts();
    if facts.tray.is_none() {
        facts.tray = Some(true);
        facts.offered_at_ms = Some(clock::now().0);
    }
}

/// Notes whether someone shows notifications.
pub fn set_notifications(app: &AppHandle, is_there: bool) {
    app.state::<Desk>().facts().notifications = Some(is_there);
}

/// The page has drawn and listens: tells it what happened before it could hear.
pub fn page_ready(app: &AppHandle) {
    let desk = app.state::<Desk>();
    let (tray, open_next) = {
        let mut facts = desk.facts();
        facts.is_page_ready = true;
        let open_next = facts.open_next.take();
        if open_next.is_some() {
            // The page turns to it now, and says so.
            facts.on_screen = open_next.clone();
        }
        (facts.tray, open_next)
    };
    if let Some(is_there) = tray {
        tell(app, TRAY, is_there);
    }
    if let Some(id) = open_next {
        tell(app, window::OPEN_SESSION, id);
    }
}

fn tell(app: &AppHandle, event: &str, payload: impl Serialize + Clone) {
    if let Err(error) = app.emit(event, payload) {
        tracing::warn!("cannot tell the window: {error}");
    }
}
