//! What a host passes in. Reading the configuration file into this is `config_file`'s work.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lamplight_model::ids::Agent;

/// Everything the engine needs to know of its surroundings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Database, socket, spool and token live here; created with mode 0700.
    pub data_dir: PathBuf,
    /// Folders agents write to.
    pub roots: Vec<Root>,
    /// The user's home, shown as `~` and used to shorten paths.
    pub home: Option<PathBuf>,
    /// Time after which a session counts as stale, in minutes (default 240).
    pub idle_minutes: u32,
    /// Age from which a resume is marked stale, in hours (default 24).
    pub resume_max_hours: u32,
    /// `[session_labels]`: full id or prefix to label.
    pub session_labels: BTreeMap<String, String>,
    /// `[agents.<id>].project`: project by agent word or git root name.
    pub projects: BTreeMap<String, String>,
    /// Prices that replace or add to the table.
    pub prices: Vec<lamplight_model::pricing::Price>,
    /// `[store] durable`: survive power loss.
    pub durable: bool,
    /// Clear text of settings that were not understood, with line and hint.
    pub warnings: Vec<String>,
}

/// One folder an agent writes to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Root {
    /// Whose.
    pub agent: Agent,
    /// `~/.claude`, `$CODEX_HOME`, or an extra one of `[[roots]]`.
    pub path: PathBuf,
}
