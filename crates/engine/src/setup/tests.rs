//! A set-up that breaks off at each of its steps.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::change::apply_by_steps;
use super::{Places, Wish, apply, plan, undo};

fn home() -> (tempfile::TempDir, Places) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let home = root.join("home");
    for (path, text) in
        [(".claude/settings.json", "{\n  \"model\": \"opus\" // mine\n}\n"), (".bashrc", "alias a=b\n")]
    {
        let path = home.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let places = Places {
        data_dir: root.join("data"),
        claude: Some(home.join(".claude")),
        lamp: Some("/usr/bin/lamp".into()),
        home: Some(home),
        ..Places::default()
    };
    (dir, places)
}

fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn broken_off_at_any_step_every_file_is_old_or_new_and_undo_or_another_set_up_sets_it_right() {
    let (_dir, whole) = home();
    let root = whole.home.clone().unwrap();
    let wanted = plan(&whole, &Wish::default());
    apply(&wanted, &wanted.digest()).unwrap();
    let after = tree(&root);
    let relative = |path: &Path, home: &Path| path.strip_prefix(home).unwrap().to_owned();
    for broken_at in 0.. {
        let (_dir, places) = home();
        let root_here = places.home.clone().unwrap();
        let before = tree(&root_here);
        let planned = plan(&places, &Wish::default());
        let mut steps = 0;
        let done = apply_by_steps(&planned, &planned.digest(), &mut |_| {
            steps += 1;
            if steps > broken_at { Err(io::Error::other("broken off")) } else { Ok(()) }
        });
        for (path, bytes) in tree(&root_here) {
            let new = after.get(&root.join(relative(&path, &root_here)));
            // The wrapper's place is another in each home.
            let is_new = new.is_some_and(|new| {
                String::from_utf8_lossy(new)
                    .replace(root.to_str().unwrap(), root_here.to_str().unwrap())
                    .len()
                    == bytes.len()
            });
            assert!(before.get(&path) == Some(&bytes) || is_new, "step {broken_at}: {}", path.display());
        }
        if broken_at % 2 == 0 {
            let again = plan(&places, &Wish::default());
            apply(&again, &again.digest()).unwrap();
            assert!(plan(&places, &Wish::default()).is_empty(), "step {broken_at}");
        }
        undo(&places.data_dir, &[]).unwrap();
        assert_eq!(tree(&root_here), before, "step {broken_at}");
        if done.is_ok() {
            // Three files and their records, and two originals, by four steps each.
            assert!(broken_at >= 32, "{broken_at}");
            return;
        }
    }
}
