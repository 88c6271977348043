//! What set-up changed and how it was before, so that it can be undone to the byte.
//!
//! `setup/` in the data directory holds, for each file that was changed, a record and the original, both only their
//! owner's. The original is written before the record, the record before the file: a set-up that breaks off anywhere
//! can be undone, or done again.

use std::io;
use std::path::{Path, PathBuf};

use lamplight_model::view::SetupAgent;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::files::{self, FileError, Step};
use super::text::Entry;

/// What kind of file it is, which says how our entries are taken out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Claude Code's `settings.json`.
    ClaudeSettings,
    /// A project's `.claude/settings.json`: only something old was taken out.
    ClaudeProject,
    /// Codex's `hooks.json`.
    CodexHooks,
    /// Codex's `config.toml`.
    CodexConfig,
    /// Gemini CLI's `settings.json`.
    GeminiSettings,
    /// A start-up file of a shell, with our block in it.
    ShellStart,
    /// The wrapper, wholly ours.
    Wrapper,
    /// Lamplight's own settings.
    Settings,
}

/// One file that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Form of this record.
    pub v: u32,
    pub kind: Kind,
    pub agent: Option<SetupAgent>,
    /// As it is named.
    pub path: PathBuf,
    /// The file itself, where that is a link.
    pub target: PathBuf,
    /// Hash of the original; `None` when there was no file.
    pub original: Option<String>,
    /// Its mode.
    pub mode: Option<u32>,
    /// Hash of what we wrote last.
    pub wrote: String,
    /// The original is not all that was there before us: somebody edited the file between two set-ups.
    pub edited: bool,
    /// What was added.
    pub entries: Vec<Entry>,
    /// Folders that were made for it, outermost first.
    pub folders: Vec<PathBuf>,
}

/// Form of the records written here.
const VERSION: u32 = 1;

/// The journal of one data directory.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    folder: PathBuf,
}

impl Journal {
    pub(super) fn of(data_dir: &Path) -> Self {
        Self { folder: data_dir.join("setup") }
    }

    /// Waits until no other set-up is at work here, and keeps others out until it is dropped.
    pub(super) fn lock(&self) -> Result<std::fs::File, FileError> {
        let path = self.folder.join("lock");
        let opened = files::make_folders(&self.folder).and_then(|_| {
            let mut options = std::fs::OpenOptions::new();
            options.create(true).truncate(false).write(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let file = options.open(&path)?;
            file.lock()?;
            Ok(file)
        });
        opened.map_err(|source| FileError::Write { path, source })
    }

    /// Every record, in the order of their paths; what cannot be read is skipped.
    pub(super) fn records(&self) -> Vec<Record> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut records: Vec<Record> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .filter_map(|path| self.read(&path))
            .collect();
        records.sort_by(|a, b| a.path.cmp(&b.path));
        records
    }

    /// The record of a file.
    pub(super) fn record(&self, target: &Path) -> Option<Record> {
        self.read(&self.record_path(target))
    }

    fn read(&self, path: &Path) -> Option<Record> {
        let bytes = std::fs::read(path).ok()?;
        serde_json::from_slice::<Record>(&bytes).ok().filter(|record| record.v == VERSION)
    }

    /// The original of a record; `None` when there was no file.
    ///
    /// # Errors
    /// When it is not what was kept.
    pub(super) fn original(&self, record: &Record) -> Result<Option<Vec<u8>>, FileError> {
        let Some(wanted) = &record.original else { return Ok(None) };
        let path = self.original_path(&record.target);
        let bytes = std::fs::read(&path).map_err(|source| FileError::Read { path: path.clone(), source })?;
        if hash(&bytes) == *wanted {
            Ok(Some(bytes))
        } else {
            Err(FileError::Odd { path, what: "it is not the original that was kept" })
        }
    }

    /// Keeps a record, and with it the original when it is given.
    pub(super) fn keep(
        &self,
        record: &Record,
        original: Option<&[u8]>,
        step: Step<'_>,
    ) -> Result<(), FileError> {
        if let Some(bytes) = original {
            files::replace(&self.original_path(&record.target), bytes, 0o600, step)?;
        }
        let path = self.record_path(&record.target);
        let json = serde_json::to_vec_pretty(record)
            .map_err(|error| FileError::Write { path: path.clone(), source: io::Error::from(error) })?;
        files::replace(&path, &json, 0o600, step)
    }

    /// Forgets a record. It goes before its original: a record without one could not be undone.
    pub(super) fn forget(&self, record: &Record) -> Result<(), FileError> {
        files::remove(&self.record_path(&record.target))?;
        files::remove(&self.original_path(&record.target))
    }

    fn record_path(&self, target: &Path) -> PathBuf {
        self.folder.join(format!("{}.json", hash(target.as_os_str().as_encoded_bytes())))
    }

    fn original_path(&self, target: &Path) -> PathBuf {
        self.folder.join(format!("{}.original", hash(target.as_os_str().as_encoded_bytes())))
    }
}

impl Record {
    pub(super) fn new(kind: Kind, agent: Option<SetupAgent>, path: &Path, target: &Path) -> Self {
        Self {
            v: VERSION,
            kind,
            agent,
            path: path.to_owned(),
            target: target.to_owned(),
            original: None,
            mode: None,
            wrote: String::new(),
            edited: false,
            entries: Vec::new(),
            folders: Vec::new(),
        }
    }
}

/// Tells contents apart, 32 hex digits.
pub(super) fn hash(bytes: &[u8]) -> String {
    format!("{:032x}", xxh3_128(bytes))
}
