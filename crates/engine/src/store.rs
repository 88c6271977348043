//! The database: one file, one writer.
//!
//! [`Store`] is the only read-write connection; it lives on the writer's thread. Readers open [`read_only`]
//! connections. Every write of one group of inputs stands in one immediate transaction ([`crate::core::Core::apply_all`]).

pub(crate) mod calls;
pub(crate) mod causes;
pub(crate) mod files;
pub(crate) mod forgotten;
pub(crate) mod heard;
pub(crate) mod muted;
pub(crate) mod notices;
pub(crate) mod opencode;
pub(crate) mod otlp;
pub(crate) mod resumes;
pub(crate) mod rows;
pub(crate) mod runs;
pub(crate) mod schema;
pub(crate) mod spans;
pub(crate) mod stories;
pub(crate) mod worktrees;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

/// Name of the database inside the data directory.
pub(crate) const FILE: &str = "lamplight.db";

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened or created.
    #[error("cannot open the database {path}")]
    Open {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// Written by a newer version.
    #[error(
        "the database {path} has schema {found}, this version knows up to {known}: use the newer Lamplight, or move the file away to start anew"
    )]
    Newer {
        /// Where.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A statement failed.
    #[error("the database refused a statement")]
    Sql(#[from] rusqlite::Error),
    /// A stored state could not be written or read as JSON.
    #[error("a stored state could not be read")]
    State(#[from] serde_json::Error),
    /// A file operation failed.
    #[error("cannot prepare {path}")]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The read-write connection.
#[derive(Debug)]
pub struct Store {
    pub(crate) db: Connection,
    /// What was healed at opening, for the log.
    pub healed: Vec<String>,
}

impl Store {
    /// Opens the database of a data directory, creates, migrates and heals it.
    ///
    /// # Errors
    /// [`StoreError::Newer`] for a database of a newer version; nothing is changed then.
    pub fn open(data_dir: &Path, durable: bool) -> Result<Self, StoreError> {
        let path = data_dir.join(FILE);
        make_private(&path)?;
        let db = Connection::open(&path).map_err(|source| StoreError::Open { path: path.clone(), source })?;
        Self::prepare(db, &path, durable)
    }

    /// Opens a database that lives in memory, for replay and tests.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::prepare(Connection::open_in_memory()?, Path::new(":memory:"), false)
    }

    fn prepare(db: Connection, path: &Path, durable: bool) -> Result<Self, StoreError> {
        // WAL: readers never wait for the writer. NORMAL: a commit survives the death of our process, not the loss of
        // power, unless the user asks for it; it saves one sync per commit.
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", if durable { "FULL" } else { "NORMAL" })?;
        db.pragma_update(None, "foreign_keys", "ON")?;
        // Only a checkpoint by a second program can hold the file; 5 s outlasts it.
        db.busy_timeout(std::time::Duration::from_secs(5))?;
        // 16 MiB page cache: holds the inner pages of all indexes of a 10,000-session database.
        db.pragma_update(None, "cache_size", -16_384)?;
        db.pragma_update(None, "journal_size_limit", 16 * 1024 * 1024)?;
        // Pages written again and again, as inserts by hash do, are copied back once per 16 MiB instead of once per 4.
        db.pragma_update(None, "wal_autocheckpoint", 4_096)?;
        db.set_prepared_statement_cache_capacity(160);
        let healed = schema::migrate(&db, path)?;
        Ok(Self { db, healed })
    }
}

/// Opens a connection that cannot write.
///
/// # Errors
/// When the file cannot be opened.
pub(crate) fn read_only(data_dir: &Path) -> Result<Connection, StoreError> {
    let path = data_dir.join(FILE);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(&path, flags).map_err(|source| StoreError::Open { path, source })?;
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(db)
}

/// Creates the file with mode 0600 before SQLite does; -wal and -shm inherit the mode.
fn make_private(path: &Path) -> Result<(), StoreError> {
    let io = |source| StoreError::Io { path: path.to_owned(), source };
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        options.mode(0o600);
        let file = options.open(path).map_err(io)?;
        file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(io)?;
    }
    #[cfg(not(unix))]
    options.open(path).map_err(io)?;
    Ok(())
}

/// Integer columns hold sizes and counts; SQLite's are signed.
pub(crate) fn to_sql(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Reads a size or count back; a negative one is a foreign hand's and counts as 0.
pub(crate) fn from_sql(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
