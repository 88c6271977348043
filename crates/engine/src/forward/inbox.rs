//! What was committed and waits to be stripped and appended, in memory.
//!
//! Its bounds keep a slow disk from taking the machine's memory. Whoever took a request in waits here for its place in the
//! queue, so that an acknowledged request is one that will be forwarded; the writer of the database never does.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::repack::Part;
use crate::sources::otlp::{Encoding, Signal};

/// Requests that may wait here. A receiver has at most some hundred under way.
const MAX_ITEMS: usize = 1_000;

/// Bytes that may: three of the largest requests.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Something to be passed on.
#[derive(Debug)]
pub(super) enum Item {
    /// A request as it was received.
    Received {
        signal: Signal,
        encoding: Encoding,
        body: Bytes,
        /// Records in it.
        records: u64,
        /// Answered once it is in the queue; dropped when it will not be.
        queued: oneshot::Sender<()>,
    },
    /// Facts of Lamplight's own.
    Own { signal: Signal, part: Part },
}

impl Item {
    fn bytes(&self) -> usize {
        match self {
            Self::Received { body, .. } => body.len(),
            Self::Own { part, .. } => part.body.len(),
        }
    }

    fn records(&self) -> u64 {
        match self {
            Self::Received { records, .. } => *records,
            Self::Own { part, .. } => part.records.into(),
        }
    }
}

/// Guards what waits: receivers and the own facts put in, one thread takes out.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    inner: Mutex<Inner>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    items: VecDeque<Item>,
    bytes: usize,
    is_closed: bool,
}

impl Inbox {
    /// Puts something in and returns how many records had to be dropped for it. Never waits: the oldest gives way.
    pub(super) fn put(&self, item: Item) -> u64 {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lost = 0;
        if inner.is_closed {
            return item.records();
        }
        let bytes = item.bytes();
        while inner.items.len() >= MAX_ITEMS || (inner.bytes + bytes > MAX_BYTES && !inner.items.is_empty()) {
            let Some(oldest) = inner.items.pop_front() else { break };
            inner.bytes -= oldest.bytes();
            lost += oldest.records();
        }
        inner.bytes += bytes;
        inner.items.push_back(item);
        drop(inner);
        self.more.notify_one();
        lost
    }

    /// Waits for the next one; `None` once it is closed and empty.
    pub(super) fn take(&self) -> Option<Item> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(item) = inner.items.pop_front() {
                inner.bytes -= item.bytes();
                return Some(item);
            }
            if inner.is_closed {
                return None;
            }
            inner = self.more.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes nothing more in; what is there is still handed out.
    pub(super) fn close(&self) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
        self.more.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(records: u32, bytes: usize) -> Item {
        Item::Own { signal: Signal::Logs, part: Part { body: vec![0; bytes], records } }
    }

    fn records(item: Option<Item>) -> Option<u64> {
        item.map(|item| item.records())
    }

    #[test]
    fn when_full_the_oldest_is_dropped_and_counted_and_nobody_waits() {
        let inbox = Inbox::default();
        for n in 0..u32::try_from(MAX_ITEMS).unwrap() {
            assert_eq!(inbox.put(own(n, 1)), 0);
        }
        assert_eq!(inbox.put(own(7_777, 1)), 0, "the oldest had no records");
        assert_eq!(inbox.put(own(7_778, 1)), 1);
        assert_eq!(records(inbox.take()), Some(2));
        assert_eq!(inbox.put(own(5, MAX_BYTES)), (3..1_000u64).sum::<u64>() + 7_777 + 7_778);
        assert_eq!(records(inbox.take()), Some(5));
        inbox.put(own(6, 1));
        inbox.close();
        assert_eq!(inbox.put(own(9, 1)), 9, "closed");
        assert_eq!(records(inbox.take()), Some(6));
        assert_eq!(records(inbox.take()), None);
    }

    #[test]
    fn a_dropped_request_is_not_waited_for() {
        let inbox = Inbox::default();
        let (queued, mut waits) = oneshot::channel();
        let received = |queued| Item::Received {
            signal: Signal::Logs,
            encoding: Encoding::Json,
            body: Bytes::from_static(b"{}"),
            records: 3,
            queued,
        };
        inbox.put(received(queued));
        assert!(matches!(waits.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
        assert_eq!(inbox.put(own(1, MAX_BYTES)), 3);
        assert!(matches!(waits.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
    }
}
