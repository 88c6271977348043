//! What a person does: names, closes, waves away; and what an import leaves to the pipeline.

use lamplight_model::assess::{Circumstances, assess, heard_last, is_close_pending, is_put_away};
use lamplight_model::attention::CauseKind;
use lamplight_model::ids::{FactId, SessionKey, Timestamp};
use lamplight_model::notice::{HeldBack, NoticeOutcome};
use lamplight_model::pricing::PriceTable;
use lamplight_model::session::{Dated, Lifecycle, LivenessState, ResumeFailure, SessionState};
use lamplight_model::view::SessionCard;

use super::judge::classify;
use super::{Core, card};
use crate::config::Config;
use crate::engine::{CauseAction, snooze_until};
use crate::errors::EngineError;
use crate::facts::Issue;
use crate::places::Place;
use crate::store::rows::Class;
use crate::store::{StoreError, causes, muted, notices, resumes, rows, runs};

/// Until when something is put off that waits for a change: 31 December 9999, the last day the screen can write.
const FAR_DAY: Timestamp = Timestamp(253_402_214_400_000);

impl Core {
    pub(crate) fn set_label(
        &mut self,
        key: &SessionKey,
        label: Option<&str>,
        now: Timestamp,
    ) -> Result<SessionCard, EngineError> {
        let id = rows::find(&self.store.db, key)?
            .ok_or_else(|| EngineError::NotFound(format!("session {key}")))?;
        rows::set_label(&self.store.db, key, label, now)?;
        if let Some(loaded) = self.load(id)? {
            loaded.renamed = label.map(str::to_owned);
        }
        self.card_of(id, now)?.ok_or_else(|| EngineError::NotFound(format!("session {key}")))
    }

    pub(crate) fn set_muted(
        &mut self,
        key: &SessionKey,
        muted: bool,
        now: Timestamp,
    ) -> Result<SessionCard, EngineError> {
        let missing = || EngineError::NotFound(format!("session {key}"));
        let id = rows::find(&self.store.db, key)?.ok_or_else(missing)?;
        muted::set(&self.store.db, key, muted, now)?;
        if let Some(loaded) = self.load(id)? {
            loaded.muted = muted;
            if muted {
                // What hangs on the screen of it is taken back; what is told later is held back by itself.
                for stored in loaded.causes.iter().filter(|s| s.cause.is_open()).cloned().collect::<Vec<_>>()
                {
                    self.notifier.take_back(stored.cause.id, now);
                }
            }
        }
        self.card_of(id, now)?.ok_or_else(missing)
    }

    /// Closes the open sessions that both ids name, as far as they are given. Returns how many: idempotent, and last-seen
    /// stays what it was.
    ///
    /// What a process demonstrably runs is not shown as closed before that process is gone. Until then a close by the
    /// person waves away what the session asks for; one by a terminal alone does not: two terminals may share a name.
    pub(crate) fn close(
        &mut self,
        session: Option<&str>,
        instance: Option<&str>,
        now: Timestamp,
    ) -> Result<u64, EngineError> {
        let named = match (session, instance) {
            (Some(session), _) => self.rows_named(session)?,
            (None, Some(instance)) => runs::of_instance(&self.store.db, instance)?,
            (None, None) => Vec::new(),
        };
        let mut closed = 0;
        for id in named {
            let around = self.circumstances_of(id)?;
            let (Some(around), Some(loaded)) = (around, self.sessions.get_mut(&id)) else { continue };
            let declared = loaded.state.telemetry.instance.as_ref().map(|d| d.value.as_str());
            if instance.is_some() && declared != instance {
                continue;
            }
            let verdict = assess(&loaded.state, &around, now);
            let is_over = matches!(verdict.lifecycle, Lifecycle::Closed | Lifecycle::Completed);
            if is_over || verdict.hidden.is_some() || is_close_pending(&loaded.state) {
                continue;
            }
            loaded.state.closed_at = Some(now);
            loaded.state.closed_over = heard_last(&loaded.state).filter(|heard| *heard > now);
            self.touched.insert(id);
            closed += 1;
            if verdict.liveness.state != LivenessState::Alive {
                loaded.story_due = Some(now);
            } else if instance.is_none() {
                for stored in loaded.causes.iter_mut().filter(|s| s.cause.is_open()) {
                    stored.cause.dismissed_at = Some(now);
                    self.notifier.withdraw(stored.cause.id, now);
                    causes::put(&self.store.db, id, stored)?;
                }
            }
        }
        self.apply_all(Vec::new(), now)?;
        Ok(closed)
    }

    /// Puts a session away until something happens in it, or takes it out again. Last-seen stays what it was, as with a
    /// close; what it asks for is cleared, and stands again when it is taken out.
    pub(crate) fn set_archived(
        &mut self,
        key: &SessionKey,
        archived: bool,
        now: Timestamp,
    ) -> Result<SessionCard, EngineError> {
        let missing = || EngineError::NotFound(format!("session {key}"));
        let id = rows::find(&self.store.db, key)?.ok_or_else(missing)?;
        let around = self.circumstances_of(id)?.ok_or_else(missing)?;
        let loaded = self.sessions.get_mut(&id).ok_or_else(missing)?;
        if !archived {
            loaded.state.archived_at = None;
            loaded.state.archived_over = None;
        } else if assess(&loaded.state, &around, now).liveness.state == LivenessState::Alive {
            return Err(EngineError::Conflict(
                "A process runs this session: end it there first, or mute it to have it out of the way."
                    .to_owned(),
            ));
        } else if !is_put_away(&loaded.state) {
            loaded.state.archived_at = Some(now);
            loaded.state.archived_over = heard_last(&loaded.state).filter(|heard| *heard > now);
        }
        self.card_of(id, now)?.ok_or_else(missing)
    }

    /// Rows of a session by `agent:session_id`, or of every agent that uses the bare id.
    fn rows_named(&self, session: &str) -> Result<Vec<i64>, StoreError> {
        let keys = match SessionKey::from_text(session) {
            Some(key) => vec![key],
            None => rows::find_bare(&self.store.db, session)?,
        };
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            found.extend(rows::find(&self.store.db, &key)?);
        }
        Ok(found)
    }

    /// Takes other settings over: names, projects, prices, windows of time, notices, room. Everything in memory is judged anew.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn reconfigure(&mut self, config: &Config, now: Timestamp) -> Result<(), StoreError> {
        self.prices = PriceTable::builtin().with_overrides(&config.prices);
        self.notifier.reconfigure(config.notify.clone());
        self.reports.settings(config.warnings.clone(), now);
        self.space.reconfigure(config.limits);
        self.config = config.clone();
        self.touched.extend(self.sessions.keys());
        self.apply_all(Vec::new(), now)
    }

    /// Notes and counts a resume that failed.
    pub(crate) fn resume_failed(
        &mut self,
        key: &SessionKey,
        class: ResumeFailure,
        now: Timestamp,
    ) -> Result<SessionCard, EngineError> {
        let missing = || EngineError::NotFound(format!("session {key}"));
        let id = rows::find(&self.store.db, key)?.ok_or_else(missing)?;
        resumes::count(&self.store.db, key.agent, class)?;
        let fact = format!("resume failed: {}", class.as_str());
        rows::keep_live_fact(&self.store.db, id, now, "user", None, &fact)?;
        if let Some(loaded) = self.load(id)? {
            loaded.state.resume_failed = Some(Dated { at: now, value: class });
        }
        self.card_of(id, now)?.ok_or_else(missing)
    }

    /// Does to a cause what its person wants.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] when there is no such cause; else when the store fails.
    pub fn set_cause(&mut self, id: FactId, action: CauseAction, now: Timestamp) -> Result<(), EngineError> {
        let session = causes::session_of(&self.store.db, id)?
            .ok_or_else(|| EngineError::NotFound(format!("cause {id}")))?;
        self.load(session)?;
        let Some(loaded) = self.sessions.get_mut(&session) else {
            return Err(EngineError::NotFound(format!("cause {id}")));
        };
        let Some(stored) = loaded.causes.iter_mut().find(|s| s.cause.id == id) else {
            return Err(EngineError::NotFound(format!("cause {id}")));
        };
        match action {
            CauseAction::Dismiss => {
                stored.cause.dismissed_at = Some(now);
                if stored.cause.kind == CauseKind::Uncommitted {
                    // Whichever of its sessions would be told next.
                    let mark = self.worktrees.mark_of(session);
                    stored.cause.snoozed_over = mark;
                    mark.into_iter().for_each(|mark| self.worktrees.wave(mark));
                }
                self.notifier.withdraw(id, now);
            }
            CauseAction::Restore => {
                if stored.cause.snoozed_until.is_some() {
                    // As if it had not been put off: what was told, or held back for good, is not told now.
                    stored.cause.notified_at = notices::told_at(&self.store.db, id)?;
                    stored.baseline = matches!(
                        notices::last_of(&self.store.db, id)?,
                        Some((NoticeOutcome::HeldBack, Some(why))) if !why.is_put_off()
                    );
                    self.notifier.unschedule(id);
                }
                if stored.cause.kind == CauseKind::Uncommitted
                    && let Some(mark) = stored.cause.snoozed_over
                {
                    self.worktrees.call_back(mark);
                }
                stored.cause.dismissed_at = None;
                stored.cause.snoozed_until = None;
                stored.cause.snoozed_over = None;
            }
            CauseAction::SnoozeUntilChange => {
                let stands = match stored.cause.kind {
                    CauseKind::Uncommitted => self.worktrees.mark_of(session),
                    _ => heard_last(&loaded.state).map(|at| at.0),
                };
                // Of what nobody knows how it stands, nobody could tell that it changed.
                stored.cause.snoozed_over = Some(stands.unwrap_or_default());
                stored.cause.snoozed_until = Some(FAR_DAY);
                stored.cause.notified_at = None;
                stored.baseline = false;
                self.notifier.withdraw(id, now);
            }
            CauseAction::Snooze { until_ms } => {
                stored.cause.snoozed_until = Some(snooze_until(until_ms, now));
                stored.cause.snoozed_over = None;
                stored.cause.notified_at = None;
                stored.baseline = false;
                self.notifier.snoozed(&stored.cause, &loaded.key, now);
            }
        }
        causes::put(&self.store.db, session, stored)?;
        self.touched.insert(session);
        self.apply_all(Vec::new(), now)?;
        Ok(())
    }

    /// Tells what is due, and writes down what became of each cause. Part of every transaction, after everything was
    /// judged.
    pub(super) fn tell(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.notifier.tell(now);
        for entry in self.notifier.take_log() {
            let Some(session) = causes::session_of(&self.store.db, entry.cause)? else { continue };
            let is_put_off = entry.why.is_some_and(HeldBack::is_put_off);
            // Held back again after a restart, for the same reason, is no news.
            if !is_put_off
                || notices::last_of(&self.store.db, entry.cause)? != Some((entry.outcome, entry.why))
            {
                notices::put(&self.store.db, session, &entry)?;
            }
            self.load(session)?;
            let Some(loaded) = self.sessions.get_mut(&session) else { continue };
            let Some(stored) = loaded.causes.iter_mut().find(|s| s.cause.id == entry.cause) else { continue };
            match entry.outcome {
                NoticeOutcome::Told | NoticeOutcome::Grouped => stored.cause.notified_at = Some(entry.at),
                // Told when they are over.
                NoticeOutcome::HeldBack if is_put_off => continue,
                // Shown on the screen, and not told later either.
                NoticeOutcome::HeldBack => stored.baseline = true,
                NoticeOutcome::Resolved | NoticeOutcome::Withdrawn => continue,
            }
            causes::put(&self.store.db, session, stored)?;
            self.touched.insert(session);
        }
        Ok(())
    }

    /// The store refused a write: what is shown may be old from here on, and says so.
    pub(crate) fn store_failed(&mut self) {
        self.reports.store_failed(crate::clock::now());
    }

    /// Nothing is read any more: what is shown is old from here on, and says so.
    pub(crate) fn sources_failed(&mut self) {
        self.reports.sources_failed(crate::clock::now());
    }

    pub(crate) fn note_import_issues(&mut self, issues: &[Issue]) {
        for issue in issues {
            let inside = self.config.roots.iter().filter(|r| r.agent.has_transcripts());
            let agent = inside
                .filter(|r| issue.path.as_ref().is_some_and(|path| path.starts_with(&r.path)))
                .max_by_key(|r| r.path.as_os_str().len())
                .map_or(lamplight_model::ids::Agent::ClaudeCode, |r| r.agent);
            self.reports.read(agent, std::slice::from_ref(issue), 0, None, crate::clock::now());
        }
    }

    /// Class, last activity and search text of a session that is not in memory; for the import.
    pub(crate) fn judge_once(
        &mut self,
        key: &SessionKey,
        state: &SessionState,
        has_main: bool,
        now: Timestamp,
    ) -> Result<(Class, Option<Timestamp>, String), StoreError> {
        let around = Circumstances {
            agent: key.agent,
            registry_listed: self.reports.has_registry(key.agent),
            idle_window_ms: self.idle_window_ms(),
        };
        let verdict = assess(state, &around, now);
        let class = classify(state, &verdict);
        let renamed = rows::label(&self.store.db, key)?;
        let directory = card::home_directory(state, None);
        let place = match directory {
            Some(directory) => self.places.look(directory, now),
            None => Place::default(),
        };
        let made = card::card(
            &card::Known {
                key,
                state,
                verdict: &verdict,
                causes: &[],
                renamed: renamed.as_deref(),
                muted: false,
                muted_projects: &[],
                session_labels: &self.config.session_labels,
                projects: &self.config.projects,
                directory,
                place: &place,
                transcript_exists: has_main,
                config_dir: None,
                resume_max_ms: i64::from(self.config.resume_max_hours) * 3_600_000,
                prices: &self.prices,
                git: None,
            },
            now,
        );
        Ok((class, verdict.last_activity, card::search_text(&made, state)))
    }

    /// Takes over what was written behind the pipeline's back: everything in memory is read anew.
    pub(crate) fn reload(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let shown: Vec<i64> = self.sessions.keys().copied().collect();
        self.sessions.clear();
        self.by_key.clear();
        self.terminals = super::terminals::Terminals::default();
        self.rechecks.clear();
        self.classes = rows::classes(&self.store.db)?.into_iter().collect();
        let idle_ms = self.idle_window_ms();
        let mut ids = rows::present(&self.store.db, now.plus_ms(-idle_ms))?;
        ids.extend(causes::open_sessions(&self.store.db)?);
        ids.extend(shown);
        for id in ids {
            self.load(id)?;
            if let Some(loaded) = self.sessions.get_mut(&id) {
                // Whatever was shown of it before: if it does not belong on the screen any more it must leave it.
                loaded.on_screen = true;
            }
            self.touched.insert(id);
        }
        self.apply_all(Vec::new(), now)
    }
}
