//! Lamplight's own session facts as OTLP: a log record for each change of a session's state, and metrics every minute.
//!
//! Taken from what the board publishes, as the window takes it; nothing of the way to the screen knows of it.

mod facts;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use super::Shared;
use super::inbox::Item;
use super::repack::Part;
use crate::board::{Board, Subscription};
use crate::clock;
use crate::sources::otlp::Signal;
use facts::{Facts, Origin};

/// Time in which changes are put together into one request.
const GATHER: Duration = Duration::from_secs(1);

/// First and next metrics after a start.
const METRICS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// Sends facts into the queue until told to stop.
pub(super) async fn run(shared: Arc<Shared>, board: Arc<Board>, mut stop: watch::Receiver<bool>) {
    if !shared.config.own {
        return;
    }
    tokio::select! {
        // An error means that the sender is gone, which is a stop as well.
        _ = stop.wait_for(|stop| *stop) => {}
        () = tell_changes(&shared, &board) => {}
        () = tell_numbers(&shared, &board) => {}
    }
}

fn origin(shared: &Shared) -> Origin {
    Origin { host: host_name(), instance: shared.sender.clone() }
}

/// Ends with the board only.
async fn tell_changes(shared: &Shared, board: &Board) {
    if !shared.config.signals.contains(&Signal::Logs) {
        return std::future::pending().await;
    }
    let mut facts = Facts::new(shared.config.content);
    let origin = origin(shared);
    loop {
        let Subscription { snapshot, mut changes } = board.subscribe(clock::now());
        put(shared, Signal::Logs, origin.logs(facts.snapshot(&snapshot)));
        'gap: loop {
            let mut change = match changes.recv().await {
                Ok(change) => change,
                Err(RecvError::Lagged(_)) => break 'gap,
                Err(RecvError::Closed) => return,
            };
            let mut records = Vec::new();
            sleep(GATHER).await;
            let is_gap = loop {
                records.extend(facts.change(&change));
                change = match changes.try_recv() {
                    Ok(change) => change,
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break false,
                    Err(TryRecvError::Lagged(_)) => break true,
                };
            };
            put(shared, Signal::Logs, origin.logs(records));
            if is_gap {
                break 'gap;
            }
        }
    }
}

async fn tell_numbers(shared: &Shared, board: &Board) {
    if !shared.config.signals.contains(&Signal::Metrics) {
        return std::future::pending().await;
    }
    let origin = origin(shared);
    let mut tick = interval_at(Instant::now() + METRICS.0, METRICS.1);
    // After sleep one is enough.
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let status = board.status(clock::now());
        if status.importing.is_some() {
            continue;
        }
        let data_dir = shared.data_dir.clone();
        let totals = tokio::task::spawn_blocking(move || {
            crate::store::read_only(&data_dir).and_then(|db| crate::store::rows::totals(&db))
        });
        match totals.await {
            Ok(Ok(totals)) => put(shared, Signal::Metrics, origin.metrics(facts::metrics(&status, &totals))),
            // Told with the next ones; a store that fails is shown elsewhere.
            Ok(Err(error)) => tracing::debug!(%error, "totals cannot be read for forwarding"),
            Err(error) => tracing::error!(%error, "totals ended with a panic"),
        }
    }
}

fn put(shared: &Shared, signal: Signal, part: Option<Part>) {
    if let Some(part) = part {
        shared.put(Item::Own { signal, part });
    }
}

/// The machine's name, as the system tells it.
#[cfg(unix)]
fn host_name() -> Option<String> {
    let name = rustix::system::uname();
    name.nodename().to_str().ok().filter(|name| !name.is_empty()).map(str::to_owned)
}

#[cfg(not(unix))]
fn host_name() -> Option<String> {
    None
}
