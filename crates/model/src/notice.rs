//! What became of telling a person about a cause.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::session::words;

words! {
    /// What became of it.
    NoticeOutcome {
        /// A notification of its own was sent.
        Told = "told",
        /// One notification told of several causes.
        Grouped = "grouped",
        /// Nothing was sent; `why` says why.
        HeldBack = "held_back",
        /// It was seen to before its time of grace was over; nothing was sent.
        Resolved = "resolved",
        /// It was seen to after it was told; the notification was taken back.
        Withdrawn = "withdrawn",
    }
}

words! {
    /// Why nothing was sent.
    HeldBack {
        /// Notifications were paused.
        Paused = "paused",
        /// Notifications are switched off.
        Off = "off",
        /// Quiet hours.
        QuietHours = "quiet_hours",
        /// Its page was on screen and focused.
        Attended = "attended",
        /// Its kind is switched off.
        Kind = "kind",
        /// Its project is switched off.
        Project = "project",
        /// Its person silenced the session.
        Muted = "muted",
        /// It stood for more than 12 hours.
        Old = "old",
        /// It stood before anybody looked.
        Before = "before",
        /// Its person opened it when it was so already.
        Opened = "opened",
        /// The person did it themselves, at that terminal.
        OwnDoing = "own_doing",
    }
}

impl HeldBack {
    /// Whether it is told when the reason is over, and not only shown.
    #[must_use]
    pub fn is_put_off(self) -> bool {
        matches!(self, Self::Paused | Self::QuietHours)
    }
}
