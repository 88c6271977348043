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
    /// One more look is planned.
    is_due: bool,
    /// Sizes and times of the database and its log at the last look.
    stands: [Option<(u64, Timestamp)>; 2],
}

impl Run {
    /// The database, or its log, was written to. It is looked at now, and once more when what was written can be seen for
    /// certain.
    pub(super) fn database_changed(&mut self, at: usize) -> Running {
        let now = Instant::now();
        let pause = self.tuning.database;
        let Some(place) = self.places.get_mut(at) else { return Ok(()) };
        if !std::mem::replace(&mut place.database.is_due, true) {
            self.timers.at(now + pause, Due::Database(place.root.path.clone()));
        }
        if place.database.looked_at.is_some_and(|looked| now.duration_since(looked) < pause) {
            return Ok(());
        }
        self.look_at_database(at)
    }

    pub(super) fn database_due(&mut self, root: &Path) -> Running {
        let Some(at) = self.places.iter().position(|p| p.root.path == root) else { return Ok(()) };
        if let Some(place) = self.places.get_mut(at) {
            place.database.is_due = false;
        }
        self.look_at_database(at)
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
            self.look_for_deleted(at, &there);
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
    fn look_for_deleted(&mut self, at: usize, there: &HashSet<FileId>) {
        let Some(root) = self.places.get(at).map(|p| p.root.path.clone()) else { return };
        let known: Vec<FileId> = self
            .files
            .iter()
            .filter(|(_, e)| e.role.agent == Agent::OpenCode && !e.is_gone && e.path.starts_with(&root))
            .map(|(id, _)| id)
            .collect();
        for file in known.into_iter().filter(|file| !there.contains(file)) {
            self.timers.at(Instant::now(), Due::Gone(file));
        }
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
        // Whoever holds it may let it go without another write.
        if trouble == Some(Trouble::Held) && !std::mem::replace(&mut place.database.is_due, true) {
            self.timers.at(Instant::now() + held, Due::Database(place.root.path.clone()));
        }
        if is_changed {
            self.plan_report();
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
