//! The lamp in the tray: three shapes, the count of what needs its person, and a menu that leads there.

#[cfg(target_os = "linux")]
mod icon;
#[cfg_attr(target_os = "linux", path = "tray/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "tray/other.rs")]
mod platform;

use std::time::Duration;

use lamplight_engine::Engine;
use tauri::{AppHandle, Manager as _};
use tokio::sync::broadcast::error::RecvError;

use crate::board::{Board, Summary};
use crate::host::Host;
use crate::notices::pause::Pause;

/// Starts the tray and keeps it up to date until the engine stops.
pub fn start(app: &AppHandle) {
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        let tray = platform::Tray::start(&app).await;
        // No engine: the app is ending, and says why.
        if let Ok(engine) = app.state::<Host>().engine().await {
            follow(&app, &engine, &tray).await;
        }
    });
}

async fn follow(app: &AppHandle, engine: &Engine, tray: &platform::Tray) {
    let mut shown = Summary::default();
    loop {
        let mut subscription = engine.subscribe();
        let mut board = Board::from_snapshot(&subscription.snapshot);
        loop {
            let pause = app.state::<Pause>();
            let is_paused = pause.chosen().is_some();
            let summary = Summary { is_paused, ..board.summary(lamplight_engine::clock::now().0) };
            if summary != shown {
                tray.show(summary.clone()).await;
                shown = summary;
            }
            let now = lamplight_engine::clock::now().0;
            let next = async {
                match board.next_call(now).map(|until| u64::try_from(until - now).unwrap_or(0)) {
                    // A day at a time: a timer over the far day of a snooze without end would overflow.
                    Some(ms) => tokio::time::sleep(Duration::from_millis(ms.min(86_400_000))).await,
                    None => std::future::pending().await,
                }
            };
            let change = tokio::select! {
                change = subscription.changes.recv() => change,
                () = next => continue,
                () = pause.changed() => continue,
            };
            match change {
                Ok(change) => board.apply(&change),
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return,
            }
        }
    }
}
