//! The heart of the pipeline: facts in, folded rows and causes out, in one transaction; then the screen.
//!
//! [`Core`] knows no thread and no clock: the writer's thread, the one-pass mode of `lamp` and the replay of recorded
//! sessions all drive it with inputs and a moment.

mod apply;
mod commands;
mod forget;
mod hooks;
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

use lamplight_model::assess::{Assessment, Circumstances, assess, heard_last};
use lamplight_model::attention::{Cause, CauseKind};
use lamplight_model::ids::{Agent, FactId, SessionKey, Timestamp};
use lamplight_model::pricing::PriceTable;
use lamplight_model::session::{LivenessState, Process, SeenWorktree, SessionState, TurnState, Validity};
use lamplight_model::view::{Hidden, SessionCard, Status};

use crate::board::{Board, Pending};
use crate::card;
use crate::config::Config;
use crate::facts::{Input, fact_id};
use crate::forget::Ignored;
use crate::otlp::Services;
use crate::places::Places;
use crate::reports::Reports;
use crate::sources::gemini;
use crate::space::Space;
use crate::store::causes::StoredCause;
use crate::store::rows::{Class, SessionRow, SessionWrite};
use crate::store::{Store, StoreError, causes, files, muted, rows, worktrees as stored_worktrees};

use notify::Sight;
use terminals::Terminals;
use worktrees::{Presence, Risk, Worktrees};

pub(crate) use forget::Gone;
pub(crate) use notify::Call;
pub use notify::Notice;
pub use told::Told;

/// How often the chat of a session is looked for while it is not found, in milliseconds.
const CHAT_LOOK_MS: i64 = 10_000;
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
    /// Everything was listed and read once since the start.
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

    /// Judges every session that was touched and writes what came of it.
    fn judge_touched(&mut self, now: Timestamp) -> Result<(), StoreError> {
        // A verdict may change what another session of the same worktree is told; that settles in one more round.
        for _ in 0..3 {
            for id in std::mem::take(&mut self.touched) {
                self.judge(id, now)?;
            }
        }
        Ok(())
    }

    /// What is known around a session, which is loaded for it; `None` when there is none.
    fn circumstances_of(&mut self, id: i64) -> Result<Option<Circumstances>, StoreError> {
        let idle_window_ms = self.idle_window_ms();
        let Some(agent) = self.load(id)?.map(|loaded| loaded.key.agent) else { return Ok(None) };
        let registry_listed = self.listed_at.is_some() && self.reports.has_registry(agent);
        Ok(Some(Circumstances { agent, registry_listed, idle_window_ms }))
    }

    fn judge(&mut self, id: i64, now: Timestamp) -> Result<(), StoreError> {
        let idle_window_ms = self.idle_window_ms();
        let resume_max_ms = i64::from(self.config.resume_max_hours) * 3_600_000;
        let Some(around) = self.circumstances_of(id)? else { return Ok(()) };
        self.note_successor(id);
        let neighbours = self.neighbours(id);
        let Some(loaded) = self.sessions.get_mut(&id) else { return Ok(()) };
        let verdict = assess(&loaded.state, &around, now);
        let alive = verdict.liveness.state == LivenessState::Alive;
        if alive {
            // It runs: whatever took its place has not any more.
            loaded.state.superseded_by = None;
            if let Some(pid) = verdict.pid.filter(|_| self.config.terminals) {
                self.terminals.want(id, &loaded.key, pid, verdict.turn_state, now);
            }
        }
        let was_alive =
            loaded.verdict.as_ref().is_some_and(|before| before.liveness.state == LivenessState::Alive);
        let changed = self.notifier.weigh_causes(
            &loaded.key,
            &verdict,
            &mut loaded.causes,
            Sight {
                is_first: self.first_look,
                is_listed: self.listed_at.is_some(),
                opened_at: opened_at(&loaded.state, &verdict),
            },
            now,
        );
        for cause in changed {
            causes::put(&self.store.db, id, &cause)?;
        }
        let class = classify(&loaded.state, &verdict, alive);
        let work = card::work_directory(&loaded.state).unwrap_or("").to_owned();
        let place = self.places.look(&work, now);
        // Of a directory that is gone only whoever has looked before can say whose worktree it lay in: above it may be
        // another one.
        let worktree = match (&loaded.state.worktree, place.worktree) {
            (Some(seen), _) if place.exists == Some(false) => {
                Some(seen.root.clone()).filter(|_| seen.directory == work)
            }
            (_, worktree) => worktree,
        };
        if let Some(root) = &worktree {
            loaded.state.worktree = Some(SeenWorktree { directory: work.clone(), root: root.clone() });
        }
        let presence = presence(&loaded.key, &loaded.state, &verdict);
        let is_archived = verdict.archived_at.is_some();
        let asks = loaded.causes.iter().any(|c| c.cause.is_open());
        // It leaves its worktree when nothing was seen of it for so long.
        let until = presence.seen_last().map(|last| last.plus_ms(idle_window_ms));
        let is_present =
            class == Class::Row && !is_archived && (alive || asks || until.is_some_and(|until| now <= until));
        if is_archived && let Some(mark) = self.worktrees.mark_of(id) {
            // What is put away with it is seen to, whoever else was there.
            let standing = loaded
                .causes
                .iter_mut()
                .find(|s| s.cause.kind == CauseKind::Uncommitted && s.cause.cleared_at.is_none());
            if let Some(stored) = standing {
                stored.cause.snoozed_over = Some(mark);
                self.worktrees.wave(mark);
            }
        }
        if is_present
            && let Some(root) = &worktree
            && !self.worktrees.has(root)
        {
            self.worktrees.open(root, stored_worktrees::memory(&self.store.db, root)?, now);
        }
        let touched = if is_present {
            self.worktrees.note(id, worktree.as_deref(), presence, now)
        } else {
            self.worktrees.forget(id, now)
        };
        self.touched.extend(touched);
        let risk = match (&worktree, place.exists) {
            // Nobody could look where it worked.
            _ if is_archived => Risk::PutAway,
            (None, None) if !work.is_empty() => Risk::NotKnown,
            _ => self.worktrees.risk_of(id),
        };
        let stands = (heard_last(&loaded.state).map(|at| at.0), self.worktrees.mark_of(id));
        for stored in &mut loaded.causes {
            if self.notifier.wake(&loaded.key, stored, stands, now) {
                causes::put(&self.store.db, id, stored)?;
            }
        }
        for cause in self.notifier.weigh_worktree(
            &loaded.key,
            risk,
            |since| self.worktrees.left_since(id, since),
            &mut loaded.causes,
            self.first_look,
            now,
        ) {
            causes::put(&self.store.db, id, &cause)?;
        }
        if class != loaded.class {
            if let Some(n) = self.classes.get_mut(&loaded.class) {
                *n = n.saturating_sub(1);
            }
            *self.classes.entry(class).or_default() += 1;
            loaded.class = class;
            self.touched.extend(&neighbours);
        }
        if was_alive != alive && loaded.state.seat.is_some() {
            // In their pane it, or they, may have another place now.
            self.touched.insert(id);
            self.touched.extend(&neighbours);
        }
        if loaded.transcript.is_none() && loaded.has_main {
            loaded.transcript = files::main_path(&self.store.db, id)?;
        }
        let open: Vec<Cause> = loaded.causes.iter().map(|c| c.cause.clone()).filter(Cause::is_open).collect();
        let recent = verdict.last_activity.is_some_and(|last| now.since(last) <= idle_window_ms);
        // Sessions of services are told on their pages, in runs and in the archive, never among those of coding agents.
        let shown = class == Class::Row
            && loaded.key.agent != Agent::Otel
            && (alive || !open.is_empty() || (recent && !is_archived));
        // One that went on as another is one card, unless it left something that is not seen to.
        let shown = shown && (!verdict.is_superseded || !open.is_empty());
        if loaded.key.agent == Agent::Gemini && class == Class::Row {
            loaded.look_for_chat(&self.config.roots, now);
        }
        let directory = match &loaded.chat {
            Some(project) => Some(project.as_str()),
            None => card::home_directory(&loaded.state, loaded.transcript.as_deref()),
        };
        let place = self.places.look(directory.unwrap_or(""), now);
        let config_dir = loaded
            .transcript
            .as_deref()
            .and_then(|t| card::foreign_config_dir(loaded.key.agent, t, &self.config));
        let made = card::card(
            &card::Known {
                key: &loaded.key,
                state: &loaded.state,
                verdict: &verdict,
                causes: &open,
                renamed: loaded.renamed.as_deref(),
                muted: loaded.muted,
                muted_projects: &self.config.notify.muted_projects,
                session_labels: &self.config.session_labels,
                projects: &self.config.projects,
                directory,
                place: &place,
                transcript_exists: loaded.transcript.is_some(),
                config_dir: config_dir.as_deref(),
                resume_max_ms,
                prices: &self.prices,
                git: self.worktrees.view_of(id),
            },
            now,
        );
        loaded.is_hushed = shown && made.muted.is_some() && !made.causes.is_empty();
        let text = card::search_text(&made, &loaded.state);
        rows::save(
            &self.store.db,
            &SessionWrite {
                id,
                state: &loaded.state,
                has_main: loaded.has_main,
                live: alive || has_open_process(&loaded.state),
                class,
                last_activity: verdict.last_activity,
                text: (text != loaded.text).then_some(text.as_str()),
            },
        )?;
        loaded.text = text;
        if let Some(before) = loaded.recheck_at.take() {
            self.rechecks.remove(&(before, id));
        }
        let in_worktree = self.worktrees.has_session(id);
        let judged_again = verdict.recheck_at.filter(|_| shown || alive || in_worktree);
        // Also one that is not on the screen does not stay in its worktree for ever.
        let leaves = until.map(|until| until.plus_ms(1)).filter(|at| in_worktree && !alive && *at > now);
        if let Some(at) = [judged_again, leaves].into_iter().flatten().min() {
            loaded.recheck_at = Some(at);
            self.rechecks.insert((at, id));
        }
        let key = loaded.key.to_string();
        let before = loaded.verdict.as_ref().map_or(&[][..], |v| v.contradictions.as_slice());
        // Counted once for as long as a source says otherwise, however often it says so.
        for other in verdict.contradictions.iter().filter(|c| before.iter().all(|b| b.source != c.source)) {
            self.reports.overruled(loaded.key.agent, &other.source, now);
        }
        if verdict.liveness.state == LivenessState::Dead
            && loaded.verdict.as_ref().is_some_and(|v| v.liveness.state == LivenessState::Alive)
        {
            loaded.story_due = Some(now);
        }
        loaded.verdict = Some(verdict);
        self.notifier.remember_card(&made);
        if shown {
            loaded.on_screen = true;
            self.notifier.pending.removed.retain(|k| *k != key);
            self.notifier.pending.upserted.insert(key, made);
        } else if loaded.on_screen {
            loaded.on_screen = false;
            self.notifier.pending.upserted.remove(&key);
            self.notifier.pending.removed.push(key);
        }
        Ok(())
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

impl Loaded {
    /// Looks where a way back would lead, for an agent whose files are not followed: a few small folders, at most every
    /// ten seconds, until it is found.
    fn look_for_chat(&mut self, roots: &[crate::config::Root], now: Timestamp) {
        let is_due = self.chat_looked_at.is_none_or(|at| now.since(at) >= CHAT_LOOK_MS);
        if self.transcript.is_some() || !is_due {
            return;
        }
        self.chat_looked_at = Some(now);
        if let Some(found) = gemini::find(roots, &self.key.id) {
            self.transcript = Some(found.path);
            self.chat = Some(found.project);
        }
    }
}

fn is_open(process: &Process) -> bool {
    process.removed_at.is_none() && process.exited_at.is_none() && process.moved_to.is_none()
}

/// A session as its worktree sees it.
fn presence(key: &SessionKey, state: &SessionState, verdict: &Assessment) -> Presence {
    let transcript = state.transcript();
    let started = state.processes.values().filter(|p| is_open(p)).filter_map(|p| p.entry.started_at).max();
    let is_working = matches!(verdict.turn_state, TurnState::Working | TurnState::Starting);
    let is_alive = verdict.liveness.state == LivenessState::Alive;
    Presence {
        key: key.to_string(),
        is_alive,
        is_unknown: verdict.liveness.state == LivenessState::Unknown,
        started_at: started.or(transcript.and_then(|t| t.first_at)).or(state.hooks.started_at),
        last_activity: verdict.last_activity,
        left_at: if is_alive { None } else { left_at(state, verdict) },
        step: (state.tool_calls, transcript.map_or(0, |t| t.open_calls.len()), is_working),
    }
}

/// When its person opened a session, where the process that runs it has not worked in it since.
fn opened_at(state: &SessionState, verdict: &Assessment) -> Option<Timestamp> {
    if verdict.liveness.state != LivenessState::Alive {
        return None;
    }
    match verdict.pid.and_then(|pid| state.processes.get(&pid)) {
        Some(process) if process.worked => None,
        Some(process) => process.entry.started_at.max(process.joined_at),
        None => state.lock.and_then(|lock| lock.free_at),
    }
}

/// When the last process of a session left, by what is stored: a restart says the same. Of several signs of one end the
/// first counts; a close by its person says nothing of when.
fn left_at(state: &SessionState, verdict: &Assessment) -> Option<Timestamp> {
    let of_processes = state
        .processes
        .values()
        .filter(|p| p.moved_to.is_none())
        .filter_map(|p| [p.removed_at, p.exited_at].into_iter().flatten().min());
    let of_lock = state.lock.filter(|lock| lock.was_held && lock.holder.is_none()).map(|lock| lock.since);
    let told = verdict.ended_at.filter(|at| state.closed_at != Some(*at));
    of_processes.chain(of_lock).chain(told).max()
}

/// A process of which no end is known: it must be looked for after a restart.
fn has_open_process(state: &SessionState) -> bool {
    state.processes.values().any(is_open) || state.lock.is_some_and(|l| l.holder.is_some())
}

fn classify(state: &SessionState, verdict: &Assessment, alive: bool) -> Class {
    use lamplight_model::event::HiddenKind;
    match verdict.hidden {
        Some(HiddenKind::Subagent) => Class::Subagent,
        Some(HiddenKind::TitleThread) => Class::TitleThread,
        Some(HiddenKind::Spare) => Class::Spare,
        None if alive || state.has_signal() => Class::Row,
        None => Class::Zombie,
    }
}

/// Stable id of a cause: the same need raises the same cause again after a restart.
pub(crate) fn cause_id(key: &SessionKey, anchor: &str) -> FactId {
    fact_id(key.agent, "cause", &[key.id.as_str(), anchor])
}
