//! Hooks beside the agents' own files: they make the outcome no worse, and late, repeated or lost ones leave nothing wrong.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

#[path = "../../cases.rs"]
mod cases;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use lamplight_model::attention::CauseKind;
use lamplight_model::ids::{Agent, SessionId};
use lamplight_model::session::TurnState;
use lamplight_replay::{Fact, Held, Moment, Player, Scenario, hold, play, table};
use proptest::prelude::*;

/// A pending approval is told by hook alone, and this scenario was captured without hooks.
const APPROVAL_UNSEEN: &str = "Codex shows a pending approval in hooks only, and none were installed here";
/// Before writer locks (0.169) nothing says that a client has left; its hooks were not captured.
const NO_END_BEFORE_LOCKS: &str = "Codex before 0.169 leaves no trace of its end";
/// 0.42 writes the same first line for `codex exec` as for the terminal.
const NO_RUN_042: &str = "Codex 0.42 does not tell a run without a person from a terminal";
/// The whole turn was written in one piece, 8 ms after the request.
const ONE_BURST: &str = "Codex 0.42 wrote prompt and answer at once";
/// The rollout appeared with the first request, 1.5 s after Enter.
const LATE_FILE: &str = "Codex 0.98 wrote its first lines 1.5 s after Enter";

/// What does not come out as labelled although hooks are read, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("codex/daemon_basic s2@11.001 missed: awaiting_permission", APPROVAL_UNSEEN),
    ("codex/daemon_basic s2@11.001 need missed", APPROVAL_UNSEEN),
    ("codex/daemon_basic s2@13.945 missed: awaiting_permission", APPROVAL_UNSEEN),
    ("codex/daemon_basic s2@13.945 need missed", APPROVAL_UNSEEN),
    ("codex/daemon_basic s2@18.025 missed: awaiting_permission", APPROVAL_UNSEEN),
    ("codex/daemon_basic s2@18.025 need missed", APPROVAL_UNSEEN),
    ("codex/daemon_basic s2@14.945 never: working|awaiting_reply|ended|crashed", APPROVAL_UNSEEN),
    ("codex/v0.125.0_old_tui s1@10.686 missed: awaiting_permission", APPROVAL_UNSEEN),
    ("codex/v0.125.0_old_tui s1@10.686 need missed", APPROVAL_UNSEEN),
    ("codex/v0.125.0_old_tui s1@17.915 missed: awaiting_permission", APPROVAL_UNSEEN),
    ("codex/v0.125.0_old_tui s1@23.725 missed: ended", NO_END_BEFORE_LOCKS),
    ("codex/v0.125.0_old_tui s1@23.725 need false", NO_END_BEFORE_LOCKS),
    ("codex/v0.42.0_old_exec x0@0.629 missed: ended", NO_RUN_042),
    ("codex/v0.42.0_old_exec x0@0.647 missed: ended", NO_RUN_042),
    ("codex/v0.42.0_old_tui s1@4.063 missed: working", ONE_BURST),
    ("codex/v0.42.0_old_tui s1@7.781 missed: awaiting_permission", APPROVAL_UNSEEN),
    ("codex/v0.42.0_old_tui s1@7.781 need missed", APPROVAL_UNSEEN),
    ("codex/v0.42.0_old_tui s1@20.968 missed: ended", NO_END_BEFORE_LOCKS),
    ("codex/v0.42.0_old_tui s1@20.968 need false", NO_END_BEFORE_LOCKS),
    ("codex/v0.63.0_old_tui s1@9.385 missed: awaiting_permission", APPROVAL_UNSEEN),
    ("codex/v0.63.0_old_tui s1@9.385 need missed", APPROVAL_UNSEEN),
    ("codex/v0.63.0_old_tui s1@16.566 missed: awaiting_permission", APPROVAL_UNSEEN),
    ("codex/v0.63.0_old_tui s1@22.351 missed: ended", NO_END_BEFORE_LOCKS),
    ("codex/v0.63.0_old_tui s1@22.351 need false", NO_END_BEFORE_LOCKS),
    ("codex/v0.98.0_old_tui s1@5.886 late: working", LATE_FILE),
    ("codex/v0.98.0_old_tui s1@9.466 missed: awaiting_permission", APPROVAL_UNSEEN),
    ("codex/v0.98.0_old_tui s1@9.466 need missed", APPROVAL_UNSEEN),
    ("codex/v0.98.0_old_tui s1@16.685 missed: awaiting_permission", APPROVAL_UNSEEN),
    ("codex/v0.98.0_old_tui s1@22.463 missed: ended", NO_END_BEFORE_LOCKS),
    ("codex/v0.98.0_old_tui s1@22.463 need false", NO_END_BEFORE_LOCKS),
];

fn load(agent: Agent, name: &str) -> Scenario {
    Scenario::load(agent, name).unwrap_or_else(|e| panic!("{agent}/{name}: {e:#}"))
}

fn outcomes(prepare: impl Fn(Scenario) -> Scenario + Sync) -> Vec<(Agent, Held)> {
    let mut names: Vec<(Agent, String)> = Vec::new();
    for agent in [Agent::ClaudeCode, Agent::Codex] {
        names.extend(Scenario::names(agent).unwrap().into_iter().map(|name| (agent, name)));
    }
    let run = |(agent, name): &(Agent, String)| {
        let scenario = prepare(load(*agent, name));
        let history = play(&scenario).unwrap_or_else(|e| panic!("{agent}/{name}: {e:#}"));
        (*agent, hold(&scenario, &history))
    };
    let half = names.len() / 2;
    std::thread::scope(|scope| {
        let first = scope.spawn(|| names[..half].iter().map(run).collect::<Vec<_>>());
        let second: Vec<_> = names[half..].iter().map(run).collect();
        first.join().unwrap().into_iter().chain(second).collect()
    })
}

#[test]
fn with_hooks_every_scenario_comes_out_as_labelled_or_as_a_named_exception() {
    let outcomes = outcomes(Scenario::with_hooks);
    let findings: Vec<_> = outcomes.iter().flat_map(|(_, held)| &held.findings).collect();
    let mut wrong = String::new();
    for finding in &findings {
        if !EXCEPTIONS.iter().any(|(name, _)| *name == finding.name) {
            writeln!(wrong, "{} {}", finding.name, finding.said).unwrap();
        }
    }
    for (name, cause) in EXCEPTIONS {
        if !findings.iter().any(|f| f.name == *name) {
            writeln!(wrong, "{name} is an exception ({cause}) and comes out right").unwrap();
        }
    }
    assert!(wrong.is_empty(), "not as labelled:\n{wrong}");
    insta::assert_snapshot!("outcome_with_hooks", table(outcomes.iter().map(|(agent, held)| (*agent, held))));
}

/// Requests, as far as hooks and transcripts alone tell of them: no registry, no locks, no processes.
#[test]
fn without_any_live_registry_hooks_tell_what_blocks() {
    let files_and_hooks = |mut scenario: Scenario| {
        scenario = scenario.with_hooks();
        scenario.moments.retain(|m| {
            !matches!(
                m.fact,
                Fact::Registry { .. } | Fact::RegistryRemoved(_) | Fact::Exited(_) | Fact::Lock { .. }
            )
        });
        let blocks = [TurnState::AwaitingPermission, TurnState::AwaitingAnswer];
        scenario.labels.labels.retain(|l| l.states.iter().all(|s| blocks.contains(s)));
        scenario.labels.never.clear();
        scenario
    };
    let outcomes = outcomes(files_and_hooks);
    insta::assert_snapshot!(
        "blocked_by_hooks_alone",
        table(outcomes.iter().map(|(agent, held)| (*agent, held)))
    );
}

/// Scenarios with requests, ends, errors, subagents and background work.
static SCENARIOS: LazyLock<Vec<Scenario>> = LazyLock::new(|| {
    [
        (Agent::ClaudeCode, "tui-permission"),
        (Agent::ClaudeCode, "tui-ask"),
        (Agent::ClaudeCode, "tui-plan"),
        (Agent::ClaudeCode, "tui-mcp"),
        (Agent::ClaudeCode, "tui-agents"),
        (Agent::ClaudeCode, "tui-errors"),
        (Agent::ClaudeCode, "tui-interrupt"),
        (Agent::ClaudeCode, "tui-queue"),
        (Agent::ClaudeCode, "tui-clear"),
        (Agent::ClaudeCode, "background"),
        (Agent::ClaudeCode, "print-denied"),
        (Agent::Codex, "tui_approval"),
        (Agent::Codex, "tui_question"),
        (Agent::Codex, "tui_interrupt"),
        (Agent::Codex, "tui_error"),
        (Agent::Codex, "tui_kill"),
        (Agent::Codex, "tui_subagent"),
    ]
    .map(|(agent, name)| load(agent, name))
    .into()
});

/// Longest time a hook may take on its way.
const MOST_LATE_MS: i64 = 2_000;
/// A hook may be ahead of the agent's files by this; what was told of a moment is shown by them then.
const FILES_LAG_MS: i64 = 600;
/// Every settling is over after this.
const QUIET_MS: i64 = 10_000;

/// What becomes of one hook.
#[derive(Debug, Clone, Copy)]
enum Fate {
    OnTime,
    Lost,
    /// Its program was started late: it dates itself by that.
    Late(i64),
    /// Its file was seen late.
    SeenLate(i64),
    /// It came twice, the second time so much later.
    Twice(i64),
}

fn fate() -> impl Strategy<Value = Fate> {
    let late = 0..=MOST_LATE_MS;
    prop_oneof![
        Just(Fate::OnTime),
        Just(Fate::Lost),
        late.clone().prop_map(Fate::Late),
        late.clone().prop_map(Fate::SeenLate),
        (0..300i64).prop_map(Fate::Twice),
    ]
}

fn cases() -> impl Strategy<Value = (usize, i64, bool, Vec<Fate>)> {
    (0..SCENARIOS.len()).prop_flat_map(|number| {
        let hooks = SCENARIOS[number].hooks.len();
        let happened = prop_oneof![Just(1000i64), 0..=1000i64];
        (Just(number), happened, any::<bool>(), prop::collection::vec(fate(), hooks))
    })
}

fn dated_later(fact: &Fact, ms: i64) -> Fact {
    let Fact::Hook(bytes) = fact else { unreachable!() };
    let mut spooled: serde_json::Value = serde_json::from_slice(bytes).unwrap();
    spooled["received_at_ms"] = (spooled["received_at_ms"].as_i64().unwrap() + ms).into();
    Fact::Hook(serde_json::to_vec(&spooled).unwrap())
}

fn arrive(hook: &Moment, fate: Fate) -> Vec<Moment> {
    let at = |ms| Moment { at_ms: hook.at_ms + ms, fact: hook.fact.clone() };
    match fate {
        Fate::OnTime => vec![at(0)],
        Fate::Lost => Vec::new(),
        Fate::Late(ms) => vec![Moment { fact: dated_later(&hook.fact, ms), ..at(ms) }],
        Fate::SeenLate(ms) => vec![at(ms)],
        Fate::Twice(ms) => vec![at(0), Moment { fact: dated_later(&hook.fact, ms), ..at(ms) }],
    }
}

type Said = BTreeMap<SessionId, (TurnState, Option<CauseKind>)>;

/// What is said of every session once all has been quiet for a while.
fn said_in_the_end(scenario: &Scenario, until_ms: i64, is_live: bool, fates: impl Fn(usize) -> Fate) -> Said {
    let is_told = (0..scenario.hooks.len()).any(|n| !matches!(fates(n), Fate::Lost));
    let mut moments: Vec<Moment> = scenario
        .moments
        .iter()
        .filter(|m| m.at_ms <= until_ms + FILES_LAG_MS)
        .filter(|m| {
            is_live
                || !matches!(
                    m.fact,
                    Fact::Registry { .. } | Fact::RegistryRemoved(_) | Fact::Exited(_) | Fact::Lock { .. }
                )
        })
        .cloned()
        .collect();
    let hooks = scenario.hooks.iter().enumerate().filter(|(_, hook)| hook.at_ms <= until_ms);
    moments.extend(hooks.flat_map(|(n, hook)| match fates(n) {
        // Where nothing else tells of processes, nothing else tells of their end.
        Fate::Lost if !is_live && name_of(hook) == "SessionEnd" && is_told => arrive(hook, Fate::OnTime),
        fate => arrive(hook, fate),
    }));
    moments.sort_by_key(|m| m.at_ms);
    let mut player = Player::new(scenario).unwrap();
    for moment in &moments {
        player.wait_until(moment.at_ms).unwrap();
        player.see(moment.at_ms, [&moment.fact]).unwrap();
    }
    player.wait_until(until_ms + QUIET_MS).unwrap();
    let verdicts = player.core.verdicts().into_iter();
    verdicts
        .filter(|(key, _)| scenario.labels.sessions.values().any(|s| *s == key.id))
        .map(|(key, v)| (key.id, (v.turn_state, v.need.map(|n| n.kind))))
        .collect()
}

fn name_of(hook: &Moment) -> String {
    let Fact::Hook(bytes) = &hook.fact else { unreachable!() };
    let spooled: serde_json::Value = serde_json::from_slice(bytes).unwrap();
    spooled["payload"]["hook_event_name"].as_str().unwrap_or("notify").to_owned()
}

/// Hooks that had another fate than to be on time, by name.
fn told(scenario: &Scenario, until_ms: i64, fates: &[Fate]) -> String {
    let mut text = String::new();
    for (hook, fate) in scenario.hooks.iter().zip(fates).filter(|(hook, _)| hook.at_ms <= until_ms) {
        let name = name_of(hook);
        if !matches!(fate, Fate::OnTime) && name != "MessageDisplay" && name != "PostToolBatch" {
            writeln!(text, "\n  {} {name} {fate:?}", hook.at_ms).unwrap();
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 300, ..cases::config(120) })]

    #[test]
    fn late_repeated_and_lost_hooks_leave_nothing_wrong((number, happened, is_live, fates) in cases()) {
        let scenario = &SCENARIOS[number];
        let until_ms = scenario.labels.end_ms * happened / 1000;
        let with_all = said_in_the_end(scenario, until_ms, is_live, |_| Fate::OnTime);
        let without = said_in_the_end(scenario, until_ms, is_live, |_| Fate::Lost);
        let said = said_in_the_end(scenario, until_ms, is_live, |n| fates[n]);
        for (session, said) in &said {
            let allowed = [with_all.get(session), without.get(session)];
            prop_assert!(
                allowed.contains(&Some(said)),
                "{} at {until_ms} (live: {is_live}): {session} is {said:?}, not one of {allowed:?}{}",
                scenario.name,
                told(scenario, until_ms, &fates)
            );
        }
    }
}
