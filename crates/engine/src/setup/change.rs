//! A plan, and writing it.

use std::path::{Path, PathBuf};

use lamplight_model::view::{
    SetupAgent, SetupAgentState, SetupChange, SetupDone, SetupFile, SetupOutcome, SetupPlan,
};

use super::diff;
use super::files::{self, FileError, Step};
use super::journal::{Journal, Kind, Record, hash};
use super::text::Entry;
use super::undo::take_out;

/// Mode of a file that was not there: it may come to hold a token.
const NEW_MODE: u32 = 0o600;

/// What would change, with the bytes to write.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) data_dir: PathBuf,
    pub(super) changes: Vec<Change>,
    pub(super) agents: Vec<SetupAgentState>,
    pub(super) notes: Vec<String>,
}

/// One file that would change.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub kind: Kind,
    pub agent: Option<SetupAgent>,
    /// As it is named.
    pub path: PathBuf,
    /// The file itself, where that is a link.
    pub target: PathBuf,
    pub before: Option<Vec<u8>>,
    pub mode: Option<u32>,
    pub after: Vec<u8>,
    pub entries: Vec<Entry>,
    pub why: Vec<String>,
}

/// Why a plan was not carried out, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The plan that was agreed to is not what would be done now.
    #[error(
        "a settings file was changed since the plan was shown; nothing was written. Look at the new plan and apply again"
    )]
    Outdated,
    /// One file could not be dealt with.
    #[error("{source}{}", done_before(.done))]
    File {
        /// What went wrong.
        source: FileError,
        /// What was written before it.
        done: Vec<SetupFile>,
    },
}

fn done_before(done: &[SetupFile]) -> String {
    let written: Vec<&str> = done.iter().map(|file| file.path.as_str()).collect();
    if written.is_empty() {
        String::new()
    } else {
        format!(". Written before that: {}; `lamp setup --undo` takes it back", written.join(", "))
    }
}

impl Plan {
    /// Whether everything is as it should be.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What the person is shown.
    #[must_use]
    pub fn view(&self) -> SetupPlan {
        SetupPlan {
            digest: self.digest(),
            changes: self.changes.iter().map(Change::view).collect(),
            agents: self.agents.clone(),
            notes: self.notes.clone(),
        }
    }

    /// Names these changes to these files as they are.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut all = Vec::new();
        for change in &self.changes {
            let before = change.before.as_deref().map(hash).unwrap_or_default();
            for part in [
                change.target.as_os_str().as_encoded_bytes(),
                before.as_bytes(),
                hash(&change.after).as_bytes(),
            ] {
                all.extend_from_slice(&part.len().to_le_bytes());
                all.extend_from_slice(part);
            }
        }
        hash(&all)
    }
}

impl Change {
    fn view(&self) -> SetupChange {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let before = self.before.as_deref().map(text).unwrap_or_default();
        SetupChange {
            agent: self.agent,
            path: shown(&self.path),
            links_to: (self.path.is_symlink()).then(|| shown(&self.target)),
            exists: self.before.is_some(),
            why: self.why.clone(),
            lines: diff::lines(&before, &text(&self.after)),
        }
    }
}

pub(super) fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Writes a plan, if it is still what `digest` names.
///
/// # Errors
/// [`SetupError::Outdated`] before anything is written; [`SetupError::File`] at the first file that cannot be written,
/// which then is as it was.
pub fn apply(plan: &Plan, digest: &str) -> Result<SetupDone, SetupError> {
    apply_by_steps(plan, digest, &mut |_| Ok(()))
}

/// [`apply`], with `step` called between the steps of writing.
pub(super) fn apply_by_steps(plan: &Plan, digest: &str, step: Step<'_>) -> Result<SetupDone, SetupError> {
    if plan.digest() != digest {
        return Err(SetupError::Outdated);
    }
    let mut done = Vec::new();
    if !plan.changes.is_empty() {
        let journal = Journal::of(&plan.data_dir);
        let _lock = journal.lock().map_err(|source| SetupError::File { source, done: Vec::new() })?;
        for change in &plan.changes {
            match write(change, &journal, step) {
                Ok(()) => done.push(SetupFile {
                    path: shown(&change.path),
                    outcome: SetupOutcome::Written,
                    note: None,
                }),
                Err(source) => return Err(SetupError::File { source, done }),
            }
        }
    }
    let said = plan.agents.iter().flat_map(|agent| agent.notes.iter().cloned());
    Ok(SetupDone { files: done, notes: said.chain(plan.notes.iter().cloned()).collect() })
}

fn write(change: &Change, journal: &Journal, step: Step<'_>) -> Result<(), FileError> {
    let now = files::look(&change.path)?;
    if (&now.target, &now.bytes) != (&change.target, &change.before) {
        return Err(FileError::Changed { path: change.path.clone() });
    }
    let mut record = Record::new(change.kind, change.agent, &change.path, &change.target);
    let mut original = None;
    let known = journal.record(&change.target);
    let before_hash = change.before.as_deref().map(hash);
    match known {
        // What we wrote, or what we once found: what was there before us is kept already.
        Some(known) if before_hash.as_ref() == Some(&known.wrote) || before_hash == known.original => {
            record = known;
        }
        // Somebody edited it since. If none of ours is left, this is what was there before us now.
        Some(known) if holds_ours(change, &known) => {
            record = Record { edited: true, ..known };
        }
        Some(_) | None => {
            record.original.clone_from(&before_hash);
            record.mode = change.mode;
            original = change.before.as_deref();
        }
    }
    record.wrote = hash(&change.after);
    for entry in &change.entries {
        // The value set last is the one to know again.
        record.entries.retain(|known| known.path != entry.path);
        record.entries.push(entry.clone());
    }
    let made = change.target.parent().map_or(Ok(Vec::new()), files::make_folders);
    record.folders.extend(made.map_err(|source| FileError::Write { path: change.target.clone(), source })?);
    journal.keep(&record, original, step)?;
    let mode = change.mode.unwrap_or(NEW_MODE);
    files::replace_known(&change.target, change.before.as_deref(), &change.after, mode, step)
}

/// Whether anything of ours is in the file as it is.
fn holds_ours(change: &Change, known: &Record) -> bool {
    let Some(before) = change.before.as_deref() else { return false };
    let Ok(text) = std::str::from_utf8(before) else { return true };
    change.kind == Kind::Wrapper || take_out(text, known).is_ok_and(|out| out.as_deref() != Some(text))
}
