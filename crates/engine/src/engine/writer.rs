//! The writer's thread: takes what waits, commits it as one group, answers, publishes.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::{Duration, Instant};

use lamplight_model::ids::Timestamp;

use super::EngineError;
use super::command::Command;
use super::hook_command::Caller;
use crate::clock;
use crate::core::{Core, Notice};
use crate::detail;
use crate::facts::{Cursor, Input};
use crate::forget;
use crate::import;
use crate::sources::scout::Order;
use crate::store::{StoreError, files};
use crate::{terminals, worktrees};

/// Most inputs committed together.
const GROUP: usize = 256;

/// Shortest time between two publications.
const PUBLISH_MS: u64 = 16;

/// A wall clock that ran this much further than the running time means that the machine slept or was set.
const SLEPT_MS: i64 = 10_000;

/// A wall clock that ran this much less far was set back; less than this, rules wait that much longer.
const SET_BACK_MS: i64 = 200;

/// After sleep nothing is told for so long: registries are looked at again first.
const AFTER_SLEEP_MS: i64 = 3_000;

/// Longest time without a look at the clock, for rules whose moment a suspended machine slept through.
const TICK: Duration = Duration::from_secs(30);

/// The writer's thread.
pub(super) struct Writer {
    core: Core,
    notices: Vec<Sender<Notice>>,
    last_publish: Option<Instant>,
    /// Something may differ from what was published.
    dirty: bool,
    /// Who waits for a listing, by the number of the request; 0 takes any.
    await_listed: Vec<(u64, Sender<()>)>,
    /// They read, as far as anybody knows.
    has_sources: bool,
    /// To the sources, for a listing after sleep.
    orders: Sender<Order>,
    /// The two clocks, read together.
    clocks: (Timestamp, Instant),
    /// To itself, for stories that were read; one is read at a time.
    to_self: SyncSender<Command>,
    /// To the threads that look at worktrees; `None` where nobody looks.
    to_worktrees: Option<Sender<worktrees::Order>>,
    /// To the thread that looks for terminals; `None` where nobody looks.
    to_terminals: Option<Sender<terminals::Order>>,
    /// Runs the user's own command; started when there is one.
    caller: Option<Caller>,
    is_reading_story: bool,
}

impl Writer {
    pub(super) fn new(
        core: Core,
        orders: Sender<Order>,
        to_worktrees: Option<Sender<worktrees::Order>>,
        to_terminals: Option<Sender<terminals::Order>>,
        to_self: SyncSender<Command>,
    ) -> Self {
        Self {
            core,
            notices: Vec::new(),
            last_publish: None,
            dirty: false,
            await_listed: Vec::new(),
            has_sources: true,
            orders,
            clocks: (clock::now(), Instant::now()),
            to_self,
            to_worktrees,
            to_terminals,
            caller: None,
            is_reading_story: false,
        }
    }

    /// Reads everything for the first time; ends early once `is_stopping` says so.
    pub(super) fn import_first(&mut self, is_stopping: impl Fn() -> bool + Sync) {
        if let Err(error) = import::first(&mut self.core, publish_now, is_stopping) {
            tracing::error!(%error, "the first import failed; it starts anew at the next start");
        }
    }

    /// Does what was left to do when sessions were forgotten and the process was killed.
    pub(super) fn finish_forgetting(&mut self) {
        if let Err(error) = forget::finish(&mut self.core) {
            tracing::error!(%error, "what was left of forgetting could not be done; it is tried at the next start");
        }
    }

    /// How far every file has been read.
    pub(super) fn cursors(&self) -> Result<Vec<Cursor>, StoreError> {
        files::cursors(&self.core.store.db)
    }

    /// Works until it is told to stop.
    pub(super) fn run(mut self, inbox: &Receiver<Command>) {
        let work = std::panic::AssertUnwindSafe(|| self.run_unguarded(inbox));
        if std::panic::catch_unwind(work).is_err() {
            // A fault of ours must not leave an old screen that looks like the truth.
            tracing::error!("the writer met a fault of its own; reading stops");
            self.core.store_failed();
            publish_now(&mut self.core);
        }
    }

    fn run_unguarded(&mut self, inbox: &Receiver<Command>) {
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
            let story = detail::read_story(order.key.agent, &order.path).ok();
            // A writer that has stopped keeps no story; the next start asks for it again.
            let _ = to_self.send(Command::Story { session: order.session, key: order.key, story });
        });
        // Without a thread there is no story now; it is asked for again at the next end or after quiet.
        self.is_reading_story = read.is_ok();
        Ok(())
    }

    /// A clock that was set back must hold nothing up. After sleep the sources look again before anything is told, so that what was resolved meanwhile starts no burst.
    fn notice_clock(&mut self, now: Timestamp) {
        let (wall, running) = std::mem::replace(&mut self.clocks, (now, Instant::now()));
        let ran = i64::try_from(running.elapsed().as_millis()).unwrap_or(i64::MAX);
        let set_back = ran.saturating_sub(now.since(wall));
        if set_back > SET_BACK_MS {
            self.core.clock_set_back(set_back, now);
        }
        if now.since(wall) > ran.saturating_add(SLEPT_MS) {
            self.core.notifier.hold(now.plus_ms(AFTER_SLEEP_MS));
            // The sources end before the writer; then there is nothing to look at any more.
            let _ = self.orders.send(Order::Rescan);
        }
    }

    /// Commits one group and answers everyone in it; `false` when it is time to stop.
    fn work(&mut self, commands: Vec<Command>) -> Result<bool, StoreError> {
        let now = clock::now();
        self.notice_clock(now);
        let (mut facts, mut rest, mut listed, mut told) = (Vec::new(), Vec::new(), false, Vec::new());
        let mut ingested = Vec::new();
        for command in commands {
            match command {
                Command::Ingest { batch, waiting, pass_on, answer } => {
                    facts.push(Input::Telemetry(batch));
                    ingested.push((waiting, pass_on, answer));
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
                Command::AwaitListed { number, answer } if self.has_sources => {
                    self.await_listed.push((number, answer));
                }
                Command::AwaitFirstLook(answer) if !self.core.has_listed() && self.has_sources => {
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
        for (waiting, pass_on, answer) in ingested {
            drop(waiting);
            if let Some(pass_on) = pass_on {
                pass_on.go();
            }
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
                Command::Facts(_) | Command::Ingest { .. } => {}
                // Nobody lists anything any more: whoever waits for it is not answered.
                Command::AwaitListed { .. } => {}
                Command::SourcesFailed => {
                    // What happens from here on is news at the next start.
                    if std::mem::take(&mut self.has_sources) {
                        self.core.seen_until(now)?;
                    }
                    self.await_listed.clear();
                    self.core.sources_failed();
                }
                // Nothing was looked at, and nobody will: it is not answered.
                Command::AwaitFirstLook(_) if !self.core.has_listed() => {}
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
                Command::SetMuted { key, muted, answer } => {
                    let done = self.core.set_muted(&key, muted, now);
                    has_failed |= is_of_store(&done);
                    let _ = answer.send(done);
                }
                Command::LookAtWorktrees => self.core.look_at_worktrees(now),
                Command::Close { session, instance, answer } => {
                    let done = self.core.close(session.as_deref(), instance.as_deref(), now);
                    has_failed |= is_of_store(&done);
                    let _ = answer.send(done);
                }
                Command::SetArchived { key, archived, answer } => {
                    let done = self.core.set_archived(&key, archived, now);
                    has_failed |= is_of_store(&done);
                    let _ = answer.send(done);
                }
                Command::Forget { groups, answer } => {
                    let done = self.core.forget(&groups, now).map_err(EngineError::from);
                    has_failed |= is_of_store(&done);
                    let _ = answer.send(done);
                }
                Command::Wipe(answer) => {
                    // Off the screen first: writing the database anew takes a second for every hundred megabytes.
                    publish_now(&mut self.core);
                    let done = self.core.wipe();
                    has_failed |= is_of_store(&done);
                    let _ = answer.send(done);
                }
                Command::ResumeFailed { key, class, answer } => {
                    let done = self.core.resume_failed(&key, class, now);
                    has_failed |= is_of_store(&done);
                    let _ = answer.send(done);
                }
                Command::SetCause { id, action, answer } => {
                    let done = self.core.set_cause(id, action, now);
                    has_failed |= is_of_store(&done);
                    let _ = answer.send(done);
                }
                Command::Reconfigure(config) => self.core.reconfigure(&config, now)?,
                Command::SettingsFailed(reason) => self.core.reports.settings(vec![reason], now),
                Command::Pause(paused) => {
                    self.core.notifier.pause(paused);
                    // What waited for its end is told now.
                    self.core.apply_all(Vec::new(), now)?;
                }
                Command::Attend(session) => self.core.attend(session),
                Command::Notices(sender) => self.notices.push(sender),
                Command::Barrier(answer) => barriers.push(answer),
                Command::Story { session, key, story } => {
                    self.is_reading_story = false;
                    self.core.keep_story(session, &key, story, now)?;
                }
                Command::Stop => go_on = false,
            }
        }
        if has_failed {
            tracing::error!("the database failed a command; reading stops");
            self.core.store_failed();
            go_on = false;
        }
        for order in self.core.take_worktree_orders() {
            if let Some(tender) = &self.to_worktrees {
                // The tender ends before the writer.
                let _ = tender.send(order);
            }
        }
        for order in self.core.take_terminal_orders() {
            if let Some(finder) = &self.to_terminals {
                // The finder ends before the writer.
                let _ = finder.send(order);
            }
        }
        for call in self.core.notifier.take_calls() {
            if self.caller.is_none() {
                self.caller = Caller::start()
                    .inspect_err(|error| tracing::warn!(%error, "no thread for the command of [notify]"))
                    .ok();
            }
            if let Some(caller) = &self.caller {
                caller.call(call);
            }
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
        if !go_on && self.has_sources {
            self.core.seen_until(now)?;
        }
        Ok(go_on)
    }
}

/// Whether a command failed because the store did, so that memory may be ahead of it.
fn is_of_store<T>(done: &Result<T, EngineError>) -> bool {
    matches!(done, Err(EngineError::Store(_)))
}

pub(super) fn publish_now(core: &mut Core) {
    let pending = core.drain_changes();
    if !pending.is_empty() {
        core.board.publish(pending, clock::now());
    }
}
