//! The main window. Closing it destroys the webview; the lamp stays lit and the next opening builds it again.

use tauri::plugin::TauriPlugin;
use tauri::webview::NewWindowResponse;
use tauri::window::Color;
use tauri::{
    AppHandle, Emitter as _, Manager as _, Theme, Url, WebviewUrl, WebviewWindow, WebviewWindowBuilder, Wry,
};
use tauri_plugin_window_state::StateFlags;

use crate::desk;

/// Label of the window, named in its capability.
pub const LABEL: &str = "main";

/// Event of the page: show this session.
pub const OPEN_SESSION: &str = "open-session";
/// Event of the page: show what needs its person.
const OPEN_NOW: &str = "open-now";

const WIDTH: f64 = 1180.0;
const HEIGHT: f64 = 800.0;
/// The narrowest the layout is drawn for: a column beside an editor.
const MIN_WIDTH: f64 = 340.0;
const MIN_HEIGHT: f64 = 480.0;

/// The page's own background by night, so that a dark desktop sees no white flash before the first paint.
const NIGHT: Color = Color(0x16, 0x15, 0x13, 0xff);
const DAY: Color = Color(0xf6, 0xf5, 0xf2, 0xff);

/// Remembers size and place. Never whether it was visible: a start shows the window unless told otherwise.
pub fn remember_place() -> TauriPlugin<Wry> {
    tauri_plugin_window_state::Builder::new()
        .with_state_flags(StateFlags::SIZE | StateFlags::POSITION | StateFlags::MAXIMIZED)
        .build()
}

/// Builds the window.
///
/// # Errors
/// When the platform refuses a webview.
pub fn build(app: &AppHandle) -> tauri::Result<WebviewWindow> {
    let window = WebviewWindowBuilder::new(app, LABEL, WebviewUrl::default())
        .title("Lamplight")
        .inner_size(WIDTH, HEIGHT)
        .min_inner_size(MIN_WIDTH, MIN_HEIGHT)
        .on_navigation(is_own_page)
        .on_new_window(|_url, _features| NewWindowResponse::Deny)
        .disable_drag_drop_handler()
        .build()?;
    paint(&window)?;
    Ok(window)
}

/// Gives a window the background of its page.
///
/// # Errors
/// When the platform refuses.
pub fn paint(window: &WebviewWindow) -> tauri::Result<()> {
    let background = if matches!(window.theme(), Ok(Theme::Dark)) { NIGHT } else { DAY };
    window.set_background_color(Some(background))
}

/// Shows the window: raises it, or builds it again.
pub fn show(app: &AppHandle) {
    on_main_thread(app, raise);
}

/// Shows the window with what needs its person.
pub fn show_now(app: &AppHandle) {
    on_main_thread(app, |app| {
        raise(app)?;
        if desk::open_next(app, None) {
            // A page that is drawn anew shows that by itself.
            return Ok(());
        }
        app.emit_to(LABEL, OPEN_NOW, ())
    });
}

/// Shows the window with one session. `id` is `agent:session_id`.
pub fn show_session(app: &AppHandle, id: String) {
    on_main_thread(app, move |app| {
        raise(app)?;
        // A page that is not there to hear it is told when it has drawn.
        if desk::open_next(app, Some(id.clone())) {
            return Ok(());
        }
        app.emit_to(LABEL, OPEN_SESSION, id)
    });
}

/// Brings the window to the front, and builds it where there is none.
fn raise(app: &AppHandle) -> tauri::Result<()> {
    let Some(window) = app.get_webview_window(LABEL) else { return build(app).map(drop) };
    window.unminimize()?;
    window.show()?;
    window.set_focus()
}

/// Does something with windows where the platform wants it done; an error goes to the log.
pub fn on_main_thread(app: &AppHandle, act: impl FnOnce(&AppHandle) -> tauri::Result<()> + Send + 'static) {
    let handle = app.clone();
    let asked = app.run_on_main_thread(move || {
        if let Err(error) = act(&handle) {
            tracing::error!("cannot show the window: {error}");
        }
    });
    if let Err(error) = asked {
        tracing::error!("cannot show the window: {error}");
    }
}

/// Nothing but the page that came with the app is ever shown: no link of a transcript, no dropped file.
pub fn is_own_page(url: &Url) -> bool {
    url.scheme() == "tauri" || url.host_str() == Some("tauri.localhost")
}
