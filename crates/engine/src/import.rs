//! The first import, on its own path; and a later pass without an engine.
//!
//! What matters now goes first and the ordinary way: the newest sessions are folded, committed and shown within the
//! first second. The rest is folded in memory by parser threads, with duplicates dropped through in-memory sets, and
//! written in one transaction sorted by key. The mark `imported` stands in the same transaction: killed before it, the
//! next start imports again, and finds the newest sessions already there.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lamplight_model::event::{Event, EventKind, HiddenKind, Lineage, OwnerRank, PromptOrigin, Usage};
use lamplight_model::fold::{NO_MODEL, fold, fold_subagent};
use lamplight_model::ids::{FactId, SessionId, SessionKey, Timestamp};
use lamplight_model::session::{ModelSum, SessionState, Transcript};
use lamplight_model::view::ImportProgress;
use rusqlite::Connection;

use crate::clock;
use crate::core::Core;
use crate::facts::{FileBatch, Input, SourceReport};
use crate::forget::Ignored;
use crate::sources;
use crate::sources::discover::Found;
use crate::sources::import::import_files;
use crate::store::rows::{Class, SessionWrite};
use crate::store::{StoreError, calls, files, rows, to_sql};

/// Bytes of the newest sessions that take the ordinary way, about 0.3 s of it.
const FIRST_BYTES: u64 = 24 * 1024 * 1024;

/// Time between two reports of progress.
const REPORT: Duration = Duration::from_millis(100);

/// Parser threads: the sink keeps another core busy only a little, and memory grows with each.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).clamp(1, 8)
}

/// Imports everything for the first time; calls `report` whenever there is something to publish.
///
/// Stops early when `is_stopping` says so, without the mark: the next start imports again.
pub(crate) fn first(
    core: &mut Core,
    mut report: impl FnMut(&mut Core),
    is_stopping: impl Fn() -> bool,
) -> Result<(), StoreError> {
    let now = clock::now();
    core.notifier.pending.importing =
        Some(ImportProgress { files_done: 0, files_total: 0, bytes_done: 0, bytes_total: 0 });
    let probed = sources::probe(&core.config);
    core.apply_all(probed, now)?;
    core.apply_all(vec![Input::LiveListed { at: now, registries: Vec::new() }], now)?;
    report(core);
    let (found, reports) = list(core)?;
    core.apply_all(reports, now)?;
    let (newest, rest) = split(found);
    let mut progress = ImportProgress {
        files_done: 0,
        files_total: (newest.len() + rest.len()) as u64,
        bytes_done: 0,
        bytes_total: newest.iter().chain(&rest).map(|f| f.size_bytes).sum(),
    };
    ordinary(core, &newest, |core, files, bytes| {
        progress.files_done = files;
        progress.bytes_done += bytes;
        core.notifier.pending.importing = Some(progress);
        report(core);
    })?;
    progress.files_done = newest.len() as u64;
    let mut bulk = Bulk::from_store(core)?;
    let mut last_report = Instant::now();
    let imported = import_files(&rest, threads(), |input| {
        match input {
            Input::Batch(batch) => {
                progress.bytes_done += batch.to.saturating_sub(batch.from);
                core.reports.read(
                    batch.role.agent,
                    &batch.issues,
                    batch.bytes(),
                    batch.events.last().map(|e| e.at),
                    batch.read_at,
                );
                bulk.batch(batch);
            }
            Input::SubagentMeta { session, subagent, kind, description, finished } => {
                bulk.meta(session, subagent, kind, description, finished);
            }
            _ => {}
        }
        if last_report.elapsed() >= REPORT {
            last_report = Instant::now();
            progress.files_done = newest.len() as u64 + bulk.files.len() as u64;
            core.notifier.pending.importing = Some(progress);
            report(core);
        }
        if is_stopping() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if is_stopping() {
        return Ok(());
    }
    core.note_import_issues(&imported.issues);
    bulk.write(core, clock::now())?;
    core.notifier.pending.importing_done = true;
    report(core);
    Ok(())
}

/// Reads what was appended since the last look, without watching anything.
pub(crate) fn again(core: &mut Core) -> Result<(), StoreError> {
    let cursors: HashMap<_, _> = files::cursors(&core.store.db)?.into_iter().map(|c| (c.file, c)).collect();
    let (found, reports) = list(core)?;
    core.apply_all(reports, clock::now())?;
    let mut tailer = sources::tail::Tailer::default();
    for file in found {
        let cursor = cursors.get(&file.file);
        if cursor.is_some_and(|c| c.offset == file.size_bytes && c.path == file.path) {
            continue;
        }
        let mut stored = Ok(());
        let mut position = sources::tail::Position::from(cursor.cloned());
        let read = tailer.read(&file.path, &file.role, &mut position, clock::now(), &mut |batch| {
            // A reader may hand on some more before it rests.
            if stored.is_ok() {
                stored = core.apply_all(vec![Input::Batch(batch)], clock::now());
            }
            if stored.is_ok() { sources::tail::Flow::Continue } else { sources::tail::Flow::Pause }
        });
        stored?;
        if let Err(error) = read {
            core.note_import_issues(&error.issue().into_iter().collect::<Vec<_>>());
        }
    }
    Ok(())
}

/// Lists all roots, newest files first, without those that are read already.
fn list(core: &Core) -> Result<(Vec<Found>, Vec<Input>), StoreError> {
    let cursors: HashMap<_, _> = files::cursors(&core.store.db)?.into_iter().map(|c| (c.file, c)).collect();
    let known = |file| cursors.get(&file).map(|c| c.role.clone());
    let mut all = sources::discover::Listing::default();
    let mut reports = Vec::new();
    for root in core.config.roots.iter().filter(|r| r.agent.has_transcripts()) {
        let listing = sources::discover::list(root, &known);
        reports.push(Input::Source(SourceReport {
            name: crate::reports::transcripts(root.agent),
            path: root.path.clone(),
            present: listing.is_some(),
            files: listing.as_ref().map_or(0, |l| l.found.len() as u64),
            issues: listing.as_ref().map(|l| l.issues.clone()).unwrap_or_default(),
            bytes: sources::opencode::size(root),
            trouble: listing.as_ref().and_then(|l| l.trouble),
        }));
        if let Some(listing) = listing {
            all.found.extend(listing.found);
        }
    }
    all.once_each();
    all.newest_first();
    let mut found = all.found;
    found.retain(|f| {
        !core.forgotten.has_role(&f.role)
            && cursors.get(&f.file).is_none_or(|c| c.offset != f.size_bytes || c.path != f.path)
    });
    Ok((found, reports))
}

/// The newest sessions with all their files, up to a bound; and the rest. Both keep the order.
fn split(found: Vec<Found>) -> (Vec<Found>, Vec<Found>) {
    let mut sizes: HashMap<SessionKey, u64> = HashMap::new();
    let key = |f: &Found| SessionKey { agent: f.role.agent, id: f.role.session.clone() };
    for file in &found {
        *sizes.entry(key(file)).or_default() += file.size_bytes;
    }
    let mut chosen: HashMap<SessionKey, bool> = HashMap::new();
    let mut left = FIRST_BYTES;
    found.into_iter().partition(|file| {
        let key = key(file);
        let size = sizes.get(&key).copied().unwrap_or(0);
        *chosen.entry(key).or_insert_with(|| {
            let fits = size <= left;
            left = if fits { left - size } else { left };
            fits && left > 0
        })
    })
}

fn ordinary(
    core: &mut Core,
    found: &[Found],
    mut done: impl FnMut(&mut Core, u64, u64),
) -> Result<(), StoreError> {
    let mut failed = None;
    let mut inputs = Vec::new();
    let mut files = 0;
    let mut bytes = 0;
    import_files(found, threads(), |input| {
        if let Input::Batch(batch) = &input {
            files += u64::from(batch.from == 0);
            bytes += batch.to.saturating_sub(batch.from);
        }
        inputs.push(input);
        if bytes > 2 * 1024 * 1024 || inputs.len() >= 64 {
            if let Err(error) = core.apply_all(std::mem::take(&mut inputs), clock::now()) {
                failed = Some(error);
                return ControlFlow::Break(());
            }
            done(core, files, std::mem::take(&mut bytes));
        }
        ControlFlow::Continue(())
    });
    if let Some(error) = failed {
        return Err(error);
    }
    core.apply_all(inputs, clock::now())?;
    done(core, files, bytes);
    Ok(())
}

/// Everything the bulk of an import found, in memory.
struct Bulk {
    sessions: Vec<BulkSession>,
    by_key: HashMap<SessionKey, u32>,
    responses: HashMap<u128, (Owner, u16, Usage)>,
    tools: HashMap<u128, Owner>,
    prompts: HashMap<u128, Owner>,
    models: Vec<String>,
    model_ids: HashMap<String, u16>,
    files: HashMap<crate::facts::FileId, BulkFile>,
    forgotten: Ignored,
}

struct BulkSession {
    key: SessionKey,
    /// Row in the store, for a session that took the ordinary way.
    row: Option<i64>,
    state: SessionState,
    has_main: bool,
}

struct BulkFile {
    path: PathBuf,
    session: u32,
    subagent: Option<String>,
    offset: u64,
    carry: String,
    /// What the file said, until it gets its row.
    main: Option<Transcript>,
}

/// Who owns a key so far.
#[derive(Clone, Copy)]
struct Owner {
    session: u32,
    rank: OwnerRank,
    at: Timestamp,
}

impl Bulk {
    /// Starts from what the newest sessions claimed already.
    fn from_store(core: &Core) -> Result<Self, StoreError> {
        let mut bulk = Self {
            sessions: Vec::new(),
            by_key: HashMap::new(),
            responses: HashMap::new(),
            tools: HashMap::new(),
            prompts: HashMap::new(),
            models: Vec::new(),
            model_ids: HashMap::new(),
            files: HashMap::new(),
            forgotten: core.forgotten.clone(),
        };
        let db = &core.store.db;
        let mut by_row: HashMap<i64, u32> = HashMap::new();
        let mut select = db.prepare("SELECT id FROM sessions")?;
        let ids: Vec<i64> = select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for id in ids {
            if let Some(row) = rows::load(db, id)? {
                let at = bulk.session(row.key);
                by_row.insert(id, at);
                if let Some(session) = bulk.sessions.get_mut(at as usize) {
                    session.row = Some(id);
                    session.state = row.state;
                    session.has_main = row.has_main;
                }
            }
        }
        calls::each_response(db, |key, session, rank, at, model, usage| {
            if let Some(session) = by_row.get(&session) {
                let model = bulk.model(model);
                bulk.responses.insert(key, (Owner { session: *session, rank, at }, model, usage));
            }
        })?;
        calls::each_counted(db, calls::Counted::Tools, |key, session, rank, at| {
            if let Some(session) = by_row.get(&session) {
                bulk.tools.insert(key, Owner { session: *session, rank, at });
            }
        })?;
        calls::each_counted(db, calls::Counted::Prompts, |key, session, rank, at| {
            if let Some(session) = by_row.get(&session) {
                bulk.prompts.insert(key, Owner { session: *session, rank, at });
            }
        })?;
        Ok(bulk)
    }

    fn session(&mut self, key: SessionKey) -> u32 {
        if let Some(at) = self.by_key.get(&key) {
            return *at;
        }
        let at = u32::try_from(self.sessions.len()).unwrap_or(u32::MAX);
        self.sessions.push(BulkSession {
            key: key.clone(),
            row: None,
            state: SessionState::default(),
            has_main: false,
        });
        self.by_key.insert(key, at);
        at
    }

    fn model(&mut self, name: &str) -> u16 {
        if let Some(id) = self.model_ids.get(name) {
            return *id;
        }
        // More than 65,535 model names are no models: the last one then stands for all others.
        let id = u16::try_from(self.models.len()).unwrap_or(u16::MAX);
        self.models.push(name.to_owned());
        self.model_ids.insert(name.to_owned(), id);
        id
    }

    fn batch(&mut self, batch: FileBatch) {
        let key = SessionKey { agent: batch.role.agent, id: batch.role.session };
        let session = self.session(key.clone());
        let file = self.files.entry(batch.file).or_insert_with(|| BulkFile {
            path: batch.path,
            session,
            subagent: batch.role.subagent,
            offset: 0,
            carry: String::new(),
            main: None,
        });
        if batch.reset {
            file.main = None;
        }
        file.offset = batch.to;
        file.carry = batch.carry;
        let mut parent = None;
        match &file.subagent {
            None => {
                let main = file.main.get_or_insert_default();
                for event in &batch.events {
                    fold(main, event);
                }
                if main.hidden == Some(HiddenKind::Subagent)
                    && let Some((id, Lineage::Subagent)) = &main.parent
                {
                    parent = Some(id.clone());
                }
                if let Some(s) = self.sessions.get_mut(session as usize) {
                    s.has_main = true;
                }
            }
            Some(name) => {
                if let Some(s) = self.sessions.get_mut(session as usize) {
                    let subagent = s.state.subagents.entry(name.clone()).or_default();
                    for event in &batch.events {
                        fold_subagent(subagent, event);
                    }
                }
            }
        }
        let parent = parent.map(|id| SessionKey { agent: key.agent, id });
        if let Some(parent) = parent.filter(|parent| !self.forgotten.has(parent)) {
            let at = self.session(parent);
            if let Some(s) = self.sessions.get_mut(at as usize) {
                let subagent = s.state.subagents.entry(key.id.as_str().to_owned()).or_default();
                for event in &batch.events {
                    fold_subagent(subagent, event);
                }
            }
        }
        for event in &batch.events {
            self.count(session, &key, event);
        }
    }

    fn meta(
        &mut self,
        session: SessionId,
        subagent: String,
        kind: Option<String>,
        description: Option<String>,
        finished: bool,
    ) {
        let at = self.session(SessionKey { agent: lamplight_model::ids::Agent::ClaudeCode, id: session });
        if let Some(s) = self.sessions.get_mut(at as usize) {
            let entry = s.state.subagents.entry(subagent).or_default();
            entry.kind = kind.or(entry.kind.take());
            entry.description = description.or(entry.description.take());
            entry.finished |= finished;
        }
    }

    fn count(&mut self, seen_in: u32, key: &SessionKey, event: &Event) {
        let at = event.at;
        match &event.kind {
            EventKind::ResponseReceived(r) => {
                let owner = self.owner(seen_in, key, r.owner.as_ref(), r.owner_rank, at);
                let model = self.model(r.model.as_deref().unwrap_or(NO_MODEL));
                match self.responses.entry(r.key.0) {
                    std::collections::hash_map::Entry::Vacant(v) => {
                        v.insert((owner, model, r.usage));
                    }
                    std::collections::hash_map::Entry::Occupied(mut o) => {
                        let (before, _, usage) = o.get_mut();
                        *usage = usage.max(r.usage);
                        if beats(&self.sessions, owner, *before) {
                            *before = owner;
                        }
                    }
                }
            }
            EventKind::ToolCalled(call) => {
                let owner = self.owner(seen_in, key, call.owner.as_ref(), OwnerRank::Request, at);
                claim(&mut self.tools, &self.sessions, call.key, owner);
            }
            EventKind::PromptSubmitted(prompt) => {
                if let Some(id) = prompt.key
                    && matches!(prompt.origin, PromptOrigin::Person | PromptOrigin::Queued)
                {
                    let owner = self.owner(seen_in, key, prompt.owner.as_ref(), OwnerRank::ForkedFrom, at);
                    claim(&mut self.prompts, &self.sessions, id, owner);
                }
            }
            _ => {}
        }
    }

    fn owner(
        &mut self,
        seen_in: u32,
        key: &SessionKey,
        named: Option<&SessionId>,
        rank: OwnerRank,
        at: Timestamp,
    ) -> Owner {
        let named = named.map(|id| SessionKey { agent: key.agent, id: id.clone() });
        match named.filter(|named| !self.forgotten.has(named)) {
            // What a forgotten session would own is owned by whoever shows it.
            None => Owner { session: seen_in, rank: OwnerRank::Own, at },
            Some(named) => Owner { session: self.session(named), rank, at },
        }
    }

    /// Gives every session what it owns.
    fn settle(&mut self) {
        for s in &mut self.sessions {
            s.state.usage = BTreeMap::new();
            s.state.tool_calls = 0;
            s.state.prompts = 0;
        }
        for (owner, model, usage) in self.responses.values() {
            let (Some(s), Some(name)) =
                (self.sessions.get_mut(owner.session as usize), self.models.get(usize::from(*model)))
            else {
                continue;
            };
            if !s.state.usage.contains_key(name) {
                s.state.usage.insert(name.clone(), ModelSum::default());
            }
            if let Some(sum) = s.state.usage.get_mut(name) {
                sum.responses = sum.responses.saturating_add(1);
                sum.usage = sum.usage.plus(*usage);
            }
        }
        for owner in self.tools.values() {
            if let Some(s) = self.sessions.get_mut(owner.session as usize) {
                s.state.tool_calls = s.state.tool_calls.saturating_add(1);
            }
        }
        for owner in self.prompts.values() {
            if let Some(s) = self.sessions.get_mut(owner.session as usize) {
                s.state.prompts = s.state.prompts.saturating_add(1);
            }
        }
    }

    /// Writes everything in one transaction, with the mark that the import is complete.
    fn write(mut self, core: &mut Core, now: Timestamp) -> Result<(), StoreError> {
        self.settle();
        let mut rows_of: Vec<i64> = Vec::with_capacity(self.sessions.len());
        core.store.db.execute_batch("BEGIN IMMEDIATE")?;
        let done = self.write_rows(core, &mut rows_of, now);
        match done {
            Ok(()) => core.store.db.execute_batch("COMMIT")?,
            Err(e) => {
                core.store.db.execute_batch("ROLLBACK")?;
                return Err(e);
            }
        }
        core.reload(now)
    }

    fn write_rows(
        &mut self,
        core: &mut Core,
        rows_of: &mut Vec<i64>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for s in &mut self.sessions {
            let row = match s.row {
                Some(row) => row,
                None => rows::ensure(&core.store.db, &s.key)?,
            };
            rows_of.push(row);
        }
        let row = |at: u32| rows_of.get(at as usize).copied().unwrap_or(0);
        for (id, file) in &mut self.files {
            let file_row = files::put(
                &core.store.db,
                *id,
                &file.path,
                row(file.session),
                file.subagent.as_deref(),
                file.offset,
                &file.carry,
            )?;
            if let (Some(main), Some(s)) = (file.main.take(), self.sessions.get_mut(file.session as usize)) {
                s.state.mains.insert(file_row, main);
            }
        }
        for (s, id) in self.sessions.iter().zip(rows_of.iter()) {
            let (class, last_activity, text) = core.judge_once(&s.key, &s.state, s.has_main, now)?;
            rows::save(
                &core.store.db,
                &SessionWrite {
                    id: *id,
                    state: &s.state,
                    has_main: s.has_main,
                    live: class == Class::Row && !s.state.processes.is_empty(),
                    class,
                    last_activity,
                    text: Some(&text),
                },
            )?;
        }
        let mut models = Vec::with_capacity(self.models.len());
        for name in &self.models {
            models.push(calls::model_row(&core.store.db, name)?);
        }
        write_responses(&core.store.db, &self.responses, &models, row)?;
        write_counted(&core.store.db, calls::Counted::Tools, &self.tools, row)?;
        write_counted(&core.store.db, calls::Counted::Prompts, &self.prompts, row)?;
        rows::set_meta(&core.store.db, "imported", &now.0.to_string())
    }
}

fn beats(sessions: &[BulkSession], new: Owner, old: Owner) -> bool {
    let id = |o: Owner| sessions.get(o.session as usize).map(|s| (s.key.agent.as_str(), s.key.id.as_str()));
    (new.rank, new.at).cmp(&(old.rank, old.at)).then_with(|| id(new).cmp(&id(old))).is_lt()
}

fn claim(table: &mut HashMap<u128, Owner>, sessions: &[BulkSession], key: FactId, owner: Owner) {
    table
        .entry(key.0)
        .and_modify(|before| {
            if beats(sessions, owner, *before) {
                *before = owner;
            }
        })
        .or_insert(owner);
}

/// Sorted by key, so that the tree is written from left to right.
fn write_responses(
    db: &Connection,
    table: &HashMap<u128, (Owner, u16, Usage)>,
    models: &[i64],
    row: impl Fn(u32) -> i64,
) -> Result<(), StoreError> {
    let mut keys: Vec<u128> = table.keys().copied().collect();
    keys.sort_unstable();
    let mut insert = db.prepare(
        "INSERT OR REPLACE INTO llm_calls
         (key, session, rank, rank_at_ms, model, input, output, cache_write_5m, cache_write_1h, cache_read)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for key in keys {
        let Some((owner, model, u)) = table.get(&key) else { continue };
        insert.execute((
            key.to_be_bytes(),
            row(owner.session),
            owner.rank as i64,
            owner.at.0,
            models.get(usize::from(*model)).copied().unwrap_or(0),
            to_sql(u.input),
            to_sql(u.output),
            to_sql(u.cache_write_5m),
            to_sql(u.cache_write_1h),
            to_sql(u.cache_read),
        ))?;
    }
    Ok(())
}

fn write_counted(
    db: &Connection,
    which: calls::Counted,
    table: &HashMap<u128, Owner>,
    row: impl Fn(u32) -> i64,
) -> Result<(), StoreError> {
    let mut keys: Vec<u128> = table.keys().copied().collect();
    keys.sort_unstable();
    let mut insert = db.prepare(which.upsert())?;
    for key in keys {
        let Some(owner) = table.get(&key) else { continue };
        insert.execute((key.to_be_bytes(), row(owner.session), owner.rank as i64, owner.at.0))?;
    }
    Ok(())
}
