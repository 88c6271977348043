//! The window's subscription: one snapshot, then every change, until the page goes away or asks anew.

use std::sync::{Mutex, PoisonError};

use lamplight_engine::Engine;
use lamplight_model::view::StreamMessage;
use tauri::async_runtime::JoinHandle;
use tauri::ipc::Channel;
use tokio::sync::broadcast::error::RecvError;

/// The running subscription. There is one window, so there is at most one.
#[derive(Default)]
pub struct Feed {
    /// Held while the task is exchanged. The task ends by itself when the engine stops or the page is gone.
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Feed {
    /// Starts sending to a page, and stops what was sent to the one before.
    pub fn start(&self, engine: Engine, page: Channel<StreamMessage>) {
        self.exchange(Some(tauri::async_runtime::spawn(send_changes(engine, page))));
    }

    /// Stops sending.
    pub fn stop(&self) {
        self.exchange(None);
    }

    fn exchange(&self, next: Option<JoinHandle<()>>) {
        let last = std::mem::replace(&mut *self.task.lock().unwrap_or_else(PoisonError::into_inner), next);
        if let Some(task) = last {
            task.abort();
        }
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
