//! Folding of inputs into session rows. Runs inside the transaction of [`super::Core::apply_all`].

use lamplight_model::assess::heard_last;
use lamplight_model::event::{Event, EventKind, HiddenKind, Lineage, OwnerRank, Usage};
use lamplight_model::fold::{NO_MODEL, fold, fold_registry, fold_subagent};
use lamplight_model::ids::{Agent, SessionId, SessionKey, Timestamp};
use lamplight_model::session::{Dated, Lock, RegistryStatus, SessionState, Subagent, Transcript, Validity};

use super::Core;
use crate::facts::{FileBatch, Input, RegistryUpdate};
use crate::store::calls::{Claim, Claimed, Counted};
use crate::store::{StoreError, calls, files, rows, worktrees};

/// A lock that stands without a holder for longer was left by a crash; an orderly end lets go of it and removes it at
/// once.
const LOCK_LEFT_MS: i64 = 2_000;

/// The first listing takes no longer than this: a lock that it lacks was not there when it began.
const LISTING_MS: i64 = 2_000;

impl Core {
    pub(super) fn apply(&mut self, input: Input, now: Timestamp) -> Result<(), StoreError> {
        match input {
            Input::Batch(batch) => self.apply_batch(batch, now)?,
            Input::FileGone { path } => self.apply_gone(&path)?,
            Input::SubagentMeta { session, subagent, kind, description, finished } => {
                let Some(id) = self.row_of(&SessionKey { agent: Agent::ClaudeCode, id: session })? else {
                    return Ok(());
                };
                let Some(loaded) = self.load(id)? else { return Ok(()) };
                let entry = loaded.state.subagents.entry(subagent).or_default();
                entry.kind = kind.or(entry.kind.take());
                entry.description = description.or(entry.description.take());
                entry.finished |= finished;
                self.touched.insert(id);
            }
            Input::Registry(update) => self.apply_registry(update)?,
            Input::RegistryRemoved { agent, pid, session, at } => {
                let Some(id) = self.row_of(&SessionKey { agent, id: session })? else { return Ok(()) };
                let Some(loaded) = self.load(id)? else { return Ok(()) };
                let at = no_earlier(at, &loaded.state);
                if let Some(process) = loaded.state.processes.get_mut(&pid)
                    && process.removed_at.is_none()
                {
                    process.removed_at = Some(at);
                    rows::keep_live_fact(&self.store.db, id, at, "registry", Some(pid), "removed")?;
                    self.touched.insert(id);
                }
            }
            Input::ProcessExited { pid, at } => self.apply_exit(pid, at)?,
            Input::Lock { session, present, holder, at } => self.apply_lock(session, present, holder, at)?,
            Input::Title { agent, session, text, at } => {
                let Some(id) = self.row_of(&SessionKey { agent, id: session })? else { return Ok(()) };
                let Some(loaded) = self.load(id)? else { return Ok(()) };
                if loaded.state.user_title.as_ref().is_none_or(|known| known.at <= at) {
                    loaded.state.user_title = Some(Dated { at, value: text });
                    self.touched.insert(id);
                }
            }
            Input::Reclaimed { session, events } => self.apply_reclaimed(&session, &events)?,
            Input::Hook(fact) => self.apply_hook(fact, now)?,
            Input::Source(report) => self.reports.take(report, now),
            Input::Telemetry(batch) => self.apply_telemetry(*batch)?,
            Input::Worktree(look) => {
                // A root was text when it was ordered.
                let root = look.root.to_string_lossy().into_owned();
                let at = look.at;
                let (touched, keep) = self.worktrees.found(&root, *look, now);
                self.touched.extend(touched);
                if let Some(memory) = keep {
                    worktrees::put(&self.store.db, &root, memory, at)?;
                }
            }
            Input::Terminal(look) => self.apply_terminal(*look)?,
            Input::Front { session, is_in_front, at } => self.notifier.front(session, is_in_front, at),
            Input::Receiver(receiver) => self.reports.receiver(receiver),
            Input::Forwarding(view) => self.reports.forwarding(view.map(|view| *view)),
            Input::LiveListed { at, registries } => {
                for agent in registries {
                    self.reports.registry_present(agent);
                }
                self.apply_listed(at)?;
            }
            Input::Listed { at, .. } => {
                self.has_read = true;
                self.sessions.values_mut().for_each(|loaded| loaded.is_reread = false);
                self.apply_listed(at)?;
            }
        }
        Ok(())
    }

    fn apply_batch(&mut self, batch: FileBatch, now: Timestamp) -> Result<(), StoreError> {
        let key = SessionKey { agent: batch.role.agent, id: batch.role.session.clone() };
        let Some(session) = self.row_of(&key)? else { return Ok(()) };
        let known = files::find(&self.store.db, batch.file)?;
        let moved_role =
            known.as_ref().is_some_and(|f| f.session != session || f.subagent != batch.role.subagent);
        let from_start = batch.reset || batch.from == 0;
        // An inode is used again at once: what a deleted transcript said stays said.
        if let Some(file) = known.as_ref().filter(|f| (from_start || moved_role) && !(moved_role && f.gone)) {
            self.forget_file(file.session, file.id, file.subagent.as_deref(), moved_role)?;
        }
        if batch.reset && known.is_none() {
            for file in files::replaced_at(&self.store.db, &batch.path, session, batch.file)? {
                self.forget_file(session, file, batch.role.subagent.as_deref(), false)?;
            }
        }
        let file = files::put(
            &self.store.db,
            batch.file,
            &batch.path,
            session,
            batch.role.subagent.as_deref(),
            batch.to,
            &batch.carry,
        )?;
        self.reports.read(
            batch.role.agent,
            &batch.issues,
            batch.bytes(),
            batch.events.last().map(|e| e.at),
            batch.read_at,
        );
        let Some(loaded) = self.load(session)? else { return Ok(()) };
        match &batch.role.subagent {
            None => {
                loaded.has_main = true;
                loaded.transcript = Some(batch.path.clone());
                let main: &mut Transcript = loaded.state.mains.entry(file).or_default();
                for event in &batch.events {
                    fold(main, event);
                }
            }
            Some(name) => {
                let subagent = loaded.state.subagents.entry(name.clone()).or_default();
                for event in &batch.events {
                    fold_subagent(subagent, event);
                }
            }
        }
        let parent = loaded
            .state
            .mains
            .get(&file)
            .filter(|t| t.hidden == Some(HiddenKind::Subagent))
            .and_then(|t| t.parent.clone());
        if let Some((parent, Lineage::Subagent)) = &parent
            && self.forgotten.has(&SessionKey { agent: key.agent, id: parent.clone() })
        {
            return self.forget_along(session, &key, now);
        }
        for event in &batch.events {
            self.count(session, event)?;
        }
        if let Some((parent, Lineage::Subagent)) = parent {
            self.fold_into_parent(&key, parent, &batch.events)?;
        }
        self.touched.insert(session);
        Ok(())
    }

    /// A subagent with a thread of its own (Codex) is also a subagent of the session that spawned it.
    fn fold_into_parent(
        &mut self,
        child: &SessionKey,
        parent: SessionId,
        events: &[Event],
    ) -> Result<(), StoreError> {
        let Some(id) = self.row_of(&SessionKey { agent: child.agent, id: parent })? else { return Ok(()) };
        let Some(loaded) = self.load(id)? else { return Ok(()) };
        let subagent = loaded.state.subagents.entry(child.id.as_str().to_owned()).or_default();
        for event in events {
            fold_subagent(subagent, event);
        }
        self.touched.insert(id);
        Ok(())
    }

    /// Takes back what a file said: it is read from its start, or is another one's now.
    fn forget_file(
        &mut self,
        session: i64,
        file: i64,
        subagent: Option<&str>,
        is_elsewhere: bool,
    ) -> Result<(), StoreError> {
        let has_read = self.has_read;
        if let Some(loaded) = self.load(session)? {
            match subagent {
                None => {
                    loaded.state.mains.remove(&file);
                    loaded.is_reread |= !has_read;
                }
                Some(name) if is_elsewhere => drop(loaded.state.subagents.remove(name)),
                // What its meta file says of it stays.
                Some(name) => {
                    if let Some(known) = loaded.state.subagents.get_mut(name) {
                        let Subagent { kind, description, .. } = std::mem::take(known);
                        *known = Subagent { kind, description, ..Subagent::default() };
                    }
                }
            }
            self.touched.insert(session);
        }
        Ok(())
    }

    fn apply_gone(&mut self, path: &std::path::Path) -> Result<(), StoreError> {
        if let Some(session) = files::mark_gone(&self.store.db, path)? {
            let transcript = files::main_path(&self.store.db, session)?;
            if let Some(loaded) = self.load(session)? {
                loaded.transcript = transcript;
            }
            self.touched.insert(session);
        }
        Ok(())
    }

    /// Counts what an event claims: once over all transcripts, owned by one session.
    pub(super) fn count(&mut self, session: i64, event: &Event) -> Result<(), StoreError> {
        match &event.kind {
            EventKind::ResponseReceived(response) => {
                let claim = self.claim(session, event.at, response.owner.as_ref(), response.owner_rank)?;
                let model = response.model.as_deref().unwrap_or(NO_MODEL);
                let row = calls::model_row(&self.store.db, model)?;
                let claimed =
                    calls::claim_response(&self.store.db, response.key, claim, row, response.usage)?;
                self.settle_response(claim, model, response.usage, &claimed)?;
                if let Some(request) = response.request {
                    self.settle_reported(request, response.key, &claimed)?;
                }
            }
            EventKind::ToolCalled(call) => {
                let rank = if call.owner.is_some() { OwnerRank::Request } else { OwnerRank::Own };
                let claim = self.claim(session, event.at, call.owner.as_ref(), rank)?;
                let claimed = calls::claim_counted(&self.store.db, Counted::Tools, call.key, claim)?;
                self.settle_count(claim, claimed, |state| &mut state.tool_calls)?;
            }
            EventKind::PromptSubmitted(prompt) => {
                if let Some(key) = prompt.key
                    && matches!(
                        prompt.origin,
                        lamplight_model::event::PromptOrigin::Person
                            | lamplight_model::event::PromptOrigin::Queued
                    )
                {
                    let rank = if prompt.owner.is_some() { OwnerRank::ForkedFrom } else { OwnerRank::Own };
                    let claim = self.claim(session, event.at, prompt.owner.as_ref(), rank)?;
                    let claimed = calls::claim_counted(&self.store.db, Counted::Prompts, key, claim)?;
                    self.settle_count(claim, claimed, |state| &mut state.prompts)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn claim(
        &mut self,
        session: i64,
        at: Timestamp,
        owner: Option<&SessionId>,
        rank: OwnerRank,
    ) -> Result<Claim, StoreError> {
        let named = match owner {
            None => None,
            Some(owner) => {
                let agent = self.key_of(session).map_or(Agent::ClaudeCode, |k| k.agent);
                self.row_of(&SessionKey { agent, id: owner.clone() })?
            }
        };
        // What a forgotten session would own is owned by whoever shows it.
        Ok(match named {
            Some(owner) => Claim { session: owner, rank, at },
            None => Claim { session, rank: OwnerRank::Own, at },
        })
    }

    fn settle_response(
        &mut self,
        claim: Claim,
        model: &str,
        usage: Usage,
        claimed: &Claimed<calls::StoredCall>,
    ) -> Result<(), StoreError> {
        match *claimed {
            Claimed::New => {
                self.add_usage(claim.session, model, usage, 1)?;
            }
            Claimed::Kept { owner, before } => {
                let grown = before.usage.max(usage);
                if grown != before.usage {
                    let name = calls::model_name(&self.store.db, before.model)?;
                    self.take_usage(owner, &name, before.usage, 0)?;
                    self.add_usage(owner, &name, grown, 0)?;
                }
            }
            Claimed::Moved { from, before } => {
                let name = calls::model_name(&self.store.db, before.model)?;
                self.take_usage(from, &name, before.usage, 1)?;
                self.add_usage(claim.session, &name, before.usage.max(usage), 1)?;
            }
        }
        Ok(())
    }

    fn add_usage(
        &mut self,
        session: i64,
        model: &str,
        usage: Usage,
        responses: u32,
    ) -> Result<(), StoreError> {
        if let Some(loaded) = self.load(session)? {
            let sum = loaded.state.usage.entry(model.to_owned()).or_default();
            sum.responses = sum.responses.saturating_add(responses);
            sum.usage = sum.usage.plus(usage);
            self.touched.insert(session);
        }
        Ok(())
    }

    fn take_usage(
        &mut self,
        session: i64,
        model: &str,
        usage: Usage,
        responses: u32,
    ) -> Result<(), StoreError> {
        if let Some(loaded) = self.load(session)? {
            let sum = loaded.state.usage.entry(model.to_owned()).or_default();
            sum.responses = sum.responses.saturating_sub(responses);
            sum.usage = sum.usage.without(usage);
            if sum.responses == 0 {
                loaded.state.usage.remove(model);
            }
            self.touched.insert(session);
        }
        Ok(())
    }

    fn settle_count(
        &mut self,
        claim: Claim,
        claimed: Claimed<()>,
        field: impl Fn(&mut lamplight_model::session::SessionState) -> &mut u32,
    ) -> Result<(), StoreError> {
        let (plus, minus) = match claimed {
            Claimed::New => (Some(claim.session), None),
            Claimed::Kept { .. } => (None, None),
            Claimed::Moved { from, .. } => (Some(claim.session), Some(from)),
        };
        if let Some(session) = plus
            && let Some(loaded) = self.load(session)?
        {
            let n = field(&mut loaded.state);
            *n = n.saturating_add(1);
            self.touched.insert(session);
        }
        if let Some(session) = minus
            && let Some(loaded) = self.load(session)?
        {
            let n = field(&mut loaded.state);
            *n = n.saturating_sub(1);
            self.touched.insert(session);
        }
        Ok(())
    }

    fn apply_registry(&mut self, update: RegistryUpdate) -> Result<(), StoreError> {
        let key = SessionKey { agent: update.agent, id: update.session.clone() };
        let Some(id) = self.row_of(&key)? else { return Ok(()) };
        let is_listed = self.listed_at.is_some();
        let has_moved = update.validity == Validity::Valid && self.leave_former_session(&update, id)?;
        let Some(loaded) = self.load(id)? else { return Ok(()) };
        // It runs again: whatever took its place has not any more.
        if update.validity == Validity::Valid {
            loaded.state.superseded_by = None;
        }
        let before = loaded.state.processes.get(&update.pid).map(|p| p.entry.status.clone());
        let status = update.entry.status.clone();
        fold_registry(
            &mut loaded.state.processes,
            update.pid,
            update.entry,
            update.validity,
            update.status_at,
            update.read_at,
        );
        if has_moved && let Some(process) = loaded.state.processes.get_mut(&update.pid) {
            process.worked = status == Some(RegistryStatus::Busy);
            // Of a move that the first listing shows nobody knows when it was.
            process.joined_at = is_listed.then_some(update.read_at);
        }
        if before.as_ref() != Some(&status) {
            let fact = match &status {
                None => "starting".to_owned(),
                Some(RegistryStatus::Idle) => "idle".to_owned(),
                Some(RegistryStatus::Busy) => "busy".to_owned(),
                Some(RegistryStatus::Shell) => "shell".to_owned(),
                Some(RegistryStatus::Waiting(what)) => format!("waiting: {what}"),
                Some(RegistryStatus::Other(word)) => format!("other: {word}"),
            };
            rows::keep_live_fact(&self.store.db, id, update.status_at, "registry", Some(update.pid), &fact)?;
        }
        if update.validity == Validity::Valid {
            self.by_pid.insert((update.agent, update.pid), id);
        }
        self.reports.registry_fact(update.agent, update.status_at);
        self.touched.insert(id);
        Ok(())
    }

    /// A process whose file names another session now has left the one before: `/clear`, fork, branch. Whether it has.
    fn leave_former_session(&mut self, update: &RegistryUpdate, id: i64) -> Result<bool, StoreError> {
        let Some(&former) = self.by_pid.get(&(update.agent, update.pid)) else { return Ok(false) };
        if former == id {
            return Ok(false);
        }
        let Some(loaded) = self.load(former)? else { return Ok(false) };
        let same_process = loaded
            .state
            .processes
            .get(&update.pid)
            .is_some_and(|p| p.entry.started_at == update.entry.started_at && p.removed_at.is_none());
        if let Some(process) = loaded.state.processes.get_mut(&update.pid).filter(|_| same_process) {
            process.moved_to = Some(update.session.clone());
            process.observed_at = update.read_at;
            loaded.state.superseded_by = Some(Dated { at: update.read_at, value: update.session.clone() });
        }
        self.touched.insert(former);
        Ok(same_process)
    }

    fn apply_exit(&mut self, pid: u32, at: Timestamp) -> Result<(), StoreError> {
        for agent in Agent::ALL {
            let Some(&id) = self.by_pid.get(&(agent, pid)) else { continue };
            let Some(loaded) = self.load(id)? else { continue };
            let at = no_earlier(at, &loaded.state);
            if let Some(process) = loaded.state.processes.get_mut(&pid)
                && process.exited_at.is_none()
            {
                process.exited_at = Some(at);
                rows::keep_live_fact(&self.store.db, id, at, "process", Some(pid), "exited")?;
            }
            self.touched.insert(id);
        }
        Ok(())
    }

    fn apply_lock(
        &mut self,
        session: SessionId,
        present: bool,
        holder: Option<u32>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        if present {
            self.reports.note_lock(&session);
        }
        let Some(id) = self.row_of(&SessionKey { agent: Agent::Codex, id: session })? else { return Ok(()) };
        let (listed_at, last_look) = (self.listed_at, self.notifier.news_from());
        let Some(loaded) = self.load(id)? else { return Ok(()) };
        let before = loaded.state.lock;
        if before.is_some_and(|l| l.present == present && l.holder == holder) {
            return Ok(());
        }
        let was_held = holder.is_some() || before.is_some_and(|l| l.was_held);
        let listed_from = listed_at.map(|at| at.plus_ms(-LISTING_MS));
        // Of a lock that was held when the engine began to look, nobody knows when it was taken.
        let (taken_at, free_at) = match (holder, before) {
            (None, _) => (None, None),
            // What was listed as free was free then.
            (Some(_), Some(l)) if l.holder.is_none() => (Some(at), Some(l.since).max(listed_from)),
            (Some(_), Some(l)) => (l.taken_at, l.free_at),
            (Some(_), None) => (listed_at.map(|_| at), listed_from),
        };
        let unheld = before.filter(|l| holder.is_none() && l.holder.is_none());
        let left_behind = !present
            && unheld.is_some_and(|l| l.left_behind || (l.present && at.since(l.since) > LOCK_LEFT_MS));
        let since = match unheld {
            // It was left then, whenever its file went.
            Some(l) if left_behind => l.since,
            // It was let go while nobody looked.
            _ if holder.is_none() && listed_at.is_none() => {
                let held = before.filter(|l| l.holder.is_some()).map(|l| l.since.max(last_look));
                held.max(heard_last(&loaded.state)).unwrap_or(at).min(at)
            }
            _ => at,
        };
        loaded.state.lock = Some(Lock { holder, present, since, was_held, taken_at, free_at, left_behind });
        let fact = match (present, holder) {
            (_, Some(_)) => "held",
            (true, None) => "not held",
            (false, None) => "removed",
        };
        rows::keep_live_fact(&self.store.db, id, at, "lock", holder, fact)?;
        self.reports.registry_fact(Agent::Codex, at);
        self.touched.insert(id);
        Ok(())
    }

    /// The first listing of what lives is complete: a process or lock that was open when the engine looked last, and is
    /// not listed, ended meanwhile.
    fn apply_listed(&mut self, at: Timestamp) -> Result<(), StoreError> {
        let first = self.listed_at.is_none();
        self.listed_at.get_or_insert(at);
        let all: Vec<i64> = self.sessions.keys().copied().collect();
        for id in all {
            self.touched.insert(id);
            if !first {
                continue;
            }
            let Some(loaded) = self.sessions.get_mut(&id) else { continue };
            let started = self.reports.started_at;
            // While somebody looked, its end would have been seen.
            let last_look = self.notifier.news_from();
            for process in loaded.state.processes.values_mut() {
                let stale = process.observed_at < started;
                if stale
                    && process.removed_at.is_none()
                    && process.exited_at.is_none()
                    && process.moved_to.is_none()
                {
                    let alive_at = process.status_since.max(process.observed_at).max(last_look);
                    process.removed_at = Some(alive_at.min(at));
                }
            }
            let heard = heard_last(&loaded.state);
            if let Some(lock) = &mut loaded.state.lock
                && lock.holder.is_some()
                && !self.reports.lock_seen(&loaded.key.id)
            {
                let since = heard.max(Some(lock.since.max(last_look))).unwrap_or(at).min(at);
                *lock = Lock { since, was_held: true, ..Lock::default() };
            }
        }
        Ok(())
    }
}

/// Dates an end that was seen: never before what was heard of the session, whatever the clock said when it was seen.
fn no_earlier(at: Timestamp, state: &SessionState) -> Timestamp {
    heard_last(state).map_or(at, |heard| heard.max(at))
}
