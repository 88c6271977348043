//! Transcripts the scout knows, by identity.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use lamplight_model::ids::{Agent, SessionId, Timestamp};

use crate::facts::{Cursor, FileId, FileRole};
use crate::sources::open::path_hash;
use crate::sources::tail::Position;

/// One transcript. A cursor's path and role are kept once, here.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) role: FileRole,
    offset: u64,
    /// Decoder state; `None` before the first line.
    carry: Option<String>,
    searched_to: u64,
    /// Last change, by the file system.
    pub(super) modified_at: Timestamp,
    /// Listing in which it was seen last.
    pub(super) seen_in: u32,
    /// Not where it was; its cursor is kept in case it turns up elsewhere.
    pub(super) is_gone: bool,
    /// The writer was told so.
    pub(super) is_told_gone: bool,
    /// The folder of its session's subagents was looked for.
    pub(super) is_tended: bool,
    /// The writer knows another path.
    pub(super) is_moved: bool,
    /// The writer had this file under another role, or as another file.
    replaced: Option<Cursor>,
}

impl Entry {
    /// Whether it is a session's main transcript, and where it was.
    fn is_main_of(&self, agent: Agent) -> bool {
        !self.is_gone && self.role.agent == agent && self.role.subagent.is_none()
    }

    /// Whether a file of this size holds something that was not looked at.
    pub(super) fn is_behind(&self, size_bytes: u64) -> bool {
        // One that was never read is told of even when it is empty: it is a transcript all the same.
        self.carry.is_none()
            || self.is_moved
            || self.replaced.is_some()
            || size_bytes < self.offset
            || size_bytes != self.searched_to
    }
}

#[derive(Debug, Default)]
pub(super) struct Files {
    by_id: HashMap<FileId, Entry>,
    /// By hash of the path: ids of files that are where they were.
    by_path: HashMap<u64, FileId>,
    counts: BTreeMap<Agent, u64>,
}

impl Files {
    /// Takes over what the writer knows.
    pub(super) fn from_cursors(cursors: Vec<Cursor>) -> Self {
        let mut files = Self::default();
        for cursor in cursors {
            let entry = Entry {
                path: cursor.path,
                role: cursor.role,
                offset: cursor.offset,
                carry: Some(cursor.carry),
                searched_to: cursor.offset,
                modified_at: Timestamp(0),
                seen_in: 0,
                // Until a listing finds it.
                is_gone: true,
                is_told_gone: false,
                is_tended: false,
                is_moved: false,
                replaced: None,
            };
            files.by_path.insert(path_hash(&entry.path), cursor.file);
            files.by_id.insert(cursor.file, entry);
        }
        files
    }

    pub(super) fn get(&self, id: FileId) -> Option<&Entry> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: FileId) -> Option<&mut Entry> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn role(&self, id: FileId) -> Option<FileRole> {
        self.by_id.get(&id).map(|e| e.role.clone())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (FileId, &Entry)> {
        self.by_id.iter().map(|(id, entry)| (*id, entry))
    }

    /// The file known at a path.
    pub(super) fn at(&self, path: &Path) -> Option<FileId> {
        let id = *self.by_path.get(&path_hash(path))?;
        (self.by_id.get(&id)?.path == path).then_some(id)
    }

    /// The main transcript of a session, where it is now.
    pub(super) fn main_of(&self, agent: Agent, session: &SessionId) -> Option<(FileId, &Entry)> {
        self.iter().find(|(_, e)| e.is_main_of(agent) && e.role.session == *session)
    }

    /// The main transcripts of some sessions, where they are now; in one pass, however many they are.
    pub(super) fn mains_of(
        &self,
        agent: Agent,
        sessions: &HashSet<&SessionId>,
    ) -> impl Iterator<Item = &Entry> {
        self.by_id.values().filter(move |e| e.is_main_of(agent) && sessions.contains(&e.role.session))
    }

    /// Files of an agent that are there.
    pub(super) fn count(&self, agent: Agent) -> u64 {
        self.counts.get(&agent).copied().unwrap_or_default()
    }

    /// Adds a file that is read from its start. `replaced` is the cursor of what stood under its path before.
    pub(super) fn add(
        &mut self,
        id: FileId,
        path: PathBuf,
        role: FileRole,
        modified_at: Timestamp,
        replaced: Option<Cursor>,
    ) {
        *self.counts.entry(role.agent).or_default() += 1;
        self.by_path.insert(path_hash(&path), id);
        let entry = Entry {
            path,
            role,
            offset: 0,
            carry: None,
            searched_to: 0,
            modified_at,
            seen_in: 0,
            is_gone: false,
            is_told_gone: false,
            is_tended: false,
            is_moved: false,
            replaced,
        };
        self.by_id.insert(id, entry);
    }

    /// Forgets a file.
    pub(super) fn remove(&mut self, id: FileId) {
        self.lost(id);
        if let Some(entry) = self.by_id.remove(&id) {
            let hash = path_hash(&entry.path);
            if self.by_path.get(&hash) == Some(&id) {
                self.by_path.remove(&hash);
            }
        }
    }

    /// Where reading of a file stands; `None` before its first line.
    pub(super) fn cursor_of(&self, id: FileId) -> Option<Cursor> {
        let entry = self.by_id.get(&id)?;
        let carry = entry.carry.clone()?;
        Some(Cursor {
            file: id,
            path: entry.path.clone(),
            role: entry.role.clone(),
            offset: entry.offset,
            carry,
        })
    }

    /// Notes that a file is at `path`.
    pub(super) fn found_at(&mut self, id: FileId, path: &Path, modified_at: Timestamp) {
        let Some(entry) = self.by_id.get_mut(&id) else { return };
        if entry.is_gone {
            entry.is_gone = false;
            *self.counts.entry(entry.role.agent).or_default() += 1;
        }
        entry.modified_at = modified_at;
        // What was told to be gone is announced again.
        entry.is_moved |= std::mem::take(&mut entry.is_told_gone);
        if entry.path != path {
            let former = path_hash(&entry.path);
            entry.path = path.to_owned();
            entry.is_moved = true;
            entry.is_tended = false;
            if self.by_path.get(&former) == Some(&id) {
                self.by_path.remove(&former);
            }
        }
        self.by_path.insert(path_hash(path), id);
    }

    /// Notes that a file is not where it was; its cursor stays.
    pub(super) fn lost(&mut self, id: FileId) {
        let Some(entry) = self.by_id.get_mut(&id) else { return };
        if !std::mem::replace(&mut entry.is_gone, true) {
            let agent = entry.role.agent;
            self.uncount(agent);
        }
    }

    /// Forgets how far a file was read.
    pub(super) fn rewind(&mut self, id: FileId) {
        if let Some(entry) = self.by_id.get_mut(&id) {
            // A carry no decoder understands makes the reader begin again and say so.
            entry.carry = Some(String::new());
            entry.is_moved = true;
        }
    }

    /// Takes out what reading needs; [`Self::put_back`] returns it.
    pub(super) fn check_out(&mut self, id: FileId) -> Option<(PathBuf, FileRole, Position)> {
        let entry = self.by_id.get_mut(&id)?;
        let (path, role) = (entry.path.clone(), entry.role.clone());
        let searched_to = entry.searched_to;
        let cursor = entry.replaced.take().or_else(|| {
            // An empty path differs from every real one: it makes the reader announce where the file is.
            let path = if entry.is_moved { PathBuf::new() } else { path.clone() };
            entry.carry.take().map(|carry| Cursor {
                file: id,
                path,
                role: role.clone(),
                offset: entry.offset,
                carry,
            })
        });
        Some((path, role, Position { cursor, searched_to }))
    }

    pub(super) fn put_back(&mut self, id: FileId, position: Position, announced: bool) {
        let Some(entry) = self.by_id.get_mut(&id) else { return };
        entry.searched_to = position.searched_to;
        match position.cursor {
            Some(cursor) if cursor.file == id => {
                entry.offset = cursor.offset;
                entry.carry = Some(cursor.carry);
            }
            // Nothing was handed on: it still replaces what it replaced.
            other => entry.replaced = other,
        }
        if announced {
            entry.is_moved = false;
        }
    }

    fn uncount(&mut self, agent: Agent) {
        if let Some(count) = self.counts.get_mut(&agent) {
            *count = count.saturating_sub(1);
        }
    }
}
