//! OpenCode's database: read while its owner writes to it, whole or piece by piece, and what is said when it cannot be.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod opencode_support;

use std::fs;
use std::time::SystemTime;

use lamplight_engine::sources::opencode::Trouble;
use lamplight_engine::sources::tail::{Flow, Limits, Tailer};
use lamplight_model::event::{EventKind, PromptOrigin};
use lamplight_model::session::{EntryKind, Phase};
use opencode_support::{CAPTURES, OpenCode, Reading, capture, whole};
use serde_json::Value;

#[test]
fn the_stand_in_writes_what_was_captured() {
    for name in CAPTURES {
        let capture = capture(name, 0);
        let mut opencode = OpenCode::start(&capture.schema);
        capture.events.iter().for_each(|event| opencode.write(event));
        for table in ["message", "part"] {
            for row in capture.tables[table].as_array().unwrap() {
                let wanted: Value = serde_json::from_str(row["data"].as_str().unwrap()).unwrap();
                let written: String = opencode
                    .db
                    .as_ref()
                    .unwrap()
                    .query_row(
                        &format!("SELECT data FROM {table} WHERE id = ?1"),
                        [row["id"].as_str()],
                        |row| row.get(0),
                    )
                    .unwrap();
                assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), wanted, "{name} {}", row["id"]);
            }
        }
    }
}

#[test]
fn however_often_somebody_looks_the_state_is_the_same() {
    for name in CAPTURES {
        let capture = capture(name, 0);
        for stride in [1, 5, 1_000] {
            let mut opencode = OpenCode::start(&capture.schema);
            let mut reading = Reading::default();
            for (at, events) in capture.events.chunks(stride).enumerate() {
                events.iter().for_each(|event| opencode.write(event));
                let found = opencode.only();
                reading.read(&found);
                assert_eq!(reading.read(&found), [], "{name}: a second look finds nothing");
                assert_eq!(reading.revision(), Some(found.size_bytes));
                if stride > 1 || at % 8 == 0 {
                    assert_eq!(reading.state, whole(&found), "{name} after {at} looks");
                }
            }
        }
    }
}

#[test]
fn small_pieces_give_the_same_and_each_is_a_look_of_its_own() {
    let capture = capture("run_tools", 0);
    let mut opencode = OpenCode::start(&capture.schema);
    capture.events.iter().for_each(|event| opencode.write(event));
    let found = opencode.only();
    let mut reading = Reading::default();
    let mut tailer = Tailer::new(Limits { batch_bytes: 1, ..Limits::default() });
    reading.read_with(&found, &mut tailer);
    assert_eq!(reading.batches, 8, "one for each message");
    assert_eq!(reading.state, whole(&found));
}

#[test]
fn whoever_pauses_after_each_piece_comes_to_the_end() {
    let capture = capture("run_tools", 0);
    let mut opencode = OpenCode::start(&capture.schema);
    capture.events.iter().for_each(|event| opencode.write(event));
    let found = opencode.only();
    let mut reading = Reading::default();
    reading.flow = Flow::Pause;
    let mut tailer = Tailer::new(Limits { batch_bytes: 1, ..Limits::default() });
    let mut looks = 0;
    while reading.revision() != Some(found.size_bytes) {
        reading.read_with(&found, &mut tailer);
        looks += 1;
        assert!(looks <= 8, "it has got no further than {:?}", reading.revision());
    }
    assert!(looks > 1);
    assert_eq!(reading.state, whole(&found));
}

#[test]
fn facts_are_those_of_the_rows() {
    let capture = capture("run_tools", 0);
    let mut opencode = OpenCode::start(&capture.schema);
    capture.events.iter().for_each(|event| opencode.write(event));
    let mut reading = Reading::default();
    let facts = reading.read(&opencode.only());
    let count = |wanted: fn(&EventKind) -> bool| facts.iter().filter(|event| wanted(&event.kind)).count();
    assert_eq!(
        count(|kind| matches!(kind, EventKind::PromptSubmitted(p) if p.origin == PromptOrigin::Person)),
        2
    );
    assert_eq!(count(|kind| matches!(kind, EventKind::ResponseReceived(_))), 6);
    assert_eq!(count(|kind| matches!(kind, EventKind::ToolCalled(_))), 4);
    assert_eq!(count(|kind| matches!(kind, EventKind::ToolAnswered(a) if a.is_error)), 1, "exit 3");
    assert_eq!(count(|kind| matches!(kind, EventKind::TurnEnded)), 2);
    let t = &reading.state;
    assert_eq!(t.first_prompt.as_deref(), Some("Fix the add function"), "without the run's quotation marks");
    assert_eq!(t.last_said.as_deref(), Some("Hello again."));
    assert_eq!(
        (t.entry, t.agent_title.as_deref(), t.task_totals),
        (Some(EntryKind::Print), None, Some((1, 2)))
    );
    assert_eq!((t.cwd.as_deref(), t.version.as_deref()), (Some("/home/dev2/project"), Some("1.18.33")));
    let reported = t.reported["fake-model"];
    assert_eq!((reported.responses, reported.cost_nano), (6, 16_820_000));
    assert_eq!(
        (reported.usage.input, reported.usage.output, reported.usage.cache_read),
        (15_508, 464 + 192, 8_192)
    );
}

#[test]
fn a_placeholder_is_no_title_and_a_stopped_turn_is_no_error() {
    let capture = capture("tui", 0);
    let mut opencode = OpenCode::start(&capture.schema);
    let mut reading = Reading::default();
    let mut titles = Vec::new();
    let mut phases = Vec::new();
    for event in &capture.events {
        opencode.write(event);
        reading.read(&opencode.only());
        titles.push(reading.state.agent_title.clone());
        phases.push(reading.state.turn.phase);
    }
    titles.dedup();
    phases.dedup();
    assert_eq!(titles, [None, Some("Hello there.".to_owned())]);
    use Phase::{Ended, Interrupted, Working};
    assert_eq!(phases, [Phase::None, Working, Ended, Working, Ended, Working, Interrupted, Working]);
    let call = &reading.state.open_calls[0];
    assert_eq!(
        (call.name.as_str(), call.target.as_deref()),
        ("bash", Some("echo installed > installed.txt"))
    );
    assert!(call.escalated, "it shows nothing of its run: its person is asked");
}

#[test]
fn a_look_leaves_no_trace_and_holds_nobody_up() {
    let capture = capture("tui", 0);
    let mut opencode = OpenCode::start(&capture.schema);
    let (first, last) = capture.events.split_at(30);
    first.iter().for_each(|event| opencode.write(event));
    let mut reading = Reading::default();
    let names = |opencode: &OpenCode| -> Vec<_> {
        let mut names: Vec<_> =
            fs::read_dir(opencode.root().path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let stands = |opencode: &OpenCode| -> Vec<(Vec<u8>, SystemTime)> {
        [opencode.database(), opencode.beside("-wal"), opencode.beside("-shm")]
            .iter()
            .filter(|path| path.exists())
            .map(|path| (fs::read(path).unwrap(), fs::metadata(path).unwrap().modified().unwrap()))
            .collect()
    };
    let before = (names(&opencode), stands(&opencode));
    reading.read(&opencode.only());
    // Of the index the marks of readers change, as with every reader of a log.
    assert_eq!(before.0, names(&opencode));
    assert_eq!(before.1[..2], stands(&opencode)[..2]);
    // Its owner goes on at once, puts its whole log away, and leaves nothing of it behind.
    last.iter().for_each(|event| opencode.write(event));
    reading.read(&opencode.only());
    let left: (i64, i64, i64) = opencode
        .db
        .as_ref()
        .unwrap()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap();
    assert_eq!(left, (0, 0, 0), "nobody holds a part of the log");
    reading.read(&opencode.only());
    opencode.close();
    assert_eq!(names(&opencode), ["opencode.db"]);
    // Closed, it is read as it is.
    let before = stands(&opencode);
    assert_eq!(reading.read(&opencode.only()), []);
    assert_eq!(whole(&opencode.only()), reading.state);
    assert_eq!(before, stands(&opencode));
    assert_eq!(names(&opencode), ["opencode.db"]);
}

#[test]
fn a_killed_owner_leaves_its_log_and_it_is_read_without_touching_it() {
    let capture = capture("tui", 0);
    let mut opencode = OpenCode::start(&capture.schema);
    capture.events.iter().for_each(|event| opencode.write(event));
    // What a SIGKILL leaves: a copy of the three files, without anybody who has them open.
    let left = OpenCode { home: tempfile::tempdir().unwrap(), db: None };
    fs::create_dir_all(left.root().path).unwrap();
    for ending in ["", "-wal", "-shm"] {
        fs::copy(opencode.beside(ending), left.beside(ending)).unwrap();
    }
    let index = fs::read(left.beside("-shm")).unwrap();
    assert_eq!(whole(&left.only()), whole(&opencode.only()));
    assert_eq!(fs::read(left.beside("-shm")).unwrap(), index);
    // A copy without the index cannot be read without making one.
    fs::remove_file(left.beside("-shm")).unwrap();
    assert_eq!(left.list().trouble, Some(Trouble::NoIndex));
    assert!(!left.beside("-shm").exists());
}

#[test]
fn a_session_of_an_older_release_has_no_events_and_is_read_all_the_same() {
    let capture = capture("tui", 0);
    let mut opencode = OpenCode::start(&capture.schema);
    let mut reading = Reading::default();
    for drop_table in [false, true] {
        if drop_table {
            opencode.sql("DROP TABLE event_sequence");
            opencode.sql("CREATE TABLE event_sequence_gone (x)");
        }
        for (at, event) in capture.events.iter().enumerate() {
            if drop_table {
                // Every row is there; its last change is made again.
                opencode.sql("UPDATE part SET time_updated = time_updated + 1 WHERE rowid = (SELECT max(rowid) FROM part)");
            } else {
                opencode.write(event);
                opencode.sql("DELETE FROM event_sequence");
            }
            if at % 10 == 0 {
                reading.read(&opencode.only());
                assert_eq!(reading.state, whole(&opencode.only()));
            }
        }
        reading.read(&opencode.only());
        assert_eq!(reading.state, whole(&opencode.only()));
    }
}

#[test]
fn what_keeps_a_database_from_being_read_is_said_and_nothing_breaks() {
    let capture = capture("run_basic", 0);
    let mut opencode = OpenCode::start(&capture.schema);
    capture.events.iter().for_each(|event| opencode.write(event));
    let check = |opencode: &OpenCode, trouble: Option<Trouble>, sessions: usize| {
        let listing = opencode.list();
        assert_eq!((listing.trouble, listing.found.len()), (trouble, sessions));
        assert_eq!(listing.partial, trouble.is_some(), "what is not seen is not said to be gone");
    };
    check(&opencode, None, 1);
    // Held: a connection that lets nobody in.
    opencode.close();
    opencode.open();
    opencode.sql("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; UPDATE session SET slug = 'x'; COMMIT;");
    check(&opencode, Some(Trouble::Held), 0);
    opencode.close();
    check(&opencode, None, 1);
    // Of another version: a column has another name, a table is a view.
    opencode.open();
    let found = opencode.only();
    opencode.sql("ALTER TABLE session RENAME COLUMN title TO caption");
    check(&opencode, Some(Trouble::Shape), 0);
    let read = Tailer::default().read(
        &found.path,
        &found.role,
        &mut Default::default(),
        opencode_support::LATER,
        &mut |_| panic!("nothing can be read"),
    );
    assert!(read.unwrap_err().issue().is_some());
    opencode.sql("ALTER TABLE session RENAME COLUMN caption TO title");
    check(&opencode, None, 1);
    opencode.sql("ALTER TABLE session RENAME TO sessions; CREATE VIEW session AS SELECT * FROM sessions");
    check(&opencode, Some(Trouble::Shape), 0);
    opencode.close();
    // No database: random bytes, a folder, a link, nothing.
    let database = opencode.database();
    fs::write(&database, vec![7; 8_192]).unwrap();
    let old = SystemTime::UNIX_EPOCH;
    fs::File::options().write(true).open(&database).unwrap().set_modified(old).unwrap();
    check(&opencode, Some(Trouble::Unreadable), 0);
    fs::rename(&database, opencode.home.path().join("elsewhere.db")).unwrap();
    check(&opencode, None, 0);
    fs::create_dir(&database).unwrap();
    check(&opencode, Some(Trouble::NotAFile), 0);
    fs::remove_dir(&database).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(opencode.home.path().join("elsewhere.db"), &database).unwrap();
        check(&opencode, Some(Trouble::NotAFile), 0);
        fs::remove_file(&database).unwrap();
    }
    // Being made: nothing in it yet.
    fs::write(&database, []).unwrap();
    check(&opencode, Some(Trouble::Held), 0);
}
