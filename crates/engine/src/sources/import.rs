//! Reads whole files on several threads, for the first import.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Condvar, Mutex, PoisonError};

use super::discover::Found;
use super::meta::read_meta;
use super::tail::{Flow, Position, Tailer};
use crate::clock;
use crate::facts::{Input, Issue};

/// Bytes of transcripts whose facts may wait for the sink. Facts are smaller than the text they come from, so this
/// bounds memory whatever the files look like; it is enough to keep two parsers busy over one slow transaction.
const WAITING_BYTES: u64 = 16 * 1024 * 1024;

/// Messages that may wait; the gate above is the real bound, this only keeps the channel's own memory small.
const WAITING_BATCHES: usize = 512;

/// What an import read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Files handed to the sink as a whole.
    pub files: u64,
    /// Bytes of complete lines read.
    pub bytes: u64,
    /// Files that could not be read.
    pub issues: Vec<Issue>,
}

/// Reads `found` in its order on `threads` threads and hands everything to `sink` on the calling thread.
///
/// Batches of one file arrive in order; files overlap. When the sink is slow the readers wait, when it breaks they stop.
pub fn import_files(
    found: &[Found],
    threads: usize,
    mut sink: impl FnMut(Input) -> ControlFlow<()>,
) -> Imported {
    let gate = Gate::default();
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let (send, receive) = sync_channel::<Message>(WAITING_BATCHES);
    let mut imported = Imported::default();
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, found.len().max(1)) {
            let send = send.clone();
            let (gate, next, stop) = (&gate, &next, &stop);
            scope.spawn(move || {
                let mut tailer = Tailer::default();
                while !stop.load(Ordering::Relaxed) {
                    let Some(found) = found.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                    if !read_whole(found, &mut tailer, gate, &mut |m| send.send(m).is_ok()) {
                        return;
                    }
                }
            });
        }
        drop(send);
        while let Ok(message) = receive.recv() {
            match message {
                Message::Fact { input, bytes } => {
                    let flow = sink(*input);
                    gate.leave(bytes);
                    imported.bytes += bytes;
                    if flow.is_break() {
                        stop.store(true, Ordering::Relaxed);
                        break;
                    }
                }
                Message::Done(issue) => {
                    imported.files += 1;
                    imported.issues.extend(issue);
                }
            }
        }
        // Readers that wait for room, or for the channel, learn that nobody takes any more.
        gate.open();
        drop(receive);
    });
    imported
}

enum Message {
    Fact { input: Box<Input>, bytes: u64 },
    Done(Option<Issue>),
}

/// Reads one file to its end; `false` when nobody takes the facts any more.
fn read_whole(
    found: &Found,
    tailer: &mut Tailer,
    gate: &Gate,
    send: &mut dyn FnMut(Message) -> bool,
) -> bool {
    let mut open = true;
    let read_at = clock::now();
    let outcome = tailer.read(&found.path, &found.role, &mut Position::default(), read_at, &mut |batch| {
        let bytes = batch.to.saturating_sub(batch.from);
        gate.enter(bytes);
        open = send(Message::Fact { input: Box::new(Input::Batch(batch)), bytes });
        if open { Flow::Continue } else { Flow::Pause }
    });
    if !open {
        return false;
    }
    if let Some(meta) = found.meta.as_deref().and_then(|path| read_meta(path, &found.role))
        && !send(Message::Fact { input: Box::new(meta), bytes: 0 })
    {
        return false;
    }
    send(Message::Done(outcome.err().and_then(|e| e.issue())))
}

/// Lets in so many bytes at a time. Guards the number of bytes that wait for the sink; readers enter, the sink's thread
/// leaves for them. A batch larger than the whole gate enters alone.
#[derive(Default)]
struct Gate {
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: u64,
    open: bool,
}

impl Gate {
    fn enter(&self, bytes: u64) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self
            .changed
            .wait_while(state, |s| !s.open && s.bytes > 0 && s.bytes + bytes > WAITING_BYTES)
            .unwrap_or_else(PoisonError::into_inner);
        state.bytes += bytes;
    }

    fn leave(&self, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.bytes = state.bytes.saturating_sub(bytes);
        self.changed.notify_all();
    }

    fn open(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).open = true;
        self.changed.notify_all();
    }
}
