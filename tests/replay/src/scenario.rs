//! What was written when, from the captures of one scenario.

use std::path::{Path, PathBuf};

use lamplight_engine::sources::otlp::{Encoding, Signal};
use lamplight_model::ids::{Agent, SessionId, Timestamp};

use crate::labels::Labels;
use crate::transcript::TranscriptFile;
use crate::{claude, codex, gemini, hooks, opencode, otlp};

/// How long a recording that has no labels is followed after its last fact: every grace of a notification is over then.
const QUIET_MS: i64 = 15_000;

/// Something the engine's sources would have seen.
#[derive(Debug, Clone)]
pub enum Fact {
    /// A transcript has so many lines now.
    Lines {
        /// Which, in [`Scenario::files`].
        file: usize,
        /// Lines in all.
        lines: usize,
    },
    /// A transcript lies elsewhere now.
    Moved {
        /// Which.
        file: usize,
        /// Where.
        path: PathBuf,
    },
    /// A transcript is gone from a path.
    FileGone(PathBuf),
    /// A subagent's meta file was written.
    Meta {
        /// Session it belongs to.
        session: SessionId,
        /// The subagent.
        subagent: String,
        /// Its contents.
        bytes: Vec<u8>,
    },
    /// A registry file was written.
    Registry {
        /// It was not there before.
        created: bool,
        /// Its contents.
        bytes: Vec<u8>,
    },
    /// A registry file was removed.
    RegistryRemoved(u32),
    /// A process ended.
    Exited(u32),
    /// A writer lock changed (Codex).
    Lock {
        /// Thread.
        session: SessionId,
        /// The file is there.
        present: bool,
        /// Who holds it.
        holder: Option<u32>,
    },
    /// A hook, as `lamp hook` spools it.
    Hook(Vec<u8>),
    /// A request of an OpenTelemetry exporter.
    Telemetry {
        /// What it carries.
        signal: Signal,
        /// How it is written.
        encoding: Encoding,
        /// The message.
        body: Vec<u8>,
    },
    /// A line of Codex's index of titles.
    Title(Vec<u8>),
}

/// A fact and when it could be seen.
#[derive(Debug, Clone)]
pub struct Moment {
    /// Milliseconds since the scenario's start.
    pub at_ms: i64,
    /// What.
    pub fact: Fact,
}

/// A recorded scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Whose.
    pub agent: Agent,
    /// Its name.
    pub name: String,
    /// Its start.
    pub zero: Timestamp,
    /// Transcripts as they were at the end.
    pub files: Vec<TranscriptFile>,
    /// Everything seen, in order of time.
    pub moments: Vec<Moment>,
    /// Hooks, in order of time. They are seen only where they are asked for: a person need not install any.
    pub hooks: Vec<Moment>,
    /// Telemetry, in order of time; only seen where it is asked for, as hooks are.
    pub telemetry: Vec<Moment>,
    /// Labelled truth.
    pub labels: Labels,
    /// Somebody sets the machine's clock in the middle of it.
    pub clock_set: Option<ClockSet>,
}

/// A clock that is set while everything runs.
#[derive(Debug, Clone, Copy)]
pub struct ClockSet {
    /// When, in milliseconds since the scenario's start as it was recorded.
    pub at_ms: i64,
    /// By how many milliseconds: ahead, or back where negative.
    pub by_ms: i64,
}

impl Scenario {
    /// Loads a recorded scenario from any folder, as it stands: without labels, until `QUIET_MS` after the last fact.
    ///
    /// # Errors
    /// When the folder holds no recorded scenario, or what it holds is not what it should be.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let agent = agent_of(folder)?;
        let labels = Labels { sessions: hooks::sessions(folder)?, ..Labels::default() };
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or("scenario");
        let mut scenario = Self::from_folder(agent, name, folder, labels)?;
        let all = [&scenario.moments, &scenario.hooks, &scenario.telemetry];
        let last_ms = all.into_iter().flatten().map(|m| m.at_ms).max().unwrap_or(0);
        scenario.labels.end_ms = last_ms + QUIET_MS;
        Ok(scenario)
    }

    /// Loads one scenario by the word of its agent and its name.
    ///
    /// # Errors
    /// When a fixture or label file is missing or is not what it should be.
    pub fn load(agent: Agent, name: &str) -> anyhow::Result<Self> {
        let labels = Labels::load(agent, name)?;
        let folder = tests_dir().join("fixtures").join(agent.as_str()).join(name);
        Self::from_folder(agent, name, &folder, labels)
    }

    fn from_folder(agent: Agent, name: &str, folder: &Path, labels: Labels) -> anyhow::Result<Self> {
        let recorded = match agent {
            Agent::ClaudeCode => claude::load(folder)?,
            Agent::Codex => codex::load(folder, &labels)?,
            Agent::Gemini => gemini::load(folder)?,
            Agent::OpenCode => opencode::load(folder)?,
            Agent::Otel => anyhow::bail!("services are not replayed"),
        };
        let Recorded { zero, files, mut moments } = recorded;
        moments.sort_by_key(|m| m.at_ms);
        let mut hooks = hooks::load(folder, agent, zero)?;
        hooks.sort_by_key(|m| m.at_ms);
        let mut telemetry = otlp::load(folder, zero)?;
        telemetry.sort_by_key(|m| m.at_ms);
        Ok(Self {
            agent,
            name: name.to_owned(),
            zero,
            files,
            moments,
            hooks,
            telemetry,
            labels,
            clock_set: None,
        })
    }

    /// The same scenario with its hooks among what was seen.
    #[must_use]
    pub fn with_hooks(mut self) -> Self {
        self.moments.extend(self.hooks.iter().cloned());
        self.moments.sort_by_key(|m| m.at_ms);
        self
    }

    /// The same scenario with its telemetry among what was seen.
    #[must_use]
    pub fn with_telemetry(mut self) -> Self {
        self.moments.extend(self.telemetry.iter().cloned());
        self.moments.sort_by_key(|m| m.at_ms);
        self
    }

    /// The same scenario as a machine sees it that holds none of the agent's files and processes.
    #[must_use]
    pub fn from_afar(mut self) -> Self {
        self.moments.clear();
        self
    }

    /// The same scenario on a machine whose clock is set in the middle of it: whatever is dated later has the time that
    /// clock then showed, and so has whoever looks. Telemetry, whose bodies are mostly no text, is left out.
    #[must_use]
    pub fn with_clock_set(mut self, set: ClockSet) -> Self {
        let from = self.instant(set.at_ms);
        let until = self.instant(self.labels.end_ms + 60_000);
        let dated = |bytes: &[u8]| crate::dates::moved(bytes, from..until, set.by_ms);
        self.moments.retain(|m| !matches!(m.fact, Fact::Telemetry { .. }));
        for moment in &mut self.moments {
            match &mut moment.fact {
                Fact::Registry { bytes, .. }
                | Fact::Meta { bytes, .. }
                | Fact::Hook(bytes)
                | Fact::Title(bytes) => {
                    *bytes = dated(bytes);
                }
                _ => {}
            }
        }
        for file in &mut self.files {
            *file = TranscriptFile::new(file.path.clone(), file.role.clone(), dated(&file.bytes));
        }
        self.clock_set = Some(set);
        self
    }

    /// Names of all labelled scenarios of an agent, sorted.
    ///
    /// # Errors
    /// When the labels cannot be listed.
    pub fn names(agent: Agent) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(tests_dir().join("labels").join(agent.as_str()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "json")
                && let Some(name) = path.file_stem().and_then(|s| s.to_str())
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// A moment of the scenario as the machine's clock shows it.
    #[must_use]
    pub fn instant(&self, at_ms: i64) -> Timestamp {
        let set_by = self.clock_set.filter(|set| at_ms >= set.at_ms).map_or(0, |set| set.by_ms);
        self.zero.plus_ms(at_ms + set_by)
    }

    /// When the machine's clock shows an instant, or a later one: the moment of the scenario, seen from another one.
    #[must_use]
    pub fn moment(&self, instant: Timestamp, seen_from_ms: i64) -> i64 {
        let shown_ms = instant.since(self.zero);
        match self.clock_set {
            Some(set) if seen_from_ms >= set.at_ms => shown_ms - set.by_ms,
            Some(set) if shown_ms >= set.at_ms => set.at_ms.max(shown_ms - set.by_ms),
            _ => shown_ms,
        }
    }
}

/// Whose scenario a folder holds: each agent's captures have files of their own.
fn agent_of(folder: &Path) -> anyhow::Result<Agent> {
    if folder.join("timeline.txt").is_file() {
        return Ok(Agent::ClaudeCode);
    }
    anyhow::ensure!(
        folder.join("timeline.jsonl").is_file(),
        "{} holds no recorded scenario: neither timeline.txt nor timeline.jsonl is in it",
        folder.display()
    );
    let has = |name: &str| folder.join(name).exists();
    Ok(if has("dot-codex") {
        Agent::Codex
    } else if has(opencode::DATABASE) {
        Agent::OpenCode
    } else {
        Agent::Gemini
    })
}

/// What an agent's loader finds.
pub(crate) struct Recorded {
    pub zero: Timestamp,
    pub files: Vec<TranscriptFile>,
    pub moments: Vec<Moment>,
}

/// Folder of fixtures and labels.
#[must_use]
pub fn tests_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file below a folder, sorted.
pub(crate) fn files_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

/// Seconds as milliseconds, rounded.
#[expect(clippy::cast_possible_truncation, reason = "seconds of a recording, with three decimals")]
pub(crate) fn ms(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}
