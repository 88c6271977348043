//! Programs of others, found where a person's shell finds them: what is started from a desktop's menu has a shorter PATH.

use std::io::{Error, ErrorKind};
use std::path::Path;
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

/// Starts a program: by its name as PATH has it, else from the first usual folder that holds it.
///
/// # Errors
/// What the system says of it by its name; [`ErrorKind::NotFound`] when it is nowhere.
pub(crate) fn spawn(program: &Path, prepare: impl Fn(&Path) -> Command) -> Result<Child, Error> {
    spawn_from(&FOLDERS.map(Path::new), program, prepare)
}

fn spawn_from(folders: &[&Path], program: &Path, prepare: impl Fn(&Path) -> Command) -> Result<Child, Error> {
    let started = prepare(program).spawn();
    let Err(error) = &started else { return started };
    // A path is a person's own choice, and no name to look for.
    if error.kind() != ErrorKind::NotFound || program.components().count() != 1 {
        return started;
    }
    let installed = folders.iter().map(|folder| folder.join(program)).find(|path| path.is_file());
    installed.map_or(started, |path| prepare(&path).spawn())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_program_outside_path_is_found_in_the_usual_folders_x8() {
        let dir = tempfile::tempdir().unwrap();
        let (empty, full) = (dir.path().join("empty"), dir.path().join("full"));
        for folder in [&empty, &full] {
            std::fs::create_dir(folder).unwrap();
        }
        let name = Path::new("lamplight-test-program");
        std::fs::write(full.join(name), "#!/bin/sh\nexit 7\n").unwrap();
        std::fs::set_permissions(full.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        let exit = |folders: &[&Path], program: &Path| {
            spawn_from(folders, program, |p| Command::new(p)).map(|mut c| c.wait().unwrap().code())
        };
        assert_eq!(exit(&[&empty, &full], name).unwrap(), Some(7));
        assert_eq!(exit(&[&empty], name).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(
            exit(&[&full], &empty.join(name)).unwrap_err().kind(),
            ErrorKind::NotFound,
            "a path is taken at its word"
        );
    }
}
