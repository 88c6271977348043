//! What a session is said to be.

use lamplight_engine::facts::{Input, RegistryUpdate};
use lamplight_model::attention::CauseKind;
use lamplight_model::session::{LivenessState, RegistryStatus, TurnState, Validity};
use serde_json::json;

use super::{Case, PID, at, kind, registry, removed, waits};
use crate::checklist_support::agents::{HOUR, MINUTE};
use crate::checklist_support::clocked::T0;

/// The last lines of a turn are read later than the registry says idle.
#[test]
fn a_transcript_that_lags_behind_idle_is_your_turn_and_told() {
    let (mut case, mut session) = Case::new();
    session.prompt(at(0), "go");
    case.registry(RegistryStatus::Busy, at(10));
    case.read(&session, at(100));
    case.registry(RegistryStatus::Idle, at(5_000));
    // A busy machine: the last lines are read a second late.
    case.run_until(at(5_900));
    session.says(at(4_950), "Done.", 100);
    case.read(&session, at(6_000));
    let card = case.card(at(6_000));
    assert_eq!((card.turn_state, kind(&card)), (TurnState::AwaitingReply, Some(CauseKind::Reply)));
    case.run_until(at(30_000));
    assert!(case.log().contains(&"reply told".to_owned()), "{:?}", case.log());
}

/// The clock is set back to before the engine's start.
#[test]
fn a_clock_set_back_to_before_the_start_makes_nothing_old() {
    let (mut case, mut session) = Case::new();
    session.prompt(at(1_000), "go");
    case.read(&session, at(1_000));
    let back = at(-HOUR + 10_000);
    case.clocked.core.clock_set_back(HOUR, back);
    case.clocked.pass(back);
    session.says(back.plus_ms(5_000), "Done.", 100);
    case.read(&session, back.plus_ms(5_100));
    case.clocked.pass(back.plus_ms(60_000));
    assert!(case.log().contains(&"reply told".to_owned()), "{:?}", case.log());
}

/// The engine ran with a clock that was a day ahead.
#[test]
fn a_last_look_of_a_clock_that_ran_ahead_makes_nothing_old() {
    let (case, mut session) = Case::new();
    let mut case = case.restarted(at(24 * HOUR), at(MINUTE));
    session.prompt(at(MINUTE + 1_000), "go");
    session.says(at(MINUTE + 5_000), "Done.", 100);
    case.read(&session, at(MINUTE + 5_100));
    case.run_until(at(2 * MINUTE));
    assert_eq!(case.log(), ["reply told"]);
}

/// Somebody deletes the registry file of a killed client.
#[test]
fn a_crash_stays_one_when_its_registry_file_is_cleaned_up() {
    let (mut case, mut session) = Case::new();
    session.prompt(at(0), "go");
    case.read(&session, at(0));
    case.registry(RegistryStatus::Busy, at(10));
    case.put(Input::ProcessExited { pid: PID, at: at(60_000) }, at(60_000));
    case.run_until(at(80_000));
    let key = case.key.clone();
    // The file is listed again while it stands.
    let mut dead = registry(&key, PID, RegistryStatus::Busy, Validity::Dead, T0, at(10));
    if let Input::Registry(update) = &mut dead {
        update.read_at = at(90_000);
    }
    case.put(dead, at(90_000));
    case.put(removed(&key, PID, at(600_000)), at(600_000));
    case.run_until(at(700_000));
    let card = case.card(at(700_000));
    assert_eq!((card.turn_state, kind(&card)), (TurnState::Crashed, Some(CauseKind::Crashed)));
}

/// A client is killed between two runs of the engine.
#[test]
fn a_crash_while_nobody_looked_is_told() {
    let (mut case, mut session) = Case::new();
    session.prompt(at(0), "go");
    case.read(&session, at(0));
    case.registry(RegistryStatus::Busy, at(10));
    case.run_until(at(MINUTE));
    let mut case = case.restarted(at(MINUTE), at(10 * MINUTE));
    let key = case.key.clone();
    let now = at(10 * MINUTE + 100);
    let mut dead = registry(&key, PID, RegistryStatus::Busy, Validity::Dead, T0, at(10));
    if let Input::Registry(update) = &mut dead {
        update.read_at = now;
    }
    case.put(dead, now);
    case.run_until(at(11 * MINUTE));
    assert_eq!(kind(&case.card(at(11 * MINUTE))), Some(CauseKind::Crashed));
    assert_eq!(case.log(), ["crashed told"]);
}

/// Two calls ask at once; one is allowed while the other waits.
#[test]
fn one_dialog_after_another_of_calls_asked_at_once() {
    let (mut case, mut session) = Case::new();
    session.prompt(at(0), "go");
    case.registry(RegistryStatus::Busy, at(10));
    let first = session.calls(at(1_000), "Bash", json!({"command": "make one"}), 100);
    session.calls(at(1_010), "Bash", json!({"command": "make two"}), 100);
    case.read(&session, at(1_100));
    for command in ["make one", "make two"] {
        case.hook(
            "PermissionRequest",
            at(1_100),
            json!({"tool_name": "Bash", "tool_input": {"command": command}}),
        );
    }
    case.registry(waits(), at(1_150));
    let card = case.card(at(1_200));
    assert_eq!(card.waiting_for.unwrap().detail.as_deref(), Some("make one"));
    case.run_until(at(30_000));
    assert_eq!(case.log(), ["permission told"]);
    // Allowed; it runs a moment, then the other dialog is shown.
    case.registry(RegistryStatus::Busy, at(30_000));
    assert_eq!(case.card(at(30_010)).turn_state, TurnState::Working);
    session.answers(at(30_040), &first, "made");
    case.read(&session, at(30_050));
    case.registry(waits(), at(30_060));
    let card = case.card(at(30_100));
    assert_eq!(card.waiting_for.unwrap().detail.as_deref(), Some("make two"));
    case.run_until(at(60_000));
    assert_eq!(case.log(), ["permission told", "permission withdrawn", "permission told"]);
}

/// A session that waits is opened, used and left in a second terminal.
#[test]
fn a_session_opened_twice_waits_where_it_waits() {
    let (mut case, mut session) = Case::new();
    let (key, other) = (case.key.clone(), 4_194_002);
    session.prompt(at(0), "go");
    session.calls(at(1_000), "Bash", json!({"command": "make"}), 100);
    case.read(&session, at(1_000));
    case.registry(waits(), at(1_000));
    case.run_until(at(10_000));
    let asked = case.card(at(10_000)).attention.unwrap().cause_id;
    let says = |case: &mut Case, status, ms| {
        case.put(registry(&key, other, status, Validity::Valid, at(20_000), at(ms)), at(ms));
        case.card(at(ms)).attention.unwrap().cause_id
    };
    assert_eq!(says(&mut case, RegistryStatus::Idle, 20_000), asked);
    assert_eq!(says(&mut case, RegistryStatus::Busy, 30_000), asked);
    assert_eq!(says(&mut case, RegistryStatus::Idle, 40_000), asked);
    case.put(removed(&case.key.clone(), other, at(50_000)), at(50_000));
    case.run_until(at(60_000));
    assert_eq!(case.card(at(60_000)).attention.unwrap().cause_id, asked);
    assert_eq!(case.log(), ["permission told"]);
}

/// A session stands idle in one terminal and is killed in the one where it works.
#[test]
fn a_session_killed_in_one_of_its_two_terminals_is_told_and_goes_on_in_the_other() {
    let (mut case, mut session) = Case::new();
    let (key, idle) = (case.key.clone(), 4_194_002);
    case.put(registry(&key, idle, RegistryStatus::Idle, Validity::Valid, T0, at(0)), at(0));
    case.registry(RegistryStatus::Busy, at(1_000));
    session.prompt(at(1_000), "go");
    session.calls(at(2_000), "Bash", json!({"command": "make"}), 100);
    case.read(&session, at(2_000));
    assert_eq!(case.card(at(10_000)).turn_state, TurnState::Working);
    case.put(Input::ProcessExited { pid: PID, at: at(20_000) }, at(20_000));
    case.run_until(at(60_000));
    let card = case.card(at(60_000));
    assert_eq!((card.turn_state, kind(&card)), (TurnState::Crashed, Some(CauseKind::Crashed)));
    let since = card.attention.as_ref().map(|a| a.since_ms);
    assert_eq!((since, card.pid), (Some(at(20_000).0), Some(idle)), "and the other is there");
    assert_eq!(card.liveness.state, LivenessState::Alive);
    assert_eq!(case.log(), ["crashed told"]);

    // In the other terminal it goes on, and what is interrupted there is the person's own doing.
    session.prompt(at(70_000), "go on");
    case.put(registry(&key, idle, RegistryStatus::Busy, Validity::Valid, T0, at(70_000)), at(70_000));
    case.read(&session, at(70_000));
    let card = case.card(at(70_100));
    assert_eq!((card.turn_state, kind(&card)), (TurnState::Working, None));
    case.put(registry(&key, idle, RegistryStatus::Idle, Validity::Valid, T0, at(75_000)), at(75_000));
    case.run_until(at(90_000));
    assert_eq!(case.card(at(90_000)).turn_state, TurnState::Interrupted);
}

/// The same while nobody looks, in a turn that followed the one before without a pause.
#[test]
fn a_session_killed_unseen_in_one_of_its_two_terminals_is_told() {
    let (mut case, mut session) = Case::new();
    let (key, idle) = (case.key.clone(), 4_194_002);
    let stands = || registry(&key, idle, RegistryStatus::Idle, Validity::Valid, T0, at(0));
    case.put(stands(), at(0));
    case.registry(RegistryStatus::Busy, at(1_000));
    session.prompt(at(1_000), "go");
    session.says(at(2_000), "Done.", 100);
    session.prompt(at(600_000), "and on");
    session.calls(at(602_000), "Bash", json!({"command": "make"}), 100);
    case.read(&session, at(602_000));
    assert_eq!(case.card(at(603_000)).turn_state, TurnState::Working);
    let mut case = case.restarted(at(610_000), at(700_000));
    let killed = registry(&key, PID, RegistryStatus::Busy, Validity::Dead, T0, at(1_000));
    let killed = match killed {
        Input::Registry(update) => Input::Registry(RegistryUpdate { read_at: at(700_000), ..update }),
        other => other,
    };
    case.put(killed, at(700_000));
    case.put(stands(), at(700_000));
    case.put(Input::Listed { at: at(700_100), asked: 0 }, at(700_100));
    case.run_until(at(760_000));
    let card = case.card(at(760_000));
    assert_eq!((card.turn_state, kind(&card)), (TurnState::Crashed, Some(CauseKind::Crashed)));
}

/// `/clear` in the middle of a dialog, and its hook afterwards.
#[test]
fn a_dialog_that_is_left_by_clear_asks_no_more_not_even_by_a_late_hook() {
    let (mut case, mut session) = Case::new();
    session.prompt(at(0), "go");
    session.calls(at(1_000), "Bash", json!({"command": "make"}), 100);
    case.read(&session, at(1_000));
    case.registry(waits(), at(1_000));
    case.run_until(at(10_000));
    let next = case.home.claude(2, "shop").key();
    case.put(registry(&next, PID, RegistryStatus::Idle, Validity::Valid, T0, at(20_000)), at(20_000));
    case.run_until(at(21_000));
    case.hook(
        "PermissionRequest",
        at(21_000),
        json!({"tool_name": "Bash", "tool_input": {"command": "make"}}),
    );
    case.run_until(at(60_000));
    let status = case.clocked.status(at(60_000));
    assert!(status.sessions.iter().all(|c| c.attention.is_none()), "{status:#?}");
    assert_eq!(case.log(), ["permission told", "permission withdrawn"]);
}

/// The pid of a killed client is given to another session's.
#[test]
fn a_pid_that_is_used_again_leaves_the_crash_of_the_session_before() {
    let (mut case, mut session) = Case::new();
    session.prompt(at(0), "go");
    case.read(&session, at(0));
    case.registry(RegistryStatus::Busy, at(10));
    case.put(Input::ProcessExited { pid: PID, at: at(60_000) }, at(60_000));
    let next = case.home.claude(2, "shop").key();
    case.put(registry(&next, PID, RegistryStatus::Busy, Validity::Valid, at(60_100), at(60_200)), at(60_200));
    case.run_until(at(80_000));
    let card = case.card(at(80_000));
    assert_eq!((card.turn_state, kind(&card)), (TurnState::Crashed, Some(CauseKind::Crashed)));
    case.put(Input::ProcessExited { pid: PID, at: at(90_000) }, at(90_000));
    case.put(removed(&next, PID, at(90_000)), at(90_000));
    case.run_until(at(100_000));
    assert_eq!(case.card(at(100_000)).turn_state, TurnState::Crashed);
}

/// A server that the agent started runs on, and the next turn runs into a limit.
#[test]
fn what_stopped_a_turn_is_told_whatever_runs_in_the_background() {
    let (mut case, mut session) = Case::new();
    case.registry(RegistryStatus::Busy, at(0));
    session.prompt(at(0), "go");
    session.refused(at(5_000), "rate_limit", "You've hit your limit");
    case.registry(RegistryStatus::Shell, at(5_010));
    case.read(&session, at(5_020));
    let card = case.card(at(5_100));
    assert_eq!((card.turn_state, kind(&card)), (TurnState::Errored, Some(CauseKind::Limit)));
    case.run_until(at(MINUTE));
    assert_eq!(case.log(), ["limit told"]);
}

/// A skill is all that was asked of it: nothing its person wrote stands in the transcript.
#[test]
fn the_crash_of_a_session_that_only_commands_began_is_told() {
    let (mut case, mut session) = Case::new();
    case.registry(RegistryStatus::Busy, at(0));
    session.calls(at(1_000), "Bash", json!({"command": "make"}), 100);
    case.read(&session, at(1_000));
    case.put(Input::ProcessExited { pid: PID, at: at(20_000) }, at(20_000));
    case.run_until(at(25_000));
    // Its file is cleaned up before anybody has looked whose it is.
    case.put(removed(&case.key.clone(), PID, at(28_000)), at(28_000));
    case.run_until(at(MINUTE));
    assert_eq!(case.card(at(MINUTE)).turn_state, TurnState::Crashed);
    assert_eq!(case.log(), ["crashed told"]);
}
