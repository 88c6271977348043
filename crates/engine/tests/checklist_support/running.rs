//! A running engine, and waiting for what it publishes.

use std::time::Duration;

use lamplight_engine::{Config, Engine, Subscription, clock};
use lamplight_model::ids::{SessionKey, Timestamp};
use lamplight_model::view::{ChangeSet, SessionCard, SessionPage, Status};
use tokio::sync::broadcast::error::RecvError;

use super::agents::Home;

/// Longest time an event may take on a busy machine; a test that passes never waits for it.
const DEADLINE: Duration = Duration::from_secs(60);

/// An engine that is stopped when the test ends.
pub struct Running {
    pub engine: Engine,
    waiting: tokio::runtime::Runtime,
}

impl Running {
    /// Starts over a home and waits until everything that is there has been read.
    pub fn start(home: &Home) -> Self {
        Self::with(home.config())
    }

    pub fn with(config: Config) -> Self {
        let engine = Engine::start(config).unwrap();
        let waiting = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let running = Self { engine, waiting };
        running.engine.rescan().unwrap();
        running
    }

    pub fn now(&self) -> Timestamp {
        clock::now()
    }

    /// Lists everything once more, so that what happened before is in the status whatever events there were.
    ///
    /// Twice, because a listing that was under way before may answer the first.
    pub fn settle(&self) {
        self.engine.rescan().unwrap();
        self.engine.rescan().unwrap();
        self.engine.barrier().unwrap();
    }

    pub fn status(&self) -> Status {
        self.engine.barrier().unwrap();
        self.engine.status().as_ref().clone()
    }

    pub fn shown(&self, name: &str) -> Option<SessionCard> {
        find(&self.status(), name).cloned()
    }

    pub fn card(&self, name: &str) -> SessionCard {
        let status = self.status();
        find(&status, name).unwrap_or_else(|| panic!("{name} is not shown: {}", told(&status))).clone()
    }

    /// Waits, woken by published changes alone, until the status satisfies `done`.
    pub fn until(&self, what: &str, done: impl Fn(&Status) -> bool) -> Status {
        let mut subscription = self.engine.subscribe();
        loop {
            let status = self.engine.status();
            if done(&status) {
                return status.as_ref().clone();
            }
            if !self.next(&mut subscription) {
                panic!("{what} did not come: {}", told(&self.engine.status()));
            }
        }
    }

    /// Waits until the card of a session satisfies `done`.
    pub fn until_card(&self, name: &str, what: &str, done: impl Fn(&SessionCard) -> bool) -> SessionCard {
        let status = self.until(what, |status| find(status, name).is_some_and(&done));
        find(&status, name).unwrap().clone()
    }

    fn next(&self, subscription: &mut Subscription) -> bool {
        let change = self
            .waiting
            .block_on(async { tokio::time::timeout(DEADLINE, subscription.changes.recv()).await });
        match change {
            Ok(Ok(_) | Err(RecvError::Lagged(_))) => true,
            Ok(Err(RecvError::Closed)) | Err(_) => false,
        }
    }

    /// Everything that was published since the subscription.
    pub fn heard(&self, subscription: &mut Subscription) -> Vec<ChangeSet> {
        self.engine.barrier().unwrap();
        let mut heard = Vec::new();
        while let Ok(change) = subscription.changes.try_recv() {
            heard.push(change.as_ref().clone());
        }
        heard
    }

    /// All sessions, page by page.
    pub fn pages(&self, limit: u32) -> Vec<SessionPage> {
        let mut pages: Vec<SessionPage> = Vec::new();
        loop {
            let before = pages.last().and_then(|p| p.next.clone());
            if !pages.is_empty() && before.is_none() {
                return pages;
            }
            pages.push(self.engine.sessions(None, before.as_deref(), limit).unwrap());
        }
    }

    /// Names of all sessions in the order of the pages.
    pub fn listed(&self, limit: u32) -> Vec<String> {
        self.pages(limit).iter().flat_map(|page| page.sessions.iter().map(name_of)).collect()
    }

    pub fn filed(&self, key: &SessionKey) -> SessionCard {
        self.engine.session(key).unwrap().unwrap_or_else(|| panic!("{key} is not known")).card
    }

    /// Stops it in order.
    pub fn stop(self) {
        self.engine.shutdown();
    }
}

pub fn name_of(card: &SessionCard) -> String {
    format!("{}:{}", card.agent, card.session_id)
}

pub fn find<'a>(status: &'a Status, name: &str) -> Option<&'a SessionCard> {
    status.sessions.iter().find(|card| name_of(card) == name)
}

fn told(status: &Status) -> String {
    serde_json::to_string_pretty(status).unwrap()
}

/// The database of a home, for looking at what is stored.
pub fn database(home: &Home) -> rusqlite::Connection {
    rusqlite::Connection::open(home.data_dir().join("lamplight.db")).unwrap()
}

pub fn count(home: &Home, sql: &str) -> i64 {
    database(home).query_row(sql, [], |row| row.get(0)).unwrap()
}
