//! Worktrees: what a look at one says, and when the work in it is at risk.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::Timestamp;

/// Result of a look at a worktree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finding {
    /// Nothing to commit.
    Clean(Branch),
    /// Uncommitted work.
    Dirty(Counts, Branch),
    /// No repository there, or one without a worktree.
    NotRepo,
    /// The directory is gone.
    Missing,
    /// Nobody could look, and why.
    Unknown(Blind),
}

/// Paths that differ from the last commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// With changes in the index.
    pub staged: u32,
    /// With changes in the worktree that are not in the index.
    pub unstaged: u32,
    /// Not under version control; a folder of such files counts once.
    pub untracked: u32,
    /// In conflict.
    pub conflicted: u32,
    /// Paths in all: one that is staged and changed again counts once.
    pub paths: u32,
}

/// Where the worktree stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// Its branch; `None` for a detached head.
    pub name: Option<String>,
    /// Commits ahead of upstream; `None` without one.
    pub ahead: Option<u32>,
    /// Commits behind upstream.
    pub behind: Option<u32>,
    /// Entries of its repository's stash, by the branch they were put aside on; under an empty name those of which that is
    /// not told. All worktrees of a repository share one stash, and no two of them stand on one branch. Nothing where git is
    /// older than 2.35 and does not say.
    #[serde(default)]
    pub stashes: BTreeMap<String, u32>,
}

impl Branch {
    /// What entries of the stash call it.
    #[must_use]
    pub fn stash_name(&self) -> &str {
        self.name.as_deref().unwrap_or("(no branch)")
    }

    /// Entries of the stash that may have been put aside on a branch, by its [name there](Self::stash_name).
    #[must_use]
    pub fn stashes_of(&self, name: &str) -> u32 {
        [name, ""].into_iter().filter_map(|name| self.stashes.get(name)).sum()
    }
}

/// Why nobody could look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Blind {
    /// It took longer than allowed.
    TimedOut,
    /// There is no git on this machine.
    NoGit,
    /// The repository belongs to another user.
    Foreign,
    /// The directory cannot be read.
    Unreadable,
    /// Git refused it.
    Refused,
}

impl Blind {
    /// Why, as a sentence for the screen.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::TimedOut => "git did not answer in time.",
            Self::NoGit => "git is not installed.",
            Self::Foreign => "The repository belongs to another user.",
            Self::Unreadable => "The directory cannot be read.",
            Self::Refused => "git could not read the repository.",
        }
    }
}

impl Finding {
    /// Paths with uncommitted changes; `None` when that is not known.
    #[must_use]
    pub fn dirty_paths(&self) -> Option<u32> {
        match self {
            Self::Clean(_) => Some(0),
            Self::Dirty(counts, _) => Some(counts.paths),
            Self::NotRepo | Self::Missing | Self::Unknown(_) => None,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn branch(&self) -> Option<&Branch> {
        match self {
            Self::Clean(branch) | Self::Dirty(_, branch) => Some(branch),
            Self::NotRepo | Self::Missing | Self::Unknown(_) => None,
        }
    }
}

/// What is known of the agents in a worktree and of the work there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Around {
    /// Agents that run there, or may run.
    pub agents: u32,
    /// When the last one left; `None` while one is there, or when nobody knows.
    pub left_at: Option<Timestamp>,
    /// What is uncommitted is, to the byte, what was so before the first of them came.
    pub was_so_before: bool,
}

/// Whether uncommitted work is at risk, and since when: nobody is left who works there, and it is not what lay there
/// already before anybody came. What is not known is not at risk.
#[must_use]
pub fn at_risk(finding: &Finding, around: &Around) -> Option<Timestamp> {
    match finding {
        Finding::Dirty(..) if around.agents == 0 && !around.was_so_before => around.left_at,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_at_risk_only_when_it_is_dirty_new_and_left() {
        let left = Around { agents: 0, left_at: Some(Timestamp(7)), was_so_before: false };
        let dirty = Finding::Dirty(Counts { paths: 1, ..Counts::default() }, Branch::default());
        assert_eq!(at_risk(&dirty, &left), Some(Timestamp(7)));
        for around in [
            Around { agents: 1, ..left },
            Around { was_so_before: true, ..left },
            Around { left_at: None, ..left },
        ] {
            assert_eq!(at_risk(&dirty, &around), None, "{around:?}");
        }
        for finding in [
            Finding::Clean(Branch::default()),
            Finding::NotRepo,
            Finding::Missing,
            Finding::Unknown(Blind::TimedOut),
        ] {
            assert_eq!(at_risk(&finding, &left), None, "{finding:?}");
        }
    }
}
