//! A running engine: the writer's thread, the sources' threads, and the handle that hosts hold.

mod command;
mod forget;
mod hook_command;
mod once;
mod running;
mod settings;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TrySendError, channel};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use lamplight_model::ids::{Agent, FactId, SessionKey, Timestamp, TraceId};
use lamplight_model::instance::is_placeholder;
use lamplight_model::session::ResumeFailure;
use lamplight_model::view::{
    ChangeSet, Doctor, ImportTotals, NoticePage, Report, RunDetail, RunPage, ServiceDetail, SessionCard,
    SessionDetail, SessionPage, Status, Trace, TracePage,
};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::archive::Cards;
use crate::board::Subscription;
use crate::clock;
use crate::config::Config;
use crate::core::Notice;
use crate::doctor::{self, Patient};
use crate::facts::{self, Input};
use crate::forward::{ForwardTotals, Original};
use crate::otlp::traces::TraceFilter;
use crate::otlp::{self, Waiting};
use crate::sources::otlp::{Batch, PartialSuccess, clean_name};
use crate::sources::scout::Order;
use crate::sources::watch::WatchError;
use crate::{archive, detail, notices, report, runs, terminals, viable};

pub use crate::errors::{EngineError, FindError, IngestError, StartError};
use command::Command;
pub use once::run_once;
use running::Running;

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
    /// Puts it off until something happens in the session, or until other work lies in the worktree.
    SnoozeUntilChange,
}

/// A running engine. Clones share it; it stops when [`Engine::shutdown`] is called or the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Running>,
}

impl Engine {
    /// Locks the data directory, opens the store and starts to watch. Returns before anything was read.
    ///
    /// # Errors
    /// [`StartError::Locked`] when another engine holds the directory.
    pub fn start(config: Config) -> Result<Self, StartError> {
        Ok(Self { inner: Arc::new(Running::start(config)?) })
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
            archive::page(db, &self.inner.config(), &self.inner.board, query, before, limit, clock::now())
        })
    }

    /// A page of what became of telling about each cause, the newest first.
    ///
    /// # Errors
    /// For a cursor that is none, or when the store fails.
    pub fn notice_log(&self, before: Option<&str>, limit: u32) -> Result<NoticePage, EngineError> {
        self.inner.read(|db| {
            let config = self.inner.config();
            let mut cards = Cards::new(db, &config, &self.inner.board, clock::now());
            notices::page(db, &mut cards, before, limit)
        })
    }

    /// One session in full; its transcript is read on demand.
    ///
    /// # Errors
    /// When the store fails.
    pub fn session(&self, key: &SessionKey) -> Result<Option<SessionDetail>, EngineError> {
        self.inner.read(|db| detail::session(db, &self.inner.config(), &self.inner.board, key, clock::now()))
    }

    /// What can be sent to whoever works on Lamplight about a session: on what its state rests, with nothing in it that is
    /// the person's. `None` when the session is not known.
    ///
    /// # Errors
    /// When the store fails.
    pub fn report(&self, key: &SessionKey) -> Result<Option<Report>, EngineError> {
        self.inner.read(|db| report::of(db, &self.inner.config(), &self.inner.board, key, clock::now()))
    }

    /// A page of runs, the one active last first.
    ///
    /// # Errors
    /// For a cursor that is none, or when the store fails.
    pub fn runs(&self, before: Option<&str>, limit: u32) -> Result<RunPage, EngineError> {
        self.inner
            .read(|db| runs::page(db, &self.inner.config(), &self.inner.board, before, limit, clock::now()))
    }

    /// A run in full: its sums, and its members as a tree; `None` when no session declared it.
    ///
    /// # Errors
    /// When the store fails.
    pub fn run(&self, id: &str) -> Result<Option<RunDetail>, EngineError> {
        self.inner.read(|db| runs::run(db, &self.inner.config(), &self.inner.board, id, clock::now()))
    }

    /// One service in full; `None` when it is not known. Without a namespace the service of that name without one is
    /// meant, else the one of that name seen last. Services that sent nothing for a week are found here too.
    ///
    /// # Errors
    /// When the store fails.
    pub fn service(&self, name: &str, namespace: Option<&str>) -> Result<Option<ServiceDetail>, EngineError> {
        self.inner.read(|db| {
            let now = clock::now();
            let config = self.inner.config();
            let mut cards = archive::Cards::new(db, &config, &self.inner.board, now);
            otlp::detail::page(db, &mut cards, (name, namespace), now)
        })
    }

    /// A page of traces, the one that began last first.
    ///
    /// # Errors
    /// [`FindError`] about the session, or for a cursor that is none.
    pub fn traces(
        &self,
        filter: TraceFilter<'_>,
        before: Option<&str>,
        limit: u32,
    ) -> Result<TracePage, FindError> {
        let session = filter.session.map(|id| self.find(id)).transpose()?;
        let service = filter.service.map(|name| (name, filter.namespace));
        Ok(self.inner.read(|db| {
            let session = match &session {
                Some(key) => Some(
                    crate::store::rows::find(db, key)?
                        .ok_or_else(|| EngineError::NotFound(format!("session {key}")))?,
                ),
                None => None,
            };
            otlp::traces::page(db, service, session, before, limit)
        })?)
    }

    /// One trace in full; `None` when it is not known.
    ///
    /// # Errors
    /// [`EngineError::BadRequest`] for an id that is none, or when the store fails.
    pub fn trace(&self, trace_id: &str) -> Result<Option<Trace>, EngineError> {
        let id = TraceId::from_hex(trace_id)
            .map_err(|_| EngineError::BadRequest(format!("{trace_id:?} is no trace id: 32 hex digits")))?;
        self.inner.read(|db| otlp::traces::trace(db, id))
    }

    /// Finds a session by `agent:session_id`, or by its bare id if only one agent has it.
    ///
    /// # Errors
    /// [`FindError`].
    pub fn find(&self, id: &str) -> Result<SessionKey, FindError> {
        self.inner.read(|db| archive::find(db, id)).map_err(FindError::from)?
    }

    /// Finds the session active last of those that are worth resuming: its transcript and directory are there, nothing runs
    /// it, it is not stale, and no resume of it has failed since it was active last. Without one, says in a sentence why.
    ///
    /// # Errors
    /// When the store fails.
    pub fn viable(&self, wanted: viable::Wanted<'_>) -> Result<Result<SessionCard, String>, EngineError> {
        self.inner.read(|db| viable::find(db, &self.inner.config(), &self.inner.board, wanted, clock::now()))
    }

    /// Names a session; `None` or blank takes the name back.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown session.
    pub fn set_label(&self, key: &SessionKey, label: Option<&str>) -> Result<SessionCard, EngineError> {
        let label = label.and_then(lamplight_model::label::clean_label);
        self.inner.ask(|answer| Command::SetLabel { key: key.clone(), label, answer })
    }

    /// Silences a session: nothing is told of it and it calls nobody; or lets it call again.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown session.
    pub fn set_muted(&self, key: &SessionKey, muted: bool) -> Result<SessionCard, EngineError> {
        self.inner.ask(|answer| Command::SetMuted { key: key.clone(), muted, answer })
    }

    /// Brings the terminal of a running session to the front. Asks other programs: takes up to some seconds.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown session, [`EngineError::Conflict`] when nothing runs it, or its terminal is
    /// not known or does not come; with what the person can do.
    pub fn focus(&self, key: &SessionKey) -> Result<SessionCard, EngineError> {
        let card = self.inner.board.card(&key.to_string());
        let Some(card) = card else {
            return match self.session(key)? {
                Some(_) => Err(EngineError::Conflict("no process runs this session; resume it".to_owned())),
                None => Err(EngineError::NotFound(format!("session {key}"))),
            };
        };
        let Some(pid) = card.pid else {
            return Err(EngineError::Conflict("no process runs this session; resume it".to_owned()));
        };
        if !self.inner.config().terminals {
            let why = "terminals are not looked for; set [terminals] find to true";
            return Err(EngineError::Conflict(why.to_owned()));
        }
        terminals::focus(pid).map_err(|error| EngineError::Conflict(error.to_string()))?;
        Ok(card)
    }

    /// Looks at the worktrees that were not looked at for a while: somebody came to see.
    pub fn look_at_worktrees(&self) {
        // A stopped engine looks at nothing.
        let _ = self.inner.commands.send(Command::LookAtWorktrees);
    }

    /// Closes open sessions, in Lamplight only; the agent is not touched. With both ids given both must fit; an instance
    /// id alone closes every open session that declared exactly it. Returns how many were closed: 0 when none is open.
    ///
    /// # Errors
    /// [`EngineError::BadRequest`] when neither id is given, or an instance id is one that many share
    /// ([`lamplight_model::instance::is_placeholder`]).
    pub fn close(&self, session_id: Option<&str>, instance_id: Option<&str>) -> Result<u64, EngineError> {
        if session_id.is_none() && instance_id.is_none() {
            return Err(EngineError::BadRequest("name a session_id or an instance_id".to_owned()));
        }
        // As telemetry's names are cleaned before they are stored.
        let instance = instance_id.map(|text| clean_name(text).unwrap_or_default());
        if instance.as_deref().is_some_and(is_placeholder) {
            return Err(EngineError::BadRequest(
                "This instance id names no single terminal: whoever knows none sends it. Close by session_id instead."
                    .to_owned(),
            ));
        }
        let session = session_id.map(str::to_owned);
        self.inner.ask(|answer| Command::Close { session, instance, answer })
    }

    /// Puts a session away until something happens in it, in Lamplight only; or takes it out again, with what it asked for.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown session, [`EngineError::Conflict`] while a process runs it.
    pub fn set_archived(&self, key: &SessionKey, archived: bool) -> Result<SessionCard, EngineError> {
        self.inner.ask(|answer| Command::SetArchived { key: key.clone(), archived, answer })
    }

    /// Notes that a resume was tried and failed: counted by class, and said on the card until the session goes on.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown session.
    pub fn resume_failed(&self, key: &SessionKey, class: ResumeFailure) -> Result<SessionCard, EngineError> {
        self.inner.ask(|answer| Command::ResumeFailed { key: key.clone(), class, answer })
    }

    /// Resumes that were seen to fail since this database began, by agent and class; all classes of all agents.
    ///
    /// # Errors
    /// When the store fails.
    pub fn resume_failures(&self) -> Result<Vec<(Agent, ResumeFailure, u64)>, EngineError> {
        self.inner.read(|db| Ok(crate::store::resumes::counts(db)?))
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
    /// [`IngestError::Busy`] when too much waits already, [`IngestError::NoRoom`] when the disk is nearly full; nothing
    /// was taken then.
    pub async fn ingest(&self, batch: Batch) -> Result<PartialSuccess, IngestError> {
        self.ingest_request(batch, None).await
    }

    /// Takes in telemetry as [`Engine::ingest`], and passes the request it came in on where that is wanted: then it returns
    /// once the request is committed and waits on disk to be forwarded, so that both survive the death of the process.
    ///
    /// # Errors
    /// [`IngestError::Busy`] when too much waits already, [`IngestError::NoRoom`] when the disk is nearly full; nothing
    /// was taken then.
    pub async fn ingest_request(
        &self,
        mut batch: Batch,
        original: Option<Original>,
    ) -> Result<PartialSuccess, IngestError> {
        let partial = std::mem::take(&mut batch.partial);
        if self.inner.has_no_room.load(Ordering::Relaxed) {
            return Err(IngestError::NoRoom);
        }
        let waiting = Waiting::begin(&self.inner.uncommitted, batch.weight()).ok_or(IngestError::Busy)?;
        batch.partial.rejected = partial.rejected;
        let (answer, committed) = tokio::sync::oneshot::channel();
        let forwarding = self.inner.forwarding().zip(original);
        let prepared =
            forwarding.and_then(|(forwarding, original)| forwarding.prepare(original, batch.records));
        let (pass_on, queued) = prepared.unzip();
        let command = Command::Ingest { batch: Box::new(batch), waiting, pass_on, answer };
        self.inner.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => IngestError::Busy,
            TrySendError::Disconnected(_) => IngestError::Stopped,
        })?;
        committed.await.map_err(|_| IngestError::Stopped)?;
        if let Some(queued) = queued {
            // An error means that it gave way to newer requests, which is counted.
            let _ = queued.await;
        }
        Ok(partial)
    }

    /// Whether requests are passed on, so that their bodies are worth keeping until they are committed.
    #[must_use]
    pub fn is_forwarding(&self) -> bool {
        self.inner.forwarding().is_some()
    }

    /// Whether the mark of a request ([`crate::forward::SENDER_HEADER`]) says that this engine forwarded it: its endpoint
    /// leads back here, and taking it in would never end.
    #[must_use]
    pub fn is_own_request(&self, mark: &[u8]) -> bool {
        self.inner.forwarding().is_some_and(|forwarding| forwarding.is_own(mark))
    }

    /// What was forwarded since the start; `None` while forwarding is off.
    #[must_use]
    pub fn forward_totals(&self) -> Option<ForwardTotals> {
        self.inner.forwarding().map(|forwarding| forwarding.totals())
    }

    /// Says where telemetry is received, for the health of the source.
    pub fn set_receiver(&self, receiver: facts::Receiver) {
        self.inner.set_receiving(receiver.listening.iter().filter_map(|addr| addr.parse().ok()).collect());
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

    /// Looks at everything it depends on, see [`doctor`]. Reads the whole database once.
    #[must_use]
    pub fn doctor(&self) -> Doctor {
        doctor::examine(&self.inner.config(), Patient::Running(&self.status()), clock::now())
    }

    /// What the engine runs with.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.inner.config()
    }

    /// Takes other settings over. What only holds from a start on (folders, the database, the receiver) stays as it is
    /// and is named among the warnings.
    pub fn reconfigure(&self, config: Config) {
        let before = self.inner.config();
        let config = Arc::new(settings::merged(&before, config));
        self.inner.set_config(Arc::clone(&config));
        if before.forward != config.forward {
            self.inner.restart_forwarding();
        }
        // A stopped engine runs with no settings.
        let _ = self.inner.commands.send(Command::Reconfigure(config));
    }

    /// Says that the settings file cannot be used; what holds stays.
    pub fn settings_failed(&self, reason: String) {
        // As above.
        let _ = self.inner.commands.send(Command::SettingsFailed(reason));
    }

    /// Follows the settings file from now on; `load` reads it, or says in a sentence why it cannot be used.
    ///
    /// # Errors
    /// When file events are not to be had; the settings then hold until the next start.
    pub fn follow_settings(
        &self,
        path: PathBuf,
        load: impl Fn() -> Result<Config, String> + Send + 'static,
    ) -> Result<(), WatchError> {
        let engine = Arc::downgrade(&self.inner);
        let follower = settings::follow(path, move || {
            let Some(inner) = engine.upgrade() else { return };
            let engine = Self { inner };
            match load() {
                Ok(config) => engine.reconfigure(config),
                Err(reason) => engine.settings_failed(reason),
            }
        })?;
        *self.inner.settings.lock().unwrap_or_else(PoisonError::into_inner) = Some(follower);
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use lamplight_model::view::SourceHealth;

    #[test]
    fn sources_that_end_by_themselves_are_said_to_and_hold_nobody_up() {
        let home = tempfile::tempdir().unwrap();
        let config = Config {
            data_dir: home.path().join("data"),
            roots: Vec::new(),
            home: Some(home.path().to_owned()),
            idle_minutes: 240,
            resume_max_hours: 24,
            session_labels: Default::default(),
            projects: Default::default(),
            prices: Vec::new(),
            durable: false,
            limits: Default::default(),
            git: false,
            terminals: false,
            notify: Default::default(),
            otlp_token: None,
            setup: Default::default(),
            forward: None,
            forward_unclear: false,
            warnings: Vec::new(),
        };
        let engine = Engine::start(config).unwrap();
        engine.inner.commands.send(Command::SourcesFailed).unwrap();
        engine.barrier().unwrap();
        let status = engine.status();
        let source = status.sources.iter().find(|source| source.name == "sources").unwrap();
        assert_eq!(source.state, SourceHealth::Degraded);
        assert!(source.issues[0].message.contains("start it again"), "{:?}", source.issues);
        assert!(matches!(engine.rescan(), Err(EngineError::Stopped)), "nobody lists anything any more");
        let seen_until = || {
            let store = crate::store::Store::open(&home.path().join("data"), false).unwrap();
            crate::store::rows::meta(&store.db, "seen_until_ms").unwrap().unwrap()
        };
        let failed_at = seen_until();
        engine.shutdown();
        assert_eq!(seen_until(), failed_at, "what happens from then on is news at the next start");
    }
}
