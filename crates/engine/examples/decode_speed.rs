//! Decodes every transcript below a folder and says how fast: `decode_speed FOLDER [ROUNDS]`.
//!
//! Files are read into memory first, so that the decoder alone is measured, on one thread. The best round counts: what
//! else the machine does can only slow one down.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a measurement is printed")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use lamplight_engine::facts::{FileRole, IssueKind};
use lamplight_engine::sources::decode::{Decoded, Decoder};
use lamplight_model::ids::{Agent, SessionId, Timestamp};

/// Most transcript bytes held in memory.
const MAX_BYTES: usize = 1 << 30;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(folder) = arguments.next() else {
        eprintln!("usage: decode_speed FOLDER [ROUNDS]");
        std::process::exit(2);
    };
    let rounds: u32 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(3);
    let mut files = Vec::new();
    find(Path::new(&folder), &mut files);
    files.sort();
    let mut held = 0;
    let mut texts = Vec::new();
    for path in files {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        if held + bytes.len() > MAX_BYTES {
            break;
        }
        held += bytes.len();
        texts.push((role(&path), bytes));
    }
    for agent in Agent::WITH_TRANSCRIPTS {
        measure(agent, &texts, rounds);
    }
}

fn measure(agent: Agent, texts: &[(FileRole, Vec<u8>)], rounds: u32) {
    let now = Timestamp(i64::MAX / 4);
    let bytes: usize = texts.iter().filter(|(role, _)| role.agent == agent).map(|(_, text)| text.len()).sum();
    let mut best = f64::INFINITY;
    let (mut lines, mut events) = (0usize, 0usize);
    let mut issues: BTreeMap<IssueKind, usize> = BTreeMap::new();
    for _ in 0..rounds {
        (lines, events) = (0, 0);
        issues.clear();
        let start = Instant::now();
        for (role, text) in texts.iter().filter(|(role, _)| role.agent == agent) {
            let mut decoder = Decoder::new(role);
            let mut decoded = Decoded::default();
            for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                decoder.line(role, line, now, &mut decoded);
                lines += 1;
                if decoded.events.len() > 1_000 {
                    events += decoded.events.len();
                    decoded.events.clear();
                }
            }
            events += decoded.events.len();
            for issue in decoded.issues {
                *issues.entry(issue).or_default() += 1;
            }
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    #[expect(clippy::cast_precision_loss, reason = "a speed, not a sum")]
    let speed = bytes as f64 / 1e6 / best;
    println!(
        "{agent}: {bytes} bytes, {lines} lines, {events} events, {issues:?}: {best:.3} s, {speed:.0} MB/s"
    );
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "jsonl") && is_transcript(&path) {
            files.push(path);
        }
    }
}

fn is_transcript(path: &Path) -> bool {
    path.components().any(|part| matches!(part.as_os_str().to_str(), Some("projects")))
        || path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("rollout-"))
}

fn role(path: &Path) -> FileRole {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let agent = if stem.starts_with("rollout-") { Agent::Codex } else { Agent::ClaudeCode };
    let subagent = stem.strip_prefix("agent-").map(str::to_owned);
    let tail = stem.get(stem.len().saturating_sub(36)..).unwrap_or_default();
    let session =
        SessionId::new(tail).or_else(|_| SessionId::new("unnamed")).expect("BUG: a plain word is an id");
    FileRole { agent, session, subagent }
}
