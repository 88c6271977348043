//! Taking everything back.

use std::path::Path;

use lamplight_model::view::{SetupAgent, SetupDone, SetupFile, SetupOutcome};

use super::change::{SetupError, shown};
use super::files::{self, FileError};
use super::journal::{Journal, Kind, Record, hash};
use super::text::{TextError, text_of};
use super::{claude, codex, gemini, project, shell};

/// Takes back what set-up wrote: for `agents` only, or everything when empty.
///
/// A file that is still what we wrote becomes what it was, byte for byte. From one that somebody edited since, only what
/// is ours is taken out. A file that cannot be dealt with is left as it is and said; the others are undone all the same.
///
/// # Errors
/// [`SetupError::File`] when what was kept cannot be reached at all.
pub fn undo(data_dir: &Path, agents: &[SetupAgent]) -> Result<SetupDone, SetupError> {
    let journal = Journal::of(data_dir);
    let mut files = Vec::new();
    if !journal.records().is_empty() {
        let _lock = journal.lock().map_err(|source| SetupError::File { source, done: Vec::new() })?;
        for record in journal.records().iter().filter(|record| is_asked(record, agents)) {
            files.push(take_back(record, &journal));
        }
    }
    Ok(SetupDone { files, notes: Vec::new() })
}

/// Names the files that [`undo`] would deal with.
#[must_use]
pub fn written(data_dir: &Path, agents: &[SetupAgent]) -> Vec<String> {
    let records = Journal::of(data_dir).records();
    records.iter().filter(|record| is_asked(record, agents)).map(|record| shown(&record.path)).collect()
}

fn is_asked(record: &Record, agents: &[SetupAgent]) -> bool {
    agents.is_empty() || record.agent.is_some_and(|agent| agents.contains(&agent))
}

fn take_back(record: &Record, journal: &Journal) -> SetupFile {
    let (outcome, note) = match try_to(record, journal) {
        Ok(done) => done,
        Err(error) => (SetupOutcome::Failed, Some(format!("{error}."))),
    };
    SetupFile { path: shown(&record.path), outcome, note }
}

fn try_to(record: &Record, journal: &Journal) -> Result<(SetupOutcome, Option<String>), FileError> {
    let now = files::look(&record.target)?;
    let original = journal.original(record)?;
    let outcome = match &now.bytes {
        None if original.is_none() => (SetupOutcome::Removed, None),
        None => (SetupOutcome::Kept, Some("Somebody removed it since; it stays removed.".to_owned())),
        Some(bytes) if Some(bytes) == original.as_ref() => (SetupOutcome::Restored, None),
        Some(bytes) if hash(bytes) == record.wrote && !record.edited => match &original {
            Some(original) => {
                let mode = record.mode.or(now.mode).unwrap_or(0o600);
                files::replace_known(&record.target, Some(bytes), original, mode, &mut |_| Ok(()))?;
                (SetupOutcome::Restored, None)
            }
            None => {
                files::remove(&record.target)?;
                (SetupOutcome::Removed, None)
            }
        },
        Some(bytes) => match text_of(bytes).and_then(|text| take_out(text, record)) {
            Ok(out) => without_ours(record, bytes, now.mode, out)?,
            Err(error) => {
                let why = format!(
                    "Somebody edited it since, and it cannot be understood: {error}. Take out what is Lamplight's by hand, or correct it and undo again."
                );
                return Ok((SetupOutcome::Kept, Some(why)));
            }
        },
    };
    journal.forget(record)?;
    for folder in record.folders.iter().rev() {
        // Somebody else's things may be in it by now.
        let _ = std::fs::remove_dir(folder);
    }
    Ok(outcome)
}

/// Writes what is left without us; `None` means that nothing of the person's is.
fn without_ours(
    record: &Record,
    bytes: &[u8],
    mode: Option<u32>,
    out: Option<String>,
) -> Result<(SetupOutcome, Option<String>), FileError> {
    let Some(out) = out else {
        files::remove(&record.target)?;
        return Ok((SetupOutcome::Removed, None));
    };
    let note = "It was edited since: what is Lamplight's was taken out, the rest stays as it is.";
    if out.as_bytes() == bytes {
        let note = match record.kind {
            Kind::ClaudeProject => "It was edited since; what set-up took out of it is not put back.",
            _ => "It was edited since, and nothing of Lamplight's is in it.",
        };
        return Ok((SetupOutcome::Kept, Some(note.to_owned())));
    }
    let mode = mode.unwrap_or(0o600);
    files::replace_known(&record.target, Some(bytes), out.as_bytes(), mode, &mut |_| Ok(()))?;
    Ok((SetupOutcome::TakenOut, Some(note.to_owned())))
}

/// A text without what is ours; `None` when it was not there before us and nothing else is in it.
pub(super) fn take_out(text: &str, record: &Record) -> Result<Option<String>, TextError> {
    let entries = record.entries.as_slice();
    let out = match record.kind {
        Kind::ClaudeSettings => claude::take_out(text, entries)?,
        Kind::ClaudeProject => text.to_owned(),
        Kind::CodexHooks => codex::take_out_hooks(text, entries)?,
        Kind::CodexConfig => codex::take_out_config(text, entries)?,
        Kind::GeminiSettings => gemini::take_out(text, entries)?,
        Kind::ShellStart => shell::take_out(text),
        // Wholly ours, whatever was done to it.
        Kind::Wrapper => return Ok(None),
        Kind::Settings => project::take_out(text, entries)?,
    };
    let is_json = matches!(record.kind, Kind::ClaudeSettings | Kind::CodexHooks | Kind::GeminiSettings);
    let is_bare = out.trim().is_empty() || (is_json && super::text::Json::parse(&out)?.is_bare());
    Ok((record.original.is_some() || !is_bare).then_some(out))
}
