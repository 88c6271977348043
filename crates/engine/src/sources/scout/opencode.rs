//! OpenCode's database: when it is looked at, and what a look finds.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use lamplight_model::ids::{Agent, Timestamp};

use super::timers::Due;
use super::walk::FEW;
use super::{Run, Running};
use crate::facts::FileId;
use crate::sources::open::modified_at;
use crate::sources::opencode::{DATABASE, Trouble};
use crate::store::opencode::Mark;

/// A database as it was found.
#[derive(Debug, Default)]
pub(super) struct Database {
    /// Why it could not be read.
    pub(super) trouble: Option<Trouble>,
    /// From where on its log of events tells what changes.
    mark: Option<Mark>,
    looked_at: Option<Instant>,
    /// When it is looked at once more.
    due_at: Option<Instant>,
    /// Looks since the last write, as counted by [`AGAIN`].
    looks: usize,
    /// Sizes and times of the database and its log at the last look.
    stands: [Option<(u64, Timestamp)>; 2],
}

/// How long after a write a database is looked at again, in pauses between two looks. A write is told of before it can be
/// seen: its writer marks it as complete in memory that nobody is told of, at once or, on a busy machine, when it gets to run.
const AGAIN: [u32; 4] = [1, 16, 160, 1_000];

impl Run {
    /// The database, or its log, was written to. It is looked at now, and again when what was written can be seen for
    /// certain.
    pub(super) fn database_changed(&mut self, at: usize) -> Running {
        let now = Instant::now();
        let pause = self.tuning.database;
        if let Some(place) = self.places.get_mut(at) {
            place.database.looks = 0;
        }
        self.plan_look(at, now + pause);
        let Some(place) = self.places.get(at) else { return Ok(()) };
        if place.database.looked_at.is_some_and(|looked| now.duration_since(looked) < pause) {
            return Ok(());
        }
        self.look_at_database(at)
    }

    pub(super) fn database_due(&mut self, root: &Path) -> Running {
        let Some(at) = self.places.iter().position(|p| p.root.path == root) else { return Ok(()) };
        let now = Instant::now();
        let Some(place) = self.places.get_mut(at) else { return Ok(()) };
        // A later look was planned before an earlier one: that one has been done.
        if place.database.due_at.is_none_or(|due_at| due_at > now) {
            return Ok(());
        }
        place.database.due_at = None;
        place.database.looks += 1;
        if let Some(pauses) = AGAIN.get(place.database.looks) {
            self.plan_look(at, now + self.tuning.database * *pauses);
        }
        self.look_at_database(at)
    }

    /// Plans a look, unless an earlier one is planned.
    fn plan_look(&mut self, at: usize, when: Instant) {
        let Some(place) = self.places.get_mut(at) else { return };
        if place.database.due_at.is_none_or(|due_at| due_at > when) {
            place.database.due_at = Some(when);
            self.timers.at(when, Due::Database(place.root.path.clone()));
        }
    }

    /// Looks at a database that was written to without an event.
    pub(super) fn look_if_changed(&mut self, at: usize) -> Running {
        let Some(place) = self.places.get(at) else { return Ok(()) };
        if place.root.agent != Agent::OpenCode || stands(&place.root.path) == place.database.stands {
            return Ok(());
        }
        self.look_at_database(at)
    }

    /// Queues the sessions in which something changed, and says which are gone.
    fn look_at_database(&mut self, at: usize) -> Running {
        let mark = self.places.get(at).and_then(|place| place.database.mark);
        let mut is_partly = false;
        let listing = self.list_with(at, |lister, enter, _| {
            is_partly = lister.opencode_changes(mark, enter);
        });
        let Some(mut listing) = listing else { return Ok(()) };
        self.note_database(at, listing.trouble, listing.mark);
        if !listing.partial && !is_partly {
            let there = listing.found.iter().map(|found| found.file).collect();
            self.tell_deleted(at, &there)?;
        }
        listing.found.retain(|found| {
            self.files.get(found.file).is_none_or(|e| e.is_gone || e.is_behind(found.size_bytes))
        });
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

    /// Sessions that are known and are not among all that are there were deleted.
    fn tell_deleted(&mut self, at: usize, there: &HashSet<FileId>) -> Running {
        let Some(database) = self.places.get(at).map(super::Place::transcripts_folder) else { return Ok(()) };
        let known: Vec<FileId> = self
            .files
            .iter()
            .filter(|(_, e)| {
                e.role.agent == Agent::OpenCode && !e.is_gone && e.path.parent() == Some(&database)
            })
            .map(|(id, _)| id)
            .collect();
        known.into_iter().filter(|file| !there.contains(file)).try_for_each(|file| self.tell_gone(file))
    }

    /// Notes how a database was found.
    pub(super) fn note_database(&mut self, at: usize, trouble: Option<Trouble>, mark: Option<Mark>) {
        let held = self.tuning.held;
        let Some(place) = self.places.get_mut(at) else { return };
        if place.root.agent != Agent::OpenCode {
            return;
        }
        place.database.mark = mark;
        place.database.looked_at = Some(Instant::now());
        place.database.stands = stands(&place.root.path);
        let is_changed = std::mem::replace(&mut place.database.trouble, trouble) != trouble;
        if is_changed {
            self.plan_report();
        }
        // Whoever holds it may let it go without another write.
        if trouble == Some(Trouble::Held) {
            self.plan_look(at, Instant::now() + held);
        }
    }

    /// A session could not be read although the database could be listed.
    pub(super) fn database_troubled(&mut self, session: &Path, trouble: Option<Trouble>) {
        if let Some(at) = self.place_of(session) {
            self.note_database(at, trouble, None);
        }
    }
}

fn stands(root: &Path) -> [Option<(u64, Timestamp)>; 2] {
    let of = |name: &str| std::fs::symlink_metadata(root.join(name)).ok().map(|m| (m.len(), modified_at(&m)));
    [of(DATABASE), of("opencode.db-wal")]
}
