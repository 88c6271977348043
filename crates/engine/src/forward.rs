//! Passing on what is received, and Lamplight's own session facts, to an OpenTelemetry Collector. Off unless the user names
//! one.
//!
//! A request that was committed goes through [`inbox`] to a thread that makes it ready (`repack`: protobuf, and by default
//! without anything somebody said, `strip` and `content`) and appends it to the [`queue`] on disk; then it is acknowledged.
//! A second thread sends what waits there, in order, until the Collector has it (`deliver`, `send`). The writer of the
//! database takes no part in any of this, and a dead Collector stops nothing: the queue is bounded, and its oldest part
//! gives way.
//!
//! Start from [`Forwarding`].

mod codec;
mod content;
mod deliver;
mod endpoint;
mod health;
mod inbox;
mod own;
mod queue;
mod repack;
mod send;
mod strip;
mod wire;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use lamplight_model::view::SourceView;
use tokio::sync::{Notify, oneshot, watch};

use crate::board::Board;
use crate::clock;
use crate::config::Forward;
use crate::sources::otlp::{Encoding, Signal};

pub use codec::BytesCodec;
pub use endpoint::{Endpoint, Header, Protocol};
pub use health::ForwardTotals;

use health::Health;
use inbox::{Inbox, Item};
use queue::{Entry, Queue};

/// The queue's folder within the data directory.
const FOLDER: &str = "forward";

/// Tells the health of forwarding to whoever shows it; `false` when it could not be told now.
pub(crate) type Tell = Box<dyn Fn(SourceView) -> bool + Send>;

/// A request as it was received.
#[derive(Debug, Clone)]
pub struct Original {
    /// What it carries.
    pub signal: Signal,
    /// How it is written.
    pub encoding: Encoding,
    /// Its body, inflated.
    pub body: Bytes,
}

/// A request that waits for its commit, to be passed on after it.
#[derive(Debug)]
pub(crate) struct PassOn {
    shared: Arc<Shared>,
    item: Item,
}

impl PassOn {
    /// It was committed. Never waits.
    pub(crate) fn go(self) {
        self.shared.put(self.item);
    }
}

/// Forwarding while the engine runs.
#[derive(Debug)]
pub(crate) struct Forwarding {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What the threads share.
#[derive(Debug)]
struct Shared {
    config: Forward,
    data_dir: PathBuf,
    /// Random, one per start: knows our own requests when they come back.
    sender: String,
    inbox: Inbox,
    queue: Queue,
    /// Addresses we receive telemetry on; `None` until the host said so.
    own: Mutex<Option<Vec<SocketAddr>>>,
    own_known: Notify,
    health: Mutex<Health>,
    /// Told when it changed.
    health_changed: Notify,
}

impl Shared {
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something into the inbox and counts what gave way.
    fn put(&self, item: Item) {
        let lost = self.inbox.put(item);
        if lost > 0 {
            self.queue.lost(lost);
        }
    }
}

impl Forwarding {
    /// Opens the queue and starts the threads.
    ///
    /// # Errors
    /// When the queue cannot be opened or a thread cannot be started.
    pub(crate) fn start(
        config: Forward,
        data_dir: &Path,
        board: Arc<Board>,
        tell: Tell,
    ) -> std::io::Result<Self> {
        let queue = Queue::open(&data_dir.join(FOLDER), config.max_bytes)?;
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(std::io::Error::other)?;
        let shared = Arc::new(Shared {
            config,
            data_dir: data_dir.to_owned(),
            sender: random.iter().map(|byte| format!("{byte:02x}")).collect(),
            inbox: Inbox::default(),
            queue,
            own: Mutex::new(None),
            own_known: Notify::new(),
            health: Mutex::default(),
            health_changed: Notify::new(),
        });
        let (stop, stopped) = watch::channel(false);
        let to_queue = Arc::clone(&shared);
        let queuing = std::thread::Builder::new()
            .name("forward-queue".to_owned())
            .spawn(move || run_queue(&to_queue))?;
        let to_send = Arc::clone(&shared);
        let forwarding = Self { shared, stop, threads: Mutex::new(vec![queuing]) };
        let sending = std::thread::Builder::new()
            .name("forward".to_owned())
            .spawn(move || run_sender(to_send, board, tell, stopped))?;
        forwarding.threads.lock().unwrap_or_else(PoisonError::into_inner).push(sending);
        Ok(forwarding)
    }

    /// Makes ready to pass a request on once it is committed; `None` when its signal is not wanted. The receiver is told
    /// when it is in the queue, and ends when it had to give way to newer ones.
    pub(crate) fn prepare(
        &self,
        original: Original,
        records: u64,
    ) -> Option<(PassOn, oneshot::Receiver<()>)> {
        let Original { signal, encoding, body } = original;
        if !self.shared.config.signals.contains(&signal) {
            return None;
        }
        let (queued, is_queued) = oneshot::channel();
        let item = Item::Received { signal, encoding, body, records, queued };
        Some((PassOn { shared: Arc::clone(&self.shared), item }, is_queued))
    }

    /// Whether a request's mark says that this engine sent it.
    pub(crate) fn is_own(&self, mark: &[u8]) -> bool {
        let is_own = mark == self.shared.sender.as_bytes();
        if is_own {
            self.shared.health().came_back(clock::now());
            self.shared.health_changed.notify_one();
        }
        is_own
    }

    /// Says where this engine receives telemetry: nothing is sent there.
    pub(crate) fn set_own(&self, own: Vec<SocketAddr>) {
        *self.shared.own.lock().unwrap_or_else(PoisonError::into_inner) = Some(own);
        self.shared.own_known.notify_one();
    }

    /// The numbers so far.
    pub(crate) fn totals(&self) -> ForwardTotals {
        let fill = self.shared.queue.fill();
        self.shared.health().totals(fill)
    }

    /// Appends what was taken in and stops sending; what waits is sent after the next start.
    pub(crate) fn stop(&self) {
        self.shared.inbox.close();
        self.stop.send_replace(true);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of forwarding had panicked");
            }
        }
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What is shown when forwarding could not be started.
pub(crate) fn failed(config: &Forward) -> SourceView {
    let mut health = Health::default();
    health.disk_failed(clock::now());
    health.view(config, queue::Fill::default(), clock::now())
}

/// Removes what waits: forwarding is off, and what was meant for one place must not go to another one later.
pub(crate) fn clear(data_dir: &Path) {
    if let Err(error) = queue::remove(&data_dir.join(FOLDER)) {
        tracing::warn!(%error, "the queue of forwarding cannot be removed, though it is off");
    }
}

/// Header by which an engine knows its own requests; see [`Forwarding::is_own`].
pub const SENDER_HEADER: &str = send::SENDER;

/// Makes requests ready and appends them, one after the other, until the inbox is closed and empty.
fn run_queue(shared: &Shared) {
    while let Some(item) = shared.inbox.take() {
        let (signal, parts, queued) = match item {
            Item::Received { signal, encoding, body, queued, .. } => {
                (signal, repack::repack(signal, encoding, &body, shared.config.content), Some(queued))
            }
            Item::Own { signal, part } => (signal, vec![part], None),
        };
        for part in parts {
            let entry =
                Entry { signal, content: shared.config.content, records: part.records, body: part.body };
            match shared.queue.push(&entry) {
                Ok(()) => shared.health().disk_works(),
                Err(error) => {
                    tracing::debug!(%error, "a request cannot be queued");
                    shared.health().disk_failed(clock::now());
                }
            }
        }
        if let Some(queued) = queued {
            // The exporter may have hung up.
            let _ = queued.send(());
        }
    }
}

fn run_sender(shared: Arc<Shared>, board: Arc<Board>, tell: Tell, stop: watch::Receiver<bool>) {
    let runtime =
        match tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build() {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!(%error, "forwarding cannot start");
                return;
            }
        };
    runtime.block_on(async {
        let own = own::run(Arc::clone(&shared), board, stop.clone());
        tokio::join!(deliver::run(&shared, tell, stop), own);
    });
    // A file that is being synced, or a name that is being looked up, is not waited for.
    runtime.shutdown_background();
}
