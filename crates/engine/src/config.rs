//! What a host passes in. Reading the configuration file into this is `config_file`'s work.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lamplight_model::ids::Agent;

pub use crate::forward::{Endpoint, Header, Protocol};
use crate::sources::otlp::Signal;

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
    /// `[store] max_bytes` and `min_free_bytes`.
    pub limits: Limits,
    /// `[notify]`.
    pub notify: Notify,
    /// `[git] status`: look for uncommitted work in the worktrees of sessions.
    pub git: bool,
    /// `[terminals] find`: look where the terminals of sessions are.
    pub terminals: bool,
    /// `[otlp] token`: what exporters must send; none is needed unless one is configured.
    pub otlp_token: Option<String>,
    /// What set-up deals with.
    pub setup: crate::setup::Places,
    /// `[forward]`: where telemetry is passed on to; nowhere unless set.
    pub forward: Option<Forward>,
    /// There is a `[forward]`, and it cannot be used: nothing is sent, and what waits is kept.
    pub forward_unclear: bool,
    /// Clear text of settings that were not understood, with line and hint.
    pub warnings: Vec<String>,
}

/// Room for raw telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of the database beyond which the oldest spans are let go; sums stay.
    pub max_bytes: u64,
    /// Room on the disk below which no telemetry is taken in.
    pub min_free_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 2_000_000_000, min_free_bytes: 200_000_000 }
    }
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
    /// A sound is asked of whoever shows notifications.
    pub sound: bool,
    /// What is blocked on its person is told in quiet hours too.
    pub quiet_lets_blocked_through: bool,
    /// Local times of day, in minutes since midnight, between which nothing is sent; over midnight when `from > to`.
    pub quiet: Option<(u32, u32)>,
    /// Causes nothing is sent for.
    pub muted: Vec<lamplight_model::attention::CauseKind>,
    /// Projects nothing is sent for.
    pub muted_projects: Vec<String>,
    /// A program and its arguments, run for each cause that is told, with the cause as JSON on its standard input; run
    /// as it stands, by no shell. Empty for none.
    pub command: Vec<String>,
}

impl Default for Notify {
    fn default() -> Self {
        Self {
            enabled: true,
            previews: true,
            sound: false,
            quiet_lets_blocked_through: false,
            quiet: None,
            muted: Vec::new(),
            muted_projects: Vec::new(),
            command: Vec::new(),
        }
    }
}

/// Where telemetry is passed on to, and what of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// The Collector.
    pub endpoint: Endpoint,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Sent along with every request; their values are never shown.
    pub headers: Vec<Header>,
    /// What is passed on.
    pub signals: Vec<Signal>,
    /// Prompts, answers, arguments and output too.
    pub content: bool,
    /// Most bytes that may wait on disk.
    pub max_bytes: u64,
    /// Lamplight's own session facts too.
    pub own: bool,
}

impl Forward {
    /// Unless configured: 256 MB.
    pub const MAX_BYTES: u64 = 256 * 1024 * 1024;

    /// Everything but content to an endpoint over HTTP.
    #[must_use]
    pub fn to(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            protocol: Protocol::default(),
            headers: Vec::new(),
            signals: Signal::ALL.to_vec(),
            content: false,
            max_bytes: Self::MAX_BYTES,
            own: true,
        }
    }
}
