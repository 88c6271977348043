//! Room for raw telemetry: the bound of the database, and what is left on the disk.
//!
//! Looked at every few seconds at most, by the writer. Over the bound the oldest spans go in small steps, sums stay; with
//! little room on the disk no telemetry is taken in until there is some again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lamplight_model::ids::Timestamp;
use rusqlite::Connection;

use crate::config::Limits;
use crate::store::StoreError;
use crate::store::spans::retention::{self, LetGo};

/// Least time between two looks.
const LOOK_EVERY_MS: i64 = 5_000;

/// Least time between two steps while there is too much; the writer does everything else in between.
const STEP_EVERY_MS: i64 = 50;

/// Watches the room.
#[derive(Debug)]
pub(crate) struct Space {
    dir: PathBuf,
    limits: Limits,
    next_look: Option<Timestamp>,
    /// There is too much, and something of it can go.
    is_over: bool,
    /// Read by whoever takes in telemetry.
    is_low: Arc<AtomicBool>,
}

impl Space {
    pub(crate) fn new(dir: &Path, limits: Limits) -> Self {
        Self { dir: dir.to_owned(), limits, next_look: None, is_over: false, is_low: Arc::default() }
    }

    /// Takes other limits over; they hold from the next look on, which is due at once.
    pub(crate) fn reconfigure(&mut self, limits: Limits) {
        if self.limits != limits {
            self.limits = limits;
            self.next_look = None;
        }
    }

    /// Whether there is too little room; shared with whoever takes in telemetry.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_low)
    }

    pub(crate) fn is_low(&self) -> bool {
        self.is_low.load(Ordering::Relaxed)
    }

    /// When it looks again by itself: while something is wrong.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.next_look.filter(|_| self.is_over || self.is_low())
    }

    /// Looks, when it is time; lets go of a little when there is too much, and says of how much.
    pub(crate) fn look(&mut self, db: &Connection, now: Timestamp) -> Result<Option<LetGo>, StoreError> {
        // A clock that was set back must not stop the looking.
        let is_due = self.next_look.is_none_or(|at| now >= at || at.since(now) > LOOK_EVERY_MS);
        if !is_due {
            return Ok(None);
        }
        self.next_look = Some(now.plus_ms(LOOK_EVERY_MS));
        // What cannot be told is no reason to stop.
        let free = free_bytes(&self.dir);
        self.is_low.store(free.is_some_and(|free| free < self.limits.min_free_bytes), Ordering::Relaxed);
        let is_over = retention::used_bytes(db)? > self.limits.max_bytes;
        let gone = if is_over { retention::let_go(db, now)? } else { None };
        self.is_over = gone.is_some();
        if self.is_over {
            self.next_look = Some(now.plus_ms(STEP_EVERY_MS));
        }
        Ok(gone)
    }
}

/// Bytes this user can still write; `None` where nobody can tell.
#[cfg(unix)]
fn free_bytes(dir: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes this user can still write; `None`: this platform is not asked.
#[cfg(not(unix))]
fn free_bytes(_dir: &Path) -> Option<u64> {
    None
}
