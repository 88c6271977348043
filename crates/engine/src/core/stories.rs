//! Keeps what was said and done before the agent deletes its transcript.

use std::path::PathBuf;

use lamplight_model::ids::{SessionKey, Timestamp};

use super::Core;
use crate::detail::Story;
use crate::store::{StoreError, files, rows, stories};

/// Quiet after which a session's story is kept without an end of it.
const QUIET_MS: i64 = 7 * 86_400_000;

/// Time between two stories of old sessions, so that a first start does not read the whole store again at once.
const PACE_MS: i64 = 20_000;

/// A story to be read, apart from the writer: a transcript may have hundreds of megabytes.
#[derive(Debug)]
pub(crate) struct StoryOrder {
    /// Row of the session.
    pub session: i64,
    /// Which session that is: rows of forgotten ones are used again.
    pub key: SessionKey,
    /// The transcript.
    pub path: PathBuf,
}

impl Core {
    /// The next story to keep, if one is due: of a session that ended or was closed, else of the one that has been quiet
    /// longest.
    pub(crate) fn story_due(&mut self, now: Timestamp) -> Result<Option<StoryOrder>, StoreError> {
        let ended =
            self.sessions.iter().find(|(_, s)| s.story_due.is_some_and(|at| at <= now)).map(|(id, _)| *id);
        let session = match ended {
            Some(id) => id,
            None => {
                if self.next_story.is_some_and(|at| at > now) {
                    return Ok(None);
                }
                self.next_story = Some(now.plus_ms(PACE_MS));
                match stories::quiet_without(&self.store.db, now.plus_ms(-QUIET_MS))? {
                    Some(id) => id,
                    None => {
                        self.next_story = Some(now.plus_ms(3_600_000));
                        return Ok(None);
                    }
                }
            }
        };
        if let Some(loaded) = self.sessions.get_mut(&session) {
            loaded.story_due = None;
        }
        let Some(key) = self.load(session)?.map(|loaded| loaded.key.clone()) else { return Ok(None) };
        let Some(path) = files::main_path(&self.store.db, session)? else {
            self.keep_story(session, &key, None, now)?;
            return Ok(None);
        };
        Ok(Some(StoryOrder { session, key, path }))
    }

    /// Keeps a story that was read. Without one, what was kept before stays, and it is not asked for again until the
    /// session goes on.
    pub(crate) fn keep_story(
        &mut self,
        session: i64,
        key: &SessionKey,
        story: Option<Story>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // It may have been forgotten meanwhile.
        if rows::find(&self.store.db, key)? != Some(session) {
            return Ok(());
        }
        match story {
            Some(story) => stories::put(&self.store.db, session, now, &story),
            None => match stories::get(&self.store.db, session)? {
                Some((_, kept)) => stories::put(&self.store.db, session, now, &kept),
                None => stories::put(&self.store.db, session, now, &Story::default()),
            },
        }
    }
}
