//! How much telemetry may wait to be committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Requests that may wait: half of what the writer's queue holds, so that transcripts and commands always find a place.
const MAX_REQUESTS: u64 = 16;

/// Records that may wait, some 300 bytes each: as many as fill about 60 MB.
const MAX_RECORDS: u64 = 200_000;

/// Telemetry that waits to be committed.
#[derive(Debug, Default)]
pub(crate) struct Uncommitted {
    requests: AtomicU64,
    records: AtomicU64,
}

/// A place in the queue; given back when dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    of: Arc<Uncommitted>,
    records: u64,
}

impl Waiting {
    /// Takes a place; `None` when there is none. A single request always finds one.
    pub(crate) fn begin(of: &Arc<Uncommitted>, records: u64) -> Option<Self> {
        let requests = of.requests.fetch_add(1, Ordering::AcqRel) + 1;
        let all = of.records.fetch_add(records, Ordering::AcqRel).saturating_add(records);
        // From here on dropping it gives everything back.
        let place = Self { of: Arc::clone(of), records };
        (requests <= MAX_REQUESTS && (all <= MAX_RECORDS || requests == 1)).then_some(place)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.of.requests.fetch_sub(1, Ordering::AcqRel);
        self.of.records.fetch_sub(self.records, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let queue = Arc::default();
        let places: Vec<_> = (0..16).map(|_| Waiting::begin(&queue, 10).unwrap()).collect();
        assert!(Waiting::begin(&queue, 1).is_none(), "the 17th");
        drop(places);
        let one = Waiting::begin(&queue, 1_000_000).expect("a large request alone is taken");
        assert!(Waiting::begin(&queue, 1).is_none(), "nothing beside it");
        drop(one);
        assert!(Waiting::begin(&queue, 200_000).is_some());
    }
}
