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
    /// `[notify]`.
    pub notify: Notify,
    /// `[git] status`: look for uncommitted work in the worktrees of sessions.
    pub git: bool,
    /// `[otlp] token`: what exporters must send; none is needed unless one is configured.
    pub otlp_token: Option<String>,
    /// What set-up deals with.
    pub setup: crate::setup::Places,
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
    /// The agent uses it by itself (its home folder, or the one the environment names); a resume command need not name it.
    pub is_default: bool,
}

/// When and how the person is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// Off: nothing is sent.
    pub enabled: bool,
    /// Off: names and reasons only, no command and nothing that was said.
    pub previews: bool,
    /// Local times of day, in minutes since midnight, between which nothing is sent; over midnight when `from > to`.
    pub quiet: Option<(u32, u32)>,
    /// Causes nothing is sent for.
    pub muted: Vec<lamplight_model::attention::CauseKind>,
}

impl Default for Notify {
    fn default() -> Self {
        Self { enabled: true, previews: true, quiet: None, muted: Vec::new() }
    }
}
