//! Menu bar of macOS and notification area of Windows: not built until someone can run it there. Without it the window
//! says that there is no tray, and closing it ends the app.

use tauri::AppHandle;

use crate::board::Summary;
use crate::desk;

/// No tray.
pub struct Tray;

impl Tray {
    /// Says that there is none.
    pub async fn start(app: &AppHandle) -> Self {
        desk::set_tray(app, false);
        Self
    }

    /// Nothing to show it in.
    pub async fn show(&self, _summary: Summary) {}
}
