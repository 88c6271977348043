//! What facts mean at a moment: the cases the captures taught, one line each.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

use lamplight_model::assess::{Circumstances, TRANSCRIPT_LAG_MS, assess};
use lamplight_model::event::{Ask, AskKind};
use lamplight_model::ids::{Agent, FactId, Timestamp};
use lamplight_model::session::{
    EntryKind, Lock, OpenCall, Phase, Process, RegistryEntry, RegistryStatus, SessionState, Transcript, Turn,
    TurnState, Validity, WaitKind,
};

use RegistryStatus::{Busy, Idle};
use TurnState::{AwaitingAnswer, AwaitingReply, Background, Crashed, Interrupted, Starting, Working};

/// A transcript whose turn has been in `phase` since `since`.
fn transcript(phase: Phase, since: i64) -> Transcript {
    let turn = Turn {
        phase,
        since: Timestamp(since),
        started_at: Some(Timestamp(since)),
        number: 1,
        ..Turn::default()
    };
    Transcript { last_at: Some(Timestamp(since)), turn, prompted: true, ..Transcript::default() }
}

/// A live process that has said `status` since `since`.
fn process(pid: u32, status: Option<RegistryStatus>, since: i64) -> Process {
    let entry = RegistryEntry {
        cwd: None,
        kind: EntryKind::Interactive,
        name: None,
        named_by_user: false,
        status,
        version: None,
        spare: false,
        started_at: Some(Timestamp(1)),
    };
    Process {
        pid,
        entry,
        validity: Validity::Valid,
        observed_at: Timestamp(since),
        status_since: Timestamp(since),
        before_dialog: None,
        worked: false,
        removed_at: None,
        exited_at: None,
        moved_to: None,
        joined_at: None,
    }
}

fn state(t: Option<Transcript>, processes: Vec<Process>) -> SessionState {
    SessionState {
        mains: t.into_iter().map(|t| (1, t)).collect(),
        processes: processes.into_iter().map(|p| (p.pid, p)).collect(),
        ..SessionState::default()
    }
}

fn check(what: &str, agent: Agent, state: &SessionState, now: i64, want: TurnState) {
    let around = Circumstances { agent, registry_listed: true, idle_window_ms: 4 * 3_600_000 };
    let said = assess(state, &around, Timestamp(now));
    assert_eq!(said.turn_state, want, "{what}, at {now}: {:#?}", said.evidence);
}

#[test]
fn a_command_of_the_persons_own_is_no_work() {
    let over = || Some(transcript(Phase::Ended, 1_000));
    let busy = || vec![process(7, Some(Busy), 5_000)];
    for (what, state, now, want) in [
        ("/rename says busy for a moment", state(over(), busy()), 5_050, AwaitingReply),
        ("busy for longer is work", state(over(), busy()), 5_100, Working),
        (
            "busy with a prompt is work at once",
            state(Some(transcript(Phase::Working, 5_010)), busy()),
            5_020,
            Working,
        ),
        ("busy without any turn before is work at once", state(None, busy()), 5_000, Working),
        (
            "still busy after its own turn",
            state(Some(transcript(Phase::Ended, 5_300)), busy()),
            5_310,
            Working,
        ),
    ] {
        check(what, Agent::ClaudeCode, &state, now, want);
    }
}

#[test]
fn a_dialog_of_the_persons_own_changes_nothing() {
    let dialog = |before| {
        let open = RegistryStatus::Waiting("dialog open".to_owned());
        vec![Process { before_dialog: Some(before), ..process(7, Some(open), 5_000) }]
    };
    let over = || Some(transcript(Phase::Ended, 1_000));
    let open = || Some(transcript(Phase::Working, 1_000));
    for (what, state, want) in [
        ("/status at the prompt", state(over(), dialog(Idle)), AwaitingReply),
        ("/status while it works", state(open(), dialog(Busy)), Working),
        ("/add-dir says busy, then opens its dialog", state(over(), dialog(Busy)), AwaitingReply),
        ("/status while a shell runs", state(over(), dialog(RegistryStatus::Shell)), Background),
    ] {
        check(what, Agent::ClaudeCode, &state, 6_000, want);
    }
}

#[test]
fn of_two_clients_the_busier_one_speaks() {
    let over = || Some(transcript(Phase::Ended, 1_000));
    let two = |first, second| vec![process(7, Some(first), 1_000), process(8, second, 5_000)];
    for (what, state, want) in [
        ("a second client starts", state(over(), two(Idle, None)), AwaitingReply),
        ("a second client starts while the first works", state(over(), two(Busy, None)), Working),
        ("a client that resumes alone starts", state(over(), vec![process(8, None, 5_000)]), Starting),
    ] {
        check(what, Agent::ClaudeCode, &state, 6_000, want);
    }
}

#[test]
fn a_first_turn_may_end_before_its_lines_are_written() {
    let written = Transcript { last_at: Some(Timestamp(4_900)), ..Transcript::default() };
    let idle = Process { worked: true, ..process(7, Some(Idle), 5_000) };
    let state = state(Some(written), vec![idle]);
    check("its lines are on their way", Agent::ClaudeCode, &state, 5_040, Working);
    check("no turn was written", Agent::ClaudeCode, &state, 5_000 + TRANSCRIPT_LAG_MS, Starting);
}

#[test]
fn an_open_turn_of_a_dead_client_was_interrupted_when_another_takes_the_thread() {
    let open = || Some(transcript(Phase::Working, 5_000));
    let held = |taken_at| {
        let lock = Lock {
            holder: Some(9),
            present: true,
            since: Timestamp(8_000),
            was_held: true,
            taken_at,
            ..Lock::default()
        };
        SessionState { lock: Some(lock), ..state(open(), Vec::new()) }
    };
    check("taken later", Agent::Codex, &held(Some(Timestamp(7_001))), 9_000, Interrupted);
    check("its own lock, seen late", Agent::Codex, &held(Some(Timestamp(7_000))), 9_000, Working);
    check("taken before the turn", Agent::Codex, &held(Some(Timestamp(4_000))), 9_000, Working);
    check("held when the engine began to look", Agent::Codex, &held(None), 9_000, Working);
}

#[test]
fn a_killed_client_is_a_crash_although_an_earlier_one_left_in_order() {
    let left = Process { removed_at: Some(Timestamp(2_000)), ..process(7, Some(Idle), 1_000) };
    let moved = Process {
        moved_to: Some(lamplight_model::ids::SessionId::new("next").unwrap()),
        ..process(7, Some(Idle), 1_000)
    };
    let killed = Process {
        validity: lamplight_model::session::Validity::Dead,
        exited_at: Some(Timestamp(6_000)),
        ..process(8, Some(Busy), 5_000)
    };
    let open = || Some(transcript(Phase::Working, 5_000));
    for (what, first) in [("an orderly end", left), ("a session left by /clear", moved)] {
        check(what, Agent::ClaudeCode, &state(open(), vec![first, killed.clone()]), 60_000, Crashed);
    }
}

#[test]
fn a_thread_that_says_nothing_yet_has_a_verdict() {
    // Its file holds no record with a time: there is nothing to note, of whatever agent.
    for agent in Agent::ALL {
        for t in [
            Transcript::default(),
            Transcript { version: Some("0.125.0".to_owned()), ..Transcript::default() },
        ] {
            let around = Circumstances { agent, registry_listed: true, idle_window_ms: 1 };
            let verdict = assess(&state(Some(t), Vec::new()), &around, Timestamp(60_000));
            assert_eq!(verdict.need, None);
        }
    }
}

#[test]
fn a_retry_under_way_is_said_with_its_number() {
    let mut t = transcript(Phase::Working, 1_000);
    t.turn.retry = Some((3, 10));
    let verdict = assess(
        &state(Some(t), vec![process(1, Some(Busy), 1_000)]),
        &Circumstances { agent: Agent::ClaudeCode, registry_listed: true, idle_window_ms: 1 },
        Timestamp(5_000),
    );
    assert_eq!(verdict.turn_state, Working);
    let said: Vec<&str> = verdict.evidence.iter().map(|e| e.fact.as_str()).collect();
    assert!(said.contains(&"Retrying the model (attempt 3 of 10)"), "{said:?}");
}

#[test]
fn a_question_without_an_answer_waits_for_one_also_where_only_the_transcript_is_here() {
    let open = |name: &str, kind: Option<AskKind>| {
        let ask = kind.map(|kind| Ask { kind, text: "Which?".to_owned(), options: Vec::new(), count: 1 });
        let call = OpenCall {
            key: FactId(1),
            name: name.to_owned(),
            target: None,
            ask,
            escalated: false,
            at: Timestamp(5_000),
        };
        Transcript { open_calls: vec![call], ..transcript(Phase::Working, 4_000) }
    };
    for (what, transcript, state, waits) in [
        (
            "a question",
            open("AskUserQuestion", Some(AskKind::Question)),
            AwaitingAnswer,
            Some(WaitKind::Question),
        ),
        ("a plan", open("ExitPlanMode", Some(AskKind::Plan)), AwaitingAnswer, Some(WaitKind::Plan)),
        ("a command, which may run or ask", open("Bash", None), Working, None),
    ] {
        let around = Circumstances { agent: Agent::ClaudeCode, registry_listed: false, idle_window_ms: 1 };
        let said = assess(&self::state(Some(transcript), Vec::new()), &around, Timestamp(60_000));
        assert_eq!((said.turn_state, said.waiting_for.map(|w| w.kind)), (state, waits), "{what}");
    }
}
