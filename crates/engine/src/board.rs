//! What is on the screen, and the changes of it: the meeting point of the writer and everybody who watches.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lamplight_model::ids::Timestamp;
use lamplight_model::view::{
    ChangeSet, Hidden, ImportProgress, Service, SessionCard, SourceView, Status, Worktree,
};
use tokio::sync::broadcast;

/// Changes kept for subscribers that come back after a gap.
const HISTORY: usize = 256;

/// A snapshot and everything that follows it, without a gap.
#[derive(Debug)]
pub struct Subscription {
    /// The state at the moment of subscribing.
    pub snapshot: Arc<Status>,
    /// Every later change. A receiver that lags behind by more than 256 changes must subscribe anew.
    pub changes: broadcast::Receiver<Arc<ChangeSet>>,
}

/// Guards the screen's state. Held for a few microseconds by the writer after each commit, and by readers while they
/// copy; never over I/O.
#[derive(Debug)]
pub(crate) struct Board {
    inner: Mutex<Inner>,
    sender: broadcast::Sender<Arc<ChangeSet>>,
}

#[derive(Debug)]
struct Inner {
    engine_id: String,
    revision: u64,
    cards: BTreeMap<String, SessionCard>,
    hidden: Hidden,
    archived: u64,
    sources: Vec<SourceView>,
    services: Vec<Service>,
    worktrees: Vec<Worktree>,
    importing: Option<ImportProgress>,
    history: VecDeque<Arc<ChangeSet>>,
}

/// Changes gathered since the last publication.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub upserted: BTreeMap<String, SessionCard>,
    pub removed: Vec<String>,
    pub hidden: Option<Hidden>,
    pub archived: Option<u64>,
    pub sources: Option<Vec<SourceView>>,
    pub services: Option<Vec<Service>>,
    pub worktrees: Option<Vec<Worktree>>,
    pub importing: Option<ImportProgress>,
    pub importing_done: bool,
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.upserted.is_empty()
            && self.removed.is_empty()
            && self.hidden.is_none()
            && self.archived.is_none()
            && self.sources.is_none()
            && self.services.is_none()
            && self.worktrees.is_none()
            && self.importing.is_none()
            && !self.importing_done
    }
}

impl Board {
    pub(crate) fn new(engine_id: String) -> Self {
        let (sender, _) = broadcast::channel(HISTORY);
        let inner = Inner {
            engine_id,
            revision: 0,
            cards: BTreeMap::new(),
            hidden: Hidden::default(),
            archived: 0,
            sources: Vec::new(),
            services: Vec::new(),
            worktrees: Vec::new(),
            importing: None,
            history: VecDeque::new(),
        };
        Self { inner: Mutex::new(inner), sender }
    }

    /// A panic while holding the lock leaves plain data behind; going on with it is right.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what is pending and tells everybody. Does nothing when nothing differs from what is shown.
    pub(crate) fn publish(&self, pending: Pending, now: Timestamp) {
        let mut inner = self.lock();
        let Pending {
            upserted,
            removed,
            hidden,
            archived,
            sources,
            services,
            worktrees,
            importing,
            importing_done,
        } = pending;
        let upserted: Vec<SessionCard> = upserted
            .into_iter()
            .filter(|(key, card)| inner.cards.get(key) != Some(card))
            .map(|(_, card)| card)
            .collect();
        let removed: Vec<String> = removed.into_iter().filter(|key| inner.cards.contains_key(key)).collect();
        let hidden = hidden.filter(|h| *h != inner.hidden);
        let archived = archived.filter(|a| *a != inner.archived);
        let sources = sources.filter(|s| *s != inner.sources);
        let services = services.filter(|s| *s != inner.services);
        let worktrees = worktrees.filter(|w| *w != inner.worktrees);
        let importing = importing.filter(|p| Some(*p) != inner.importing);
        let importing_done = importing_done && inner.importing.is_some();
        if upserted.is_empty()
            && removed.is_empty()
            && hidden.is_none()
            && archived.is_none()
            && sources.is_none()
            && services.is_none()
            && worktrees.is_none()
            && importing.is_none()
            && !importing_done
        {
            return;
        }
        for key in &removed {
            inner.cards.remove(key);
        }
        for card in &upserted {
            inner.cards.insert(format!("{}:{}", card.agent, card.session_id), card.clone());
        }
        inner.hidden = hidden.unwrap_or(inner.hidden);
        inner.archived = archived.unwrap_or(inner.archived);
        if let Some(sources) = &sources {
            inner.sources.clone_from(sources);
        }
        if let Some(services) = &services {
            inner.services.clone_from(services);
        }
        if let Some(worktrees) = &worktrees {
            inner.worktrees.clone_from(worktrees);
        }
        if importing.is_some() {
            inner.importing = importing;
        }
        if importing_done {
            inner.importing = None;
        }
        let since = inner.revision;
        inner.revision += 1;
        let change = Arc::new(ChangeSet {
            engine_id: inner.engine_id.clone(),
            since,
            revision: inner.revision,
            at_ms: now.0,
            upserted,
            removed,
            worktrees,
            services,
            sources,
            hidden,
            archived,
            importing,
            importing_done,
        });
        if inner.history.len() == HISTORY {
            inner.history.pop_front();
        }
        inner.history.push_back(Arc::clone(&change));
        // An error means that nobody listens, which is fine.
        let _ = self.sender.send(change);
    }

    /// Copies the whole state.
    pub(crate) fn status(&self, now: Timestamp) -> Status {
        Self::copy(&self.lock(), now)
    }

    /// The state and what follows it, without a gap.
    pub(crate) fn subscribe(&self, now: Timestamp) -> Subscription {
        let inner = self.lock();
        // Under the lock: `publish` cannot come between the two.
        let changes = self.sender.subscribe();
        Subscription { snapshot: Arc::new(Self::copy(&inner, now)), changes }
    }

    /// Changes after `revision`, and what follows them; `None` when they are not known any more.
    #[expect(clippy::type_complexity, reason = "a pair that exists once")]
    pub(crate) fn changes_since(
        &self,
        engine_id: &str,
        revision: u64,
    ) -> Option<(Vec<Arc<ChangeSet>>, broadcast::Receiver<Arc<ChangeSet>>)> {
        let inner = self.lock();
        if engine_id != inner.engine_id || revision > inner.revision {
            return None;
        }
        let missed: Vec<_> = inner.history.iter().filter(|c| c.since >= revision).cloned().collect();
        let complete = missed.first().map_or(revision == inner.revision, |c| c.since == revision);
        complete.then(|| (missed, self.sender.subscribe()))
    }

    /// A card that is on the screen.
    pub(crate) fn card(&self, key: &str) -> Option<SessionCard> {
        self.lock().cards.get(key).cloned()
    }

    /// Health of a source, once it is known.
    pub(crate) fn source_state(&self, name: &str) -> Option<lamplight_model::view::SourceHealth> {
        self.lock().sources.iter().find(|s| s.name == name).map(|s| s.state)
    }

    fn copy(inner: &Inner, now: Timestamp) -> Status {
        Status {
            engine_id: inner.engine_id.clone(),
            revision: inner.revision,
            at_ms: now.0,
            sessions: inner.cards.values().cloned().collect(),
            worktrees: inner.worktrees.clone(),
            services: inner.services.clone(),
            hidden: inner.hidden,
            archived: inner.archived,
            sources: inner.sources.clone(),
            importing: inner.importing,
        }
    }
}
