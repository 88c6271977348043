//! Laws of the pipeline: how the bytes arrive does not change what they mean.
//!
//! Any split of a file into batches, any order between files and live facts, copies of files under other names, and
//! reading everything again give the same verdicts, the same owners of usage and the same totals.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

#[path = "../../cases.rs"]
mod cases;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use lamplight_engine::facts::Input;
use lamplight_model::ids::Agent;
use lamplight_replay::{Fact, Player, Reader, Scenario};
use proptest::prelude::*;

/// Scenarios with forks, branches, resumes, superseded sessions, subagents and a moved file.
static SCENARIOS: LazyLock<Vec<Scenario>> = LazyLock::new(|| {
    [
        (Agent::ClaudeCode, "print-resume"),
        (Agent::ClaudeCode, "tui-resume"),
        (Agent::ClaudeCode, "tui-agents"),
        (Agent::ClaudeCode, "tui-clear"),
        (Agent::ClaudeCode, "tui-worktree"),
        (Agent::Codex, "exec_resume_fork"),
        (Agent::Codex, "tui_subagent"),
        (Agent::Codex, "v0.63.0_old_exec"),
        (Agent::OpenCode, "run_tools"),
        (Agent::OpenCode, "tui"),
        (Agent::OpenCode, "tui_ask"),
    ]
    .map(|(agent, name)| Scenario::load(agent, name).unwrap())
    .into()
});

/// Every settling is over after this.
const LATER_MS: i64 = 5_000;

/// How the bytes arrive.
#[derive(Debug, Clone)]
struct Arrival {
    /// So many thousandths of the scenario have happened.
    happened: i64,
    /// Registries and locks are seen, not transcripts alone.
    is_live: bool,
    /// Of a stream (a file, a copy of it, or the live facts) so many thousandths are seen.
    steps: Vec<(usize, usize)>,
    /// In which order the streams are seen to their end.
    order: Vec<usize>,
    /// Files there is a copy of.
    copied: Vec<bool>,
    /// Everything is read again from its first byte.
    again: bool,
}

/// Streams of a scenario: its files, a copy of each, its live facts.
fn streams(scenario: &Scenario) -> usize {
    2 * scenario.files.len() + 1
}

fn arrivals() -> impl Strategy<Value = (usize, Arrival)> {
    (0..SCENARIOS.len()).prop_flat_map(|number| {
        let streams = streams(&SCENARIOS[number]);
        let steps = prop::collection::vec((0..streams, 0..=1000usize), 0..40);
        let order = Just((0..streams).collect::<Vec<_>>()).prop_shuffle();
        let copied = prop::collection::vec(any::<bool>(), SCENARIOS[number].files.len());
        let happened = prop_oneof![Just(1000i64), 0..1000i64];
        (happened, any::<bool>(), steps, order, copied, any::<bool>()).prop_map(
            move |(happened, is_live, steps, order, copied, again)| {
                (number, Arrival { happened, is_live, steps, order, copied, again })
            },
        )
    })
}

struct Importer<'a> {
    scenario: &'a Scenario,
    player: Player<'a>,
    readers: Vec<Reader>,
    /// Bytes of each file that were written by then.
    written: Vec<usize>,
    live: Vec<&'a Fact>,
    live_seen: usize,
    now_ms: i64,
}

impl<'a> Importer<'a> {
    fn new(scenario: &'a Scenario, arrival: &Arrival) -> Self {
        let paths = scenario.files.iter().map(|f| f.path.clone());
        let copies = scenario.files.iter().map(|f| {
            let name = f.path.file_name().unwrap();
            f.path.parent().unwrap().with_file_name("-a-copy").join(name)
        });
        let readers =
            (1u64..).zip(paths.chain(copies)).map(|(ino, path): (u64, PathBuf)| Reader::new(ino, path));
        let now_ms = scenario.labels.end_ms * arrival.happened / 1000;
        let mut written = vec![0; scenario.files.len()];
        let mut live = Vec::new();
        for moment in scenario.moments.iter().filter(|m| m.at_ms <= now_ms) {
            match &moment.fact {
                Fact::Lines { file, lines } => written[*file] = scenario.files[*file].end_of(*lines),
                Fact::Moved { .. } | Fact::FileGone(_) => {}
                // A meta file lies beside the transcripts.
                fact @ Fact::Meta { .. } => live.push(fact),
                fact => live.extend(arrival.is_live.then_some(fact)),
            }
        }
        Self {
            readers: readers.collect(),
            written,
            live,
            live_seen: 0,
            now_ms,
            player: Player::new(scenario).unwrap(),
            scenario,
        }
    }

    fn see(&mut self, stream: usize, thousandths: usize) {
        let now = self.scenario.instant(self.now_ms);
        let Some(reader) = self.readers.get_mut(stream) else {
            let until = (self.live.len() * thousandths / 1000).max(self.live_seen);
            let facts = self.live[self.live_seen..until].to_vec();
            self.live_seen = until;
            for fact in facts {
                self.player.see(self.now_ms, [fact]).unwrap();
            }
            return;
        };
        let number = stream % self.scenario.files.len();
        let visible = self.written[number] * thousandths / 1000;
        if let Some(batch) = reader.read(&self.scenario.files[number], visible, now).unwrap() {
            self.player.core.apply_all(vec![Input::Batch(batch)], now).unwrap();
        }
    }

    /// What is said of every session, in the end: its verdict, and its card.
    fn outcome(mut self) -> BTreeMap<String, String> {
        let later = self.scenario.instant(self.now_ms + LATER_MS);
        self.player.core.apply_all(Vec::new(), later).unwrap();
        let mut said: BTreeMap<String, String> = self
            .player
            .core
            .verdicts()
            .into_iter()
            .map(|(key, v)| (key.to_string(), format!("{v:#?}")))
            .collect();
        for mut card in self.player.core.status(later).sessions {
            // Causes are history: they remember when they were first raised, on whatever was known then. What is needed
            // now stands in the verdict.
            card.attention = None;
            card.causes.clear();
            let key = format!("{}:{}", card.agent, card.session_id);
            said.entry(key).or_default().push_str(&format!("\n{card:#?}"));
        }
        said
    }
}

/// All bytes of a file in one batch, one file after the other, then the live facts.
fn import_at_once(scenario: &Scenario, arrival: &Arrival) -> BTreeMap<String, String> {
    let mut importer = Importer::new(scenario, arrival);
    let files = scenario.files.len();
    for stream in (0..files).chain([2 * files]) {
        importer.see(stream, 1000);
    }
    importer.outcome()
}

fn import(scenario: &Scenario, arrival: &Arrival) -> BTreeMap<String, String> {
    let mut importer = Importer::new(scenario, arrival);
    let files = scenario.files.len();
    let is_there = |stream: &usize| !(files..2 * files).contains(stream) || arrival.copied[*stream - files];
    for (stream, thousandths) in arrival.steps.iter().filter(|(stream, _)| is_there(stream)) {
        importer.see(*stream, *thousandths);
    }
    for stream in arrival.order.iter().filter(|s| is_there(s)) {
        importer.see(*stream, 1000);
    }
    if arrival.again {
        for stream in arrival.order.iter().filter(|s| is_there(s) && **s < 2 * files) {
            importer.readers[*stream].rewind();
            importer.see(*stream, 1000);
        }
    }
    importer.outcome()
}

/// Lines that differ, and sessions that are only on one side.
fn differences(at_once: &BTreeMap<String, String>, came: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    for key in at_once.keys().chain(came.keys().filter(|key| !at_once.contains_key(*key))) {
        let [a, b] = [at_once, came].map(|side| side.get(key).map_or("", String::as_str));
        let lines = a.lines().zip(b.lines()).filter(|(a, b)| a != b);
        found.extend(lines.map(|(a, b)| format!("{key}: {} became {}", a.trim(), b.trim())));
        if a.lines().count() != b.lines().count() {
            found.push(format!("{key}: {} lines became {}", a.lines().count(), b.lines().count()));
        }
    }
    found
}

proptest! {
    #![proptest_config(cases::config(160))]

    #[test]
    fn how_bytes_arrive_changes_nothing((number, arrival) in arrivals()) {
        let scenario = &SCENARIOS[number];
        let found = differences(&import_at_once(scenario, &arrival), &import(scenario, &arrival));
        prop_assert!(found.is_empty(), "{}: {found:#?}", scenario.name);
    }
}

/// Found by the law above: the first registry file ever seen changes what its absence means for every other session, and
/// the one that was read before it was judged no more.
#[test]
fn sessions_read_before_the_first_registry_file_are_judged_by_it_too() {
    let arrival = Arrival {
        happened: 866,
        is_live: true,
        steps: Vec::new(),
        order: vec![0, 1, 2, 3, 6, 5, 4],
        copied: vec![false, true, false],
        again: false,
    };
    let scenario = SCENARIOS.iter().find(|s| s.name == "tui-resume").unwrap();
    let found = differences(&import_at_once(scenario, &arrival), &import(scenario, &arrival));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_fork_owns_what_it_asked_for_and_nothing_of_its_parent() {
    // print-resume: a session of three turns, and a fork of it with one turn of two responses and one call.
    let arrival = Arrival {
        happened: 1000,
        is_live: true,
        steps: Vec::new(),
        order: Vec::new(),
        copied: Vec::new(),
        again: false,
    };
    let said = import_at_once(&SCENARIOS[0], &arrival);
    let usage = |session: &str| {
        let card = &said[&format!("claude-code:{session}")];
        let lines = card.lines().map(str::trim);
        lines
            .filter(|l| ["input:", "output:", "tool_calls:"].iter().any(|w| l.starts_with(w)))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(usage("11111111-1111-4111-8111-111111111111"), "input: 36, output: 25, tool_calls: 0,");
    assert_eq!(usage("c1bcb5c8-f353-494d-84d6-1849429f8968"), "input: 10, output: 76, tool_calls: 1,");
}
