//! The generator's word against a reader that does not know it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::fs;
use std::path::Path;

use lamplight_store_generator::plan::DEFAULT_UNTIL_MS;
use lamplight_store_generator::{Family, Report, Request, count::count, generate};
use serde_json::Value;

fn request(home: &Path, seed: u64, families: &[Family]) -> Request {
    Request {
        home: home.to_owned(),
        bytes: 5_000_000,
        files: 40,
        seed,
        spaced: false,
        until_ms: DEFAULT_UNTIL_MS,
        families: families.to_vec(),
    }
}

fn all_families() -> Vec<Family> {
    Family::ALL.map(|(family, _)| family).to_vec()
}

/// Writes a store, reads it back with the plain reader, and holds the two against each other.
fn check(request: &Request) -> Report {
    let report = generate(request).unwrap();
    let decided: Value = serde_json::from_str(&report.truth.to_json()).unwrap();
    assert_eq!(
        decided,
        count(&request.home).unwrap(),
        "families {:?}, seed {}",
        request.families,
        request.seed
    );
    report
}

#[test]
fn the_plain_reader_agrees_with_what_was_decided() {
    for seed in [1, 7, 42] {
        let home = tempfile::tempdir().unwrap();
        let report = check(&request(home.path(), seed, &all_families()));
        assert_eq!(report.files, 40);
        assert!(report.bytes.abs_diff(5_000_000) < 1_500_000, "{} bytes", report.bytes);
    }
}

#[test]
fn each_family_agrees_alone() {
    for family in all_families() {
        let home = tempfile::tempdir().unwrap();
        check(&request(home.path(), 3, &[family]));
    }
}

#[test]
fn spaces_change_bytes_and_no_total() {
    let (compact, spaced) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let codex = [Family::Codex];
    let first = check(&request(compact.path(), 5, &codex));
    let second = check(&Request { spaced: true, ..request(spaced.path(), 5, &codex) });
    assert!(second.bytes > 0 && first.bytes > 0);
    let line = some_line(spaced.path());
    assert!(line.starts_with("{\"timestamp\": \""), "{line:.80}");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let (one, two, other) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    generate(&request(one.path(), 9, &all_families())).unwrap();
    generate(&request(two.path(), 9, &all_families())).unwrap();
    generate(&request(other.path(), 10, &all_families())).unwrap();
    assert_eq!(files(one.path()), files(two.path()));
    assert_ne!(files(one.path()), files(other.path()));
}

/// A store is only a test if the odd cases are in it.
#[test]
fn a_store_holds_the_cases_that_readers_get_wrong() {
    let home = tempfile::tempdir().unwrap();
    generate(&Request { bytes: 100_000_000, files: 500, ..request(home.path(), 7, &all_families()) })
        .unwrap();
    let text: String =
        files(home.path()).into_iter().map(|(_, bytes)| String::from_utf8(bytes).unwrap()).collect();
    for needle in [
        "\"requestSessionId\":\"",
        "\"forkedFrom\":{",
        "\"sessionKind\":\"bg\"",
        "\"continuedInSessionId\":",
        "\"type\":\"queued_command\"",
        "<task-notification>",
        "\"isMeta\":true",
        "\"isCompactSummary\":true",
        "\"model\":\"<synthetic>\"",
        "\"isAbortedMidStream\":true",
        "\"subtype\":\"api_error\"",
        "<command-name>",
        "<bash-input>",
        "\"parentAgentId\":",
        "\"type\":\"prompt_snapshot\"",
        "\"type\":\"api-request\"",
        "\"type\":\"cost-state\"",
        "\"type\":\"ai-title\"",
        "\"type\":\"custom-title\"",
        "\"subtype\":\"turn_duration\"",
        "\"type\":\"summary\"",
        "\"thread_source\":\"subagent\"",
        "\"history_base\":{",
        "\"type\":\"compacted\"",
        "\"type\":\"turn_aborted\"",
        "\"codex_error_info\":",
        "\"info\":null",
    ] {
        assert!(text.contains(needle), "no {needle} in a store of 100 MB");
    }
    assert!(files(home.path()).iter().any(|(path, _)| path.contains("archived_sessions")));
    assert!(files(home.path()).iter().any(|(path, bytes)| path.contains("projects") && bytes.is_empty()));
}

/// A Codex fork names its parent's length at a turn's end; a reader follows it with a seek.
#[test]
fn a_codex_fork_points_at_the_end_of_a_line_of_its_parent() {
    for spaced in [false, true] {
        let home = tempfile::tempdir().unwrap();
        generate(&Request { files: 200, spaced, ..request(home.path(), 4, &[Family::Codex]) }).unwrap();
        let rollouts = files(home.path());
        let mut forks = 0;
        for (_, bytes) in rollouts.iter().filter(|(path, _)| path.contains("rollout-")) {
            let base = &first_record(bytes)["payload"]["history_base"];
            let Some(parent) = base["thread_id"].as_str() else { continue };
            let end = usize::try_from(base["end_byte_offset"].as_u64().unwrap()).unwrap();
            let (_, parent) = rollouts.iter().find(|(path, _)| path.contains(parent)).unwrap();
            let before = parent[..end].strip_suffix(b"\n").unwrap();
            let last = before.rsplit(|byte| *byte == b'\n').next().unwrap();
            let last: Value = serde_json::from_slice(last).unwrap();
            assert_eq!(
                last["ordinal"].as_u64().unwrap() + 1,
                base["end_ordinal_exclusive"].as_u64().unwrap()
            );
            forks += 1;
        }
        assert!(forks > 0, "no fork among 200 rollouts");
    }
}

/// Importers clamp the future; a store is not the place to find out by accident.
#[test]
fn no_record_is_later_than_the_end_of_time() {
    let home = tempfile::tempdir().unwrap();
    let until_ms = 1_700_000_000_000;
    generate(&Request { until_ms, ..request(home.path(), 8, &all_families()) }).unwrap();
    let end = "2023-11-14T22:13:20.000Z";
    for (path, bytes) in files(home.path()) {
        for line in String::from_utf8(bytes).unwrap().lines().filter(|_| path.contains("projects/")) {
            let record: Value = serde_json::from_str(line).unwrap();
            assert!(
                record["timestamp"].as_str().unwrap_or_default() <= end,
                "{path}: {}",
                record["timestamp"]
            );
        }
    }
}

fn first_record(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes.split(|byte| *byte == b'\n').next().unwrap()).unwrap()
}

fn some_line(home: &Path) -> String {
    let (_, bytes) = files(home).into_iter().find(|(path, _)| path.contains("rollout-")).unwrap();
    String::from_utf8(bytes).unwrap().lines().next().unwrap().to_owned()
}

/// Every file of a store with its path, in one order.
fn files(home: &Path) -> Vec<(String, Vec<u8>)> {
    fn walk(folder: &Path, home: &Path, found: &mut Vec<(String, Vec<u8>)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, home, found);
            } else {
                let name = path.strip_prefix(home).unwrap().to_string_lossy().into_owned();
                found.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(home, home, &mut found);
    found.sort();
    found
}
