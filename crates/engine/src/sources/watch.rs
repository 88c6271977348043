//! File events of single folders, without wake-ups for reads.
//!
//! Start from [`Watch`]. On Linux it asks inotify for changes only, so that a foreign process reading a thousand
//! transcripts wakes nobody. Elsewhere the `notify` crate's recommended watcher stands behind the same interface.

use std::io;
use std::path::PathBuf;

#[cfg(target_os = "linux")]
mod inotify;
#[cfg(not(target_os = "linux"))]
mod portable;

#[cfg(target_os = "linux")]
pub use inotify::Watch;
#[cfg(not(target_os = "linux"))]
pub use portable::Watch;

/// What a folder is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Names that come and go. Writes to files in it wake nobody: databases beside transcripts are written all day.
    Names,
    /// Names, and writes to the files in it (or, for a file, to it).
    Writes,
}

/// Something happened below a watched folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// A name appeared: created, or moved here.
    Appeared {
        /// The path.
        path: PathBuf,
        /// It is a folder.
        is_folder: bool,
    },
    /// A file was written to or cut.
    Written {
        /// The path.
        path: PathBuf,
    },
    /// A name is gone: deleted, or moved elsewhere.
    Gone {
        /// The path.
        path: PathBuf,
        /// It was a folder.
        is_folder: bool,
    },
    /// A watched folder (or file) itself is gone or has moved; its watch has ended.
    Ended {
        /// What was watched.
        path: PathBuf,
    },
    /// The kernel dropped events: everything must be listed again.
    Overflow,
}

/// Why a folder cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// Nothing is there (yet), or it is no folder.
    #[error("nothing to watch at {0}")]
    Absent(PathBuf),
    /// The system's limit of watches (`fs.inotify.max_user_watches`) or instances is reached.
    #[error("the system's limit of file watches is reached at {0}")]
    Limit(PathBuf),
    /// The system refused.
    #[error("cannot watch {path}")]
    System {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Watching did not start.
    #[error("cannot start watching files")]
    Start(#[source] io::Error),
}
