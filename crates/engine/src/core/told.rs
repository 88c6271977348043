//! What became of causes, read back for whoever replays a recording.

use lamplight_model::attention::CauseKind;
use lamplight_model::ids::{FactId, SessionKey, Timestamp};
use lamplight_model::notice::{HeldBack, NoticeOutcome};

use super::{Core, Notice};
use crate::store::{StoreError, notices};

/// Entries read back at once; far more than one commit makes.
const MOST: u32 = 500;

/// An entry of the log of notifications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its number; later entries have higher ones.
    pub number: i64,
    /// When.
    pub at: Timestamp,
    /// Whose cause.
    pub session: SessionKey,
    /// Which cause.
    pub cause: FactId,
    /// Of what kind.
    pub kind: CauseKind,
    /// What became of it.
    pub outcome: NoticeOutcome,
    /// Why nothing was sent.
    pub why: Option<HeldBack>,
}

impl Core {
    /// What was told since the last call; for replay and tests.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        self.notifier.take_notices()
    }

    /// Entries of the log of notifications after the given number, the oldest first; for replay and tests.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn told_since(&self, number: i64) -> Result<Vec<Told>, StoreError> {
        let newest_first = notices::page(&self.store.db, i64::MAX, MOST)?;
        let fresh = newest_first.into_iter().take_while(|(n, ..)| *n > number);
        let mut told: Vec<Told> = fresh
            .filter_map(|(number, session, entry)| {
                Some(Told {
                    number,
                    at: entry.at,
                    session: self.key_of(session)?.clone(),
                    cause: entry.cause,
                    kind: entry.kind,
                    outcome: entry.outcome,
                    why: entry.why,
                })
            })
            .collect();
        told.reverse();
        Ok(told)
    }
}
