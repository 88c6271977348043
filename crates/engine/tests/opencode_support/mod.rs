//! A stand-in for OpenCode: a database with its tables, to which the events of a capture are written one by one, each in
//! one transaction with the row it changes, as OpenCode does.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};

use lamplight_engine::config::Root;
use lamplight_engine::facts::{Cursor, FileBatch, FileRole};
use lamplight_engine::sources::discover::{self, Found, Listing};
use lamplight_engine::sources::tail::{Flow, Position, Tailer};
use lamplight_model::event::Event;
use lamplight_model::fold::fold;
use lamplight_model::ids::{Agent, SessionId, Timestamp};
use lamplight_model::session::Transcript;
use rusqlite::Connection;
use serde_json::Value;

/// The captures, by name.
pub const CAPTURES: [&str; 3] = ["run_basic", "run_tools", "tui"];

/// After everything in the captures.
pub const LATER: Timestamp = Timestamp(1_795_180_000_000);

/// A captured database.
pub struct Capture {
    pub schema: Vec<String>,
    pub events: Vec<Value>,
    pub tables: Value,
}

/// Reads a capture, its moments moved by so many milliseconds.
pub fn capture(name: &str, moved_ms: i64) -> Capture {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/opencode")
        .join(name)
        .join("dot-local/share/opencode/opencode.db.json");
    let text = moved(&std::fs::read_to_string(path).unwrap(), moved_ms);
    let tables: Value = serde_json::from_str(&text).unwrap();
    let schema = tables["schema"].as_array().unwrap();
    Capture {
        schema: schema.iter().map(|sql| sql.as_str().unwrap().to_owned()).collect(),
        events: tables["event"].as_array().unwrap().clone(),
        tables,
    }
}

/// Moves every moment of 20 November 2026 in a text.
fn moved(text: &str, by_ms: i64) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("1795176") {
        let (before, number) = rest.split_at(at);
        let (number, after) = number.split_at(13);
        out.push_str(before);
        out.push_str(&(number.parse::<i64>().unwrap() + by_ms).to_string());
        rest = after;
    }
    out + rest
}

/// OpenCode over one database, in a home of its own.
pub struct OpenCode {
    pub home: tempfile::TempDir,
    pub db: Option<Connection>,
}

impl OpenCode {
    /// Starts it for the first time.
    pub fn start(schema: &[String]) -> Self {
        let mut opencode = Self { home: tempfile::tempdir().unwrap(), db: None };
        opencode.set_up(schema);
        opencode
    }

    /// Makes its folder and its database.
    pub fn set_up(&mut self, schema: &[String]) {
        std::fs::create_dir_all(self.root().path).unwrap();
        self.open();
        let db = self.db.as_ref().unwrap();
        db.execute_batch(
            "CREATE TABLE event_sequence (aggregate_id TEXT PRIMARY KEY, seq INTEGER NOT NULL, owner_id TEXT);
             CREATE TABLE project (id TEXT PRIMARY KEY);
             INSERT INTO project VALUES ('global');",
        )
        .unwrap();
        for table in schema {
            db.execute_batch(table).unwrap();
        }
        db.execute_batch(
            "CREATE INDEX message_session_time_created_id_idx ON message (session_id, time_created, id);
             CREATE INDEX part_message_id_id_idx ON part (message_id, id);
             CREATE INDEX part_session_idx ON part (session_id);
             CREATE INDEX event_aggregate_seq_idx ON event (aggregate_id, seq);",
        )
        .unwrap();
    }

    /// Starts it again, with the pragmas it has.
    pub fn open(&mut self) {
        let db = Connection::open(self.database()).unwrap();
        db.pragma_update(None, "journal_mode", "WAL").unwrap();
        // What a reader could hold up fails at once.
        db.busy_timeout(std::time::Duration::ZERO).unwrap();
        self.db = Some(db);
    }

    /// Lets it leave.
    pub fn close(&mut self) {
        self.db.take().unwrap().close().unwrap();
    }

    pub fn root(&self) -> Root {
        let path = self.home.path().join(".local/share/opencode");
        Root { agent: Agent::OpenCode, path, is_default: true }
    }

    pub fn database(&self) -> PathBuf {
        self.root().path.join("opencode.db")
    }

    pub fn beside(&self, ending: &str) -> PathBuf {
        self.root().path.join(format!("opencode.db{ending}"))
    }

    pub fn sql(&self, sql: &str) {
        self.db.as_ref().unwrap().execute_batch(sql).unwrap();
    }

    /// Writes one event and the row that it changes.
    pub fn write(&mut self, event: &Value) {
        let data: Value = serde_json::from_str(event["data"].as_str().unwrap()).unwrap();
        let session = event["aggregate_id"].as_str().unwrap();
        let change = self.db.as_mut().unwrap().transaction().unwrap();
        change
            .execute(
                "INSERT INTO event_sequence (aggregate_id, seq) VALUES (?1, ?2)
                 ON CONFLICT DO UPDATE SET seq = excluded.seq",
                (session, event["seq"].as_i64()),
            )
            .unwrap();
        change
            .execute(
                "INSERT INTO event (id, aggregate_id, seq, type, data) VALUES (?1, ?2, ?3, ?4, ?5)",
                (
                    event["id"].as_str(),
                    session,
                    event["seq"].as_i64(),
                    event["type"].as_str(),
                    event["data"].as_str(),
                ),
            )
            .unwrap();
        let (info, part) = (&data["info"], &data["part"]);
        let at = data["time"].as_i64();
        if part.is_object() {
            change
                .execute(
                    "INSERT INTO part (id, message_id, session_id, time_created, time_updated, data)
                     VALUES (?1, ?2, ?3, ?4, ?4, ?5)
                     ON CONFLICT (id) DO UPDATE SET data = excluded.data, time_updated = excluded.time_updated",
                    (
                        part["id"].as_str(),
                        part["messageID"].as_str(),
                        session,
                        at,
                        without(part, &["id", "messageID", "sessionID"]),
                    ),
                )
                .unwrap();
        } else if info["role"].is_string() {
            change
                .execute(
                    "INSERT INTO message (id, session_id, time_created, time_updated, data)
                     VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (id) DO UPDATE SET data = excluded.data, time_updated = excluded.time_updated",
                    (
                        info["id"].as_str(),
                        session,
                        info["time"]["created"].as_i64(),
                        info["time"]["completed"].as_i64().or(info["time"]["created"].as_i64()),
                        without(info, &["id", "sessionID"]),
                    ),
                )
                .unwrap();
        } else {
            let permission = (!info["permission"].is_null()).then(|| info["permission"].to_string());
            change
                .execute(
                    "INSERT INTO session (id, project_id, parent_id, slug, directory, title, version, permission,
                                          time_created, time_updated)
                     VALUES (?1, 'global', ?2, 's', ?3, ?4, ?5, ?6, ?7, ?8)
                     ON CONFLICT (id) DO UPDATE SET title = excluded.title, directory = excluded.directory,
                         time_updated = excluded.time_updated",
                    (
                        info["id"].as_str(),
                        info["parentID"].as_str(),
                        info["directory"].as_str(),
                        info["title"].as_str(),
                        info["version"].as_str(),
                        permission,
                        info["time"]["created"].as_i64(),
                        info["time"]["updated"].as_i64(),
                    ),
                )
                .unwrap();
        }
        change.commit().unwrap();
    }

    /// What a listing of its folder finds.
    pub fn list(&self) -> Listing {
        discover::list(&self.root(), &|_| None).unwrap()
    }

    /// The only session.
    pub fn only(&self) -> Found {
        let mut listing = self.list();
        assert_eq!((listing.trouble, listing.found.len()), (None, 1));
        listing.found.remove(0)
    }
}

/// The JSON of a row: its columns are not in it.
fn without(object: &Value, columns: &[&str]) -> String {
    let mut object = object.as_object().unwrap().clone();
    object.retain(|name, _| !columns.contains(&name.as_str()));
    Value::Object(object).to_string()
}

/// What was read of a session, and where reading stands.
pub struct Reading {
    cursor: Option<Cursor>,
    pub state: Transcript,
    pub batches: usize,
    /// What is said to each batch.
    pub flow: Flow,
}

impl Default for Reading {
    fn default() -> Self {
        Self { cursor: None, state: Transcript::default(), batches: 0, flow: Flow::Continue }
    }
}

impl Reading {
    /// Reads what is new; returns the facts.
    pub fn read(&mut self, found: &Found) -> Vec<Event> {
        self.read_with(found, &mut Tailer::default())
    }

    pub fn read_with(&mut self, found: &Found, tailer: &mut Tailer) -> Vec<Event> {
        let mut position = Position::from(self.cursor.take());
        let mut facts = Vec::new();
        let mut take = |batch: FileBatch| {
            if batch.reset || batch.from == 0 && self.batches > 0 {
                self.state = Transcript::default();
            }
            batch.events.iter().for_each(|event| fold(&mut self.state, event));
            assert!(batch.issues.is_empty(), "{:?}", batch.issues);
            facts.extend(batch.events);
            self.batches += 1;
            self.flow
        };
        tailer.read(&found.path, &found.role, &mut position, LATER, &mut take).unwrap();
        self.cursor = position.cursor;
        facts
    }

    /// Where reading stands.
    pub fn revision(&self) -> Option<u64> {
        self.cursor.as_ref().map(|cursor| cursor.offset)
    }
}

/// The state of a session that is read for the first time.
pub fn whole(found: &Found) -> Transcript {
    let mut reading = Reading::default();
    reading.read(found);
    reading.state
}

pub fn role(session: &str) -> FileRole {
    FileRole { agent: Agent::OpenCode, session: SessionId::new(session).unwrap(), subagent: None }
}
