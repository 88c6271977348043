//! The files of the store.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};

use crate::json::spaced;

/// Where files go, and how much has gone there.
#[derive(Debug)]
pub struct Store {
    home: PathBuf,
    spaced: bool,
    /// Bytes of transcripts written.
    pub bytes: u64,
    /// Transcripts written.
    pub files: u64,
}

impl Store {
    /// A store under `home`, which need not exist.
    pub fn at(home: &Path, spaced: bool) -> Self {
        Self { home: home.to_owned(), spaced, bytes: 0, files: 0 }
    }

    /// Writes one transcript; its modification time is that of its last record.
    pub fn transcript(&mut self, path: &str, compact: &[u8], last_ms: u64) -> Result<()> {
        self.bytes += self.write(path, compact, last_ms)?;
        self.files += 1;
        Ok(())
    }

    /// Writes a file that is not a transcript and counts nothing.
    pub fn beside(&mut self, path: &str, compact: &[u8], last_ms: u64) -> Result<()> {
        self.write(path, compact, last_ms).map(drop)
    }

    /// Makes a folder that may stay empty.
    pub fn folder(&self, path: &str) -> Result<()> {
        let full = self.home.join(path);
        fs::create_dir_all(&full).with_context(|| format!("while making the folder {}", full.display()))
    }

    /// The length that `compact` has once it is on disk.
    pub fn length_on_disk(&self, compact: &[u8]) -> usize {
        if self.spaced { spaced(compact).len() } else { compact.len() }
    }

    fn write(&self, path: &str, compact: &[u8], last_ms: u64) -> Result<u64> {
        let full = self.home.join(path);
        if let Some(folder) = full.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("while making the folder {}", folder.display()))?;
        }
        let file = File::create(&full).with_context(|| format!("while creating {}", full.display()))?;
        let mut writer = BufWriter::with_capacity(1 << 18, file);
        let bytes = if self.spaced { &spaced(compact)[..] } else { compact };
        writer.write_all(bytes).with_context(|| format!("while writing {}", full.display()))?;
        let file = writer.into_inner().with_context(|| format!("while writing {}", full.display()))?;
        let modified = SystemTime::UNIX_EPOCH + Duration::from_millis(last_ms);
        file.set_modified(modified).with_context(|| format!("while dating {}", full.display()))?;
        Ok(bytes.len() as u64)
    }
}
