//! Reading and replacing files that belong to somebody else.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Larger than any settings file; beyond it something is wrong with it, or with us.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// Links that are followed, as many as Linux follows.
const MAX_LINKS: usize = 40;

/// Called between the steps of writing a file, so that tests can end the process there.
pub(super) type Step<'a> = &'a mut dyn FnMut(&'static str) -> io::Result<()>;

/// A file as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The file itself, where the path is a link.
    pub target: PathBuf,
    /// Its content; `None` when it is not there.
    pub bytes: Option<Vec<u8>>,
    /// Its permission bits.
    pub mode: Option<u32>,
}

/// Why a file cannot be dealt with.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be written; what was there is there still.
    #[error("{path} cannot be written: {source}. It is as it was")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a folder, a device, or larger than any settings file.
    #[error("{path} is no settings file: {what}")]
    Odd {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It is not what it was when the plan was made.
    #[error(
        "{path} was changed in the meantime; nothing was written to it. Look at the new plan and apply again"
    )]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a file that may be a link, or not be there.
pub(super) fn look(path: &Path) -> Result<Found, FileError> {
    let read = |source| FileError::Read { path: path.to_owned(), source };
    let target = follow(path).map_err(read)?;
    // Asked before it is opened: a pipe would wait for its other end.
    let metadata = match fs::metadata(&target) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Found { target, bytes: None, mode: None });
        }
        Err(error) => return Err(read(error)),
    };
    if !metadata.is_file() {
        return Err(FileError::Odd { path: path.to_owned(), what: "it is not a regular file" });
    }
    if metadata.len() > MAX_BYTES {
        return Err(FileError::Odd { path: path.to_owned(), what: "it is larger than 4 MiB" });
    }
    let mut bytes = Vec::new();
    File::open(&target).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(read)?;
    Ok(Found { target, bytes: Some(bytes), mode: Some(mode_of(&metadata)) })
}

/// Follows links to the end, also where nothing is there: a link into a folder of dot files that waits for its file.
fn follow(path: &Path) -> io::Result<PathBuf> {
    if let Ok(real) = path.canonicalize() {
        return Ok(real);
    }
    let mut at = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&at) {
            Ok(to) => at = at.parent().unwrap_or(Path::new("/")).join(to),
            // No link, or not there.
            Err(_) => {
                let parent = at.parent().and_then(|parent| parent.canonicalize().ok());
                return Ok(match (parent, at.file_name()) {
                    (Some(parent), Some(name)) => parent.join(name),
                    _ => at,
                });
            }
        }
    }
    Err(io::Error::other("too many links"))
}

/// Replaces a file by rename: it is as before or as given, at any moment. Mode and owner stay; a new one gets `mode`.
pub(super) fn replace(target: &Path, bytes: &[u8], mode: u32, step: Step<'_>) -> Result<(), FileError> {
    write_whole(target, bytes, mode, step, &|| Ok(true))
        .map_err(|source| FileError::Write { path: target.to_owned(), source })
}

/// [`replace`], unless the file holds something else than `before` by the time the new one could take its place: its owner
/// writes to it too.
pub(super) fn replace_known(
    target: &Path,
    before: Option<&[u8]>,
    bytes: &[u8],
    mode: u32,
    step: Step<'_>,
) -> Result<(), FileError> {
    let is_other = std::cell::Cell::new(false);
    let may_replace = || {
        let now = look(target).map_err(io::Error::other)?;
        is_other.set(now.bytes.as_deref() != before);
        Ok(!is_other.get())
    };
    match write_whole(target, bytes, mode, step, &may_replace) {
        Ok(()) => Ok(()),
        Err(_) if is_other.get() => Err(FileError::Changed { path: target.to_owned() }),
        Err(source) => Err(FileError::Write { path: target.to_owned(), source }),
    }
}

fn write_whole(
    target: &Path,
    bytes: &[u8],
    mode: u32,
    step: Step<'_>,
    may_replace: &dyn Fn() -> io::Result<bool>,
) -> io::Result<()> {
    let folder = target.parent().ok_or_else(|| io::Error::other("it has no folder"))?;
    sweep(folder, target);
    let temporary = folder.join(temporary_name(target, std::process::id()));
    let written = (|| {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&temporary)?;
        step("opened")?;
        file.write_all(bytes)?;
        step("written")?;
        keep_owner(&file, target)?;
        set_mode(&file, mode)?;
        file.sync_all()?;
        step("synced")?;
        if !may_replace()? {
            return Err(io::Error::other("somebody else has written it meanwhile"));
        }
        fs::rename(&temporary, target)
    })();
    match written {
        Ok(()) => {}
        Err(error) => {
            // What matters is why it failed; what is left is swept the next time.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
    }
    step("renamed")?;
    sync_folder(folder);
    Ok(())
}

/// Removes a file that was not there before us.
pub(super) fn remove(target: &Path) -> Result<(), FileError> {
    match fs::remove_file(target) {
        Ok(()) => {
            if let Some(folder) = target.parent() {
                sync_folder(folder);
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(FileError::Write { path: target.to_owned(), source }),
    }
}

fn temporary_name(target: &Path, pid: u32) -> OsString {
    let mut name = prefix(target);
    name.push(pid.to_string());
    name
}

fn prefix(target: &Path) -> OsString {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(".lamplight-");
    name
}

/// Removes what a set-up that was killed left beside the file; whoever writes holds the lock.
fn sweep(folder: &Path, target: &Path) {
    let prefix = prefix(target);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
            // Only tidying: it is in nobody's way.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A folder that cannot be synced is no reason to fail: the file is there, a power cut may bring the old one back.
fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

#[cfg(unix)]
fn mode_of(metadata: &fs::Metadata) -> u32 {
    use std::os::unix::fs::MetadataExt;
    metadata.mode() & 0o7777
}

#[cfg(not(unix))]
fn mode_of(_: &fs::Metadata) -> u32 {
    0o644
}

#[cfg(unix)]
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_: &File, _: u32) -> io::Result<()> {
    Ok(())
}

/// A file of another user stays that user's, or is not written at all; a new one belongs to whom its folder does, so that
/// set-up as root leaves nothing in a home that its owner cannot change.
#[cfg(unix)]
fn keep_owner(file: &File, target: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let (old, must) = match fs::metadata(target) {
        Ok(old) => (old, true),
        Err(_) => (fs::metadata(target.parent().unwrap_or(Path::new("/")))?, false),
    };
    let new = file.metadata()?;
    if old.uid() == new.uid() && (!must || old.gid() == new.gid()) {
        return Ok(());
    }
    let given = std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()));
    // Into a folder of somebody else only root can write and give, and who may write there may own a file there.
    if must { given } else { Ok(()) }
}

#[cfg(not(unix))]
fn keep_owner(_: &File, _: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes the folders that are missing on the way to `folder`, 0700, and returns them, outermost first.
pub(super) fn make_folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let missing: Vec<PathBuf> =
        folder.ancestors().take_while(|at| !at.exists()).map(Path::to_owned).collect();
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let mut made = Vec::new();
    for at in missing.into_iter().rev() {
        builder.create(&at)?;
        // As a new file; one that cannot be given away is still there for whoever made it.
        #[cfg(unix)]
        let _ = give_as_parent(&at);
        made.push(at);
    }
    Ok(made)
}

#[cfg(unix)]
fn give_as_parent(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let (own, parent) = (fs::metadata(folder)?, fs::metadata(folder.parent().unwrap_or(folder))?);
    if own.uid() == parent.uid() {
        return Ok(());
    }
    std::os::unix::fs::chown(folder, Some(parent.uid()), Some(parent.gid()))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn what_its_owner_writes_at_the_last_moment_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings.json");
        fs::write(&path, "old").unwrap();
        let refused = replace_known(&path, Some(b"old"), b"new", 0o600, &mut |step| match step {
            "synced" => fs::write(&path, "theirs"),
            _ => Ok(()),
        });
        assert!(matches!(refused, Err(FileError::Changed { .. })), "{refused:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
        replace_known(&path, Some(b"theirs"), b"new", 0o600, &mut |_| Ok(())).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn wherever_writing_breaks_off_the_file_is_the_old_or_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings.json");
        for at in ["opened", "written", "synced", "renamed"] {
            fs::write(&path, "old").unwrap();
            let broken = replace(&path, b"new", 0o640, &mut |step| {
                if step == at { Err(io::Error::other("broken off")) } else { Ok(()) }
            });
            assert!(broken.is_err());
            let expected = if at == "renamed" { "new" } else { "old" };
            assert_eq!(fs::read_to_string(&path).unwrap(), expected, "{at}");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{at}: nothing is left beside it");
        }
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir(root.join("dots")).unwrap();
        fs::write(root.join("dots/real.json"), "{}").unwrap();
        fs::set_permissions(root.join("dots/real.json"), fs::Permissions::from_mode(0o604)).unwrap();
        std::os::unix::fs::symlink("dots/real.json", root.join("link.json")).unwrap();
        std::os::unix::fs::symlink("link.json", root.join("second.json")).unwrap();
        let found = look(&root.join("second.json")).unwrap();
        assert_eq!(
            (found.target.as_path(), found.mode),
            (root.join("dots/real.json").as_path(), Some(0o604))
        );
        replace(&found.target, b"[]", 0o604, &mut |_| Ok(())).unwrap();
        assert!(root.join("link.json").is_symlink());
        assert_eq!(fs::read_to_string(root.join("second.json")).unwrap(), "[]");
        assert_eq!(mode(&root.join("dots/real.json")), 0o604);
        std::os::unix::fs::symlink("dots/not-yet.json", root.join("waits.json")).unwrap();
        assert_eq!(
            look(&root.join("waits.json")).unwrap(),
            Found { target: root.join("dots/not-yet.json"), bytes: None, mode: None }
        );
        std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
        assert!(matches!(look(&root.join("loop")), Err(FileError::Read { .. })));
        assert!(matches!(look(&root), Err(FileError::Read { .. } | FileError::Odd { .. })));
    }

    #[test]
    fn as_root_what_is_somebodys_stays_theirs_and_what_is_new_becomes_theirs() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        fs::create_dir(&home).unwrap();
        fs::write(home.join("old.json"), "{}").unwrap();
        // Only root can give a file away; anyone else has nothing to test here.
        for path in [home.join("old.json"), home.clone()] {
            if std::os::unix::fs::chown(&path, Some(4_242), Some(4_243)).is_err() {
                return;
            }
        }
        replace(&home.join("old.json"), b"[]", 0o600, &mut |_| Ok(())).unwrap();
        assert_eq!(make_folders(&home.join("a/b")).unwrap(), [home.join("a"), home.join("a/b")]);
        replace(&home.join("a/b/new.json"), b"[]", 0o600, &mut |_| Ok(())).unwrap();
        for path in ["old.json", "a", "a/b", "a/b/new.json"] {
            let metadata = fs::metadata(home.join(path)).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (4_242, 4_243), "{path}");
        }
    }

    #[test]
    fn what_a_killed_set_up_left_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        fs::write(dir.path().join(".a.json.lamplight-1"), "half").unwrap();
        replace(&path, b"{}", 0o600, &mut |_| Ok(())).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(mode(&path), 0o600);
    }
}
