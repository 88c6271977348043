//! Listing, and what file events mean.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use lamplight_model::ids::Agent;

use super::timers::Due;
use super::{RECENT_MS, Run, Running};
use crate::clock;
use crate::facts::{FileId, FileRole, Input};
use crate::sources::discover::{Enter, Found, Lister, Listing, is_transcript_name, role_of};
use crate::sources::meta::read_meta;
use crate::sources::open::{file_id, modified_at};
use crate::sources::opencode::{self, Trouble};
use crate::sources::watch::{Interest, WatchEvent};

/// Suffix of a subagent's meta file.
const META_SUFFIX: &str = ".meta.json";

/// Files found by one event that are read before anything else; more of them wait their turn.
pub(super) const FEW: usize = 64;

impl Run {
    /// Lists the transcripts of every root, and queues what was not read yet, newest first.
    pub(super) fn list_all(&mut self) -> Running {
        self.listing += 1;
        let mut whole = HashSet::new();
        let mut all = Listing::default();
        for at in 0..self.places.len() {
            if !self.watch_root(at) {
                continue;
            }
            self.watch_transcripts(at);
            let listing = self.list_with(at, |lister, enter, agent| match agent {
                Agent::ClaudeCode => lister.claude_projects(enter),
                // Only the newest days are watched, and those are by now.
                Agent::Codex => lister.codex_rollouts(&mut |_| {}),
                Agent::OpenCode => lister.opencode_sessions(enter),
                Agent::Gemini | Agent::Otel => {}
            });
            if let Some(listing) = listing {
                self.note_database(at, listing.trouble, listing.mark);
                if !listing.partial {
                    whole.insert(at);
                }
                all.found.extend(listing.found);
                all.issues.extend(listing.issues);
            }
        }
        self.anchor();
        all.once_each();
        all.newest_first();
        let behind = self.take_listing(all)?;
        self.backlog.clear();
        self.backlog.extend(behind);
        for at in 0..self.places.len() {
            if self.places.get(at).is_some_and(|place| place.root.agent == Agent::Codex) {
                self.follow_open_threads(at)?;
            }
        }
        self.look_for_missing(&whole)
    }

    /// Watches a root for the folders that appear in it; `false` when it is absent.
    pub(super) fn watch_root(&mut self, at: usize) -> bool {
        let Some(root) = self.places.get(at).map(|p| p.root.path.clone()) else { return false };
        // Only names: databases and histories in it are written all day.
        let watched = if root.is_dir() { self.watch_anew(&root, Interest::Names) } else { None };
        // What stood in it before the watch did, no event told.
        self.is_rescan_due |= watched == Some(true);
        if let Some(place) = self.places.get_mut(at) {
            place.is_present = watched.is_some();
        }
        watched.is_some()
    }

    /// Watches the folders of a root that are not watched by entering them.
    fn watch_transcripts(&mut self, at: usize) {
        let Some(root) = self.places.get(at).map(|p| p.root.clone()) else { return };
        match root.agent {
            Agent::ClaudeCode | Agent::Gemini | Agent::OpenCode | Agent::Otel => {}
            Agent::Codex => {
                self.watch_days(at);
                self.watch(&root.path.join("archived_sessions"), Interest::Writes);
            }
        }
    }

    /// Lists something below one root, each folder being watched before it is listed.
    pub(super) fn list_with(
        &mut self,
        at: usize,
        list: impl FnOnce(&mut Lister<'_>, Enter<'_>, Agent),
    ) -> Option<Listing> {
        let place = self.places.get(at)?;
        let known = |file| self.files.role(file);
        let mut lister = Lister::new(&place.root, &known)?;
        let watch = self.watch.as_ref();
        let mut refused = Vec::new();
        let mut enter = |folder: &Path| {
            if watch.is_none_or(|w| w.add(folder, Interest::Writes).is_err()) {
                refused.push(folder.to_owned());
            }
        };
        list(&mut lister, &mut enter, place.root.agent);
        let listing = lister.take();
        for folder in refused {
            self.watch(&folder, Interest::Writes);
        }
        Some(listing)
    }

    /// Lists something because an event named it, and queues what is new there.
    fn list_some(&mut self, at: usize, list: impl FnOnce(&mut Lister<'_>, Enter<'_>, Agent)) -> Running {
        let Some(mut listing) = self.list_with(at, list) else { return Ok(()) };
        listing.once_each();
        listing.newest_first();
        let behind = self.take_listing(listing)?;
        if behind.len() <= FEW {
            for file in behind {
                self.mark_dirty(file);
            }
        } else {
            self.backlog.extend(behind);
        }
        Ok(())
    }

    /// Notes what a listing found; returns the files that hold something unread, in its order.
    pub(super) fn take_listing(&mut self, listing: Listing) -> Running<Vec<FileId>> {
        for issue in listing.issues {
            self.note(Agent::ClaudeCode, issue);
        }
        let now = clock::now();
        let mut behind = Vec::new();
        let mut active = BTreeSet::new();
        for found in listing.found {
            if self.ignored.has_role(&found.role) {
                continue;
            }
            let is_recent = now.since(found.modified_at) <= RECENT_MS;
            if is_recent && let Some(folder) = session_folder(&found) {
                active.insert(folder);
            }
            self.tell_meta(&found, is_recent)?;
            if self.see(&found)? {
                behind.push(found.file);
            }
        }
        for folder in active {
            self.tend(&folder)?;
        }
        Ok(behind)
    }

    fn tell_meta(&self, found: &Found, is_recent: bool) -> Running {
        let is_unread = self.files.cursor_of(found.file).is_none();
        if let Some(meta) = &found.meta
            && (is_unread || is_recent)
            && let Some(input) = read_meta(meta, &found.role)
        {
            self.send(input)?;
        }
        Ok(())
    }

    /// Notes where a file is; `true` when it holds something unread.
    fn see(&mut self, found: &Found) -> Running<bool> {
        let Found { path, file, role, size_bytes, modified_at, .. } = found;
        let mut replaced = None;
        if let Some(former) = self.files.at(path)
            && former != *file
        {
            // Another file stands there. The former may have been renamed: its cursor is kept.
            replaced = self.files.cursor_of(former).filter(|cursor| cursor.role == *role);
            self.tell_gone(former)?;
        }
        if self.files.get(*file).is_some_and(|e| e.role != *role) {
            // The inode of a file that is gone was used again.
            self.tell_gone(*file)?;
            self.files.remove(*file);
        }
        if self.files.get(*file).is_none() {
            self.files.add(*file, path.clone(), role.clone(), *modified_at, replaced);
            self.plan_report();
        }
        self.files.found_at(*file, path, *modified_at);
        let listing = self.listing;
        let Some(entry) = self.files.get_mut(*file) else { return Ok(false) };
        entry.seen_in = listing;
        Ok(entry.is_behind(*size_bytes))
    }

    /// Looks at a transcript an event named.
    pub(super) fn touch(&mut self, path: &Path) -> Running {
        if let Some(known) = self.files.at(path)
            && let Ok(metadata) = fs::symlink_metadata(path)
            && metadata.is_file()
            && file_id(path, &metadata) == known
        {
            self.files.found_at(known, path, modified_at(&metadata));
            if self.files.get(known).is_some_and(|e| e.is_behind(metadata.len())) {
                self.mark_dirty(known);
            }
            return Ok(());
        }
        match self.place_of(path) {
            Some(at) => self.list_some(at, |lister, _, _| lister.one(path)),
            None => Ok(()),
        }
    }

    /// Says that files known below a wholly listed root are gone, if they are.
    fn look_for_missing(&mut self, whole: &HashSet<usize>) -> Running {
        let missing: Vec<FileId> = self
            .files
            .iter()
            .filter(|(_, e)| e.seen_in != self.listing && !e.is_told_gone)
            .filter(|(_, e)| self.place_of(&e.path).is_some_and(|at| whole.contains(&at)))
            .map(|(id, _)| id)
            .collect();
        for file in missing {
            self.settle_gone(file)?;
        }
        Ok(())
    }

    /// Says that a file is gone, unless it is where it was or turned up elsewhere.
    pub(super) fn settle_gone(&mut self, file: FileId) -> Running {
        let Some(entry) = self.files.get(file) else { return Ok(()) };
        let is_there = match entry.role.agent {
            Agent::OpenCode => match opencode::is_there(&entry.path, clock::now()) {
                Ok(is_there) => is_there,
                Err(Trouble::Held) => {
                    self.timers.at(Instant::now() + self.tuning.held, Due::Gone(file));
                    return Ok(());
                }
                // So it is taken to be where nobody can look.
                Err(_) => true,
            },
            _ => fs::symlink_metadata(&entry.path)
                .is_ok_and(|m| m.is_file() && file_id(&entry.path, &m) == file),
        };
        if is_there { Ok(()) } else { self.tell_gone(file) }
    }

    pub(super) fn tell_gone(&mut self, file: FileId) -> Running {
        self.files.lost(file);
        let Some(entry) = self.files.get_mut(file) else { return Ok(()) };
        if std::mem::replace(&mut entry.is_told_gone, true) {
            return Ok(());
        }
        let path = entry.path.clone();
        self.plan_report();
        self.send(Input::FileGone { path })
    }

    /// Takes one file event.
    pub(super) fn file_event(&mut self, event: WatchEvent) -> Running {
        if self.spool_event(&event)? {
            return Ok(());
        }
        match event {
            WatchEvent::Overflow => {
                self.tell_overflow();
                self.rescan()
            }
            WatchEvent::Appeared { path, is_folder } => {
                let leads_to_root = |p: &super::Place| !p.is_present && p.root.path.starts_with(&path);
                if self.places.iter().any(leads_to_root) {
                    return self.rescan();
                }
                self.changed(&path, is_folder)
            }
            WatchEvent::Written { path } => self.changed(&path, false),
            WatchEvent::Gone { path, is_folder } => self.gone(&path, is_folder),
            WatchEvent::Ended { path } => {
                self.unwatch_below(&path);
                let was_root = self.places.iter().any(|p| p.root.path.starts_with(&path));
                if was_root || self.anchors.contains(&path) {
                    return self.rescan();
                }
                self.look_again(&path)
            }
        }
    }

    /// What is told to be gone may be there again by now, and be watched anew: its watch went with the old one's.
    fn look_again(&mut self, path: &Path) -> Running {
        match fs::symlink_metadata(path) {
            Ok(metadata) => self.changed(path, metadata.is_dir()),
            Err(_) => Ok(()),
        }
    }

    fn gone(&mut self, path: &Path, is_folder: bool) -> Running {
        if is_folder {
            self.unwatch_below(path);
            let below: Vec<FileId> = self
                .files
                .iter()
                .filter(|(_, e)| !e.is_gone && e.path.starts_with(path))
                .map(|(id, _)| id)
                .collect();
            for file in below {
                self.timers.at(Instant::now() + self.tuning.gone, Due::Gone(file));
            }
            if self.places.iter().any(|p| p.is_present && p.root.path.starts_with(path)) {
                return self.rescan();
            }
            if let Some(at) = self.places.iter().position(|p| p.live_folder() == path) {
                return self.attach_live(at);
            }
            return self.look_again(path);
        }
        if let Some(file) = self.files.at(path) {
            self.timers.at(Instant::now() + self.tuning.gone, Due::Gone(file));
            return Ok(());
        }
        self.changed(path, false)
    }

    /// Something appeared or was written to below a root.
    fn changed(&mut self, path: &Path, is_folder: bool) -> Running {
        let Some(at) = self.place_of(path) else { return Ok(()) };
        let Some(root) = self.places.get(at).map(|p| p.root.clone()) else { return Ok(()) };
        let Ok(inside) = path.strip_prefix(&root.path) else { return Ok(()) };
        let parts: Vec<&str> = inside.iter().map(|part| part.to_str().unwrap_or_default()).collect();
        match root.agent {
            Agent::ClaudeCode => match parts.as_slice() {
                ["sessions"] => self.attach_live(at),
                ["sessions", _] => self.registry_changed(path, false),
                ["projects"] => self.list_some(at, |lister, enter, _| lister.claude_projects(enter)),
                ["projects", _] => self.list_some(at, |lister, enter, _| lister.claude_project(path, enter)),
                ["projects", _, name] if is_transcript_name(OsStr::new(name)) => self.touch(path),
                ["projects", _, _] if is_folder => self.tend(path),
                ["projects", _, _, "subagents"] => path.parent().map_or(Ok(()), |folder| self.tend(folder)),
                ["projects", _, _, "subagents", name] if name.ends_with(META_SUFFIX) => {
                    self.meta_changed(path)
                }
                ["projects", _, _, "subagents", _] => self.touch(path),
                _ => Ok(()),
            },
            Agent::Codex => match parts.as_slice() {
                ["thread-writer-locks"] => self.attach_live(at),
                ["thread-writer-locks", _] => self.lock_changed(path, false),
                ["session_index.jsonl"] => self.read_titles(at),
                ["archived_sessions"] => {
                    self.list_some(at, |lister, enter, _| lister.codex_folder(path, enter))
                }
                ["archived_sessions", _] | ["sessions", _, _, _, _] => self.touch(path),
                ["sessions"] | ["sessions", ..] => self.days_changed(at),
                _ => Ok(()),
            },
            Agent::OpenCode => match parts.as_slice() {
                [name] if name.starts_with(opencode::DATABASE) => self.database_changed(at),
                _ => Ok(()),
            },
            Agent::Gemini | Agent::Otel => Ok(()),
        }
    }

    /// New days, or files in them.
    fn days_changed(&mut self, at: usize) -> Running {
        let days = self.watch_days(at);
        self.list_some(at, |lister, _, _| {
            for day in days {
                lister.codex_folder(&day, &mut |_| {});
            }
        })
    }

    fn meta_changed(&mut self, path: &Path) -> Running {
        let Some(text) = path.to_str().and_then(|t| t.strip_suffix(META_SUFFIX)) else { return Ok(()) };
        let transcript = PathBuf::from(format!("{text}.jsonl"));
        let role: Option<FileRole> = role_of(Agent::ClaudeCode, &transcript, &transcript).ok().flatten();
        match role.and_then(|role| read_meta(path, &role)) {
            Some(input) => self.send(input),
            None => Ok(()),
        }
    }

    /// Watches the subagents of a session that lives or was active lately, and lists them.
    pub(super) fn tend(&mut self, session_folder: &Path) -> Running {
        // Not through a link: listing would refuse what lies behind one that leaves the root.
        if !fs::symlink_metadata(session_folder).is_ok_and(|m| m.is_dir()) {
            return Ok(());
        }
        let Some(at) = self.place_of(session_folder) else { return Ok(()) };
        if !self.watch(session_folder, Interest::Names) {
            return Ok(());
        }
        self.tended.insert(session_folder.to_owned(), clock::now());
        let Some(listing) =
            self.list_with(at, |lister, enter, _| lister.claude_subagents(session_folder, enter))
        else {
            return Ok(());
        };
        for issue in listing.issues {
            self.note(Agent::ClaudeCode, issue);
        }
        for found in listing.found {
            self.tell_meta(&found, true)?;
            if self.see(&found)? {
                self.mark_dirty(found.file);
            }
        }
        Ok(())
    }

    /// Facts were appended to a file.
    pub(super) fn was_active(&mut self, file: FileId, path: &Path, role: &FileRole) -> Running {
        match role.agent {
            Agent::Codex => self.lock_of_active(role),
            Agent::Gemini | Agent::OpenCode | Agent::Otel => Ok(()),
            Agent::ClaudeCode => {
                let folder = folder_of(path, role);
                let was_tended =
                    self.files.get_mut(file).is_some_and(|e| std::mem::replace(&mut e.is_tended, true));
                let Some(folder) = folder else { return Ok(()) };
                if let Some(last) = self.tended.get_mut(&folder) {
                    *last = clock::now();
                    return Ok(());
                }
                if was_tended { Ok(()) } else { self.tend(&folder) }
            }
        }
    }

    /// Ends the watches of sessions that neither live nor were active lately.
    pub(super) fn forget_quiet(&mut self) {
        let now = clock::now();
        let live: HashSet<String> = self
            .places
            .iter()
            .flat_map(super::Place::live_sessions)
            .map(|(_, session)| session.as_str().to_owned())
            .collect();
        let is_live = |folder: &Path| {
            folder.file_name().and_then(OsStr::to_str).is_some_and(|name| live.contains(name))
        };
        let quiet: Vec<PathBuf> = self
            .tended
            .iter()
            .filter(|(folder, last)| now.since(**last) > RECENT_MS && !is_live(folder))
            .map(|(folder, _)| folder.clone())
            .collect();
        for folder in quiet {
            self.unwatch_below(&folder);
            if let Some(file) = self.files.at(&folder.with_extension("jsonl"))
                && let Some(entry) = self.files.get_mut(file)
            {
                entry.is_tended = false;
            }
        }
    }

    /// Watches the nearest folder above each absent root.
    fn anchor(&mut self) {
        let wanted = self.anchors_wanted();
        for former in self.anchors.difference(&wanted) {
            let is_used = self.places.iter().any(|p| p.is_present && former.starts_with(&p.root.path));
            if !is_used && let Some(watch) = &self.watch {
                watch.remove(former);
            }
        }
        for folder in &wanted {
            self.watch(folder, Interest::Names);
        }
        // What appeared between the look and the watch, no event told.
        let is_late = self.places.iter().any(|p| !p.is_present && p.root.path.is_dir());
        self.is_rescan_due |= is_late || self.anchors_wanted() != wanted;
        self.anchors = wanted;
    }

    fn anchors_wanted(&self) -> BTreeSet<PathBuf> {
        let absent = self.places.iter().filter(|p| !p.is_present);
        absent
            .filter_map(|p| p.root.path.ancestors().skip(1).find(|above| above.is_dir()))
            .map(Path::to_owned)
            .collect()
    }
}

/// The folder beside a main transcript, or above its subagents.
fn folder_of(path: &Path, role: &FileRole) -> Option<PathBuf> {
    match (role.agent, &role.subagent) {
        (Agent::Codex | Agent::Gemini | Agent::OpenCode | Agent::Otel, _) => None,
        (Agent::ClaudeCode, None) => Some(path.with_extension("")),
        (Agent::ClaudeCode, Some(_)) => {
            let folder = path.parent().filter(|p| p.file_name().is_some_and(|name| name == "subagents"))?;
            folder.parent().map(Path::to_owned)
        }
    }
}

fn session_folder(found: &Found) -> Option<PathBuf> {
    folder_of(&found.path, &found.role)
}
