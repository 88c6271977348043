//! Keeps what was said and done before the agent deletes its transcript.

use lamplight_model::ids::Timestamp;

use super::Core;
use crate::detail;
use crate::store::{StoreError, files, stories};

/// Quiet after which a session's story is kept without an end of it.
const QUIET_MS: i64 = 7 * 86_400_000;

/// Time between two stories of old sessions, so that a first start does not read the whole store again at once.
const PACE_MS: i64 = 20_000;

impl Core {
    /// Keeps at most one story that is due: of a session that ended or was closed, else the oldest quiet one without.
    pub(crate) fn keep_stories(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let ended =
            self.sessions.iter().find(|(_, s)| s.story_due.is_some_and(|at| at <= now)).map(|(id, _)| *id);
        let id = match ended {
            Some(id) => id,
            None => {
                if self.next_story.is_some_and(|at| at > now) {
                    return Ok(());
                }
                self.next_story = Some(now.plus_ms(PACE_MS));
                match stories::quiet_without(&self.store.db, now.plus_ms(-QUIET_MS))? {
                    Some(id) => id,
                    None => {
                        self.next_story = Some(now.plus_ms(3_600_000));
                        return Ok(());
                    }
                }
            }
        };
        if let Some(loaded) = self.sessions.get_mut(&id) {
            loaded.story_due = None;
        }
        let Some(agent) = self.load(id)?.map(|loaded| loaded.key.agent) else { return Ok(()) };
        // A session without a transcript, or with one that cannot be read, gets an empty story: tried once.
        let told = files::main_path(&self.store.db, id)?
            .and_then(|path| detail::read_story(agent, &path).ok())
            .unwrap_or_default();
        stories::put(&self.store.db, id, now, &told)
    }
}
