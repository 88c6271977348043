//! A person's home, with what agents and shells keep there.

#![allow(dead_code, reason = "each test file is a program of its own and uses a part of this")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use lamplight_engine::setup::{self, Places, Plan, Wish};
use lamplight_model::view::{SetupChoices, SetupDone, SetupState};

/// Content and mode.
pub type File = (Vec<u8>, u32);

pub struct Home {
    _dir: tempfile::TempDir,
    pub root: PathBuf,
    pub places: Places,
}

impl Home {
    /// Nobody ever started an agent here.
    pub fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("home");
        std::fs::create_dir(&root).unwrap();
        let places = Places {
            home: Some(root.clone()),
            data_dir: dir.path().canonicalize().unwrap().join("data"),
            data_dir_is_named: false,
            config_file: Some(root.join(".config/lamplight/config.toml")),
            claude: Some(root.join(".claude")),
            codex: Some(root.join(".codex")),
            gemini: Some(root.join(".gemini")),
            zsh: Some(root.clone()),
            fish: Some(root.join(".config/fish")),
            lamp: Some("/usr/bin/lamp".into()),
            otlp_token: None,
            otlp_env: None,
        };
        Self { _dir: dir, root, places }
    }

    /// All three agents and three shells, with settings of the person's own.
    pub fn lived_in() -> Self {
        let home = Self::empty();
        for (path, from) in [
            (".claude/settings.json", "claude-settings.json"),
            (".codex/config.toml", "codex-config.toml"),
            (".codex/hooks.json", "codex-hooks.json"),
            (".gemini/settings.json", "gemini-settings.json"),
            (".bashrc", "bashrc"),
        ] {
            home.write(path, &fixture(from));
        }
        home.write(".zshrc", "setopt autocd");
        home.write(".config/fish/config.fish", "set -g fish_greeting\n");
        std::fs::set_permissions(home.root.join(".bashrc"), std::fs::Permissions::from_mode(0o640)).unwrap();
        home
    }

    #[track_caller]
    pub fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.root.join(path)).unwrap()
    }

    pub fn plan(&self, choices: SetupChoices) -> Plan {
        setup::plan(&self.places, &Wish { choices, ..Wish::default() })
    }

    #[track_caller]
    pub fn apply(&self, choices: SetupChoices) -> SetupDone {
        let plan = self.plan(choices);
        setup::apply(&plan, &plan.digest()).unwrap()
    }

    #[track_caller]
    pub fn undo(&self) -> SetupDone {
        setup::undo(&self.places.data_dir, &[]).unwrap()
    }

    pub fn state(&self) -> SetupState {
        setup::state(&self.places)
    }

    /// Every file of the home, by its path in it.
    pub fn tree(&self) -> BTreeMap<String, File> {
        let mut found = BTreeMap::new();
        walk(&self.root, &self.root, &mut found);
        found
    }
}

fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, File>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(root, &path, found);
        } else {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
            found.insert(name, (std::fs::read(&path).unwrap(), mode));
        }
    }
}

/// A settings file of `tests/fixtures/setup`.
#[track_caller]
pub fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/setup");
    std::fs::read_to_string(folder.join(name)).unwrap()
}
