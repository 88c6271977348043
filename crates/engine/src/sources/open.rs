//! Opens what agents wrote: read-only, regular files only, never through a link in the last place, never blocking.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::facts::FileId;
use lamplight_model::ids::Timestamp;

/// Why a file was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing is there.
    #[error("there is no such file")]
    Gone,
    /// A directory, FIFO, socket or device.
    #[error("not a regular file")]
    NotAFile,
    /// The last part of the path is a link.
    #[error("a link where a file was")]
    Link,
    /// Permission denied or another I/O error.
    #[error("cannot open it")]
    Io(#[source] io::Error),
}

/// Opens a regular file for reading.
///
/// `O_NONBLOCK` lets a FIFO be opened (and then refused) without waiting for its writer; `O_NOFOLLOW` refuses a link put
/// in the place of a file that was listed as one. Links are resolved, and checked against the root, when listing.
///
/// # Errors
/// [`OpenError`] by what is there instead.
pub fn open_regular(path: &Path) -> Result<(File, Metadata), OpenError> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        options.custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
    }
    #[cfg(not(unix))]
    if std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_symlink()) {
        return Err(OpenError::Link);
    }
    let file = options.open(path).map_err(classify)?;
    let metadata = file.metadata().map_err(OpenError::Io)?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(OpenError::NotAFile) }
}

fn classify(error: io::Error) -> OpenError {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        match Errno::from_io_error(&error) {
            Some(Errno::LOOP | Errno::MLINK) => return OpenError::Link,
            // A socket, or a FIFO or device nobody serves.
            Some(Errno::NXIO | Errno::NODEV) => return OpenError::NotAFile,
            Some(Errno::NOTDIR) => return OpenError::Gone,
            _ => {}
        }
    }
    match error.kind() {
        io::ErrorKind::NotFound => OpenError::Gone,
        io::ErrorKind::IsADirectory => OpenError::NotAFile,
        _ => OpenError::Io(error),
    }
}

/// Identity of a file: device and inode, whatever it is called.
#[cfg(unix)]
#[must_use]
pub fn file_id(_path: &Path, metadata: &Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt;
    FileId { dev: metadata.dev(), ino: metadata.ino() }
}

/// Identity of a file where the standard library tells no index: a hash of its path, so that a move reads it again.
#[cfg(not(unix))]
#[must_use]
pub fn file_id(path: &Path, _metadata: &Metadata) -> FileId {
    FileId { dev: 0, ino: path_hash(path) }
}

/// A file as it stood at one moment: whatever is written to it makes another version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    file: FileId,
    size_bytes: u64,
    changed: Option<SystemTime>,
}

/// Two writes within the same tick of the file system's clock give the same time; the coarsest ones count two seconds.
const TICK_MS: i64 = 2_100;

impl Version {
    /// The version that stands under a path; `None` when there is none, or when it is so young that another write could
    /// look the same.
    #[must_use]
    pub fn settled(path: &Path, now: Timestamp) -> Option<Self> {
        let version = Self::of(path, &std::fs::symlink_metadata(path).ok()?);
        (now.since(to_ms(version.changed)) >= TICK_MS).then_some(version)
    }

    /// The version of a file that was looked at.
    #[must_use]
    pub fn of(path: &Path, metadata: &Metadata) -> Self {
        Self { file: file_id(path, metadata), size_bytes: metadata.len(), changed: changed(metadata) }
    }
}

/// When anything of a file changed, by the time that no program can set.
#[cfg(unix)]
fn changed(metadata: &Metadata) -> Option<SystemTime> {
    use std::os::unix::fs::MetadataExt;
    let since_epoch =
        Duration::new(u64::try_from(metadata.ctime()).ok()?, u32::try_from(metadata.ctime_nsec()).ok()?);
    UNIX_EPOCH.checked_add(since_epoch)
}

/// When a file changed, where there is no better time than that of its content.
#[cfg(not(unix))]
fn changed(metadata: &Metadata) -> Option<SystemTime> {
    metadata.modified().ok()
}

/// Hash of a path, for tables that need not hold it.
#[must_use]
pub fn path_hash(path: &Path) -> u64 {
    xxhash_rust::xxh3::xxh3_64(path.as_os_str().as_encoded_bytes())
}

/// Time of the last change, in milliseconds; the epoch where it cannot be told.
#[must_use]
pub fn modified_at(metadata: &Metadata) -> Timestamp {
    to_ms(metadata.modified().ok())
}

fn to_ms(time: Option<SystemTime>) -> Timestamp {
    let ms = time.and_then(|t| match t.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).ok(),
        Err(before) => i64::try_from(before.duration().as_millis()).ok().map(|ms| -ms),
    });
    Timestamp(ms.unwrap_or_default())
}
