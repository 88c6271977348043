//! Where the worktree around a directory is, and whose.

use std::path::{Path, PathBuf};

use lamplight_model::worktree::{Blind, Finding};

/// A worktree and the folder git keeps its index in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    pub root: PathBuf,
    /// `<root>/.git`, or what the file of that name points to.
    pub git_dir: PathBuf,
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
    let git_dir = if meta.is_file() && meta.len() <= MOST_LINK_BYTES {
        let text = std::fs::read_to_string(&dot_git).map_err(|_| Finding::Unknown(Blind::Unreadable))?;
        root.join(text.strip_prefix("gitdir:").ok_or(Finding::NotRepo)?.trim())
    } else {
        dot_git.clone()
    };
    if !git_dir.is_dir() {
        return Err(Finding::NotRepo);
    }
    let common_dir = std::fs::read_to_string(git_dir.join("commondir"))
        .map_or_else(|_| git_dir.clone(), |text| git_dir.join(text.trim()));
    for path in [root, &dot_git, &git_dir, &common_dir] {
        if !is_own(path).ok_or(Finding::Unknown(Blind::Unreadable))? {
            return Err(Finding::Unknown(Blind::Foreign));
        }
    }
    Ok(Site { root: root.to_owned(), git_dir })
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
