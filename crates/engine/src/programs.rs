//! Programs of others, found where a person's shell finds them: what is started from a desktop's menu has a shorter PATH.
//!
//! They are started in folders that are not ours to trust, so that only absolute entries of PATH count: with
//! `./node_modules/.bin` in it, a repository would bring its own.

use std::ffi::OsString;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// Where they are usually installed, tried in this order when PATH leads to none.
const FOLDERS: [&str; 7] = [
    "/usr/local/bin",
    "/usr/bin",
    "/bin",
    "/opt/homebrew/bin",
    "/home/linuxbrew/.linuxbrew/bin",
    "/run/current-system/sw/bin",
    "/snap/bin",
];

/// Starts a program by its name, from the first folder that holds it; it finds others in the same folders. A path is taken
/// at its word.
///
/// # Errors
/// [`ErrorKind::NotFound`] when it is nowhere; else what the system says.
pub(crate) fn spawn(program: &Path, prepare: impl Fn(&Path) -> Command) -> Result<Child, Error> {
    let path = std::env::vars_os().find(|(name, _)| name == "PATH").map(|(_, value)| value);
    spawn_from(&folders(path), program, prepare)
}

/// The absolute folders of a PATH, then the usual ones.
fn folders(path: Option<OsString>) -> Vec<PathBuf> {
    let own = path.iter().flat_map(std::env::split_paths).filter(|folder| folder.is_absolute());
    let mut all: Vec<PathBuf> = Vec::new();
    for folder in own.chain(FOLDERS.map(PathBuf::from)) {
        if !all.contains(&folder) {
            all.push(folder);
        }
    }
    all
}

fn spawn_from(
    folders: &[PathBuf],
    program: &Path,
    prepare: impl Fn(&Path) -> Command,
) -> Result<Child, Error> {
    let is_name = program.components().count() == 1 && !program.is_absolute();
    let found = match is_name {
        true => folders.iter().map(|folder| folder.join(program)).find(|path| is_program(path)),
        false => Some(program.to_owned()),
    };
    let mut command = prepare(&found.ok_or_else(|| Error::from(ErrorKind::NotFound))?);
    if let Ok(path) = std::env::join_paths(folders) {
        command.env("PATH", path);
    }
    command.spawn()
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;
    use std::process::Stdio;

    use super::*;

    /// Writes a program that is run at once. A child does it: whatever another test starts while the file is open for
    /// writing here holds it open too for a moment, and such a file cannot be run.
    pub(crate) fn write_program(path: &Path, script: &str) {
        let mut child = Command::new("sh")
            .args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"])
            .arg(path)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{}", path.display());
    }

    #[test]
    fn a_program_outside_path_is_found_in_the_usual_folders_x8() {
        let dir = tempfile::tempdir().unwrap();
        let (empty, full) = (dir.path().join("empty"), dir.path().join("full"));
        for folder in [&empty, &full] {
            std::fs::create_dir(folder).unwrap();
        }
        let name = Path::new("lamplight-test-program");
        write_program(&full.join(name), "#!/bin/sh\nexit 7\n");
        std::fs::write(empty.join(name), "no program").unwrap();
        let exit = |folders: &[PathBuf], program: &Path| {
            spawn_from(folders, program, |p| Command::new(p)).map(|mut c| c.wait().unwrap().code())
        };
        assert_eq!(exit(&[empty.clone(), full.clone()], name).unwrap(), Some(7));
        assert_eq!(exit(std::slice::from_ref(&empty), name).unwrap_err().kind(), ErrorKind::NotFound);
        let missing = exit(&[full], &empty.join("missing")).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound, "a path is taken at its word");
    }

    #[test]
    fn a_repository_brings_no_program_of_its_own() {
        let path = std::env::join_paths(["node_modules/.bin", ".", "", "/opt/own/bin", "/usr/bin"]).unwrap();
        let folders = folders(Some(path));
        assert!(folders.iter().all(|folder| folder.is_absolute()), "{folders:?}");
        assert_eq!(folders[..2], [PathBuf::from("/opt/own/bin"), PathBuf::from("/usr/bin")]);
        assert_eq!(folders.iter().filter(|f| **f == Path::new("/usr/bin")).count(), 1);
    }
}
