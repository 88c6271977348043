//! What the file system says about a session's directory: is it there, and whose repository is it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use lamplight_model::ids::Timestamp;

/// How long an answer holds. Directories come and go rarely, and a resume is checked by the agent itself again.
const FRESH_MS: i64 = 30_000;

/// Directories kept.
const MOST: usize = 4096;

/// Answers about directories, kept so that no card needs more than a few `stat` calls, and none twice within 30 s.
#[derive(Debug, Default)]
pub(crate) struct Places {
    known: HashMap<String, (Timestamp, Place)>,
}

/// What is known of a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// It exists; `None` when nobody could look.
    pub exists: Option<bool>,
    /// Root of its main repository: a linked worktree leads to the repository it was made from.
    pub git_root: Option<String>,
    /// Root of the worktree itself: a linked one's own.
    pub worktree: Option<String>,
}

/// A repository as seen from a directory in it.
#[derive(Debug, PartialEq, Eq)]
struct Repository {
    worktree: PathBuf,
    /// As [`Place::git_root`].
    main: PathBuf,
}

impl Places {
    /// Looks at a directory.
    pub(crate) fn look(&mut self, directory: &str, now: Timestamp) -> Place {
        if let Some((at, place)) = self.known.get(directory)
            && now.since(*at) < FRESH_MS
        {
            return place.clone();
        }
        let place = if directory.starts_with('/') || cfg!(windows) {
            let path = Path::new(directory);
            let found = repository(path);
            let text = |path: &PathBuf| path.to_string_lossy().into_owned();
            Place {
                exists: path.try_exists().ok().map(|there| there && path.is_dir()),
                git_root: found.as_ref().map(|r| text(&r.main)),
                // A path that is no text cannot be named on the screen, and so is not looked at.
                worktree: found.as_ref().and_then(|r| r.worktree.to_str()).map(str::to_owned),
            }
        } else {
            Place::default()
        };
        if self.known.len() >= MOST {
            self.known.clear();
        }
        self.known.insert(directory.to_owned(), (now, place.clone()));
        place
    }
}

/// Root of the main repository of a directory, as [`Place::git_root`].
pub(crate) fn git_root(directory: &Path) -> Option<PathBuf> {
    repository(directory).map(|found| found.main)
}

/// Walks up to the `.git` of a directory. Reads at most the one-line file of a linked worktree; runs no git.
fn repository(directory: &Path) -> Option<Repository> {
    for dir in directory.ancestors().take(64) {
        let git = dir.join(".git");
        let Ok(meta) = git.symlink_metadata() else { continue };
        if meta.is_dir() {
            return Some(Repository { worktree: dir.to_owned(), main: dir.to_owned() });
        }
        if meta.is_file() && meta.len() < 4096 {
            let text = std::fs::read_to_string(&git).ok()?;
            let target = dir.join(text.strip_prefix("gitdir:")?.trim());
            // A linked worktree's is `<main>/.git/worktrees/<name>`; a submodule's is `<super>/.git/modules/<name>`,
            // and a submodule is a project of its own.
            let mut up = target.ancestors();
            let common = up.find(|p| p.ends_with("worktrees")).and_then(Path::parent);
            let main = match common {
                Some(common) if common.ends_with(".git") => common.parent()?.to_owned(),
                Some(bare) => bare.to_owned(),
                None => dir.to_owned(),
            };
            return Some(Repository { worktree: dir.to_owned(), main });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linked_worktrees_lead_to_their_repository_and_submodules_to_themselves() {
        let home = tempfile::tempdir().unwrap();
        let at = |p: &str| home.path().join(p);
        for dir in ["main/.git/worktrees/fix", "main/sub", "fix/deep", "main/vendored", "plain"] {
            std::fs::create_dir_all(at(dir)).unwrap();
        }
        std::fs::write(at("fix/.git"), format!("gitdir: {}\n", at("main/.git/worktrees/fix").display()))
            .unwrap();
        std::fs::write(at("main/vendored/.git"), "gitdir: ../.git/modules/vendored\n").unwrap();
        let found = |p: &str| repository(&at(p)).map(|r| (r.worktree, r.main));
        assert_eq!(found("main/sub"), Some((at("main"), at("main"))));
        assert_eq!(found("fix/deep"), Some((at("fix"), at("main"))));
        assert_eq!(found("main/vendored"), Some((at("main/vendored"), at("main/vendored"))));
        let mut places = Places::default();
        let now = Timestamp(0);
        assert_eq!(places.look(&at("gone").to_string_lossy(), now).exists, Some(false));
        assert_eq!(places.look("relative", now), Place::default());
    }
}
