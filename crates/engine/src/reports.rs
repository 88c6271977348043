//! Health of the sources: what is there, how much was read, what went wrong.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lamplight_model::ids::{Agent, SessionId, Timestamp};
use lamplight_model::view::{IssueView, SourceHealth, SourceView};
use rusqlite::Connection;

use crate::config::Config;
use crate::facts::{Issue, IssueKind, Receiver, SourceReport};
use crate::sources::hooks;
use crate::sources::opencode::{self, Trouble};
use crate::store::{StoreError, files, from_sql, rows, to_sql};

/// Least time between two tellings of mere counts.
const COUNTS_EVERY: Duration = Duration::from_secs(10);

/// Issues shown per source.
const MOST_ISSUES: usize = 20;

/// Everything known about the sources.
#[derive(Debug)]
pub(crate) struct Reports {
    sources: BTreeMap<String, Source>,
    unsaved: HashSet<(String, IssueKind)>,
    changed: bool,
    /// Bytes or times differ from what was told; told again with the next change, but not with every record.
    counted: bool,
    told: Option<Instant>,
    locks_seen: HashSet<SessionId>,
    /// Where hooks lie.
    spool: PathBuf,
    /// What is not used of the settings; of this run of the engine only.
    settings: Vec<IssueView>,
    settings_path: PathBuf,
    /// How forwarding goes; `None` while it is off.
    forwarding: Option<SourceView>,
    /// A later hook has come than the engine's note says.
    hooks_unsaved: bool,
    /// When this engine began to look; a registry file read before is a former engine's.
    pub(crate) started_at: Timestamp,
}

#[derive(Debug, Default)]
struct Source {
    path: PathBuf,
    present: bool,
    files: u64,
    bytes: u64,
    last_fact: Option<Timestamp>,
    issues: BTreeMap<IssueKind, IssueView>,
    /// Addresses it should listen on that other programs hold.
    taken: Vec<String>,
    /// What keeps it from being read, and since when.
    trouble: Option<(Trouble, Timestamp)>,
    /// Room on the disk that is wanted and not there, and since when.
    low: Option<(u64, Timestamp)>,
}

/// Name of the source that telemetry comes from.
const OTLP: &str = "otlp";

pub(crate) fn transcripts(agent: Agent) -> &'static str {
    match agent {
        Agent::ClaudeCode => "claude-code transcripts",
        Agent::Codex => "codex rollouts",
        Agent::Gemini => "gemini chats",
        Agent::OpenCode => "opencode sessions",
        Agent::Otel => "otlp",
    }
}

/// Name of the spool's source; it is listed once a hook has come.
pub(crate) const HOOKS: &str = "hooks";
/// When the latest hook came, among the engine's notes.
const HOOK_AT: &str = "hook_at_ms";

pub(crate) fn registry(agent: Agent) -> &'static str {
    match agent {
        Agent::ClaudeCode => "claude-code registry",
        Agent::Codex => "codex locks",
        // These keep none; no report has their names.
        Agent::Gemini => "gemini registry",
        Agent::OpenCode => "opencode registry",
        Agent::Otel => "otlp",
    }
}

impl Reports {
    pub(crate) fn load(db: &Connection, config: &Config, now: Timestamp) -> Result<Self, StoreError> {
        let mut sources: BTreeMap<String, Source> = BTreeMap::new();
        for agent in Agent::WITH_TRANSCRIPTS {
            let root =
                config.roots.iter().find(|r| r.agent == agent).map(|r| r.path.clone()).unwrap_or_default();
            let (read, live) = match agent {
                Agent::ClaudeCode => ("projects", Some("sessions")),
                Agent::Codex => ("sessions", Some("thread-writer-locks")),
                Agent::OpenCode => (opencode::DATABASE, None),
                Agent::Gemini | Agent::Otel => continue,
            };
            sources.entry(transcripts(agent).to_owned()).or_default().path = root.join(read);
            if let Some(live) = live {
                sources.entry(registry(agent).to_owned()).or_default().path = root.join(live);
            }
        }
        let spool = hooks::folder(&config.data_dir);
        if let Some(at) = rows::meta(db, HOOK_AT)?.and_then(|at| at.parse().ok()) {
            let source = sources.entry(HOOKS.to_owned()).or_default();
            (source.path, source.present) = (spool.clone(), true);
            source.last_fact = Some(Timestamp(at));
        }
        for (agent, known, bytes) in files::sums(db)? {
            if let Some(agent) = Agent::from_word(&agent) {
                let source = sources.entry(transcripts(agent).to_owned()).or_default();
                (source.files, source.bytes) = (known, bytes);
            }
        }
        let mut select = db.prepare("SELECT source, kind, path, count, last_at_ms FROM issues")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (name, word): (String, String) = (row.get(0)?, row.get(1)?);
            // A kind of a newer version stays in the table and is not shown.
            let Ok(kind) = serde_json::from_value::<IssueKind>(serde_json::Value::String(word.clone()))
            else {
                continue;
            };
            let view = IssueView {
                kind: word,
                message: message(kind).to_owned(),
                path: row.get(2)?,
                count: from_sql(row.get(3)?),
                last_at_ms: row.get(4)?,
            };
            sources.entry(name).or_default().issues.insert(kind, view);
        }
        Ok(Self {
            sources,
            unsaved: HashSet::new(),
            changed: true,
            locks_seen: HashSet::new(),
            started_at: now,
            spool,
            forwarding: None,
            hooks_unsaved: false,
            settings: Vec::new(),
            settings_path: config.setup.config_file.clone().unwrap_or_default(),
            counted: false,
            told: None,
        })
    }

    pub(crate) fn has_registry(&self, agent: Agent) -> bool {
        self.sources.get(registry(agent)).is_some_and(|s| s.present)
    }

    pub(crate) fn lock_seen(&self, id: &SessionId) -> bool {
        self.locks_seen.contains(id)
    }

    pub(crate) fn note_lock(&mut self, id: &SessionId) {
        self.locks_seen.insert(id.clone());
    }

    /// The folder of an agent's registry or locks is there.
    pub(crate) fn registry_present(&mut self, agent: Agent) {
        let source = self.sources.entry(registry(agent).to_owned()).or_default();
        self.changed |= !source.present;
        source.present = true;
    }

    /// A hook came.
    pub(crate) fn hook_fact(&mut self, at: Timestamp) {
        let source = self.sources.entry(HOOKS.to_owned()).or_default();
        self.changed |= !source.present;
        source.present = true;
        source.path.clone_from(&self.spool);
        self.hooks_unsaved |= source.last_fact < Some(at);
        source.last_fact = source.last_fact.max(Some(at));
        self.counted = true;
    }

    pub(crate) fn registry_fact(&mut self, agent: Agent, at: Timestamp) {
        let source = self.sources.entry(registry(agent).to_owned()).or_default();
        self.changed |= !source.present;
        source.present = true;
        source.last_fact = source.last_fact.max(Some(at));
        self.counted = true;
    }

    /// A batch of records was read.
    pub(crate) fn read(
        &mut self,
        agent: Agent,
        issues: &[Issue],
        bytes: u64,
        last: Option<Timestamp>,
        now: Timestamp,
    ) {
        let name = transcripts(agent);
        let source = self.sources.entry(name.to_owned()).or_default();
        source.bytes = source.bytes.saturating_add(bytes);
        source.last_fact = source.last_fact.max(last);
        self.changed |= !source.present;
        source.present = true;
        self.counted = true;
        self.note(name, issues, now);
    }

    /// A source reported about itself.
    pub(crate) fn take(&mut self, report: SourceReport, now: Timestamp) {
        let source = self.sources.entry(report.name.to_owned()).or_default();
        if source.present != report.present || source.files != report.files || source.path != report.path {
            self.changed = true;
        }
        // Several roots of one agent report under one name; one that is there makes the source present.
        source.present = report.present || (source.present && source.path != report.path);
        source.files = report.files;
        if report.present || source.path.as_os_str().is_empty() {
            source.path = report.path;
        }
        if let Some(bytes) = report.bytes {
            self.counted |= source.bytes != bytes;
            source.bytes = bytes;
        }
        if source.trouble.map(|(trouble, _)| trouble) != report.trouble {
            source.trouble = report.trouble.map(|trouble| (trouble, now));
            self.changed = true;
        }
        self.note(report.name, &report.issues, now);
    }

    /// Where telemetry is received, or why it is not.
    pub(crate) fn receiver(&mut self, receiver: Receiver) {
        let source = self.sources.entry(OTLP.to_owned()).or_default();
        source.path = receiver.listening.join(", ").into();
        source.present = !receiver.listening.is_empty() || !receiver.taken.is_empty();
        source.taken = receiver.taken;
        self.changed = true;
    }

    /// The settings were read: what of them is not used, a sentence each. Without any the source is not listed.
    pub(crate) fn settings(&mut self, warnings: Vec<String>, now: Timestamp) {
        let told: Vec<&String> = self.settings.iter().map(|issue| &issue.message).collect();
        if told.iter().copied().eq(warnings.iter()) {
            return;
        }
        self.settings = warnings
            .into_iter()
            .map(|message| IssueView {
                kind: "setting".to_owned(),
                message,
                path: None,
                count: 1,
                last_at_ms: now.0,
            })
            .collect();
        self.changed = true;
    }

    /// Forwarding said how it goes; it decides itself what is worth telling.
    pub(crate) fn forwarding(&mut self, view: Option<SourceView>) {
        self.changed |= self.forwarding != view;
        self.forwarding = view;
    }

    /// Telemetry was received.
    pub(crate) fn telemetry(&mut self, bytes: u64, refused: u64, refused_services: u64, now: Timestamp) {
        let source = self.sources.entry(OTLP.to_owned()).or_default();
        source.bytes = source.bytes.saturating_add(bytes);
        source.last_fact = source.last_fact.max(Some(now));
        source.present = true;
        self.counted = true;
        self.note_counted(OTLP, IssueKind::BadRecord, refused, now);
        self.note_counted(OTLP, IssueKind::TooManyServices, refused_services, now);
    }

    /// Spans of traces that are too long were not kept.
    pub(crate) fn long_trace(&mut self, spans: u64, now: Timestamp) {
        self.note_counted(OTLP, IssueKind::LongTrace, spans, now);
    }

    /// Spans were let go to keep the database within its bound.
    pub(crate) fn let_go(&mut self, spans: u64, now: Timestamp) {
        self.note_counted(OTLP, IssueKind::LetGo, spans, now);
    }

    /// Whether there is less room on the disk than is wanted.
    pub(crate) fn disk_low(&mut self, wanted: Option<u64>, now: Timestamp) {
        let is_low = self.sources.get(OTLP).is_some_and(|s| s.low.is_some());
        if is_low == wanted.is_some() {
            return;
        }
        let source = self.sources.entry(OTLP.to_owned()).or_default();
        source.low = wanted.map(|bytes| (bytes, now));
        source.present |= wanted.is_some();
        self.changed = true;
    }

    /// A session of this agent is told otherwise by a source that is not believed.
    pub(crate) fn overruled(&mut self, agent: Agent, source: &str, now: Timestamp) {
        let name = match source {
            "transcript" => transcripts(agent),
            "registry" | "process" | "lock" => registry(agent),
            "hooks" => HOOKS,
            "otlp" => OTLP,
            _ => return,
        };
        self.note(name, &[Issue { kind: IssueKind::Overruled, path: None, at: None }], now);
    }

    fn note_counted(&mut self, name: &str, kind: IssueKind, count: u64, now: Timestamp) {
        if count == 0 {
            return;
        }
        self.note(name, &[Issue { kind, path: None, at: None }], now);
        if let Some(view) = self.sources.get_mut(name).and_then(|s| s.issues.get_mut(&kind)) {
            view.count = view.count.saturating_add(count - 1);
        }
    }

    /// The store refused a write: from here on everything shown is old.
    pub(crate) fn store_failed(&mut self, now: Timestamp) {
        self.sources.entry("store".to_owned()).or_default().present = true;
        self.note("store", &[Issue { kind: IssueKind::StoreFailed, path: None, at: None }], now);
        // It would be read back at the next start, when it is over.
        self.unsaved.clear();
    }

    /// Nothing is read any more: from here on everything shown is old.
    pub(crate) fn sources_failed(&mut self, now: Timestamp) {
        self.sources.entry("sources".to_owned()).or_default().present = true;
        self.note("sources", &[Issue { kind: IssueKind::SourcesFailed, path: None, at: None }], now);
        // As above.
        self.unsaved.clear();
    }

    fn note(&mut self, name: &str, issues: &[Issue], now: Timestamp) {
        for issue in issues {
            let source = self.sources.entry(name.to_owned()).or_default();
            let word = serde_json::to_value(issue.kind)
                .ok()
                .and_then(|v| v.as_str().map(str::to_owned))
                .unwrap_or_default();
            let view = source.issues.entry(issue.kind).or_insert_with(|| IssueView {
                kind: word,
                message: message(issue.kind).to_owned(),
                path: None,
                count: 0,
                last_at_ms: now.0,
            });
            view.count += 1;
            view.last_at_ms = now.0;
            view.path = issue.path.as_ref().map(|p| p.to_string_lossy().into_owned()).or(view.path.take());
            self.unsaved.insert((name.to_owned(), issue.kind));
            self.changed = true;
        }
    }

    /// Paths that are not to be known any more.
    pub(crate) fn forget_paths(&mut self, paths: &[String]) {
        for (name, source) in &mut self.sources {
            for (kind, view) in &mut source.issues {
                if view.path.take_if(|path| paths.contains(path)).is_some() {
                    self.unsaved.insert((name.clone(), *kind));
                    self.changed = true;
                }
            }
        }
    }

    pub(crate) fn save(&mut self, db: &Connection) -> Result<(), StoreError> {
        if std::mem::take(&mut self.hooks_unsaved)
            && let Some(at) = self.sources.get(HOOKS).and_then(|s| s.last_fact)
        {
            rows::set_meta(db, HOOK_AT, &at.0.to_string())?;
        }
        for (name, kind) in self.unsaved.drain() {
            let Some(view) = self.sources.get(&name).and_then(|s| s.issues.get(&kind)) else { continue };
            db.prepare_cached("INSERT OR REPLACE INTO issues (source, kind, path, count, last_at_ms) VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute((name, &view.kind, &view.path, to_sql(view.count), view.last_at_ms))?;
        }
        Ok(())
    }

    /// All sources, when something about them changed beyond bytes and times, which change with every record.
    pub(crate) fn take_changed(&mut self) -> Option<Vec<SourceView>> {
        let due = self.counted && self.told.is_none_or(|at| at.elapsed() >= COUNTS_EVERY);
        if !self.changed && !due {
            return None;
        }
        self.changed = false;
        self.counted = false;
        self.told = Some(Instant::now());
        Some(self.views())
    }

    fn views(&self) -> Vec<SourceView> {
        let settings = (!self.settings.is_empty()).then(|| SourceView {
            name: "settings".to_owned(),
            path: self.settings_path.to_string_lossy().into_owned(),
            state: SourceHealth::Degraded,
            files: 1,
            bytes: 0,
            skipped: self.settings.len() as u64,
            issues: self.settings.clone(),
            last_fact_at_ms: None,
        });
        self.sources
            .iter()
            .map(|(name, s)| {
                let mut issues: Vec<IssueView> = s.issues.values().cloned().collect();
                issues.sort_by_key(|i| std::cmp::Reverse(i.last_at_ms));
                issues.truncate(MOST_ISSUES);
                issues.extend(s.trouble.map(|(trouble, since)| in_trouble(trouble, &s.path, since)));
                issues.extend(s.low.map(|(bytes, since)| disk_low(bytes, since)));
                issues.extend(s.taken.iter().map(|address| port_taken(address, self.started_at)));
                let troubled = s.issues.keys().any(|k| {
                    matches!(
                        k,
                        IssueKind::WatchLimit
                            | IssueKind::Unreadable
                            | IssueKind::StoreFailed
                            | IssueKind::SourcesFailed
                    )
                }) || !s.taken.is_empty()
                    || s.trouble.is_some()
                    || s.low.is_some();
                SourceView {
                    name: name.clone(),
                    path: s.path.to_string_lossy().into_owned(),
                    state: match (s.present, troubled) {
                        (false, _) => SourceHealth::Absent,
                        (true, true) => SourceHealth::Degraded,
                        (true, false) => SourceHealth::Ok,
                    },
                    files: s.files,
                    bytes: s.bytes,
                    skipped: s
                        .issues
                        .iter()
                        .filter(|(kind, _)| **kind != IssueKind::Overruled)
                        .map(|(_, issue)| issue.count)
                        .sum(),
                    issues,
                    last_fact_at_ms: s.last_fact.map(|t| t.0),
                }
            })
            .chain(settings)
            .chain(self.forwarding.clone())
            .collect()
    }
}

/// Not kept with the other issues: it holds for this run of the engine only.
fn port_taken(address: &str, at: Timestamp) -> IssueView {
    IssueView {
        kind: "port_taken".to_owned(),
        message: format!(
            "Another program listens on {address}. Telemetry sent there does not arrive here; everything else works."
        ),
        path: None,
        count: 1,
        last_at_ms: at.0,
    }
}

/// Likewise: it goes when the database can be read again.
fn in_trouble(trouble: Trouble, path: &Path, since: Timestamp) -> IssueView {
    IssueView {
        kind: trouble.word().to_owned(),
        message: trouble.message().to_owned(),
        path: Some(path.to_string_lossy().into_owned()),
        count: 1,
        last_at_ms: since.0,
    }
}

/// Likewise: it goes when there is room again.
fn disk_low(bytes: u64, since: Timestamp) -> IssueView {
    IssueView {
        kind: "disk_low".to_owned(),
        message: format!(
            "Less than {} MB are free on the disk. No telemetry is taken in until there is room again; exporters are asked to try later. Transcripts and hooks are still read.",
            bytes / 1_000_000
        ),
        path: None,
        count: 1,
        last_at_ms: since.0,
    }
}

/// What happened, and what still works.
fn message(kind: IssueKind) -> &'static str {
    match kind {
        IssueKind::BadJson => "A line is no JSON record. It is skipped; the rest of its file is read.",
        IssueKind::BadUtf8 => "A line is not valid UTF-8. What can be read of it is used.",
        IssueKind::LongLine => {
            "A line is longer than 16 MB. Its type, ids and token counts are used, its text is not."
        }
        IssueKind::NotAFile => {
            "Something that is no regular file stands where a transcript should be. It is not opened."
        }
        IssueKind::Unreadable => {
            "A file or folder cannot be read: permission denied or a disk error. Others are not affected."
        }
        IssueKind::LinkLoop => "A link leads in a circle. It is not followed.",
        IssueKind::OutsideRoot => "A link leads out of the agent's folder. It is not followed.",
        IssueKind::BadId => "A name is no session id. It is not used.",
        IssueKind::FutureTime => {
            "A record is dated in the future. The moment of reading is used for order and age."
        }
        IssueKind::HalfWritten => "A registry file was half written. What it said before still holds.",
        IssueKind::WatchLimit => {
            "The system's limit of file watches is reached; live sessions are looked at every 2 s instead. Raise fs.inotify.max_user_watches."
        }
        IssueKind::StoreFailed => {
            "Lamplight stopped reading: its database refused a write (a full disk, another program holding it), or it met a fault of its own. What is shown is from before; start it again."
        }
        IssueKind::SourcesFailed => {
            "Lamplight stopped reading the agents' folders by a fault of its own, or for want of descriptors. What is shown is from before; start it again."
        }
        IssueKind::Compressed => "A compressed transcript is not read. Its session is missing here.",
        IssueKind::BadRecord => {
            "A telemetry record could not be read. It was refused; the others of its request are used."
        }
        IssueKind::TooManyServices => {
            "More than 500 services sent telemetry. What further ones send is not counted."
        }
        IssueKind::LongTrace => {
            "A trace has more than 100,000 spans. Further ones are counted for their service and not kept."
        }
        IssueKind::LetGo => {
            "The database reached its bound ([store] max_bytes). The oldest spans were let go; sums of services and sessions stay."
        }
        IssueKind::BadHook => "A file in the spool is no hook. It is removed; others are not affected.",
        IssueKind::SpoolFull => {
            "More hooks waited than the spool holds (64 MB, 20,000 files). Some were dropped; states still come from the agents' own files."
        }
        IssueKind::Overruled => {
            "It said otherwise than a source that is believed before it. What is believed is shown; Why this state lists both."
        }
        IssueKind::WatchOverflow => "The system dropped file events. Everything was listed again.",
    }
}
