//! Lamplight's own settings file, written as those of agents are: by rename, its mode, owner and links kept.

use std::path::{Path, PathBuf};

use super::files::{FileError, look, make_folders, replace_known};

/// Mode of a new settings file: a token may be in it.
const MODE: u32 = 0o600;

/// The settings file as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadSettings {
    /// Where it really lies.
    target: PathBuf,
    mode: u32,
    /// Its text; `None` while it is not there.
    pub text: Option<String>,
}

/// Reads the settings file, which need not be there.
///
/// # Errors
/// [`FileError`] when it cannot be read, is no regular file, or is no UTF-8.
pub fn read_settings(path: &Path) -> Result<ReadSettings, FileError> {
    let found = look(path)?;
    let odd = |_| FileError::Odd { path: path.to_owned(), what: "it is not UTF-8 text" };
    let text = found.bytes.map(String::from_utf8).transpose().map_err(odd)?;
    Ok(ReadSettings { target: found.target, mode: found.mode.unwrap_or(MODE), text })
}

/// Writes the settings file while it still is what was read; `false` when somebody else wrote it meanwhile, and nothing
/// was done. Folders on the way are made.
///
/// # Errors
/// [`FileError`] when it cannot be read again or written.
pub fn write_settings(path: &Path, before: &ReadSettings, text: &str) -> Result<bool, FileError> {
    if read_settings(path)? != *before {
        return Ok(false);
    }
    if let Some(folder) = before.target.parent() {
        make_folders(folder).map_err(|source| FileError::Write { path: before.target.clone(), source })?;
    }
    let was = before.text.as_deref().map(str::as_bytes);
    match replace_known(&before.target, was, text.as_bytes(), before.mode, &mut |_| Ok(())) {
        Err(FileError::Changed { .. }) => Ok(false),
        written => written.map(|()| true),
    }
}
