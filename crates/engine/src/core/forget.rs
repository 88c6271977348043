//! Taking sessions out of everything, and keeping them out.

use std::collections::BTreeSet;

use lamplight_model::assess::assess;
use lamplight_model::event::Event;
use lamplight_model::ids::{SessionKey, Timestamp};
use lamplight_model::session::LivenessState;

use super::Core;
use super::telemetry::Sum as _;
use crate::errors::EngineError;
use crate::forget::{Group, Unfinished};
use crate::store::{StoreError, forgotten, rows};

/// What was forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Gone {
    /// Sessions, without what went along with them.
    pub sessions: Vec<SessionKey>,
    /// Sessions left alone because a process runs them.
    pub running: u64,
}

impl Core {
    /// Takes everything of these sessions out, in one transaction with the note of what is left to do.
    ///
    /// # Errors
    /// When the store refuses; nothing is forgotten then, and the caller must stop, as with [`Core::apply_all`].
    pub(crate) fn forget(&mut self, groups: &[Group], now: Timestamp) -> Result<Gone, StoreError> {
        let mut gone = Gone::default();
        let mut going: Vec<(i64, SessionKey)> = Vec::new();
        let mut taken = BTreeSet::new();
        for group in groups {
            let Some(id) = rows::find(&self.store.db, &group.key)? else { continue };
            if self.is_running(id, now)? {
                gone.running += 1;
                continue;
            }
            if !taken.insert(id) {
                continue;
            }
            gone.sessions.push(group.key.clone());
            going.push((id, group.key.clone()));
            for key in &group.with {
                if let Some(id) = rows::find(&self.store.db, key)?
                    && taken.insert(id)
                {
                    going.push((id, key.clone()));
                }
            }
        }
        if going.is_empty() {
            return Ok(gone);
        }
        // What is deleted is overwritten at once; the rest of the file is seen to afterwards.
        self.store.db.pragma_update(None, "secure_delete", "ON")?;
        let done = self.in_transaction(|core| {
            core.erase(&going, now)?;
            core.apply_and_judge(Vec::new(), now)
        });
        self.store.db.pragma_update(None, "secure_delete", "OFF")?;
        done?;
        Ok(gone)
    }

    /// What is left to do after sessions were forgotten.
    pub(crate) fn unfinished(&self) -> Result<Option<Unfinished>, StoreError> {
        forgotten::unfinished(&self.store.db)
    }

    /// Has the bytes of what was deleted go from the files, and notes that nothing is left to do.
    ///
    /// # Errors
    /// [`EngineError::NotWiped`] when that cannot be done now; the store is as before then.
    pub(crate) fn wipe(&mut self) -> Result<(), EngineError> {
        match forgotten::wipe(&self.store.db) {
            Ok(true) => Ok(forgotten::set_unfinished(&self.store.db, None)?),
            Ok(false) => Err(EngineError::NotWiped("another program reads the database".to_owned())),
            Err(error) => Err(EngineError::NotWiped(crate::errors::sentence(&error))),
        }
    }

    /// Counts what a forgotten session owned for a session that shows it too.
    pub(super) fn apply_reclaimed(
        &mut self,
        session: &SessionKey,
        events: &[Event],
    ) -> Result<(), StoreError> {
        let Some(id) = self.row_of(session)? else { return Ok(()) };
        for event in events {
            self.count(id, event)?;
        }
        self.touched.insert(id);
        Ok(())
    }

    /// Takes out a session that turned out to belong to a forgotten one. Part of a transaction.
    pub(super) fn forget_along(
        &mut self,
        id: i64,
        key: &SessionKey,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.erase(&[(id, key.clone())], now)
    }

    /// Whether a process runs a session. One that is not in memory had none when it was judged last.
    fn is_running(&mut self, id: i64, now: Timestamp) -> Result<bool, StoreError> {
        if !self.sessions.contains_key(&id) && !rows::is_live(&self.store.db, id)? {
            return Ok(false);
        }
        let around = self.circumstances_of(id)?;
        Ok(around.zip(self.sessions.get(&id)).is_some_and(|(around, loaded)| {
            assess(&loaded.state, &around, now).liveness.state == LivenessState::Alive
        }))
    }

    /// Takes the rows out, and everything in memory. Part of a transaction; when it fails the writer stops.
    fn erase(&mut self, going: &[(i64, SessionKey)], now: Timestamp) -> Result<(), StoreError> {
        let ids: Vec<i64> = going.iter().map(|(id, _)| *id).collect();
        let paths = forgotten::paths(&self.store.db, &ids)?;
        let directories = forgotten::directories(&self.store.db, &ids)?;
        let left = Unfinished {
            agents: going.iter().map(|(_, key)| key.agent).collect(),
            window: forgotten::window(&self.store.db, &ids)?,
        };
        let left = self.unfinished()?.unwrap_or_default().join(left);
        // Another session's request was joined to a response that goes: it stands for itself again.
        for request in forgotten::part_requests(&self.store.db, &ids)? {
            self.change_unwritten(request.session, &request.model, |sum| {
                sum.add(request.usage, request.cost_nano);
            })?;
        }
        for (id, key) in going {
            self.drop_loaded(*id, key, now);
            forgotten::remember(&self.store.db, key, now)?;
        }
        forgotten::erase(&self.store.db, &ids)?;
        forgotten::erase_worktrees(&self.store.db, &directories, |root| self.worktrees.has(root))?;
        forgotten::set_unfinished(&self.store.db, Some(&left))?;
        self.reports.forget_paths(&paths);
        self.classes = rows::classes(&self.store.db)?.into_iter().collect();
        self.forgotten.add(going.iter().map(|(_, key)| key.clone()));
        Ok(())
    }

    /// Takes a session out of memory and off the screen.
    fn drop_loaded(&mut self, id: i64, key: &SessionKey, now: Timestamp) {
        self.by_key.remove(key);
        self.by_pid.retain(|_, session| *session != id);
        self.touched.remove(&id);
        let others = self.worktrees.forget(id, now);
        self.touched.extend(others.into_iter().filter(|other| *other != id));
        let name = key.to_string();
        self.notifier.forget_card(&name);
        self.notifier.pending.upserted.remove(&name);
        let Some(loaded) = self.sessions.remove(&id) else { return };
        if let Some(at) = loaded.recheck_at {
            self.rechecks.remove(&(at, id));
        }
        for stored in &loaded.causes {
            self.notifier.withdraw(stored.cause.id, now);
        }
        if loaded.on_screen {
            self.notifier.pending.removed.push(name);
        }
    }
}
