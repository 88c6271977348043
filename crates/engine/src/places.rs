//! What the file system says about a session's directory: is it there, and whose repository is it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::Duration;

use lamplight_model::ids::Timestamp;

/// How long an answer holds. Directories come and go rarely, and a resume is checked by the agent itself again.
const FRESH_MS: i64 = 30_000;

/// Directories kept.
const MOST: usize = 4096;

/// How long an answer is waited for. A file system that is there answers in much less.
const PATIENCE: Duration = Duration::from_millis(500);

/// The same while another directory does not answer: it may be the same mount.
const PATIENCE_AFTER: Duration = Duration::from_millis(50);

/// Directories that may keep a thread each, because their file system does not answer; more are not looked at.
const MOST_LATE: usize = 64;

/// Answers about directories, kept so that no card needs more than a few `stat` calls, and none twice within 30 s. A mount
/// whose server is gone answers never: it is looked at on a thread, and not known until it does.
#[derive(Debug)]
pub(crate) struct Places {
    known: HashMap<String, (Timestamp, Place)>,
    probe: fn(&Path) -> Place,
    looker: Option<Looker>,
    /// Directories whose answer is late, each with the thread that waits for it.
    late: HashMap<String, Looker>,
}

impl Default for Places {
    fn default() -> Self {
        Self { known: HashMap::new(), probe, looker: None, late: HashMap::new() }
    }
}

/// A thread that looks at one directory after the other; it ends when this is dropped.
#[derive(Debug)]
struct Looker {
    asks: Sender<PathBuf>,
    answers: Receiver<Place>,
}

impl Looker {
    fn start(probe: fn(&Path) -> Place) -> std::io::Result<Self> {
        let (asks, asked) = channel::<PathBuf>();
        let (answer, answers) = channel();
        std::thread::Builder::new().name("places".to_owned()).spawn(move || {
            for directory in asked {
                if answer.send(probe(&directory)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { asks, answers })
    }
}

/// What is known of a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// It exists; `None` when nobody could look.
    pub exists: Option<bool>,
    /// Root of its main repository: a linked worktree leads to the repository it was made from.
    pub git_root: Option<String>,
    /// Root of the worktree itself: a linked one's own. `None` of a directory that is gone.
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
            self.ask(directory).unwrap_or_else(|| {
                // What was said of it when somebody could look stays, but not that it is there.
                let before = self.known.get(directory).map(|(_, place)| place.clone());
                Place { exists: None, ..before.unwrap_or_default() }
            })
        } else {
            Place::default()
        };
        if self.known.len() >= MOST {
            self.known.clear();
        }
        self.known.insert(directory.to_owned(), (now, place.clone()));
        place
    }

    /// Takes answers that came late; whether there were any.
    pub(crate) fn take_late(&mut self, now: Timestamp) -> bool {
        let known = &mut self.known;
        let before = self.late.len();
        self.late.retain(|directory, looker| match looker.answers.try_recv() {
            Ok(place) => {
                known.insert(directory.clone(), (now, place));
                false
            }
            Err(TryRecvError::Empty) => true,
            Err(TryRecvError::Disconnected) => false,
        });
        self.late.len() < before
    }

    /// Has a directory looked at; `None` when there is no answer in time.
    fn ask(&mut self, directory: &str) -> Option<Place> {
        if self.late.contains_key(directory) || self.late.len() >= MOST_LATE {
            return None;
        }
        let looker = match self.looker.take() {
            Some(looker) => looker,
            None => Looker::start(self.probe)
                .inspect_err(|error| tracing::warn!(%error, "no thread to look at directories"))
                .ok()?,
        };
        // Without its thread there is no answer either.
        let _ = looker.asks.send(PathBuf::from(directory));
        let patience = if self.late.is_empty() { PATIENCE } else { PATIENCE_AFTER };
        match looker.answers.recv_timeout(patience) {
            Ok(place) => {
                self.looker = Some(looker);
                Some(place)
            }
            Err(RecvTimeoutError::Timeout) => {
                self.late.insert(directory.to_owned(), looker);
                None
            }
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }
}

/// Looks at a directory. Blocks for as long as its file system does.
fn probe(path: &Path) -> Place {
    let found = repository(path);
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    let exists = path.try_exists().ok().map(|there| there && path.is_dir());
    Place {
        exists,
        git_root: found.as_ref().map(|r| text(&r.main)),
        // A path that is no text cannot be named on the screen, and so is not looked at.
        worktree: found
            .as_ref()
            .filter(|_| exists != Some(false))
            .and_then(|r| r.worktree.to_str())
            .map(str::to_owned),
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
    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// Held for as long as the mount is dead.
    static DEAD: Mutex<()> = Mutex::new(());

    #[test]
    fn a_mount_that_does_not_answer_is_not_known_and_holds_up_nobody() {
        let here = Place { exists: Some(true), git_root: None, worktree: Some("/here".to_owned()) };
        fn probe(path: &Path) -> Place {
            if path.starts_with("/dead") {
                drop(DEAD.lock().unwrap_or_else(PoisonError::into_inner));
            }
            Place { exists: Some(true), git_root: None, worktree: Some("/here".to_owned()) }
        }
        let mut places = Places { probe, ..Places::default() };
        let at = |seconds: i64| Timestamp(seconds * 1_000);
        assert_eq!(places.look("/dead/known", at(0)), here);
        let dead = DEAD.lock().unwrap();
        let unknown = Place { exists: None, ..here.clone() };
        assert_eq!(places.look("/dead/known", at(60)), unknown, "where it worked is as it was");
        assert_eq!(places.look("/dead/new", at(60)), Place::default());
        assert_eq!(places.look("/here", at(60)), here, "others are looked at");
        // It is not asked again while it does not answer.
        assert_eq!(places.look("/dead/new", at(120)), Place::default());
        assert_eq!(places.late.len(), 2);
        assert!(!places.take_late(at(120)));
        drop(dead);
        while !places.late.is_empty() {
            places.take_late(at(121));
            std::thread::yield_now();
        }
        assert_eq!(places.look("/dead/new", at(122)), here);
    }

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
