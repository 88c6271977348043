//! Settings file and environment to the engine's [`Config`].
//!
//! What was written is [`raw::RawConfig`]; what the program runs on is `Config`; [`load`] is the one conversion. A setting
//! that cannot be understood never stops the program: it is left at its default and said so in `Config::warnings`. Only
//! a file that is no TOML at all, or cannot be read, is an error, because nothing of it can be believed.

mod hint;
mod price;
mod raw;
mod written;

use std::path::{Path, PathBuf};

use lamplight_engine::Engine;
use lamplight_engine::config::{Config, Limits, Notify, Root};
use lamplight_engine::setup::Places;
use lamplight_model::ids::Agent;

pub(crate) use raw::is_token;
pub use raw::{RawConfig, RawNotify, RawRoot};
pub use written::{SettingsError, change, shown};

/// Time after which a session counts as stale, in minutes, unless configured.
pub const DEFAULT_IDLE_MINUTES: u32 = 240;
/// Age from which a resume is marked stale, in hours, unless configured.
pub const DEFAULT_RESUME_MAX_HOURS: u32 = 24;

/// Reads one variable of the environment; hosts pass `std::env::var`'s `ok`, tests a table.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why no settings could be made.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Nothing says where the data is.
    #[error(
        "HOME is not set, so there is no place for Lamplight's data. Set HOME, or LAMPLIGHT_DATA to a folder of its own."
    )]
    NoDataDir,
    /// The settings file is there and cannot be read.
    #[error(
        "cannot read the settings file {path}. Make it readable, or point LAMPLIGHT_CONFIG to another one."
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The settings file is no TOML.
    #[error(
        "the settings file {path} is not valid TOML in line {line}: {message}. Correct that line; nothing of the file was used."
    )]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What the parser said.
        message: String,
    },
    /// A folder given as a relative path could not be made absolute.
    #[error(
        "cannot tell which folder {path} is: the current directory is gone. Give it as an absolute path."
    )]
    Relative {
        /// The path as given.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Makes the engine's settings from the environment and the settings file.
///
/// # Errors
/// [`ConfigError`] when there is no place for the data, or the settings file cannot be read or parsed.
pub fn load(env: Env<'_>) -> Result<Config, ConfigError> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let home = set("HOME").map(PathBuf::from);
    let data_dir = match set("LAMPLIGHT_DATA") {
        Some(dir) => absolute(PathBuf::from(dir))?,
        None => default_data_dir(&set, home.as_deref()).ok_or(ConfigError::NoDataDir)?,
    };
    let mut warnings = Vec::new();
    let raw = match config_path(env) {
        Some(path) => read(&path, set("LAMPLIGHT_CONFIG").is_some(), &mut warnings)?,
        None => RawConfig::default(),
    };
    let roots = roots(&set, home.as_deref(), &raw, &mut warnings)?;
    let setup = setup_places(env, &data_dir, &roots, raw.otlp_token.clone());
    Ok(Config {
        data_dir,
        roots,
        home,
        idle_minutes: raw.idle_minutes.unwrap_or(DEFAULT_IDLE_MINUTES),
        resume_max_hours: raw.resume_max_hours.unwrap_or(DEFAULT_RESUME_MAX_HOURS),
        session_labels: raw.session_labels,
        projects: raw.projects,
        prices: raw.prices,
        notify: notify(raw.notify),
        otlp_token: raw.otlp_token,
        git: raw.git.unwrap_or(true),
        terminals: raw.terminals.unwrap_or(true),
        forward: raw.forward,
        forward_unclear: raw.forward_unclear,
        durable: raw.durable.unwrap_or(false),
        limits: Limits {
            max_bytes: raw.max_bytes.unwrap_or(Limits::default().max_bytes),
            min_free_bytes: raw.min_free_bytes.unwrap_or(Limits::default().min_free_bytes),
        },
        setup,
        warnings,
    })
}

/// Where set-up finds the settings of agents and shells. Which `lamp` it installs, the host says.
fn setup_places(env: Env<'_>, data_dir: &Path, roots: &[Root], otlp_token: Option<String>) -> Places {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let home = set("HOME").map(PathBuf::from);
    let root =
        |agent| roots.iter().find(|root| root.agent == agent && root.is_default).map(|r| r.path.clone());
    let config = xdg(&set, "XDG_CONFIG_HOME").or_else(|| Some(home.as_ref()?.join(".config")));
    Places {
        data_dir: data_dir.to_owned(),
        data_dir_is_named: set("LAMPLIGHT_DATA").is_some(),
        config_file: config_path(env).and_then(|path| absolute(path).ok()),
        claude: root(Agent::ClaudeCode),
        codex: root(Agent::Codex),
        gemini: home.as_ref().map(|home| home.join(".gemini")),
        zsh: set("ZDOTDIR").map(PathBuf::from).filter(|dir| dir.is_absolute()).or_else(|| home.clone()),
        fish: config.map(|config| config.join("fish")),
        lamp: None,
        otlp_token,
        otlp_env: set("OTEL_EXPORTER_OTLP_ENDPOINT"),
        home,
    }
}

/// Has a running engine follow its settings file: each change holds at once, as far as it can without a start.
///
/// `env` is asked again at each change. Without file events the settings hold until the next start, and the log says so.
pub fn follow(engine: &Engine, env: impl Fn(&str) -> Option<String> + Send + 'static) {
    let Some(path) = config_path(&env) else { return };
    let load = move || load(&env).map_err(|error| sentence(&error));
    if let Err(error) = engine.follow_settings(path, load) {
        tracing::warn!(%error, "the settings file cannot be followed; a change of it holds from the next start on");
    }
}

/// An error and its causes in one line, as a sentence.
fn sentence(error: &ConfigError) -> String {
    let mut text = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        text = format!("{text} ({source})");
    }
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn notify(raw: RawNotify) -> Notify {
    let unset = Notify::default();
    Notify {
        enabled: raw.enabled.unwrap_or(unset.enabled),
        previews: raw.previews.unwrap_or(unset.previews),
        sound: raw.sound.unwrap_or(unset.sound),
        quiet_lets_blocked_through: raw
            .quiet_lets_blocked_through
            .unwrap_or(unset.quiet_lets_blocked_through),
        quiet: raw.quiet.or(unset.quiet),
        muted: raw.muted,
        muted_projects: raw.muted_projects,
        command: raw.command,
    }
}

/// Returns where the data is, or would be: `LAMPLIGHT_DATA`, else the platform's data folder; `None` when nothing says
/// where that is. No settings file is read for it.
#[must_use]
pub fn data_dir(env: Env<'_>) -> Option<PathBuf> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    set("LAMPLIGHT_DATA")
        .map(PathBuf::from)
        .or_else(|| default_data_dir(&set, set("HOME").map(PathBuf::from).as_deref()))
}

/// Returns where the settings file is, or would be: `LAMPLIGHT_CONFIG`, else `config.toml` in the platform's
/// configuration folder; `None` when nothing says where that is.
#[must_use]
pub fn config_path(env: Env<'_>) -> Option<PathBuf> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    if let Some(path) = set("LAMPLIGHT_CONFIG") {
        return Some(PathBuf::from(path));
    }
    let home = set("HOME").map(PathBuf::from);
    let dir = if cfg!(target_os = "macos") {
        home?.join("Library/Application Support/Lamplight")
    } else if cfg!(windows) {
        PathBuf::from(set("APPDATA")?).join("Lamplight")
    } else {
        xdg(&set, "XDG_CONFIG_HOME").or_else(|| Some(home?.join(".config")))?.join("lamplight")
    };
    Some(dir.join("config.toml"))
}

fn default_data_dir(set: &dyn Fn(&str) -> Option<String>, home: Option<&Path>) -> Option<PathBuf> {
    if cfg!(target_os = "macos") {
        Some(home?.join("Library/Application Support/Lamplight"))
    } else if cfg!(windows) {
        Some(PathBuf::from(set("LOCALAPPDATA")?).join("Lamplight"))
    } else {
        Some(xdg(set, "XDG_DATA_HOME").or_else(|| Some(home?.join(".local/share")))?.join("lamplight"))
    }
}

/// A folder of the XDG base directory specification, which says that relative ones are to be ignored.
fn xdg(set: &dyn Fn(&str) -> Option<String>, name: &str) -> Option<PathBuf> {
    set(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

fn read(path: &Path, named: bool, warnings: &mut Vec<String>) -> Result<RawConfig, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let parsed = RawConfig::parse(&text).map_err(|error| ConfigError::Syntax {
                path: path.to_owned(),
                line: error.line,
                message: error.message,
            })?;
            warnings.extend(parsed.warnings.iter().map(|warning| format!("{}: {warning}", path.display())));
            Ok(parsed.config)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if named {
                warnings.push(format!(
                    "{}: there is no such file; every setting has its default",
                    path.display()
                ));
            }
            Ok(RawConfig::default())
        }
        Err(source) => Err(ConfigError::Read { path: path.to_owned(), source }),
    }
}

/// The agents' own folders, then those of `[[roots]]`, each once.
fn roots(
    set: &dyn Fn(&str) -> Option<String>,
    home: Option<&Path>,
    raw: &RawConfig,
    warnings: &mut Vec<String>,
) -> Result<Vec<Root>, ConfigError> {
    let mut roots: Vec<Root> = Vec::new();
    for (agent, variable, folder) in
        [(Agent::ClaudeCode, "CLAUDE_CONFIG_DIR", ".claude"), (Agent::Codex, "CODEX_HOME", ".codex")]
    {
        match set(variable).map(PathBuf::from).or_else(|| Some(home?.join(folder))) {
            Some(path) => roots.push(Root { agent, path: absolute(path)?, is_default: true }),
            None => warnings
                .push(format!("HOME is not set: {agent} sessions are not read; set HOME or {variable}")),
        }
    }
    // Its chats are looked for when there is a way back to give, never followed.
    if let Some(home) = home {
        roots.push(Root { agent: Agent::Gemini, path: absolute(home.join(".gemini"))?, is_default: true });
    }
    let data = xdg(set, "XDG_DATA_HOME").or_else(|| Some(home?.join(".local").join("share")));
    if let Some(data) = data {
        let path = absolute(data.join("opencode"))?;
        roots.push(Root { agent: Agent::OpenCode, path, is_default: true });
    }
    for extra in &raw.roots {
        let path = match (extra.path.strip_prefix("~"), home) {
            (Ok(rest), Some(home)) => home.join(rest),
            (Ok(_), None) => {
                warnings
                    .push(format!("HOME is not set: the extra root {} is not read", extra.path.display()));
                continue;
            }
            (Err(_), _) => extra.path.clone(),
        };
        let root = Root { agent: extra.agent, path: absolute(path)?, is_default: false };
        if !roots.iter().any(|known| known.agent == root.agent && known.path == root.path) {
            roots.push(root);
        }
    }
    Ok(roots)
}

/// Makes a path absolute without asking whether it exists.
///
/// # Errors
/// [`ConfigError::Relative`] when it is relative to a current directory that is gone.
pub fn absolute(path: PathBuf) -> Result<PathBuf, ConfigError> {
    std::path::absolute(&path).map_err(|source| ConfigError::Relative { path, source })
}

#[cfg(test)]
mod tests;
