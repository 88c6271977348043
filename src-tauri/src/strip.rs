//! The strip: a small window that stays above the others and says who waits, for whoever has no room for the big one.

use tauri::webview::NewWindowResponse;
use tauri::{AppHandle, Manager as _, WebviewUrl, WebviewWindowBuilder};

use crate::window;

/// Label of the window, named in its capability.
pub const LABEL: &str = "strip";

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 172.0;
/// One line: the lamp and its counts.
const MIN_HEIGHT: f64 = 30.0;
const MIN_WIDTH: f64 = 180.0;

/// Returns whether it is there.
pub fn is_shown(app: &AppHandle) -> bool {
    app.get_webview_window(LABEL).is_some()
}

/// Shows or hides it.
pub fn set(app: &AppHandle, on: bool) {
    window::on_main_thread(app, move |app| match (on, app.get_webview_window(LABEL)) {
        (true, None) => build(app),
        (false, Some(strip)) => strip.destroy(),
        (true, Some(_)) | (false, None) => Ok(()),
    });
}

fn build(app: &AppHandle) -> tauri::Result<()> {
    let strip = WebviewWindowBuilder::new(app, LABEL, WebviewUrl::App("index.html#/strip".into()))
        .title("Lamplight strip")
        .inner_size(WIDTH, HEIGHT)
        .min_inner_size(MIN_WIDTH, MIN_HEIGHT)
        .always_on_top(true)
        .visible_on_all_workspaces(true)
        .decorations(false)
        .skip_taskbar(true)
        // It appears by itself at the start of the app: whoever types goes on typing where they are.
        .focused(false)
        .maximizable(false)
        .minimizable(false)
        .on_navigation(window::is_own_page)
        .on_new_window(|_url, _features| NewWindowResponse::Deny)
        .disable_drag_drop_handler()
        .build()?;
    window::paint(&strip)
}
