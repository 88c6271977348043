//! Forgetting sessions while the engine runs: the three steps of [`crate::forget`], on the thread of whoever asks.

use std::sync::PoisonError;

use lamplight_model::view::Forgotten;

use super::command::Command;
use super::{Engine, EngineError};
use crate::clock;
use crate::forget::{self, Chosen, Forget, Group};
use crate::sources::hooks::{self, Spooled};
use crate::store::forgotten;

/// Sessions named in the answer.
const MOST_NAMED: usize = 100;

impl Engine {
    /// Forgets sessions: takes everything of them out of the database, the spool and the bytes of their files, and passes
    /// over whatever tells of them again. The agents' own files are not touched. A session that a process runs is left
    /// alone. With `is_dry_run` only says which sessions that would be.
    ///
    /// Blocks until it is done; what is on the screen changes long before.
    ///
    /// # Errors
    /// [`EngineError::BadRequest`] when nothing says which ones, [`EngineError::NotWiped`] when they are forgotten and only
    /// their bytes are left in unused parts of the database, else when the store fails.
    pub fn forget(&self, what: &Forget, is_dry_run: bool) -> Result<Forgotten, EngineError> {
        if *what == Forget::default() {
            return Err(EngineError::BadRequest(
                "Say what to forget: a session, a project, or everything before a date.".to_owned(),
            ));
        }
        let _one_at_a_time = self.inner.forgetting.lock().unwrap_or_else(PoisonError::into_inner);
        let config = self.inner.config();
        let Chosen { groups, running } =
            self.inner.read(|db| forget::choose(db, &config, &self.inner.board, what, clock::now()))?;
        if is_dry_run || groups.is_empty() {
            let sessions = groups.iter().map(|group| group.key.to_string());
            return Ok(Forgotten {
                total: groups.len() as u64,
                sessions: sessions.take(MOST_NAMED).collect(),
                running,
                is_dry_run,
            });
        }
        let gone = self.inner.ask(|answer| Command::Forget { groups: groups.clone(), answer })?;
        self.unspool(&groups);
        if let Some(left) = self.inner.read(|db| Ok(forgotten::unfinished(db)?))? {
            for input in self.inner.read(|db| Ok(forget::reread(db, &left)?))? {
                self.inner.commands.send(Command::Facts(input)).map_err(|_| EngineError::Stopped)?;
            }
            self.inner.ask(Command::Wipe)?;
        }
        Ok(Forgotten {
            total: gone.sessions.len() as u64,
            sessions: gone.sessions.iter().take(MOST_NAMED).map(ToString::to_string).collect(),
            running: running + gone.running,
            is_dry_run,
        })
    }

    /// Removes what waits in the spool of sessions that were forgotten.
    fn unspool(&self, groups: &[Group]) {
        let spool = hooks::folder(&self.inner.config().data_dir);
        // Without a spool there are no hooks.
        let Ok(waiting) = hooks::list(&spool) else { return };
        for name in waiting.names {
            let path = spool.join(name);
            let Spooled::Fact(fact, _) = hooks::read(&path, clock::now()) else { continue };
            let is_theirs = groups.iter().any(|group| {
                std::iter::once(&group.key)
                    .chain(&group.with)
                    .any(|key| key.agent == fact.agent && key.id == fact.session)
            });
            if is_theirs {
                hooks::remove(&path);
            }
        }
    }
}
