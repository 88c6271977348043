//! The settings as the screen shows them, and a change of them written back into the same file.
//!
//! A change is made on the file's own text: comments, order and everything it does not name keep their bytes. It is read
//! back by the reader of every start before it is written, so that nothing gets into the file that would be ignored.

mod edit;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lamplight_engine::config::{Config, Limits, Notify};
use lamplight_engine::setup::{FileError, ReadSettings, read_settings, write_settings};
use lamplight_model::view::{NotifySettings, QuietHours, RootView, Settings};
use serde_json::Value as Json;

use super::raw::{Parsed, RawConfig};

/// Tries until a file that others write as well is left alone.
const MOST_TRIES: u32 = 5;

/// What may be set from outside: what the screen has a switch or a field for. Over HTTP every program with the token may ask,
/// so nothing is among them that runs a program, lets somebody in, or sends anything away.
const SETTABLE: &[&str] = &[
    "git.status",
    "notify.enabled",
    "notify.muted",
    "notify.muted_projects",
    "notify.previews",
    "notify.quiet",
    "notify.quiet_lets_blocked_through",
    "notify.sound",
    "roots",
    "sessions.idle_minutes",
    "sessions.resume_max_hours",
    "store.max_bytes",
    "terminals.find",
    "window.strip",
];

/// Why settings cannot be shown or changed.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Nothing says where the file would be.
    #[error("there is no place for a settings file: set HOME, or LAMPLIGHT_CONFIG to a file of its own")]
    NoFile,
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is no TOML: nothing of it may be changed.
    #[error(
        "the settings file {path} is not valid TOML in line {line}: {message}. Correct that line first; nothing was written"
    )]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What the parser said.
        message: String,
    },
    /// What is to be set means nothing.
    #[error("{0}. Nothing was written")]
    Refused(String),
    /// It is not one of those that the screen sets.
    #[error(
        "{name:?} is nothing that can be set from here; if it is a setting, change it by hand in {path}. Nothing was written"
    )]
    ByHand {
        /// What was to be set.
        name: String,
        /// The settings file.
        path: PathBuf,
    },
    /// Something a person wrote for people would go with what is changed.
    #[error("the comment {comment:?} would be lost; change this by hand in {path}. Nothing was written")]
    Comment {
        /// What it says.
        comment: String,
        /// The settings file.
        path: PathBuf,
    },
    /// Others write the file all the time.
    #[error(
        "the settings file {0} was changed by another program at the same moment. Nothing was written; try again"
    )]
    Busy(PathBuf),
}

/// Returns the settings as the file has them now.
///
/// # Errors
/// [`SettingsError`] when the file cannot be read.
pub fn shown(config: &Config) -> Result<Settings, SettingsError> {
    let Some(path) = &config.setup.config_file else {
        return Ok(view(config, None, &RawConfig::default(), Vec::new()));
    };
    let text = read_settings(path)?.text.unwrap_or_default();
    let Parsed { config: raw, warnings } = match RawConfig::parse(&text) {
        Ok(parsed) => parsed,
        Err(error) => Parsed {
            config: RawConfig::default(),
            warnings: vec![format!("line {}: {}. Nothing of the file is used.", error.line, error.message)],
        },
    };
    Ok(view(config, Some(path), &raw, warnings))
}

/// Writes settings into the file, each by its name (`notify.enabled`, `roots`); `null` takes one out. All or nothing.
/// Returns what is shown afterwards; a running engine follows its file.
///
/// # Errors
/// [`SettingsError::ByHand`] for what the screen does not set, [`SettingsError::Refused`] for what would not be understood,
/// else when the file cannot be read or written.
pub fn change(config: &Config, set: &BTreeMap<String, Json>) -> Result<Settings, SettingsError> {
    let path = config.setup.config_file.as_deref().ok_or(SettingsError::NoFile)?;
    if let Some(name) = set.keys().find(|name| !SETTABLE.contains(&name.as_str())) {
        return Err(SettingsError::ByHand { name: name.clone(), path: path.to_owned() });
    }
    for _ in 0..MOST_TRIES {
        let before = read_settings(path)?;
        let after = changed(path, &before, set)?;
        if before.text.as_deref() == Some(after.as_str()) || write_settings(path, &before, &after)? {
            return shown(config);
        }
    }
    Err(SettingsError::Busy(path.to_owned()))
}

fn changed(
    path: &Path,
    before: &ReadSettings,
    set: &BTreeMap<String, Json>,
) -> Result<String, SettingsError> {
    let text = before.text.as_deref().unwrap_or_default();
    let parse = |text: &str| {
        RawConfig::parse(text).map_err(|error| SettingsError::Syntax {
            path: path.to_owned(),
            line: error.line,
            message: error.message,
        })
    };
    let known = parse(text)?.warnings;
    // The editor of TOML ends lines in one way only.
    let is_windows = text.contains("\r\n");
    let plain = text.replace("\r\n", "\n");
    let mut after = plain.clone();
    for (name, value) in set {
        after = edit::put(&after, name, value)?;
    }
    let mut kept = edit::comments(&after);
    for comment in edit::comments(&plain) {
        match kept.iter().position(|other| *other == comment) {
            Some(at) => drop(kept.swap_remove(at)),
            None => {
                return Err(SettingsError::Comment { comment: comment.to_owned(), path: path.to_owned() });
            }
        }
    }
    if is_windows {
        after = after.replace('\n', "\r\n");
    }
    let said =
        |warning: &String| warning.split_once(": ").map_or(warning.clone(), |(_, what)| what.to_owned());
    let before: Vec<String> = known.iter().map(said).collect();
    // Lines move; what is said of them does not.
    match parse(&after)?.warnings.iter().map(said).find(|warning| !before.contains(warning)) {
        Some(warning) => Err(SettingsError::Refused(warning)),
        None => Ok(after),
    }
}

fn view(config: &Config, file: Option<&Path>, raw: &RawConfig, problems: Vec<String>) -> Settings {
    let unset = Notify::default();
    let notify = &raw.notify;
    let exists = |path: &Path| path.is_dir();
    let own = config.roots.iter().filter(|root| root.is_default).map(|root| RootView {
        agent: root.agent.as_str().to_owned(),
        path: root.path.to_string_lossy().into_owned(),
        is_default: true,
        exists: exists(&root.path),
    });
    let extra = raw.roots.iter().map(|root| {
        let real = match (root.path.strip_prefix("~"), &config.home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => root.path.clone(),
        };
        RootView {
            agent: root.agent.as_str().to_owned(),
            path: root.path.to_string_lossy().into_owned(),
            is_default: false,
            exists: exists(&real),
        }
    });
    let clock = |minutes: u32| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    Settings {
        file: file.map(|path| path.to_string_lossy().into_owned()),
        problems,
        notify: NotifySettings {
            enabled: notify.enabled.unwrap_or(unset.enabled),
            previews: notify.previews.unwrap_or(unset.previews),
            sound: notify.sound.unwrap_or(unset.sound),
            quiet: notify.quiet.map(|(from, to)| QuietHours { from: clock(from), to: clock(to) }),
            quiet_lets_blocked_through: notify
                .quiet_lets_blocked_through
                .unwrap_or(unset.quiet_lets_blocked_through),
            muted: notify.muted.clone(),
            muted_projects: notify.muted_projects.clone(),
            command: notify.command.clone(),
        },
        idle_minutes: raw.idle_minutes.unwrap_or(super::DEFAULT_IDLE_MINUTES),
        resume_max_hours: raw.resume_max_hours.unwrap_or(super::DEFAULT_RESUME_MAX_HOURS),
        roots: own.chain(extra).collect(),
        git_status: raw.git.unwrap_or(true),
        find_terminals: raw.terminals.unwrap_or(true),
        durable: raw.durable.unwrap_or(false),
        max_bytes: raw.max_bytes.unwrap_or(Limits::default().max_bytes),
        min_free_bytes: raw.min_free_bytes.unwrap_or(Limits::default().min_free_bytes),
        forward: config.forward.as_ref().map(|forward| forward.endpoint.to_string()),
        data_dir: config.data_dir.to_string_lossy().into_owned(),
        strip: raw.strip.unwrap_or(false),
    }
}

#[cfg(test)]
mod tests;
