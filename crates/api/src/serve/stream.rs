//! `GET /api/v1/stream`: a snapshot, then every change, as server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use lamplight_engine::Engine;
use lamplight_model::view::{ChangeSet, Status};
use serde::Serialize;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;

use super::routes::App;

/// Time after which a reader that lost us tries again.
const RETRY: Duration = Duration::from_secs(2);
/// Time between comments that keep a quiet stream from looking dead.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(super) async fn stream(
    State(app): State<App>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let known = headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(parse_id);
    let feed = Feed::open(app.engine, app.stop, known);
    let events =
        stream::unfold(feed, |mut feed| async move { feed.next().await.map(|event| (Ok(event), feed)) });
    Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("heartbeat"))
}

/// Reads `<engine_id>-<revision>`; engine ids may hold dashes themselves.
fn parse_id(text: &str) -> Option<(String, u64)> {
    let (engine_id, revision) = text.trim().rsplit_once('-')?;
    Some((engine_id.to_owned(), revision.parse().ok()?))
}

/// One reader's place in the engine's history.
///
/// `changes` is the engine's bounded channel: a reader that is slower than the engine loses the oldest changes there,
/// which costs it a catch-up or a new snapshot and nobody else anything.
struct Feed {
    engine: Engine,
    stop: watch::Receiver<bool>,
    changes: broadcast::Receiver<Arc<ChangeSet>>,
    engine_id: String,
    /// Revision the reader is at once it has read `ready`.
    revision: u64,
    ready: VecDeque<Event>,
}

impl Feed {
    fn open(engine: Engine, stop: watch::Receiver<bool>, known: Option<(String, u64)>) -> Self {
        let hello = Event::default().retry(RETRY);
        if let Some((engine_id, revision)) = known
            && let Some((missed, changes)) = engine.changes_since(&engine_id, revision)
        {
            let mut feed =
                Self { engine, stop, changes, engine_id, revision, ready: VecDeque::from([hello]) };
            feed.catch_up(&missed);
            return feed;
        }
        let subscription = engine.subscribe();
        let mut feed = Self {
            engine,
            stop,
            changes: subscription.changes,
            engine_id: String::new(),
            revision: 0,
            ready: VecDeque::from([hello]),
        };
        feed.take_snapshot(&subscription.snapshot);
        feed
    }

    /// Returns the next event, waiting for it; `None` when the engine or the server stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let received = tokio::select! {
                // Err means the sender is gone, which is a stop as well.
                _ = self.stop.wait_for(|stop| *stop) => return None,
                received = self.changes.recv() => received,
            };
            match received {
                Ok(change) => self.catch_up(&[change]),
                Err(RecvError::Lagged(_)) => self.reopen(),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Queues the changes that lead on from the reader's revision; starts afresh at a gap.
    fn catch_up(&mut self, changes: &[Arc<ChangeSet>]) {
        for change in changes {
            if change.revision <= self.revision {
                continue;
            }
            if change.since != self.revision {
                return self.reopen();
            }
            self.revision = change.revision;
            self.push("change", change.as_ref());
        }
    }

    /// Catches up from the engine's own history, or with a snapshot where that does not reach back far enough.
    fn reopen(&mut self) {
        if let Some((missed, changes)) = self.engine.changes_since(&self.engine_id, self.revision)
            && leads_on(&missed, self.revision)
        {
            self.changes = changes;
            self.catch_up(&missed);
            return;
        }
        let subscription = self.engine.subscribe();
        self.changes = subscription.changes;
        self.take_snapshot(&subscription.snapshot);
    }

    fn take_snapshot(&mut self, status: &Status) {
        self.engine_id.clone_from(&status.engine_id);
        self.revision = status.revision;
        self.push("snapshot", status);
    }

    fn push(&mut self, name: &str, data: &impl Serialize) {
        match serde_json::to_string(data) {
            Ok(json) => self.ready.push_back(
                Event::default().event(name).id(format!("{}-{}", self.engine_id, self.revision)).data(json),
            ),
            Err(error) => tracing::error!(%error, name, "an event cannot be written as JSON"),
        }
    }
}

/// Whether the changes lead from `revision` on without a gap.
fn leads_on(changes: &[Arc<ChangeSet>], revision: u64) -> bool {
    let mut at = revision;
    changes.iter().filter(|change| change.revision > revision).all(|change| {
        let joined = change.since == at;
        at = change.revision;
        joined
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_ids_are_read_back() {
        assert_eq!(parse_id("e1-7"), Some(("e1".to_owned(), 7)));
        assert_eq!(parse_id("0191-aa-bb-12"), Some(("0191-aa-bb".to_owned(), 12)));
        for none in ["", "7", "e1-", "e1-x", "e1--1x"] {
            assert_eq!(parse_id(none), None, "{none}");
        }
    }
}
