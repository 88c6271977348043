//! Reads a transcript from where reading stopped: complete lines only, in bounded batches and constant memory.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use lamplight_model::ids::Timestamp;

use super::decode::{Decoded, Decoder};
use super::open::{OpenError, file_id, open_regular};
use super::opencode;
use crate::facts::{Cursor, FileBatch, FileId, FileRole, Issue, IssueKind};
use crate::store::opencode::OpenCodeError;
use lamplight_model::ids::Agent;

/// Bounds of reading. The defaults are the product's; tests choose smaller ones.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes asked of the kernel at once, and the size the buffer returns to.
    pub chunk: usize,
    /// A longer line is decoded in a stream. DESIGN §4 says 16 MB.
    pub max_line: usize,
    /// Bytes of the file after which a batch is handed on.
    pub batch_bytes: u64,
    /// Facts after which a batch is handed on.
    pub batch_events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            chunk: 256 * 1024,
            max_line: 16 * 1024 * 1024,
            batch_bytes: 4 * 1024 * 1024,
            batch_events: 4096,
        }
    }
}

/// A buffer of so many chunks is kept: lines of some 100 KB stand in most transcripts.
const CHUNKS_KEPT: usize = 4;

/// Where reading of one file stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position {
    /// After the last complete line handed on; `None` before the first.
    pub cursor: Option<Cursor>,
    /// No line ends between the cursor and this byte: a huge torn line is searched once, not at every append.
    pub searched_to: u64,
}

impl From<Option<Cursor>> for Position {
    fn from(cursor: Option<Cursor>) -> Self {
        let searched_to = cursor.as_ref().map_or(0, |c| c.offset);
        Self { cursor, searched_to }
    }
}

/// What the taker of a batch wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The next batch.
    Continue,
    /// No more of this file for the moment.
    Pause,
}

/// How reading of a file stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// At the last complete line there is.
    AtEnd,
    /// Where the taker asked for it; more may follow.
    Paused,
}

/// Why a transcript could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// It was not opened.
    #[error("cannot open {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: OpenError,
    },
    /// Reading failed.
    #[error("cannot read {path} at byte {at}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A session in a database was not read.
    #[error("cannot read {path}")]
    Database {
        /// The path that stands for it.
        path: PathBuf,
        /// Why.
        #[source]
        source: OpenCodeError,
    },
}

impl TailError {
    /// The issue to count, or `None` where the file is merely gone.
    #[must_use]
    pub fn issue(&self) -> Option<Issue> {
        let (path, kind, at) = match self {
            Self::Open { source: OpenError::Gone, .. } => return None,
            // What is held is read with its next change.
            Self::Database { source: OpenCodeError::Gone | OpenCodeError::Held, .. } => return None,
            Self::Database { path, .. } => (path, IssueKind::Unreadable, None),
            Self::Open { path, source: OpenError::NotAFile } => (path, IssueKind::NotAFile, None),
            // Listing resolves links; one that turns up between listing and opening is refused unseen.
            Self::Open { path, source: OpenError::Link } => (path, IssueKind::OutsideRoot, None),
            Self::Open { path, source: OpenError::Io(_) } => (path, IssueKind::Unreadable, None),
            Self::Read { path, at, .. } => (path, IssueKind::Unreadable, Some(*at)),
        };
        Some(Issue { kind, path: Some(path.clone()), at })
    }
}

/// Reads transcripts with one buffer, used again for every file.
#[derive(Debug)]
pub struct Tailer {
    limits: Limits,
    buffer: Vec<u8>,
    /// Largest size the buffer ever had; memory for reading never exceeds it.
    peak_bytes: usize,
}

impl Default for Tailer {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Tailer {
    /// Makes a reader; memory is taken at the first read.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, buffer: Vec::new(), peak_bytes: 0 }
    }

    /// Largest size the buffer ever had.
    #[must_use]
    pub fn peak_bytes(&self) -> usize {
        self.peak_bytes
    }

    /// Hands on what was appended to a file since `position`, and moves `position` along.
    ///
    /// A file that is another one now, is shorter than the cursor, or has no line end before the cursor, is read from
    /// its start in a batch marked `reset`. A file under another path but without new lines gives one empty batch that
    /// tells the path. A file of another role than the cursor's is read from its start: inodes are used again.
    ///
    /// # Errors
    /// [`TailError`] when the file cannot be opened or read; `position` is then at the last batch handed on.
    pub fn read(
        &mut self,
        path: &Path,
        role: &FileRole,
        position: &mut Position,
        read_at: Timestamp,
        take: &mut dyn FnMut(FileBatch) -> Flow,
    ) -> Result<Stopped, TailError> {
        if role.agent == Agent::OpenCode {
            return opencode::read(path, role, position, self.limits, read_at, take)
                .map_err(|source| TailError::Database { path: path.to_owned(), source });
        }
        let (file, metadata) =
            open_regular(path).map_err(|source| TailError::Open { path: path.to_owned(), source })?;
        let id = file_id(path, &metadata);
        let fail = |at: u64| move |source: io::Error| TailError::Read { path: path.to_owned(), at, source };
        let start = resume(&file, id, role, metadata.len(), position.cursor.as_ref()).map_err(fail(0))?;
        if start.offset < position.cursor.as_ref().map_or(0, |c| c.offset) {
            position.searched_to = start.offset;
        }
        let moved = position.cursor.as_ref().is_some_and(|c| c.path != path);
        let mut run = Run {
            path,
            role,
            id,
            read_at,
            limits: self.limits,
            at: start.offset,
            decoder: start.decoder,
            decoded: Decoded::default(),
            issues: Vec::new(),
            from: start.offset,
            reset: start.reset,
            // A file without a complete line is a transcript all the same.
            announce: start.reset || moved || position.cursor.is_none(),
            searched: 0,
        };
        let torn = position.searched_to > run.at && metadata.len() >= position.searched_to;
        if torn {
            match find_line_end(&file, position.searched_to, self.limits.chunk).map_err(fail(run.at))? {
                Search::NoneUntil(end) => {
                    position.searched_to = end;
                    return Ok(if run.announce {
                        run.hand_on(position, take).into()
                    } else {
                        Stopped::AtEnd
                    });
                }
                Search::At(_) => {}
            }
        } else if metadata.len() == run.at {
            return Ok(if run.announce { run.hand_on(position, take).into() } else { Stopped::AtEnd });
        }
        let outcome = self.read_lines(&file, &mut run, position, take);
        if self.buffer.len() > self.limits.chunk.saturating_mul(CHUNKS_KEPT) {
            // One long line must not keep its memory for ever.
            self.buffer.truncate(self.limits.chunk);
            self.buffer.shrink_to(self.limits.chunk);
        }
        outcome
    }

    fn read_lines(
        &mut self,
        mut file: &File,
        run: &mut Run<'_>,
        position: &mut Position,
        take: &mut dyn FnMut(FileBatch) -> Flow,
    ) -> Result<Stopped, TailError> {
        if self.buffer.is_empty() {
            self.grow_to(self.limits.chunk);
        }
        file.seek(SeekFrom::Start(run.at)).map_err(|e| run.error(e))?;
        let mut filled = 0;
        loop {
            if filled == self.buffer.len() {
                if filled < self.limits.max_line {
                    self.grow_to((filled * 2).min(self.limits.max_line));
                } else if run.long_line(file, filled).map_err(|e| run.error(e))? {
                    filled = 0;
                    if run.is_full() && run.hand_on(position, take) == Flow::Pause {
                        return Ok(Stopped::Paused);
                    }
                    continue;
                } else {
                    break;
                }
            }
            let count = match file.read(&mut self.buffer[filled..]) {
                Ok(count) => count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(run.error(e)),
            };
            if count == 0 {
                break;
            }
            let searched = filled;
            filled += count;
            let mut start = 0;
            let mut look = searched;
            while let Some(found) = memchr::memchr(b'\n', &self.buffer[look..filled]) {
                let end = look + found;
                run.line(&self.buffer[start..end]);
                start = end + 1;
                look = start;
                if run.is_full() && run.hand_on(position, take) == Flow::Pause {
                    return Ok(Stopped::Paused);
                }
            }
            self.buffer.copy_within(start..filled, 0);
            filled -= start;
        }
        let end = run.at.saturating_add(length(filled));
        let flow =
            if run.at > run.from || run.announce { run.hand_on(position, take) } else { Flow::Continue };
        position.searched_to = run.searched.max(end);
        Ok(flow.into())
    }

    fn grow_to(&mut self, size: usize) {
        self.buffer.resize(size, 0);
        self.peak_bytes = self.peak_bytes.max(self.buffer.len());
    }
}

/// One reading of one file.
struct Run<'a> {
    path: &'a Path,
    role: &'a FileRole,
    id: FileId,
    read_at: Timestamp,
    limits: Limits,
    /// File offset of the line that comes next.
    at: u64,
    decoder: Decoder,
    decoded: Decoded,
    issues: Vec<Issue>,
    /// First byte of the batch being made.
    from: u64,
    reset: bool,
    /// Hand on a batch even if it is empty.
    announce: bool,
    /// No line ends before this byte, found while looking for the end of a line over the limit.
    searched: u64,
}

impl Run<'_> {
    fn line(&mut self, line: &[u8]) {
        self.decoder.line(self.role, line, self.read_at, &mut self.decoded);
        self.note_issues();
        self.at = self.at.saturating_add(length(line.len())).saturating_add(1);
    }

    /// Decodes a line over the limit in a stream; `false` when its end is not written yet.
    fn long_line(&mut self, mut file: &File, seen: usize) -> io::Result<bool> {
        let end = match find_line_end(file, self.at.saturating_add(length(seen)), self.limits.chunk)? {
            Search::At(end) => end,
            Search::NoneUntil(end) => {
                self.searched = end;
                return Ok(false);
            }
        };
        file.seek(SeekFrom::Start(self.at))?;
        let reader = BufReader::with_capacity(self.limits.chunk, file.take(end - self.at));
        self.decoder.long_line(self.role, reader, self.read_at, &mut self.decoded);
        self.note_issues();
        self.at = end.saturating_add(1);
        file.seek(SeekFrom::Start(self.at))?;
        Ok(true)
    }

    fn note_issues(&mut self) {
        for kind in self.decoded.issues.drain(..) {
            self.issues.push(Issue { kind, path: Some(self.path.to_owned()), at: Some(self.at) });
        }
    }

    fn is_full(&self) -> bool {
        self.at - self.from >= self.limits.batch_bytes
            || self.decoded.events.len() >= self.limits.batch_events
    }

    fn hand_on(&mut self, position: &mut Position, take: &mut dyn FnMut(FileBatch) -> Flow) -> Flow {
        let carry = serde_json::to_string(&self.decoder).expect("BUG: decoder state is plain data");
        position.cursor = Some(Cursor {
            file: self.id,
            path: self.path.to_owned(),
            role: self.role.clone(),
            offset: self.at,
            carry: carry.clone(),
        });
        position.searched_to = self.at;
        let batch = FileBatch {
            file: self.id,
            path: self.path.to_owned(),
            role: self.role.clone(),
            reset: std::mem::take(&mut self.reset),
            from: self.from,
            to: self.at,
            carry,
            events: std::mem::take(&mut self.decoded.events),
            issues: std::mem::take(&mut self.issues),
            read_at: self.read_at,
        };
        self.from = self.at;
        self.announce = false;
        take(batch)
    }

    fn error(&self, source: io::Error) -> TailError {
        TailError::Read { path: self.path.to_owned(), at: self.at, source }
    }
}

impl From<Flow> for Stopped {
    fn from(flow: Flow) -> Self {
        match flow {
            Flow::Continue => Self::AtEnd,
            Flow::Pause => Self::Paused,
        }
    }
}

struct Start {
    offset: u64,
    decoder: Decoder,
    reset: bool,
}

/// Decides where reading begins.
fn resume(file: &File, id: FileId, role: &FileRole, size: u64, cursor: Option<&Cursor>) -> io::Result<Start> {
    let afresh = |reset| Start { offset: 0, decoder: Decoder::new(role), reset };
    let Some(cursor) = cursor else { return Ok(afresh(false)) };
    if cursor.role != *role {
        // Another session's file has the inode now: nothing it said is void.
        return Ok(afresh(false));
    }
    if cursor.file != id || cursor.offset > size {
        return Ok(afresh(true));
    }
    // A carry of another version cannot be taken up: the file is read again rather than half understood.
    let Ok(decoder) = serde_json::from_str(&cursor.carry) else { return Ok(afresh(true)) };
    // A file rewritten in place keeps its inode and may be longer than it was. Looking at one byte before new lines are
    // read finds almost all of those; agents only append, so more would be paid by everybody for nobody.
    if size > cursor.offset && cursor.offset > 0 && byte_at(file, cursor.offset - 1)? != Some(b'\n') {
        return Ok(afresh(true));
    }
    Ok(Start { offset: cursor.offset, decoder, reset: false })
}

fn byte_at(mut file: &File, at: u64) -> io::Result<Option<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut byte = [0];
    loop {
        match file.read(&mut byte) {
            Ok(count) => return Ok((count == 1).then_some(byte[0])),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

enum Search {
    /// The line feed stands here.
    At(u64),
    /// There is none before this end of the file.
    NoneUntil(u64),
}

/// Looks for the next line feed with one chunk of memory.
fn find_line_end(mut file: &File, from: u64, chunk: usize) -> io::Result<Search> {
    file.seek(SeekFrom::Start(from))?;
    let mut buffer = vec![0; chunk];
    let mut at = from;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Search::NoneUntil(at)),
            Ok(count) => {
                if let Some(found) = memchr::memchr(b'\n', &buffer[..count]) {
                    return Ok(Search::At(at.saturating_add(length(found))));
                }
                at = at.saturating_add(length(count));
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// A length in memory as a length in a file.
fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Reads one bounded batch: what [`Tailer::read`] does, for callers without state of their own.
///
/// # Errors
/// As [`Tailer::read`].
pub fn read_batch(
    path: &Path,
    role: &FileRole,
    cursor: Option<&Cursor>,
    limits: Limits,
    read_at: Timestamp,
) -> Result<Option<FileBatch>, TailError> {
    let mut position = Position::from(cursor.cloned());
    let mut batch = None;
    Tailer::new(limits).read(path, role, &mut position, read_at, &mut |b| {
        batch = Some(b);
        Flow::Pause
    })?;
    Ok(batch)
}
