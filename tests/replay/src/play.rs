//! Plays a scenario's facts into the engine's core on a virtual clock.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use anyhow::Context as _;
use lamplight_engine::config::{Config, Notify};
use lamplight_engine::core::{Core, Told};
use lamplight_engine::facts::{HookFact, Input, RegistryUpdate};
use lamplight_engine::sources::decode;
use lamplight_engine::sources::otlp::decode as decode_request;
use lamplight_engine::store::Store;
use lamplight_model::assess::Assessment;
use lamplight_model::attention::CauseKind;
use lamplight_model::ids::{Agent, SessionId, Timestamp};
use lamplight_model::session::{TurnState, Validity, WaitKind};
use lamplight_model::view::Evidence;

use crate::hold::LAG_MS;
use crate::scenario::{Fact, Scenario};
use crate::transcript::Reader;

/// The engine looks at everything that lives again so often, in case an event was lost.
const RECONCILE_MS: i64 = 30_000;

/// What the core said of a session from a moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Milliseconds since the scenario's start.
    pub at_ms: i64,
    /// State.
    pub state: TurnState,
    /// Why it needs its person.
    pub need: Option<CauseKind>,
    /// What it waits for.
    pub waits: Option<WaitKind>,
    /// The tool it waits for.
    pub tool: Option<String>,
    /// What it asks or was stopped by.
    pub detail: Option<String>,
    /// The fact that was believed.
    pub evidence: String,
    /// Every fact that was weighed, the believed one first.
    pub facts: Vec<Evidence>,
}

/// Everything the core said, by session.
#[derive(Debug, Default)]
pub struct History {
    /// Changes in order of time; the first entry is the first that was said.
    pub changes: BTreeMap<SessionId, Vec<Change>>,
    /// What became of causes: told, seen to before that, or why not; in order of time.
    pub told: Vec<Told>,
}

impl History {
    /// What was said of a session.
    #[must_use]
    pub fn of(&self, session: &SessionId) -> &[Change] {
        self.changes.get(session).map_or(&[], Vec::as_slice)
    }

    /// What held at a moment; `None` before the session was known.
    #[must_use]
    pub fn at(&self, session: &SessionId, at_ms: i64) -> Option<&Change> {
        self.of(session).iter().rev().find(|c| c.at_ms <= at_ms)
    }

    fn note(&mut self, at_ms: i64, session: SessionId, said: &Assessment) {
        let change = Change {
            at_ms,
            state: said.turn_state,
            need: said.need.as_ref().map(|n| n.kind),
            waits: said.waiting_for.as_ref().map(|w| w.kind),
            tool: said.waiting_for.as_ref().and_then(|w| w.tool.clone()),
            detail: said.waiting_for.as_ref().and_then(|w| w.detail.clone()),
            facts: said.evidence.clone(),
            evidence: said.evidence.first().map_or_else(String::new, |e| format!("{}: {}", e.source, e.fact)),
        };
        let known = self.changes.entry(session).or_default();
        let is_same = known.last().is_some_and(|last| {
            (last.state, last.need, last.waits, &last.tool)
                == (change.state, change.need, change.waits, &change.tool)
        });
        if !is_same {
            known.push(change);
        }
    }
}

/// Plays a whole scenario and returns what the core said.
///
/// # Errors
/// When the core refuses, or asks to be called at a moment that has passed.
pub fn play(scenario: &Scenario) -> anyhow::Result<History> {
    let end_ms = scenario.labels.end_ms + LAG_MS;
    play_until(scenario, end_ms, end_ms)
}

/// Plays the facts until one moment, lets all be quiet until another, and returns what the core said: as if everybody
/// had gone to lunch.
///
/// # Errors
/// As [`play`].
pub fn play_until(scenario: &Scenario, last_ms: i64, end_ms: i64) -> anyhow::Result<History> {
    let mut player = Player::new(scenario)?;
    let mut moments = scenario.moments.iter().peekable();
    while let Some(first) = moments.peek() {
        let at_ms = first.at_ms;
        if at_ms > last_ms {
            break;
        }
        let mut facts = Vec::new();
        // What is seen in one millisecond is one commit, as the writer drains its queue.
        while let Some(moment) = moments.next_if(|m| m.at_ms == at_ms) {
            facts.push(&moment.fact);
        }
        player.wait_until(at_ms)?;
        player.see(at_ms, facts)?;
    }
    player.wait_until(end_ms)?;
    Ok(player.history)
}

/// The core, the files as far as they were read, and the clock.
#[derive(Debug)]
pub struct Player<'a> {
    scenario: &'a Scenario,
    /// The pipeline.
    pub core: Core,
    readers: Vec<Reader>,
    standing: BTreeMap<u32, Vec<u8>>,
    /// Locks that are there, and who holds them.
    locks: BTreeMap<SessionId, (bool, Option<u32>)>,
    dead: HashSet<u32>,
    now_ms: i64,
    reconcile_ms: i64,
    /// What was said so far.
    pub history: History,
}

impl<'a> Player<'a> {
    /// Starts an engine before the scenario does, on an empty store.
    ///
    /// # Errors
    /// When the store or the core refuses.
    pub fn new(scenario: &'a Scenario) -> anyhow::Result<Self> {
        let start =
            scenario.instant(0).min(scenario.instant(scenario.moments.first().map_or(0, |m| m.at_ms)));
        let mut core = Core::new(Store::in_memory()?, config(), start)?;
        core.apply_all(vec![Input::Listed { at: start, asked: 0 }], start)?;
        core.first_look_done(start)?;
        let readers =
            (1u64..).zip(&scenario.files).map(|(ino, file)| Reader::new(ino, file.path.clone())).collect();
        Ok(Self {
            scenario,
            core,
            readers,
            standing: BTreeMap::new(),
            locks: BTreeMap::new(),
            dead: HashSet::new(),
            now_ms: start.0 - scenario.zero.0,
            reconcile_ms: start.0 - scenario.zero.0 + RECONCILE_MS,
            history: History::default(),
        })
    }

    /// Lets time pass: the core is called whenever it wants to be, registries are looked at again every 30 s.
    ///
    /// # Errors
    /// When the core refuses, or asks to be called at a moment that has passed.
    pub fn wait_until(&mut self, at_ms: i64) -> anyhow::Result<()> {
        loop {
            let due_ms = self.core.next_due().map(|due| self.scenario.moment(due, self.now_ms));
            let set_ms = self.scenario.clock_set.map(|set| set.at_ms).filter(|set_ms| *set_ms > self.now_ms);
            let next_ms = [due_ms, set_ms].into_iter().flatten().fold(self.reconcile_ms, i64::min);
            if next_ms >= at_ms {
                return Ok(());
            }
            anyhow::ensure!(
                next_ms > self.now_ms,
                "the core asks at {} to be called at {next_ms}",
                self.now_ms
            );
            let mut inputs = Vec::new();
            if next_ms == self.reconcile_ms {
                self.reconcile_ms += RECONCILE_MS;
                for bytes in self.standing.values() {
                    inputs.extend(self.registry(bytes, self.scenario.instant(next_ms))?);
                }
            }
            self.apply(next_ms, inputs)?;
        }
    }

    /// Sees facts, all at once.
    ///
    /// # Errors
    /// When a fact cannot be made into an input, or the core refuses.
    pub fn see<'f>(&mut self, at_ms: i64, facts: impl IntoIterator<Item = &'f Fact>) -> anyhow::Result<()> {
        let mut inputs = Vec::new();
        for fact in facts {
            inputs.extend(self.input(fact, self.scenario.instant(at_ms))?);
        }
        self.apply(at_ms, inputs)
    }

    /// The app is stopped and started: nothing in memory is kept, and what lives is listed again, by its latest files.
    ///
    /// # Errors
    /// When the store or the core refuses.
    pub fn restart(mut self, at_ms: i64) -> anyhow::Result<Self> {
        let now = self.scenario.instant(at_ms);
        self.core = self.core.restarted(now)?;
        let mut inputs = Vec::new();
        for bytes in self.standing.values() {
            inputs.extend(self.registry(bytes, now)?);
        }
        for (session, (present, holder)) in &self.locks {
            let session = session.clone();
            inputs.push(Input::Lock { session, present: *present, holder: *holder, at: now });
        }
        inputs.push(Input::Listed { at: now, asked: 0 });
        self.apply(at_ms, inputs)?;
        self.core.first_look_done(now)?;
        Ok(self)
    }

    fn apply(&mut self, at_ms: i64, inputs: Vec<Input>) -> anyhow::Result<()> {
        let (before, now) = (self.scenario.instant(self.now_ms), self.scenario.instant(at_ms));
        if now < before {
            self.core.clock_set_back(before.since(now), now);
        }
        self.now_ms = at_ms;
        self.core.apply_all(inputs, now)?;
        for (key, said) in self.core.verdicts() {
            self.history.note(at_ms, key.id, &said);
        }
        let number = self.history.told.last().map_or(0, |told| told.number);
        self.history.told.extend(self.core.told_since(number)?);
        Ok(())
    }

    fn input(&mut self, fact: &Fact, now: Timestamp) -> anyhow::Result<Option<Input>> {
        let agent = self.scenario.agent;
        Ok(match fact {
            Fact::Lines { file, lines } => {
                let (reader, file) = self.file(*file)?;
                reader.read(file, file.end_of(*lines), now)?.map(Input::Batch)
            }
            Fact::Moved { file, path } => {
                let (reader, file) = self.file(*file)?;
                reader.move_to(path.clone());
                Some(Input::Batch(reader.place(file, now)?))
            }
            Fact::FileGone(path) => Some(Input::FileGone { path: path.clone() }),
            Fact::Meta { session, subagent, bytes } => {
                decode::claude::subagent_meta(bytes).map(|meta| Input::SubagentMeta {
                    session: session.clone(),
                    subagent: subagent.clone(),
                    kind: meta.kind,
                    description: meta.description,
                    finished: meta.finished,
                })
            }
            Fact::Registry { created, bytes } => {
                let pid = decode::claude::registry(bytes)?.pid;
                if *created {
                    self.dead.remove(&pid);
                }
                self.standing.insert(pid, bytes.clone());
                self.registry(bytes, now)?
            }
            Fact::RegistryRemoved(pid) => {
                let Some(last) = self.standing.remove(pid) else { return Ok(None) };
                let session =
                    lamplight_model::ids::SessionId::new(&decode::claude::registry(&last)?.session_id)?;
                Some(Input::RegistryRemoved { agent, pid: *pid, session, at: now })
            }
            Fact::Exited(pid) => {
                self.dead.insert(*pid);
                Some(Input::ProcessExited { pid: *pid, at: now })
            }
            Fact::Lock { session, present, holder } => {
                if *present {
                    self.locks.insert(session.clone(), (*present, *holder));
                } else {
                    self.locks.remove(session);
                }
                Some(Input::Lock { session: session.clone(), present: *present, holder: *holder, at: now })
            }
            Fact::Telemetry { signal, encoding, body } => {
                let batch = decode_request(*signal, *encoding, body, now)?;
                Some(Input::Telemetry(Box::new(batch)))
            }
            Fact::Hook(bytes) => {
                let read = decode::hook(bytes, now);
                let (hooked, _) = read.map_err(|kind| anyhow::anyhow!("a hook is counted as {kind:?}"))?;
                hooked.map(|decode::Hooked { agent, session, hook }| {
                    Input::Hook(HookFact { file: PathBuf::new(), agent, session, hook })
                })
            }
            Fact::Title(line) => decode::codex::index_line(line).map(|(session, text, at)| Input::Title {
                agent: Agent::Codex,
                session,
                text,
                at,
            }),
        })
    }

    fn file(&mut self, number: usize) -> anyhow::Result<(&mut Reader, &'a crate::TranscriptFile)> {
        let file = self.scenario.files.get(number).context("a fact of no file")?;
        Ok((self.readers.get_mut(number).context("a fact of no file")?, file))
    }

    fn registry(&self, bytes: &[u8], now: Timestamp) -> anyhow::Result<Option<Input>> {
        let file = decode::claude::registry(bytes)?;
        let validity = if self.dead.contains(&file.pid) { Validity::Dead } else { Validity::Valid };
        Ok(Some(Input::Registry(RegistryUpdate {
            agent: Agent::ClaudeCode,
            pid: file.pid,
            session: SessionId::new(&file.session_id)?,
            status_at: file.status_at.unwrap_or(now).min(now),
            entry: file.entry,
            validity,
            read_at: now,
        })))
    }
}

fn config() -> Config {
    Config {
        data_dir: PathBuf::from("/nowhere"),
        roots: Vec::new(),
        home: Some(PathBuf::from("/home/dev")),
        idle_minutes: 240,
        resume_max_hours: 24,
        session_labels: BTreeMap::new(),
        projects: BTreeMap::new(),
        prices: Vec::new(),
        durable: false,
        limits: Default::default(),
        git: false,
        terminals: false,
        notify: Notify::default(),
        otlp_token: None,
        setup: Default::default(),
        forward: None,
        forward_unclear: false,
        warnings: Vec::new(),
    }
}
