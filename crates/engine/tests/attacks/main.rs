//! Orders of events that tempt the state and the notices to say something wrong.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

#[path = "../checklist_support/mod.rs"]
mod checklist_support;

mod codex;
mod notices;
mod state;
mod work;

use std::fs;
use std::path::PathBuf;

use checklist_support::agents::{Claude, Home};
use checklist_support::clocked::{Clocked, T0};
use checklist_support::running::database;
use lamplight_engine::Config;
use lamplight_engine::config::Notify;
use lamplight_engine::facts::{HookFact, Input, RegistryUpdate};
use lamplight_engine::sources::decode::{self, Hooked};
use lamplight_engine::store::Store;
use lamplight_model::attention::CauseKind;
use lamplight_model::ids::{Agent, SessionId, SessionKey, Timestamp};
use lamplight_model::session::{EntryKind, RegistryEntry, RegistryStatus, Validity};
use lamplight_model::view::SessionCard;
use serde_json::{Value, json};

const PID: u32 = 4_194_001;

fn at(ms: i64) -> Timestamp {
    T0.plus_ms(ms)
}

fn waits() -> RegistryStatus {
    RegistryStatus::Waiting("permission prompt".to_owned())
}

/// What a registry file says of one process.
fn registry(
    key: &SessionKey,
    pid: u32,
    status: RegistryStatus,
    validity: Validity,
    started: Timestamp,
    at: Timestamp,
) -> Input {
    let entry = RegistryEntry {
        cwd: None,
        kind: EntryKind::Interactive,
        name: None,
        named_by_user: false,
        status: Some(status),
        version: Some("2.1.329".to_owned()),
        spare: false,
        started_at: Some(started),
    };
    Input::Registry(RegistryUpdate {
        agent: key.agent,
        pid,
        session: key.id.clone(),
        entry,
        validity,
        status_at: at,
        read_at: at,
    })
}

fn removed(key: &SessionKey, pid: u32, at: Timestamp) -> Input {
    Input::RegistryRemoved { agent: key.agent, pid, session: key.id.clone(), at }
}

fn hooked(agent: Agent, session: &SessionId, event: &str, at: Timestamp, more: Value) -> Input {
    let mut payload = json!({"session_id": session.as_str(), "hook_event_name": event, "cwd": "/"});
    for (key, value) in more.as_object().unwrap() {
        payload[key.as_str()] = value.clone();
    }
    let line =
        json!({"v": 1, "agent": agent.as_str(), "received_at_ms": at.0, "pid_parent": 1, "payload": payload});
    let (hooked, _) = decode::hook(line.to_string().as_bytes(), at).unwrap();
    let Hooked { agent, session, hook } = hooked.unwrap();
    Input::Hook(HookFact { file: PathBuf::new(), agent, session, hook })
}

/// A pipeline over a database that outlives it, with one session.
struct Case {
    home: Home,
    clocked: Clocked,
    key: SessionKey,
}

impl Case {
    fn new() -> (Self, Claude) {
        Self::with(Notify::default())
    }

    fn with(notify: Notify) -> (Self, Claude) {
        let home = Home::new();
        fs::create_dir_all(home.data_dir()).unwrap();
        let config = Config { notify, ..home.config() };
        let mut clocked = Clocked::over(Store::open(&home.data_dir(), false).unwrap(), config, T0);
        clocked.core.first_look_done(T0).unwrap();
        let session = home.claude(1, "shop");
        (Self { clocked, key: session.key(), home }, session)
    }

    fn put(&mut self, input: Input, now: Timestamp) {
        self.clocked.core.apply_all(vec![input], now).unwrap();
    }

    fn registry(&mut self, status: RegistryStatus, at: Timestamp) {
        self.put(registry(&self.key, PID, status, Validity::Valid, T0, at), at);
    }

    fn hook(&mut self, event: &str, at: Timestamp, more: Value) {
        self.put(hooked(self.key.agent, &self.key.id, event, at, more), at);
    }

    fn read(&mut self, session: &Claude, now: Timestamp) {
        self.clocked.read(&session.key(), None, &session.path, now);
    }

    fn card(&mut self, now: Timestamp) -> SessionCard {
        self.clocked.pass(now);
        self.clocked.card(&self.key.clone(), now)
    }

    fn run_until(&mut self, now: Timestamp) {
        self.clocked.run_until(now);
    }

    /// The engine was stopped in order and is started again over the same database.
    fn restarted(self, stopped: Timestamp, now: Timestamp) -> Self {
        let Self { home, clocked, key } = self;
        let config = home.config();
        let core = clocked.core.restarted(stopped).unwrap();
        drop(core);
        let clocked = Clocked::over(Store::open(&home.data_dir(), false).unwrap(), config, now);
        Self { home, clocked, key }
    }

    fn log(&self) -> Vec<String> {
        logged(&self.home)
    }
}

/// What became of each cause, the oldest first.
fn logged(home: &Home) -> Vec<String> {
    let db = database(home);
    let mut all = db
        .prepare("SELECT kind || ' ' || outcome || ' ' || coalesce(why, '') FROM notices ORDER BY id")
        .unwrap();
    let rows = all.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(|row| row.unwrap().trim_end().to_owned()).collect()
}

fn kind(card: &SessionCard) -> Option<CauseKind> {
    card.attention.as_ref().map(|a| a.cause)
}
