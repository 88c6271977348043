//! inotify, asked for changes only.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use inotify::{Event, EventMask, Inotify, WatchDescriptor, WatchMask, Watches};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use super::{Interest, WatchError, WatchEvent};

/// Room for the events of one read: about 500 of the usual length.
const BUFFER_BYTES: usize = 32 * 1024;

/// Watches folders on a thread of its own.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    watches: Watches,
    /// Watches allowed; tests lower it to see the fallback.
    limit: usize,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    bell: OwnedFd,
    /// What is watched. Held while a watch is added, so that its first event finds it; never while telling.
    table: Mutex<Table>,
    wakeups: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    by_descriptor: HashMap<WatchDescriptor, PathBuf>,
    by_path: HashMap<PathBuf, WatchDescriptor>,
}

impl Watch {
    /// Starts watching nothing; `tell` is called on the watch's thread with the events of one read and may block.
    ///
    /// # Errors
    /// [`WatchError::Limit`] when the user's inotify instances are used up, [`WatchError::Start`] otherwise.
    pub fn start(
        limit: Option<usize>,
        tell: impl Fn(Vec<WatchEvent>) + Send + 'static,
    ) -> Result<Self, WatchError> {
        let start = |e: io::Error| match Errno::from_io_error(&e) {
            Some(Errno::MFILE | Errno::NFILE | Errno::NOSPC) => WatchError::Limit(PathBuf::new()),
            _ => WatchError::Start(e),
        };
        let inotify = Inotify::init().map_err(start)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC).map_err(|e| start(e.into()))?;
        let shared = Arc::new(Shared { bell, table: Mutex::default(), wakeups: AtomicU64::new(0) });
        let watches = inotify.watches();
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("file-events".to_owned())
            .spawn(move || read(inotify, &theirs, &tell))
            .map_err(WatchError::Start)?;
        Ok(Self { shared, watches, limit: limit.unwrap_or(usize::MAX), thread: Some(thread) })
    }

    /// Watches a folder (or a single file); `false` when it already was, and only the interest is changed.
    ///
    /// # Errors
    /// [`WatchError`] by cause; the folder is then not watched.
    pub fn add(&self, path: &Path, interest: Interest) -> Result<bool, WatchError> {
        // MASK_ADD: an interest is only ever widened. The system call is made for a known folder as well, because it may
        // have been replaced by another one whose predecessor's end was not read yet.
        let mut mask = WatchMask::MASK_ADD
            | WatchMask::CREATE
            | WatchMask::MOVED_FROM
            | WatchMask::MOVED_TO
            | WatchMask::DELETE
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF;
        if interest == Interest::Writes {
            mask |= WatchMask::MODIFY;
        }
        let mut table = self.shared.table.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = table.by_path.contains_key(path);
        if !is_known && table.by_path.len() >= self.limit {
            return Err(WatchError::Limit(path.to_owned()));
        }
        let descriptor =
            self.watches.clone().add(path, mask).map_err(|source| match Errno::from_io_error(&source) {
                Some(Errno::NOENT | Errno::NOTDIR) => WatchError::Absent(path.to_owned()),
                Some(Errno::NOSPC | Errno::NOMEM) => WatchError::Limit(path.to_owned()),
                _ => WatchError::System { path: path.to_owned(), source },
            })?;
        // The same folder under another name (a root reached twice) keeps its first name.
        if table.by_descriptor.contains_key(&descriptor) {
            return Ok(false);
        }
        if let Some(stale) = table.by_path.insert(path.to_owned(), descriptor.clone()) {
            table.by_descriptor.remove(&stale);
        }
        table.by_descriptor.insert(descriptor, path.to_owned());
        Ok(true)
    }

    /// Ends the watch of a folder.
    pub fn remove(&self, path: &Path) {
        let mut table = self.shared.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(descriptor) = table.by_path.remove(path) {
            table.by_descriptor.remove(&descriptor);
            // It fails only when the kernel has ended the watch itself.
            let _ = self.watches.clone().remove(descriptor);
        }
    }

    /// Ends the watches of a folder and of everything below it.
    pub fn remove_below(&self, folder: &Path) {
        let below: Vec<PathBuf> = {
            let table = self.shared.table.lock().unwrap_or_else(PoisonError::into_inner);
            table.by_path.keys().filter(|p| p.starts_with(folder)).cloned().collect()
        };
        for path in below {
            self.remove(&path);
        }
    }

    /// Whether a folder is watched.
    #[must_use]
    pub fn is_watched(&self, path: &Path) -> bool {
        self.shared.table.lock().unwrap_or_else(PoisonError::into_inner).by_path.contains_key(path)
    }

    /// Folders watched.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.table.lock().unwrap_or_else(PoisonError::into_inner).by_path.len()
    }

    /// Times the thread was woken by the kernel since the start.
    #[must_use]
    pub fn wakeups(&self) -> u64 {
        self.shared.wakeups.load(Ordering::SeqCst)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A full counter would ring as well, so nothing is lost with the result.
        let _ = rustix::io::write(&self.shared.bell, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported on its own thread; there is nothing left to stop.
            let _ = thread.join();
        }
    }
}

fn read(mut inotify: Inotify, shared: &Shared, tell: &dyn Fn(Vec<WatchEvent>)) {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let rung = {
            let mut ready = [
                PollFd::from_borrowed_fd(inotify.as_fd(), PollFlags::IN),
                PollFd::new(&shared.bell, PollFlags::IN),
            ];
            match poll(&mut ready, None) {
                Ok(_) => !ready[1].revents().is_empty(),
                Err(Errno::INTR) => continue,
                Err(error) => {
                    tracing::error!(%error, "waiting for file events failed; the reconcile looks instead");
                    return;
                }
            }
        };
        if rung {
            return;
        }
        shared.wakeups.fetch_add(1, Ordering::SeqCst);
        let events: Vec<WatchEvent> = match inotify.read_events(&mut buffer) {
            Ok(events) => {
                let mut table = shared.table.lock().unwrap_or_else(PoisonError::into_inner);
                events.filter_map(|event| table.translate(&event)).collect()
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => continue,
            Err(error) => {
                tracing::error!(%error, "reading file events failed; the reconcile looks instead");
                return;
            }
        };
        if !events.is_empty() {
            tell(events);
        }
    }
}

impl Table {
    fn translate(&mut self, event: &Event<&std::ffi::OsStr>) -> Option<WatchEvent> {
        let mask = event.mask;
        if mask.contains(EventMask::Q_OVERFLOW) {
            return Some(WatchEvent::Overflow);
        }
        let watched = self.by_descriptor.get(&event.wd)?;
        let is_folder = mask.contains(EventMask::ISDIR);
        let path = event.name.map_or_else(|| watched.clone(), |name| watched.join(name));
        if mask.intersects(EventMask::DELETE_SELF | EventMask::MOVE_SELF | EventMask::IGNORED) {
            // After MOVE_SELF the kernel goes on watching what is under another name now; the caller removes that watch.
            // Otherwise the kernel has removed it.
            let is_current = self.by_path.get(&path) == Some(&event.wd);
            if !mask.contains(EventMask::MOVE_SELF) {
                self.by_descriptor.remove(&event.wd);
                if is_current {
                    self.by_path.remove(&path);
                }
            }
            // Another folder of that name is watched by now.
            if !is_current {
                return None;
            }
            return Some(WatchEvent::Ended { path });
        }
        if mask.intersects(EventMask::CREATE | EventMask::MOVED_TO) {
            return Some(WatchEvent::Appeared { path, is_folder });
        }
        if mask.intersects(EventMask::DELETE | EventMask::MOVED_FROM) {
            return Some(WatchEvent::Gone { path, is_folder });
        }
        mask.contains(EventMask::MODIFY).then_some(WatchEvent::Written { path })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use super::*;

    fn start() -> (Watch, Receiver<Vec<WatchEvent>>) {
        let (send, receive) = channel();
        // The test may have dropped its end while the last events come.
        let watch = Watch::start(None, move |events| drop(send.send(events))).unwrap();
        (watch, receive)
    }

    /// Collects events until one satisfies `last`.
    fn until(receive: &Receiver<Vec<WatchEvent>>, last: impl Fn(&WatchEvent) -> bool) -> Vec<WatchEvent> {
        let mut all = Vec::new();
        while !all.iter().any(&last) {
            all.extend(receive.recv_timeout(Duration::from_secs(30)).expect("the event did not come"));
        }
        all
    }

    #[test]
    fn a_foreign_process_reading_a_thousand_transcripts_wakes_nobody() {
        let home = tempfile::tempdir().unwrap();
        for n in 0..1000 {
            fs::write(home.path().join(format!("{n}.jsonl")), "{}\n").unwrap();
        }
        let (watch, receive) = start();
        watch.add(home.path(), Interest::Writes).unwrap();
        let status = std::process::Command::new("sh")
            .args(["-c", "cat \"$0\"/*.jsonl > /dev/null && ls -l \"$0\" > /dev/null"])
            .arg(home.path())
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(watch.wakeups(), 0, "events are queued before the reader's system call returns");
        // The watch does work: the first thing it hears of is a write.
        fs::write(home.path().join("5.jsonl"), "{}\n{}\n").unwrap();
        let events = until(&receive, |e| matches!(e, WatchEvent::Written { .. }));
        assert_eq!(events.first(), Some(&WatchEvent::Written { path: home.path().join("5.jsonl") }));
    }

    #[test]
    fn names_alone_are_told_without_writes() {
        let home = tempfile::tempdir().unwrap();
        let (watch, receive) = start();
        watch.add(home.path(), Interest::Names).unwrap();
        fs::write(home.path().join("a"), "1").unwrap();
        fs::write(home.path().join("a"), "2").unwrap();
        fs::create_dir(home.path().join("b")).unwrap();
        let events = until(&receive, |e| matches!(e, WatchEvent::Appeared { is_folder: true, .. }));
        assert_eq!(
            events,
            [
                WatchEvent::Appeared { path: home.path().join("a"), is_folder: false },
                WatchEvent::Appeared { path: home.path().join("b"), is_folder: true },
            ]
        );
    }

    #[test]
    fn a_folder_that_goes_away_ends_its_watch_and_can_be_watched_again() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("f");
        fs::create_dir(&folder).unwrap();
        let (watch, receive) = start();
        assert!(watch.add(&folder, Interest::Writes).unwrap());
        assert!(!watch.add(&folder, Interest::Writes).unwrap(), "twice is once");
        fs::remove_dir(&folder).unwrap();
        until(&receive, |e| *e == WatchEvent::Ended { path: folder.clone() });
        assert!(!watch.is_watched(&folder));
        assert!(matches!(watch.add(&folder, Interest::Writes), Err(WatchError::Absent(_))));
        fs::create_dir(&folder).unwrap();
        assert!(watch.add(&folder, Interest::Writes).unwrap());
        fs::write(folder.join("x"), "1").unwrap();
        until(&receive, |e| matches!(e, WatchEvent::Written { .. }));
    }

    #[test]
    fn the_limit_is_told_apart() {
        let home = tempfile::tempdir().unwrap();
        let watch = Watch::start(Some(0), |_| {}).unwrap();
        assert!(matches!(watch.add(home.path(), Interest::Names), Err(WatchError::Limit(_))));
        assert_eq!(watch.count(), 0);
    }
}
