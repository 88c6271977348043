//! Where the worktree around a directory is, and whose.

use std::io::Read;
use std::path::{Path, PathBuf};

use lamplight_model::worktree::{Blind, Finding};

use crate::sources::open::{OpenError, open_regular};

/// A worktree and the folder git keeps its index in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    pub root: PathBuf,
    /// `<root>/.git`, or what the file of that name points to.
    pub git_dir: PathBuf,
    /// What all worktrees of the repository share; `git_dir` itself of the main one.
    pub common_dir: PathBuf,
}

/// Longest `.git` file: one line with a path.
const MOST_LINK_BYTES: u64 = 8192;

/// Checks the worktree whose root is said to be `root`. Runs nothing.
pub(super) fn find(root: &Path) -> Result<Site, Finding> {
    match root.symlink_metadata() {
        Ok(_) if root.is_dir() => {}
        Ok(_) => return Err(Finding::NotRepo),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Finding::Missing),
        Err(_) => return Err(Finding::Unknown(Blind::Unreadable)),
    }
    let dot_git = root.join(".git");
    let meta = match dot_git.symlink_metadata() {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Finding::NotRepo),
        Err(_) => return Err(Finding::Unknown(Blind::Unreadable)),
    };
    // Nothing of another user is read.
    all_own(&[root, &dot_git])?;
    let git_dir = if meta.is_file() {
        let text = one_line(&dot_git)?.ok_or(Finding::NotRepo)?;
        root.join(text.strip_prefix("gitdir:").ok_or(Finding::NotRepo)?.trim())
    } else {
        dot_git
    };
    if !git_dir.is_dir() {
        return Err(Finding::NotRepo);
    }
    let link = git_dir.join("commondir");
    all_own(&[&git_dir])?;
    if link.symlink_metadata().is_ok() {
        all_own(&[&link])?;
    }
    let common_dir = one_line(&link)?.map_or_else(|| git_dir.clone(), |text| git_dir.join(text.trim()));
    all_own(&[&common_dir])?;
    Ok(Site { root: root.to_owned(), git_dir, common_dir })
}

/// Reads a file that holds one path; `None` where nothing is there. Anything but a small regular file is refused: a FIFO
/// has no end, and neither has what a link may lead to.
fn one_line(path: &Path) -> Result<Option<String>, Finding> {
    let (file, meta) = match open_regular(path) {
        Ok(opened) => opened,
        Err(OpenError::Gone) => return Ok(None),
        Err(OpenError::NotAFile | OpenError::Link) => return Err(Finding::Unknown(Blind::Refused)),
        Err(OpenError::Io(_)) => return Err(Finding::Unknown(Blind::Unreadable)),
    };
    if meta.len() > MOST_LINK_BYTES {
        return Err(Finding::Unknown(Blind::Refused));
    }
    let mut text = String::new();
    // It may have grown since.
    file.take(MOST_LINK_BYTES).read_to_string(&mut text).map_err(|_| Finding::Unknown(Blind::Unreadable))?;
    Ok(Some(text))
}

/// Says whose a worktree is, where one of its paths belongs to somebody else.
fn all_own(paths: &[&Path]) -> Result<(), Finding> {
    for path in paths {
        if !is_own(path).ok_or(Finding::Unknown(Blind::Unreadable))? {
            return Err(Finding::Unknown(Blind::Foreign));
        }
    }
    Ok(())
}

/// Whether a path belongs to the user this runs as; `None` when it cannot be read.
#[cfg(unix)]
fn is_own(path: &Path) -> Option<bool> {
    use std::os::unix::fs::MetadataExt;
    Some(path.metadata().ok()?.uid() == rustix::process::geteuid().as_raw())
}

#[cfg(not(unix))]
fn is_own(path: &Path) -> Option<bool> {
    path.metadata().ok().map(|_| true)
}
