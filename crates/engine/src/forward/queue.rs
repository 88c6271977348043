//! What waits to be sent, on disk, so that a dead Collector or a dead Lamplight loses nothing that was acknowledged.
//!
//! A folder of segments, each a file that requests are appended to, and one small file that says how far they were
//! delivered. A request is there as soon as `write` returned: that survives the death of the process. Files reach the disk
//! every few seconds, asked for by the sender, so that nobody who writes waits for it; a power cut loses at most those.
//! A torn end is what was being written when the process died, and was not acknowledged.
//!
//! One lock guards the numbers. It is held by the thread that appends while it writes, and by the sender for moments;
//! the sender reads without it.

mod segment;

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::sources::otlp::Signal;
use segment::Segment;

/// Smallest and largest segment. What is dropped for want of room is dropped by the segment.
const SEGMENT_BYTES: (u64, u64) = (64 * 1024, 8 * 1024 * 1024);

/// Requests and bytes read at once, to be sent together.
const MOST_TOGETHER: usize = 512;
const MOST_BYTES: usize = 1024 * 1024;

/// File that says how far was delivered.
const POSITION: &str = "position";

/// A request that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub signal: Signal,
    /// It was made while content was wanted.
    pub content: bool,
    /// Records in it.
    pub records: u32,
    /// `Export…ServiceRequest` in protobuf.
    pub body: Vec<u8>,
}

/// Requests to be sent next, and where they end.
#[derive(Debug)]
pub(super) struct Next {
    pub entries: Vec<Entry>,
    end: Position,
}

/// A place in the queue: everything before it was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Position {
    segment: u64,
    offset: u64,
}

/// The queue; shared by the thread that appends and the one that sends.
#[derive(Debug)]
pub(super) struct Queue {
    dir: PathBuf,
    max_bytes: u64,
    segment_bytes: u64,
    inner: Mutex<Inner>,
    /// Told whenever something was appended.
    pub more: Notify,
}

#[derive(Debug)]
struct Inner {
    /// Oldest first; never empty of the one that is written.
    segments: VecDeque<Segment>,
    /// The last segment's file.
    writing: Option<File>,
    /// Appended to since it was last asked to reach the disk.
    unsynced: bool,
    /// Full segments that were not asked to yet.
    full: Vec<File>,
    position: Position,
    delivered: File,
    /// Number of the next segment.
    next: u64,
    waiting: u64,
    dropped: u64,
    damaged: u64,
}

/// How full it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Fill {
    /// Bytes that wait.
    pub bytes: u64,
    /// Records that wait.
    pub records: u64,
    /// Records dropped for want of room, since the start.
    pub dropped: u64,
    /// Segments of which a part could not be read, since the start.
    pub damaged: u64,
}

impl Queue {
    /// Opens the queue in a folder, which is made when it is missing.
    ///
    /// # Errors
    /// When the folder cannot be made, read or written.
    pub(super) fn open(dir: &Path, max_bytes: u64) -> io::Result<Self> {
        make_private_dir(dir)?;
        let mut numbers: Vec<u64> = fs::read_dir(dir)?
            .filter_map(|entry| segment::number(entry.ok()?.file_name().to_str()?))
            .collect();
        numbers.sort_unstable();
        let delivered =
            private(OpenOptions::new().read(true).write(true).create(true)).open(dir.join(POSITION))?;
        let mut position = segment::read_position(&delivered)
            .map(|(segment, offset)| Position { segment, offset })
            .unwrap_or_default();
        let mut segments = VecDeque::new();
        for number in &numbers {
            if *number < position.segment {
                fs::remove_file(segment::path(dir, *number))?;
                continue;
            }
            let from = if *number == position.segment { position.offset } else { 0 };
            segments.push_back(Segment::scan(dir, *number, from)?);
        }
        if let Some(first) = segments.front() {
            position = position.max(Position { segment: first.number, offset: 0 });
        }
        let next = numbers.last().map_or(0, |n| n + 1).max(position.segment + 1);
        let waiting = segments.iter().map(|s| s.waiting).sum();
        let inner = Inner {
            segments,
            writing: None,
            unsynced: false,
            full: Vec::new(),
            position,
            delivered,
            next,
            waiting,
            dropped: 0,
            damaged: 0,
        };
        let segment_bytes = (max_bytes / 16).clamp(SEGMENT_BYTES.0, SEGMENT_BYTES.1);
        let queue = Self {
            dir: dir.to_owned(),
            max_bytes,
            segment_bytes,
            inner: Mutex::new(inner),
            more: Notify::new(),
        };
        queue.lock().make_room(&queue.dir, max_bytes, 0);
        Ok(queue)
    }

    /// Numbers only: a panic while holding the lock leaves them usable.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a request, dropping the oldest where there is no room.
    ///
    /// # Errors
    /// When it cannot be written; it counts as dropped then.
    pub(super) fn push(&self, entry: &Entry) -> io::Result<()> {
        let mut inner = self.lock();
        let done = inner.push(&self.dir, self.max_bytes, self.segment_bytes, entry);
        if done.is_err() {
            inner.dropped = inner.dropped.saturating_add(entry.records.into());
            // What was written of it is torn; later ones go into a new file.
            inner.writing = None;
        }
        drop(inner);
        self.more.notify_one();
        done
    }

    /// Counts records that never came to be appended.
    pub(super) fn lost(&self, records: u64) {
        let mut inner = self.lock();
        inner.dropped = inner.dropped.saturating_add(records);
    }

    /// The requests to be sent next, or none.
    ///
    /// # Errors
    /// When a segment cannot be read at all.
    pub(super) fn next(&self) -> io::Result<Option<Next>> {
        loop {
            let (from, end) = {
                let inner = self.lock();
                let Some(first) = inner.segments.front() else { return Ok(None) };
                (inner.position, first.bytes)
            };
            if from.offset >= end {
                let mut inner = self.lock();
                // The last one may grow; and all of this may have changed since.
                if inner.position == from && !inner.pass_segment(&self.dir) {
                    return Ok(None);
                }
                continue;
            }
            match segment::read(&self.dir, from.segment, from.offset, end, MOST_TOGETHER, MOST_BYTES) {
                Ok((entries, offset)) if !entries.is_empty() => {
                    let end = Position { segment: from.segment, offset };
                    return Ok(Some(Next { entries, end }));
                }
                // The rest of this segment is damaged: what is behind it cannot be found.
                Ok(_) => self.lock().give_up_segment(&self.dir, from),
                // Dropped meanwhile, to make room.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let mut inner = self.lock();
                    if inner.position == from {
                        inner.give_up_segment(&self.dir, from);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Notes that everything of `next`, so many records, was delivered, or will never be.
    ///
    /// # Errors
    /// When that cannot be written; it may be sent again after a restart.
    pub(super) fn done(&self, next: &Next, records: u64) -> io::Result<()> {
        let mut inner = self.lock();
        if inner.position.segment != next.end.segment {
            // Its segment was dropped to make room while it was under way, and counted as lost.
            inner.dropped = inner.dropped.saturating_sub(records);
            return Ok(());
        }
        inner.position = next.end;
        inner.waiting = inner.waiting.saturating_sub(records);
        if let Some(first) = inner.segments.front_mut() {
            first.waiting = first.waiting.saturating_sub(records);
            if next.end.offset >= first.bytes {
                inner.pass_segment(&self.dir);
            }
        }
        segment::write_position(&inner.delivered, inner.position.segment, inner.position.offset)
    }

    /// Files with something that did not reach the disk yet; to be synced without the lock.
    pub(super) fn to_sync(&self) -> Vec<File> {
        let mut inner = self.lock();
        let mut files = std::mem::take(&mut inner.full);
        if std::mem::take(&mut inner.unsynced) {
            // Without a further handle it is synced when it is full.
            files.extend(inner.writing.as_ref().and_then(|file| file.try_clone().ok()));
        }
        files
    }

    /// How full it is.
    pub(super) fn fill(&self) -> Fill {
        let inner = self.lock();
        let bytes: u64 = inner.segments.iter().map(|s| s.bytes).sum();
        Fill {
            bytes: bytes.saturating_sub(inner.position.offset),
            records: inner.waiting,
            dropped: inner.dropped,
            damaged: inner.damaged,
        }
    }
}

impl Inner {
    fn push(&mut self, dir: &Path, max_bytes: u64, segment_bytes: u64, entry: &Entry) -> io::Result<()> {
        let bytes = segment::encode(entry)?;
        let size = bytes.len() as u64;
        if size > max_bytes {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than the whole queue"));
        }
        if self.segments.back().is_some_and(|s| s.bytes > 0 && s.bytes + size > segment_bytes) {
            self.full.extend(self.writing.take());
        }
        self.make_room(dir, max_bytes, size);
        if self.writing.is_none() {
            let file = private(OpenOptions::new().write(true).create_new(true))
                .open(segment::path(dir, self.next))?;
            self.segments.push_back(Segment { number: self.next, bytes: 0, waiting: 0 });
            if self.segments.len() == 1 {
                self.position = Position { segment: self.next, offset: 0 };
            }
            self.next += 1;
            self.writing = Some(file);
        }
        if let (Some(file), Some(last)) = (&mut self.writing, self.segments.back_mut()) {
            file.write_all(&bytes)?;
            last.bytes += size;
            last.waiting += u64::from(entry.records);
            self.waiting += u64::from(entry.records);
            self.unsynced = true;
        }
        Ok(())
    }

    /// Drops the oldest segments until `size` bytes more fit.
    fn make_room(&mut self, dir: &Path, max_bytes: u64, size: u64) {
        while self.segments.iter().map(|s| s.bytes).sum::<u64>() + size > max_bytes {
            let Some(oldest) = self.segments.pop_front() else { return };
            if self.segments.is_empty() {
                self.writing = None;
            }
            self.forget(dir, &oldest);
        }
    }

    /// Goes on to the next segment when the first one was delivered; whether there is one.
    fn pass_segment(&mut self, dir: &Path) -> bool {
        let is_written = self.segments.len() == 1 && self.writing.is_some();
        if is_written {
            return false;
        }
        let Some(first) = self.segments.pop_front() else { return false };
        self.forget(dir, &first);
        true
    }

    /// Gives up what cannot be read of the first segment.
    fn give_up_segment(&mut self, dir: &Path, at: Position) {
        if self.position != at {
            return;
        }
        self.damaged += 1;
        if self.segments.len() == 1 {
            self.writing = None;
        }
        if let Some(first) = self.segments.pop_front() {
            self.forget(dir, &first);
        }
    }

    /// Removes a segment's file; what still waited in it is dropped.
    fn forget(&mut self, dir: &Path, segment: &Segment) {
        self.dropped = self.dropped.saturating_add(segment.waiting);
        self.waiting = self.waiting.saturating_sub(segment.waiting);
        self.position =
            Position { segment: self.segments.front().map_or(self.next, |s| s.number), offset: 0 };
        let removed = fs::remove_file(segment::path(dir, segment.number));
        let written = segment::write_position(&self.delivered, self.position.segment, self.position.offset);
        if let Err(error) = removed.and(written) {
            tracing::warn!(%error, "a delivered part of the forwarding queue cannot be removed");
        }
    }
}

/// Removes the queue with everything that waits in it.
///
/// # Errors
/// When it is there and cannot be removed.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn make_private_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => fs::set_permissions(dir, fs::Permissions::from_mode(0o700)),
    }
}

#[cfg(not(unix))]
fn make_private_dir(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(test)]
mod tests;
