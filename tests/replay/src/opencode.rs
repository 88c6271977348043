//! OpenCode captures: `opencode.db.json` holds the database at the end, and in its table `event` every state its rows went
//! through. Each is shown to the decoder as a look at the database right after it would.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lamplight_engine::facts::FileRole;
use lamplight_model::ids::{Agent, SessionId, Timestamp};
use serde_json::{Value, json};

use crate::scenario::{Fact, Moment, Recorded, ms};
use crate::transcript::TranscriptFile;

/// Where a capture has its database.
pub(crate) const DATABASE: &str = "dot-local/share/opencode/opencode.db.json";

/// Where the captured database was.
const PATH: &str = "/home/dev2/.local/share/opencode/opencode.db";

/// Loads a scenario's facts.
pub(crate) fn load(folder: &Path) -> anyhow::Result<Recorded> {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("while reading {}", path.display()))
    };
    let timeline = read("timeline.jsonl")?;
    let first: Value = serde_json::from_str(timeline.lines().next().context("an empty timeline")?)?;
    let seconds = |key: &str| first[key].as_f64();
    let zero = Timestamp(ms(seconds("t").context("a row without t")?) - ms(seconds("dt").unwrap_or(0.0)));
    let database: Value = serde_json::from_str(&read(DATABASE)?)?;
    let events = database["event"].as_array().context("a database without events")?;
    let mut events: Vec<(i64, &Value)> =
        events.iter().map(|event| Ok((written_at(event, zero)?, event))).collect::<anyhow::Result<_>>()?;
    events.sort_by_key(|(at_ms, event)| (*at_ms, event["seq"].as_u64()));
    let mut sessions: BTreeMap<String, Session> = BTreeMap::new();
    let mut order: Vec<(i64, String)> = Vec::new();
    for (at_ms, event) in events {
        let id = event["aggregate_id"].as_str().context("an event of no session")?;
        let session = sessions.entry(id.to_owned()).or_default();
        session.see(event)?;
        order.push((at_ms, id.to_owned()));
    }
    let mut files = Vec::new();
    let mut numbers: BTreeMap<&String, (usize, usize)> = BTreeMap::new();
    for (number, (id, session)) in sessions.iter().enumerate() {
        let role = FileRole { agent: Agent::OpenCode, session: SessionId::new(id)?, subagent: None };
        let path = PathBuf::from(PATH).join(id);
        files.push(TranscriptFile::new(path, role, session.lines.clone()));
        numbers.insert(id, (number, 0));
    }
    let mut moments = Vec::new();
    for (at_ms, id) in &order {
        let (file, lines) = numbers.get_mut(id).context("a session that was not seen")?;
        *lines += 1;
        moments.push(Moment { at_ms: *at_ms, fact: Fact::Lines { file: *file, lines: *lines } });
    }
    Ok(Recorded { zero, files, moments })
}

/// A session as it stands, and how it was shown.
#[derive(Debug, Default)]
struct Session {
    messages: BTreeMap<String, Value>,
    parts: BTreeMap<String, BTreeMap<String, Value>>,
    lines: Vec<u8>,
}

impl Session {
    /// Takes an event, and shows the row that it changed.
    fn see(&mut self, event: &Value) -> anyhow::Result<()> {
        let data: Value = serde_json::from_str(event["data"].as_str().context("an event without data")?)?;
        let (info, part) = (&data["info"], &data["part"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let line = if part.is_object() {
            let message = text(&part["messageID"]);
            self.parts.entry(message.clone()).or_default().insert(text(&part["id"]), part.clone());
            self.message(&message)
        } else if info["role"].is_string() {
            let id = text(&info["id"]);
            self.messages.insert(id.clone(), info.clone());
            self.message(&id)
        } else {
            json!({"row": "session", "data": {
                "id": info["id"], "parent": info["parentID"], "directory": info["directory"],
                "title": info["title"], "version": info["version"], "created": info["time"]["created"],
                "permission": info["permission"],
            }})
        };
        serde_json::to_writer(&mut self.lines, &line)?;
        self.lines.push(b'\n');
        Ok(())
    }

    fn message(&self, id: &str) -> Value {
        let parts: Vec<Value> = self
            .parts
            .get(id)
            .into_iter()
            .flatten()
            .map(|(id, data)| json!({"id": id, "data": data}))
            .collect();
        json!({"row": "message", "id": id, "data": self.messages.get(id), "parts": parts})
    }
}

/// When an event was written, since the start: its id begins with the lower 36 bits of its milliseconds.
fn written_at(event: &Value, zero: Timestamp) -> anyhow::Result<i64> {
    const SPAN: i64 = 1 << 36;
    let id = event["id"].as_str().and_then(|id| id.strip_prefix("evt_")).context("an event without id")?;
    let low = i64::from_str_radix(id.get(..9).context("a short id")?, 16)?;
    Ok((low - zero.0).rem_euclid(SPAN))
}
