//! The windows' subscriptions: one snapshot, then every change, until the page goes away or asks anew.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lamplight_engine::Engine;
use lamplight_model::view::StreamMessage;
use tauri::async_runtime::JoinHandle;
use tauri::ipc::Channel;
use tokio::sync::broadcast::error::RecvError;

/// The running subscriptions, at most one for each window.
#[derive(Default)]
pub struct Feed {
    /// By the window's label. Held while a task is exchanged. A task ends by itself when the engine stops or its page is
    /// gone.
    tasks: Mutex<HashMap<String, JoinHandle<()>>>,
}

impl Feed {
    /// Starts sending to the page of a window, and stops what was sent to the page before.
    pub fn start(&self, window: &str, engine: Engine, page: Channel<StreamMessage>) {
        let task = tauri::async_runtime::spawn(send_changes(engine, page));
        if let Some(last) = self.tasks().insert(window.to_owned(), task) {
            last.abort();
        }
    }

    /// Stops sending to a window.
    pub fn stop(&self, window: &str) {
        if let Some(task) = self.tasks().remove(window) {
            task.abort();
        }
    }

    fn tasks(&self) -> MutexGuard<'_, HashMap<String, JoinHandle<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn send_changes(engine: Engine, page: Channel<StreamMessage>) {
    loop {
        let mut subscription = engine.subscribe();
        if page.send(StreamMessage::Snapshot(subscription.snapshot.as_ref().clone())).is_err() {
            return;
        }
        loop {
            match subscription.changes.recv().await {
                Ok(change) => {
                    if page.send(StreamMessage::Change(change.as_ref().clone())).is_err() {
                        return;
                    }
                }
                // The page was too slow for the channel: what it missed is in a new snapshot.
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return,
            }
        }
    }
}
