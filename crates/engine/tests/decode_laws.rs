//! Laws of decoding, tried on captured files and on what chance makes of them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

#[path = "../../../tests/cases.rs"]
mod cases;
#[path = "decode_support/story.rs"]
mod story;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use lamplight_engine::facts::{FileRole, IssueKind};
use lamplight_engine::sources::decode::{Decoded, Decoder};
use lamplight_model::event::Event;
use lamplight_model::ids::{Agent, Timestamp};
use proptest::prelude::*;
use serde_json::Value;

/// Every captured transcript: whose, and its lines.
static CAPTURES: LazyLock<Vec<(Agent, Vec<String>)>> = LazyLock::new(|| {
    let mut files = Vec::new();
    find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures"), &mut files);
    files.sort();
    let captures: Vec<_> = files
        .into_iter()
        .map(|(agent, path)| {
            let text = fs::read_to_string(path).expect("a fixture is text");
            (agent, text.lines().map(str::to_owned).collect())
        })
        .collect();
    assert!(captures.len() > 100, "{} captures", captures.len());
    captures
});

fn find(folder: &Path, files: &mut Vec<(Agent, PathBuf)>) {
    for entry in fs::read_dir(folder).expect("a fixture folder") {
        let path = entry.expect("a fixture").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let in_projects = path.components().any(|part| part.as_os_str() == "projects");
        if path.is_dir() {
            find(&path, files);
        } else if name.ends_with(".jsonl") && name.starts_with("rollout-") {
            files.push((Agent::Codex, path));
        } else if name.ends_with(".jsonl") && in_projects {
            files.push((Agent::ClaudeCode, path));
        }
    }
}

fn events<'a>(agent: Agent, lines: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
    let out = story::decode(&story::role(agent), lines);
    assert_eq!(out.issues, []);
    out.events
}

/// Checks that every capture gives the same facts when each of its lines is written another way.
fn check_rewritten(rewrite: impl Fn(&Value) -> String) {
    for (agent, lines) in CAPTURES.iter() {
        let rewritten: Vec<String> = lines
            .iter()
            .map(|line| rewrite(&serde_json::from_str(line).expect("a fixture is JSON")))
            .collect();
        assert_eq!(
            events(*agent, rewritten.iter().map(String::as_bytes)),
            events(*agent, lines.iter().map(String::as_bytes)),
        );
    }
}

/// Writes a value with this text after and before every sign, its members in the order of `order`.
fn write(value: &Value, blank: &str, order: fn(&mut Vec<&String>), out: &mut String) {
    let sign = |sign: char, out: &mut String| {
        out.push_str(blank);
        out.push(sign);
        out.push_str(blank);
    };
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            order(&mut names);
            sign('{', out);
            for (at, name) in names.into_iter().enumerate() {
                if at > 0 {
                    sign(',', out);
                }
                out.push_str(&serde_json::to_string(name).expect("a name"));
                sign(':', out);
                write(&members[name], blank, order, out);
            }
            sign('}', out);
        }
        Value::Array(elements) => {
            sign('[', out);
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    sign(',', out);
                }
                write(element, blank, order, out);
            }
            sign(']', out);
        }
        plain => out.push_str(&plain.to_string()),
    }
}

#[test]
fn spacing_says_nothing() {
    for blank in ["", " ", "\t \r"] {
        check_rewritten(|value| {
            let mut line = String::new();
            write(value, blank, |_| {}, &mut line);
            line
        });
    }
}

#[test]
fn the_order_of_members_says_nothing() {
    let orders: [fn(&mut Vec<&String>); 3] = [
        |names| names.sort(),
        |names| names.sort_by(|a, b| b.cmp(a)),
        |names| {
            names.sort_by_key(|name| (name.len(), name.bytes().rev().collect::<Vec<u8>>()));
        },
    ];
    for order in orders {
        check_rewritten(|value| {
            let mut line = String::new();
            write(value, "", order, &mut line);
            line
        });
    }
}

#[test]
fn characters_written_as_escapes_say_the_same() {
    // Codex outputs are looked at as they are written: escapes beyond the ones JSON needs hide an exit code there.
    let escape = |line: &String| line.replace('/', "\\/");
    for (agent, lines) in CAPTURES.iter() {
        let rewritten: Vec<String> = lines.iter().map(escape).collect();
        assert_eq!(
            events(*agent, rewritten.iter().map(String::as_bytes)),
            events(*agent, lines.iter().map(String::as_bytes)),
        );
    }
}

#[test]
fn a_decoder_kept_beside_the_cursor_goes_on_as_if_it_had_not_stopped() {
    for (agent, lines) in CAPTURES.iter() {
        let role = story::role(*agent);
        let whole = story::decode(&role, lines.iter().map(String::as_bytes));
        let mut decoder = Decoder::new(&role);
        let mut parts = Decoded::default();
        for line in lines {
            decoder.line(&role, line.as_bytes(), story::READ_AT, &mut parts);
            let kept = serde_json::to_string(&decoder).expect("plain data");
            decoder = serde_json::from_str(&kept).expect("what was kept");
        }
        assert_eq!(parts.events, whole.events);
        assert_eq!(parts.issues, whole.issues);
    }
}

#[test]
fn a_line_in_a_stream_gives_what_it_gives_in_memory() {
    for (agent, lines) in CAPTURES.iter() {
        let role = story::role(*agent);
        let (mut held, mut streamed) = (Decoder::new(&role), Decoder::new(&role));
        for line in lines {
            let (mut expected, mut out) = (Decoded::default(), Decoded::default());
            held.line(&role, line.as_bytes(), story::READ_AT, &mut expected);
            streamed.long_line(&role, line.as_bytes(), story::READ_AT, &mut out);
            // How an output ended is not looked at in a stream.
            let plain =
                |events: &[Event]| story::tell(events, &[]).replace(" error", "").replace(" refused", "");
            if *agent == Agent::Codex {
                assert_eq!(plain(&out.events), plain(&expected.events), "{line}");
            } else {
                assert_eq!(out.events, expected.events, "{line}");
            }
            assert_eq!(out.issues, [IssueKind::LongLine]);
        }
    }
}

#[test]
fn a_line_of_many_megabytes_is_read_in_a_stream() {
    let bulk = "x\\n".repeat(6_000_000);
    let line = format!(
        r#"{{"type":"user","uuid":"u","toolUseResult":{{"stdout":"{bulk}","backgroundTaskId":"b"}},"message":{{"content":[{{"type":"tool_result","content":"{bulk}","tool_use_id":"t"}}]}},"timestamp":"2026-11-20T12:00:00Z"}}"#
    );
    let role = story::role(Agent::ClaudeCode);
    let mut out = Decoded::default();
    Decoder::new(&role).long_line(&role, line.as_bytes(), story::READ_AT, &mut out);
    assert_eq!(
        story::tell(&out.events, &out.issues),
        "12:00:00.000 answer #1\n12:00:00.000 background Shell b runs\n! LongLine\n"
    );
    for bad in ["", "  ", "[1]", "{\"type\":\"user\"", "{\"type\":\"user\"} x", "\u{feff}{}"] {
        let mut out = Decoded::default();
        Decoder::new(&role).long_line(&role, bad.as_bytes(), story::READ_AT, &mut out);
        assert_eq!(
            (out.events, out.issues),
            (vec![], vec![IssueKind::LongLine, IssueKind::BadJson]),
            "{bad:?}"
        );
    }
}

/// Decodes bytes in both ways; what matters is that it comes back, and never with a fact after the moment of reading.
fn survives(role: &FileRole, bytes: &[u8]) {
    let read_at = Timestamp(1_795_177_000_000);
    for agent in Agent::WITH_TRANSCRIPTS {
        let role = FileRole { agent, ..role.clone() };
        let mut decoder = Decoder::new(&role);
        let mut out = Decoded::default();
        decoder.line(&role, bytes, read_at, &mut out);
        decoder.long_line(&role, bytes, read_at, &mut out);
        assert!(out.events.iter().all(|event| event.at <= read_at), "{:?}", out.events);
    }
}

fn any_line() -> impl Strategy<Value = Vec<u8>> {
    (any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(|(file, line)| {
        let (_, lines) = file.get(&CAPTURES);
        if lines.is_empty() { Vec::new() } else { line.get(lines).clone().into_bytes() }
    })
}

proptest! {
    #![proptest_config(cases::config(256))]

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        survives(&story::role(Agent::Codex), &bytes);
    }

    #[test]
    fn any_signs_of_json_are_survived(text in "[{}\\[\\]:,\"\\\\ tuypel0-9a-c\u{e9}]{0,200}") {
        survives(&story::role(Agent::Codex), text.as_bytes());
    }

    #[test]
    fn any_change_of_a_captured_line_is_survived(
        line in any_line(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        end in any::<prop::sample::Index>(),
        is_cut: bool,
    ) {
        let mut line = line;
        for (at, byte) in changes {
            if !line.is_empty() {
                let at = at.index(line.len());
                line[at] = byte;
            }
        }
        if is_cut && !line.is_empty() {
            line.truncate(end.index(line.len()));
        }
        survives(&story::role(Agent::ClaudeCode), &line);
    }

    /// A value of another type where one is expected costs at most the facts that need it, never the line.
    #[test]
    fn any_value_in_a_members_place_loses_no_line(line in any_line(), at in any::<prop::sample::Index>(), kind in 0usize..6) {
        let Ok(mut value) = serde_json::from_slice::<Value>(&line) else { return Ok(()) };
        let other = [Value::Null, 7.into(), (-1.5).into(), "x".into(), Value::Array(vec![1.into()]), serde_json::json!({"type": {}})][kind].clone();
        let mut places = Vec::new();
        list_places(&value, &mut String::new(), &mut places);
        if !places.is_empty() {
            *value.pointer_mut(&places[at.index(places.len())]).expect("a place in it") = other;
        }
        for agent in Agent::WITH_TRANSCRIPTS {
            let out = story::decode(&story::role(agent), [value.to_string().as_bytes()]);
            prop_assert!(!out.issues.contains(&IssueKind::BadJson), "{value}");
        }
    }
}

fn list_places(value: &Value, path: &mut String, places: &mut Vec<String>) {
    let end = path.len();
    let mut step = |name: &str, value: &Value| {
        path.push('/');
        path.push_str(&name.replace('~', "~0").replace('/', "~1"));
        places.push(path.clone());
        list_places(value, path, places);
        path.truncate(end);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| step(name, value)),
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(at, value)| step(&at.to_string(), value))
        }
        _ => {}
    }
}
