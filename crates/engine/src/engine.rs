//! A running engine: the writer's thread, the sources' threads, and the handle that hosts hold.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lamplight_model::ids::{FactId, SessionKey, Timestamp};
use lamplight_model::view::{
    ChangeSet, ImportProgress, ImportTotals, SessionCard, SessionDetail, SessionPage, Status,
};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::board::{Board, Subscription};
use crate::clock;
use crate::config::Config;
use crate::core::{Core, Notice};
use crate::facts::{self, Input};
use crate::import;
use crate::lock::DirLock;
use crate::otlp::{Uncommitted, Waiting};
use crate::sources::hooks;
use crate::sources::otlp::{Batch, PartialSuccess};
use crate::sources::scout::{self, Order};
use crate::store::{Store, StoreError};
use crate::{archive, detail};

/// Inputs that may wait for the writer. A batch holds up to 4 MB of records, so this bounds memory to tens of MB;
/// when it is full the sources stop reading.
const QUEUE: usize = 32;

/// Most inputs committed together.
const GROUP: usize = 256;

/// Shortest time between two publications.
const PUBLISH_MS: u64 = 16;

/// A wall clock that ran this much further than the running time means that the machine slept or was set.
const SLEPT_MS: i64 = 10_000;

/// After sleep nothing is told for so long: registries are looked at again first.
const AFTER_SLEEP_MS: i64 = 3_000;

/// Longest time without a look at the clock, for rules whose moment a suspended machine slept through.
const TICK: Duration = Duration::from_secs(30);

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another engine holds the data directory.
    #[error("another Lamplight (pid {}) uses {dir}", pid.map_or_else(|| "unknown".to_owned(), |p| p.to_string()))]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// Its process.
        pid: Option<u32>,
    },
    /// The data directory cannot be used.
    #[error("cannot use the data directory {dir}")]
    DataDir {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sources cannot be watched at all.
    #[error("cannot start to watch the agents' folders")]
    Sources(#[source] std::io::Error),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No such session or cause.
    #[error("no {0} is known")]
    NotFound(String),
    /// A parameter makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine is stopping.
    #[error("the engine is stopping")]
    Stopped,
}

impl From<rusqlite::Error> for EngineError {
    fn from(e: rusqlite::Error) -> Self {
        Self::Store(e.into())
    }
}

/// Why an id names no session.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Nothing has it.
    #[error("no session has the id {0}")]
    NotFound(String),
    /// Several agents have it.
    #[error("several sessions have this id: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Ambiguous(Vec<SessionKey>),
    /// It could not be looked up.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Why telemetry was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    /// Too much waits to be committed; to be sent again in a moment.
    #[error("too much telemetry waits to be stored")]
    Busy,
    /// The engine is stopping.
    #[error("the engine is stopping")]
    Stopped,
}

/// What to do with a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum CauseAction {
    /// The person has seen to it.
    Dismiss,
    /// Takes a dismissal or a snooze back.
    Restore,
    /// Puts it off.
    Snooze {
        /// Until when, milliseconds since the epoch.
        until_ms: i64,
    },
}

/// What the writer is asked to do besides facts. Answers go back through the sender inside.
#[derive(Debug)]
enum Command {
    Facts(Input),
    /// Telemetry; answered once it is committed.
    Ingest {
        batch: Box<Batch>,
        waiting: Waiting,
        answer: tokio::sync::oneshot::Sender<()>,
    },
    SetLabel {
        key: SessionKey,
        label: Option<String>,
        answer: Sender<Result<SessionCard, EngineError>>,
    },
    Close {
        session: Option<String>,
        answer: Sender<Result<u64, EngineError>>,
    },
    SetCause {
        id: FactId,
        action: CauseAction,
        answer: Sender<Result<(), EngineError>>,
    },
    Pause(bool),
    Attend(Option<String>),
    Notices(Sender<Notice>),
    Barrier(Sender<()>),
    /// Answered when the next complete listing has been stored.
    AwaitListed {
        number: u64,
        answer: Sender<()>,
    },
    /// A story was read, or could not be.
    Story {
        session: i64,
        story: Option<detail::Story>,
    },
    /// Answered as soon as one complete listing has been stored since the start.
    AwaitFirstLook(Sender<()>),
    Stop,
}

/// A running engine. Clones share it; it stops when [`Engine::shutdown`] is called or the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Running>,
}

#[derive(Debug)]
struct Running {
    board: Arc<Board>,
    config: Config,
    commands: SyncSender<Command>,
    /// Telemetry that waits to be committed.
    uncommitted: Arc<Uncommitted>,
    /// Requests for a listing so far.
    asked: AtomicU64,
    /// Set when the threads are to stop; ends a first import early.
    is_stopping: Arc<AtomicBool>,
    /// Handles of the threads, taken by the first to stop them.
    threads: Mutex<Option<Threads>>,
    /// Connections for reading; as many as there are readers at once, which a person's clicks keep at one or two.
    readers: Mutex<Vec<rusqlite::Connection>>,
    _lock: DirLock,
}

#[derive(Debug)]
struct Threads {
    writer: JoinHandle<()>,
    sources: JoinHandle<()>,
    orders: Sender<Order>,
}

impl Engine {
    /// Locks the data directory, opens the store and starts to watch. Returns before anything was read.
    ///
    /// # Errors
    /// [`StartError::Locked`] when another engine holds the directory.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let lock = DirLock::take(&config.data_dir)?;
        let store = Store::open(&config.data_dir, config.durable)?;
        for what in &store.healed {
            tracing::warn!(what, "the database lacked a part and was healed");
        }
        let core = Core::new(store, config.clone(), clock::now())?;
        let board = Arc::clone(&core.board);
        let (commands, inbox) = sync_channel(QUEUE);
        let (orders, orders_inbox) = channel();
        let to_sources = orders.clone();
        let to_self = commands.clone();
        let is_stopping = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&is_stopping);
        let first_import = !core.is_imported()?;
        let (ready, cursors_ready) = channel();
        let writer = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                let mut writer = Writer {
                    core,
                    notices: Vec::new(),
                    last_publish: None,
                    dirty: false,
                    await_listed: Vec::new(),
                    orders: to_sources,
                    clocks: (clock::now(), Instant::now()),
                    to_self,
                    is_reading_story: false,
                };
                if first_import
                    && let Err(error) =
                        import::first(&mut writer.core, publish_now, || stopping.load(Ordering::Relaxed))
                {
                    tracing::error!(%error, "the first import failed; it starts anew at the next start");
                }
                // The sources go on from where the import ended; an error means that they are gone already.
                let _ = ready.send(crate::store::files::cursors(&writer.core.store.db));
                let run = std::panic::AssertUnwindSafe(|| writer.run(&inbox));
                if std::panic::catch_unwind(run).is_err() {
                    // A fault of ours must not leave an old screen that looks like the truth.
                    tracing::error!("the writer met a fault of its own; reading stops");
                    writer.core.store_failed();
                    publish_now(&mut writer.core);
                }
            })
            .map_err(StartError::Sources)?;
        let to_writer = commands.clone();
        let source_config = config.clone();
        let sources = std::thread::Builder::new()
            .name("sources".to_owned())
            .spawn(move || {
                let Ok(Ok(cursors)) = cursors_ready.recv() else { return };
                run_sources(&source_config, cursors, to_writer, orders_inbox);
            })
            .map_err(StartError::Sources)?;
        let inner = Running {
            board,
            config,
            commands,
            uncommitted: Arc::default(),
            asked: AtomicU64::new(0),
            is_stopping,
            threads: Mutex::new(Some(Threads { writer, sources, orders })),
            readers: Mutex::new(Vec::new()),
            _lock: lock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Stops reading, commits what was read, and joins the threads. Order: sources first, so that nothing they read is
    /// lost; then the writer.
    pub fn shutdown(&self) {
        self.inner.stop();
    }

    /// The whole state, from memory.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        Arc::new(self.inner.board.status(clock::now()))
    }

    /// The state and every change that follows it, without a gap.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        self.inner.board.subscribe(clock::now())
    }

    /// Changes after `revision`; `None` when they are not known any more, and a snapshot is needed.
    #[must_use]
    #[expect(clippy::type_complexity, reason = "a pair that exists once")]
    pub fn changes_since(
        &self,
        engine_id: &str,
        revision: u64,
    ) -> Option<(Vec<Arc<ChangeSet>>, broadcast::Receiver<Arc<ChangeSet>>)> {
        self.inner.board.changes_since(engine_id, revision)
    }

    /// A page of all sessions, last activity first, or of those that match every word of `query`.
    ///
    /// # Errors
    /// For a cursor that is none, or when the store fails.
    pub fn sessions(
        &self,
        query: Option<&str>,
        before: Option<&str>,
        limit: u32,
    ) -> Result<SessionPage, EngineError> {
        self.inner.read(|db| {
            archive::page(db, &self.inner.config, &self.inner.board, query, before, limit, clock::now())
        })
    }

    /// One session in full; its transcript is read on demand.
    ///
    /// # Errors
    /// When the store fails.
    pub fn session(&self, key: &SessionKey) -> Result<Option<SessionDetail>, EngineError> {
        self.inner.read(|db| detail::session(db, &self.inner.config, &self.inner.board, key, clock::now()))
    }

    /// Finds a session by `agent:session_id`, or by its bare id if only one agent has it.
    ///
    /// # Errors
    /// [`FindError`].
    pub fn find(&self, id: &str) -> Result<SessionKey, FindError> {
        self.inner.read(|db| archive::find(db, id)).map_err(FindError::from)?
    }

    /// Names a session; `None` or blank takes the name back.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown session.
    pub fn set_label(&self, key: &SessionKey, label: Option<&str>) -> Result<SessionCard, EngineError> {
        let label = label.and_then(lamplight_model::label::clean_label);
        self.inner.ask(|answer| Command::SetLabel { key: key.clone(), label, answer })
    }

    /// Closes a session by id, in Lamplight only; the agent is not touched. Returns how many were closed: 0 when it is
    /// closed already.
    ///
    /// # Errors
    /// When neither id is given or the store fails.
    pub fn close(&self, session_id: Option<&str>, instance_id: Option<&str>) -> Result<u64, EngineError> {
        if session_id.is_none() && instance_id.is_none() {
            return Err(EngineError::BadRequest("name a session_id or an instance_id".to_owned()));
        }
        let session = session_id.map(str::to_owned);
        self.inner.ask(|answer| Command::Close { session, answer })
    }

    /// Dismisses, restores or snoozes a cause.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown cause, [`EngineError::BadRequest`] for an id that is none.
    pub fn set_cause(&self, cause_id: &str, action: CauseAction) -> Result<(), EngineError> {
        let id = u128::from_str_radix(cause_id, 16)
            .map_err(|_| EngineError::BadRequest(format!("{cause_id:?} is no cause id")))?;
        self.inner.ask(|answer| Command::SetCause { id: FactId(id), action, answer })
    }

    /// Totals of the database.
    ///
    /// # Errors
    /// When the store fails.
    pub fn totals(&self) -> Result<ImportTotals, EngineError> {
        self.inner.read(|db| Ok(crate::store::rows::totals(db)?))
    }

    /// Lists every root once more, waits until what was found is stored, and returns the totals.
    ///
    /// # Errors
    /// When the store fails or the engine stops meanwhile.
    pub fn rescan(&self) -> Result<ImportTotals, EngineError> {
        let began = Instant::now();
        let before = self.totals_bytes()?;
        let (answer, listed) = channel();
        let number = self.inner.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let wait = Command::AwaitListed { number, answer };
        self.inner.commands.send(wait).map_err(|_| EngineError::Stopped)?;
        {
            let threads = self.inner.threads.lock().unwrap_or_else(PoisonError::into_inner);
            let threads = threads.as_ref().ok_or(EngineError::Stopped)?;
            threads.orders.send(Order::RescanAs(number)).map_err(|_| EngineError::Stopped)?;
        }
        listed.recv().map_err(|_| EngineError::Stopped)?;
        self.barrier()?;
        let mut totals = self.totals()?;
        totals.bytes_read = self.totals_bytes()?.saturating_sub(before);
        totals.elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(totals)
    }

    /// Waits until everything there was at the start is stored and published, at most for `patience`; whether it is.
    ///
    /// A host that says "ready" after it does not show an empty screen as the truth.
    ///
    /// # Errors
    /// When the engine stops meanwhile.
    pub fn await_first_look(&self, patience: Duration) -> Result<bool, EngineError> {
        let (answer, looked) = channel();
        self.inner.commands.send(Command::AwaitFirstLook(answer)).map_err(|_| EngineError::Stopped)?;
        match looked.recv_timeout(patience) {
            Ok(()) => self.barrier().map(|()| true),
            Err(RecvTimeoutError::Timeout) => Ok(false),
            Err(RecvTimeoutError::Disconnected) => Err(EngineError::Stopped),
        }
    }

    fn totals_bytes(&self) -> Result<u64, EngineError> {
        self.inner.read(|db| Ok(crate::store::files::sums(db)?.iter().map(|(_, _, bytes)| bytes).sum()))
    }

    /// Takes in telemetry; returns once it is committed, with what was refused of it.
    ///
    /// # Errors
    /// [`IngestError::Busy`] when too much waits already; nothing was taken then.
    pub async fn ingest(&self, mut batch: Batch) -> Result<PartialSuccess, IngestError> {
        let partial = std::mem::take(&mut batch.partial);
        let waiting = Waiting::begin(&self.inner.uncommitted, batch.records).ok_or(IngestError::Busy)?;
        batch.partial.rejected = partial.rejected;
        let (answer, committed) = tokio::sync::oneshot::channel();
        let command = Command::Ingest { batch: Box::new(batch), waiting, answer };
        self.inner.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => IngestError::Busy,
            TrySendError::Disconnected(_) => IngestError::Stopped,
        })?;
        committed.await.map_err(|_| IngestError::Stopped)?;
        Ok(partial)
    }

    /// Says where telemetry is received, for the health of the source.
    pub fn set_receiver(&self, receiver: facts::Receiver) {
        // A stopped engine has no sources.
        let _ = self.inner.commands.send(Command::Facts(Input::Receiver(receiver)));
    }

    /// Waits until everything sent to the writer before is committed and published.
    ///
    /// # Errors
    /// When the engine stops meanwhile.
    pub fn barrier(&self) -> Result<(), EngineError> {
        let (answer, done) = channel();
        self.inner.commands.send(Command::Barrier(answer)).map_err(|_| EngineError::Stopped)?;
        done.recv().map_err(|_| EngineError::Stopped)
    }

    /// What the person is to be told, from now on.
    #[must_use]
    pub fn notices(&self) -> Receiver<Notice> {
        let (sender, receiver) = channel();
        // A stopped engine has nothing to tell: the receiver then ends at once.
        let _ = self.inner.commands.send(Command::Notices(sender));
        receiver
    }

    /// Stops and restarts telling.
    pub fn pause_notices(&self, paused: bool) {
        // A stopped engine tells nothing anyway.
        let _ = self.inner.commands.send(Command::Pause(paused));
    }

    /// Says which session's page is on screen and focused; nothing is told about that one.
    pub fn attend(&self, session: Option<String>) {
        // As above.
        let _ = self.inner.commands.send(Command::Attend(session));
    }

    /// What the engine runs with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }
}

impl Running {
    fn ask<T>(
        &self,
        command: impl FnOnce(Sender<Result<T, EngineError>>) -> Command,
    ) -> Result<T, EngineError> {
        let (answer, done) = channel();
        self.commands.send(command(answer)).map_err(|_| EngineError::Stopped)?;
        done.recv().map_err(|_| EngineError::Stopped)?
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let pooled = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let db = match pooled {
            Some(db) => db,
            None => crate::store::read_only(&self.config.data_dir)?,
        };
        let done = work(&db);
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(db);
        done
    }

    fn stop(&self) {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(threads) = threads else { return };
        self.is_stopping.store(true, Ordering::Relaxed);
        // Either thread may be gone already; then there is nothing to tell it.
        let _ = threads.orders.send(Order::Stop);
        let sources = threads.sources.join();
        let _ = self.commands.send(Command::Stop);
        let writer = threads.writer.join();
        if sources.is_err() || writer.is_err() {
            tracing::error!("a thread of the engine had panicked");
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
    cursors: Vec<crate::facts::Cursor>,
    to_writer: SyncSender<Command>,
    orders: Receiver<Order>,
) {
    let (facts, inbox) = sync_channel::<Input>(QUEUE);
    let scout = match scout::spawn(config, cursors, facts, orders) {
        Ok(scout) => scout,
        Err(error) => {
            tracing::error!(%error, "the agents' folders cannot be watched");
            return;
        }
    };
    // Ends when the scout drops its sender: after an order to stop, with everything it read delivered.
    for input in inbox {
        if to_writer.send(Command::Facts(input)).is_err() {
            break;
        }
    }
    scout.join();
}

/// The writer's thread.
struct Writer {
    core: Core,
    notices: Vec<Sender<Notice>>,
    last_publish: Option<Instant>,
    /// Something may differ from what was published.
    dirty: bool,
    /// Who waits for a listing, by the number of the request; 0 takes any.
    await_listed: Vec<(u64, Sender<()>)>,
    /// To the sources, for a listing after sleep.
    orders: Sender<Order>,
    /// The two clocks, read together.
    clocks: (Timestamp, Instant),
    /// To itself, for stories that were read; one is read at a time.
    to_self: SyncSender<Command>,
    is_reading_story: bool,
}

impl Writer {
    fn run(&mut self, inbox: &Receiver<Command>) {
        loop {
            let first = match inbox.recv_timeout(self.wait()) {
                Ok(command) => Some(command),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Command::Stop),
            };
            let commands = first.into_iter().chain(inbox.try_iter()).take(GROUP).collect::<Vec<_>>();
            match self.work(commands) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    // State in memory is ahead of the store: the only safe way on is a fresh start.
                    tracing::error!(%error, "the database failed; reading stops");
                    self.core.store_failed();
                    publish_now(&mut self.core);
                    break;
                }
            }
        }
    }

    /// Until the next rule, notice or publication is due.
    fn wait(&self) -> Duration {
        let publish = if self.dirty { self.publish_due() } else { None };
        let rule = self.core.next_due().map(|at| {
            let ms = at.since(clock::now());
            Duration::from_millis(u64::try_from(ms).unwrap_or(0))
        });
        [publish, rule, Some(TICK)].into_iter().flatten().min().unwrap_or(TICK)
    }

    fn publish_due(&self) -> Option<Duration> {
        let gap = Duration::from_millis(PUBLISH_MS);
        Some(self.last_publish.map_or(Duration::ZERO, |last| gap.saturating_sub(last.elapsed())))
    }

    /// Has the next story that is due read on a thread of its own, which ends with its answer.
    fn order_story(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if self.is_reading_story {
            return Ok(());
        }
        let Some(order) = self.core.story_due(now)? else { return Ok(()) };
        let to_self = self.to_self.clone();
        let read = std::thread::Builder::new().name("story".to_owned()).spawn(move || {
            let story = detail::read_story(order.agent, &order.path).ok();
            // A writer that has stopped keeps no story; the next start asks for it again.
            let _ = to_self.send(Command::Story { session: order.session, story });
        });
        // Without a thread there is no story now; it is asked for again at the next end or after quiet.
        self.is_reading_story = read.is_ok();
        Ok(())
    }

    /// After sleep the sources look again before anything is told, so that what was resolved meanwhile starts no burst.
    fn notice_sleep(&mut self, now: Timestamp) {
        let (wall, running) = std::mem::replace(&mut self.clocks, (now, Instant::now()));
        let ran = i64::try_from(running.elapsed().as_millis()).unwrap_or(i64::MAX);
        if now.since(wall) > ran.saturating_add(SLEPT_MS) {
            self.core.notifier.hold(now.plus_ms(AFTER_SLEEP_MS));
            // The sources end before the writer; then there is nothing to look at any more.
            let _ = self.orders.send(Order::Rescan);
        }
    }

    /// Commits one group and answers everyone in it; `false` when it is time to stop.
    fn work(&mut self, commands: Vec<Command>) -> Result<bool, StoreError> {
        let now = clock::now();
        self.notice_sleep(now);
        let (mut facts, mut rest, mut listed, mut told) = (Vec::new(), Vec::new(), false, Vec::new());
        let mut ingested = Vec::new();
        for command in commands {
            match command {
                Command::Ingest { batch, waiting, answer } => {
                    facts.push(Input::Telemetry(batch));
                    ingested.push((waiting, answer));
                }
                Command::Facts(input) => {
                    if let Input::Listed { asked, .. } = input {
                        listed = true;
                        told.extend(self.await_listed.extract_if(.., |(number, _)| *number <= asked));
                    }
                    facts.push(input);
                }
                // In its place among the facts: whoever asks after a listing waits for the next one, and one that comes
                // in the same group is not missed.
                Command::AwaitListed { number, answer } => self.await_listed.push((number, answer)),
                Command::AwaitFirstLook(answer) if !self.core.has_listed() => {
                    self.await_listed.push((0, answer));
                }
                other => rest.push(other),
            }
        }
        let hooks: Vec<PathBuf> = facts
            .iter()
            .filter_map(|fact| if let Input::Hook(hook) = fact { Some(hook.file.clone()) } else { None })
            .collect();
        self.core.apply_all(facts, now)?;
        if !hooks.is_empty() {
            // The sources end before the writer; what they leave in the spool is read again, which changes nothing.
            let _ = self.orders.send(Order::Stored(hooks));
        }
        for (waiting, answer) in ingested {
            drop(waiting);
            // The exporter may have hung up; it will send again, which changes nothing.
            let _ = answer.send(());
        }
        if listed {
            self.core.first_look_done(now)?;
            for (_, waiting) in told {
                // Whoever waited may have gone.
                let _ = waiting.send(());
            }
        }
        self.dirty = true;
        let (mut barriers, mut go_on, mut has_failed) = (Vec::new(), true, false);
        for command in rest {
            match command {
                Command::Facts(_) | Command::Ingest { .. } | Command::AwaitListed { .. } => {}
                Command::AwaitFirstLook(answer) => {
                    // Whoever waited may have gone.
                    let _ = answer.send(());
                }
                Command::SetLabel { key, label, answer } => {
                    // Whoever asked may have gone; the label is set all the same.
                    let done = self.core.set_label(&key, label.as_deref(), now);
                    has_failed |= is_of_store(&done);
                    let _ = answer.send(done);
                }
                Command::Close { session, answer } => {
                    let done = self.core.close(session.as_deref(), now);
                    has_failed |= is_of_store(&done);
                    let _ = answer.send(done);
                }
                Command::SetCause { id, action, answer } => {
                    let done = self.core.set_cause(id, action, now);
                    has_failed |= is_of_store(&done);
                    let _ = answer.send(done);
                }
                Command::Pause(paused) => self.core.notifier.pause(paused),
                Command::Attend(session) => self.core.notifier.attend(session),
                Command::Notices(sender) => self.notices.push(sender),
                Command::Barrier(answer) => barriers.push(answer),
                Command::Story { session, story } => {
                    self.is_reading_story = false;
                    self.core.keep_story(session, story, now)?;
                }
                Command::Stop => go_on = false,
            }
        }
        if has_failed {
            tracing::error!("the database failed a command; reading stops");
            self.core.store_failed();
            go_on = false;
        }
        for notice in self.core.notifier.take_notices() {
            self.notices.retain(|listener| listener.send(notice.clone()).is_ok());
        }
        if self.publish_due() == Some(Duration::ZERO) || !barriers.is_empty() || !go_on {
            publish_now(&mut self.core);
            self.last_publish = Some(Instant::now());
            self.dirty = false;
            self.order_story(now)?;
        }
        for barrier in barriers {
            // Whoever waited may have gone.
            let _ = barrier.send(());
        }
        if !go_on {
            self.core.seen_until(now)?;
        }
        Ok(go_on)
    }
}

/// Whether a command failed because the store did, so that memory may be ahead of it.
fn is_of_store<T>(done: &Result<T, EngineError>) -> bool {
    matches!(done, Err(EngineError::Store(_)))
}

fn publish_now(core: &mut Core) {
    let pending = core.drain_changes();
    if !pending.is_empty() {
        core.board.publish(pending, clock::now());
    }
}

/// One pass in this process, without a running engine: locks the data directory, imports, probes the registries.
///
/// # Errors
/// As [`Engine::start`].
pub fn run_once(
    config: Config,
    mut progress: impl FnMut(ImportProgress),
) -> Result<(ImportTotals, Status), StartError> {
    let began = Instant::now();
    let _lock = DirLock::take(&config.data_dir)?;
    let store = Store::open(&config.data_dir, config.durable)?;
    let mut core = Core::new(store, config, clock::now())?;
    let bytes = |core: &Core| -> Result<u64, StoreError> {
        Ok(crate::store::files::sums(&core.store.db)?.iter().map(|(_, _, bytes)| bytes).sum())
    };
    let before = bytes(&core)?;
    if core.is_imported()? {
        import::again(&mut core)?;
    } else {
        import::first(
            &mut core,
            |core| {
                publish_now(core);
                if let Some(done) = core.board.status(clock::now()).importing {
                    progress(done);
                }
            },
            || false,
        )?;
    }
    let probed = crate::sources::probe(&core.config);
    let now = clock::now();
    core.apply_all(probed, now)?;
    let (hooks, files) = hooks::read_all(&hooks::folder(&core.config.data_dir), now);
    core.apply_all(hooks, now)?;
    files.iter().for_each(|file| hooks::remove(file));
    core.apply_all(vec![Input::Listed { at: now, asked: 0 }], now)?;
    core.first_look_done(now)?;
    core.seen_until(now)?;
    publish_now(&mut core);
    let mut totals = crate::store::rows::totals(&core.store.db)?;
    totals.bytes_read = bytes(&core)?.saturating_sub(before);
    totals.elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok((totals, core.board.status(now)))
}

/// Where the database of a data directory lies, for messages.
#[must_use]
pub fn database_path(data_dir: &Path) -> PathBuf {
    data_dir.join("lamplight.db")
}

/// Clamps a moment a person chose to one the engine accepts: not in the past, at most a year ahead.
pub(crate) fn snooze_until(until_ms: i64, now: Timestamp) -> Timestamp {
    const YEAR_MS: i64 = 366 * 86_400_000;
    Timestamp(until_ms.clamp(now.0, now.plus_ms(YEAR_MS).0))
}
