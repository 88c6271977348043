//! One engine per data directory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::errors::StartError;

/// Holds the data directory until it is dropped, or the process dies.
#[derive(Debug)]
pub(crate) struct DirLock {
    file: File,
}

impl DirLock {
    /// Creates the directory with mode 0700 if it is missing, and locks it.
    pub(crate) fn take(dir: &Path) -> Result<Self, StartError> {
        let io = |source| StartError::DataDir { dir: dir.to_owned(), source };
        make_private_dir(dir).map_err(io)?;
        let path = dir.join("engine.lock");
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The pid is for the message only.
                let _ = file.read_to_string(&mut text);
                return Err(StartError::Locked { dir: dir.to_owned(), pid: text.trim().parse().ok() });
            }
            Err(std::fs::TryLockError::Error(source)) => return Err(io(source)),
        }
        file.set_len(0).map_err(io)?;
        file.rewind().map_err(io)?;
        write!(file, "{}", std::process::id()).map_err(io)?;
        Ok(Self { file })
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // A program that is being started has a copy of the file until it runs, and the lock would live on in it.
        // Without a lock there is nothing to give back.
        let _ = self.file.unlock();
    }
}

/// Who holds a data directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Nobody: no engine runs on it.
    Nobody,
    /// A process, by the pid it wrote down.
    Process(Option<u32>),
    /// It cannot be told, and why.
    Unknown(String),
}

/// Looks who holds a data directory, without taking it for longer than the look and without making anything.
pub(crate) fn holder(dir: &Path) -> Holder {
    let mut file = match OpenOptions::new().read(true).open(dir.join("engine.lock")) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Holder::Nobody,
        Err(e) => return Holder::Unknown(e.to_string()),
    };
    // Shared: two who look do not take one another for an engine.
    match file.try_lock_shared() {
        Ok(()) => Holder::Nobody,
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut text = String::new();
            // The pid is for the message only.
            let _ = file.read_to_string(&mut text);
            Holder::Process(text.trim().parse().ok())
        }
        Err(std::fs::TryLockError::Error(e)) => Holder::Unknown(e.to_string()),
    }
}

fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(dir)?.permissions().mode();
        if mode & 0o077 != 0 {
            std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_engine_is_told_who_holds_the_directory() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("deep/data");
        let held = DirLock::take(&dir).unwrap();
        match DirLock::take(&dir) {
            Err(StartError::Locked { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        assert_eq!(holder(&dir), Holder::Process(Some(std::process::id())));
        drop(held);
        assert_eq!(holder(&dir), Holder::Nobody);
        assert_eq!(holder(&home.path().join("nowhere")), Holder::Nobody);
        DirLock::take(&dir).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }
}
