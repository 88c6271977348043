//! Codex's writer locks, day folders and titles, followed.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use lamplight_model::ids::{Agent, SessionId};

use super::timers::Due;
use super::{Run, Running};
use crate::clock;
use crate::facts::{FileRole, Input, Issue};
use crate::sources::discover::Lister;
use crate::sources::locks::{self, LockFile, LockPlace, LockTable, UNSEEN_HOLDER};
use crate::sources::watch::Interest;

/// Day folders watched: the current one and the one before. The newest that exist are taken instead of asking a
/// calendar: a folder is made when a day's first thread is, in whatever time zone Codex runs.
const DAYS_WATCHED: usize = 2;

/// A lock that nobody seems to hold is looked at once more, so many times later than a created one.
const SLOW_MAKER: u32 = 10;

/// A lock file, followed.
#[derive(Debug)]
pub(super) struct KnownLock {
    pub(super) session: SessionId,
    /// As told to the writer.
    pub(super) holder: Option<u32>,
    is_told: bool,
}

impl Run {
    /// Watches and lists the locks of a root.
    pub(super) fn list_locks(&mut self, at: usize) -> Running {
        let Some(folder) = self.places.get(at).map(super::Place::live_folder) else { return Ok(()) };
        if !std::fs::symlink_metadata(&folder).is_ok_and(|m| m.is_dir()) {
            return self.lock_files_left(at, &[]);
        }
        self.watch(&folder, Interest::Names);
        let Some((files, issues)) = locks::list(&folder) else { return Ok(()) };
        for issue in issues {
            self.note_live(at, issue);
        }
        let table = LockTable::read();
        let paths: Vec<PathBuf> = files.iter().map(|f| f.path.clone()).collect();
        for file in files {
            self.lock_said(at, &file, &table)?;
        }
        self.lock_files_left(at, &paths)
    }

    /// Says that locks other than these are gone.
    pub(super) fn lock_files_left(&mut self, at: usize, there: &[PathBuf]) -> Running {
        let Some(place) = self.places.get(at) else { return Ok(()) };
        let gone: Vec<PathBuf> = place.locks.keys().filter(|p| !there.contains(p)).cloned().collect();
        for path in gone {
            self.lock_gone(at, &path)?;
        }
        Ok(())
    }

    fn lock_gone(&mut self, at: usize, path: &Path) -> Running {
        let Some(lock) = self.places.get_mut(at).and_then(|p| p.locks.remove(path)) else { return Ok(()) };
        self.plan_report();
        if !lock.is_told {
            return Ok(());
        }
        self.send(Input::Lock { session: lock.session, present: false, holder: None, at: clock::now() })
    }

    /// Looks at a lock file that appeared, went away, or is to be looked at again.
    pub(super) fn lock_changed(&mut self, path: &Path, is_late: bool) -> Running {
        let Some(at) = self.place_of(path) else { return Ok(()) };
        let session = match locks::session_of(path) {
            Some(Ok(session)) => session,
            Some(Err(kind)) => {
                self.note_live(at, Issue { kind, path: Some(path.to_owned()), at: None });
                return Ok(());
            }
            None => return Ok(()),
        };
        let Some(file) = locks::look_at(path, &session) else { return self.lock_gone(at, path) };
        let table = LockTable::read();
        let is_known = self.places.get(at).is_some_and(|p| p.locks.contains_key(path));
        if !is_known && !is_late && self.holder(at, &file, &table).is_none() {
            // Its maker creates the file first and locks it then: in between it would read as left by a crash.
            self.timers.at(Instant::now() + self.tuning.lock_made, Due::Lock(path.to_owned()));
            return Ok(());
        }
        self.lock_said(at, &file, &table)
    }

    fn holder(&mut self, at: usize, file: &LockFile, table: &LockTable) -> Option<u32> {
        let place = self.places.get_mut(at)?;
        let folder = place.live_folder();
        let lock_place = *place.lock_place.get_or_insert_with(|| LockPlace::of(&folder));
        table.holder(file.file, &lock_place)
    }

    fn lock_said(&mut self, at: usize, file: &LockFile, table: &LockTable) -> Running {
        let mut holder = self.holder(at, file, table);
        if let Some(pid) = holder.filter(|pid| *pid != UNSEEN_HOLDER) {
            self.hold(pid);
            if !self.exits.is_held(pid) && !self.unheld.contains(&pid) {
                // It ended between the table and here, and its lock with it.
                holder = self.holder(at, file, &LockTable::read());
            }
        }
        let Some(place) = self.places.get_mut(at) else { return Ok(()) };
        let is_new = !place.locks.contains_key(&file.path);
        let known = place.locks.entry(file.path.clone()).or_insert_with(|| KnownLock {
            session: file.session.clone(),
            holder,
            is_told: false,
        });
        let was_held = known.is_told && known.holder.is_some();
        if std::mem::replace(&mut known.is_told, true) && known.holder == holder {
            return Ok(());
        }
        known.holder = holder;
        if is_new {
            self.plan_report();
            if holder.is_none() {
                // Locking tells nobody. Should its maker be slow, it is seen to hold it after all.
                let again = Instant::now() + self.tuning.lock_made.saturating_mul(SLOW_MAKER);
                self.timers.at(again, Due::Lock(file.path.clone()));
            }
        }
        let session = file.session.clone();
        self.send(Input::Lock { session: session.clone(), present: true, holder, at: clock::now() })?;
        if holder.is_some() && !was_held { self.open_thread(at, &session) } else { Ok(()) }
    }

    /// A process has this thread loaded: its file is appended to wherever it is, in whatever old day.
    fn open_thread(&mut self, at: usize, session: &SessionId) -> Running {
        let Some(path) = self.files.main_of(Agent::Codex, session).map(|(_, e)| e.path.clone()) else {
            return Ok(());
        };
        if let Some(folder) = path.parent()
            && self.watch(folder, Interest::Writes)
            && let Some(place) = self.places.get_mut(at)
        {
            place.days.insert(folder.to_owned());
        }
        self.touch(&path)
    }

    /// Looks at the locks a process held.
    pub(super) fn locks_of_exited(&mut self, pid: u32) -> Running {
        for at in 0..self.places.len() {
            let held: Vec<PathBuf> = self
                .places
                .get(at)
                .map(|p| {
                    p.locks.iter().filter(|(_, l)| l.holder == Some(pid)).map(|(p, _)| p.clone()).collect()
                })
                .unwrap_or_default();
            for path in held {
                self.lock_changed(&path, true)?;
            }
        }
        Ok(())
    }

    /// Looks at the lock of a thread that was appended to, unless its holder is known and awaited.
    pub(super) fn lock_of_active(&mut self, role: &FileRole) -> Running {
        let lock = self.places.iter().filter(|p| p.root.agent == Agent::Codex).find_map(|place| {
            let path = place.live_folder().join(format!("{}.lock", role.session));
            let holder = place.locks.get(&path).and_then(|lock| lock.holder);
            (holder.is_some() || path.exists()).then_some((path, holder))
        });
        match lock {
            Some((path, holder)) if !holder.is_some_and(|pid| self.exits.is_held(pid)) => {
                self.lock_changed(&path, false)
            }
            _ => Ok(()),
        }
    }

    /// Watches the newest day folders, and those above them for newer ones; returns the days.
    pub(super) fn watch_days(&mut self, at: usize) -> Vec<PathBuf> {
        let Some(place) = self.places.get(at) else { return Vec::new() };
        let (sessions, former) = (place.transcripts_folder(), place.days.clone());
        if !self.watch(&sessions, Interest::Names) {
            return Vec::new();
        }
        let mut days: Vec<PathBuf> = Vec::new();
        let mut wanted = BTreeSet::from([sessions.clone()]);
        for year in self.numbered(at, &sessions) {
            self.watch(&year, Interest::Names);
            wanted.insert(year.clone());
            for month in self.numbered(at, &year) {
                self.watch(&month, Interest::Names);
                wanted.insert(month.clone());
                for day in self.numbered(at, &month) {
                    if days.len() < DAYS_WATCHED && self.watch(&day, Interest::Writes) {
                        days.push(day);
                    }
                }
                if days.len() >= DAYS_WATCHED {
                    break;
                }
            }
            if days.len() >= DAYS_WATCHED {
                break;
            }
        }
        wanted.extend(days.iter().cloned());
        for folder in self.folders_of_open_threads(at) {
            self.watch(&folder, Interest::Writes);
            wanted.insert(folder);
        }
        if let Some(watch) = &self.watch {
            for quiet in former.difference(&wanted) {
                watch.remove(quiet);
            }
        }
        if let Some(place) = self.places.get_mut(at) {
            place.days = wanted;
        }
        days
    }

    /// Follows the threads that were open when nobody knew yet where their files are.
    pub(super) fn follow_open_threads(&mut self, at: usize) -> Running {
        let files = self.files_of_open_threads(at);
        if files.is_empty() {
            return Ok(());
        }
        self.watch_days(at);
        // What was written before the watch stood, no event told.
        files.iter().try_for_each(|file| self.touch(file))
    }

    fn folders_of_open_threads(&self, at: usize) -> BTreeSet<PathBuf> {
        let files = self.files_of_open_threads(at);
        files.iter().filter_map(|file| file.parent()).map(Path::to_owned).collect()
    }

    fn files_of_open_threads(&self, at: usize) -> Vec<PathBuf> {
        let Some(place) = self.places.get(at) else { return Vec::new() };
        let open: HashSet<&SessionId> = place.locks.values().map(|lock| &lock.session).collect();
        if open.is_empty() {
            return Vec::new();
        }
        self.files.mains_of(Agent::Codex, &open).map(|entry| entry.path.clone()).collect()
    }

    fn numbered(&mut self, at: usize, folder: &Path) -> Vec<PathBuf> {
        let Some(place) = self.places.get(at) else { return Vec::new() };
        let known = |_| None;
        Lister::new(&place.root, &known).map(|mut lister| lister.numbered(folder)).unwrap_or_default()
    }

    /// Reads titles given since the last look.
    pub(super) fn read_titles(&mut self, at: usize) -> Running {
        let Some(path) = self.places.get(at).map(|p| p.root.path.join("session_index.jsonl")) else {
            return Ok(());
        };
        // Watched by itself: its folder's databases are written all day.
        if !self.watch(&path, Interest::Writes) {
            return Ok(());
        }
        let titles = self.places.get_mut(at).map(|p| p.titles.read(&path)).unwrap_or_default();
        for title in titles {
            self.send(title)?;
        }
        Ok(())
    }
}
