//! The `notify` crate's recommended watcher behind [`Watch`]'s interface, for platforms other than Linux.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{ModifyKind, RemoveKind, RenameMode};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::{Interest, WatchError, WatchEvent};

/// Watches folders on the watcher's own thread.
#[derive(Debug)]
pub struct Watch {
    watcher: Mutex<RecommendedWatcher>,
    /// What is watched. Locked by callers only; the watcher's thread does not touch it.
    watched: Mutex<HashSet<PathBuf>>,
    limit: usize,
    wakeups: Arc<AtomicU64>,
}

impl Watch {
    /// Starts watching nothing; `tell` is called on the watcher's thread.
    ///
    /// # Errors
    /// [`WatchError::Start`] when the platform's watcher does not start.
    pub fn start(
        limit: Option<usize>,
        tell: impl Fn(Vec<WatchEvent>) + Send + 'static,
    ) -> Result<Self, WatchError> {
        let wakeups = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&wakeups);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            counted.fetch_add(1, Ordering::SeqCst);
            let events = match event {
                Ok(event) => translate(event),
                Err(_) => vec![WatchEvent::Overflow],
            };
            if !events.is_empty() {
                tell(events);
            }
        })
        .map_err(|e| WatchError::Start(io::Error::other(e)))?;
        Ok(Self {
            watcher: Mutex::new(watcher),
            watched: Mutex::default(),
            limit: limit.unwrap_or(usize::MAX),
            wakeups,
        })
    }

    /// Watches a folder; `false` when it already was. Interests cannot be told apart here.
    ///
    /// # Errors
    /// [`WatchError`] by cause.
    pub fn add(&self, path: &Path, _interest: Interest) -> Result<bool, WatchError> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.contains(path) {
            return Ok(false);
        }
        if watched.len() >= self.limit {
            return Err(WatchError::Limit(path.to_owned()));
        }
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        watcher.watch(path, RecursiveMode::NonRecursive).map_err(|e| match e.kind {
            ErrorKind::PathNotFound => WatchError::Absent(path.to_owned()),
            ErrorKind::MaxFilesWatch => WatchError::Limit(path.to_owned()),
            ErrorKind::Io(source) => WatchError::System { path: path.to_owned(), source },
            _ => WatchError::System { path: path.to_owned(), source: io::Error::other(e) },
        })?;
        watched.insert(path.to_owned());
        Ok(true)
    }

    /// Ends the watch of a folder.
    pub fn remove(&self, path: &Path) {
        if self.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(path) {
            // It fails only when the folder is gone, and the watch with it.
            let _ = self.watcher.lock().unwrap_or_else(PoisonError::into_inner).unwatch(path);
        }
    }

    /// Ends the watches of a folder and of everything below it.
    pub fn remove_below(&self, folder: &Path) {
        let below: Vec<PathBuf> = {
            let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
            watched.iter().filter(|p| p.starts_with(folder)).cloned().collect()
        };
        for path in below {
            self.remove(&path);
        }
    }

    /// Whether a folder is watched.
    #[must_use]
    pub fn is_watched(&self, path: &Path) -> bool {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
    }

    /// Folders watched.
    #[must_use]
    pub fn count(&self) -> usize {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Times the watcher called since the start.
    #[must_use]
    pub fn wakeups(&self) -> u64 {
        self.wakeups.load(Ordering::SeqCst)
    }
}

fn translate(event: Event) -> Vec<WatchEvent> {
    if event.need_rescan() {
        return vec![WatchEvent::Overflow];
    }
    let each = |path: PathBuf| {
        let is_folder = path.is_dir();
        match event.kind {
            // What a rename is, is read off the path: some platforms do not say which side it names.
            EventKind::Modify(ModifyKind::Name(mode)) => match mode {
                RenameMode::From => Some(WatchEvent::Gone { path, is_folder }),
                _ if path.exists() => Some(WatchEvent::Appeared { path, is_folder }),
                _ => Some(WatchEvent::Gone { path, is_folder }),
            },
            EventKind::Create(_) => Some(WatchEvent::Appeared { path, is_folder }),
            EventKind::Remove(kind) => Some(WatchEvent::Gone { path, is_folder: kind == RemoveKind::Folder }),
            EventKind::Modify(ModifyKind::Metadata(_)) | EventKind::Access(_) => None,
            EventKind::Modify(_) | EventKind::Any | EventKind::Other => Some(WatchEvent::Written { path }),
        }
    };
    event.paths.into_iter().filter_map(each).collect()
}
