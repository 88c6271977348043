//! What the shell knows of the desktop around it: is there a tray, does anyone show notifications, what is on screen.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tauri::{AppHandle, Emitter as _, Manager as _};

use crate::host::Host;

/// Event of the page: the facts of [`ShellInfo`] changed.
const SHELL_CHANGED: &str = "shell-info";

/// What the window tells its person about the desktop it lives on.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ShellInfo {
    /// Version of the app.
    pub version: &'static str,
    /// Whether a tray shows the lamp; `null` until it is known.
    pub tray: Option<bool>,
    /// Whether someone shows notifications; `null` until the first was sent.
    pub notifications: Option<bool>,
    /// Whether closing the window ends the app. True without a tray: nothing would lead back to it.
    pub closing_quits: bool,
}

/// Facts about the desktop, written by tray, notices and window, read by whoever needs one.
#[derive(Default)]
pub struct Desk {
    /// Held for single reads and writes only.
    facts: Mutex<Facts>,
}

#[derive(Default)]
struct Facts {
    tray: Option<bool>,
    notifications: Option<bool>,
    is_focused: bool,
    on_screen: Option<String>,
    open_next: Option<String>,
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

    /// Returns whether closing the window ends the app.
    pub fn closing_quits(&self) -> bool {
        self.info().closing_quits
    }

    /// Keeps a session for the page that is being built.
    pub fn open_next(&self, id: String) {
        self.facts().open_next = Some(id);
    }

    /// Returns the session the page should open with, once.
    pub fn take_open_next(&self) -> Option<String> {
        self.facts().open_next.take()
    }

    /// Returns the session the person looks at right now, as `agent:session_id`.
    fn looked_at(&self) -> Option<String> {
        let facts = self.facts();
        facts.on_screen.clone().filter(|_| facts.is_focused)
    }
}

/// Notes that the window gained or lost the focus.
pub fn set_focused(app: &AppHandle, is_focused: bool) {
    attend(app, |facts| facts.is_focused = is_focused);
}

/// Notes whose page is on screen, `None` for none.
pub fn set_on_screen(app: &AppHandle, id: Option<String>) {
    attend(app, |facts| facts.on_screen = id);
}

/// Notes that there is no window.
pub fn window_gone(app: &AppHandle) {
    attend(app, |facts| {
        facts.is_focused = false;
        facts.on_screen = None;
    });
}

/// Tells the engine whom the person looks at: nobody is notified of what is before their eyes.
fn attend(app: &AppHandle, change: impl FnOnce(&mut Facts)) {
    let desk = app.state::<Desk>();
    let before = desk.looked_at();
    change(&mut desk.facts());
    let looked_at = desk.looked_at();
    if before != looked_at
        && let Some(engine) = app.state::<Host>().started()
    {
        engine.attend(looked_at);
    }
}

/// Notes whether a tray shows the lamp, and tells the window when that changed.
pub fn set_tray(app: &AppHandle, is_there: bool) {
    tell_if_changed(app, |facts| facts.tray.replace(is_there) != Some(is_there));
}

/// Notes whether someone shows notifications, and tells the window when that changed.
pub fn set_notifications(app: &AppHandle, is_there: bool) {
    tell_if_changed(app, |facts| facts.notifications.replace(is_there) != Some(is_there));
}

fn tell_if_changed(app: &AppHandle, change: impl FnOnce(&mut Facts) -> bool) {
    let desk = app.state::<Desk>();
    let is_changed = change(&mut desk.facts());
    if is_changed && let Err(error) = app.emit(SHELL_CHANGED, desk.info()) {
        tracing::warn!("cannot tell the window about the desktop: {error}");
    }
}
