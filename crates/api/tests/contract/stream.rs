//! The stream, as a browser reads it with `fetch`.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::host::{CLAUDE, Host, read_head};

/// One event: its fields by name.
#[derive(Debug, Default)]
struct Event {
    fields: Vec<(String, String)>,
}

impl Event {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn data(&self) -> Value {
        serde_json::from_str(self.field("data").unwrap()).unwrap()
    }
}

/// Chunks of the body, undone; then lines; then events.
struct Events {
    stream: BufReader<TcpStream>,
    text: String,
}

impl Events {
    fn open(host: &Host, last_event_id: Option<&str>) -> Self {
        let mut request = host.request("GET", "/api/v1/stream");
        if let Some(id) = last_event_id {
            request = request.with("Last-Event-ID", id);
        }
        let mut stream = BufReader::new(host.open(&request));
        let (status, headers) = read_head(&mut stream);
        assert_eq!(status, 200);
        assert!(
            headers.iter().any(|(name, value)| name == "content-type" && value == "text/event-stream"),
            "{headers:?}"
        );
        assert!(
            headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked"),
            "{headers:?}"
        );
        Self { stream, text: String::new() }
    }

    /// Waits for the next event; `None` when the server ended the stream in order.
    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = Event {
                    fields: event
                        .lines()
                        .filter(|line| !line.starts_with(':'))
                        .filter_map(|line| line.split_once(": "))
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .collect(),
                };
                self.text = rest.to_owned();
                return Some(event);
            }
            let mut size = String::new();
            self.stream.read_line(&mut size).unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            if size == 0 {
                return None;
            }
            let mut chunk = vec![0; size + 2];
            std::io::Read::read_exact(&mut self.stream, &mut chunk).unwrap();
            self.text.push_str(std::str::from_utf8(&chunk[..size]).unwrap());
        }
    }
}

/// Names the session and waits until that has come through `events`; returns the event that says so.
fn rename(host: &Host, events: &mut Events, label: &str) -> Event {
    host.post(&format!("/api/v1/sessions/{CLAUDE}/label"), &json!({ "label": label }));
    loop {
        let event = events.next().unwrap();
        let change = event.data();
        if change["upserted"].as_array().is_some_and(|cards| cards.iter().any(|card| card["label"] == label))
        {
            return event;
        }
    }
}

#[test]
fn first_a_snapshot_then_changes_that_lead_on_from_it_b1_b2_b3() {
    let host = Host::new();
    let mut events = Events::open(&host, None);
    assert_eq!(events.next().unwrap().field("retry"), Some("2000"));
    let snapshot = events.next().unwrap();
    assert_eq!(snapshot.field("event"), Some("snapshot"));
    let status = snapshot.data();
    let id = |state: &Value| format!("{}-{}", state["engine_id"].as_str().unwrap(), state["revision"]);
    assert_eq!(snapshot.field("id"), Some(id(&status).as_str()));
    assert_eq!(status["sessions"].as_array().unwrap().len(), 3);
    assert!(status["at_ms"].as_i64().is_some_and(|at| at > 1_700_000_000_000), "the server's own time");

    host.post(&format!("/api/v1/sessions/{CLAUDE}/label"), &json!({"label": "shed"}));
    let mut revision = status["revision"].as_u64().unwrap();
    loop {
        let event = events.next().unwrap();
        assert_eq!(event.field("event"), Some("change"));
        let change = event.data();
        assert_eq!(event.field("id"), Some(id(&change).as_str()));
        assert_eq!(change["since"].as_u64(), Some(revision), "no gap");
        for key in [
            "engine_id",
            "since",
            "revision",
            "at_ms",
            "upserted",
            "removed",
            "worktrees",
            "services",
            "sources",
        ] {
            assert!(change.get(key).is_some(), "{key}");
        }
        revision = change["revision"].as_u64().unwrap();
        if change["upserted"].as_array().unwrap().iter().any(|card| card["label"] == "shed") {
            break;
        }
    }
}

#[test]
fn a_known_event_id_resumes_and_an_unknown_one_starts_afresh() {
    let host = Host::new();
    let mut first = Events::open(&host, None);
    first.next().unwrap();
    let snapshot = first.next().unwrap();
    let seen = snapshot.field("id").unwrap().to_owned();
    rename(&host, &mut first, "while you were away");

    let mut resumed = Events::open(&host, Some(&seen));
    assert_eq!(resumed.next().unwrap().field("retry"), Some("2000"));
    let missed = resumed.next().unwrap();
    assert_eq!(missed.field("event"), Some("change"));
    assert_eq!(missed.data()["since"], snapshot.data()["revision"]);

    for unknown in ["other-engine-1".to_owned(), "nonsense".to_owned(), format!("{seen}000"), "-".to_owned()]
    {
        let mut afresh = Events::open(&host, Some(&unknown));
        afresh.next().unwrap();
        assert_eq!(afresh.next().unwrap().field("event"), Some("snapshot"), "{unknown}");
    }
}

#[test]
fn resuming_from_any_event_loses_nothing_and_repeats_nothing() {
    let host = Host::new();
    let mut reader = Events::open(&host, None);
    reader.next().unwrap();
    let mut known = vec![reader.next().unwrap().field("id").unwrap().to_owned()];
    for n in 0..4 {
        known.push(rename(&host, &mut reader, &format!("name {n}")).field("id").unwrap().to_owned());
    }
    rename(&host, &mut reader, "the last");
    for id in known {
        let mut resumed = Events::open(&host, Some(&id));
        resumed.next().unwrap();
        let mut revision: u64 = id.rsplit_once('-').unwrap().1.parse().unwrap();
        loop {
            let change = resumed.next().unwrap().data();
            assert_eq!(change["since"].as_u64(), Some(revision), "from {id}");
            revision = change["revision"].as_u64().unwrap();
            if change["upserted"].as_array().unwrap().iter().any(|card| card["label"] == "the last") {
                break;
            }
        }
    }
}

#[test]
fn stopping_ends_the_streams_in_order() {
    let mut host = Host::new();
    let mut events = Events::open(&host, None);
    events.next().unwrap();
    events.next().unwrap();
    host.stop_serving();
    // What was told before the stop may still be on its way.
    while let Some(event) = events.next() {
        assert_eq!(event.field("event"), Some("change"));
    }
}
