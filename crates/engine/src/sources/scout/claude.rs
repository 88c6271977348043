//! Claude Code's registry, followed.

use std::path::{Path, PathBuf};
use std::time::Instant;

use lamplight_model::ids::{Agent, SessionId, Timestamp};
use lamplight_model::session::{RegistryStatus, Validity};

use super::timers::Due;
use super::{Run, Running};
use crate::clock;
use crate::facts::{Input, IssueKind, RegistryUpdate};
use crate::sources::open::Version;
use crate::sources::processes::{Liveness, look_up};
use crate::sources::registry::{self, Reading, issue, pid_of};
use crate::sources::watch::Interest;

/// A client that began within this time may still show a provisional session id.
const STARTING_MS: i64 = 2_000;

/// A registry file, followed.
#[derive(Debug, Default)]
pub(super) struct Registered {
    pid: u32,
    /// What the writer was told.
    sent: Option<RegistryUpdate>,
    /// Its process was found to be the one it speaks of, and is held.
    was_valid: bool,
    /// Until when a changed session id is held back.
    settles_at: Option<Instant>,
    /// It could not be parsed and will be read again.
    is_retrying: bool,
    /// The version that was counted as half written.
    counted: Option<Version>,
    /// The version that was told to the writer.
    read: Option<Version>,
}

impl Registered {
    /// The session a process that runs here works on.
    pub(super) fn live_session(&self) -> Option<&SessionId> {
        self.sent.as_ref().filter(|u| u.validity == Validity::Valid).map(|u| &u.session)
    }
}

impl Run {
    /// Watches and lists what tells of live processes below a root.
    pub(super) fn attach_live(&mut self, at: usize) -> Running {
        if !self.watch_root(at) {
            return self.forget_live(at);
        }
        match self.places.get(at).map(|p| p.root.agent) {
            Some(Agent::ClaudeCode) => self.list_registry(at),
            Some(Agent::Codex) => {
                self.list_locks(at)?;
                self.read_titles(at)
            }
            Some(Agent::Gemini | Agent::OpenCode | Agent::Otel) | None => Ok(()),
        }
    }

    fn forget_live(&mut self, at: usize) -> Running {
        match self.places.get(at).map(|p| p.root.agent) {
            Some(Agent::ClaudeCode) => self.registry_files_left(at, &[]),
            Some(Agent::Codex) => self.lock_files_left(at, &[]),
            Some(Agent::Gemini | Agent::OpenCode | Agent::Otel) | None => Ok(()),
        }
    }

    fn list_registry(&mut self, at: usize) -> Running {
        let Some(folder) = self.places.get(at).map(super::Place::live_folder) else { return Ok(()) };
        if !std::fs::symlink_metadata(&folder).is_ok_and(|m| m.is_dir()) {
            return self.registry_files_left(at, &[]);
        }
        self.watch(&folder, Interest::Writes);
        let Some(files) = registry::list(&folder) else {
            self.note_live(at, issue(IssueKind::Unreadable, &folder));
            return Ok(());
        };
        let paths: Vec<PathBuf> = files.into_iter().map(|(_, path)| path).collect();
        for path in &paths {
            if !self.is_as_it_was(at, path) {
                self.registry_changed(path, false)?;
            }
        }
        self.registry_files_left(at, &paths)
    }

    /// Whether a registry file was not written to since it was read, and the end of its process is awaited: then it says
    /// what it said, and of whom it said it.
    fn is_as_it_was(&self, at: usize, path: &Path) -> bool {
        let known = self.places.get(at).and_then(|place| place.registry.get(path));
        known.is_some_and(|known| {
            known.was_valid
                && known.read.is_some()
                && self.exits.is_held(known.pid)
                && known.read == Version::settled(path, clock::now())
        })
    }

    /// Says that registry files other than these are gone.
    fn registry_files_left(&mut self, at: usize, there: &[PathBuf]) -> Running {
        let Some(place) = self.places.get(at) else { return Ok(()) };
        let gone: Vec<PathBuf> = place.registry.keys().filter(|p| !there.contains(p)).cloned().collect();
        for path in gone {
            self.registry_gone(at, &path)?;
        }
        Ok(())
    }

    fn registry_gone(&mut self, at: usize, path: &Path) -> Running {
        let Some(gone) = self.places.get_mut(at).and_then(|p| p.registry.remove(path)) else { return Ok(()) };
        self.plan_report();
        // Its process stays held: an orderly end removes the file first and exits then.
        match gone.sent {
            Some(update) => {
                let (agent, session) = (update.agent, update.session);
                self.send(Input::RegistryRemoved { agent, pid: gone.pid, session, at: clock::now() })
            }
            None => Ok(()),
        }
    }

    /// Reads a registry file that appeared, was written to, went away, or is to be looked at again.
    pub(super) fn registry_changed(&mut self, path: &Path, is_retry: bool) -> Running {
        let Some(pid) = path.file_name().and_then(pid_of) else { return Ok(()) };
        let Some(at) = self.place_of(path) else { return Ok(()) };
        // Held before it is checked: a process that ends in between is then told to have ended. One that has ended but
        // was not reaped could still be held, and would be told to end at every look.
        if look_up(pid) != Liveness::Gone {
            self.hold(pid);
        }
        let now = clock::now();
        // Looked at first: what is written between the two is then another version.
        let version = Version::settled(path, now);
        match registry::read(path, pid, now) {
            Reading::Gone => self.registry_gone(at, path),
            Reading::Refused(kind) => {
                self.let_go(pid, path);
                self.note_live(at, issue(kind, path));
                Ok(())
            }
            Reading::HalfWritten => self.half_written(at, path, pid, is_retry),
            Reading::Update { update, issue: trouble } => {
                if let Some(kind) = trouble {
                    self.note_live(at, issue(kind, path));
                }
                self.registry_said(at, path, update, version)
            }
        }
    }

    /// The old value holds; the file is read once more in a moment, and then at its next change.
    fn half_written(&mut self, at: usize, path: &Path, pid: u32, is_retry: bool) -> Running {
        let again = Instant::now() + self.tuning.half_written;
        let version = std::fs::symlink_metadata(path).map(|m| Version::of(path, &m)).ok();
        let Some(place) = self.places.get_mut(at) else { return Ok(()) };
        let known = place
            .registry
            .entry(path.to_owned())
            .or_insert_with(|| Registered { pid, ..Registered::default() });
        if known.counted.is_some() && known.counted == version {
            return Ok(());
        }
        if is_retry {
            known.is_retrying = false;
            known.counted = version;
            self.note_live_again(at, issue(IssueKind::HalfWritten, path));
        } else if !std::mem::replace(&mut known.is_retrying, true) {
            self.timers.at(again, Due::Registry(path.to_owned()));
        }
        Ok(())
    }

    fn registry_said(
        &mut self,
        at: usize,
        path: &Path,
        update: RegistryUpdate,
        version: Option<Version>,
    ) -> Running {
        let pid = update.pid;
        if update.validity != Validity::Valid {
            self.let_go(pid, path);
        }
        let (now, settle) = (Instant::now(), self.tuning.settle);
        let Some(place) = self.places.get_mut(at) else { return Ok(()) };
        let is_new = !place.registry.contains_key(path);
        let known = place
            .registry
            .entry(path.to_owned())
            .or_insert_with(|| Registered { pid, ..Registered::default() });
        (known.is_retrying, known.counted, known.read) = (false, None, None);
        known.was_valid |= update.validity == Validity::Valid;
        if is_provisional(known.sent.as_ref(), &update) {
            match known.settles_at {
                None => {
                    known.settles_at = Some(now + settle);
                    self.timers.at(now + settle, Due::Registry(path.to_owned()));
                    return Ok(());
                }
                Some(until) if now < until => return Ok(()),
                Some(_) => {}
            }
        }
        (known.settles_at, known.read) = (None, version);
        if known.sent.as_ref().is_some_and(|sent| says_the_same(sent, &update)) {
            return Ok(());
        }
        let is_other_session = known.sent.as_ref().is_none_or(|sent| sent.session != update.session);
        known.sent = Some(update.clone());
        if is_new {
            self.plan_report();
        }
        let (session, is_valid) = (update.session.clone(), update.validity == Validity::Valid);
        self.send(Input::Registry(update))?;
        if is_other_session && is_valid {
            self.tend_session(&session)?;
        }
        Ok(())
    }

    /// Watches the subagents of a session that lives.
    fn tend_session(&mut self, session: &SessionId) -> Running {
        let main = self.files.main_of(Agent::ClaudeCode, session).map(|(_, entry)| entry.path.clone());
        match main {
            Some(path) => {
                self.touch(&path)?;
                self.tend(&path.with_extension(""))
            }
            // Its transcript will be seen when it appears.
            None => Ok(()),
        }
    }

    /// Lets a process go that turned out not to be the one its file speaks of. One that was found to be is held until it
    /// ends, whatever the file says by then.
    fn let_go(&mut self, pid: u32, path: &Path) {
        let speaks_of_it = |p: &super::Place| {
            p.registry.get(path).is_some_and(|known| known.was_valid)
                || p.registry.values().any(|known| known.pid == pid && known.was_valid)
                || p.locks.values().any(|lock| lock.holder == Some(pid))
        };
        if !self.places.iter().any(speaks_of_it) {
            self.exits.release(pid);
            self.unheld.remove(&pid);
        }
    }
}

/// Whether a session id may be replaced within moments: a client that resumes starts under an id of its own. What asks
/// for its person is never held back.
fn is_provisional(sent: Option<&RegistryUpdate>, update: &RegistryUpdate) -> bool {
    if update.validity != Validity::Valid || matches!(update.entry.status, Some(RegistryStatus::Waiting(_))) {
        return false;
    }
    match sent {
        Some(sent) => sent.session != update.session,
        None => {
            let started = update.entry.started_at.unwrap_or(Timestamp(0));
            update.entry.status.is_none() && update.read_at.since(started) < STARTING_MS
        }
    }
}

/// Whether an update says nothing that was not said: the moment of reading alone is no news.
fn says_the_same(sent: &RegistryUpdate, update: &RegistryUpdate) -> bool {
    RegistryUpdate { read_at: update.read_at, ..sent.clone() } == *update
}
