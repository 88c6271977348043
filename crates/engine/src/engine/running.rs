//! The threads of a running engine and what its handles share.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use lamplight_model::view::SourceView;

use super::command::Command;
use super::settings::Follower;
use super::writer::Writer;
use super::{EngineError, StartError};
use crate::board::Board;
use crate::clock;
use crate::config::Config;
use crate::core::Core;
use crate::facts::{Cursor, Input};
use crate::forget::Ignored;
use crate::forward::{self, Forwarding};
use crate::lock::DirLock;
use crate::otlp::Uncommitted;
use crate::sources::scout::{self, Order};
use crate::store::Store;
use crate::terminals::Finder;
use crate::worktrees::{Git, Pace, Tender};

/// Inputs that may wait for the writer. A batch holds up to 4 MB of records, so this bounds memory to tens of MB;
/// when it is full the sources stop reading.
const QUEUE: usize = 32;

#[derive(Debug)]
pub(super) struct Running {
    pub(super) board: Arc<Board>,
    /// Replaced as a whole when the settings change.
    config: Mutex<Arc<Config>>,
    data_dir: PathBuf,
    /// Ends when dropped.
    pub(super) settings: Mutex<Option<Follower>>,
    pub(super) commands: SyncSender<Command>,
    /// Telemetry that waits to be committed.
    pub(super) uncommitted: Arc<Uncommitted>,
    /// The disk is nearly full; set by the writer.
    pub(super) has_no_room: Arc<AtomicBool>,
    /// Held while sessions are forgotten: one request after the other.
    pub(super) forgetting: Mutex<()>,
    /// Requests for a listing so far.
    pub(super) asked: AtomicU64,
    /// Set when the threads are to stop; ends a first import early.
    is_stopping: Arc<AtomicBool>,
    /// Handles of the threads, taken by the first to stop them.
    pub(super) threads: Mutex<Option<Threads>>,
    /// Passing telemetry on, where the user named a place; replaced when the settings change.
    forwarding: Mutex<Option<Arc<Forwarding>>>,
    /// Where telemetry is received; nothing is forwarded there.
    receiving: Mutex<Option<Vec<SocketAddr>>>,
    /// Connections for reading; as many as there are readers at once, which a person's clicks keep at one or two.
    readers: Mutex<Vec<rusqlite::Connection>>,
    _lock: DirLock,
}

#[derive(Debug)]
pub(super) struct Threads {
    pub(super) writer: JoinHandle<()>,
    pub(super) sources: JoinHandle<()>,
    pub(super) worktrees: Option<Tender>,
    pub(super) terminals: Option<Finder>,
    pub(super) orders: Sender<Order>,
}

impl Running {
    /// Opens the store and starts the threads.
    pub(super) fn start(config: Config) -> Result<Self, StartError> {
        let lock = DirLock::take(&config.data_dir)?;
        let store = Store::open(&config.data_dir, config.durable)?;
        for what in &store.healed {
            tracing::warn!(what, "the database lacked a part and was healed");
        }
        let core = Core::new(store, config.clone(), clock::now())?;
        let has_no_room = core.has_no_room();
        let board = Arc::clone(&core.board);
        let (commands, inbox) = sync_channel(QUEUE);
        let (orders, orders_inbox) = channel();
        let to_sources = orders.clone();
        let to_self = commands.clone();
        let is_stopping = Arc::new(AtomicBool::new(false));
        let (stopping, is_over) = (Arc::clone(&is_stopping), Arc::clone(&is_stopping));
        let to_writer = commands.clone();
        let tell = move |input| to_writer.send(Command::Facts(input)).is_ok();
        let worktrees = config.git.then(|| Tender::start(Git::default(), Pace::default(), tell)).transpose();
        // Without these threads the worktrees are not known, and everything else goes on.
        let worktrees = worktrees.unwrap_or_else(|error| {
            tracing::error!(%error, "worktrees cannot be looked at");
            None
        });
        let to_worktrees = worktrees.as_ref().map(|tender| tender.orders.clone());
        let to_writer = commands.clone();
        let tell = move |input| to_writer.send(Command::Facts(input)).is_ok();
        let terminals = config.terminals.then(|| Finder::start(tell)).transpose();
        // As above.
        let terminals = terminals.unwrap_or_else(|error| {
            tracing::error!(%error, "terminals cannot be looked for");
            None
        });
        let to_terminals = terminals.as_ref().map(|finder| finder.orders.clone());
        let first_import = !core.is_imported()?;
        let ignored = core.forgotten.clone();
        let (ready, cursors_ready) = channel();
        let writer = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                let mut writer = Writer::new(core, to_sources, to_worktrees, to_terminals, to_self);
                if first_import {
                    writer.import_first(|| stopping.load(Ordering::Relaxed));
                }
                writer.finish_forgetting();
                // The sources go on from where the import ended; an error means that they are gone already.
                let _ = ready.send(writer.cursors());
                writer.run(&inbox);
            })
            .map_err(StartError::Sources)?;
        let to_writer = commands.clone();
        let source_config = config.clone();
        let sources = std::thread::Builder::new()
            .name("sources".to_owned())
            .spawn(move || {
                let cursors = match cursors_ready.recv() {
                    Ok(Ok(cursors)) => cursors,
                    Ok(Err(error)) => {
                        tracing::error!(%error, "how far the files were read is not known");
                        // The writer may be gone.
                        let _ = to_writer.send(Command::SourcesFailed);
                        return;
                    }
                    Err(_) => return,
                };
                run_sources(&source_config, cursors, ignored, &to_writer, orders_inbox, &is_over);
            })
            .map_err(StartError::Sources)?;
        if config.forward.is_none() && !config.forward_unclear {
            forward::clear(&config.data_dir);
        }
        let running = Self {
            board,
            data_dir: config.data_dir.clone(),
            config: Mutex::new(Arc::new(config)),
            settings: Mutex::default(),
            forwarding: Mutex::default(),
            receiving: Mutex::default(),
            commands,
            uncommitted: Arc::default(),
            has_no_room,
            forgetting: Mutex::default(),
            asked: AtomicU64::new(0),
            is_stopping,
            threads: Mutex::new(Some(Threads { writer, sources, worktrees, terminals, orders })),
            readers: Mutex::new(Vec::new()),
            _lock: lock,
        };
        running.start_forwarding();
        Ok(running)
    }

    /// Passing telemetry on, while that is wanted.
    pub(super) fn forwarding(&self) -> Option<Arc<Forwarding>> {
        self.forwarding.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says where telemetry is received.
    pub(super) fn set_receiving(&self, addresses: Vec<SocketAddr>) {
        let mut receiving = self.receiving.lock().unwrap_or_else(PoisonError::into_inner);
        *receiving = Some(addresses.clone());
        if let Some(forwarding) = self.forwarding() {
            forwarding.set_own(addresses);
        }
    }

    /// Stops forwarding as it was and starts it as the settings say now. What waits on disk is kept: it goes to the new
    /// place, or is cleared at the next start without one.
    pub(super) fn restart_forwarding(&self) {
        let before = self.forwarding.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(before) = before {
            before.stop();
        }
        self.start_forwarding();
    }

    /// Starts forwarding where the user named a place. That it cannot start is shown, and stops nothing else.
    fn start_forwarding(&self) {
        let config = self.config();
        let Some(forward) = &config.forward else { return self.tell_forwarding(None) };
        let to_writer = self.commands.clone();
        let tell =
            move |view| to_writer.try_send(Command::Facts(Input::Forwarding(Some(Box::new(view))))).is_ok();
        let board = Arc::clone(&self.board);
        match Forwarding::start(forward.clone(), &config.data_dir, board, Box::new(tell)) {
            Ok(forwarding) => {
                let receiving = self.receiving.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(addresses) = receiving.as_ref() {
                    forwarding.set_own(addresses.clone());
                }
                *self.forwarding.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(forwarding));
            }
            Err(error) => {
                tracing::error!(%error, "forwarding cannot start");
                self.tell_forwarding(Some(Box::new(forward::failed(forward))));
            }
        }
    }

    fn tell_forwarding(&self, view: Option<Box<SourceView>>) {
        // A stopped engine shows nothing.
        let _ = self.commands.send(Command::Facts(Input::Forwarding(view)));
    }

    /// What it runs with now.
    pub(super) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_config(&self, config: Arc<Config>) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
    }

    pub(super) fn ask<T>(
        &self,
        command: impl FnOnce(Sender<Result<T, EngineError>>) -> Command,
    ) -> Result<T, EngineError> {
        let (answer, done) = channel();
        self.commands.send(command(answer)).map_err(|_| EngineError::Stopped)?;
        done.recv().map_err(|_| EngineError::Stopped)?
    }

    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let pooled = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let db = match pooled {
            Some(db) => db,
            None => crate::store::read_only(&self.data_dir)?,
        };
        let done = work(&db);
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(db);
        done
    }

    pub(super) fn stop(&self) {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(threads) = threads else { return };
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.is_stopping.store(true, Ordering::Relaxed);
        // Either thread may be gone already; then there is nothing to tell it.
        let _ = threads.orders.send(Order::Stop);
        let sources = threads.sources.join();
        if let Some(tender) = threads.worktrees {
            tender.stop();
        }
        if let Some(finder) = threads.terminals {
            finder.stop();
        }
        let _ = self.commands.send(Command::Stop);
        let writer = threads.writer.join();
        if sources.is_err() || writer.is_err() {
            tracing::error!("a thread of the engine had panicked");
        }
        // Last, with everything that was committed in its queue.
        if let Some(forwarding) = self.forwarding() {
            forwarding.stop();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run_sources(
    config: &Config,
    cursors: Vec<Cursor>,
    ignored: Ignored,
    to_writer: &SyncSender<Command>,
    orders: Receiver<Order>,
    is_stopping: &AtomicBool,
) {
    let (facts, inbox) = sync_channel::<Input>(QUEUE);
    let scout = match scout::spawn(config, cursors, ignored, facts, orders) {
        Ok(scout) => scout,
        Err(error) => {
            tracing::error!(%error, "the agents' folders cannot be watched");
            // The writer may be gone.
            let _ = to_writer.send(Command::SourcesFailed);
            return;
        }
    };
    // Ends when the scout drops its sender: after an order to stop, with everything it read delivered, or by a fault.
    for input in inbox {
        if to_writer.send(Command::Facts(input)).is_err() {
            break;
        }
    }
    if !is_stopping.load(Ordering::Relaxed) {
        tracing::error!("the sources met a fault of their own; reading stops");
        // An old screen must not look like the truth. The writer may be gone.
        let _ = to_writer.send(Command::SourcesFailed);
    }
    scout.join();
}
