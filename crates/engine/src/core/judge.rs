//! Judging a session: from what is known of it to its state, its causes, its place among worktrees, its row and its card.

use lamplight_model::assess::{Assessment, Circumstances, assess, heard_last};
use lamplight_model::attention::{Cause, CauseKind};
use lamplight_model::event::HiddenKind;
use lamplight_model::ids::{Agent, SessionKey, Timestamp};
use lamplight_model::session::{LivenessState, SeenWorktree, SessionState, TurnState};
use lamplight_model::view::SessionCard;

use super::notify::Sight;
use super::worktrees::{Presence, Risk};
use super::{Core, Loaded, is_open};
use crate::card;
use crate::sources::gemini;
use crate::store::rows::{Class, SessionWrite};
use crate::store::{StoreError, causes, files, rows, worktrees as stored_worktrees};

/// How often the chat of a session is looked for while it is not found, in milliseconds.
const CHAT_LOOK_MS: i64 = 10_000;

/// What one judgement comes to, before anything of it is stored or shown.
struct Judged {
    verdict: Assessment,
    class: Class,
    is_alive: bool,
    was_alive: bool,
    /// The directory it works in; empty when none is known.
    work: String,
    /// Whether that directory is there, as far as somebody could look.
    exists: Option<bool>,
    /// Root of the worktree it lies in.
    worktree: Option<String>,
}

impl Core {
    /// Judges every session that was touched and writes what came of it.
    pub(super) fn judge_touched(&mut self, now: Timestamp) -> Result<(), StoreError> {
        // A verdict may change what another session of the same worktree is told; that settles in one more round.
        for _ in 0..3 {
            for id in std::mem::take(&mut self.touched) {
                self.judge(id, now)?;
            }
        }
        Ok(())
    }

    /// What is known around a session, which is loaded for it; `None` when there is none.
    pub(super) fn circumstances_of(&mut self, id: i64) -> Result<Option<Circumstances>, StoreError> {
        let idle_window_ms = self.idle_window_ms();
        let Some(agent) = self.load(id)?.map(|loaded| loaded.key.agent) else { return Ok(None) };
        let registry_listed = self.listed_at.is_some() && self.reports.has_registry(agent);
        Ok(Some(Circumstances { agent, registry_listed, idle_window_ms }))
    }

    fn judge(&mut self, id: i64, now: Timestamp) -> Result<(), StoreError> {
        let Some(around) = self.circumstances_of(id)? else { return Ok(()) };
        self.note_successor(id);
        let neighbours = self.neighbours(id);
        // Taken out meanwhile: every step changes both it and what it stands among.
        let Some(mut loaded) = self.sessions.remove(&id) else { return Ok(()) };
        let done = self.judge_one(id, &mut loaded, &around, &neighbours, now);
        self.sessions.insert(id, loaded);
        done
    }

    fn judge_one(
        &mut self,
        id: i64,
        loaded: &mut Loaded,
        around: &Circumstances,
        neighbours: &[i64],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let judged = self.verdict_of(loaded, around, now);
        if judged.is_alive {
            self.note_alive(id, loaded, &judged.verdict, now);
        }
        if !loaded.is_reread {
            self.weigh_state(id, loaded, &judged.verdict, now)?;
        }
        let leaves_at = self.place(id, loaded, &judged, now)?;
        self.weigh_worktree(id, loaded, &judged, now)?;
        self.reclass(id, loaded, &judged, neighbours);
        let open: Vec<Cause> = loaded.causes.iter().map(|c| c.cause.clone()).filter(Cause::is_open).collect();
        let is_shown = self.is_shown(loaded, &judged, &open, now);
        let card = self.make_card(id, loaded, &judged, &open, now)?;
        loaded.is_hushed = is_shown && card.muted.is_some() && !card.causes.is_empty();
        self.save(id, loaded, &judged, card::search_text(&card, &loaded.state))?;
        self.plan_next(id, loaded, &judged, is_shown, leaves_at, now);
        self.note_verdict(loaded, judged.verdict, now);
        self.show(loaded, card, is_shown);
        Ok(())
    }

    fn verdict_of(&mut self, loaded: &mut Loaded, around: &Circumstances, now: Timestamp) -> Judged {
        let verdict = assess(&loaded.state, around, now);
        let is_alive = verdict.liveness.state == LivenessState::Alive;
        let before = loaded.verdict.as_ref().map(|before| before.liveness.state);
        let class = classify(&loaded.state, &verdict);
        let started_at = started_at(&loaded.state).filter(|_| is_alive);
        let work = card::work_directory(&loaded.state, started_at).unwrap_or("").to_owned();
        let place = self.places.look(&work, now);
        // Of a directory that is gone only whoever has looked before can say whose worktree it lay in: above it may be
        // another one.
        let worktree = match (&loaded.state.worktree, place.worktree) {
            (Some(seen), _) if place.exists == Some(false) => {
                Some(seen.root.clone()).filter(|_| seen.directory == work)
            }
            (_, worktree) => worktree,
        };
        if let Some(root) = &worktree {
            loaded.state.worktree = Some(SeenWorktree { directory: work.clone(), root: root.clone() });
        }
        let was_alive = before == Some(LivenessState::Alive);
        Judged { verdict, class, is_alive, was_alive, work, exists: place.exists, worktree }
    }

    fn note_alive(&mut self, id: i64, loaded: &mut Loaded, verdict: &Assessment, now: Timestamp) {
        // It runs: whatever took its place has not any more.
        loaded.state.superseded_by = None;
        if let Some(pid) = verdict.pid.filter(|_| self.config.terminals) {
            self.terminals.want(id, &loaded.key, pid, verdict.turn_state, now);
        }
    }

    /// Raises and clears the causes that its state gives.
    fn weigh_state(
        &mut self,
        id: i64,
        loaded: &mut Loaded,
        verdict: &Assessment,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sight = Sight {
            is_first: self.first_look,
            is_listed: self.listed_at.is_some(),
            opened_at: opened_at(&loaded.state, verdict),
        };
        let changed = self.notifier.weigh_causes(&loaded.key, verdict, &mut loaded.causes, sight, now);
        changed.iter().try_for_each(|cause| causes::put(&self.store.db, id, cause))
    }

    /// Puts it among those of its worktree, or takes it out; returns when it leaves by having been quiet for so long.
    fn place(
        &mut self,
        id: i64,
        loaded: &mut Loaded,
        judged: &Judged,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let presence = presence(&loaded.key, &loaded.state, &judged.verdict);
        let is_archived = judged.verdict.archived_at.is_some();
        let asks = loaded.causes.iter().any(|c| c.cause.is_open());
        let until = presence.seen_last().map(|last| last.plus_ms(self.idle_window_ms()));
        let is_present = judged.class == Class::Row
            && !is_archived
            && (judged.is_alive || asks || until.is_some_and(|until| now <= until));
        if is_archived {
            self.put_away(id, loaded);
        }
        if is_present
            && let Some(root) = &judged.worktree
            && !self.worktrees.has(root)
        {
            self.worktrees.open(root, stored_worktrees::memory(&self.store.db, root)?, now);
        }
        let touched = if is_present {
            self.worktrees.note(id, judged.worktree.as_deref(), presence, now)
        } else {
            self.worktrees.forget(id, now)
        };
        self.touched.extend(touched);
        Ok(until)
    }

    /// What is put away with a session is seen to, whoever else was there.
    fn put_away(&mut self, id: i64, loaded: &mut Loaded) {
        let Some(mark) = self.worktrees.mark_of(id) else { return };
        let standing = loaded
            .causes
            .iter_mut()
            .find(|s| s.cause.kind == CauseKind::Uncommitted && s.cause.cleared_at.is_none());
        if let Some(stored) = standing {
            stored.cause.snoozed_over = Some(mark);
            self.worktrees.wave(mark);
        }
    }

    /// Raises and clears the cause that its worktree gives, and wakes what was put off until something changes.
    fn weigh_worktree(
        &mut self,
        id: i64,
        loaded: &mut Loaded,
        judged: &Judged,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let risk = match (&judged.worktree, judged.exists) {
            _ if judged.verdict.archived_at.is_some() => Risk::PutAway,
            // Nobody could look where it worked.
            (None, None) if !judged.work.is_empty() => Risk::NotKnown,
            _ => self.worktrees.risk_of(id),
        };
        let stands = (heard_last(&loaded.state).map(|at| at.0), self.worktrees.mark_of(id));
        for stored in &mut loaded.causes {
            if self.notifier.wake(&loaded.key, stored, stands, now) {
                causes::put(&self.store.db, id, stored)?;
            }
        }
        let changed = self.notifier.weigh_worktree(
            &loaded.key,
            risk,
            |since| self.worktrees.left_since(id, since),
            &mut loaded.causes,
            self.first_look,
            now,
        );
        changed.iter().try_for_each(|cause| causes::put(&self.store.db, id, cause))
    }

    /// Counts it where it belongs now, and has those judged again for whom that changes something.
    fn reclass(&mut self, id: i64, loaded: &mut Loaded, judged: &Judged, neighbours: &[i64]) {
        if judged.class != loaded.class {
            if let Some(n) = self.classes.get_mut(&loaded.class) {
                *n = n.saturating_sub(1);
            }
            *self.classes.entry(judged.class).or_default() += 1;
            loaded.class = judged.class;
            self.touched.extend(neighbours);
        }
        if judged.was_alive != judged.is_alive && loaded.state.seat.is_some() {
            // In their pane it, or they, may have another place now.
            self.touched.insert(id);
            self.touched.extend(neighbours);
        }
    }

    fn is_shown(&self, loaded: &Loaded, judged: &Judged, open: &[Cause], now: Timestamp) -> bool {
        let Assessment { last_activity, archived_at, is_superseded, .. } = judged.verdict;
        let is_recent = last_activity.is_some_and(|last| now.since(last) <= self.idle_window_ms());
        // Sessions of services are told on their pages, in runs and in the archive, never among those of coding agents.
        let has_card = judged.class == Class::Row && loaded.key.agent != Agent::Otel;
        let is_current = judged.is_alive || !open.is_empty() || (is_recent && archived_at.is_none());
        // One that went on as another is one card, unless it left something that is not seen to.
        has_card && is_current && (!is_superseded || !open.is_empty())
    }

    fn make_card(
        &mut self,
        id: i64,
        loaded: &mut Loaded,
        judged: &Judged,
        open: &[Cause],
        now: Timestamp,
    ) -> Result<SessionCard, StoreError> {
        if loaded.transcript.is_none() && loaded.has_main {
            loaded.transcript = files::main_path(&self.store.db, id)?;
        }
        if loaded.key.agent == Agent::Gemini && judged.class == Class::Row {
            loaded.look_for_chat(&self.config.roots, now);
        }
        let transcript = loaded.transcript.as_deref();
        let directory = match &loaded.chat {
            Some(project) => Some(project.as_str()),
            None => card::home_directory(&loaded.state, transcript),
        };
        let place = self.places.look(directory.unwrap_or(""), now);
        let config_dir = transcript.and_then(|t| card::foreign_config_dir(loaded.key.agent, t, &self.config));
        let known = card::Known {
            key: &loaded.key,
            state: &loaded.state,
            verdict: &judged.verdict,
            causes: open,
            renamed: loaded.renamed.as_deref(),
            muted: loaded.muted,
            muted_projects: &self.config.notify.muted_projects,
            session_labels: &self.config.session_labels,
            projects: &self.config.projects,
            directory,
            place: &place,
            transcript_exists: transcript.is_some(),
            config_dir: config_dir.as_deref(),
            resume_max_ms: i64::from(self.config.resume_max_hours) * 3_600_000,
            prices: &self.prices,
            git: self.worktrees.view_of(id),
        };
        Ok(card::card(&known, now))
    }

    /// Stores its row. `text` is what a search finds it by.
    fn save(&self, id: i64, loaded: &mut Loaded, judged: &Judged, text: String) -> Result<(), StoreError> {
        let write = SessionWrite {
            id,
            state: &loaded.state,
            has_main: loaded.has_main,
            live: judged.is_alive || has_open_process(&loaded.state),
            class: judged.class,
            last_activity: judged.verdict.last_activity,
            text: (text != loaded.text).then_some(text.as_str()),
        };
        rows::save(&self.store.db, &write)?;
        loaded.text = text;
        Ok(())
    }

    /// Plans when it is judged again without a new fact.
    fn plan_next(
        &mut self,
        id: i64,
        loaded: &mut Loaded,
        judged: &Judged,
        is_shown: bool,
        leaves_at: Option<Timestamp>,
        now: Timestamp,
    ) {
        if let Some(before) = loaded.recheck_at.take() {
            self.rechecks.remove(&(before, id));
        }
        let in_worktree = self.worktrees.has_session(id);
        let again = judged.verdict.recheck_at.filter(|_| is_shown || judged.is_alive || in_worktree);
        // Also one that is not on the screen does not stay in its worktree for ever.
        let leaves = leaves_at.map(|until| until.plus_ms(1));
        let leaves = leaves.filter(|at| in_worktree && !judged.is_alive && *at > now);
        if let Some(at) = [again, leaves].into_iter().flatten().min() {
            loaded.recheck_at = Some(at);
            self.rechecks.insert((at, id));
        }
    }

    /// Remembers the verdict and what is new in it.
    fn note_verdict(&mut self, loaded: &mut Loaded, verdict: Assessment, now: Timestamp) {
        let before = loaded.verdict.as_ref().map_or(&[][..], |v| v.contradictions.as_slice());
        // Counted once for as long as a source says otherwise, however often it says so.
        for other in verdict.contradictions.iter().filter(|c| before.iter().all(|b| b.source != c.source)) {
            self.reports.overruled(loaded.key.agent, &other.source, now);
        }
        let was_alive = loaded.verdict.as_ref().is_some_and(|v| v.liveness.state == LivenessState::Alive);
        if was_alive && verdict.liveness.state == LivenessState::Dead {
            loaded.story_due = Some(now);
        }
        loaded.verdict = Some(verdict);
    }

    /// Puts its card on the screen, or takes it from there.
    fn show(&mut self, loaded: &mut Loaded, card: SessionCard, is_shown: bool) {
        let key = loaded.key.to_string();
        self.notifier.remember_card(&card);
        let was_shown = std::mem::replace(&mut loaded.on_screen, is_shown);
        if is_shown {
            self.notifier.pending.removed.retain(|k| *k != key);
            self.notifier.pending.upserted.insert(key, card);
        } else if was_shown {
            self.notifier.pending.upserted.remove(&key);
            self.notifier.pending.removed.push(key);
        }
    }
}

impl Loaded {
    /// Looks where a way back would lead, for an agent whose files are not followed: a few small folders, at most every
    /// ten seconds, until it is found.
    fn look_for_chat(&mut self, roots: &[crate::config::Root], now: Timestamp) {
        let is_due = self.chat_looked_at.is_none_or(|at| now.since(at) >= CHAT_LOOK_MS);
        if self.transcript.is_some() || !is_due {
            return;
        }
        self.chat_looked_at = Some(now);
        if let Some(found) = gemini::find(roots, &self.key.id) {
            self.transcript = Some(found.path);
            self.chat = Some(found.project);
        }
    }
}

/// A session as its worktree sees it.
fn presence(key: &SessionKey, state: &SessionState, verdict: &Assessment) -> Presence {
    let transcript = state.transcript();
    let is_working = matches!(verdict.turn_state, TurnState::Working | TurnState::Starting);
    let is_alive = verdict.liveness.state == LivenessState::Alive;
    Presence {
        key: key.to_string(),
        is_alive,
        is_unknown: verdict.liveness.state == LivenessState::Unknown,
        started_at: started_at(state).or(transcript.and_then(|t| t.first_at)).or(state.hooks.started_at),
        last_activity: verdict.last_activity,
        left_at: if is_alive { None } else { left_at(state, verdict) },
        step: (state.tool_calls, transcript.map_or(0, |t| t.open_calls.len()), is_working),
    }
}

/// When the latest process that may run a session was started.
fn started_at(state: &SessionState) -> Option<Timestamp> {
    state.processes.values().filter(|p| is_open(p)).filter_map(|p| p.entry.started_at).max()
}

/// When its person opened a session, where the process that runs it has not worked in it since.
fn opened_at(state: &SessionState, verdict: &Assessment) -> Option<Timestamp> {
    if verdict.liveness.state != LivenessState::Alive {
        return None;
    }
    match verdict.pid.and_then(|pid| state.processes.get(&pid)) {
        Some(process) if process.worked => None,
        Some(process) => process.entry.started_at.max(process.joined_at),
        None => state.lock.and_then(|lock| lock.free_at),
    }
}

/// When the last process of a session left, by what is stored: a restart says the same. Of several signs of one end the
/// first counts; a close by its person says nothing of when.
fn left_at(state: &SessionState, verdict: &Assessment) -> Option<Timestamp> {
    let of_processes = state
        .processes
        .values()
        .filter(|p| p.moved_to.is_none())
        .filter_map(|p| [p.removed_at, p.exited_at].into_iter().flatten().min());
    let of_lock = state.lock.filter(|lock| lock.was_held && lock.holder.is_none()).map(|lock| lock.since);
    let told = verdict.ended_at.filter(|at| state.closed_at != Some(*at));
    of_processes.chain(of_lock).chain(told).max()
}

/// A process of which no end is known: it must be looked for after a restart.
fn has_open_process(state: &SessionState) -> bool {
    state.processes.values().any(is_open) || state.lock.is_some_and(|l| l.holder.is_some())
}

pub(super) fn classify(state: &SessionState, verdict: &Assessment) -> Class {
    let is_alive = verdict.liveness.state == LivenessState::Alive;
    match verdict.hidden {
        Some(HiddenKind::Subagent) => Class::Subagent,
        Some(HiddenKind::TitleThread) => Class::TitleThread,
        Some(HiddenKind::Spare) => Class::Spare,
        None if is_alive || state.has_signal() => Class::Row,
        None => Class::Zombie,
    }
}
