//! Forgetting sessions: which ones are meant, and what is to be done after their rows are gone.
//!
//! 1. Whoever asks finds out which sessions are meant ([`choose`]), on a connection that only reads.
//! 2. The writer takes everything of them out in one transaction, with a note of what is left to do ([`Unfinished`]).
//! 3. Whoever asked reads the transcripts that may show what a forgotten session owned ([`reread`]), so that another
//!    session owns it; then the writer has the bytes go from the files.
//!
//! Killed after 2, the next start does 3.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError, RwLock};

use lamplight_model::event::{Event, HiddenKind};
use lamplight_model::ids::{Agent, SessionId, SessionKey, Timestamp};
use lamplight_model::session::{LivenessState, SessionState};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::archive::Cards;
use crate::board::Board;
use crate::clock;
use crate::config::Config;
use crate::core::Core;
use crate::errors::EngineError;
use crate::facts::Input;
use crate::import;
use crate::sources::import::import_files;
use crate::store::rows::{Class, SessionRow};
use crate::store::{StoreError, files, forgotten, rows};

/// A title thread (Codex) is made within this time of the session whose prompt it gives a title to.
const TITLE_MS: i64 = 10 * 60_000;
/// So many characters of a prompt tell whose title a title thread makes.
const TITLE_CHARS: usize = 100;

/// Which sessions to forget: those that fit everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forget {
    /// This one.
    pub session: Option<SessionKey>,
    /// Those of this project, by its name.
    pub project: Option<String>,
    /// Those whose last activity is older than this.
    pub before: Option<Timestamp>,
}

/// A session to forget, with what belongs to it: its subagents' and title threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub key: SessionKey,
    pub with: Vec<SessionKey>,
}

/// Which sessions are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub groups: Vec<Group>,
    /// Left alone because a process runs them.
    pub running: u64,
}

/// What is left to do after rows are gone: to read again what may show what they owned, and to have the bytes go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unfinished {
    /// Agents whose transcripts are read.
    pub agents: Vec<Agent>,
    /// Times of the first and last record that was owned.
    pub window: Option<(Timestamp, Timestamp)>,
}

impl Unfinished {
    /// Both together.
    pub(crate) fn join(mut self, other: Self) -> Self {
        self.agents.extend(other.agents);
        self.agents.sort_unstable();
        self.agents.dedup();
        self.window = match (self.window, other.window) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
        self
    }
}

/// Sessions that are to stay forgotten. Shared by the writer, which adds to it, and the sources, which pass their files
/// over; held for a look only.
#[derive(Debug, Clone, Default)]
pub struct Ignored(Arc<RwLock<HashSet<SessionKey>>>);

impl Ignored {
    pub(crate) fn load(db: &Connection) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(RwLock::new(forgotten::all(db)?.into_iter().collect()))))
    }

    /// Whether a session is forgotten.
    #[must_use]
    pub fn has(&self, key: &SessionKey) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    /// The same, for a file.
    pub(crate) fn has_role(&self, role: &crate::facts::FileRole) -> bool {
        let ignored = self.0.read().unwrap_or_else(PoisonError::into_inner);
        !ignored.is_empty() && ignored.contains(&SessionKey { agent: role.agent, id: role.session.clone() })
    }

    pub(crate) fn add(&self, keys: impl IntoIterator<Item = SessionKey>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).extend(keys);
    }
}

/// Finds the sessions that are meant. Reads every session when it is asked for more than one.
pub(crate) fn choose(
    db: &Connection,
    config: &Config,
    board: &Board,
    what: &Forget,
    now: Timestamp,
) -> Result<Chosen, EngineError> {
    let ids = match &what.session {
        Some(key) => rows::find(db, key)?.into_iter().collect(),
        None => rows::ids(db)?,
    };
    let mut cards = Cards::new(db, config, board, now);
    let mut chosen = Chosen::default();
    let mut titles = None;
    for id in ids {
        let Some(row) = rows::load(db, id)? else { continue };
        // A subagent's thread goes with the session that started it.
        if row.class == Class::Subagent && what.session.is_none() {
            continue;
        }
        let card = cards.of_row(&row)?;
        let last = card.last_activity_at_ms.or(card.started_at_ms);
        let fits = what.project.as_ref().is_none_or(|project| card.project.as_ref() == Some(project))
            && what.before.is_none_or(|before| last.is_some_and(|last| last < before.0));
        if !fits {
            continue;
        }
        if card.liveness.state == LivenessState::Alive {
            chosen.running += 1;
            continue;
        }
        let mut with = threads_of(db, &row)?;
        if row.key.agent == Agent::Codex {
            if titles.is_none() {
                titles = Some(title_threads(db)?);
            }
            let theirs = titles.iter().flatten().filter(|title| titles_for(&title.state, &row.state));
            with.extend(theirs.map(|title| title.key.clone()));
        }
        chosen.groups.push(Group { key: row.key, with });
    }
    Ok(chosen)
}

/// Threads of a session's subagents (Codex), and of theirs.
fn threads_of(db: &Connection, row: &SessionRow) -> Result<Vec<SessionKey>, StoreError> {
    let mut found: Vec<SessionKey> = Vec::new();
    let names = |row: &SessionRow| row.state.subagents.keys().cloned().collect::<Vec<_>>();
    let mut waiting = names(row);
    while let Some(name) = waiting.pop() {
        let Ok(id) = SessionId::new(&name) else { continue };
        let key = SessionKey { agent: row.key.agent, id };
        if key == row.key || found.contains(&key) {
            continue;
        }
        let Some(thread) = rows::find(db, &key)?.map(|id| rows::load(db, id)).transpose()?.flatten() else {
            continue;
        };
        if thread.class == Class::Subagent {
            waiting.extend(names(&thread));
            found.push(key);
        }
    }
    Ok(found)
}

fn title_threads(db: &Connection) -> Result<Vec<SessionRow>, StoreError> {
    let mut found = Vec::new();
    for id in rows::ids(db)? {
        let row = rows::load(db, id)?;
        found.extend(row.filter(|r| {
            r.key.agent == Agent::Codex
                && r.state.transcript().is_some_and(|t| t.hidden == Some(HiddenKind::TitleThread))
        }));
    }
    Ok(found)
}

/// Whether a title thread makes the title of a session: it names no session, but it repeats its prompt.
fn titles_for(title: &SessionState, session: &SessionState) -> bool {
    let (Some(title), Some(session)) = (title.transcript(), session.transcript()) else { return false };
    let near = title.first_at.zip(session.first_at).is_some_and(|(a, b)| (a.0 - b.0).abs() <= TITLE_MS);
    let prompt = session.first_prompt.as_deref().unwrap_or("");
    let begin: String = prompt.chars().take(TITLE_CHARS).collect();
    near && !begin.trim().is_empty() && title.first_prompt.as_deref().is_some_and(|p| p.contains(&begin))
}

/// Reads the transcripts that may show what a forgotten session owned, and returns what in them is not counted any more.
///
/// A copy of a record keeps its time: only transcripts of that time are read. One snapshot of the database decides what
/// is missing, so that the new owner does not depend on the order of reading.
pub(crate) fn reread(db: &Connection, left: &Unfinished) -> Result<Vec<Input>, StoreError> {
    let Some((from, to)) = left.window else { return Ok(Vec::new()) };
    let snapshot = db.unchecked_transaction()?;
    let mut found = Vec::new();
    for agent in &left.agents {
        for id in forgotten::active_since(&snapshot, *agent, from.min(clock::now()))? {
            let Some(row) = rows::load(&snapshot, id)? else { continue };
            if row.state.mains.values().any(|t| t.first_at.is_some_and(|first| first <= to)) {
                found.extend(files::of_session(&snapshot, id, &row.key)?);
            }
        }
    }
    let mut missing: BTreeMap<SessionKey, Vec<Event>> = BTreeMap::new();
    let mut failed = None;
    let threads = import::threads();
    import_files(&found, threads, |input| {
        let Input::Batch(batch) = input else { return ControlFlow::Continue(()) };
        let key = SessionKey { agent: batch.role.agent, id: batch.role.session };
        for event in batch.events {
            match forgotten::is_counted(&snapshot, &event) {
                Ok(true) => {}
                Ok(false) => missing.entry(key.clone()).or_default().push(event),
                Err(error) => {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    });
    if let Some(error) = failed {
        return Err(error);
    }
    Ok(missing.into_iter().map(|(session, events)| Input::Reclaimed { session, events }).collect())
}

/// Does what a process that was killed left to do, on the writer's own thread.
pub(crate) fn finish(core: &mut Core) -> Result<(), StoreError> {
    let Some(left) = core.unfinished()? else { return Ok(()) };
    let inputs = reread(&core.store.db, &left)?;
    core.apply_all(inputs, clock::now())?;
    if let Err(error) = core.wipe() {
        // What was asked to be forgotten is; only unused parts of the file still hold it. Tried again at the next start.
        tracing::error!(%error, "what was forgotten could not be wiped from the files");
    }
    Ok(())
}
