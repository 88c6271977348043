//! Codex captures: `timeline.jsonl` has a row for every rollout line, lock and process.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lamplight_engine::facts::FileRole;
use lamplight_engine::sources::decode::codex::index_line;
use lamplight_model::ids::{Agent, SessionId, Timestamp};
use serde_json::Value;

use crate::labels::Labels;
use crate::scenario::{Fact, Moment, Recorded, files_below, ms};
use crate::transcript::TranscriptFile;

/// Where the captured home was.
const ROOT: &str = "/home/dev2/.codex";
/// Stands for whichever process holds a lock; the rows do not say.
const HOLDER: u32 = 4_194_000;

/// Loads a scenario's facts.
pub(crate) fn load(folder: &Path, labels: &Labels) -> anyhow::Result<Recorded> {
    let rows: Vec<Value> = std::fs::read_to_string(folder.join("timeline.jsonl"))?
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let first = rows.first().context("an empty timeline")?;
    let seconds = |row: &Value, key: &str| row[key].as_f64().with_context(|| format!("a row without {key}"));
    let zero = Timestamp(ms(seconds(first, "t")?) - ms(seconds(first, "dt")?));
    let fixtures = rollouts(folder)?;
    let thread = |suffix: &str| thread(suffix, &fixtures, labels);
    let mut files: Vec<TranscriptFile> = Vec::new();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut seen: Vec<usize> = Vec::new();
    let mut listed: Vec<usize> = Vec::new();
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut moments = Vec::new();
    for row in &rows {
        let at_ms = ms(seconds(row, "dt")?);
        let text = |key: &str| row[key].as_str().unwrap_or_default();
        let mut push = |fact| moments.push(Moment { at_ms, fact });
        match text("what") {
            "file_created" => {
                let path = PathBuf::from(ROOT).join(text("file"));
                let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default().to_owned();
                if let Some(number) = numbers.get(&stem) {
                    paths[*number].clone_from(&path);
                    listed[*number] = 0;
                    push(Fact::Moved { file: *number, path });
                    continue;
                }
                let fixture = fixtures.get(&stem).with_context(|| format!("no rollout {stem}"))?;
                let session = SessionId::new(stem.get(stem.len().saturating_sub(36)..).unwrap_or_default())?;
                let role = FileRole { agent: Agent::Codex, session, subagent: None };
                numbers.insert(stem, files.len());
                files.push(TranscriptFile::load(fixture, path.clone(), role)?);
                seen.push(0);
                listed.push(0);
                paths.push(path);
            }
            "line" => {
                let number = *numbers
                    .iter()
                    .find(|(stem, _)| stem.ends_with(text("file")))
                    .map(|(_, number)| number)
                    .with_context(|| format!("a line of no file {}", text("file")))?;
                // A moved file is listed again from its first line.
                listed[number] += 1;
                if listed[number] > seen[number] {
                    seen[number] = listed[number];
                    push(Fact::Lines { file: number, lines: seen[number] });
                }
            }
            "file_gone" => {
                let path = PathBuf::from(ROOT).join(text("file"));
                if !paths.contains(&path) {
                    push(Fact::FileGone(path));
                }
            }
            "writer_lock" => {
                let (present, holder) = match text("state") {
                    "held" => (true, Some(HOLDER)),
                    "free" => (true, None),
                    _ => (false, None),
                };
                push(Fact::Lock { session: thread(text("thread"))?, present, holder });
            }
            "proc_end" => {
                let pid = row["pid"]
                    .as_u64()
                    .and_then(|pid| u32::try_from(pid).ok())
                    .context("a process without pid")?;
                push(Fact::Exited(pid));
            }
            _ => {}
        }
    }
    for (file, seen) in files.iter().zip(seen) {
        anyhow::ensure!(
            seen == file.lines(),
            "{} of {} lines of {} are listed",
            seen,
            file.lines(),
            file.path.display()
        );
    }
    let index = folder.join("dot-codex").join("session_index.jsonl");
    if index.exists() {
        for line in std::fs::read(index)?.split(|b| *b == b'\n') {
            if let Some((_, _, at)) = index_line(line) {
                moments.push(Moment { at_ms: at.0 - zero.0, fact: Fact::Title(line.to_vec()) });
            }
        }
    }
    Ok(Recorded { zero, files, moments })
}

/// Rollouts by the stem of their name.
fn rollouts(folder: &Path) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let files = files_below(&folder.join("dot-codex"))?;
    let stem = |path: &Path| path.file_stem().and_then(|s| s.to_str()).unwrap_or_default().to_owned();
    Ok(files
        .into_iter()
        .map(|path| (stem(&path), path))
        .filter(|(stem, _)| stem.starts_with("rollout-"))
        .collect())
}

/// The thread a suffix stands for. One that never had a rollout keeps the suffix as its id.
fn thread(suffix: &str, fixtures: &BTreeMap<String, PathBuf>, labels: &Labels) -> anyhow::Result<SessionId> {
    if let Some(session) = labels.sessions.values().find(|s| s.as_str().ends_with(suffix)) {
        return Ok(session.clone());
    }
    let stem = fixtures.keys().find(|stem| stem.ends_with(suffix));
    let id = stem.and_then(|stem| stem.get(stem.len().saturating_sub(36)..)).unwrap_or(suffix);
    Ok(SessionId::new(id)?)
}
