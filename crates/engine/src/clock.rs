//! The only reader of the clock.

use lamplight_model::ids::Timestamp;

/// Returns the present instant.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
pub fn now() -> Timestamp {
    Timestamp(chrono::Utc::now().timestamp_millis())
}
