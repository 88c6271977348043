#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::fs;

use lamplight_model::worktree::{Branch, Counts};

use super::*;
use crate::programs::tests::write_program;
use crate::sources::children::has_ended_by;

/// A folder with a repository in `repo`, in which one file was committed.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        world.git(".", &["init", "-q", "-b", "main", "repo"]);
        world.write("repo/kept", "one");
        world.commit("repo");
        world
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    fn git(&self, place: &str, args: &[&str]) {
        let done = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always"])
            .args(args)
            .current_dir(self.at(place))
            .env("HOME", self.dir.path())
            .output()
            .unwrap();
        assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn commit(&self, place: &str) {
        self.git(place, &["add", "-A"]);
        self.git(place, &["commit", "-q", "-m", "more"]);
    }

    fn look(&self, place: &str) -> Look {
        // Thousands of files on a busy machine take longer than a look may in the app.
        Git { patience: Duration::from_secs(60), ..Git::default() }.look(&self.at(place))
    }

    /// A program that leaves a trace when it is run.
    fn trap(&self, name: &str) -> String {
        let path = self.at(name);
        let trace = self.at("traces");
        fs::create_dir_all(&trace).unwrap();
        write_program(&path, &format!("#!/bin/sh\n: > '{}/{name}'\ncat\n", trace.display()));
        path.to_str().unwrap().to_owned()
    }

    fn traces(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.at("traces"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn on(name: &str) -> Branch {
    Branch { name: Some(name.to_owned()), ..Branch::default() }
}

#[test]
fn every_result_has_its_type_x22() {
    let world = World::new();
    assert_eq!(world.look("repo").finding, Finding::Clean(on("main")));
    world.write("repo/kept", "two");
    world.write("repo/new", "three");
    world.write("repo/loose", "four");
    world.write("repo/.claude/settings.local.json", "{}");
    world.git("repo", &["add", "new"]);
    let counts = Counts { staged: 1, unstaged: 1, untracked: 1, conflicted: 0, paths: 3 };
    assert_eq!(world.look("repo").finding, Finding::Dirty(counts, on("main")));
    assert_eq!(world.look("gone").finding, Finding::Missing);
    fs::create_dir(world.at("plain")).unwrap();
    assert_eq!(world.look("plain").finding, Finding::NotRepo);
    world.git(".", &["init", "-q", "--bare", "bare"]);
    assert_eq!(world.look("bare").finding, Finding::NotRepo);
    world.write("broken/.git/HEAD", "nonsense");
    assert_eq!(world.look("broken").finding, Finding::Unknown(Blind::Refused));
    let none = Git { program: world.at("no-git"), ..Git::default() };
    assert_eq!(none.look(&world.at("repo")).finding, Finding::Unknown(Blind::NoGit));
}

#[test]
fn linked_worktrees_are_looked_at_by_themselves() {
    let world = World::new();
    world.git("repo", &["worktree", "add", "-q", "-b", "fix", "../fix"]);
    world.write("fix/new", "x");
    let counts = Counts { untracked: 1, paths: 1, ..Counts::default() };
    assert_eq!(world.look("fix").finding, Finding::Dirty(counts, on("fix")));
    assert_eq!(world.look("repo").finding, Finding::Clean(on("main")));
}

#[test]
fn a_submodule_is_a_worktree_of_its_own_and_a_moved_one_is_work() {
    let world = World::new();
    world.git(".", &["init", "-q", "-b", "main", "part"]);
    world.write("part/kept", "one");
    world.commit("part");
    world.git("repo", &["submodule", "--quiet", "add", "../part", "part"]);
    world.commit("repo");
    assert_eq!(world.look("repo").finding, Finding::Clean(on("main")));
    // Nothing is run in it for the sake of the one around it.
    world.write("repo/part/new", "x");
    assert_eq!(world.look("repo").finding, Finding::Clean(on("main")));
    let counts = Counts { untracked: 1, paths: 1, ..Counts::default() };
    let Finding::Dirty(found, _) = world.look("repo/part").finding else { panic!("it was written to") };
    assert_eq!(found, counts);
    world.commit("repo/part");
    let moved = Counts { unstaged: 1, paths: 1, ..Counts::default() };
    assert_eq!(world.look("repo").finding, Finding::Dirty(moved, on("main")));
}

#[test]
fn thousands_of_files_are_counted_and_a_new_folder_is_one() {
    let world = World::new();
    for n in 0..3_000 {
        world.write(&format!("repo/many/{n}"), "x");
    }
    let one = Counts { untracked: 1, paths: 1, ..Counts::default() };
    assert_eq!(world.look("repo").finding, Finding::Dirty(one, on("main")), "as git says it");
    world.git("repo", &["add", "-A"]);
    let all = Counts { staged: 3_000, paths: 3_000, ..Counts::default() };
    assert_eq!(world.look("repo").finding, Finding::Dirty(all, on("main")));
    world.commit("repo");
    for n in 0..3_000 {
        world.write(&format!("repo/many/{n}"), "other");
    }
    let changed = Counts { unstaged: 3_000, paths: 3_000, ..Counts::default() };
    assert_eq!(world.look("repo").finding, Finding::Dirty(changed, on("main")));
}

#[test]
fn how_far_it_is_from_its_upstream_is_told() {
    let world = World::new();
    world.git(".", &["clone", "-q", "repo", "clone"]);
    world.write("repo/theirs", "1");
    world.commit("repo");
    world.write("clone/ours", "1");
    world.commit("clone");
    world.write("clone/ours-too", "1");
    world.commit("clone");
    world.git("clone", &["fetch", "-q"]);
    let branch =
        Branch { name: Some("main".to_owned()), ahead: Some(2), behind: Some(1), ..Branch::default() };
    assert_eq!(world.look("clone").finding, Finding::Clean(branch));
}

/// All worktrees share one stash.
#[test]
fn what_is_put_aside_counts_where_it_was_put_aside() {
    let world = World::new();
    world.git("repo", &["worktree", "add", "-q", "../side", "-b", "side"]);
    let counted = || {
        let [repo, side] = ["repo", "side"].map(|place| world.look(place).finding.branch().cloned().unwrap());
        assert_eq!(repo.stashes, side.stashes, "one stash");
        ["main", "side", "(no branch)"].map(|name| repo.stashes_of(name))
    };
    assert_eq!(counted(), [0, 0, 0]);
    world.write("side/kept", "two");
    world.git("side", &["stash"]);
    assert_eq!(counted(), [0, 1, 0]);
    world.write("repo/kept", "three");
    world.git("repo", &["stash", "push", "-q", "-m", "On side: of main"]);
    assert_eq!(counted(), [1, 1, 0]);
    world.git("side", &["stash", "pop", "-q", "stash@{1}"]);
    assert_eq!(counted(), [1, 0, 0]);
    world.git("repo", &["checkout", "-q", "--detach"]);
    world.write("repo/kept", "four");
    world.git("repo", &["stash"]);
    assert_eq!(counted(), [1, 0, 1]);
    assert_eq!(world.look("repo").finding.branch().unwrap().stash_name(), "(no branch)");
    // What git puts aside for itself names no branch.
    let log = world.at("repo/.git/logs/refs/stash");
    let last = fs::read_to_string(&log).unwrap().lines().last().unwrap().to_owned();
    fs::write(&log, format!("{}\tautostash\n", last.split_once('\t').unwrap().0)).unwrap();
    assert_eq!(counted(), [1, 1, 1]);
}

#[test]
fn agents_own_files_are_no_work_x23() {
    let world = World::new();
    world.write("repo/.claude/kept", "x");
    world.commit("repo");
    world.write("repo/.claude/settings.local.json", "{}");
    world.write("repo/.claude/worktrees/fix/file", "x");
    assert_eq!(world.look("repo").finding, Finding::Clean(on("main")));
}

#[test]
fn a_folder_that_holds_agents_own_files_alone_is_no_work_x23() {
    let world = World::new();
    let clean = world.look("repo");
    world.write("repo/.claude/settings.local.json", "{}");
    world.write("repo/.claude/worktrees/fix/file", "x");
    assert_eq!(world.look("repo"), clean);
    // Beside work it is not part of the mark either.
    world.write("repo/kept", "two");
    let work = world.look("repo");
    world.write("repo/.claude/settings.local.json", "{\"more\": 1}");
    assert_eq!(world.look("repo"), work);
    fs::remove_dir_all(world.at("repo/.claude")).unwrap();
    assert_eq!(world.look("repo"), work);
    for other in ["commands/review.md", "settings.json", "worktrees.md"] {
        world.write("repo/.claude/settings.local.json", "{}");
        world.write(&format!("repo/.claude/{other}"), "x");
        let counts = Counts { unstaged: 1, untracked: 1, paths: 2, ..Counts::default() };
        assert_eq!(world.look("repo").finding, Finding::Dirty(counts, on("main")), "{other}");
        fs::remove_dir_all(world.at("repo/.claude")).unwrap();
    }
    // A folder of that name that is not there, but somewhere else.
    std::os::unix::fs::symlink(world.dir.path(), world.at("repo/.claude")).unwrap();
    let counts = Counts { unstaged: 1, untracked: 1, paths: 2, ..Counts::default() };
    assert_eq!(world.look("repo").finding, Finding::Dirty(counts, on("main")));
}

#[test]
fn the_mark_tells_work_in_a_new_folder() {
    let world = World::new();
    world.write("repo/.gitignore", "*.log\n");
    world.commit("repo");
    world.write("repo/new/deep/file", "one");
    let first = world.look("repo");
    world.write("repo/new/deep/run.log", "of no account");
    assert_eq!(world.look("repo"), first);
    world.write("repo/new/deep/file", "one and more");
    let second = world.look("repo");
    assert_eq!(second.finding, first.finding, "git names the folder alone");
    assert_ne!(second.mark, first.mark);
    world.write("repo/new/deep/other", "two");
    let third = world.look("repo");
    assert_ne!(third.mark, second.mark);
    // However many there are.
    for n in 0..3_000 {
        world.write(&format!("repo/many/{n}"), "x");
    }
    let many = world.look("repo");
    assert_eq!(many.mark, world.look("repo").mark);
    world.write("repo/many/0", "y and more");
    assert_ne!(many.mark, world.look("repo").mark);
}

#[test]
fn nothing_that_a_repository_names_is_run() {
    let world = World::new();
    for name in ["monitor", "clean", "process", "odd", "hook", "sub-monitor"] {
        world.trap(name);
    }
    // A submodule with a trap of its own.
    world.git(".", &["init", "-q", "-b", "main", "lib"]);
    world.write("lib/file", "x");
    world.commit("lib");
    world.git("repo", &["submodule", "--quiet", "add", "../lib", "lib"]);
    world.write("repo/.gitattributes", "a filter=one\nb filter=two\nc filter=a=b.c\nkept filter=one\n");
    for name in ["a", "b", "c"] {
        world.write(&format!("repo/{name}"), "plain");
    }
    world.commit("repo");
    let path = |name: &str| world.at(name).to_str().unwrap().to_owned();
    world.git("repo", &["config", "core.fsmonitor", &path("monitor")]);
    world.git("repo/lib", &["config", "core.fsmonitor", &path("sub-monitor")]);
    world.git("repo", &["config", "filter.one.clean", &path("clean")]);
    world.git("repo", &["config", "filter.one.required", "true"]);
    world.git("repo", &["config", "filter.two.process", &path("process")]);
    world.git("repo", &["config", "filter.a=b.c.clean", &path("odd")]);
    fs::copy(world.at("hook"), world.at("repo/.git/hooks/post-index-change")).unwrap();
    // Same size, other time: git must compare contents, and would filter them for that.
    for name in ["a", "b", "c", "kept", "lib/file"] {
        let file = fs::File::options().write(true).open(world.at("repo").join(name)).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    }
    world.write("repo/lib/file", "changed");
    let look = world.look("repo");
    assert_eq!(look.finding, Finding::Clean(on("main")));
    // Also where a folder is looked into.
    world.write("repo/new/file", "x");
    assert!(matches!(world.look("repo").finding, Finding::Dirty(..)));
    assert_eq!(world.traces(), Vec::<String>::new());
    // The traps work: git as anybody runs it walks into them.
    world.git("repo", &["status"]);
    assert!(world.traces().contains(&"monitor".to_owned()), "{:?}", world.traces());
    assert!(world.traces().contains(&"clean".to_owned()), "{:?}", world.traces());
}

#[test]
fn a_repository_is_left_as_it_was() {
    let world = World::new();
    let index = fs::read(world.at("repo/.git/index")).unwrap();
    let file = fs::File::options().write(true).open(world.at("repo/kept")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(world.look("repo").finding, Finding::Clean(on("main")));
    assert!(index == fs::read(world.at("repo/.git/index")).unwrap(), "the index was refreshed");
    world.write("repo/.git/index.lock", "");
    assert_eq!(world.look("repo").finding, Finding::Clean(on("main")), "a lock of others is no hindrance");
}

#[test]
fn a_git_that_hangs_is_ended_with_everything_it_started_b115() {
    let world = World::new();
    let program = world.at("slow");
    let pids = world.at("pids");
    write_program(&program, &format!("#!/bin/sh\nsleep 600 &\necho $! > '{}'\nwait\n", pids.display()));
    // Long enough for it to start that on a busy machine.
    let git = Git { program, patience: Duration::from_secs(10) };
    assert_eq!(git.look(&world.at("repo")).finding, Finding::Unknown(Blind::TimedOut));
    let sleeper = fs::read_to_string(pids).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    assert!(has_ended_by(sleeper.trim().parse().unwrap(), deadline), "what git started still runs");
}

#[test]
fn a_repository_of_another_user_is_not_looked_at() {
    let world = World::new();
    if !rustix::process::geteuid().is_root() {
        // Only root can give a file away; in the suite's machine the test runs as root.
        return;
    }
    std::os::unix::fs::chown(world.at("repo/.git"), Some(65_534), None).unwrap();
    assert_eq!(world.look("repo").finding, Finding::Unknown(Blind::Foreign));
}

#[test]
fn what_stands_in_the_place_of_a_small_file_of_gits_is_not_read() {
    let world = World::new();
    world.git("repo", &["worktree", "add", "-q", "-b", "fix", "../fix"]);
    let link = world.at("repo/.git/worktrees/fix/commondir");
    let refused = Finding::Unknown(Blind::Refused);
    // Nobody ever writes to it.
    fs::remove_file(&link).unwrap();
    let fifo = Command::new("mkfifo").arg(&link).status().unwrap();
    assert!(fifo.success());
    assert_eq!(world.look("fix").finding, refused);
    // Never ends.
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
    assert_eq!(world.look("fix").finding, Finding::Unknown(Blind::Refused));
    fs::remove_file(&link).unwrap();
    fs::write(&link, "x".repeat(100_000)).unwrap();
    assert_eq!(world.look("fix").finding, refused);
    fs::write(&link, "../..\n").unwrap();
    assert_eq!(world.look("fix").finding, Finding::Clean(on("fix")));
    fs::write(world.at("fix/.git"), format!("gitdir: {}", "x".repeat(100_000))).unwrap();
    assert_eq!(world.look("fix").finding, refused);
}

#[test]
fn the_mark_tells_the_same_work_from_more_work() {
    let world = World::new();
    world.write("repo/kept", "two");
    let first = world.look("repo");
    assert_eq!(first.mark, world.look("repo").mark);
    world.write("repo/kept", "two and more");
    let second = world.look("repo");
    assert_eq!(first.finding, second.finding);
    assert_ne!(first.mark, second.mark);
}
