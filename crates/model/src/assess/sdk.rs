//! Sessions of instrumented services: only spans say anything, and only of what is over.

use super::Verdict;
use crate::session::{EntryKind, SessionState, TurnState};

pub(super) fn judge(state: &SessionState) -> Verdict {
    let sdk = &state.sdk;
    let mut v = match sdk.completed_at() {
        Some(end) => {
            let mut v = Verdict::new(TurnState::Ended, Some(end), "otlp");
            v.end_told(end);
            v.note("otlp", end, "The span around the session ended".to_owned());
            v
        }
        None => Verdict::new(TurnState::Unknown, sdk.last_at, "otlp"),
    };
    if let (None, Some(last)) = (sdk.completed_at(), sdk.last_at) {
        v.note("otlp", last, "The latest record of its service".to_owned());
    }
    v.entry = Some(EntryKind::Sdk);
    v
}
