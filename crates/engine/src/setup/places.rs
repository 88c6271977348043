//! Where set-up finds what it changes.

use std::path::{Path, PathBuf};

use lamplight_model::view::SetupChoices;

/// Folders, files and settings that set-up deals with; a host fills it from its environment.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The person's home.
    pub home: Option<PathBuf>,
    /// Lamplight's data: originals are kept in its `setup/`, the wrapper in its `shell/`.
    pub data_dir: PathBuf,
    /// The data folder is another than the usual one, so that whatever calls `lamp` must name it.
    pub data_dir_is_named: bool,
    /// Lamplight's settings file.
    pub config_file: Option<PathBuf>,
    /// `$CLAUDE_CONFIG_DIR` or `~/.claude`.
    pub claude: Option<PathBuf>,
    /// `$CODEX_HOME` or `~/.codex`.
    pub codex: Option<PathBuf>,
    /// `~/.gemini`.
    pub gemini: Option<PathBuf>,
    /// The folder of `.zshrc`: `$ZDOTDIR` or the home.
    pub zsh: Option<PathBuf>,
    /// `~/.config/fish`.
    pub fish: Option<PathBuf>,
    /// `lamp`, as agents and shells will call it; [`stable_path`] finds it.
    pub lamp: Option<PathBuf>,
    /// What exporters must send, when something must be.
    pub otlp_token: Option<String>,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` of the environment agents are started from.
    pub otlp_env: Option<String>,
}

/// What set-up is asked for, with what only a host in a terminal knows.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Agents and switches.
    pub choices: SetupChoices,
    /// Root of the repository it is asked in.
    pub project_root: Option<PathBuf>,
    /// The project that repository's sessions belong to.
    pub project: Option<String>,
}

/// Returns the path by which the program that runs as `exe` should be called: the one of `search` (the folders of
/// `PATH`) that leads to it, since that outlives an upgrade which changes where it leads; else `exe` itself.
#[must_use]
pub fn stable_path(exe: &Path, search: Option<&str>) -> PathBuf {
    let exe = without_deleted(exe);
    let Some(name) = exe.file_name() else { return exe };
    let leads_here = |path: &PathBuf| path.canonicalize().is_ok_and(|real| real == exe);
    std::env::split_paths(search.unwrap_or_default())
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(leads_here)
        .unwrap_or(exe)
}

/// Returns the `lamp` that was installed with the program that runs as `exe`: itself, its neighbour, or the one of
/// `search`; `None` when there is none.
#[must_use]
pub fn lamp_beside(exe: &Path, search: Option<&str>) -> Option<PathBuf> {
    let neighbour = without_deleted(exe).with_file_name(if cfg!(windows) { "lamp.exe" } else { "lamp" });
    if neighbour.is_file() {
        return Some(stable_path(&neighbour, search));
    }
    let name = neighbour.file_name()?;
    std::env::split_paths(search.unwrap_or_default())
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// Linux marks the path of a program that was replaced while it runs; what took its place is what to call.
fn without_deleted(exe: &Path) -> PathBuf {
    match exe.to_str().and_then(|text| text.strip_suffix(" (deleted)")) {
        Some(path) if !exe.exists() => PathBuf::from(path),
        _ => exe.to_owned(),
    }
}

/// Says why a path of `lamp` will not last; `None` when nothing speaks against it.
#[must_use]
pub fn passing(lamp: &Path) -> Option<String> {
    let text = lamp.to_string_lossy();
    let in_build = ["/target/debug/", "/target/release/"].iter().any(|part| text.contains(part));
    if in_build {
        return Some(format!(
            "{text} lies in a build folder. Once it is moved or cleaned, agents report nothing until you run `lamp setup` with the installed lamp."
        ));
    }
    let is_mount = text.starts_with("/tmp/.mount_") || text.starts_with("/private/var/folders/");
    is_mount.then(|| {
        format!(
            "{text} is there only while the app runs. Install lamp to a folder of your PATH and run `lamp setup` with it."
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_link_on_the_path_outlives_what_it_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for folder in ["bin", "other", "opt/lamplight-1"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let exe = root.join("opt/lamplight-1/lamp");
        std::fs::write(&exe, "").unwrap();
        std::fs::write(root.join("other/lamp"), "another").unwrap();
        std::os::unix::fs::symlink(&exe, root.join("bin/lamp")).unwrap();
        let search = format!("relative:{0}/other:{0}/bin", root.display());
        assert_eq!(stable_path(&exe, Some(&search)), root.join("bin/lamp"));
        assert_eq!(stable_path(&exe, Some("/nowhere")), exe);
        assert_eq!(stable_path(&exe, None), exe);
        let replaced = PathBuf::from(format!("{} (deleted)", exe.display()));
        assert_eq!(stable_path(&replaced, Some(&search)), root.join("bin/lamp"));
    }

    #[test]
    fn what_will_not_last_is_said() {
        assert!(passing(Path::new("/home/a/lamplight/target/debug/lamp")).is_some());
        assert!(passing(Path::new("/tmp/.mount_Lampli3k/usr/bin/lamp")).is_some());
        assert!(passing(Path::new("/usr/bin/lamp")).is_none());
    }
}
