//! The scout's one timer: what is due, soonest first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::PathBuf;
use std::time::Instant;

use crate::facts::FileId;

/// Something to do later.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// A registry file could not be parsed, or names another session: look again.
    Registry(PathBuf),
    /// A lock file was created: by now its maker has locked it.
    Lock(PathBuf),
    /// A transcript was not where it had been: see whether it turned up elsewhere.
    Gone(FileId),
    /// A database was written to: by now what was written can be seen.
    Database(PathBuf),
    /// Counts of the sources have changed.
    Report,
    /// Look at live files that nothing watches, and at processes whose end is not told.
    Fallback,
    /// The safety net: live files, registries, locks.
    Reconcile,
    /// List everything again.
    Relist,
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Due)>>,
}

impl Timers {
    pub(super) fn at(&mut self, when: Instant, due: Due) {
        self.heap.push(Reverse((when, due)));
    }

    /// The moment something is due next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((when, _))| *when)
    }

    /// Takes one thing that is due by `now`.
    pub(super) fn take(&mut self, now: Instant) -> Option<Due> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, due))| due)
    }
}
