//! One root and what is known of it; counts and troubles of its sources.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use lamplight_model::ids::{Agent, SessionId};

use super::claude::Registered;
use super::codex::KnownLock;
use super::opencode::Database;
use super::timers::Due;
use super::{Run, Running};
use crate::config::Root;
use crate::facts::{Input, Issue, IssueKind, SourceReport};
use crate::sources::locks::LockPlace;
use crate::sources::meta::TitleIndex;
use crate::sources::opencode;

/// One folder an agent writes to.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) root: Root,
    pub(super) is_present: bool,
    /// Claude Code: registry files by path.
    pub(super) registry: HashMap<PathBuf, Registered>,
    /// Codex: lock files by path.
    pub(super) locks: HashMap<PathBuf, KnownLock>,
    pub(super) lock_place: Option<LockPlace>,
    pub(super) titles: TitleIndex,
    /// Codex: folders below `sessions/` that are watched.
    pub(super) days: BTreeSet<PathBuf>,
    /// OpenCode: how its database was found at the last look.
    pub(super) database: Database,
    transcripts: Tally,
    live: Tally,
}

/// Troubles of a source since the last report, and all that were ever told: a bad file is one trouble, however often it
/// is listed.
#[derive(Debug, Default)]
struct Tally {
    issues: Vec<Issue>,
    told: HashSet<(IssueKind, PathBuf)>,
}

impl Tally {
    fn note(&mut self, issue: Issue) -> bool {
        let is_new = match &issue.path {
            Some(path) => self.told.insert((issue.kind, path.clone())),
            None => true,
        };
        if is_new {
            self.issues.push(issue);
        }
        is_new
    }
}

impl Place {
    pub(super) fn new(root: Root) -> Self {
        Self {
            root,
            is_present: false,
            registry: HashMap::new(),
            locks: HashMap::new(),
            lock_place: None,
            titles: TitleIndex::default(),
            days: BTreeSet::new(),
            database: Database::default(),
            transcripts: Tally::default(),
            live: Tally::default(),
        }
    }

    /// Folder of the live registry, or of the locks.
    pub(super) fn live_folder(&self) -> PathBuf {
        self.root.path.join(match self.root.agent {
            Agent::ClaudeCode => "sessions",
            Agent::Codex => "thread-writer-locks",
            // Which is no folder: nothing of OpenCode's tells of processes.
            Agent::OpenCode => opencode::DATABASE,
            Agent::Gemini | Agent::Otel => "tmp",
        })
    }

    /// Folder of the transcripts, or the database of sessions.
    pub(super) fn transcripts_folder(&self) -> PathBuf {
        self.root.path.join(match self.root.agent {
            Agent::ClaudeCode => "projects",
            Agent::Codex => "sessions",
            Agent::OpenCode => opencode::DATABASE,
            Agent::Gemini | Agent::Otel => "tmp",
        })
    }

    /// Sessions with a live process.
    pub(super) fn live_sessions(&self) -> Vec<(Agent, &SessionId)> {
        let registered = self.registry.values().filter_map(Registered::live_session);
        // Whoever takes up a thread whose lock was left makes no new one: its file is what tells.
        let locked = self.locks.values().map(|l| &l.session);
        registered.chain(locked).map(|session| (self.root.agent, session)).collect()
    }
}

impl Run {
    /// Which root a path lies in: the deepest, should one lie in another.
    pub(super) fn place_of(&self, path: &Path) -> Option<usize> {
        let inside = self.places.iter().enumerate().filter(|(_, p)| path.starts_with(&p.root.path));
        inside.max_by_key(|(_, p)| p.root.path.as_os_str().len()).map(|(at, _)| at)
    }

    /// Counts a trouble of an agent's transcripts, once per file.
    pub(super) fn note(&mut self, agent: Agent, issue: Issue) {
        let at = issue.path.as_deref().and_then(|path| self.place_of(path));
        let at = at.or_else(|| self.places.iter().position(|p| p.root.agent == agent));
        if at.and_then(|at| self.places.get_mut(at)).is_some_and(|p| p.transcripts.note(issue)) {
            self.plan_report();
        }
    }

    /// Counts a trouble of a registry or lock folder, once per file.
    pub(super) fn note_live(&mut self, at: usize, issue: Issue) {
        if self.places.get_mut(at).is_some_and(|p| p.live.note(issue)) {
            self.plan_report();
        }
    }

    /// Counts a trouble of a registry that may come again at the same file.
    pub(super) fn note_live_again(&mut self, at: usize, issue: Issue) {
        if let Some(place) = self.places.get_mut(at) {
            place.live.issues.push(issue);
            self.plan_report();
        }
    }

    /// Says that the system's limit of watches is reached; the issue's path names the setting.
    pub(super) fn tell_limit(&mut self, path: &Path) {
        let at = self.place_of(path).unwrap_or_default();
        if !std::mem::replace(&mut self.is_limit_told, true)
            && let Some(place) = self.places.get_mut(at)
        {
            let setting = PathBuf::from("/proc/sys/fs/inotify/max_user_watches");
            place.transcripts.note(Issue { kind: IssueKind::WatchLimit, path: Some(setting), at: None });
            self.plan_report();
        }
    }

    /// Counts events the kernel dropped.
    pub(super) fn tell_overflow(&mut self) {
        if let Some(place) = self.places.first_mut() {
            place.transcripts.issues.push(Issue { kind: IssueKind::WatchOverflow, path: None, at: None });
            self.plan_report();
        }
    }

    /// Has the sources report soon; several changes make one report.
    pub(super) fn plan_report(&mut self) {
        if self.is_listed && !std::mem::replace(&mut self.is_report_due, true) {
            self.timers.at(Instant::now() + self.tuning.report, Due::Report);
        }
    }

    /// Reports each source once: roots of one agent are one source, shown at the first that is there.
    pub(super) fn report(&mut self) -> Running {
        let mut reports: Vec<SourceReport> = Vec::new();
        for place in &mut self.places {
            let agent = place.root.agent;
            let (read, live) = match agent {
                Agent::ClaudeCode => ("claude-code transcripts", "claude-code registry"),
                Agent::Codex => ("codex rollouts", "codex locks"),
                Agent::OpenCode => {
                    let path = place.transcripts_folder();
                    let present = path.is_file();
                    let issues = std::mem::take(&mut place.transcripts.issues);
                    let report = merge(&mut reports, "opencode sessions", path, present, 0, issues);
                    let bytes = opencode::size(&place.root).unwrap_or_default();
                    report.bytes = Some(report.bytes.unwrap_or_default().saturating_add(bytes));
                    report.trouble = report.trouble.or(place.database.trouble);
                    continue;
                }
                Agent::Gemini | Agent::Otel => continue,
            };
            let (folder, live_folder) = (place.transcripts_folder(), place.live_folder());
            let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
            let present = folder.is_dir();
            merge(&mut reports, read, folder, present, 0, std::mem::take(&mut place.transcripts.issues));
            let present = live_folder.is_dir();
            let live_files = count(place.registry.len()) + count(place.locks.len());
            merge(
                &mut reports,
                live,
                live_folder,
                present,
                live_files,
                std::mem::take(&mut place.live.issues),
            );
        }
        for mut report in reports {
            report.files += match report.name {
                "claude-code transcripts" => self.files.count(Agent::ClaudeCode),
                "codex rollouts" => self.files.count(Agent::Codex),
                "opencode sessions" => self.files.count(Agent::OpenCode),
                _ => 0,
            };
            self.send(Input::Source(report))?;
        }
        Ok(())
    }
}

fn merge<'a>(
    reports: &'a mut Vec<SourceReport>,
    name: &'static str,
    path: PathBuf,
    present: bool,
    files: u64,
    issues: Vec<Issue>,
) -> &'a mut SourceReport {
    let at = reports.iter().position(|r| r.name == name).unwrap_or_else(|| {
        let (path, issues) = (path.clone(), Vec::new());
        reports.push(SourceReport { name, path, present, files: 0, issues, bytes: None, trouble: None });
        reports.len() - 1
    });
    let report = &mut reports[at];
    if present && !report.present {
        report.path = path;
        report.present = true;
    }
    report.files += files;
    report.issues.extend(issues);
    report
}
