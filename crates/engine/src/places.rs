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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// It exists; `None` when nobody could look.
    pub exists: Option<bool>,
    /// Root of its main repository: a linked worktree leads to the repository it was made from.
    pub git_root: Option<String>,
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
            Place {
                exists: path.try_exists().ok().map(|there| there && path.is_dir()),
                git_root: git_root(path).map(|root| root.to_string_lossy().into_owned()),
            }
        } else {
            Place { exists: None, git_root: None }
        };
        if self.known.len() >= MOST {
            self.known.clear();
        }
        self.known.insert(directory.to_owned(), (now, place.clone()));
        place
    }
}

/// Walks up to the `.git` of a directory. Reads at most the one-line file of a linked worktree; runs no git.
fn git_root(directory: &Path) -> Option<PathBuf> {
    for dir in directory.ancestors().take(64) {
        let git = dir.join(".git");
        let Ok(meta) = git.symlink_metadata() else { continue };
        if meta.is_dir() {
            return Some(dir.to_owned());
        }
        if meta.is_file() && meta.len() < 4096 {
            let text = std::fs::read_to_string(&git).ok()?;
            let target = dir.join(text.strip_prefix("gitdir:")?.trim());
            // A linked worktree's is `<main>/.git/worktrees/<name>`; a submodule's is `<super>/.git/modules/<name>`,
            // and a submodule is a project of its own.
            let mut up = target.ancestors();
            let main = up.find(|p| p.ends_with("worktrees")).and_then(Path::parent);
            return Some(match main {
                Some(main) if main.ends_with(".git") => main.parent()?.to_owned(),
                Some(bare) => bare.to_owned(),
                None => dir.to_owned(),
            });
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
        assert_eq!(git_root(&at("main/sub")), Some(at("main")));
        assert_eq!(git_root(&at("fix/deep")), Some(at("main")));
        assert_eq!(git_root(&at("main/vendored")), Some(at("main/vendored")));
        let mut places = Places::default();
        let now = Timestamp(0);
        assert_eq!(places.look(&at("gone").to_string_lossy(), now).exists, Some(false));
        assert_eq!(places.look("relative", now), Place { exists: None, git_root: None });
    }
}
