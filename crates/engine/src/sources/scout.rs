//! The thread that drives every source: lists, watches, reads, and hands what it finds to the writer.
//!
//! Start from [`spawn`]. One loop takes file events, process ends, orders and one timer; nothing is polled but a
//! reconcile every 30 s, and live files every 2 s where the system allows no watch. Input is handed over a bounded
//! channel: when the writer is behind, the scout waits, and so do the threads that tell it of events. Events the kernel
//! then drops are made up for by listing again.

mod claude;
mod codex;
mod files;
mod opencode;
mod places;
mod spool;
mod timers;
mod walk;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lamplight_model::ids::Timestamp;

use self::files::Files;
use self::places::Place;
use self::spool::Spool;
use self::timers::{Due, Timers};
use super::exits::{ExitError, Exits};
use super::hooks;
use super::tail::{Flow, Limits, Stopped, TailError, Tailer};
use super::watch::{Interest, Watch, WatchError, WatchEvent};
use crate::clock;
use crate::config::{Config, Root};
use crate::facts::{Cursor, FileId, Input};
use crate::forget::Ignored;

/// Signals that may wait for the scout. When it is full the watching thread waits and the kernel queues, so nothing is
/// lost until the kernel says so.
const WAITING_SIGNALS: usize = 1024;

/// A session whose files changed within this time may start subagents again (DESIGN §4).
const RECENT_MS: i64 = 24 * 60 * 60 * 1000;

/// What the scout can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// End, leaving the writer with everything handed over so far.
    Stop,
    /// List everything again (after sleep, or when asked to).
    Rescan,
    /// The same, for somebody who waits for the listing with this number.
    RescanAs(u64),
    /// Read a transcript again from its start; its first batch is marked `reset`.
    Reread(FileId),
    /// These hooks are stored; their files can go.
    Stored(Vec<PathBuf>),
}

/// Times and bounds. The defaults are the product's; tests choose others.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// Bounds of reading.
    pub limits: Limits,
    /// Watches allowed; `None` leaves it to the system.
    pub most_watches: Option<usize>,
    /// How long a changed session id must stand: a resumed session shows a provisional one for tens of milliseconds.
    pub settle: Duration,
    /// When a registry file that could not be parsed is read again.
    pub half_written: Duration,
    /// When a lock file that was created is looked at: its maker locks it right after.
    pub lock_made: Duration,
    /// How long a transcript may be missing before it is said to be gone; a move shows both names within that time.
    pub gone: Duration,
    /// How often live files are looked at where the system allows no watch.
    pub fallback: Duration,
    /// How often live files, registries and locks are looked at in any case.
    pub reconcile: Duration,
    /// How often everything is listed again in any case.
    pub relist: Duration,
    /// Least time between two looks at a database, and after which one that was written to is looked at again: what makes a
    /// change visible is no write that is told of.
    pub database: Duration,
    /// When a database that was held is looked at again.
    pub held: Duration,
    /// Least time between two reports of one kind.
    pub report: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            most_watches: None,
            settle: Duration::from_millis(100),
            half_written: Duration::from_millis(50),
            lock_made: Duration::from_millis(100),
            gone: Duration::from_millis(200),
            fallback: Duration::from_secs(2),
            reconcile: Duration::from_secs(30),
            relist: Duration::from_secs(600),
            database: Duration::from_millis(30),
            held: Duration::from_millis(500),
            report: Duration::from_secs(1),
        }
    }
}

/// Why the scout did not start.
#[derive(Debug, thiserror::Error)]
pub enum ScoutError {
    /// Process ends cannot be awaited.
    #[error("cannot start the scout")]
    Exits(#[from] ExitError),
    /// Files cannot be watched, for another reason than a limit.
    #[error("cannot start the scout")]
    Watch(#[from] WatchError),
    /// A thread did not start.
    #[error("cannot start the scout's thread")]
    Thread(#[source] std::io::Error),
}

/// A running scout.
#[derive(Debug)]
pub struct Scout {
    thread: Option<JoinHandle<()>>,
    orders: Option<JoinHandle<()>>,
    counters: Arc<Counters>,
}

/// What the scout did, for tests and diagnosis.
#[derive(Debug, Default)]
pub struct Counters {
    turns: AtomicU64,
    watches: AtomicUsize,
    peak_bytes: AtomicUsize,
}

impl Counters {
    /// Times the loop was woken.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::SeqCst)
    }

    /// Folders watched.
    #[must_use]
    pub fn watches(&self) -> usize {
        self.watches.load(Ordering::SeqCst)
    }

    /// Largest buffer used for reading.
    #[must_use]
    pub fn peak_bytes(&self) -> usize {
        self.peak_bytes.load(Ordering::SeqCst)
    }
}

impl Scout {
    /// What it did so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Waits for the scout's threads. They end by [`Order::Stop`], or when the orders' sender or the writer is gone; in
    /// the last case the orders' sender must be dropped as well.
    pub fn join(mut self) {
        for thread in [self.thread.take(), self.orders.take()].into_iter().flatten() {
            // A panic has been reported on its own thread; there is nothing left to stop.
            let _ = thread.join();
        }
    }
}

/// Starts the scout. `cursors` are the files known to the writer; `tx` is the writer's queue.
///
/// # Errors
/// [`ScoutError`] when the system gives no thread or descriptor. A limit of watches is no error: it is reported.
pub fn spawn(
    config: &Config,
    cursors: Vec<Cursor>,
    ignored: Ignored,
    tx: SyncSender<Input>,
    orders: Receiver<Order>,
) -> Result<Scout, ScoutError> {
    let spool = Spool::new(hooks::folder(&config.data_dir));
    start(&config.roots, Some(spool), (cursors, ignored), tx, orders, Tuning::default())
}

/// Starts the scout with other times and bounds, on agents' folders alone.
///
/// # Errors
/// As [`spawn`].
pub fn spawn_tuned(
    roots: &[Root],
    cursors: Vec<Cursor>,
    tx: SyncSender<Input>,
    orders: Receiver<Order>,
    tuning: Tuning,
) -> Result<Scout, ScoutError> {
    start(roots, None, (cursors, Ignored::default()), tx, orders, tuning)
}

fn start(
    roots: &[Root],
    spool: Option<Spool>,
    (cursors, ignored): (Vec<Cursor>, Ignored),
    tx: SyncSender<Input>,
    orders: Receiver<Order>,
    tuning: Tuning,
) -> Result<Scout, ScoutError> {
    let (signal, signals) = sync_channel(WAITING_SIGNALS);
    // The three tellers below end when the scout is gone: their send fails, or their owner is dropped.
    let tell = signal.clone();
    let watch = match Watch::start(tuning.most_watches, move |events| drop(tell.send(Signal::Files(events))))
    {
        Ok(watch) => Some(watch),
        Err(WatchError::Limit(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let tell = signal.clone();
    let exits = Exits::start(move |pid| drop(tell.send(Signal::Exited(pid))))?;
    let orders = std::thread::Builder::new()
        .name("scout-orders".to_owned())
        .spawn(move || {
            while let Ok(order) = orders.recv() {
                let is_last = order == Order::Stop;
                if signal.send(Signal::Order(order)).is_err() || is_last {
                    return;
                }
            }
            // Nobody can order any more: the same as a stop. The scout may have stopped already.
            let _ = signal.send(Signal::Order(Order::Stop));
        })
        .map_err(ScoutError::Thread)?;
    let counters = Arc::new(Counters::default());
    let run = Run {
        places: roots.iter().filter(|r| r.agent.has_transcripts()).cloned().map(Place::new).collect(),
        spool,
        files: Files::from_cursors(cursors),
        ignored,
        tailer: Tailer::new(tuning.limits),
        tuning,
        signals,
        tx,
        watch,
        exits,
        timers: Timers::default(),
        dirty: VecDeque::new(),
        backlog: VecDeque::new(),
        tended: HashMap::new(),
        unwatched: HashMap::new(),
        anchors: BTreeSet::new(),
        unheld: BTreeSet::new(),
        is_limit_told: false,
        is_listed: false,
        asked: 0,
        is_fallback_due: false,
        is_report_due: false,
        is_rescan_due: false,
        listing: 0,
        counters: Arc::clone(&counters),
    };
    let thread = std::thread::Builder::new()
        .name("scout".to_owned())
        .spawn(move || {
            // The writer is gone: nobody is left to tell.
            let _ = run.run();
        })
        .map_err(ScoutError::Thread)?;
    Ok(Scout { thread: Some(thread), orders: Some(orders), counters })
}

/// Nobody takes facts any more, or the scout was told to stop.
#[derive(Debug)]
struct Stop;

type Running<T = ()> = Result<T, Stop>;

enum Signal {
    Files(Vec<WatchEvent>),
    Exited(u32),
    Order(Order),
}

/// The scout's state; owned by its thread alone.
struct Run {
    tuning: Tuning,
    places: Vec<Place>,
    /// Hooks; `None` where only agents' folders are followed.
    spool: Option<Spool>,
    signals: Receiver<Signal>,
    tx: SyncSender<Input>,
    /// `None` when the user's inotify instances are used up.
    watch: Option<Watch>,
    exits: Exits,
    files: Files,
    /// Sessions that were forgotten: their files are not read.
    ignored: Ignored,
    tailer: Tailer,
    timers: Timers,
    /// Files that changed, in order of change; read before anything else.
    dirty: VecDeque<FileId>,
    /// Files found by listing, newest first; read one batch at a time between events.
    backlog: VecDeque<FileId>,
    /// Session folders whose subagents are watched, and when their session was active last.
    tended: HashMap<PathBuf, Timestamp>,
    /// Folders the system allows no watch for, with the time of their last change.
    unwatched: HashMap<PathBuf, Option<Timestamp>>,
    /// Parents of absent roots, watched until these appear.
    anchors: BTreeSet<PathBuf>,
    /// Processes whose end is not told; they are looked at instead.
    unheld: BTreeSet<u32>,
    is_limit_told: bool,
    is_listed: bool,
    /// The latest request for a listing.
    asked: u64,
    is_fallback_due: bool,
    is_report_due: bool,
    /// A root turned out to be another folder than the one that was listed.
    is_rescan_due: bool,
    /// Number of the present listing.
    listing: u32,
    counters: Arc<Counters>,
}

impl Run {
    fn run(mut self) -> Running {
        self.list_spool()?;
        self.rescan()?;
        let start = Instant::now();
        self.timers.at(start + self.tuning.reconcile, Due::Reconcile);
        self.timers.at(start + self.tuning.relist, Due::Relist);
        loop {
            if !self.is_listed && self.backlog.is_empty() && self.dirty.is_empty() {
                self.is_listed = true;
                self.report()?;
                self.send(Input::Listed { at: clock::now(), asked: self.asked })?;
            }
            self.note_counters();
            for signal in self.wait()? {
                self.take(signal)?;
            }
            self.drain_spool()?;
            if self.is_rescan_due {
                self.rescan()?;
            }
            while let Some(file) = self.dirty.pop_front() {
                self.read(file, true)?;
            }
            while let Some(due) = self.timers.take(Instant::now()) {
                self.due(due)?;
            }
            if let Some(file) = self.backlog.pop_front() {
                self.read(file, false)?;
            }
        }
    }

    /// Waits for signals until something is due; does not wait while files are left to read.
    fn wait(&mut self) -> Running<Vec<Signal>> {
        let is_busy = !self.backlog.is_empty() || !self.dirty.is_empty();
        let mut signals = Vec::new();
        if !is_busy {
            let first = match self.timers.next() {
                Some(due) => match self.signals.recv_timeout(due.saturating_duration_since(Instant::now())) {
                    Ok(signal) => Some(signal),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return Err(Stop),
                },
                None => Some(self.signals.recv().map_err(|_| Stop)?),
            };
            signals.extend(first);
        }
        // Everything that has arrived is taken together, so that a file written ten times is read once.
        loop {
            match self.signals.try_recv() {
                Ok(signal) => signals.push(signal),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err(Stop),
            }
            if signals.len() >= WAITING_SIGNALS {
                break;
            }
        }
        self.counters.turns.fetch_add(1, Ordering::SeqCst);
        Ok(signals)
    }

    fn take(&mut self, signal: Signal) -> Running {
        match signal {
            Signal::Files(events) => {
                for event in events {
                    self.file_event(event)?;
                }
                Ok(())
            }
            Signal::Exited(pid) => self.exited(pid),
            Signal::Order(Order::Stop) => Err(Stop),
            Signal::Order(Order::Rescan) => self.rescan(),
            Signal::Order(Order::RescanAs(number)) => {
                self.asked = self.asked.max(number);
                self.rescan()
            }
            Signal::Order(Order::Stored(files)) => {
                self.hooks_stored(&files);
                Ok(())
            }
            Signal::Order(Order::Reread(file)) => {
                self.files.rewind(file);
                self.mark_dirty(file);
                Ok(())
            }
        }
    }

    fn due(&mut self, due: Due) -> Running {
        match due {
            Due::Registry(path) => self.registry_changed(&path, true),
            Due::Lock(path) => self.lock_changed(&path, true),
            Due::Gone(file) => self.settle_gone(file),
            Due::Database(root) => self.database_due(&root),
            Due::Report => {
                self.is_report_due = false;
                self.report()
            }
            Due::Fallback => {
                self.is_fallback_due = false;
                self.look_at_live()?;
                self.look_at_unwatched()?;
                self.plan_fallback();
                Ok(())
            }
            Due::Reconcile => {
                self.timers.at(Instant::now() + self.tuning.reconcile, Due::Reconcile);
                self.look_at_live()
            }
            Due::Relist => {
                self.timers.at(Instant::now() + self.tuning.relist, Due::Relist);
                self.rescan()
            }
        }
    }

    /// A process that was awaited has ended.
    fn exited(&mut self, pid: u32) -> Running {
        self.unheld.remove(&pid);
        self.send(Input::ProcessExited { pid, at: clock::now() })?;
        self.locks_of_exited(pid)
    }

    /// Awaits the end of a process, by the kernel or, where it cannot tell, by looking.
    fn hold(&mut self, pid: u32) {
        match self.exits.hold(pid) {
            Ok(()) | Err(ExitError::Gone(_)) => {}
            Err(ExitError::Unsupported | ExitError::System { .. } | ExitError::Start(_)) => {
                if self.unheld.insert(pid) {
                    self.plan_fallback();
                }
            }
        }
    }

    /// Lists everything again: events were dropped, or it is time.
    fn rescan(&mut self) -> Running {
        self.list_spool()?;
        for at in 0..self.places.len() {
            self.watch_root(at);
        }
        // A root that is found to be another folder from here on asks for one more.
        self.is_rescan_due = false;
        for at in 0..self.places.len() {
            self.attach_live(at)?;
        }
        let registries =
            self.places.iter().filter(|p| p.live_folder().is_dir()).map(|p| p.root.agent).collect();
        self.send(Input::LiveListed { at: clock::now(), registries })?;
        self.list_all()?;
        self.forget_quiet();
        // Whoever asked waits for the word that all of it has been sent.
        self.is_listed = false;
        Ok(())
    }

    /// Looks at what lives: registries, locks, the transcripts of live sessions, processes nobody tells about.
    fn look_at_live(&mut self) -> Running {
        for pid in self.unheld.clone() {
            if super::processes::look_up(pid) == super::processes::Liveness::Gone {
                self.exited(pid)?;
            }
        }
        for at in 0..self.places.len() {
            self.attach_live(at)?;
            self.look_if_changed(at)?;
        }
        let live: HashSet<_> = self.places.iter().flat_map(Place::live_sessions).collect();
        if live.is_empty() {
            return Ok(());
        }
        let paths: Vec<PathBuf> = self
            .files
            .iter()
            .filter(|(_, e)| live.contains(&(e.role.agent, &e.role.session)))
            .map(|(_, e)| e.path.clone())
            .collect();
        for path in paths {
            self.touch(&path)?;
        }
        Ok(())
    }

    fn look_at_unwatched(&mut self) -> Running {
        let changed: Vec<PathBuf> = self
            .unwatched
            .iter_mut()
            .filter_map(|(path, seen)| {
                let changed = folder_changed_at(path);
                (std::mem::replace(seen, changed) != changed).then(|| path.clone())
            })
            .collect();
        for path in changed {
            self.file_event(WatchEvent::Appeared { path, is_folder: true })?;
        }
        Ok(())
    }

    fn plan_fallback(&mut self) {
        if !self.is_fallback_due && (!self.unwatched.is_empty() || !self.unheld.is_empty()) {
            self.is_fallback_due = true;
            self.timers.at(Instant::now() + self.tuning.fallback, Due::Fallback);
        }
    }

    /// Watches a folder; `false` when nothing is there to watch.
    fn watch(&mut self, path: &Path, interest: Interest) -> bool {
        self.watch_anew(path, interest).is_some()
    }

    /// Watches a folder; tells whether it is another one than was watched before, or nothing when nothing is there.
    fn watch_anew(&mut self, path: &Path, interest: Interest) -> Option<bool> {
        let outcome = match &self.watch {
            Some(watch) => watch.add(path, interest),
            None => Err(WatchError::Limit(path.to_owned())),
        };
        match outcome {
            Ok(is_new) => {
                self.unwatched.remove(path);
                Some(is_new)
            }
            Err(WatchError::Absent(_)) => None,
            Err(error) => {
                if matches!(error, WatchError::Limit(_)) {
                    self.tell_limit(path);
                } else {
                    tracing::warn!(%error, "a folder is looked at instead of watched");
                }
                self.unwatched.entry(path.to_owned()).or_insert_with(|| folder_changed_at(path));
                self.plan_fallback();
                Some(false)
            }
        }
    }

    fn unwatch_below(&mut self, path: &Path) {
        if let Some(watch) = &self.watch {
            watch.remove_below(path);
        }
        self.unwatched.retain(|p, _| !p.starts_with(path));
        self.tended.retain(|p, _| !p.starts_with(path));
    }

    fn mark_dirty(&mut self, file: FileId) {
        if !self.dirty.contains(&file) {
            self.dirty.push_back(file);
        }
    }

    /// Reads a file: all of it when it just changed, one batch when it waited in the backlog.
    fn read(&mut self, file: FileId, whole: bool) -> Running {
        if self.files.get(file).is_some_and(|entry| self.ignored.has_role(&entry.role)) {
            self.files.remove(file);
            return Ok(());
        }
        let Some((path, role, mut position)) = self.files.check_out(file) else { return Ok(()) };
        let (tx, mut is_open, mut batches, mut last_fact) = (&self.tx, true, 0_u32, false);
        let outcome = self.tailer.read(&path, &role, &mut position, clock::now(), &mut |batch| {
            batches += 1;
            last_fact |= !batch.events.is_empty();
            is_open = tx.send(Input::Batch(batch)).is_ok();
            // A huge file that just appeared gives way to other changes after a few batches.
            if is_open && batches < if whole { 16 } else { 1 } { Flow::Continue } else { Flow::Pause }
        });
        self.files.put_back(file, position, batches > 0);
        if !is_open {
            return Err(Stop);
        }
        match outcome {
            Ok(Stopped::AtEnd) => {}
            Ok(Stopped::Paused) => self.backlog.push_front(file),
            Err(TailError::Database { source, .. }) if source.trouble().is_some() => {
                self.database_troubled(&path, source.trouble());
            }
            Err(error) => match error.issue() {
                Some(issue) => self.note(role.agent, issue),
                None => self.timers.at(Instant::now() + self.tuning.gone, Due::Gone(file)),
            },
        }
        if last_fact && whole {
            self.was_active(file, &path, &role)?;
        }
        Ok(())
    }

    fn send(&self, input: Input) -> Running {
        self.tx.send(input).map_err(|_| Stop)
    }

    fn note_counters(&self) {
        self.counters.watches.store(self.watch.as_ref().map_or(0, Watch::count), Ordering::SeqCst);
        self.counters.peak_bytes.store(self.tailer.peak_bytes(), Ordering::SeqCst);
    }
}

fn folder_changed_at(path: &Path) -> Option<Timestamp> {
    std::fs::metadata(path).ok().map(|m| super::open::modified_at(&m))
}
