//! Codex's writer locks, `thread-writer-locks/<thread>.lock`, read from the kernel's lock table.
//!
//! A lock is never taken or tried, not even shared: that alone makes Codex's own attempt fail. The files are not even
//! opened; `/proc/locks` names device and inode of what is locked.

use std::fs;
use std::path::{Path, PathBuf};

use lamplight_model::ids::SessionId;

use super::open::file_id;
use super::processes::{Liveness, look_up, sees_all_writers};
use crate::facts::{FileId, Issue, IssueKind};

/// A lock file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockFile {
    /// Thread it belongs to.
    pub session: SessionId,
    /// Where it is.
    pub path: PathBuf,
    /// Which file it is.
    pub file: FileId,
}

/// The thread in a lock file's name.
#[must_use]
pub fn session_of(path: &Path) -> Option<Result<SessionId, IssueKind>> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".lock")?;
    Some(SessionId::new(stem).map_err(|_| IssueKind::BadId))
}

/// Looks at one lock file; `None` when it is gone or no regular file.
#[must_use]
pub fn look_at(path: &Path, session: &SessionId) -> Option<LockFile> {
    let metadata = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some(LockFile { session: session.clone(), path: path.to_owned(), file: file_id(path, &metadata) })
}

/// Lists the lock files of a folder; `None` when there is no such folder.
#[must_use]
pub fn list(folder: &Path) -> Option<(Vec<LockFile>, Vec<Issue>)> {
    let (mut files, mut issues) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).ok()?.filter_map(Result::ok) {
        let path = entry.path();
        match session_of(&path) {
            Some(Ok(session)) => files.extend(look_at(&path, &session)),
            Some(Err(kind)) => issues.push(Issue { kind, path: Some(path), at: None }),
            None => {}
        }
    }
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Some((files, issues))
}

/// Pid told for a lock that somebody outside this pid namespace holds, or may hold.
pub const UNSEEN_HOLDER: u32 = 0;

/// One look at the kernel's lock table.
#[derive(Debug, Default)]
pub struct LockTable {
    held: Vec<Held>,
    /// The table could not be read: nobody can say who holds what.
    unreadable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    pid: Option<u32>,
    device: (u32, u32),
    ino: u64,
}

impl LockTable {
    /// Reads the table.
    #[must_use]
    pub fn read() -> Self {
        match fs::read_to_string("/proc/locks") {
            Ok(text) => Self::parse(&text),
            Err(_) => Self { held: Vec::new(), unreadable: true },
        }
    }

    /// Parses the table: `1: FLOCK  ADVISORY  WRITE 708 fe:00:10010799 0 EOF`, device in hexadecimal, inode in decimal.
    /// Only exclusive whole-file locks count: a shared one is a curious bystander, `->` a process in the queue.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let held = text.lines().filter_map(|line| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            (fields.next()? == "FLOCK").then_some(())?;
            let mut fields = fields.skip(1);
            (fields.next()? == "WRITE").then_some(())?;
            let pid = fields.next()?.parse().ok().filter(|pid| *pid > 0);
            let mut place = fields.next()?.split(':');
            let mut hex = || u32::from_str_radix(place.next()?, 16).ok();
            let device = (hex()?, hex()?);
            Some(Held { pid, device, ino: place.next()?.parse().ok()? })
        });
        Self { held: held.collect(), unreadable: false }
    }

    /// Says who holds a lock file: a pid, [`UNSEEN_HOLDER`], or nobody.
    ///
    /// The table names the device of the file system (`s_dev`), while stat names what the file system likes: on btrfs
    /// each subvolume has a device of its own, and an overlay may show a lower layer's. So the mount's device is compared
    /// as well, and if neither is in the table, an inode that stands there exactly once is taken for this file.
    #[must_use]
    pub fn holder(&self, file: FileId, place: &LockPlace) -> Option<u32> {
        let same_inode = || self.held.iter().filter(|h| h.ino == file.ino);
        let exact =
            same_inode().find(|h| h.device == device_of(file) || Some(h.device) == place.mount_device);
        let held = exact.or_else(|| {
            let mut candidates = same_inode();
            candidates.next().filter(|_| candidates.next().is_none() && !self.knows(file, place))
        });
        match held {
            // A dead owner whose lock still stands left it to a child of unknown pid.
            Some(Held { pid: Some(pid), .. }) if look_up(*pid) != Liveness::Gone => Some(*pid),
            Some(_) => Some(UNSEEN_HOLDER),
            None if self.unreadable || !place.sees_all_writers => Some(UNSEEN_HOLDER),
            None => None,
        }
    }

    /// Whether other locks stand under this file's device: then the devices are comparable, and an inode of another
    /// device is another file.
    fn knows(&self, file: FileId, place: &LockPlace) -> bool {
        let device = device_of(file);
        place.mount_device.is_some() || self.held.iter().any(|h| h.device == device)
    }
}

/// What must be known of a folder to find its files in the lock table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockPlace {
    /// Device of the mounted file system, as the kernel counts it.
    pub mount_device: Option<(u32, u32)>,
    /// Every process that could hold a lock here has a pid here.
    pub sees_all_writers: bool,
}

impl LockPlace {
    /// Looks at a folder.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self { mount_device: mount_device(folder), sees_all_writers: sees_all_writers(folder) }
    }
}

#[cfg(target_os = "linux")]
fn device_of(file: FileId) -> (u32, u32) {
    (rustix::fs::major(file.dev), rustix::fs::minor(file.dev))
}

#[cfg(not(target_os = "linux"))]
fn device_of(_file: FileId) -> (u32, u32) {
    (0, 0)
}

/// Device of the mount a path lies on: its mount id from statx, looked up in `/proc/self/mountinfo`.
#[cfg(target_os = "linux")]
fn mount_device(path: &Path) -> Option<(u32, u32)> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
    let stat = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).ok()?;
    if stat.stx_mask & StatxFlags::MNT_ID.bits() == 0 {
        return None;
    }
    device_of_mount(&fs::read_to_string("/proc/self/mountinfo").ok()?, stat.stx_mnt_id)
}

#[cfg(not(target_os = "linux"))]
fn mount_device(_path: &Path) -> Option<(u32, u32)> {
    None
}

/// Finds a mount: `36 35 98:0 /mnt1 /mnt2 rw …`, id first, device third and decimal.
#[cfg(target_os = "linux")]
fn device_of_mount(mountinfo: &str, id: u64) -> Option<(u32, u32)> {
    let id = id.to_string();
    mountinfo.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        (fields.next()? == id).then_some(())?;
        let (major, minor) = fields.nth(1)?.split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const FILE: FileId = FileId { dev: 65024, ino: 10_010_799 };

    fn check(table: &str, mount_device: Option<(u32, u32)>, sees_all_writers: bool) -> Option<u32> {
        LockTable::parse(table).holder(FILE, &LockPlace { mount_device, sees_all_writers })
    }

    #[test]
    fn a_holder_is_found_by_device_and_inode() {
        let own = std::process::id();
        let line = |kind: &str, access: &str, pid: u32, place: &str| {
            format!("1: {kind}  ADVISORY  {access} {pid} {place} 0 EOF\n")
        };
        let here = "fe:00:10010799";
        assert_eq!(check(&line("FLOCK", "WRITE", own, here), None, true), Some(own));
        assert_eq!(check(&line("POSIX", "WRITE", own, here), None, true), None, "another kind of lock");
        assert_eq!(check(&line("FLOCK", "READ", own, here), None, true), None, "a bystander's shared lock");
        assert_eq!(check(&line("-> FLOCK", "WRITE", own, here), None, true), None, "one who waits");
        assert_eq!(check(&line("FLOCK", "WRITE", own, "fe:00:7"), None, true), None, "another file");
        assert_eq!(check("", None, true), None);
        assert_eq!(check("garbage\n1: FLOCK\n2: FLOCK ADVISORY WRITE x y\n", None, true), None);
    }

    #[test]
    fn a_file_system_that_shows_another_device_is_found_through_its_mount_or_a_lone_inode() {
        let own = std::process::id();
        let btrfs = format!("1: FLOCK  ADVISORY  WRITE {own} 00:1f:10010799 0 EOF\n");
        assert_eq!(check(&btrfs, Some((0, 0x1f)), true), Some(own), "by the mount");
        assert_eq!(check(&btrfs, Some((0, 0x20)), true), None, "the mount says it is another file system");
        assert_eq!(check(&btrfs, None, true), Some(own), "by the lone inode");
        let twice = format!("{btrfs}2: FLOCK  ADVISORY  WRITE {own} 00:2f:10010799 0 EOF\n");
        assert_eq!(check(&twice, None, true), None, "two candidates are none");
    }

    #[test]
    fn where_holders_may_be_out_of_sight_nobody_is_not_said() {
        assert_eq!(check("", None, false), Some(UNSEEN_HOLDER));
        let dead = "1: FLOCK  ADVISORY  WRITE 4194305 fe:00:10010799 0 EOF\n";
        assert_eq!(check(dead, None, true), Some(UNSEEN_HOLDER), "a lock outlived the process that took it");
        let other = "1: FLOCK  ADVISORY  WRITE 0 fe:00:10010799 0 EOF\n";
        assert_eq!(check(other, None, true), Some(UNSEEN_HOLDER), "a pid of another namespace");
    }

    #[test]
    fn mounts_are_found_by_id() {
        let mounts =
            "21 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n36 21 0:31 / /home rw - btrfs /dev/vdb rw\n";
        assert_eq!(device_of_mount(mounts, 36), Some((0, 31)));
        assert_eq!(device_of_mount(mounts, 3), None);
        assert!(mount_device(Path::new("/")).is_some());
    }
}
