//! The spool: one file per hook of an agent, written by `lamp hook`, removed once what it says is stored.
//!
//! Start from [`put`], which the hook's process calls, and [`read`], which the engine does. Names sort by time. A file
//! is written under a name that begins with a dot and renamed, so that whoever lists sees whole files only. Nothing of
//! a hook is believed but its words: no path in it is opened, and no session is resumed for it (what a hook means is
//! [`super::decode::hook`]'s and the model's).

mod write;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lamplight_model::ids::Timestamp;

pub use write::{Envelope, PutError, put};

use super::decode::{self, Hooked};
use super::open::{OpenError, modified_at, open_regular};
use crate::clock;
use crate::facts::{HookFact, Input, IssueKind};

/// Largest body that is written whole (DESIGN §7).
pub const MAX_BODY_BYTES: usize = 256 * 1024;
/// Room for what is written around a body.
const MAX_FILE_BYTES: u64 = 260 * 1024;
/// Files that may wait.
pub const MAX_FILES: usize = 20_000;
/// Bytes that may wait.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// A file under its first name that is older than this was left by a hook that was killed.
const LEFT_BEHIND: Duration = Duration::from_secs(60);
/// Stands in a spool that is full while nobody empties it; hooks then keep nothing.
const FULL: &str = "full";

/// The spool of a data directory.
#[must_use]
pub fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("spool")
}

/// Makes the spool if it is missing; only its owner can look into it.
///
/// # Errors
/// When the system refuses.
pub fn make_folder(spool: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(spool)
}

/// Whether a name is that of a whole spooled hook.
#[must_use]
pub fn is_hook_name(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.ends_with(b".json") && !name.starts_with(b".")
}

/// Whether a name is that of the mark that hooks leave when they find the spool full.
#[must_use]
pub(crate) fn is_full_mark(name: &OsStr) -> bool {
    name == FULL
}

/// What waits in a spool.
#[derive(Debug, Default)]
pub struct Waiting {
    /// Names, oldest first.
    pub names: Vec<OsString>,
    /// Files that were removed because more waited than the spool holds, and hooks that found it full.
    pub dropped: u64,
}

/// Lists what waits, oldest first, and removes what is beyond the limits or was left behind half written.
///
/// # Errors
/// When the folder cannot be listed.
pub fn list(spool: &Path) -> std::io::Result<Waiting> {
    list_within(spool, MAX_FILES, MAX_BYTES)
}

fn list_within(spool: &Path, most_files: usize, most_bytes: u64) -> std::io::Result<Waiting> {
    let mut waiting = Waiting::default();
    for entry in fs::read_dir(spool)? {
        let name = entry?.file_name();
        if is_hook_name(&name) {
            waiting.names.push(name);
        } else if name == FULL {
            // Emptied from here on; how many hooks found it full, nobody counted.
            waiting.dropped += 1;
            remove(&spool.join(FULL));
        } else if is_left_behind(&spool.join(&name)) {
            remove(&spool.join(name));
        }
    }
    waiting.names.sort_unstable();
    let mut bytes = 0_u64;
    let sizes =
        waiting.names.iter().rev().map(|name| fs::symlink_metadata(spool.join(name)).map_or(0, |m| m.len()));
    let kept = sizes
        .take(most_files)
        .take_while(|size| {
            bytes = bytes.saturating_add(*size);
            bytes <= most_bytes
        })
        .count();
    for name in waiting.names.drain(..waiting.names.len().saturating_sub(kept)) {
        remove(&spool.join(name));
        waiting.dropped += 1;
    }
    Ok(waiting)
}

fn is_left_behind(path: &Path) -> bool {
    let is_first_name = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let age = |m: fs::Metadata| clock::now().since(modified_at(&m));
    is_first_name
        && fs::symlink_metadata(path)
            .is_ok_and(|m| m.is_file() && u128::try_from(age(m)).unwrap_or(0) > LEFT_BEHIND.as_millis())
}

/// Removes a file of the spool.
pub fn remove(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => {}
        // It is read again, which changes nothing.
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "a spooled hook cannot be removed");
        }
        Err(_) => {}
    }
}

/// What one file of the spool is.
#[derive(Debug)]
pub enum Spooled {
    /// A hook.
    Fact(Box<HookFact>, Option<IssueKind>),
    /// A hook of a session nobody sees.
    Nothing,
    /// No hook.
    Bad(IssueKind),
    /// Another user's, or nothing that could be read.
    Foreign,
    /// It is gone.
    Gone,
}

/// Reads one file of the spool.
#[must_use]
pub fn read(path: &Path, now: Timestamp) -> Spooled {
    let (file, metadata) = match open_regular(path) {
        Ok(opened) => opened,
        Err(OpenError::Gone) => return Spooled::Gone,
        Err(OpenError::NotAFile | OpenError::Link | OpenError::Io(_)) => return Spooled::Foreign,
    };
    if !is_ours(&metadata) {
        return Spooled::Foreign;
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Spooled::Bad(IssueKind::BadHook);
    }
    let mut bytes = Vec::new();
    if file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).is_err() {
        return Spooled::Foreign;
    }
    match decode::hook(&bytes, now) {
        Ok((Some(Hooked { agent, session, hook }), issue)) => {
            Spooled::Fact(Box::new(HookFact { file: path.to_owned(), agent, session, hook }), issue)
        }
        Ok((None, _)) => Spooled::Nothing,
        Err(kind) => Spooled::Bad(kind),
    }
}

/// Reads everything that waits, for a pass without an engine; the files are to be removed once it is stored.
#[must_use]
pub fn read_all(spool: &Path, now: Timestamp) -> (Vec<Input>, Vec<PathBuf>) {
    // Without a spool there are no hooks.
    let Ok(waiting) = list(spool) else { return (Vec::new(), Vec::new()) };
    let (mut inputs, mut files) = (Vec::new(), Vec::new());
    for name in waiting.names {
        let path = spool.join(name);
        match read(&path, now) {
            Spooled::Fact(fact, _) => inputs.push(Input::Hook(*fact)),
            Spooled::Nothing | Spooled::Bad(_) => {}
            Spooled::Foreign | Spooled::Gone => continue,
        }
        files.push(path);
    }
    (inputs, files)
}

#[cfg(unix)]
fn is_ours(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.uid() == rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn is_ours(_metadata: &fs::Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(sizes: &[usize]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (n, size) in sizes.iter().enumerate() {
            fs::write(dir.path().join(format!("{n:04}.json")), vec![b' '; *size]).unwrap();
        }
        dir
    }

    #[test]
    fn beyond_its_limits_the_oldest_go_and_are_counted() {
        for (sizes, most_files, most_bytes, kept, dropped) in [
            (&[1, 1, 1][..], 3, 100, &["0000.json", "0001.json", "0002.json"][..], 0),
            (&[1, 1, 1], 2, 100, &["0001.json", "0002.json"], 1),
            (&[50, 30, 30], 9, 60, &["0001.json", "0002.json"], 1),
            (&[1, 1, 500], 9, 60, &[], 3),
        ] {
            let dir = spool(sizes);
            let waiting = list_within(dir.path(), most_files, most_bytes).unwrap();
            assert_eq!(waiting.names, kept, "{sizes:?}");
            assert_eq!(waiting.dropped, dropped, "{sizes:?}");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), kept.len(), "{sizes:?}");
        }
    }

    #[test]
    fn what_is_half_written_is_no_hook_and_goes_when_it_was_left_behind() {
        let dir = spool(&[1]);
        let (fresh, old) = (dir.path().join(".1.json"), dir.path().join(".0.json"));
        fs::write(&fresh, "{").unwrap();
        let file = fs::File::create(&old).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(list(dir.path()).unwrap().names, ["0000.json"]);
        assert!(fresh.exists() && !old.exists());
    }

    #[test]
    fn a_full_spool_is_told_once() {
        let dir = spool(&[1]);
        fs::write(dir.path().join(FULL), "").unwrap();
        assert_eq!(list(dir.path()).unwrap().dropped, 1);
        assert_eq!(list(dir.path()).unwrap().dropped, 0);
    }

    #[test]
    fn only_regular_files_of_hooks_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let hook = |session: &str| {
            format!(
                r#"{{"v":1,"agent":"claude-code","received_at_ms":1000,"payload":{{"session_id":"{session}","hook_event_name":"Stop"}}}}"#
            )
        };
        for (name, text) in [
            ("good.json", hook("a-1")),
            ("path.json", hook("../../etc/passwd")),
            ("none.json", r#"{"v":1,"agent":"claude-code","received_at_ms":1000,"payload":{}}"#.to_owned()),
            ("other.json", hook("a-1").replace("claude-code", "somebody")),
            ("torn.json", hook("a-1").replace("}}", "")),
            ("binary.json", "\u{0}\u{1}".to_owned()),
            ("large.json", hook(&"x".repeat(300_000))),
        ] {
            fs::write(path(name), text).unwrap();
        }
        fs::create_dir(path("folder.json")).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(path("good.json"), path("link.json")).unwrap();
        let now = Timestamp(2_000);
        let read = |name: &str| read(&path(name), now);
        assert!(matches!(read("good.json"), Spooled::Fact(fact, None) if fact.session.as_str() == "a-1"));
        assert!(matches!(read("path.json"), Spooled::Bad(IssueKind::BadId)));
        for name in ["none.json", "other.json", "torn.json", "binary.json", "large.json"] {
            assert!(matches!(read(name), Spooled::Bad(IssueKind::BadHook)), "{name}");
        }
        assert!(matches!(read("folder.json"), Spooled::Foreign));
        #[cfg(unix)]
        assert!(matches!(read("link.json"), Spooled::Foreign));
        assert!(matches!(read("gone.json"), Spooled::Gone));
    }
    #[cfg(unix)]
    #[test]
    fn what_another_user_put_there_is_not_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1.json");
        fs::write(&path, "{}").unwrap();
        // Only root can give a file away; anyone else cannot be given one here.
        if std::os::unix::fs::chown(&path, Some(4_242), None).is_ok() {
            assert!(matches!(read(&path, Timestamp(0)), Spooled::Foreign));
        }
    }
}
