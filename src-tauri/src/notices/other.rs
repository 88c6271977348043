//! The system's own notifications, through the plugin: shown, without actions or withdrawal.

use tauri::{AppHandle, Builder, Wry};
use tauri_plugin_notification::NotificationExt as _;
use tokio::sync::mpsc::Receiver;

use super::Request;
use crate::desk;

/// Adds the plugin.
pub fn install(builder: Builder<Wry>) -> Builder<Wry> {
    builder.plugin(tauri_plugin_notification::init())
}

/// Shows as asked until the sender is gone. The plugin cannot take a notification back.
pub async fn run(app: &AppHandle, mut requests: Receiver<Request>) {
    while let Some(request) = requests.recv().await {
        match request {
            Request::Show(notice) => {
                match app.notification().builder().title(&notice.title).body(&notice.body).show() {
                    Ok(()) => desk::set_notifications(app, true),
                    Err(error) => {
                        desk::set_notifications(app, false);
                        tracing::warn!("cannot show a notification: {error}");
                    }
                }
            }
            Request::Try { done, .. } => {
                let trial = super::trial(false);
                let shown = app.notification().builder().title(&trial.title).body(&trial.body).show();
                desk::set_notifications(app, shown.is_ok());
                // The one who waited may have stopped waiting.
                drop(done.send(shown.is_ok()));
            }
            Request::Withdraw(_) => {}
            // The one who waited may have stopped waiting.
            Request::WithdrawAll(done) => drop(done.send(())),
        }
    }
}
