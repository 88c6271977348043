//! Reading of transcripts: torn lines, truncation, replacement, hostile files, bounded memory.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "../../../tests/cases.rs"]
mod cases;
#[path = "sources_support/lines.rs"]
mod lines;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use lamplight_engine::facts::{FileBatch, IssueKind};
use lamplight_engine::sources::tail::{Flow, Limits, Position, Stopped, TailError, Tailer, read_batch};
use lamplight_model::event::Event;
use lamplight_model::ids::Timestamp;
use proptest::prelude::*;

use crate::lines::{answer, append, claude_role, make_fifo, prompt, put, said_in, session};

const READ_AT: Timestamp = Timestamp(1_795_200_000_000);

/// A transcript in a home of its own, and how far it was read.
struct Watched {
    home: tempfile::TempDir,
    path: PathBuf,
    tailer: Tailer,
    position: Position,
}

impl Watched {
    fn new(content: impl AsRef<[u8]>, limits: Limits) -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = put(home.path().join("p/s.jsonl"), content);
        Self { home, path, tailer: Tailer::new(limits), position: Position::default() }
    }

    fn read(&mut self) -> Vec<FileBatch> {
        let (stopped, batches) = self.try_read().unwrap();
        assert_eq!(stopped, Stopped::AtEnd);
        batches
    }

    fn try_read(&mut self) -> Result<(Stopped, Vec<FileBatch>), TailError> {
        let mut batches = Vec::new();
        let role = claude_role(&session(1));
        let stopped = self.tailer.read(&self.path, &role, &mut self.position, READ_AT, &mut |batch| {
            batches.push(batch);
            Flow::Continue
        })?;
        Ok((stopped, batches))
    }
}

/// The facts of batches that must follow on one another.
fn joined(batches: &[FileBatch]) -> Vec<Event> {
    for pair in batches.windows(2) {
        assert_eq!(pair[0].to, pair[1].from, "no byte is skipped or read twice");
    }
    batches.iter().flat_map(|b| b.events.clone()).collect()
}

fn story(lines: u32) -> String {
    let s = session(1);
    (0..lines)
        .map(|n| match n % 4 {
            0 => prompt(&s, n, &format!("prompt {n} with ümläuts and 🦀")),
            1 => answer(&s, n, &"words ".repeat(n as usize * 7)),
            2 => "{\"type\":\"mode\",\"mode\":\"normal\"}\n\n".to_owned(),
            _ => "no json\n".to_owned(),
        })
        .collect()
}

fn small() -> Limits {
    Limits { chunk: 64, max_line: 1 << 20, batch_bytes: 700, batch_events: 3 }
}

proptest! {
    #![proptest_config(cases::config(64))]

    #[test]
    fn any_split_of_appends_gives_the_same_facts(cuts in proptest::collection::vec(0usize..6000, 0..12), keep_searched: bool) {
        let content = story(24);
        let whole = joined(&Watched::new(&content, Limits::default()).read());
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(content.len())).collect();
        cuts.push(content.len());
        cuts.sort_unstable();
        let mut file = Watched::new("", small());
        let mut batches = Vec::new();
        let mut from = 0;
        for cut in cuts {
            append(&file.path, &content.as_bytes()[from..cut]);
            from = cut;
            batches.extend(file.read());
            if !keep_searched {
                // As after a restart: only the cursor is left.
                file.position = Position::from(file.position.cursor.take());
            }
        }
        prop_assert!(!batches.iter().any(|b| b.reset));
        prop_assert_eq!(joined(&batches), whole);
        prop_assert_eq!(batches.iter().flat_map(|b| &b.issues).count(), 6, "each bad line is counted once");
    }
}

#[test]
fn a_torn_line_waits_for_its_end() {
    let s = session(1);
    let mut file = Watched::new(prompt(&s, 1, "one"), Limits::default());
    assert_eq!(said_in(&file.read()), ["one"]);
    let (head, tail) = (&prompt(&s, 2, "two")[..40], &prompt(&s, 2, "two")[40..]);
    append(&file.path, head);
    assert!(file.read().is_empty());
    assert!(file.read().is_empty(), "and nothing is read twice");
    append(&file.path, tail);
    let batches = file.read();
    assert_eq!(said_in(&batches), ["two"]);
    assert_eq!(batches[0].from, prompt(&s, 1, "one").len() as u64);
    assert!(file.read().is_empty());
}

#[test]
fn a_truncated_file_is_read_again_and_says_so() {
    let s = session(1);
    let mut file = Watched::new(prompt(&s, 1, "one") + &prompt(&s, 2, "two"), Limits::default());
    file.read();
    fs::write(&file.path, prompt(&s, 3, "x")).unwrap();
    let batches = file.read();
    assert_eq!((batches.len(), batches[0].reset, batches[0].from), (1, true, 0));
    assert_eq!(said_in(&batches), ["x"]);
    fs::write(&file.path, "").unwrap();
    let batches = file.read();
    assert_eq!((batches.len(), batches[0].reset, batches[0].to), (1, true, 0), "empty is told as well");
    assert!(file.read().is_empty());
}

#[test]
fn a_file_rewritten_in_place_is_noticed_even_if_it_is_longer() {
    let s = session(1);
    let mut file = Watched::new(prompt(&s, 1, "one"), Limits::default());
    file.read();
    fs::write(&file.path, prompt(&s, 2, &"another, longer ".repeat(20)) + &prompt(&s, 3, "three")).unwrap();
    let batches = file.read();
    assert!(batches[0].reset);
    assert_eq!(said_in(&batches).len(), 2);
}

#[test]
fn a_file_replaced_by_another_of_the_same_name_is_read_again() {
    let s = session(1);
    let mut file = Watched::new(prompt(&s, 1, "one"), Limits::default());
    file.read();
    let other = put(file.home.path().join("other"), prompt(&s, 1, "one") + &prompt(&s, 2, "two"));
    fs::rename(other, &file.path).unwrap();
    let batches = file.read();
    assert!(batches[0].reset);
    assert_eq!(said_in(&batches), ["one", "two"]);
}

#[test]
fn a_moved_file_goes_on_where_it_was_and_tells_its_path() {
    let s = session(1);
    let mut file = Watched::new(prompt(&s, 1, "one"), Limits::default());
    file.read();
    let moved = file.home.path().join("q.jsonl");
    fs::rename(&file.path, &moved).unwrap();
    file.path = moved.clone();
    let batches = file.read();
    assert_eq!((batches.len(), batches[0].reset, &batches[0].path), (1, false, &moved));
    assert!(batches[0].events.is_empty());
    append(&file.path, prompt(&s, 2, "two"));
    assert_eq!(said_in(&file.read()), ["two"]);
}

#[test]
fn a_cursor_of_another_version_reads_the_file_again() {
    let mut file = Watched::new(prompt(&session(1), 1, "one"), Limits::default());
    file.read();
    file.position.cursor.as_mut().unwrap().carry = "{\"agent\":\"of a later version\"}".to_owned();
    let batches = file.read();
    assert!(batches[0].reset);
    assert_eq!(said_in(&batches), ["one"]);
}

#[test]
fn touching_a_file_is_no_news() {
    let mut file = Watched::new(prompt(&session(1), 1, "one"), Limits::default());
    file.read();
    File::options().append(true).open(&file.path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert!(file.read().is_empty());
}

#[test]
fn batches_are_bounded_and_can_be_paused() {
    let content = story(24);
    let mut file = Watched::new(&content, small());
    let batches = file.read();
    assert!(batches.len() > 5);
    assert!(batches.iter().all(|b| b.events.len() < 3 + 8), "a line's own facts stay together");
    let role = claude_role(&session(1));
    let mut cursor = None;
    let mut one_by_one = Vec::new();
    while let Some(batch) = read_batch(&file.path, &role, cursor.as_ref(), small(), READ_AT).unwrap() {
        let c = lamplight_engine::facts::Cursor {
            file: batch.file,
            path: batch.path.clone(),
            role: role.clone(),
            offset: batch.to,
            carry: batch.carry.clone(),
        };
        cursor = Some(c);
        one_by_one.push(batch);
    }
    assert_eq!(joined(&one_by_one), joined(&batches));
}

#[test]
fn a_line_over_the_limit_keeps_its_usage_and_its_neighbours() {
    let s = session(1);
    let limits = Limits { chunk: 64, max_line: 1024, ..Limits::default() };
    let long = answer(&s, 2, &"long ".repeat(1000));
    let mut file = Watched::new(prompt(&s, 1, "before") + &long[..3000], limits);
    assert_eq!(said_in(&file.read()), ["before"]);
    append(&file.path, &long[3000..4000]);
    assert!(file.read().is_empty());
    append(&file.path, long[4000..].to_owned() + &prompt(&s, 3, "after"));
    let batches = file.read();
    let issues: Vec<_> = batches.iter().flat_map(|b| &b.issues).map(|i| (i.kind, i.at)).collect();
    assert_eq!(issues, [(IssueKind::LongLine, Some(prompt(&s, 1, "before").len() as u64))]);
    let events = joined(&batches);
    let usage = events.iter().find_map(|e| match &e.kind {
        lamplight_model::event::EventKind::ResponseReceived(r) => Some(r.usage),
        _ => None,
    });
    assert_eq!(usage.map(|u| u.output), Some(2));
    assert_eq!(said_in(&batches).last().map(String::as_str), Some("after"));
    assert!(file.tailer.peak_bytes() <= 1024);
}

#[test]
fn a_line_of_100_mb_takes_no_more_memory_than_the_limit() {
    let s = session(1);
    let mut file = Watched::new(prompt(&s, 1, "before"), Limits::default());
    let long = answer(&s, 2, "@");
    let (head, tail) = long.split_once('@').unwrap();
    {
        let mut writer = BufWriter::new(File::options().append(true).open(&file.path).unwrap());
        writer.write_all(head.as_bytes()).unwrap();
        let filling = [b'a'; 1 << 16];
        for _ in 0..100 << 4 {
            writer.write_all(&filling).unwrap();
        }
        writer.write_all(tail.as_bytes()).unwrap();
        writer.write_all(prompt(&s, 3, "after").as_bytes()).unwrap();
    }
    let batches = file.read();
    let kinds: Vec<_> = batches.iter().flat_map(|b| &b.issues).map(|i| i.kind).collect();
    assert_eq!(kinds, [IssueKind::LongLine]);
    assert_eq!(said_in(&batches).first().map(String::as_str), Some("before"));
    assert_eq!(said_in(&batches).last().map(String::as_str), Some("after"));
    assert_eq!(file.tailer.peak_bytes(), Limits::default().max_line);
}

#[test]
fn bad_lines_are_counted_with_their_place_and_harm_nothing_else() {
    let s = session(1);
    let mut content = prompt(&s, 1, "one").into_bytes();
    let bad_json = content.len() as u64;
    content.extend(b"{\"type\":\"user\",\n");
    let bad_utf8 = content.len() as u64;
    content.extend(prompt(&s, 2, "tw@o").into_bytes().iter().map(|b| if *b == b'@' { 0xff } else { *b }));
    content.extend(prompt(&s, 3, "three").into_bytes());
    let mut file = Watched::new(&content, Limits::default());
    let batches = file.read();
    let issues: Vec<_> = batches.iter().flat_map(|b| &b.issues).map(|i| (i.kind, i.at)).collect();
    assert_eq!(issues, [(IssueKind::BadJson, Some(bad_json)), (IssueKind::BadUtf8, Some(bad_utf8))]);
    assert_eq!(said_in(&batches), ["one", "tw\u{fffd}o", "three"]);
}

/// The kind of issue reading gives where `make` puts something else in a transcript's place.
fn check_refused(make: impl Fn(&Path)) -> Option<IssueKind> {
    let mut file = Watched::new(prompt(&session(1), 1, "one"), Limits::default());
    file.read();
    fs::remove_file(&file.path).unwrap();
    make(&file.path);
    file.try_read().unwrap_err().issue().map(|issue| issue.kind)
}

#[test]
fn what_is_no_regular_file_is_refused_without_waiting() {
    assert_eq!(check_refused(|path| fs::create_dir(path).unwrap()), Some(IssueKind::NotAFile));
    assert_eq!(check_refused(make_fifo), Some(IssueKind::NotAFile));
    assert_eq!(
        check_refused(|path| drop(std::os::unix::net::UnixListener::bind(path).unwrap())),
        Some(IssueKind::NotAFile)
    );
    assert_eq!(
        check_refused(|path| std::os::unix::fs::symlink("/dev/zero", path).unwrap()),
        Some(IssueKind::OutsideRoot)
    );
    assert_eq!(check_refused(|_| {}), None, "a file that is gone is no trouble");
}

#[test]
fn an_unreadable_file_is_counted() {
    let mut file = Watched::new(prompt(&session(1), 1, "one"), Limits::default());
    let mode = |mode| {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&file.path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o000);
    if File::open(&file.path).is_ok() {
        return; // The superuser reads everything.
    }
    assert_eq!(file.try_read().unwrap_err().issue().map(|i| i.kind), Some(IssueKind::Unreadable));
}
