//! The scout as a whole: what it finds, what it is told by the kernel, and what it hands to the writer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "sources_support/lines.rs"]
mod lines;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::time::{Duration, Instant};

use lamplight_engine::config::Root;
use lamplight_engine::facts::{Cursor, FileBatch, Input, IssueKind, RegistryUpdate};
use lamplight_engine::sources::locks::UNSEEN_HOLDER;
use lamplight_engine::sources::processes::own_pid_namespace;
use lamplight_engine::sources::scout::{Order, Scout, Tuning, spawn_tuned};
use lamplight_model::ids::SessionId;
use lamplight_model::session::{RegistryStatus, Validity};

use crate::lines::{
    answer, append, claude_root, codex_root, prompt, put, registry, rollout_start, said, session,
};

/// A scout over a home of its own, and everything it sent.
struct Watching {
    home: tempfile::TempDir,
    roots: Vec<Root>,
    scout: Option<Scout>,
    orders: Sender<Order>,
    inputs: Receiver<Input>,
    /// Everything received so far.
    seen: Vec<Input>,
}

/// Times at which nothing but events makes a difference: a test that passes has heard them.
fn quiet() -> Tuning {
    let never = Duration::from_secs(86_400);
    Tuning { fallback: never, reconcile: never, relist: never, report: Duration::ZERO, ..Tuning::default() }
}

impl Watching {
    /// Starts over `~/.claude` and `~/.codex` after `prepare` and waits for the first listing.
    fn start(prepare: impl Fn(&Path)) -> Self {
        Self::start_tuned(quiet(), Vec::new(), prepare)
    }

    fn start_tuned(tuning: Tuning, cursors: Vec<Cursor>, prepare: impl Fn(&Path)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let roots = vec![claude_root(&home.path().join(".claude")), codex_root(&home.path().join(".codex"))];
        prepare(home.path());
        Self::over(home, roots, tuning, cursors)
    }

    fn over(home: tempfile::TempDir, roots: Vec<Root>, tuning: Tuning, cursors: Vec<Cursor>) -> Self {
        let (tx, inputs) = sync_channel(10_000);
        let (orders, receive_orders) = channel();
        let scout = spawn_tuned(&roots, cursors, tx, receive_orders, tuning).unwrap();
        let mut watching = Self { home, roots, scout: Some(scout), orders, inputs, seen: Vec::new() };
        watching.until("the first listing", |input| matches!(input, Input::Listed { .. }));
        watching
    }

    /// Stops the scout and starts another one with its cursors.
    fn restart(mut self, between: impl Fn(&Path)) -> Self {
        let cursors = self.cursors();
        self.stop();
        let home = std::mem::replace(&mut self.home, tempfile::tempdir().unwrap());
        between(home.path());
        Self::over(home, self.roots.clone(), quiet(), cursors)
    }

    fn cursors(&self) -> Vec<Cursor> {
        let mut cursors: Vec<Cursor> = Vec::new();
        for batch in self.batches() {
            cursors.retain(|c| c.file != batch.file);
            cursors.push(Cursor {
                file: batch.file,
                path: batch.path.clone(),
                role: batch.role.clone(),
                offset: batch.to,
                carry: batch.carry.clone(),
            });
        }
        cursors
    }

    fn stop(&mut self) {
        // The scout may have ended by itself.
        let _ = self.orders.send(Order::Stop);
        if let Some(scout) = self.scout.take() {
            scout.join();
        }
    }

    /// Receives until an input satisfies `last`; returns its index in what was seen.
    fn until(&mut self, what: &str, last: impl Fn(&Input) -> bool) -> usize {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let input = self
                .inputs
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
                .unwrap_or_else(|_| panic!("{what} did not come; seen: {:#?}", self.seen));
            let is_last = last(&input);
            self.seen.push(input);
            if is_last {
                return self.seen.len() - 1;
            }
        }
    }

    fn until_said(&mut self, text: &str) -> &FileBatch {
        let at = self.until(
            text,
            |input| matches!(input, Input::Batch(batch) if said(&batch.events).iter().any(|t| t == text)),
        );
        let Some(Input::Batch(batch)) = self.seen.get(at) else { unreachable!() };
        batch
    }

    fn until_registry(&mut self, what: &str, wanted: impl Fn(&RegistryUpdate) -> bool) -> RegistryUpdate {
        let at = self.until(what, |input| matches!(input, Input::Registry(update) if wanted(update)));
        let Some(Input::Registry(update)) = self.seen.get(at) else { unreachable!() };
        update.clone()
    }

    fn until_lock(&mut self, thread: &SessionId) -> (bool, Option<u32>) {
        let at =
            self.until("the lock", |input| matches!(input, Input::Lock { session, .. } if session == thread));
        let Some(Input::Lock { present, holder, .. }) = self.seen.get(at) else { unreachable!() };
        (*present, *holder)
    }

    fn until_issue(&mut self, kind: IssueKind) {
        let has =
            |input: &Input| matches!(input, Input::Source(r) if r.issues.iter().any(|i| i.kind == kind));
        if !self.seen.iter().any(has) {
            self.until(&format!("{kind:?}"), has);
        }
    }

    fn batches(&self) -> impl Iterator<Item = &FileBatch> {
        self.seen.iter().filter_map(|input| match input {
            Input::Batch(batch) => Some(batch),
            _ => None,
        })
    }

    fn said(&self) -> Vec<String> {
        self.batches().flat_map(|batch| said(&batch.events)).collect()
    }

    fn registry_updates(&self) -> Vec<&RegistryUpdate> {
        self.seen
            .iter()
            .filter_map(|input| match input {
                Input::Registry(update) => Some(update),
                _ => None,
            })
            .collect()
    }

    fn turns(&self) -> u64 {
        self.scout.as_ref().unwrap().counters().turns()
    }

    fn project(&self, name: &str) -> PathBuf {
        self.home.path().join(".claude/projects").join(name)
    }

    fn transcript(&self, project: &str, n: u32) -> PathBuf {
        self.project(project).join(format!("{}.jsonl", session(n)))
    }

    fn registry_file(&self, pid: u32) -> PathBuf {
        self.home.path().join(".claude/sessions").join(format!("{pid}.json"))
    }

    fn lock_file(&self, n: u32) -> PathBuf {
        self.home.path().join(".codex/thread-writer-locks").join(format!("{}.lock", session(n)))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A process of the test's own.
struct Running(Child);

impl Running {
    fn start(program: &str, args: &[&str]) -> Self {
        Self(Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }

    fn sleeping() -> Self {
        Self::start("sleep", &["600"])
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn proc_start(&self) -> String {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().to_owned()
    }

    fn end(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn claude(home: &Path) -> PathBuf {
    home.join(".claude")
}

fn main_file(home: &Path, project: &str, n: u32) -> PathBuf {
    claude(home).join("projects").join(project).join(format!("{}.jsonl", session(n)))
}

fn with_one_session(home: &Path) {
    put(main_file(home, "p", 1), prompt(&session(1), 1, "one"));
    fs::create_dir_all(claude(home).join("sessions")).unwrap();
}

const IDLE: &str = r#""status":"idle","#;
const BUSY: &str = r#""status":"busy","#;
const WAITING: &str = r#""status":"waiting","waitingFor":"permission prompt","#;

#[test]
fn live_processes_come_first_then_files_newest_first_then_the_end_of_the_listing() {
    let live = Running::sleeping();
    let watching = Watching::start(|home| {
        for n in 1..=3 {
            let path = put(main_file(home, "p", n), prompt(&session(n), 1, &n.to_string()));
            let time = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000 * u64::from(n));
            fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
        }
        put(
            claude(home).join(format!("sessions/{}.json", live.pid())),
            registry(live.pid(), &session(1), BUSY, Some(&live.proc_start())),
        );
        put(claude(home).join(format!("sessions/{}.0123.key", live.pid())), "secret");
    });
    assert!(matches!(&watching.seen[0], Input::Registry(u) if u.validity == Validity::Valid));
    assert_eq!(watching.said(), ["3", "2", "1"]);
    let reports: Vec<_> = watching
        .seen
        .iter()
        .filter_map(|i| if let Input::Source(r) = i { Some((r.name, r.present, r.files)) } else { None })
        .collect();
    assert_eq!(
        reports,
        [
            ("claude-code transcripts", true, 3),
            ("claude-code registry", true, 1),
            ("codex rollouts", false, 0),
            ("codex locks", false, 0),
        ]
    );
    assert!(matches!(watching.seen.last(), Some(Input::Listed { .. })));
}

#[test]
fn appended_lines_arrive_once_and_a_torn_one_when_it_ends() {
    let mut watching = Watching::start(with_one_session);
    let path = watching.transcript("p", 1);
    let two = prompt(&session(1), 2, "two");
    append(&path, &two[..30]);
    append(&path, &two[30..]);
    watching.until_said("two");
    append(&path, answer(&session(1), 3, "three"));
    watching.until_said("three");
    assert_eq!(watching.said(), ["one", "two", "three"]);
    assert!(watching.batches().all(|b| !b.reset));
}

#[test]
fn a_restart_reads_only_what_is_new() {
    let watching = Watching::start(|home| {
        with_one_session(home);
        put(main_file(home, "p", 2), prompt(&session(2), 1, "gone soon"));
    });
    let mut watching = watching.restart(|home| {
        append(&main_file(home, "p", 1), prompt(&session(1), 2, "two"));
        fs::remove_file(main_file(home, "p", 2)).unwrap();
    });
    assert_eq!(watching.said(), ["two"]);
    let gone = watching.transcript("p", 2);
    assert!(watching.seen.iter().any(|i| matches!(i, Input::FileGone { path } if *path == gone)));
    append(&watching.transcript("p", 1), prompt(&session(1), 3, "three"));
    watching.until_said("three");
    let watching = watching.restart(|_| {});
    assert_eq!(watching.batches().count(), 0, "nothing new: no byte is read");
}

#[test]
fn a_transcript_moved_to_another_project_goes_on_there() {
    let mut watching = Watching::start(with_one_session);
    fs::create_dir_all(watching.project("q")).unwrap();
    fs::rename(watching.transcript("p", 1), watching.transcript("q", 1)).unwrap();
    append(&watching.transcript("q", 1), prompt(&session(1), 2, "two"));
    watching.until_said("two");
    assert_eq!(watching.said(), ["one", "two"], "nothing is read again");
    let moved = watching.transcript("q", 1);
    assert_eq!(watching.batches().last().map(|b| &b.path), Some(&moved));
    let gone = watching.transcript("p", 1);
    put(watching.transcript("p", 2), prompt(&session(2), 1, "last"));
    watching.until_said("last");
    assert!(!watching.seen.iter().any(|i| matches!(i, Input::FileGone { path } if *path != gone)));
}

#[test]
fn a_project_folder_moved_as_a_whole_takes_its_transcripts_along() {
    let mut watching = Watching::start(with_one_session);
    fs::rename(watching.project("p"), watching.project("q")).unwrap();
    let moved = watching.transcript("q", 1);
    watching
        .until("the new path", |i| matches!(i, Input::Batch(b) if b.path == moved && b.events.is_empty()));
    append(&moved, prompt(&session(1), 2, "two"));
    watching.until_said("two");
    assert_eq!(watching.said(), ["one", "two"]);
}

#[test]
fn a_deleted_transcript_is_gone_and_may_come_back() {
    let mut watching = Watching::start(with_one_session);
    let path = watching.transcript("p", 1);
    let aside = watching.home.path().join("aside");
    fs::rename(&path, &aside).unwrap();
    watching.until("the end of the file", |i| matches!(i, Input::FileGone { path: p } if *p == path));
    fs::rename(&aside, &path).unwrap();
    watching.until("the file again", |i| matches!(i, Input::Batch(b) if b.path == path && !b.reset));
    append(&path, prompt(&session(1), 2, "two"));
    watching.until_said("two");
    assert_eq!(watching.said(), ["one", "two"]);
}

#[test]
fn truncation_and_replacement_void_what_a_file_said() {
    let mut watching = Watching::start(with_one_session);
    let path = watching.transcript("p", 1);
    fs::write(&path, prompt(&session(1), 2, "2")).unwrap();
    watching.until_said("2");
    // Writing cuts the file first: the scout may see it empty, and says so then.
    assert_eq!(watching.batches().filter(|b| b.reset).count(), 1);
    assert_eq!(watching.batches().last().map(|b| b.from), Some(0));
    let other = put(watching.home.path().join("other"), prompt(&session(1), 3, "replaced"));
    fs::rename(other, &path).unwrap();
    assert!(watching.until_said("replaced").reset);
    append(&path, prompt(&session(1), 4, "four"));
    assert!(!watching.until_said("four").reset);
}

#[test]
fn a_transcript_replaced_by_something_else_harms_no_other() {
    let mut watching = Watching::start(with_one_session);
    put(watching.transcript("p", 2), prompt(&session(2), 1, "two"));
    watching.until_said("two");
    fs::remove_file(watching.transcript("p", 1)).unwrap();
    fs::create_dir(watching.transcript("p", 1)).unwrap();
    fs::remove_file(watching.transcript("p", 2)).unwrap();
    lines::make_fifo(&watching.transcript("p", 2));
    watching.until_issue(IssueKind::NotAFile);
    put(watching.transcript("p", 3), prompt(&session(3), 1, "three"));
    watching.until_said("three");
}

#[test]
fn roots_and_folders_that_appear_later_are_found() {
    let mut watching = Watching::start(|_| {});
    // All at once, deeper than one event can tell of.
    put(watching.transcript("p", 1), prompt(&session(1), 1, "claude"));
    watching.until_said("claude");
    append(&watching.transcript("p", 1), prompt(&session(1), 2, "more"));
    watching.until_said("more");
    let live = Running::sleeping();
    put(
        watching.registry_file(live.pid()),
        registry(live.pid(), &session(1), IDLE, Some(&live.proc_start())),
    );
    watching.until_registry("the registry", |u| u.pid == live.pid());
    let day = watching.home.path().join(".codex/sessions/2026/11/20");
    let rollout = put(
        day.join(format!("rollout-2026-11-20T12-00-00-{}.jsonl", session(5))),
        rollout_start(&session(5)),
    );
    watching.until("the rollout", |i| matches!(i, Input::Batch(b) if b.role.session == session(5)));
    append(&rollout, "no json\n");
    watching.until(
        "the append",
        |i| matches!(i, Input::Batch(b) if b.issues.iter().any(|i| i.kind == IssueKind::BadJson)),
    );
    let next = watching.home.path().join(".codex/sessions/2026/12/01");
    put(next.join(format!("rollout-2026-12-01T12-00-00-{}.jsonl", session(6))), rollout_start(&session(6)));
    watching.until("the next day", |i| matches!(i, Input::Batch(b) if b.role.session == session(6)));
    // A root that goes away and comes back is the same root.
    fs::remove_dir_all(watching.home.path().join(".claude")).unwrap();
    watching.until("the registry's end", |i| matches!(i, Input::RegistryRemoved { .. }));
    put(watching.transcript("z", 9), prompt(&session(9), 1, "back"));
    watching.until_said("back");
}

#[test]
fn subagents_of_an_active_session_are_followed_when_they_appear() {
    let mut watching = Watching::start(with_one_session);
    let folder = watching.project("p").join(session(1).as_str()).join("subagents");
    let agent = put(folder.join("agent-a1.jsonl"), prompt(&session(1), 10, "sub"));
    let batch = watching.until_said("sub");
    assert_eq!(batch.role.subagent.as_deref(), Some("a1"));
    assert_eq!(batch.role.session, session(1));
    append(&agent, answer(&session(1), 11, "found it"));
    watching.until_said("found it");
    put(
        folder.join("agent-a1.meta.json"),
        r#"{"agentType":"Explore","description":"Look around","finished":true}"#,
    );
    watching.until(
        "the meta file",
        |i| matches!(i, Input::SubagentMeta { subagent, finished: true, kind: Some(k), .. } if subagent == "a1" && k == "Explore"),
    );
    put(folder.join("agent-a2.jsonl"), prompt(&session(1), 12, "second"));
    watching.until_said("second");
}

#[test]
fn an_old_session_that_is_taken_up_again_has_its_subagents_followed() {
    let mut watching = Watching::start(|home| {
        let old = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let folder = main_file(home, "p", 1).with_extension("").join("subagents");
        for path in [
            put(main_file(home, "p", 1), prompt(&session(1), 1, "old")),
            put(folder.join("agent-a1.jsonl"), prompt(&session(1), 2, "old sub")),
        ] {
            fs::File::options().append(true).open(path).unwrap().set_modified(old).unwrap();
        }
    });
    append(&watching.transcript("p", 1), prompt(&session(1), 3, "again"));
    watching.until_said("again");
    put(
        watching.project("p").join(session(1).as_str()).join("subagents/agent-a2.jsonl"),
        prompt(&session(1), 4, "new sub"),
    );
    watching.until_said("new sub");
}

#[test]
fn a_registry_file_is_followed_through_its_life() {
    let mut live = Running::sleeping();
    let mut watching = Watching::start(with_one_session);
    let file = watching.registry_file(live.pid());
    let start = live.proc_start();
    put(file.clone(), registry(live.pid(), &session(1), BUSY, Some(&start)));
    let update = watching.until_registry("busy", |u| u.entry.status == Some(RegistryStatus::Busy));
    assert_eq!((update.validity, update.session), (Validity::Valid, session(1)));
    fs::write(&file, registry(live.pid(), &session(1), WAITING, Some(&start))).unwrap();
    watching.until_registry("waiting", |u| {
        u.entry.status == Some(RegistryStatus::Waiting("permission prompt".to_owned()))
    });
    // Half written and left so: counted, and what it said before holds.
    let updates = watching.registry_updates().len();
    fs::write(&file, &registry(live.pid(), &session(1), IDLE, Some(&start))[..70]).unwrap();
    watching.until_issue(IssueKind::HalfWritten);
    assert_eq!(watching.registry_updates().len(), updates);
    fs::write(&file, registry(live.pid(), &session(1), IDLE, Some(&start))).unwrap();
    watching.until_registry("idle", |u| u.entry.status == Some(RegistryStatus::Idle));
    live.end();
    let pid = live.pid();
    watching.until("the exit", |i| matches!(i, Input::ProcessExited { pid: p, .. } if *p == pid));
    fs::remove_file(&file).unwrap();
    watching.until("the removal", |i| matches!(i, Input::RegistryRemoved { pid: p, .. } if *p == pid));
}

#[test]
fn a_registry_file_of_another_process_is_dead_and_of_another_namespace_foreign() {
    let live = Running::sleeping();
    let mut watching = Watching::start(with_one_session);
    let file = watching.registry_file(live.pid());
    put(file.clone(), registry(live.pid(), &session(1), BUSY, Some("1")));
    watching.until_registry("dead", |u| u.validity == Validity::Dead);
    let right = registry(live.pid(), &session(1), BUSY, Some(&live.proc_start()));
    let with_domain =
        |domain: &str| right.replacen('{', &format!(r#"{{"pidDomain":"linux:00ff:{domain}","#), 1);
    fs::write(&file, with_domain("pid:[1]")).unwrap();
    watching.until_registry("foreign", |u| u.validity == Validity::Foreign);
    fs::write(&file, with_domain(&own_pid_namespace().unwrap())).unwrap();
    watching.until_registry("valid", |u| u.validity == Validity::Valid);
}

#[test]
fn registry_files_that_contradict_their_name_are_refused() {
    let live = Running::sleeping();
    let mut watching = Watching::start(with_one_session);
    put(watching.registry_file(1), registry(live.pid(), &session(1), BUSY, None));
    watching.until_issue(IssueKind::BadId);
    let bad = registry(live.pid(), &session(1), BUSY, None).replace(session(1).as_str(), "../../x; rm -rf ~");
    put(watching.registry_file(live.pid()), bad);
    lines::make_fifo(&watching.registry_file(2));
    watching.until_issue(IssueKind::NotAFile);
    assert!(watching.registry_updates().is_empty());
}

#[test]
fn a_provisional_session_id_is_never_told() {
    let live = Running::sleeping();
    // Long enough for two writes on a machine under load.
    let tuning = Tuning { settle: Duration::from_millis(1500), ..quiet() };
    let mut watching = Watching::start_tuned(tuning, Vec::new(), with_one_session);
    let file = watching.registry_file(live.pid());
    let text = |n: u32, status: &str| registry(live.pid(), &session(n), status, Some(&live.proc_start()));
    put(file.clone(), text(1, IDLE));
    watching.until_registry("the first id", |u| u.session == session(1));
    fs::write(&file, text(2, BUSY)).unwrap();
    fs::write(&file, text(3, BUSY)).unwrap();
    watching.until_registry("the id that stands", |u| u.session == session(3));
    assert!(watching.registry_updates().iter().all(|u| u.session != session(2)));
    // What asks for its person is not held back.
    fs::write(&file, text(4, WAITING)).unwrap();
    let update = watching.until_registry("the new id", |u| u.session == session(4));
    assert!(matches!(update.entry.status, Some(RegistryStatus::Waiting(_))));
}

/// The file of a thread of a day that is not among the newest two.
fn rollout_of_an_old_day(home: &Path) -> PathBuf {
    home.join(format!(".codex/sessions/2020/01/01/rollout-2020-01-01T12-00-00-{}.jsonl", session(1)))
}

#[test]
fn a_codex_lock_is_seen_held_let_go_and_removed_without_being_touched() {
    let mut watching = Watching::start(|home| {
        fs::create_dir_all(home.join(".codex/thread-writer-locks")).unwrap();
        put(rollout_of_an_old_day(home), rollout_start(&session(1)));
        for newer in ["2026/11/19", "2026/11/20"] {
            fs::create_dir_all(home.join(".codex/sessions").join(newer)).unwrap();
        }
    });
    let lock = watching.lock_file(1);
    // util-linux's flock creates and locks the file, then becomes the command, which inherits the lock.
    let mut holder = Running::start("flock", &["-F", lock.to_str().unwrap(), "sleep", "600"]);
    // It may be seen before it is held.
    while watching.until_lock(&session(1)) != (true, Some(holder.pid())) {}
    // Its rollout lies in a day long past: it is watched because the thread is open.
    append(&rollout_of_an_old_day(watching.home.path()), "no json\n");
    watching.until("the append", |i| matches!(i, Input::Batch(b) if !b.issues.is_empty()));
    holder.end();
    let pid = holder.pid();
    watching.until("the exit", |i| matches!(i, Input::ProcessExited { pid: p, .. } if *p == pid));
    let left = watching.until_lock(&session(1));
    assert!(left == (true, None) || left == (true, Some(UNSEEN_HOLDER)), "{left:?}");
    fs::remove_file(&lock).unwrap();
    assert_eq!(watching.until_lock(&session(1)), (false, None));
}

#[test]
fn a_thread_of_an_old_day_that_was_open_before_the_start_is_followed() {
    let holder = std::cell::RefCell::new(None);
    let mut watching = Watching::start(|home| {
        put(rollout_of_an_old_day(home), rollout_start(&session(1)));
        for newer in ["2026/11/19", "2026/11/20"] {
            fs::create_dir_all(home.join(".codex/sessions").join(newer)).unwrap();
        }
        let locks = home.join(".codex/thread-writer-locks");
        fs::create_dir_all(&locks).unwrap();
        let lock = locks.join(format!("{}.lock", session(1)));
        let running = Running::start("flock", &["-F", lock.to_str().unwrap(), "sleep", "600"]);
        while !lock.exists() {
            std::thread::yield_now();
        }
        holder.replace(Some(running));
    });
    append(&rollout_of_an_old_day(watching.home.path()), "no json\n");
    watching.until("the append", |i| matches!(i, Input::Batch(b) if !b.issues.is_empty()));
}

#[test]
fn a_lock_left_by_a_crash_is_told_as_held_by_nobody() {
    let watching = Watching::start(|home| {
        put(home.join(".codex/thread-writer-locks").join(format!("{}.lock", session(1))), "");
        put(home.join(".codex/thread-writer-locks/$(x).lock"), "");
    });
    let locks: Vec<_> = watching
        .seen
        .iter()
        .filter_map(|i| {
            if let Input::Lock { present, holder, .. } = i { Some((*present, *holder)) } else { None }
        })
        .collect();
    assert!(locks == [(true, None)] || locks == [(true, Some(UNSEEN_HOLDER))], "{locks:?}");
    assert!(watching.seen.iter().any(
        |i| matches!(i, Input::Source(r) if r.name == "codex locks" && r.issues.iter().any(|i| i.kind == IssueKind::BadId))
    ));
}

#[test]
fn a_lock_taken_late_is_seen_when_its_thread_is_appended_to() {
    let mut watching = Watching::start(|home| {
        let day = home.join(".codex/sessions/2026/11/20");
        put(
            day.join(format!("rollout-2026-11-20T12-00-00-{}.jsonl", session(1))),
            rollout_start(&session(1)),
        );
        put(home.join(".codex/thread-writer-locks").join(format!("{}.lock", session(1))), "");
    });
    // Locking makes no file event. The child's line says that it holds the lock.
    let mut command = Command::new("flock");
    command.arg("-F").arg(watching.lock_file(1)).args(["sh", "-c", "echo held; exec sleep 600"]);
    let mut holder = Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(holder.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    let rollout = format!(".codex/sessions/2026/11/20/rollout-2026-11-20T12-00-00-{}.jsonl", session(1));
    append(
        &watching.home.path().join(rollout),
        r#"{"timestamp":"2026-11-20T12:00:01.000Z","ordinal":1,"type":"event_msg","payload":{"type":"task_started","turn_id":"t1","model_context_window":258400}}
"#,
    );
    assert_eq!(watching.until_lock(&session(1)), (true, Some(holder.pid())));
}

#[test]
fn a_process_that_ended_but_was_not_reaped_is_dead_and_told_so_once() {
    let mut zombie = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
    let start = {
        let stat = fs::read_to_string(format!("/proc/{}/stat", zombie.id())).unwrap();
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().to_owned()
    };
    // Its end of the pipe closes when it exits.
    std::io::copy(&mut zombie.stdout.take().unwrap(), &mut std::io::sink()).unwrap();
    let pid = zombie.id();
    let mut watching = Watching::start(|home| {
        put(
            claude(home).join(format!("sessions/{pid}.json")),
            registry(pid, &session(1), BUSY, Some(&start)),
        );
    });
    for _ in 0..3 {
        watching.orders.send(Order::Rescan).unwrap();
        watching.until("the listing", |input| matches!(input, Input::Listed { .. }));
    }
    assert_eq!(watching.registry_updates().last().map(|u| u.validity), Some(Validity::Dead));
    let exits = watching.seen.iter().filter(|i| matches!(i, Input::ProcessExited { .. })).count();
    // It may have been between the pipe's end and its own when it was looked at first.
    assert!(exits <= 1, "{exits} exits");
    zombie.wait().unwrap();
}

#[test]
fn titles_of_codex_threads_are_read_and_followed() {
    let line = |n: u32, title: &str| {
        format!(r#"{{"id":"{}","thread_name":"{title}","updated_at":"2026-11-20T12:00:00Z"}}"#, session(n))
            + "\n"
    };
    let mut watching =
        Watching::start(|home| drop(put(home.join(".codex/session_index.jsonl"), line(1, "first"))));
    let titles = |seen: &[Input]| -> Vec<String> {
        seen.iter()
            .filter_map(|i| if let Input::Title { text, .. } = i { Some(text.clone()) } else { None })
            .collect()
    };
    assert_eq!(titles(&watching.seen), ["first"]);
    append(&watching.home.path().join(".codex/session_index.jsonl"), line(2, "second"));
    watching.until("the title", |i| matches!(i, Input::Title { .. }));
    assert_eq!(titles(&watching.seen), ["first", "second"]);
}

#[test]
fn a_foreign_process_reading_a_thousand_transcripts_does_not_wake_the_scout() {
    let mut watching = Watching::start(|home| {
        for n in 1..=1000 {
            put(main_file(home, "p", n), prompt(&session(n), 1, "x"));
        }
    });
    // One event and its answer show how often a write wakes it, and that it rests afterwards.
    append(&watching.transcript("p", 1), prompt(&session(1), 2, "before"));
    watching.until_said("before");
    let before = watching.turns();
    let folder = watching.project("p");
    let script = "cat \"$0\"/*.jsonl > /dev/null && ls -lR \"$0\" > /dev/null";
    assert!(Command::new("sh").args(["-c", script]).arg(&folder).status().unwrap().success());
    append(&watching.transcript("p", 1), prompt(&session(1), 3, "after"));
    watching.until_said("after");
    let turns = watching.turns() - before;
    assert!(turns <= 4, "a thousand reads and one write woke the scout {turns} times");
}

#[test]
fn where_no_more_watches_are_allowed_live_files_are_looked_at_and_the_setting_is_named() {
    let live = Running::sleeping();
    let tuning = Tuning { most_watches: Some(2), fallback: Duration::from_millis(20), ..quiet() };
    let mut watching = Watching::start_tuned(tuning, Vec::new(), |home| {
        with_one_session(home);
        put(
            claude(home).join(format!("sessions/{}.json", live.pid())),
            registry(live.pid(), &session(1), BUSY, Some(&live.proc_start())),
        );
    });
    let limit = watching.seen.iter().find_map(|input| match input {
        Input::Source(report) => report.issues.iter().find(|i| i.kind == IssueKind::WatchLimit),
        _ => None,
    });
    assert_eq!(limit.unwrap().path.as_deref(), Some(Path::new("/proc/sys/fs/inotify/max_user_watches")));
    append(&watching.transcript("p", 1), prompt(&session(1), 2, "two"));
    watching.until_said("two");
    put(watching.transcript("p", 2), prompt(&session(2), 1, "a new file"));
    watching.until_said("a new file");
    fs::write(
        watching.registry_file(live.pid()),
        registry(live.pid(), &session(1), WAITING, Some(&live.proc_start())),
    )
    .unwrap();
    watching.until_registry("waiting", |u| matches!(u.entry.status, Some(RegistryStatus::Waiting(_))));
    assert!(watching.scout.as_ref().unwrap().counters().watches() <= 2);
}

#[test]
fn a_reconcile_finds_what_no_event_told() {
    let live = Running::sleeping();
    let tuning = Tuning {
        most_watches: Some(0),
        reconcile: Duration::from_millis(20),
        relist: Duration::from_millis(50),
        ..quiet()
    };
    let mut watching = Watching::start_tuned(tuning, Vec::new(), with_one_session);
    append(&watching.transcript("p", 1), prompt(&session(1), 2, "two"));
    watching.until_said("two");
    put(
        watching.registry_file(live.pid()),
        registry(live.pid(), &session(1), BUSY, Some(&live.proc_start())),
    );
    watching.until_registry("busy", |u| u.validity == Validity::Valid);
}

/// Busy and idle have one length, and two writes may have one time: none of it hides a change from the safety net.
#[test]
fn a_reconcile_finds_each_state_of_a_registry_file_that_keeps_its_size() {
    let live = Running::sleeping();
    let tuning = Tuning { most_watches: Some(0), reconcile: Duration::from_millis(1), ..quiet() };
    let mut watching = Watching::start_tuned(tuning, Vec::new(), with_one_session);
    let (file, start) = (watching.registry_file(live.pid()), live.proc_start());
    let of = |status| registry(live.pid(), &session(1), status, Some(&start));
    assert_eq!(of(BUSY).len(), of(IDLE).len());
    put(file.clone(), of(IDLE));
    watching.until_registry("idle", |u| u.entry.status == Some(RegistryStatus::Idle));
    for _ in 0..200 {
        // At once: the file may have been read within the same tick.
        fs::write(&file, of(BUSY)).unwrap();
        watching.until_registry("busy", |u| u.entry.status == Some(RegistryStatus::Busy));
        fs::write(&file, of(IDLE)).unwrap();
        watching.until_registry("idle", |u| u.entry.status == Some(RegistryStatus::Idle));
    }
    // After a while it is only looked at, not read.
    std::thread::park_timeout(Duration::from_millis(150));
    fs::write(&file, of(BUSY)).unwrap();
    watching.until_registry("busy", |u| u.entry.status == Some(RegistryStatus::Busy));
}

#[test]
fn orders_list_again_read_again_and_stop() {
    let mut watching = Watching::start(with_one_session);
    let file = watching.batches().next().unwrap().file;
    watching.orders.send(Order::Reread(file)).unwrap();
    assert!(watching.until_said("one").reset);
    watching.orders.send(Order::Rescan).unwrap();
    append(&watching.transcript("p", 1), prompt(&session(1), 2, "two"));
    watching.until_said("two");
    watching.stop();
    // Ends only when every sender is gone.
    assert!(watching.inputs.iter().all(|input| !matches!(input, Input::Batch(_))));
}

#[test]
fn a_writer_that_is_gone_ends_the_scout() {
    let home = tempfile::tempdir().unwrap();
    with_one_session(home.path());
    let (tx, inputs) = sync_channel(1);
    let (orders, receive_orders) = channel();
    let roots = [claude_root(&home.path().join(".claude"))];
    let scout = spawn_tuned(&roots, Vec::new(), tx, receive_orders, quiet()).unwrap();
    drop(inputs);
    drop(orders);
    scout.join();
}

#[test]
fn a_full_queue_holds_the_scout_up_and_loses_nothing() {
    let home = tempfile::tempdir().unwrap();
    for n in 1..=50 {
        put(main_file(home.path(), "p", n), prompt(&session(n), 1, &n.to_string()));
    }
    let (tx, inputs) = sync_channel(1);
    let (orders, receive_orders) = channel();
    let roots = [claude_root(&home.path().join(".claude"))];
    let scout = spawn_tuned(&roots, Vec::new(), tx, receive_orders, quiet()).unwrap();
    let mut prompts = 0;
    while let Ok(input) = inputs.recv_timeout(Duration::from_secs(60)) {
        match input {
            Input::Batch(batch) => prompts += said(&batch.events).len(),
            Input::Listed { .. } => break,
            _ => {}
        }
    }
    assert_eq!(prompts, 50);
    orders.send(Order::Stop).unwrap();
    scout.join();
}
