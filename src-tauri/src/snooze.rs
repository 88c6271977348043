//! For how long a cause can be put off, from the tray and from a notification.

use lamplight_engine::CauseAction;

use crate::notices::pause::tomorrow_morning;

/// A choice of the menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snooze {
    /// A quarter of an hour.
    Quarter,
    /// An hour.
    Hour,
    /// Until half past seven the next morning, local time.
    Tomorrow,
    /// Until something happens in the session.
    Change,
}

impl Snooze {
    /// All of them, in the order of the menu.
    pub const ALL: [Self; 4] = [Self::Quarter, Self::Hour, Self::Tomorrow, Self::Change];

    /// Returns the words of the menu.
    pub fn label(self) -> &'static str {
        match self {
            Self::Quarter => "Snooze 15 min",
            Self::Hour => "Snooze 1 h",
            Self::Tomorrow => "Snooze until tomorrow",
            Self::Change => "Snooze until it changes",
        }
    }

    /// Returns what the engine is asked to do. `now_ms` is when it was chosen.
    pub fn action(self, now_ms: i64) -> CauseAction {
        let until_ms = match self {
            Self::Quarter => now_ms + 15 * 60_000,
            Self::Hour => now_ms + 60 * 60_000,
            Self::Tomorrow => tomorrow_morning(now_ms).unwrap_or(now_ms + 12 * 3_600_000),
            Self::Change => return CauseAction::SnoozeUntilChange,
        };
        CauseAction::Snooze { until_ms }
    }
}
