//! Runs git so that it only looks: no lock is taken, nothing is fetched, and no program that a repository names is run.
//!
//! A repository's own configuration can name programs for `git status` to run: a file system monitor, hooks, filters of
//! file contents, the same again in submodules, and a transport when objects are missing. Each is switched off; the list
//! of filters is asked for first, since they have free names.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use lamplight_model::worktree::{Blind, Finding};

use crate::programs;
use crate::sources::children::{end, wait_until};
use crate::sources::open::open_regular;

use super::porcelain::{self, Listing};
use super::site::{self, Site};

/// How git is run; tests choose another program and less patience.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    pub program: PathBuf,
    /// For one look, all runs together.
    pub patience: Duration,
}

impl Default for Git {
    fn default() -> Self {
        Self { program: PathBuf::from("git"), patience: Duration::from_secs(5) }
    }
}

/// Most bytes of a status that are read; a million untracked files say no more than the first hundred thousand.
const MOST_OUTPUT: u64 = 8 * 1024 * 1024;

/// Paths whose time and size go into the mark of a state.
const MOST_MARKED: usize = 2_000;

/// Most folders without version control that are looked into.
const MOST_FOLDERS: usize = 100;

/// Most bytes that are read of what lies in them.
const MOST_INSIDE: u64 = 256 * 1024;

/// Most bytes of the stash's log that are read.
const MOST_STASH_LOG: u64 = 256 * 1024;

/// Entries of a folder that are read to see whether an agent alone wrote there.
const MOST_ENTRIES: usize = 64;

/// A setting of ours, which shows that git takes settings from its environment (versions from 2.31 on).
const PROBE: &str = "lamplight.probe";

/// What is switched off in every run. Filters come on top, by their names.
const SWITCHES: &[(&str, &str)] = &[
    (PROBE, "true"),
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.sshCommand", "false"),
    ("core.askPass", ""),
    ("credential.helper", ""),
    ("submodule.recurse", "false"),
];

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    pub finding: Finding,
    /// Equal for two looks at the same uncommitted work: its paths, their states, sizes and times.
    pub mark: u128,
}

impl From<Finding> for Look {
    fn from(finding: Finding) -> Self {
        Self { finding, mark: 0 }
    }
}

impl Git {
    /// Looks at the worktree with this root. Blocks, at most for its patience and a moment.
    pub(crate) fn look(&self, root: &Path) -> Look {
        let deadline = Instant::now() + self.patience;
        match site::find(root).and_then(|site| self.status(&site, deadline)) {
            Ok((listing, mark)) if listing.counts.paths == 0 => {
                Look { finding: Finding::Clean(listing.branch), mark }
            }
            Ok((listing, mark)) => Look { finding: Finding::Dirty(listing.counts, listing.branch), mark },
            Err(finding) => finding.into(),
        }
    }

    fn status(&self, site: &Site, deadline: Instant) -> Result<(Listing, u128), Finding> {
        let root = site.root.as_path();
        let names =
            self.run(root, deadline, MOST_OUTPUT, &[], &["config", "--null", "--name-only", "--list"])?;
        // A git that takes no configuration from its environment could not be told to run nothing.
        if !names.split(|byte| *byte == 0).any(|name| name == PROBE.as_bytes()) {
            return Err(Finding::Unknown(Blind::Refused));
        }
        let filters = filters(&names);
        let args = [
            "status",
            "--porcelain=v2",
            "--branch",
            "--show-stash",
            "-z",
            "--untracked-files=normal",
            // A submodule's own changes would have git run in it, with its configuration.
            "--ignore-submodules=dirty",
            "--no-renames",
        ];
        let output = self.run(root, deadline, MOST_OUTPUT, &filters, &args)?;
        let mut listing = porcelain::parse(&output, |folder| has_markers_alone(root, folder));
        if listing.stashes > 0 {
            listing.branch.stashes = stashes(&site.common_dir, listing.stashes);
        }
        let inside = self.inside(root, deadline, &filters, &listing.folders);
        let mark = mark(root, &listing, &inside);
        Ok((listing, mark))
    }

    /// What lies in folders of which nothing is under version control, without what is ignored: a status names the folder
    /// alone. Where that takes too long, nothing.
    fn inside(
        &self,
        root: &Path,
        deadline: Instant,
        filters: &[Vec<u8>],
        folders: &[PathBuf],
    ) -> Vec<PathBuf> {
        let named: Vec<&str> = folders.iter().take(MOST_FOLDERS).filter_map(|path| path.to_str()).collect();
        if named.is_empty() {
            return Vec::new();
        }
        let mut args = vec!["--literal-pathspecs", "ls-files", "--others", "--exclude-standard", "-z", "--"];
        args.extend(named);
        let output = self.run(root, deadline, MOST_INSIDE, filters, &args).unwrap_or_default();
        porcelain::paths(&output).filter(|path| !porcelain::is_marker(path)).take(MOST_MARKED).collect()
    }

    fn run(
        &self,
        root: &Path,
        deadline: Instant,
        most: u64,
        filters: &[Vec<u8>],
        args: &[&str],
    ) -> Result<Vec<u8>, Finding> {
        let prepare = |program: &Path| prepared(program, root, filters, args);
        let mut child = programs::spawn(&self.program, prepare).map_err(|error| {
            Finding::Unknown(match error.kind() {
                // The directory may have gone since it was looked at.
                std::io::ErrorKind::NotFound if root.is_dir() => Blind::NoGit,
                _ => Blind::Unreadable,
            })
        })?;
        let Some(stdout) = child.stdout.take() else { return Err(Finding::Unknown(Blind::Refused)) };
        let (done, read) = channel();
        let reader = std::thread::Builder::new().name("git-output".to_owned()).spawn(move || {
            let mut bytes = Vec::new();
            let outcome = stdout.take(most).read_to_end(&mut bytes).map(|_| bytes);
            // Nobody waits any more once it has taken too long.
            let _ = done.send(outcome);
        });
        if reader.is_err() {
            end(child);
            return Err(Finding::Unknown(Blind::Refused));
        }
        match read.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Ok(bytes)) => {
                // With the output closed it ends by itself, unless its output was cut.
                let is_cut = bytes.len() as u64 >= most;
                if is_cut {
                    end(child);
                    return Ok(bytes);
                }
                match wait_until(&mut child, deadline) {
                    Some(true) => Ok(bytes),
                    Some(false) => Err(Finding::Unknown(Blind::Refused)),
                    None => {
                        end(child);
                        Err(Finding::Unknown(Blind::TimedOut))
                    }
                }
            }
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => {
                end(child);
                Err(Finding::Unknown(Blind::Refused))
            }
            Err(RecvTimeoutError::Timeout) => {
                end(child);
                Err(Finding::Unknown(Blind::TimedOut))
            }
        }
    }
}

/// A git that runs nothing of the repository's choosing, ready to start.
fn prepared(program: &Path, root: &Path, filters: &[Vec<u8>], args: &[&str]) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        // What a user set for another repository, or for tracing, is not meant here.
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    command
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_NO_LAZY_FETCH", "1")
        // Versions that do not know the line above find no transport to fetch by.
        .env("GIT_ALLOW_PROTOCOL", "none")
        .env("GIT_PAGER", "cat")
        .env("LC_ALL", "C")
        .args(args)
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    configure(&mut command, filters);
    command
}

/// Sets configuration by the environment, where a name may hold any character.
fn configure(command: &mut Command, filters: &[Vec<u8>]) {
    let fixed = SWITCHES.iter().map(|(key, value)| (key.as_bytes().to_vec(), *value));
    let of_filters = filters.iter().flat_map(|driver| {
        [("clean", ""), ("smudge", ""), ("process", ""), ("required", "false")]
            .map(|(what, value)| ([b"filter.", driver.as_slice(), b".", what.as_bytes()].concat(), value))
    });
    let mut count = 0;
    for (key, value) in fixed.chain(of_filters) {
        command.env(format!("GIT_CONFIG_KEY_{count}"), to_os(key));
        command.env(format!("GIT_CONFIG_VALUE_{count}"), value);
        count += 1;
    }
    command.env("GIT_CONFIG_COUNT", count.to_string());
}

/// Entries of the stash by the branch they were put aside on, as [`Branch::stashes`](lamplight_model::worktree::Branch) has
/// them. Where their log cannot be read, as who keeps references elsewhere has none, they are `count` of nobody knows which.
fn stashes(common_dir: &Path, count: u32) -> BTreeMap<String, u32> {
    let mut log = Vec::new();
    let read = open_regular(&common_dir.join("logs/refs/stash"))
        .is_ok_and(|(file, _)| file.take(MOST_STASH_LOG).read_to_end(&mut log).is_ok());
    if !read {
        return BTreeMap::from([(String::new(), count)]);
    }
    let mut by_branch = BTreeMap::new();
    for line in log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        *by_branch.entry(branch_of(&String::from_utf8_lossy(line)).to_owned()).or_default() += 1;
    }
    by_branch
}

/// The branch in a line of the stash's log: `<old> <new> <who> <when>\tWIP on main: 1234567 subject`, or `On main: ` and what
/// its person wrote; empty in one that git wrote for itself (`autostash`).
fn branch_of(line: &str) -> &str {
    let message = line.split_once('\t').map_or("", |(_, message)| message);
    let rest = message.strip_prefix("WIP on ").or_else(|| message.strip_prefix("On "));
    rest.and_then(|rest| rest.split_once(": ")).map_or("", |(branch, _)| branch)
}

/// Names of all filters, from the names of all settings.
fn filters(names: &[u8]) -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = names
        .split(|byte| *byte == 0)
        .filter_map(|name| name.strip_prefix(b"filter."))
        .filter_map(|rest| Some(rest.get(..rest.iter().rposition(|byte| *byte == b'.')?)?.to_vec()))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(unix)]
fn to_os(bytes: Vec<u8>) -> std::ffi::OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

#[cfg(not(unix))]
fn to_os(bytes: Vec<u8>) -> std::ffi::OsString {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// Whether nothing lies in a folder but what an agent wrote for itself. No link is followed.
fn has_markers_alone(root: &Path, folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else { return false };
    entries.zip(0..).all(|(entry, n)| {
        let Ok(entry) = entry else { return false };
        let path = folder.join(entry.file_name());
        n < MOST_ENTRIES
            && (porcelain::is_marker(&path)
                || (porcelain::leads_to_marker(&path)
                    && entry.file_type().is_ok_and(|kind| kind.is_dir())
                    && has_markers_alone(root, &path)))
    })
}

fn mark(root: &Path, listing: &Listing, inside: &[PathBuf]) -> u128 {
    let mut text = listing.entries.clone();
    for path in listing.paths.iter().take(MOST_MARKED) {
        add_stamp(root, path, &mut text);
    }
    for path in inside {
        text.extend_from_slice(path.as_os_str().as_encoded_bytes());
        text.push(0);
        add_stamp(root, path, &mut text);
    }
    xxhash_rust::xxh3::xxh3_128(&text)
}

/// Adds size and time of what lies at a path.
fn add_stamp(root: &Path, path: &Path, text: &mut Vec<u8>) {
    let Ok(meta) = root.join(path).symlink_metadata() else { return };
    // A folder's own change with every marker that an agent writes into it, and say nothing of a file.
    if meta.is_dir() {
        return;
    }
    text.extend_from_slice(&meta.len().to_be_bytes());
    let modified = meta.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    text.extend_from_slice(&modified.map_or(0, |t| t.as_nanos()).to_be_bytes());
}

#[cfg(all(test, unix))]
mod tests;
