//! The heart of the pipeline: facts in, folded rows and causes out, in one transaction; then the screen.
//!
//! [`Core`] knows no thread and no clock: the writer's thread, the one-pass mode of `lamp` and the replay of recorded
//! sessions all drive it with inputs and a moment.

mod apply;
mod commands;
mod forget;
mod hooks;
mod judge;
mod notify;
mod sdk;
mod spans;
mod stories;
mod telemetry;
mod terminals;
mod told;
mod worktrees;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use lamplight_model::assess::Assessment;
use lamplight_model::ids::{Agent, FactId, SessionKey, Timestamp};
use lamplight_model::pricing::PriceTable;
use lamplight_model::session::{Process, SessionState, Validity};
use lamplight_model::view::{Hidden, SessionCard, Status};

use crate::board::{Board, Pending};
use crate::card;
use crate::config::Config;
use crate::facts::{Input, fact_id};
use crate::forget::Ignored;
use crate::otlp::Services;
use crate::places::Places;
use crate::reports::Reports;
use crate::space::Space;
use crate::store::causes::StoredCause;
use crate::store::rows::{Class, SessionRow};
use crate::store::{Store, StoreError, causes, files, muted, rows};

use terminals::Terminals;
use worktrees::Worktrees;

pub(crate) use forget::Gone;
pub(crate) use notify::Call;
pub use notify::Notice;
pub use told::Told;

/// Sessions kept in memory although they are not on the screen.
const MOST_LOADED: usize = 512;

/// The state of the pipeline.
#[derive(Debug)]
pub struct Core {
    pub(crate) store: Store,
    pub(crate) config: Config,
    pub(crate) board: Arc<Board>,
    sessions: HashMap<i64, Loaded>,
    by_key: HashMap<SessionKey, i64>,
    /// Which session a process runs, by its latest registry file or lock.
    by_pid: HashMap<(Agent, u32), i64>,
    rechecks: BTreeSet<(Timestamp, i64)>,
    touched: BTreeSet<i64>,
    classes: HashMap<Class, u64>,
    pub(crate) reports: Reports,
    services: Services,
    /// Sessions that are to stay forgotten.
    pub(crate) forgotten: Ignored,
    places: Places,
    worktrees: Worktrees,
    terminals: Terminals,
    space: Space,
    next_story: Option<Timestamp>,
    prices: PriceTable,
    /// When the first listing of registries and locks was complete.
    listed_at: Option<Timestamp>,
    /// What was there at the start has been read.
    has_read: bool,
    /// Everything was listed and read once since the start, and that is stored.
    looked: bool,
    /// The engine looks for the first time: what it finds is news to nobody.
    first_look: bool,
    pub(crate) notifier: notify::Notifier,
}

/// A session in memory.
#[derive(Debug)]
struct Loaded {
    key: SessionKey,
    state: SessionState,
    has_main: bool,
    class: Class,
    causes: Vec<StoredCause>,
    renamed: Option<String>,
    /// The person silenced it.
    muted: bool,
    /// It is silenced, itself or with its project, and something of it is open.
    is_hushed: bool,
    verdict: Option<Assessment>,
    transcript: Option<std::path::PathBuf>,
    /// The directory of a chat that was found (Gemini CLI), and when it was last looked for.
    chat: Option<String>,
    chat_looked_at: Option<Timestamp>,
    text: String,
    on_screen: bool,
    /// Its transcript is read anew at a start, and perhaps half: what it needs is weighed once all is read.
    is_reread: bool,
    recheck_at: Option<Timestamp>,
    story_due: Option<Timestamp>,
}

impl Core {
    /// Makes the pipeline over an open store and loads what belongs on the screen.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(store: Store, config: Config, now: Timestamp) -> Result<Self, StoreError> {
        let engine_id = match rows::meta(&store.db, "engine_id")? {
            Some(id) => id,
            None => {
                let seed = format!("{}\0{}\0{}", now.0, std::process::id(), config.data_dir.display());
                let id = fact_id(Agent::ClaudeCode, "engine", &[&seed]).to_string();
                rows::set_meta(&store.db, "engine_id", &id)?;
                id
            }
        };
        let first_look = rows::meta(&store.db, "looked_at_ms")?.is_none();
        let looked_until = |key| -> Result<Option<Timestamp>, StoreError> {
            Ok(rows::meta(&store.db, key)?.and_then(|t| t.parse().ok()).map(Timestamp))
        };
        // One that was never stopped in order noted its looks alone.
        let last_look = looked_until("seen_until_ms")?.or(looked_until("looked_at_ms")?);
        rows::prune_live_facts(&store.db, now)?;
        rows::refold_if_older(&store.db)?;
        let classes = rows::classes(&store.db)?.into_iter().collect();
        let prices = PriceTable::builtin().with_overrides(&config.prices);
        let mut core = Self {
            board: Arc::new(Board::new(format!("{engine_id}-{:x}", now.0))),
            sessions: HashMap::new(),
            by_key: HashMap::new(),
            by_pid: HashMap::new(),
            rechecks: BTreeSet::new(),
            touched: BTreeSet::new(),
            classes,
            reports: Reports::load(&store.db, &config, now)?,
            services: Services::load(&store.db, now)?,
            forgotten: Ignored::load(&store.db)?,
            places: Places::default(),
            worktrees: Worktrees::new(causes::waved(&store.db)?),
            terminals: Terminals::default(),
            space: Space::new(&config.data_dir, config.limits),
            next_story: None,
            prices,
            listed_at: None,
            has_read: false,
            looked: false,
            first_look,
            notifier: notify::Notifier::new(
                config.notify.clone(),
                // A last look in the future is one by a clock that was set back since.
                last_look.filter(|_| !first_look).unwrap_or(now).min(now),
            ),
            store,
            config,
        };
        core.reports.settings(core.config.warnings.clone(), now);
        let idle_ms = core.idle_window_ms();
        for id in rows::present(&core.store.db, now.plus_ms(-idle_ms))? {
            core.load(id)?;
            core.touched.insert(id);
        }
        for id in causes::open_sessions(&core.store.db)? {
            core.load(id)?;
            core.touched.insert(id);
        }
        Ok(core)
    }

    /// Ends and starts over the same store, as a restart of the app does: nothing in memory is kept. For replay and tests.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn restarted(self, now: Timestamp) -> Result<Self, StoreError> {
        self.seen_until(now)?;
        Self::new(self.store, self.config, now)
    }

    /// Whether the first import has been completed.
    pub(crate) fn is_imported(&self) -> Result<bool, StoreError> {
        Ok(rows::meta(&self.store.db, "imported")?.is_some())
    }

    fn idle_window_ms(&self) -> i64 {
        i64::from(self.config.idle_minutes) * 60_000
    }

    /// Takes in facts: folds them, judges what they change, and commits all of it, cursors included, in one
    /// transaction. Nothing is published here; see [`Core::drain_changes`].
    ///
    /// # Errors
    /// When the store refuses; nothing of the inputs is stored then, and the caller must stop: the state in memory is
    /// ahead of the store.
    pub fn apply_all(&mut self, inputs: Vec<Input>, now: Timestamp) -> Result<(), StoreError> {
        self.in_transaction(|core| core.apply_and_judge(inputs, now))
    }

    fn in_transaction(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.store.db.execute_batch("BEGIN IMMEDIATE")?;
        let done = work(self);
        match done {
            Ok(()) => {
                if let Err(e) = self.store.db.execute_batch("COMMIT") {
                    // A commit that failed may or may not have ended the transaction; an error here says that it has.
                    let _ = self.store.db.execute_batch("ROLLBACK");
                    return Err(e.into());
                }
            }
            Err(e) => {
                // As above: some errors end the transaction by themselves.
                let _ = self.store.db.execute_batch("ROLLBACK");
                return Err(e);
            }
        }
        Ok(())
    }

    fn apply_and_judge(&mut self, inputs: Vec<Input>, now: Timestamp) -> Result<(), StoreError> {
        self.services.at(now);
        let known = Agent::ALL.map(|agent| self.reports.has_registry(agent));
        for input in inputs {
            self.apply(input, now)?;
        }
        self.note_registries(known);
        self.keep_room(now)?;
        self.due_rechecks(now);
        if self.places.take_late(now) {
            // Whoever works there is not known here.
            self.touched.extend(self.sessions.keys());
        }
        self.judge_touched(now)?;
        self.tell(now)?;
        self.judge_touched(now)?;
        self.reports.save(&self.store.db)?;
        Ok(())
    }

    /// Where an agent's registry or locks turned out to be there, or not any more, absence in them means something else
    /// for every session of that agent, whatever fact told of it.
    fn note_registries(&mut self, known: [bool; Agent::ALL.len()]) {
        for (agent, was_there) in Agent::ALL.into_iter().zip(known) {
            if self.reports.has_registry(agent) != was_there {
                let theirs = self.sessions.iter().filter(|(_, loaded)| loaded.key.agent == agent);
                self.touched.extend(theirs.map(|(id, _)| *id));
            }
        }
    }

    /// The machine's clock was set back: what was to be looked at again at a moment of the old clock is looked at now,
    /// what was dated by our own look is no later than now, and the time of grace of what is not told yet ends as much
    /// earlier.
    pub fn clock_set_back(&mut self, by_ms: i64, now: Timestamp) {
        for (_, id) in std::mem::take(&mut self.rechecks) {
            if let Some(loaded) = self.sessions.get_mut(&id) {
                loaded.recheck_at = None;
            }
            self.touched.insert(id);
        }
        for (id, loaded) in &mut self.sessions {
            let lock = loaded.state.lock.map(|lock| lock.not_after(now));
            if lock != loaded.state.lock {
                loaded.state.lock = lock;
                self.touched.insert(*id);
            }
        }
        self.listed_at = self.listed_at.map(|at| at.min(now));
        self.worktrees.clock_set_back(now);
        self.notifier.clock_set_back(by_ms, now);
    }

    fn due_rechecks(&mut self, now: Timestamp) {
        while let Some(&(at, id)) = self.rechecks.first() {
            if at > now {
                break;
            }
            self.rechecks.pop_first();
            if let Some(loaded) = self.sessions.get_mut(&id) {
                loaded.recheck_at = None;
            }
            self.touched.insert(id);
        }
    }

    /// Looks after the room for raw telemetry, when it is time.
    fn keep_room(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if let Some(gone) = self.space.look(&self.store.db, now)? {
            self.reports.let_go(gone.spans, now);
        }
        self.reports.disk_low(self.space.is_low().then_some(self.config.limits.min_free_bytes), now);
        Ok(())
    }

    /// Whether the disk is nearly full; changes while the writer works.
    pub(crate) fn has_no_room(&self) -> Arc<AtomicBool> {
        self.space.flag()
    }

    /// Next moment at which something can change without a new fact.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        let recheck = self.rechecks.first().map(|(at, _)| *at);
        [recheck, self.notifier.next_due(), self.services.next_due(), self.space.next_due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// What the threads that look at worktrees are to do.
    pub(crate) fn take_worktree_orders(&mut self) -> Vec<crate::worktrees::Order> {
        self.worktrees.take_orders()
    }

    /// Somebody came to see: what is known of worktrees should be of now.
    pub(crate) fn look_at_worktrees(&mut self, now: Timestamp) {
        self.worktrees.look_at_old(now);
    }

    /// A session's person looks at it: what is shown of its worktree should be of now.
    pub(crate) fn attend(&mut self, session: Option<String>) {
        if let Some(session) = &session {
            self.worktrees.look_at(session);
        }
        self.notifier.attend(session);
    }

    /// What changed on the screen since the last call.
    pub(crate) fn drain_changes(&mut self) -> Pending {
        let mut pending = std::mem::take(&mut self.notifier.pending);
        let count = |class: Class| self.classes.get(&class).copied().unwrap_or(0);
        let on_screen = self.sessions.values().filter(|s| s.on_screen).count() as u64;
        pending.hidden = Some(Hidden {
            zombie: count(Class::Zombie),
            subagent: count(Class::Subagent),
            title_thread: count(Class::TitleThread),
            spare: count(Class::Spare),
            muted: self.sessions.values().filter(|s| s.is_hushed).count() as u64,
            services: self.services.unlisted(),
        });
        pending.archived = Some(count(Class::Row).saturating_sub(on_screen));
        pending.sources = self.reports.take_changed();
        pending.services = self.services.take_changed();
        pending.worktrees = self.worktrees.take_changed();
        self.evict();
        pending
    }

    /// Card of a session, on the screen or not, as of its last judgement or `now`.
    pub(crate) fn card_of(&mut self, id: i64, now: Timestamp) -> Result<Option<SessionCard>, StoreError> {
        self.touched.insert(id);
        self.apply_all(Vec::new(), now)?;
        Ok(self.sessions.get(&id).map(|s| s.key.to_string()).and_then(|key| self.notifier.last_card(&key)))
    }

    /// Publishes what is pending and copies the whole state; for replay and tests.
    pub fn status(&mut self, now: Timestamp) -> Status {
        let pending = self.drain_changes();
        self.board.publish(pending, now);
        self.board.status(now)
    }

    fn load(&mut self, id: i64) -> Result<Option<&mut Loaded>, StoreError> {
        if !self.sessions.contains_key(&id) {
            let Some(SessionRow { key, state, has_main, class, .. }) = rows::load(&self.store.db, id)? else {
                return Ok(None);
            };
            for (pid, process) in &state.processes {
                // A file that was read since speaks for the pid, not what was stored of it.
                if process.validity == Validity::Valid && is_open(process) {
                    self.by_pid.entry((key.agent, *pid)).or_insert(id);
                }
            }
            let loaded = Loaded {
                causes: causes::of_session(&self.store.db, id, 50)?,
                renamed: rows::label(&self.store.db, &key)?,
                muted: muted::is_muted(&self.store.db, &key)?,
                is_hushed: false,
                transcript: files::main_path(&self.store.db, id)?,
                chat: None,
                chat_looked_at: None,
                state,
                has_main,
                class,
                verdict: None,
                text: String::new(),
                on_screen: false,
                is_reread: false,
                recheck_at: None,
                story_due: None,
                key: key.clone(),
            };
            if let Some(seat) = &loaded.state.seat {
                self.terminals.seat(id, seat.pane);
            }
            self.by_key.insert(key, id);
            self.sessions.insert(id, loaded);
        }
        Ok(self.sessions.get_mut(&id))
    }

    /// Row of a session, created when it is seen first; `None` when it is to be forgotten. Every fact about a session
    /// comes through here, whatever told it, so that nothing brings a forgotten one back.
    fn row_of(&mut self, key: &SessionKey) -> Result<Option<i64>, StoreError> {
        if let Some(id) = self.by_key.get(key) {
            return Ok(Some(*id));
        }
        if self.forgotten.has(key) {
            return Ok(None);
        }
        let before = rows::find(&self.store.db, key)?;
        let id = match before {
            Some(id) => id,
            None => {
                *self.classes.entry(Class::Zombie).or_default() += 1;
                rows::ensure(&self.store.db, key)?
            }
        };
        self.load(id)?;
        Ok(Some(id))
    }

    /// Forgets sessions that are neither on the screen nor waiting for anything, when there are many.
    fn evict(&mut self) {
        let off: usize = self.sessions.values().filter(|s| !s.on_screen).count();
        if off <= MOST_LOADED {
            return;
        }
        let gone: Vec<i64> = self
            .sessions
            .iter()
            .filter(|(id, s)| {
                !s.on_screen
                    && s.recheck_at.is_none()
                    && s.story_due.is_none()
                    && !self.touched.contains(id)
                    && !self.worktrees.has_session(**id)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            if let Some(loaded) = self.sessions.remove(&id) {
                self.by_key.remove(&loaded.key);
                self.terminals.forget(id);
                if let Some(seat) = &loaded.state.seat {
                    self.terminals.leave(id, seat.pane);
                }
                self.notifier.forget_card(&loaded.key.to_string());
            }
        }
    }

    /// The first look is over: what is found from here on is news. Said after the first [`Input::Listed`].
    ///
    /// # Errors
    /// When the store refuses.
    pub fn first_look_done(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.first_look = false;
        self.looked = true;
        rows::set_meta(&self.store.db, "looked_at_ms", &now.0.to_string())
    }

    /// Whether everything there was at the start has been listed.
    pub(crate) fn has_listed(&self) -> bool {
        self.looked
    }

    /// Remembers until when the engine looked, so that after a gap it is known what happened in it.
    pub(crate) fn seen_until(&self, now: Timestamp) -> Result<(), StoreError> {
        rows::set_meta(&self.store.db, "seen_until_ms", &now.0.to_string())
    }

    pub(crate) fn key_of(&self, id: i64) -> Option<&SessionKey> {
        self.sessions.get(&id).map(|s| &s.key)
    }

    /// States by session, for replay and tests.
    pub fn verdicts(&self) -> BTreeMap<SessionKey, Assessment> {
        self.sessions.values().filter_map(|s| Some((s.key.clone(), s.verdict.clone()?))).collect()
    }
}

fn is_open(process: &Process) -> bool {
    process.removed_at.is_none() && process.exited_at.is_none() && process.moved_to.is_none()
}

/// Stable id of a cause: the same need raises the same cause again after a restart.
pub(crate) fn cause_id(key: &SessionKey, anchor: &str) -> FactId {
    fact_id(key.agent, "cause", &[key.id.as_str(), anchor])
}
