//! `lamp doctor`: what it finds, what it leaves alone, what it puts right. Checklist A 212 to 214.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

mod checklist_support;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use checklist_support::agents::{Home, MINUTE, append};
use checklist_support::running::{Running, database};
use lamplight_engine::config::Config;
use lamplight_engine::doctor::{Patient, RepairError, examine, repair};
use lamplight_engine::sources::hooks;
use lamplight_engine::{StartError, clock, setup};
use lamplight_model::ids::Agent;
use lamplight_model::view::{Doctor, DoctorCheck, DoctorState, SetupChoices};

/// A home whose engine ran once and was quit.
fn used() -> Home {
    let home = Home::new();
    let running = Running::start(&home);
    let mut session = home.claude(1, "api");
    let at = running.now().plus_ms(-10 * MINUTE);
    session.prompt(at, "go");
    session.says(at, "done", 100);
    running.settle();
    running.stop();
    home
}

fn look(config: &Config) -> Doctor {
    examine(config, Patient::Silent, clock::now())
}

fn of<'a>(found: &'a Doctor, id: &str) -> Vec<&'a DoctorCheck> {
    found.checks.iter().filter(|check| check.id == id).collect()
}

/// What is wrong, the ports of this machine apart: whatever runs beside the test may hold them.
fn wrong(found: &Doctor) -> Vec<&DoctorCheck> {
    let elsewhere = ["ports", "watches", "disk"];
    let is_wrong =
        |check: &&DoctorCheck| check.state != DoctorState::Ok && !elsewhere.contains(&check.id.as_str());
    found.checks.iter().filter(is_wrong).collect()
}

#[track_caller]
fn only_wrong(found: &Doctor, id: &str, state: DoctorState) -> DoctorCheck {
    match wrong(found).as_slice() {
        [one] if one.id == id && one.state == state => {
            assert!(one.remedy.is_some(), "{one:?} says what to do");
            (*one).clone()
        }
        other => panic!("{id} is not all that is wrong: {other:#?}"),
    }
}

#[test]
fn a_healthy_installation_has_nothing_wrong_and_is_left_as_it_is() {
    let home = used();
    let before = home.agent_trees();
    let found = look(&home.config());
    assert_eq!(wrong(&found), Vec::<&DoctorCheck>::new());
    assert!(!found.is_running);
    assert!(of(&found, "database")[0].message.contains("with 1 session."), "{found:#?}");
    assert!(of(&found, "claude-code")[0].message.contains("in 1 file"), "{found:#?}");
    let running = Running::start(&home);
    let found = running.engine.doctor();
    assert_eq!(wrong(&found), Vec::<&DoctorCheck>::new());
    assert!(found.is_running);
    assert_eq!(home.agent_trees(), before, "agents' files are read and nothing else");
}

#[test]
fn nothing_is_made_where_nothing_was_ever_started() {
    let home = Home::bare();
    let found = look(&home.config());
    assert_eq!(wrong(&found), Vec::<&DoctorCheck>::new());
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn what_the_schema_lacks_is_named_and_added_by_a_repair_a212_a213_a214() {
    let home = used();
    database(&home)
        .execute_batch("DROP INDEX causes_open; DROP TABLE labels; ALTER TABLE files DROP COLUMN gone;")
        .unwrap();
    let check = only_wrong(&look(&home.config()), "database", DoctorState::Fail);
    for part in ["index causes_open", "table labels", "column files.gone"] {
        assert!(check.message.contains(part), "{check:?}");
    }
    let found = repair(&home.config()).unwrap();
    assert_eq!(wrong(&found), Vec::<&DoctorCheck>::new());
    assert_eq!(found.repaired.len(), 3, "{:?}", found.repaired);
    assert!(found.repaired.iter().any(|done| done.contains("table labels")));
    assert_eq!(repair(&home.config()).unwrap().repaired, Vec::<String>::new(), "once");
    let running = Running::start(&home);
    assert_eq!(running.status().sessions.len(), 1, "nothing was lost");
}

#[test]
fn a_damaged_index_is_built_anew() {
    let home = used();
    // A row that its index does not know.
    let db = database(&home);
    let entry: (String, String, String, i64, String) = db
        .query_row(
            "SELECT type, name, tbl_name, rootpage, sql FROM sqlite_master WHERE name = 'files_by_path'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
        )
        .unwrap();
    db.execute_batch("PRAGMA writable_schema = ON; DELETE FROM sqlite_master WHERE name = 'files_by_path';")
        .unwrap();
    drop(db);
    let db = database(&home);
    db.execute_batch(
        "INSERT INTO files (dev, ino, path, session, offset, carry) VALUES (1, 1, '/x', 1, 0, '')",
    )
    .unwrap();
    db.execute_batch("PRAGMA writable_schema = ON").unwrap();
    db.execute("INSERT INTO sqlite_master VALUES (?1, ?2, ?3, ?4, ?5)", entry).unwrap();
    drop(db);
    let check = only_wrong(&look(&home.config()), "database", DoctorState::Fail);
    assert!(check.message.contains("files_by_path") && check.remedy.unwrap().contains("--repair"));
    let found = repair(&home.config()).unwrap();
    assert_eq!(wrong(&found), Vec::<&DoctorCheck>::new());
    assert!(found.repaired.iter().any(|done| done.contains("indexes")), "{:?}", found.repaired);
}

#[test]
fn what_cannot_be_mended_stays_as_it_is_and_is_said() {
    for damage in ["no database at all", "newer"] {
        let home = used();
        let path = home.data_dir().join("lamplight.db");
        if damage == "newer" {
            database(&home).execute_batch("PRAGMA user_version = 99").unwrap();
        } else {
            // What is in the log would stand in for the file.
            for log in ["lamplight.db-wal", "lamplight.db-shm"] {
                let _ = fs::remove_file(home.data_dir().join(log));
            }
            fs::write(&path, damage.repeat(500)).unwrap();
        }
        let before = fs::read(&path).unwrap();
        let check = only_wrong(&look(&home.config()), "database", DoctorState::Fail);
        assert!(check.remedy.unwrap().contains("move lamplight.db"), "{damage}");
        let found = repair(&home.config()).unwrap();
        only_wrong(&found, "database", DoctorState::Fail);
        assert_eq!(found.repaired, Vec::<String>::new());
        assert!(fs::read(&path).unwrap() == before, "{damage}");
    }
}

#[test]
fn what_others_can_read_is_found_and_closed() {
    let home = used();
    let db = home.data_dir().join("lamplight.db");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    fs::set_permissions(&db, fs::Permissions::from_mode(0o644)).unwrap();
    only_wrong(&look(&home.config()), "data", DoctorState::Warn);
    fs::set_permissions(home.data_dir(), fs::Permissions::from_mode(0o755)).unwrap();
    only_wrong(&look(&home.config()), "data", DoctorState::Fail);
    assert_eq!((mode(&db), mode(&home.data_dir())), (0o644, 0o755), "a look changes nothing");
    let found = repair(&home.config()).unwrap();
    assert_eq!(wrong(&found), Vec::<&DoctorCheck>::new());
    assert_eq!((mode(&db), mode(&home.data_dir())), (0o600, 0o700));
    assert_eq!(found.repaired.len(), 2, "{:?}", found.repaired);
}

#[test]
fn a_process_that_holds_the_folder_and_does_not_answer_is_said_and_nothing_is_repaired_beside_it() {
    let home = used();
    let running = Running::start(&home);
    let check = only_wrong(&look(&home.config()), "engine", DoctorState::Fail);
    assert!(check.message.contains(&format!("Process {}", std::process::id())), "{check:?}");
    let refused = repair(&home.config());
    assert!(matches!(refused, Err(RepairError::Start(StartError::Locked { .. }))), "{refused:?}");
    running.stop();
    assert_eq!(of(&look(&home.config()), "engine")[0].state, DoctorState::Ok);
}

#[test]
fn what_a_killed_engine_left_is_cleared_away() {
    let home = used();
    for name in ["endpoint.json", "lamp.sock"] {
        fs::write(home.data_dir().join(name), "{}").unwrap();
        fs::set_permissions(home.data_dir().join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let found = repair(&home.config()).unwrap();
    assert_eq!(found.repaired.len(), 2, "{:?}", found.repaired);
    assert!(!home.data_dir().join("endpoint.json").exists());
}

#[test]
fn a_root_that_is_no_folder_and_one_that_is_missing_are_said() {
    let home = used();
    let mut config = home.config();
    let file = home.path().join("not-a-folder");
    fs::write(&file, "").unwrap();
    for (path, is_default, state) in [
        (file, false, DoctorState::Fail),
        (home.path().join("gone"), false, DoctorState::Warn),
        (home.path().join("never-installed"), true, DoctorState::Ok),
    ] {
        config.roots[1].path = path;
        config.roots[1].is_default = is_default;
        let found = look(&config);
        assert_eq!(of(&found, "codex")[0].state, state, "{found:#?}");
    }
}

#[test]
fn a_clock_that_runs_ahead_is_said() {
    let home = used();
    let mut session = home.claude(2, "api");
    session.prompt(clock::now().plus_ms(10 * MINUTE), "from the future");
    let check = only_wrong(&look(&home.config()), "clock", DoctorState::Warn);
    assert!(check.message.contains("9 min ahead") || check.message.contains("10 min ahead"), "{check:?}");
}

#[test]
fn a_transcript_that_is_not_read_to_its_end_is_said() {
    let home = used();
    let running = Running::start(&home);
    let mut session = home.claude(1, "api");
    session.prompt(running.now().plus_ms(-5 * MINUTE), "unread");
    running.settle();
    // The cursor as a reader that stopped would leave it.
    database(&home).execute_batch("UPDATE files SET offset = 0").unwrap();
    let file = fs::File::options().append(true).open(&session.path).unwrap();
    file.set_modified(
        SystemTime::UNIX_EPOCH + Duration::from_millis((running.now().0 - 5 * MINUTE).unsigned_abs()),
    )
    .unwrap();
    let check = only_wrong(&running.engine.doctor(), "freshness", DoctorState::Warn);
    assert!(check.message.contains("5 min"), "{check:?}");
}

#[test]
fn hooks_that_wait_unread_are_counted() {
    let home = used();
    let spool = hooks::folder(&home.data_dir());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&spool).unwrap();
    for n in 0..1_000 {
        let file = spool.join(format!("{}-1-{n}.json", 1_795_000_000_000_i64 + n));
        fs::write(&file, "{}").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let check = only_wrong(&look(&home.config()), "spool", DoctorState::Warn);
    assert!(check.message.starts_with("1000 hooks wait"), "{check:?}");
}

#[test]
fn hooks_that_are_set_up_and_never_arrive_are_said() {
    let home = used();
    let lamp = home.path().join("bin/lamp");
    append(&lamp, "#!/bin/sh\n");
    fs::set_permissions(&lamp, fs::Permissions::from_mode(0o755)).unwrap();
    let mut config = home.config();
    config.setup = setup::Places {
        home: Some(home.path().to_owned()),
        data_dir: home.data_dir(),
        claude: Some(home.claude_dir()),
        lamp: Some(lamp),
        ..setup::Places::default()
    };
    let choices = SetupChoices { telemetry: false, shell: false, ..SetupChoices::default() };
    let wish = setup::Wish { choices, ..setup::Wish::default() };
    let plan = setup::plan(&config.setup, &wish);
    setup::apply(&plan, &plan.view().digest).unwrap();
    assert!(of(&look(&config), "claude-code-arrivals").is_empty(), "nothing worked since");
    let settings = fs::File::options().append(true).open(home.claude_dir().join("settings.json")).unwrap();
    settings
        .set_modified(
            SystemTime::UNIX_EPOCH + Duration::from_millis((clock::now().0 - 10 * MINUTE).unsigned_abs()),
        )
        .unwrap();
    let found = look(&config);
    let silent = of(&found, "claude-code-arrivals");
    assert_eq!(silent.len(), 1, "{found:#?}");
    assert_eq!(silent[0].state, DoctorState::Warn);
    database(&home)
        .execute(
            "INSERT INTO live_facts (session, at_ms, source, fact) SELECT id, ?1, 'hooks', 'session started: startup' FROM sessions",
            [clock::now().0],
        )
        .unwrap();
    assert!(of(&look(&config), "claude-code-arrivals").is_empty(), "one has arrived");
}

#[test]
fn no_secret_and_nothing_that_was_said_is_in_a_finding() {
    let home = used();
    let mut config = home.config();
    let secret = "s3cr3t-0123456789abcdef";
    config.otlp_token = Some(secret.to_owned());
    fs::write(home.data_dir().join("token"), secret).unwrap();
    fs::set_permissions(home.data_dir().join("token"), fs::Permissions::from_mode(0o600)).unwrap();
    let mut session = home.claude(3, "api");
    session.prompt(clock::now(), secret);
    append(&session.path, &format!("{{\"timestamp\": \"{secret}"));
    config.warnings.push("line 3: unknown key".to_owned());
    let found = look(&config);
    assert!(!serde_json::to_string(&found).unwrap().contains(secret), "{found:#?}");
    assert_eq!(of(&found, "config").len(), 1);
    assert_eq!(config.roots[0].agent, Agent::ClaudeCode);
}
