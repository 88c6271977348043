//! Lists the transcripts of a root, without opening them.
//!
//! Start from [`Lister`]. Everything listed lies inside the root by its real path and is a regular file; whatever else
//! stands where a transcript should be is an [`Issue`]. Secrets beside transcripts (`sessions/*.key`) are never listed.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, DirEntry, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use lamplight_model::ids::{Agent, SessionId, Timestamp};

use super::open::{file_id, modified_at, open_regular};
use super::opencode::{self, Trouble};
use crate::clock;
use crate::config::Root;
use crate::facts::{FileId, FileRole, Issue, IssueKind};
use crate::store::opencode::Mark;

/// A transcript, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Which file it is.
    pub file: FileId,
    /// What it is the transcript of.
    pub role: FileRole,
    /// Its size.
    pub size_bytes: u64,
    /// Its last change.
    pub modified_at: Timestamp,
    /// A subagent's meta file beside it.
    pub meta: Option<PathBuf>,
}

/// What a listing found.
#[derive(Debug, Default)]
pub struct Listing {
    /// Transcripts, each file once.
    pub found: Vec<Found>,
    /// What could not be used.
    pub issues: Vec<Issue>,
    /// A folder could not be listed: what is missing below may only be out of sight.
    pub partial: bool,
    /// Why the sessions of a database are not among them.
    pub trouble: Option<Trouble>,
    /// From where on that database tells by itself what changes.
    pub(crate) mark: Option<Mark>,
}

impl Listing {
    /// Sorts the newest first, the order in which files are read.
    pub fn newest_first(&mut self) {
        self.found.sort_by(|a, b| b.modified_at.cmp(&a.modified_at).then_with(|| a.path.cmp(&b.path)));
    }
}

/// Tells what a file is known to be, so that a loose agent file is not opened at every listing.
pub type Known<'a> = &'a dyn Fn(FileId) -> Option<FileRole>;

/// Called with each folder before it is listed, so that a watch can be there first.
pub type Enter<'a> = &'a mut dyn FnMut(&Path);

/// Lists transcripts below one root.
pub struct Lister<'a> {
    root: &'a Root,
    /// The root's real path: the fence.
    real: PathBuf,
    known: Known<'a>,
    listing: Listing,
    linked: HashSet<FileId>,
}

/// Most bytes of a loose agent file that are read to learn its session.
const PEEK_BYTES: u64 = 1024 * 1024;

impl<'a> Lister<'a> {
    /// Starts a listing; `None` when the root is not a folder (absent, or out of reach).
    #[must_use]
    pub fn new(root: &'a Root, known: Known<'a>) -> Option<Self> {
        let real = fs::canonicalize(&root.path).ok().filter(|p| p.is_dir())?;
        Some(Self { root, real, known, listing: Listing::default(), linked: HashSet::new() })
    }

    /// Lists every transcript below the root.
    pub fn everything(&mut self, enter: Enter<'_>) {
        match self.root.agent {
            Agent::ClaudeCode => self.claude_projects(enter),
            Agent::Codex => self.codex_rollouts(enter),
            Agent::OpenCode => self.opencode_sessions(enter),
            Agent::Gemini | Agent::Otel => {}
        }
    }

    /// Lists all sessions of OpenCode's database.
    pub fn opencode_sessions(&mut self, enter: Enter<'_>) {
        let root = &self.root.path;
        enter(root);
        match opencode::list(&root.join(opencode::DATABASE), clock::now()) {
            Ok(sessions) => self.take_sessions(sessions),
            Err(error) => {
                self.listing.trouble = error.trouble();
                self.listing.partial |= self.listing.trouble.is_some();
            }
        }
    }

    /// Lists the sessions of OpenCode's database in which something changed since `mark`, or all where it does not tell;
    /// whether it did.
    pub(crate) fn opencode_changes(&mut self, mark: Option<Mark>, enter: Enter<'_>) -> bool {
        let database = self.root.path.join(opencode::DATABASE);
        match mark.map(|mark| opencode::changed(&database, mark, clock::now())) {
            Some(Ok(Some(sessions))) => {
                self.take_sessions(sessions);
                true
            }
            // What is wrong with it, the listing says.
            Some(Ok(None) | Err(_)) | None => {
                self.opencode_sessions(enter);
                false
            }
        }
    }

    fn take_sessions(&mut self, sessions: opencode::Sessions) {
        self.listing.found.extend(sessions.found);
        self.listing.issues.extend(sessions.issues);
        self.listing.mark = sessions.mark;
    }

    /// Lists all project folders of Claude Code.
    pub fn claude_projects(&mut self, enter: Enter<'_>) {
        let projects = self.root.path.join("projects");
        let Some(projects) = self.folder(&projects) else { return };
        enter(&projects);
        for entry in self.entries(&projects) {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() || kind.is_symlink() => self.claude_project(&entry.path(), enter),
                _ => {}
            }
        }
    }

    /// Lists one project folder: main transcripts, loose agent files, and the subagents of each session.
    pub fn claude_project(&mut self, project: &Path, enter: Enter<'_>) {
        let Some(project) = self.folder(project) else { return };
        enter(&project);
        for entry in self.entries(&project) {
            let name = entry.file_name();
            if is_transcript_name(&name) {
                self.entry(&entry);
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) && session_of_folder(&name).is_some()
            {
                // Watched only while the session lives or was active lately, which is not known here.
                self.claude_subagents(&entry.path(), &mut |_| {});
            }
        }
    }

    /// Lists the subagents of one session's folder.
    pub fn claude_subagents(&mut self, session_folder: &Path, enter: Enter<'_>) {
        let subagents = session_folder.join("subagents");
        let Some(subagents) = self.folder(&subagents) else { return };
        enter(&subagents);
        for entry in self.entries(&subagents) {
            if is_transcript_name(&entry.file_name()) {
                self.entry(&entry);
            }
        }
    }

    /// Lists all rollouts of Codex: `sessions/Y/M/D/` and `archived_sessions/`.
    pub fn codex_rollouts(&mut self, enter: Enter<'_>) {
        let archive = self.root.path.join("archived_sessions");
        self.codex_folder(&archive, enter);
        let sessions = self.root.path.join("sessions");
        let Some(sessions) = self.folder(&sessions) else { return };
        enter(&sessions);
        for year in self.numbered(&sessions) {
            enter(&year);
            for month in self.numbered(&year) {
                enter(&month);
                for day in self.numbered(&month) {
                    self.codex_folder(&day, enter);
                }
            }
        }
    }

    /// Lists the rollouts of one folder.
    pub fn codex_folder(&mut self, folder: &Path, enter: Enter<'_>) {
        let Some(folder) = self.folder(folder) else { return };
        enter(&folder);
        for entry in self.entries(&folder) {
            let name = entry.file_name();
            if is_transcript_name(&name) {
                self.entry(&entry);
            } else if name.as_encoded_bytes().ends_with(b".jsonl.zst") {
                self.issue(IssueKind::Compressed, &entry.path());
            }
        }
    }

    /// Looks at one path, as an event names it.
    pub fn one(&mut self, path: &Path) {
        if !path.file_name().is_some_and(is_transcript_name) {
            return;
        }
        if let Ok(metadata) = fs::symlink_metadata(path) {
            let kind = metadata.file_type();
            self.file(path, kind.is_symlink(), Ok(metadata));
        }
    }

    /// Returns what was found since the last call.
    #[must_use]
    pub fn take(&mut self) -> Listing {
        std::mem::take(&mut self.listing)
    }

    /// Returns the numbered folders in `folder`, the greatest number first.
    pub fn numbered(&mut self, folder: &Path) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = self
            .entries(folder)
            .into_iter()
            .filter(|e| e.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
            .map(|e| e.path())
            .filter_map(|path| self.folder(&path))
            .collect();
        folders.sort_unstable_by(|a, b| b.cmp(a));
        folders
    }

    /// Checks a folder against the fence; `None` when it is absent, no folder, or leads elsewhere.
    fn folder(&mut self, path: &Path) -> Option<PathBuf> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(e) if is_absent(&e) => return None,
            Err(_) => {
                self.listing.partial = true;
                self.issue(IssueKind::Unreadable, path);
                return None;
            }
        };
        if metadata.is_dir() {
            return Some(path.to_owned());
        }
        if !metadata.file_type().is_symlink() {
            return None;
        }
        let real = self.resolve(path)?;
        // A link to a folder above itself is a circle, even though the kernel can follow it.
        let parent = path.parent().and_then(|p| fs::canonicalize(p).ok());
        if parent.is_some_and(|p| p.starts_with(&real)) {
            self.issue(IssueKind::LinkLoop, path);
            return None;
        }
        real.is_dir().then(|| path.to_owned())
    }

    /// Follows a link; `None` (and an issue) when it loops or leaves the root, `None` when it leads nowhere.
    fn resolve(&mut self, path: &Path) -> Option<PathBuf> {
        match fs::canonicalize(path) {
            Ok(real) if real.starts_with(&self.real) => Some(real),
            Ok(_) => {
                self.issue(IssueKind::OutsideRoot, path);
                None
            }
            Err(e) if is_link_loop(&e) => {
                self.issue(IssueKind::LinkLoop, path);
                None
            }
            Err(e) if is_absent(&e) => None,
            Err(_) => {
                self.issue(IssueKind::Unreadable, path);
                None
            }
        }
    }

    fn entries(&mut self, folder: &Path) -> Vec<DirEntry> {
        let listed = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        match listed {
            Ok(entries) => entries,
            Err(e) if is_absent(&e) => Vec::new(),
            Err(_) => {
                self.listing.partial = true;
                self.issue(IssueKind::Unreadable, folder);
                Vec::new()
            }
        }
    }

    fn entry(&mut self, entry: &DirEntry) {
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        self.file(&entry.path(), is_link, entry.metadata());
    }

    fn file(&mut self, path: &Path, is_link: bool, metadata: io::Result<Metadata>) {
        let (at, metadata) = if is_link {
            // The real path is what is opened, so that no link is followed then.
            let Some(real) = self.resolve(path) else { return };
            let metadata = fs::symlink_metadata(&real);
            (real, metadata)
        } else {
            (path.to_owned(), metadata)
        };
        let metadata = match metadata {
            Ok(metadata) => metadata,
            Err(e) if is_absent(&e) => return,
            Err(_) => return self.issue(IssueKind::Unreadable, path),
        };
        if !metadata.is_file() {
            return self.issue(IssueKind::NotAFile, path);
        }
        let file = file_id(&at, &metadata);
        if is_link && !self.linked.insert(file) {
            return;
        }
        let role = match (self.known)(file).filter(|known| may_be(path, known)) {
            Some(role) => role,
            None => match role_of(self.root.agent, path, &at) {
                Ok(Some(role)) => role,
                Ok(None) => return,
                Err(kind) => return self.issue(kind, path),
            },
        };
        let meta = role.subagent.is_some().then(|| at.with_extension("meta.json")).filter(|p| p.exists());
        self.listing.found.push(Found {
            path: at,
            file,
            role,
            size_bytes: metadata.len(),
            modified_at: modified_at(&metadata),
            meta,
        });
    }

    fn issue(&mut self, kind: IssueKind, path: &Path) {
        self.listing.issues.push(Issue { kind, path: Some(path.to_owned()), at: None });
    }
}

/// Lists a whole root; `None` when it is absent.
#[must_use]
pub fn list(root: &Root, known: Known<'_>) -> Option<Listing> {
    let mut lister = Lister::new(root, known)?;
    lister.everything(&mut |_| {});
    let mut listing = lister.take();
    listing.once_each();
    listing.newest_first();
    Some(listing)
}

impl Listing {
    /// Drops what was found a second time through a link.
    pub fn once_each(&mut self) {
        let mut seen = HashSet::with_capacity(self.found.len());
        self.found.retain(|found| seen.insert(found.file));
    }
}

/// Tells from path (and, for a loose agent file, from its first lines) what a file is the transcript of.
///
/// `Ok(None)` when a loose file does not say yet.
///
/// # Errors
/// The kind of issue to count: a name that is no id, or an unreadable file.
pub fn role_of(agent: Agent, path: &Path, real: &Path) -> Result<Option<FileRole>, IssueKind> {
    let stem = path.file_stem().and_then(OsStr::to_str).ok_or(IssueKind::BadId)?;
    let id = |text: &str| SessionId::new(text).map_err(|_| IssueKind::BadId);
    let (session, subagent) = match agent {
        Agent::Gemini | Agent::OpenCode | Agent::Otel => return Err(IssueKind::BadId),
        Agent::Codex => {
            // `rollout-2026-11-20T12-08-43-<uuid>`; the uuid is the last 36 characters.
            let at = stem.len().checked_sub(36).ok_or(IssueKind::BadId)?;
            let uuid = stem.get(at..).filter(|t| is_uuid(t)).ok_or(IssueKind::BadId)?;
            if !stem.starts_with("rollout-") {
                return Err(IssueKind::BadId);
            }
            (id(uuid)?, None)
        }
        Agent::ClaudeCode => match stem.strip_prefix("agent-") {
            None => (id(stem)?, None),
            Some(subagent) => {
                id(subagent)?;
                match session_above(path) {
                    Some(session) => (session, Some(subagent.to_owned())),
                    None => match first_session(real)? {
                        Some(session) => (session, Some(subagent.to_owned())),
                        None => return Ok(None),
                    },
                }
            }
        },
    };
    Ok(Some(FileRole { agent, session, subagent }))
}

/// The session of `…/<session>/subagents/agent-x.jsonl`.
fn session_above(path: &Path) -> Option<SessionId> {
    let folder = path.parent()?;
    if folder.file_name()? != "subagents" {
        return None;
    }
    session_of_folder(folder.parent()?.file_name()?)
}

/// Whether a known role still fits a file of this name; inodes are used again.
fn may_be(path: &Path, role: &FileRole) -> bool {
    let Some(stem) = path.file_stem().and_then(OsStr::to_str) else { return false };
    match (&role.subagent, stem.strip_prefix("agent-")) {
        (Some(subagent), Some(named)) => {
            subagent == named && session_above(path).is_none_or(|session| session == role.session)
        }
        (Some(_), None) => false,
        (None, _) => match role.agent {
            Agent::ClaudeCode => stem == role.session.as_str(),
            Agent::Codex => stem.ends_with(role.session.as_str()),
            Agent::Gemini | Agent::OpenCode | Agent::Otel => false,
        },
    }
}

/// The session id in the first record that has one (Claude 1.x agent files stand beside the main transcript).
fn first_session(path: &Path) -> Result<Option<SessionId>, IssueKind> {
    #[derive(serde::Deserialize)]
    struct Record {
        #[serde(rename = "sessionId")]
        session: Option<String>,
    }
    let (file, _) = match open_regular(path) {
        Ok(opened) => opened,
        Err(super::open::OpenError::Gone) => return Ok(None),
        Err(_) => return Err(IssueKind::Unreadable),
    };
    let mut head = Vec::new();
    file.take(PEEK_BYTES).read_to_end(&mut head).map_err(|_| IssueKind::Unreadable)?;
    let complete = memchr::memrchr(b'\n', &head).map_or(&[][..], |end| head.get(..end).unwrap_or_default());
    for line in complete.split(|b| *b == b'\n') {
        if let Ok(Record { session: Some(session) }) = serde_json::from_slice(line) {
            return SessionId::new(&session).map(Some).map_err(|_| IssueKind::BadId);
        }
    }
    Ok(None)
}

/// Whether a name ends like a transcript's.
#[must_use]
pub fn is_transcript_name(name: &OsStr) -> bool {
    name.as_encoded_bytes().ends_with(b".jsonl")
}

/// The session a folder beside its transcript is named after.
#[must_use]
pub fn session_of_folder(name: &OsStr) -> Option<SessionId> {
    name.to_str().and_then(|text| SessionId::new(text).ok())
}

/// Whether a text has the form of a UUID.
#[must_use]
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(unix)]
fn is_link_loop(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP)
}

#[cfg(not(unix))]
fn is_link_loop(error: &io::Error) -> bool {
    let _ = error;
    false
}
