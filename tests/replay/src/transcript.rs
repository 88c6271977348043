//! A recorded transcript, and reading it in pieces as the engine's tailer does.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lamplight_engine::facts::{FileBatch, FileId, FileRole, Issue};
use lamplight_engine::sources::decode::{Decoded, Decoder};
use lamplight_model::ids::Timestamp;

/// A transcript as it was at the end of the recording.
#[derive(Debug, Clone)]
pub struct TranscriptFile {
    /// Where the client had it first.
    pub path: PathBuf,
    /// What it is the transcript of.
    pub role: FileRole,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Byte after each line.
    ends: Vec<usize>,
}

impl TranscriptFile {
    /// Loads a fixture.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(fixture: &Path, path: PathBuf, role: FileRole) -> anyhow::Result<Self> {
        let bytes = std::fs::read(fixture).with_context(|| format!("while reading {}", fixture.display()))?;
        Ok(Self::new(path, role, bytes))
    }

    /// A transcript of these bytes.
    #[must_use]
    pub fn new(path: PathBuf, role: FileRole, bytes: Vec<u8>) -> Self {
        let ends = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1).collect();
        Self { path, role, bytes, ends }
    }

    /// How many lines it has.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.ends.len()
    }

    /// Byte after the first `lines` lines.
    #[must_use]
    pub fn end_of(&self, lines: usize) -> usize {
        lines.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(0)
    }

    /// One line, without its line feed.
    #[must_use]
    pub fn line(&self, number: usize) -> &[u8] {
        let from = self.end_of(number);
        let to = self.end_of(number + 1).saturating_sub(1);
        self.bytes.get(from..to).unwrap_or_default()
    }
}

/// Reads a growing file: whole lines only, decoder state through its stored form between batches.
#[derive(Debug, Clone)]
pub struct Reader {
    id: FileId,
    path: PathBuf,
    offset: usize,
    carry: String,
    is_void: bool,
}

impl Reader {
    /// Starts at the first byte of a file of identity `ino`.
    #[must_use]
    pub fn new(ino: u64, path: PathBuf) -> Self {
        Self { id: FileId { dev: 1, ino }, path, offset: 0, carry: String::new(), is_void: false }
    }

    /// The file lies elsewhere now.
    pub fn move_to(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads from the beginning again, as after a truncation.
    pub fn rewind(&mut self) {
        self.offset = 0;
        self.carry.clear();
        self.is_void = true;
    }

    /// Reads what is whole among the first `visible` bytes; `None` when that is nothing new.
    ///
    /// # Errors
    /// When the decoder's state does not survive being stored.
    pub fn read(
        &mut self,
        file: &TranscriptFile,
        visible: usize,
        read_at: Timestamp,
    ) -> anyhow::Result<Option<FileBatch>> {
        let fresh = file.bytes.get(self.offset..visible).unwrap_or_default();
        let Some(last) = fresh.iter().rposition(|b| *b == b'\n') else { return Ok(None) };
        let mut decoder = if self.carry.is_empty() {
            Decoder::new(&file.role)
        } else {
            serde_json::from_str(&self.carry).context("while reading the decoder's state")?
        };
        let mut out = Decoded::default();
        for line in fresh.get(..last).unwrap_or_default().split(|b| *b == b'\n') {
            decoder.line(&file.role, line, read_at, &mut out);
        }
        self.carry = serde_json::to_string(&decoder).context("while storing the decoder's state")?;
        let from = self.offset;
        self.offset += last + 1;
        Ok(Some(FileBatch {
            file: self.id,
            path: self.path.clone(),
            role: file.role.clone(),
            reset: std::mem::take(&mut self.is_void),
            from: u64::try_from(from)?,
            to: u64::try_from(self.offset)?,
            carry: self.carry.clone(),
            events: out.events,
            issues: out.issues.into_iter().map(|kind| Issue { kind, path: None, at: None }).collect(),
            read_at,
        }))
    }

    /// Says where the file lies now, without reading.
    ///
    /// # Errors
    /// When the offset is beyond what a file can have.
    pub fn place(&self, file: &TranscriptFile, read_at: Timestamp) -> anyhow::Result<FileBatch> {
        let at = u64::try_from(self.offset)?;
        Ok(FileBatch {
            file: self.id,
            path: self.path.clone(),
            role: file.role.clone(),
            reset: false,
            from: at,
            to: at,
            carry: self.carry.clone(),
            events: Vec::new(),
            issues: Vec::new(),
            read_at,
        })
    }
}
