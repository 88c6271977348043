//! Time inside a session: moves forward, never past the end of the store's time.

use chrono::{DateTime, Utc};

use crate::rng::Rng;

/// The clock of one session, in milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    now_ms: u64,
    until_ms: u64,
}

impl Clock {
    /// A clock at `start_ms` that stays before `until_ms`.
    pub fn from_start(start_ms: u64, until_ms: u64) -> Self {
        Self { now_ms: start_ms.min(until_ms), until_ms }
    }

    /// The present.
    pub fn ms(&self) -> u64 {
        self.now_ms
    }

    /// The present in whole seconds.
    pub fn seconds(&self) -> u64 {
        self.now_ms / 1000
    }

    /// Lets between `low` and `high` milliseconds pass, fewer near the end of time.
    pub fn pass(&mut self, rng: &mut Rng, low: u64, high: u64) {
        let left = self.until_ms - self.now_ms;
        self.now_ms += rng.range(low, high).min(left / 16);
    }

    /// The present as agents write it: RFC 3339, milliseconds, UTC.
    pub fn iso(&self) -> String {
        self.format("%Y-%m-%dT%H:%M:%S%.3fZ")
    }

    /// The present in any form.
    pub fn format(&self, form: &str) -> String {
        let ms = i64::try_from(self.now_ms).unwrap_or(i64::MAX);
        DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or_default().format(form).to_string()
    }
}
