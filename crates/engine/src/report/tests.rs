//! Whatever a person's words are, the report is the same and none of them is in it.

use std::collections::BTreeMap;

use lamplight_model::assess::{Circumstances, assess};
use lamplight_model::attention::CauseKind;
use lamplight_model::event::{Ask, AskKind, BackgroundKind, Failure, FailureClass, Lineage};
use lamplight_model::hook::{HookAnswer, HookAsk, HookTurn};
use lamplight_model::ids::{Agent, FactId, SessionId};
use lamplight_model::pricing::PriceTable;
use lamplight_model::session::{Dated, EntryKind, OpenCall, Phase, RegistryEntry, Speaker, Subagent, Turn};
use lamplight_model::view::{GitState, GitView, IssueView, SourceHealth, Terminal};
use proptest::prelude::*;

use super::*;
use crate::card;
use crate::places::Place;

const NOW: Timestamp = Timestamp(1_795_176_000_000);

/// Words of a person, one after the other and round again; every one that was taken is remembered.
struct Words<'a> {
    all: &'a [String],
    taken: usize,
}

impl Words<'_> {
    fn next(&mut self) -> String {
        let word = self.all[self.taken % self.all.len()].clone();
        self.taken += 1;
        word
    }

    fn some(&mut self) -> Option<String> {
        Some(self.next())
    }

    /// A path of two of them.
    fn path(&mut self) -> String {
        format!("/{}/{}", self.next(), self.next())
    }

    /// An id of one of them.
    fn id(&mut self) -> SessionId {
        let word: String = self.next().chars().filter(char::is_ascii_alphanumeric).collect();
        SessionId::new(&format!("s{}{word}", self.taken)).unwrap()
    }
}

fn ago(seconds: i64) -> Timestamp {
    NOW.plus_ms(-1_000 * seconds)
}

fn dated<T>(value: T) -> Option<Dated<T>> {
    Some(Dated { at: ago(30), value })
}

fn call(w: &mut Words<'_>) -> OpenCall {
    let ask = Ask { kind: AskKind::Question, text: w.next(), options: vec![w.next()], count: 1 };
    OpenCall {
        key: FactId(7),
        name: w.next(),
        target: w.some(),
        ask: Some(ask),
        escalated: false,
        at: ago(20),
    }
}

fn failure(w: &mut Words<'_>) -> Failure {
    Failure { class: FailureClass::Error, text: w.next(), status: None, resets_at: None }
}

/// A session in which every text is a person's.
fn state(w: &mut Words<'_>, phase: Phase, status: RegistryStatus) -> SessionState {
    let main = Transcript {
        first_at: Some(ago(900)),
        last_at: Some(ago(40)),
        cwd: Some(w.path()),
        home_cwd: Some(w.path()),
        branch: w.some(),
        git_root: Some(w.path()),
        version: w.some(),
        entry: Some(EntryKind::Interactive),
        model: w.some(),
        first_prompt: w.some(),
        last_prompt: w.some(),
        last_said: w.some(),
        last_speaker: Some((Speaker::Assistant, ago(40))),
        user_title: w.some(),
        agent_title: w.some(),
        turn: Turn { phase, since: ago(40), number: 3, failure: Some(failure(w)), ..Turn::default() },
        open_calls: vec![call(w)],
        tasks: BTreeMap::from([(w.next(), true)]),
        background: BTreeMap::from([(w.next(), (BackgroundKind::Shell, ago(50)))]),
        parent: Some((w.id(), Lineage::Fork)),
        continued_in: Some(w.id()),
        prompted: true,
        responded: true,
        ..Transcript::default()
    };
    let process = Process {
        pid: 4_711,
        entry: RegistryEntry {
            cwd: Some(w.path()),
            kind: EntryKind::Interactive,
            name: w.some(),
            named_by_user: true,
            status: Some(status),
            version: w.some(),
            spare: false,
            started_at: Some(ago(1_000)),
        },
        validity: Validity::Valid,
        observed_at: ago(5),
        status_since: ago(35),
        before_dialog: Some(RegistryStatus::Other(w.next())),
        worked: true,
        removed_at: None,
        exited_at: None,
        moved_to: None,
        joined_at: None,
    };
    let mut state = SessionState {
        mains: BTreeMap::from([(1, main)]),
        subagents: BTreeMap::from([(
            w.next(),
            Subagent {
                kind: w.some(),
                description: w.some(),
                last_at: Some(ago(10)),
                open_calls: vec![call(w)],
                ..Subagent::default()
            },
        )]),
        processes: BTreeMap::from([(4_711, process)]),
        user_title: dated(w.next()),
        superseded_by: dated(w.id()),
        ..SessionState::default()
    };
    state.hooks.turn = Some(HookTurn {
        at: ago(12),
        word: TurnWord::Failed,
        background: 1,
        said: w.some(),
        failure: Some(failure(w)),
    });
    state.hooks.asks.push(HookAsk {
        at: ago(11),
        subagent: w.some(),
        key: None,
        tool: w.some(),
        target: w.some(),
        ask: None,
        is_form: false,
        is_automatic: false,
    });
    let answer = HookAnswer { at: ago(9), subagent: None, key: None, tool: w.next(), target: w.some() };
    state.hooks.answers.push(answer);
    state.hooks.stopped.insert(w.next(), ago(3));
    state.hooks.first_prompt = dated(w.next());
    state.hooks.folder = dated(w.path());
    state.telemetry.namespace = dated(w.next());
    state.telemetry.instance = dated(w.next());
    state.telemetry.run = dated(w.next());
    state.telemetry.parent = dated(w.id());
    state.telemetry.told.mode = dated(w.next());
    state.telemetry.told.last_said = dated(w.next());
    state
}

/// The report of it, and every text that is a person's.
fn made(all: &[String], phase: Phase, status: &dyn Fn(&mut Words<'_>) -> RegistryStatus) -> String {
    let mut w = Words { all, taken: 0 };
    let status = status(&mut w);
    let state = state(&mut w, phase, status);
    let key = SessionKey { agent: Agent::ClaudeCode, id: w.id() };
    let around = Circumstances { agent: key.agent, registry_listed: true, idle_window_ms: 14_400_000 };
    let verdict = assess(&state, &around, NOW);
    let causes = [Cause {
        id: FactId(3),
        kind: CauseKind::Reply,
        since: ago(40),
        source: w.next(),
        cleared_at: Some(ago(3)),
        cleared_by: Some(ClearedBy::Archived),
        dismissed_at: None,
        snoozed_until: Some(NOW.plus_ms(60_000)),
        snoozed_over: None,
        notified_at: Some(ago(30)),
    }];
    let renamed = w.next();
    let place = Place::default();
    let mut card = card::card(
        &card::Known {
            key: &key,
            state: &state,
            verdict: &verdict,
            causes: &causes,
            renamed: Some(&renamed),
            muted: true,
            muted_projects: &[],
            session_labels: &BTreeMap::new(),
            projects: &BTreeMap::new(),
            directory: Some("/x"),
            place: &place,
            transcript_exists: true,
            config_dir: None,
            resume_max_ms: 86_400_000,
            prices: &PriceTable::builtin(),
            git: Some(GitView {
                state: GitState::Dirty,
                dirty_files: Some(2),
                root: Some(w.path()),
                reason: None,
            }),
        },
        NOW,
    );
    card.project = w.some();
    card.terminal = Some(Terminal { program: w.next(), name: w.next(), can_focus: true });
    let edges =
        [LiveFact { at: ago(60), source: "registry".to_owned(), fact: format!("waiting: {}", w.next()) }];
    let sources = [SourceView {
        name: "claude-code transcripts".to_owned(),
        path: w.path(),
        state: SourceHealth::Ok,
        files: 12,
        bytes: 3_400_000,
        skipped: 1,
        issues: vec![IssueView {
            kind: "bad_json".to_owned(),
            message: w.next(),
            path: Some(w.path()),
            count: 2,
            last_at_ms: ago(500).0,
        }],
        last_fact_at_ms: Some(ago(5).0),
    }];
    let told = Told {
        key: &key,
        class: Class::Row,
        state: &state,
        verdict: &verdict,
        card: &card,
        causes: &causes,
        edges: &edges,
        sources: &sources,
        schema: 9,
        now: NOW,
    };
    let text = text(&told);
    assert!((50..100).contains(&w.taken), "the words stand in many places, each in one: {}", w.taken);
    // The hash of the id is another one for another id.
    let hash = fact_id(key.agent, "report", &[key.id.as_str()]).to_string();
    text.replace(&hash[..8], "<id>")
}

type Status = fn(&mut Words<'_>) -> RegistryStatus;

/// What the registry says.
fn statuses() -> impl Strategy<Value = (Phase, Status)> {
    let phases = prop::sample::select(vec![Phase::Working, Phase::Ended, Phase::Failed, Phase::Interrupted]);
    let statuses: Vec<Status> = vec![
        |_| RegistryStatus::Idle,
        |_| RegistryStatus::Busy,
        |w| RegistryStatus::Waiting(w.next()),
        |w| RegistryStatus::Other(w.next()),
    ];
    (phases, prop::sample::select(statuses))
}

proptest! {
    #![proptest_config(crate::cases::config(64))]

    /// Words that no report of ours has by itself.
    #[test]
    fn no_word_of_a_person_is_in_a_report(
        words in prop::collection::vec("[a-z0-9]{0,3}q[xz][a-z0-9]{2,10}", 1..60),
        (phase, status) in statuses(),
    ) {
        let text = made(&words, phase, &status).to_lowercase();
        for word in words {
            prop_assert!(!text.contains(&word), "{word} in {text}");
        }
    }

    /// Words that a report has by itself, and hostile ones, do not show either: it is the same whatever they are. They differ
    /// from each other, because two that are equal may be one call; tools and statuses that everybody has are left out.
    #[test]
    fn a_report_is_the_same_whatever_the_words_are(
        words in persons("[a-z]{5,9}"),
        others in persons("[A-Za-z\u{202e}'\"/`|*# 0-9_.-]{4,12}"),
        (phase, status) in statuses(),
    ) {
        prop_assert_eq!(made(&words, phase, &status), made(&others, phase, &status));
    }
}

/// Words that all differ, without those that a fact may be told in.
fn persons(pattern: &'static str) -> impl Strategy<Value = Vec<String>> {
    let is_theirs = |w: &String| plain(w) == "…" && !w.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    prop::collection::btree_set(pattern, 130..140)
        .prop_map(move |all| all.into_iter().filter(is_theirs).collect::<Vec<_>>())
        .prop_filter("enough of them", |all| all.len() >= 100)
}

#[test]
fn facts_of_ours_are_told_whole_and_foreign_words_in_them_are_not() {
    for (fact, told) in [
        ("The agent ended its turn", "The agent ended its turn"),
        ("Bash call without a result", "Bash call without a result"),
        ("mcp__acme__deploy call without a result", "… call without a result"),
        ("Claude Code says waiting: permission prompt", "Claude Code says waiting: permission prompt"),
        ("waiting: Acme Corp secret", "waiting: …"),
        ("pid 4711 runs, started as recorded", "pid … runs, started as recorded"),
        ("Its terminal went on with 8315008f-4e85-4f76", "Its terminal went on with …"),
        ("You refused a tool", "You refused a tool"),
        ("It was closed in Lamplight", "It was closed in Lamplight"),
        ("../../etc turn", "… turn"),
        ("turn/secret 'turn' \"shell\"", "… turn shell"),
        ("", ""),
    ] {
        assert_eq!(plain(fact), told, "{fact}");
    }
}

#[test]
fn a_report_says_what_a_state_rests_on() {
    let words = ["secret-of-acme".to_owned()];
    insta::assert_snapshot!(
        made(&words, Phase::Ended, &|_| RegistryStatus::Busy)
            .replace(std::env::consts::OS, "<os>")
            .replace(std::env::consts::ARCH, "<arch>")
            .replace(env!("CARGO_PKG_VERSION"), "<version>")
    );
}
