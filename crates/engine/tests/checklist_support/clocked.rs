//! The pipeline on a clock of the test's own: real files, read by the real reader, at moments the test chooses.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use lamplight_engine::config::Config;
use lamplight_engine::core::Core;
use lamplight_engine::facts::{FileRole, Input};
use lamplight_engine::sources::tail::{Flow, Position, Tailer};
use lamplight_engine::store::Store;
use lamplight_model::assess::Assessment;
use lamplight_model::ids::{SessionKey, Timestamp};
use lamplight_model::view::{SessionCard, Status};

use super::running::find;

/// A moment of an ordinary day.
pub const T0: Timestamp = Timestamp(1_795_176_000_000);

/// The pipeline over a database in memory.
pub struct Clocked {
    pub core: Core,
    tailer: Tailer,
    positions: HashMap<PathBuf, Position>,
}

impl Clocked {
    /// Starts at [`T0`] with the first listing done: nothing was there.
    pub fn new(config: Config) -> Self {
        Self::over(Store::in_memory().unwrap(), config, T0)
    }

    pub fn over(store: Store, config: Config, now: Timestamp) -> Self {
        Self::finding(store, config, now, Vec::new())
    }

    /// The first listing finds this.
    pub fn finding(store: Store, config: Config, now: Timestamp, mut there: Vec<Input>) -> Self {
        let mut core = Core::new(store, config, now).unwrap();
        there.push(Input::Listed { at: now, asked: 0 });
        core.apply_all(there, now).unwrap();
        Self { core, tailer: Tailer::default(), positions: HashMap::new() }
    }

    /// Reads what was appended to a transcript.
    pub fn read(&mut self, key: &SessionKey, subagent: Option<&str>, path: &Path, now: Timestamp) {
        let role =
            FileRole { agent: key.agent, session: key.id.clone(), subagent: subagent.map(str::to_owned) };
        let position = self.positions.entry(path.to_owned()).or_default();
        let mut inputs = Vec::new();
        self.tailer
            .read(path, &role, position, now, &mut |batch| {
                inputs.push(Input::Batch(batch));
                Flow::Continue
            })
            .unwrap();
        self.core.apply_all(inputs, now).unwrap();
    }

    /// Lets time pass as the engine does: looked at whenever something is due.
    pub fn run_until(&mut self, now: Timestamp) {
        while let Some(due) = self.core.next_due().filter(|due| *due < now) {
            self.pass(due.plus_ms(1));
            if self.core.next_due().is_some_and(|next| next <= due) {
                break;
            }
        }
        self.pass(now);
    }

    /// Other settings hold.
    pub fn reconfigure(&mut self, config: &Config, now: Timestamp) {
        self.core.reconfigure(config, now).unwrap();
    }

    /// Lets time pass without any fact.
    pub fn pass(&mut self, now: Timestamp) {
        self.core.apply_all(Vec::new(), now).unwrap();
    }

    pub fn status(&mut self, now: Timestamp) -> Status {
        self.core.status(now)
    }

    pub fn card(&mut self, key: &SessionKey, now: Timestamp) -> SessionCard {
        let status = self.core.status(now);
        find(&status, &key.to_string()).unwrap_or_else(|| panic!("{key} is not shown: {status:#?}")).clone()
    }

    pub fn verdict(&self, key: &SessionKey) -> Assessment {
        self.core.verdicts().get(key).unwrap_or_else(|| panic!("{key} was not judged")).clone()
    }
}
