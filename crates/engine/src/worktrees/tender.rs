//! The thread that decides when which worktree is looked at, and the few that look.
//!
//! Nothing is polled: a look is asked for by the writer (a tool or a turn ended, an agent came or left, the window came
//! to the front), or follows from a change in git's own folder. Looks at one worktree keep a distance that grows with what
//! they cost, so that a huge repository is looked at rarely and a hanging one hardly ever.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lamplight_model::worktree::{Blind, Finding};

use super::git::{Git, Look};
use super::site;
use crate::clock;
use crate::facts::{Input, WorktreeLook};
use crate::sources::watch::{Interest, Watch, WatchEvent};

/// Looks at the same time.
const LOOKERS: usize = 2;

/// What the tender can be told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Follow exactly these worktrees, by their roots.
    Follow(BTreeSet<PathBuf>),
    /// Look at one soon.
    Look(PathBuf),
    /// Something happened in git's folder of a worktree.
    Changed(Vec<WatchEvent>),
    /// A look is done.
    Done { root: PathBuf, look: Look, took: Duration },
    /// End.
    Stop,
}

/// Times; tests choose others.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    /// How long changes may settle before a look: git writes several files for one command.
    pub settle: Duration,
    /// Least time between two looks at one worktree.
    pub least: Duration,
    /// A look is followed by a rest of so many times what it took.
    pub rest: u32,
    /// Longest rest.
    pub most: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            settle: Duration::from_millis(300),
            least: Duration::from_secs(2),
            rest: 20,
            most: Duration::from_secs(1_800),
        }
    }
}

/// Files of git's folder whose change may change a status.
const TELLING: &[&str] =
    &["index", "HEAD", "FETCH_HEAD", "ORIG_HEAD", "MERGE_HEAD", "COMMIT_EDITMSG", "packed-refs"];

/// A running tender. It ends when told to, or when the writer is gone.
#[derive(Debug)]
pub(crate) struct Tender {
    pub(crate) orders: Sender<Order>,
    thread: JoinHandle<()>,
}

impl Tender {
    /// Starts the threads; what is found goes to `tell`, which says whether anybody still takes it.
    pub(crate) fn start(
        git: Git,
        pace: Pace,
        tell: impl Fn(Input) -> bool + Send + 'static,
    ) -> std::io::Result<Self> {
        let (orders, inbox) = channel();
        let (jobs, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..LOOKERS {
            let (git, waiting, done) = (git.clone(), Arc::clone(&waiting), orders.clone());
            std::thread::Builder::new()
                .name("git-look".to_owned())
                .spawn(move || look_on(&git, &waiting, &done))?;
        }
        let changed = orders.clone();
        // Without watches the writer's own orders are what is left; they are the most of it.
        let watch = Watch::start(None, move |events| drop(changed.send(Order::Changed(events)))).ok();
        let thread = std::thread::Builder::new().name("worktrees".to_owned()).spawn(move || {
            Run {
                pace,
                tell: Box::new(tell),
                jobs,
                watch,
                trees: BTreeMap::new(),
                by_git_dir: HashMap::new(),
            }
            .run(&inbox);
        })?;
        Ok(Self { orders, thread })
    }

    /// Ends the threads. A look that runs is not waited for.
    pub(crate) fn stop(self) {
        // It may have ended already.
        let _ = self.orders.send(Order::Stop);
        // A panic has been reported on its own thread.
        let _ = self.thread.join();
    }
}

fn look_on(git: &Git, waiting: &Mutex<Receiver<PathBuf>>, done: &Sender<Order>) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(root) = next else { return };
        let began = Instant::now();
        let look = git.look(&root);
        if done.send(Order::Done { root, look, took: began.elapsed() }).is_err() {
            return;
        }
    }
}

/// A worktree that is followed.
#[derive(Debug, Default)]
struct Tree {
    git_dir: Option<PathBuf>,
    /// When the next look is due.
    due: Option<Instant>,
    /// No look before this.
    rested: Option<Instant>,
    is_looking: bool,
    /// Asked for while a look was on its way, which may have passed what changed.
    again: bool,
    /// Looks in a row that took too long.
    hung: u32,
}

struct Run {
    pace: Pace,
    tell: Box<dyn Fn(Input) -> bool + Send>,
    jobs: Sender<PathBuf>,
    watch: Option<Watch>,
    trees: BTreeMap<PathBuf, Tree>,
    by_git_dir: HashMap<PathBuf, PathBuf>,
}

impl Run {
    fn run(mut self, inbox: &Receiver<Order>) {
        loop {
            let now = Instant::now();
            let next = self.trees.values().filter_map(|tree| tree.due).min();
            let order = match next {
                Some(at) => inbox.recv_timeout(at.saturating_duration_since(now)),
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match order {
                Ok(Order::Follow(roots)) => self.follow(&roots),
                Ok(Order::Look(root)) => self.ask(&root, Duration::ZERO),
                Ok(Order::Changed(events)) => self.changed(&events),
                Ok(Order::Done { root, look, took }) => {
                    if !self.done(root, look, took) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.start_due(),
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn follow(&mut self, roots: &BTreeSet<PathBuf>) {
        let gone: Vec<PathBuf> = self.trees.keys().filter(|root| !roots.contains(*root)).cloned().collect();
        for root in gone {
            if let Some(git_dir) = self.trees.remove(&root).and_then(|tree| tree.git_dir) {
                self.unwatch(&git_dir);
            }
        }
        for root in roots {
            if !self.trees.contains_key(root) {
                self.trees.insert(root.clone(), Tree::default());
                self.watch(root);
                self.ask(root, Duration::ZERO);
            }
        }
    }

    fn watch(&mut self, root: &Path) {
        let Ok(site) = site::find(root) else { return };
        let (Some(watch), Some(tree)) = (&self.watch, self.trees.get_mut(root)) else { return };
        // Without a watch, for want of one, the writer's orders still come.
        if watch.add(&site.git_dir, Interest::Names).is_ok() {
            tree.git_dir = Some(site.git_dir.clone());
            self.by_git_dir.insert(site.git_dir, root.to_owned());
        }
    }

    fn unwatch(&mut self, git_dir: &Path) {
        self.by_git_dir.remove(git_dir);
        if let Some(watch) = &self.watch {
            watch.remove(git_dir);
        }
    }

    /// Has a worktree looked at after `delay`, or as soon as it has rested.
    fn ask(&mut self, root: &Path, delay: Duration) {
        let Some(tree) = self.trees.get_mut(root) else { return };
        if tree.is_looking {
            tree.again = true;
            return;
        }
        let at = Instant::now() + delay;
        let at = tree.rested.map_or(at, |rested| rested.max(at));
        tree.due = Some(tree.due.map_or(at, |due| due.min(at)));
    }

    fn changed(&mut self, events: &[WatchEvent]) {
        let mut roots = BTreeSet::new();
        for event in events {
            match event {
                WatchEvent::Appeared { path, .. }
                | WatchEvent::Written { path }
                | WatchEvent::Gone { path, .. } => {
                    let tells =
                        path.file_name().and_then(|n| n.to_str()).is_some_and(|n| TELLING.contains(&n));
                    roots.extend(
                        path.parent().filter(|_| tells).and_then(|dir| self.by_git_dir.get(dir)).cloned(),
                    );
                }
                WatchEvent::Ended { path } => {
                    if let Some(root) = self.by_git_dir.remove(path) {
                        if let Some(tree) = self.trees.get_mut(&root) {
                            tree.git_dir = None;
                        }
                        roots.insert(root);
                    }
                }
                WatchEvent::Overflow => roots.extend(self.trees.keys().cloned()),
            }
        }
        for root in roots {
            self.ask(&root, self.pace.settle);
        }
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        let mut due = Vec::new();
        for (root, tree) in &mut self.trees {
            if !tree.is_looking && tree.due.is_some_and(|at| at <= now) {
                tree.due = None;
                tree.is_looking = true;
                due.push(root.clone());
            }
        }
        for root in due {
            if self.trees.get(&root).is_some_and(|tree| tree.git_dir.is_none()) {
                // It may have become a repository, or been made anew.
                self.watch(&root);
            }
            // The lookers end after this thread.
            let _ = self.jobs.send(root);
        }
    }

    /// Takes what was found; `false` when the writer is gone.
    fn done(&mut self, root: PathBuf, look: Look, took: Duration) -> bool {
        let Some(tree) = self.trees.get_mut(&root) else { return true };
        tree.is_looking = false;
        tree.hung = if look.finding == Finding::Unknown(Blind::TimedOut) { tree.hung + 1 } else { 0 };
        let doubled = 1_u32.checked_shl(tree.hung.min(16)).unwrap_or(u32::MAX);
        let rest = took.saturating_mul(self.pace.rest).saturating_mul(doubled);
        tree.rested = Some(Instant::now() + rest.clamp(self.pace.least, self.pace.most));
        if std::mem::take(&mut tree.again) {
            self.ask(&root, Duration::ZERO);
        }
        let at = clock::now();
        let began = at.plus_ms(-i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
        let found = WorktreeLook { root, finding: look.finding, mark: look.mark, began, at };
        (self.tell)(Input::Worktree(Box::new(found)))
    }
}
