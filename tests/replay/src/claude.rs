//! Claude Code captures: `timeline.txt` says when lines appeared, `sessions.jsonl` holds every version of the registry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use lamplight_engine::facts::FileRole;
use lamplight_model::ids::{Agent, SessionId, Timestamp};
use serde_json::Value;

use crate::align::{Line, Row, align};
use crate::scenario::{Fact, Moment, Recorded, files_below, ms};
use crate::transcript::TranscriptFile;

/// Where the captured home was.
const ROOT: &str = "/home/dev/.claude";
/// The capture kept this much of a row; one that ends in a blank is shorter by it.
const CUT_ROW: usize = 346;
/// The process follows its registry file: the file goes first, then hooks run, for up to 0.2 s.
const EXIT_AFTER_REMOVAL_MS: i64 = 200;

/// Loads a scenario's facts.
pub(crate) fn load(folder: &Path) -> anyhow::Result<Recorded> {
    let timeline = std::fs::read_to_string(folder.join("timeline.txt"))?;
    let rows = parse(&timeline);
    let versions = registry_versions(&folder.join("sessions.jsonl"))?;
    let zero = zero(&rows, &versions).context("no row of the timeline matches a registry version")?;
    let mut moments = Vec::new();
    registry(&rows, &versions, zero, &mut moments)?;
    let files = transcripts(folder, &rows, zero, &mut moments)?;
    metas(folder, &rows, &mut moments)?;
    Ok(Recorded { zero, files, moments })
}

struct TimelineRow<'a> {
    at_ms: i64,
    source: &'a str,
    op: &'a str,
    path: &'a str,
    rest: &'a str,
    text: &'a str,
    is_cut: bool,
}

fn parse(timeline: &str) -> Vec<TimelineRow<'_>> {
    let word = |text: &mut &'_ str| -> Option<usize> {
        *text = text.trim_start();
        text.find(' ').or(Some(text.len()))
    };
    timeline
        .lines()
        .filter_map(|line| {
            let mut left = line;
            let mut take = || {
                let end = word(&mut left)?;
                let (head, tail) = left.split_at(end);
                left = tail;
                Some(head)
            };
            let at_ms = ms(take()?.parse().ok()?);
            let (source, text) = (take()?, left.trim());
            let mut left = text;
            let mut take = || {
                let end = word(&mut left)?;
                let (head, tail) = left.split_at(end);
                left = tail;
                Some(head)
            };
            let (op, path) = (take()?, take()?);
            Some(TimelineRow {
                at_ms,
                source,
                op,
                path,
                rest: left.trim(),
                text,
                is_cut: line.len() >= CUT_ROW,
            })
        })
        .collect()
}

struct Version {
    at: f64,
    op: String,
    pid: u32,
    content: Option<Value>,
}

fn registry_versions(path: &Path) -> anyhow::Result<Vec<Version>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("while reading {}", path.display()))?;
    let mut versions = Vec::new();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line)?;
        let path = row["path"].as_str().unwrap_or_default();
        let Some(pid) =
            path.strip_prefix("sessions/").and_then(|p| p.strip_suffix(".json")).and_then(|p| p.parse().ok())
        else {
            continue;
        };
        versions.push(Version {
            at: row["t"].as_f64().context("a version without time")?,
            op: row["op"].as_str().unwrap_or_default().to_owned(),
            pid,
            content: row.get("content").cloned(),
        });
    }
    Ok(versions)
}

fn zero(rows: &[TimelineRow<'_>], versions: &[Version]) -> Option<Timestamp> {
    let first = versions.first()?;
    let path = format!(".claude/sessions/{}.json", first.pid);
    let row = rows.iter().find(|r| r.source == "fs" && r.op == first.op && r.path == path)?;
    Some(Timestamp(ms(first.at) - row.at_ms))
}

fn registry(
    rows: &[TimelineRow<'_>],
    versions: &[Version],
    zero: Timestamp,
    moments: &mut Vec<Moment>,
) -> anyhow::Result<()> {
    let mut removed: BTreeMap<u32, i64> = BTreeMap::new();
    for version in versions {
        let at_ms = ms(version.at) - zero.0;
        let pid = version.pid;
        let fact = match (version.op.as_str(), &version.content) {
            ("delete", _) => {
                removed.insert(pid, at_ms);
                Fact::RegistryRemoved(pid)
            }
            (op @ ("create" | "rewrite"), Some(content)) => {
                removed.remove(&pid);
                Fact::Registry { created: op == "create", bytes: serde_json::to_vec(content)? }
            }
            (op, _) => bail!("a registry version of kind {op} without content"),
        };
        moments.push(Moment { at_ms, fact });
    }
    for (pid, at_ms) in removed {
        moments.push(Moment { at_ms: at_ms + EXIT_AFTER_REMOVAL_MS, fact: Fact::Exited(pid) });
    }
    for row in rows.iter().filter(|r| r.source == "driver") {
        // Rows of long command lines are cut and no JSON; a signal's never is.
        let Ok(said) = serde_json::from_str::<Value>(row.text) else { continue };
        let kills = said["sig"] == 9 || said["sig"] == "SIGKILL";
        if said["what"] == "signal" && kills {
            let pid = said["pid"]
                .as_u64()
                .and_then(|pid| u32::try_from(pid).ok())
                .context("a signal without pid")?;
            moments.push(Moment { at_ms: row.at_ms, fact: Fact::Exited(pid) });
        }
    }
    Ok(())
}

fn transcripts(
    folder: &Path,
    rows: &[TimelineRow<'_>],
    zero: Timestamp,
    moments: &mut Vec<Moment>,
) -> anyhow::Result<Vec<TranscriptFile>> {
    let root = folder.join("transcripts");
    let mut files = Vec::new();
    for fixture in files_below(&root.join("projects"))?
        .into_iter()
        .filter(|p| p.extension().is_some_and(|e| e == "jsonl"))
    {
        let name = fixture.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        let (listed, paths) = listed(rows, &name);
        let first = paths.first().with_context(|| format!("no row lists {name}"))?;
        let file = TranscriptFile::load(&fixture, PathBuf::from(ROOT).join(first), role(&fixture)?)?;
        let lines: Vec<Line> =
            (0..file.lines()).map(|n| line(file.line(n), zero)).collect::<anyhow::Result<_>>()?;
        let ends = align(&listed, &lines).with_context(|| format!("rows and lines of {name} do not fit"))?;
        let number = files.len();
        for (row, end) in listed.iter().zip(&ends) {
            if row.is_move {
                let to = paths.last().map_or_else(PathBuf::new, |p| PathBuf::from(ROOT).join(p));
                moments.push(Moment { at_ms: row.at_ms, fact: Fact::Moved { file: number, path: to } });
                moments.push(Moment { at_ms: row.at_ms, fact: Fact::FileGone(file.path.clone()) });
            }
            moments.push(Moment { at_ms: row.at_ms, fact: Fact::Lines { file: number, lines: *end } });
        }
        files.push(file);
    }
    Ok(files)
}

/// The rows that list a file's lines, and the paths it had under the root.
fn listed(rows: &[TimelineRow<'_>], name: &str) -> (Vec<Row>, Vec<String>) {
    let mut paths: Vec<String> = Vec::new();
    let mut listed = Vec::new();
    for row in rows.iter().filter(|r| r.source == "fs" && r.path.ends_with(name)) {
        // A rewrite lists what was there before: the client only touched the file.
        if !matches!(row.op, "create" | "append") {
            continue;
        }
        let path = row.path.strip_prefix(".claude/").unwrap_or(row.path).to_owned();
        let is_move = !paths.is_empty() && row.op == "create" && paths.last() != Some(&path);
        if paths.last() != Some(&path) {
            paths.push(path);
        }
        listed.push(Row { at_ms: row.at_ms, kinds: kinds(row.rest), is_cut: row.is_cut, is_move });
    }
    (listed, paths)
}

/// `user(text SIDE) att:date api-request-shape*` as kinds; the star only says that the record was large.
fn kinds(text: &str) -> Vec<String> {
    let mut kinds: Vec<String> = Vec::new();
    let mut depth = 0u32;
    for word in text.split_whitespace() {
        if depth > 0 {
            if let Some(last) = kinds.last_mut() {
                last.push(' ');
                last.push_str(word);
            }
        } else {
            kinds.push(word.to_owned());
        }
        let count = |c| u32::try_from(word.matches(c).count()).unwrap_or(0);
        depth = (depth + count('(')).saturating_sub(count(')'));
    }
    for kind in &mut kinds {
        *kind = kind.trim_end_matches('*').to_owned();
    }
    kinds
}

/// The kind of a record as the timeline writes it.
fn line(bytes: &[u8], zero: Timestamp) -> anyhow::Result<Line> {
    let record: Value = serde_json::from_slice(bytes)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = match record["type"].as_str().unwrap_or_default() {
        kind @ ("user" | "assistant") => {
            let content = &record["message"]["content"];
            let blocks: Vec<String> = match content.as_array() {
                None => vec!["text".to_owned()],
                Some(blocks) => blocks
                    .iter()
                    .map(|b| match b["type"].as_str() {
                        Some("tool_use") => format!("tool_use:{}", text(&b["name"])),
                        _ => text(&b["type"]),
                    })
                    .collect(),
            };
            let meta = if record["isMeta"] == true { " META" } else { "" };
            let side = if record["isSidechain"] == true { " SIDE" } else { "" };
            format!("{kind}({}{meta}{side})", blocks.join(","))
        }
        "attachment" => format!("att:{}", text(&record["attachment"]["type"])),
        "system" => format!("system/{}", text(&record["subtype"])),
        "queue-operation" => format!("queue-operation/{}", text(&record["operation"])),
        kind => kind.to_owned(),
    };
    let at_ms = record["timestamp"].as_str().and_then(Timestamp::from_rfc3339).map(|at| at.0 - zero.0);
    Ok(Line { kind, at_ms })
}

fn role(fixture: &Path) -> anyhow::Result<FileRole> {
    let stem = fixture.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    let subagent = stem.strip_prefix("agent-").map(str::to_owned);
    let session = match &subagent {
        None => stem,
        Some(_) => {
            let session = fixture.parent().and_then(Path::parent).and_then(Path::file_name);
            session.and_then(|s| s.to_str()).unwrap_or_default()
        }
    };
    Ok(FileRole { agent: Agent::ClaudeCode, session: SessionId::new(session)?, subagent })
}

/// Meta files are cut in the rows, but their end is known: each rewrite turns `finished` over, the last one is the file.
fn metas(folder: &Path, rows: &[TimelineRow<'_>], moments: &mut Vec<Moment>) -> anyhow::Result<()> {
    for fixture in files_below(&folder.join("transcripts").join("projects"))? {
        let name = fixture.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        if !name.ends_with(".meta.json") {
            continue;
        }
        let mut value: Value = serde_json::from_slice(&std::fs::read(&fixture)?)?;
        let role = role(&fixture.with_file_name(name.trim_end_matches(".meta.json")))?;
        let subagent = role.subagent.context("a meta file of no subagent")?;
        let mut finished = value["finished"] == true;
        let seen: Vec<i64> = rows
            .iter()
            .filter(|r| r.source == "fs" && matches!(r.op, "create" | "rewrite") && r.path.ends_with(&name))
            .map(|r| r.at_ms)
            .collect();
        for at_ms in seen.into_iter().rev() {
            if finished {
                value["finished"] = Value::Bool(true);
            } else if let Some(fields) = value.as_object_mut() {
                fields.remove("finished");
            }
            let bytes = serde_json::to_vec(&value)?;
            let (session, subagent) = (role.session.clone(), subagent.clone());
            moments.push(Moment { at_ms, fact: Fact::Meta { session, subagent, bytes } });
            finished = !finished;
        }
    }
    Ok(())
}
