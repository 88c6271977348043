//! One look at what lives now, without watching anything: for a pass without an engine, and before a first import.

use lamplight_model::ids::Agent;

use super::locks::{self, LockPlace, LockTable};
use super::meta::TitleIndex;
use super::registry::{self, Reading};
use crate::clock;
use crate::config::{Config, Root};
use crate::facts::{Input, SourceReport};

/// Reads every registry and lock once, and the titles beside them.
#[must_use]
pub fn probe(config: &Config) -> Vec<Input> {
    let mut inputs = Vec::new();
    for root in &config.roots {
        match root.agent {
            Agent::ClaudeCode => probe_registry(root, &mut inputs),
            Agent::Codex => probe_locks(root, &mut inputs),
            Agent::Gemini | Agent::OpenCode | Agent::Otel => {}
        }
    }
    inputs
}

fn probe_registry(root: &Root, inputs: &mut Vec<Input>) {
    let folder = root.path.join("sessions");
    let files = registry::list(&folder);
    let mut issues = Vec::new();
    for (pid, path) in files.iter().flatten() {
        match registry::read(path, *pid, clock::now()) {
            Reading::Update { update, issue } => {
                issues.extend(issue.map(|kind| registry::issue(kind, path)));
                inputs.push(Input::Registry(update));
            }
            // A file that is being rewritten this very moment is missed by one look; there is no old value to keep.
            Reading::HalfWritten => issues.push(registry::issue(crate::facts::IssueKind::HalfWritten, path)),
            Reading::Refused(kind) => issues.push(registry::issue(kind, path)),
            Reading::Gone => {}
        }
    }
    inputs.push(report("claude-code registry", folder, files.map(|f| f.len()), issues));
}

fn probe_locks(root: &Root, inputs: &mut Vec<Input>) {
    let folder = root.path.join("thread-writer-locks");
    let listed = locks::list(&folder);
    let (files, issues) = listed.map_or((None, Vec::new()), |(files, issues)| (Some(files), issues));
    let (place, table) = (LockPlace::of(&folder), LockTable::read());
    for file in files.iter().flatten() {
        inputs.push(Input::Lock {
            session: file.session.clone(),
            present: true,
            holder: table.holder(file.file, &place),
            at: clock::now(),
        });
    }
    inputs.push(report("codex locks", folder, files.map(|f| f.len()), issues));
    inputs.extend(TitleIndex::default().read(&root.path.join("session_index.jsonl")));
}

fn report(
    name: &'static str,
    path: std::path::PathBuf,
    files: Option<usize>,
    issues: Vec<crate::facts::Issue>,
) -> Input {
    let count = files.and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
    Input::Source(SourceReport {
        name,
        path,
        present: files.is_some(),
        files: count,
        issues,
        bytes: None,
        trouble: None,
    })
}
