//! Putting right what can be put right without a loss, while no engine runs.

use std::path::{Path, PathBuf};

use lamplight_model::view::Doctor;

use super::{Patient, data, database, examine, shown};
use crate::clock;
use crate::config::Config;
use crate::errors::StartError;
use crate::lock::DirLock;
use crate::sources::hooks;
use crate::store::{Store, StoreError, schema};

/// Why nothing was repaired.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// An engine runs, or the data folder cannot be used.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A file could not be closed to others.
    #[error("cannot change the mode of {path}")]
    Mode {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Repairs what can be repaired, and looks again: nothing is dropped, and nothing of an agent's is touched. A database
/// that cannot be opened or mended stays as it is, and the checks say what to do.
///
/// # Errors
/// [`StartError::Locked`] while an engine runs: it must be quit before.
pub fn repair(config: &Config) -> Result<Doctor, RepairError> {
    let dir = &config.data_dir;
    // Before the lock, which closes the folder itself.
    let open = data::too_open(dir);
    let _lock = DirLock::take(dir)?;
    let mut repaired = Vec::new();
    for (path, mode) in open {
        close_to_others(&path, mode).map_err(|source| RepairError::Mode { path: path.clone(), source })?;
        repaired.push(format!("Closed {} to other users.", shown(&path, config)));
    }
    // A killed engine leaves its addresses behind; with the lock in our hands there is none.
    for name in ["endpoint.json", "lamp.sock"] {
        if std::fs::remove_file(dir.join(name)).is_ok() {
            repaired.push(format!("Removed {name}, which a killed engine had left."));
        }
    }
    let dropped = hooks::list(&hooks::folder(dir)).map_or(0, |waiting| waiting.dropped);
    if dropped > 0 {
        repaired.push(format!("Dropped {dropped} hooks beyond what the spool holds."));
    }
    // What cannot be mended is a finding of the look that follows.
    let _ = mend(config, &mut repaired);
    let mut found = examine(config, Patient::Silent, clock::now());
    // The lock that was seen is our own.
    found.checks.retain(|check| check.id != "engine");
    found.repaired = repaired;
    Ok(found)
}

/// Adds what the schema lacks, brings it to the newest version, and builds damaged indexes anew.
fn mend(config: &Config, repaired: &mut Vec<String>) -> Result<(), StoreError> {
    if !config.data_dir.join(crate::store::FILE).exists() {
        return Ok(());
    }
    let before = crate::store::read_only(&config.data_dir).and_then(|db| schema::versions(&db));
    let store = Store::open(&config.data_dir, config.durable)?;
    repaired.extend(store.healed.iter().map(|what| format!("Added the {what}, which the database lacked.")));
    if let Ok((found, known)) = before
        && found < known
    {
        repaired.push(format!("Brought the database from schema {found} to {known}."));
    }
    if database::faults(&store.db)?.iter().any(|fault| database::is_of_index(fault)) {
        store.db.execute_batch("REINDEX")?;
        repaired.push("Built the indexes of the database anew.".to_owned());
    }
    Ok(())
}

#[cfg(unix)]
fn close_to_others(path: &Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn close_to_others(_path: &Path, _mode: u32) -> std::io::Result<()> {
    Ok(())
}
