//! The spool of hooks, followed.

use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::{Run, Running};
use crate::clock;
use crate::facts::{Input, Issue, IssueKind, SourceReport};
use crate::reports::HOOKS;
use crate::sources::hooks::{self, Spooled};
use crate::sources::watch::{Interest, WatchEvent};

/// Where hooks lie, and how far each file is.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    /// Named by events or a listing, not read yet. Names sort by time.
    pending: BTreeSet<OsString>,
    /// Handed to the writer, which has not stored them yet.
    handed: HashSet<OsString>,
    /// Nothing of ours; not looked at again.
    ignored: HashSet<OsString>,
    issues: Vec<Issue>,
}

impl Spool {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            pending: BTreeSet::new(),
            handed: HashSet::new(),
            ignored: HashSet::new(),
            issues: Vec::new(),
        }
    }

    fn name_of<'a>(&self, path: &'a Path) -> Option<&'a OsStr> {
        path.file_name().filter(|_| path.parent() == Some(self.folder.as_path()))
    }

    fn found(&mut self, name: &OsStr) {
        if hooks::is_hook_name(name) && !self.handed.contains(name) && !self.ignored.contains(name) {
            self.pending.insert(name.to_owned());
        }
    }

    fn note(&mut self, kind: IssueKind, name: Option<&OsStr>) {
        self.issues.push(Issue { kind, path: name.map(|name| self.folder.join(name)), at: None });
    }
}

impl Run {
    /// Watches the spool and lists what waits in it.
    pub(super) fn list_spool(&mut self) -> Running {
        let Some(folder) = self.spool.as_ref().map(|s| s.folder.clone()) else { return Ok(()) };
        if let Err(error) = hooks::make_folder(&folder) {
            tracing::warn!(path = %folder.display(), %error, "there is no spool for hooks");
            return Ok(());
        }
        self.watch(&folder, Interest::Names);
        let listed = hooks::list(&folder);
        if let Some(spool) = &mut self.spool {
            match listed {
                Ok(waiting) => {
                    waiting.names.iter().for_each(|name| spool.found(name));
                    (0..waiting.dropped).for_each(|_| spool.note(IssueKind::SpoolFull, None));
                }
                Err(_) => spool.note(IssueKind::Unreadable, Some(OsStr::new(""))),
            }
        }
        self.drain_spool()
    }

    /// Takes a file event of the spool; `false` when it is none.
    pub(super) fn spool_event(&mut self, event: &WatchEvent) -> Running<bool> {
        let Some(spool) = &mut self.spool else { return Ok(false) };
        match event {
            WatchEvent::Appeared { path, .. } | WatchEvent::Written { path } => {
                if *path == spool.folder {
                    self.list_spool()?;
                    return Ok(true);
                }
                let Some(name) = spool.name_of(path) else { return Ok(false) };
                if hooks::is_full_mark(name) {
                    // It was, while we were behind: hooks write again once the mark is gone.
                    self.list_spool()?;
                    return Ok(true);
                }
                spool.found(name);
            }
            WatchEvent::Gone { path, .. } => {
                let Some(name) = spool.name_of(path) else { return Ok(*path == spool.folder) };
                spool.handed.remove(name);
                spool.ignored.remove(name);
            }
            WatchEvent::Ended { path } => {
                if *path != spool.folder {
                    return Ok(false);
                }
                // Somebody removed it; hooks and we make it again.
                self.unwatch_below(path);
                self.list_spool()?;
            }
            WatchEvent::Overflow => return Ok(false),
        }
        Ok(true)
    }

    /// Reads what waits, in order, and hands it to the writer.
    pub(super) fn drain_spool(&mut self) -> Running {
        let Some(spool) = &mut self.spool else { return Ok(()) };
        while let Some(name) = spool.pending.pop_first() {
            let path = spool.folder.join(&name);
            match hooks::read(&path, clock::now()) {
                Spooled::Fact(fact, issue) => {
                    if let Some(kind) = issue {
                        spool.note(kind, Some(&name));
                    }
                    spool.handed.insert(name);
                    self.tx.send(Input::Hook(*fact)).map_err(|_| super::Stop)?;
                }
                Spooled::Nothing => hooks::remove(&path),
                Spooled::Bad(kind) => {
                    spool.note(kind, Some(&name));
                    hooks::remove(&path);
                }
                Spooled::Foreign => drop(spool.ignored.insert(name)),
                Spooled::Gone => {}
            }
        }
        if spool.issues.is_empty() {
            return Ok(());
        }
        let report = SourceReport {
            bytes: None,
            trouble: None,
            name: HOOKS,
            path: spool.folder.clone(),
            present: true,
            files: 0,
            issues: std::mem::take(&mut spool.issues),
        };
        self.send(Input::Source(report))
    }

    /// What these files say is stored.
    pub(super) fn hooks_stored(&mut self, files: &[PathBuf]) {
        for file in files {
            hooks::remove(file);
            // Where nothing watches, no event tells that it is gone.
            if let (Some(spool), Some(name)) = (&mut self.spool, file.file_name()) {
                spool.handed.remove(name);
            }
        }
    }
}
