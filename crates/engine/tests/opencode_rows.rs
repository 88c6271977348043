//! Rows of OpenCode, made up and small enough to read: those that no capture has, and those it has as a table.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use lamplight_engine::facts::FileRole;
use lamplight_engine::sources::decode::{Decoded, Decoder};
use lamplight_model::assess::{Circumstances, assess};
use lamplight_model::event::{Event, EventKind, PromptOrigin};
use lamplight_model::fold::fold;
use lamplight_model::ids::{Agent, SessionId, Timestamp};
use lamplight_model::session::{SessionState, Transcript, TurnState, WaitKind};
use serde_json::{Value, json};

/// Shown in this order, each line a row as it stood then.
fn decode(rows: &[Value]) -> (Transcript, Vec<Event>) {
    let role = FileRole { agent: Agent::OpenCode, session: SessionId::new("ses_1").unwrap(), subagent: None };
    let mut decoder = Decoder::new(&role);
    let mut out = Decoded::default();
    for row in rows {
        // Between two looks what is remembered is stored.
        decoder = serde_json::from_str(&serde_json::to_string(&decoder).unwrap()).unwrap();
        decoder.line(&role, row.to_string().as_bytes(), Timestamp(1_000_000), &mut out);
    }
    assert!(out.issues.is_empty(), "{:?}", out.issues);
    let mut t = Transcript::default();
    out.events.iter().for_each(|event| fold(&mut t, event));
    (t, out.events)
}

fn session(columns: Value) -> Value {
    let mut data = json!({"id": "ses_1", "directory": "/p", "title": "New session - x", "version": "1.18.33", "created": 1_000});
    for (name, value) in columns.as_object().unwrap() {
        data[name] = value.clone();
    }
    json!({"row": "session", "data": data})
}

/// A prompt, at a moment that is its id too.
fn user(at: i64, text: &str) -> Value {
    let part = json!({"id": format!("prt_{at}"), "data": {"type": "text", "text": text}});
    json!({"row": "message", "id": format!("msg_{at}"), "data": {"role": "user", "time": {"created": at}}, "parts": [part]})
}

/// A message of the agent's with a step of the model's.
fn agent(at: i64, data: Value, parts: &[Value]) -> Value {
    let mut data = data;
    data["role"] = json!("assistant");
    data["modelID"] = json!("m");
    data["time"]["created"] = json!(at);
    let start = json!({"type": "step-start"});
    let parts: Vec<Value> = std::iter::once(&start)
        .chain(parts)
        .enumerate()
        .map(|(n, data)| json!({"id": format!("prt_{at}_{n}"), "data": data}))
        .collect();
    json!({"row": "message", "id": format!("msg_{at}"), "data": data, "parts": parts})
}

fn done(at: i64, finish: &str) -> Value {
    json!({"time": {"completed": at}, "finish": finish, "tokens": {"input": 5, "output": 2}})
}

fn text(said: &str, at: i64) -> Value {
    json!({"type": "text", "text": said, "time": {"start": at, "end": at}})
}

fn tool(name: &str, state: Value) -> Value {
    json!({"type": "tool", "tool": name, "callID": "c", "state": state})
}

fn state_of(t: &Transcript, now: i64) -> (TurnState, Option<WaitKind>, Vec<String>) {
    let mut state = SessionState::default();
    state.mains.insert(1, t.clone());
    let around = Circumstances { agent: Agent::OpenCode, registry_listed: true, idle_window_ms: 14_400_000 };
    let said = assess(&state, &around, Timestamp(now));
    let waits = said.waiting_for.as_ref().map(|w| w.kind);
    (said.turn_state, waits, said.evidence.into_iter().map(|e| e.fact).collect())
}

#[test]
fn how_a_message_ends_says_what_the_turn_does() {
    use TurnState::{AwaitingAnswer, AwaitingReply, Errored, Interrupted, Working};
    let run = |status: &str, more: Value| {
        let mut state = json!({"status": status, "input": {"command": "make"}, "time": {"start": 2_100}});
        for (name, value) in more.as_object().unwrap() {
            state[name] = value.clone();
        }
        tool("bash", state)
    };
    let refused = "The user rejected permission to use this specific tool call.";
    let ask = json!({"status": "running", "time": {"start": 2_100}, "input": {"questions": [
        {"question": "Which one?", "options": [{"label": "Left"}, {"label": "Right"}]}
    ]}});
    for (what, message, state) in [
        ("open", agent(2_001, json!({}), &[]), Working),
        (
            "its step is over",
            agent(2_001, done(2_200, "tool-calls"), &[run("completed", json!({}))]),
            Working,
        ),
        ("not said how", agent(2_001, done(2_200, "unknown"), &[]), Working),
        ("done", agent(2_001, done(2_200, "stop"), &[text("Hi", 2_150)]), AwaitingReply),
        ("cut by its length", agent(2_001, done(2_200, "length"), &[text("Hi", 2_150)]), AwaitingReply),
        (
            "Esc",
            agent(
                2_001,
                json!({"time": {"completed": 2_200}, "error": {"name": "MessageAbortedError", "data": {}}}),
                &[],
            ),
            Interrupted,
        ),
        (
            "an error",
            agent(
                2_001,
                json!({"time": {"completed": 2_200}, "error": {"name": "UnknownError", "data": {"message": "no"}}}),
                &[],
            ),
            Errored,
        ),
        (
            "refused",
            agent(2_001, done(2_200, "tool-calls"), &[run("error", json!({"error": refused}))]),
            Interrupted,
        ),
        (
            "refused with a word to the agent, which goes on",
            agent(
                2_001,
                done(2_200, "tool-calls"),
                &[run("error", json!({"error": "The user rejected permission with feedback: no"}))],
            ),
            Working,
        ),
        ("a question", agent(2_001, json!({}), &[tool("question", ask)]), AwaitingAnswer),
    ] {
        let (t, _) = decode(&[session(json!({})), user(2_000, "Go"), message]);
        assert_eq!(state_of(&t, 2_300).0, state, "{what}");
    }
}

#[test]
fn errors_are_told_apart() {
    for (error, kind) in [
        (json!({"name": "ProviderAuthError", "data": {"message": "who?"}}), WaitKind::SignIn),
        (json!({"name": "APIError", "data": {"message": "no", "statusCode": 401}}), WaitKind::SignIn),
        (json!({"name": "APIError", "data": {"message": "slow down", "statusCode": 429}}), WaitKind::Limit),
        (json!({"name": "APIError", "data": {"message": "oh", "statusCode": 500}}), WaitKind::Error),
        (json!({"name": "ContextOverflowError"}), WaitKind::Error),
    ] {
        let failed = agent(2_001, json!({"time": {"completed": 2_200}, "error": error}), &[]);
        let (t, _) = decode(&[session(json!({})), user(2_000, "Go"), failed]);
        assert_eq!(state_of(&t, 2_300).1, Some(kind), "{error}");
    }
}

#[test]
fn a_question_is_asked_with_its_options_and_a_silent_command_is_only_noted() {
    let ask = json!({"status": "running", "time": {"start": 2_100}, "input": {"questions": [
        {"question": "Which one?", "options": [{"label": "Left"}, {"label": "Right"}]}, {"question": "And?"}
    ]}});
    let (t, _) =
        decode(&[session(json!({})), user(2_000, "Go"), agent(2_001, json!({}), &[tool("question", ask)])]);
    let call = t.open_calls[0].ask.as_ref().unwrap();
    assert_eq!(
        (call.text.as_str(), call.options.as_slice(), call.count),
        ("Which one?", &["Left".to_owned(), "Right".to_owned()][..], 2)
    );
    let silent = json!({"status": "running", "time": {"start": 2_100}, "input": {"command": "make"}});
    let mut begun = silent.clone();
    begun["metadata"] = json!({"output": ""});
    let rows = |states: &[&Value]| {
        let mut rows = vec![session(json!({})), user(2_000, "Go")];
        rows.extend(states.iter().map(|state| agent(2_001, json!({}), &[tool("bash", (*state).clone())])));
        rows
    };
    let noted = "bash has shown nothing of its run; it may wait for you";
    let (t, _) = decode(&rows(&[&silent]));
    let (state, waits, facts) = state_of(&t, 3_099);
    assert_eq!(
        (state, waits, facts.iter().any(|f| f == noted)),
        (TurnState::Working, None, false),
        "it begins slowly"
    );
    let (state, waits, facts) = state_of(&t, 3_100);
    assert_eq!((state, waits, facts.iter().any(|f| f == noted)), (TurnState::Working, None, true));
    let (t, events) = decode(&rows(&[&silent, &begun, &begun]));
    assert!(!state_of(&t, 9_000).2.iter().any(|f| f == noted), "it runs");
    let (whole, _) = decode(&rows(&[&begun]));
    assert_eq!(t, whole);
    assert_eq!(events.iter().filter(|e| matches!(e.kind, EventKind::ToolCalled(_))).count(), 2);
    assert!(state_of(&t, 2_100 + 31 * 60_000).0 == TurnState::Unknown, "of a long silence nothing is said");
}

#[test]
fn a_prompt_given_while_the_agent_works_is_told_when_it_is_taken_up() {
    let origins = |events: &[Event]| -> Vec<PromptOrigin> {
        let prompts = events.iter().filter_map(|e| match &e.kind {
            EventKind::PromptSubmitted(prompt) => Some(prompt.origin),
            _ => None,
        });
        prompts.collect()
    };
    let first = [session(json!({})), user(2_000, "Go"), agent(2_001, json!({}), &[])];
    let queued = user(2_100, "And this");
    let over = agent(2_001, done(2_200, "stop"), &[text("Done", 2_150)]);
    let next = agent(2_201, json!({}), &[]);
    let (t, events) = decode(&[&first[..], std::slice::from_ref(&queued)].concat());
    assert_eq!((t.turn.number, origins(&events)), (1, vec![PromptOrigin::Person]));
    let looks = [&first[..], &[queued.clone(), over.clone(), queued.clone()]].concat();
    let (t, events) = decode(&looks);
    assert_eq!(origins(&events), [PromptOrigin::Person, PromptOrigin::Queued]);
    assert_eq!((state_of(&t, 2_300).0, t.turn.number), (TurnState::Working, 2));
    let (later, _) = decode(&[looks, vec![next.clone()]].concat());
    let (whole, _) = decode(&[session(json!({})), user(2_000, "Go"), over, queued.clone(), next.clone()]);
    assert_eq!(later, whole, "however often somebody looked");
    // The agent was killed and never finished; another process took the prompt up.
    let (t, events) = decode(&[&first[..], &[queued, next]].concat());
    assert_eq!(origins(&events), [PromptOrigin::Person, PromptOrigin::Person]);
    assert_eq!(
        (state_of(&t, 2_300).0, t.turn.number, t.turn.started_at),
        (TurnState::Working, 2, Some(Timestamp(2_100)))
    );
}

#[test]
fn what_the_client_does_by_itself_is_no_turn() {
    let ended =
        [session(json!({})), user(2_000, "Go"), agent(2_001, done(2_200, "stop"), &[text("Hi", 2_150)])];
    let synthetic =
        json!({"id": "prt_3", "data": {"type": "text", "text": "The user ran a command", "synthetic": true}});
    let shell_user = json!({"row": "message", "id": "msg_3000", "data": {"role": "user", "time": {"created": 3_000}}, "parts": [synthetic]});
    let mut shell = agent(3_001, json!({"time": {"completed": 3_100}}), &[]);
    shell["parts"] = json!([{"id": "prt_4", "data": tool("bash", json!({"status": "completed", "input": {"command": "ls"}}))}]);
    let (t, events) = decode(&[&ended[..], &[shell_user, shell]].concat());
    assert_eq!(
        (t.turn.number, state_of(&t, 3_200).0),
        (1, TurnState::AwaitingReply),
        "a command of the person's own"
    );
    assert!(!events.iter().any(|e| matches!(e.kind, EventKind::ToolCalled(_))));
    for (auto, state) in [(true, TurnState::Working), (false, TurnState::AwaitingReply)] {
        let part = json!({"id": "prt_3", "data": {"type": "compaction", "auto": auto}});
        let asked = json!({"row": "message", "id": "msg_3000", "data": {"role": "user", "time": {"created": 3_000}}, "parts": [part]});
        let mut data = done(3_100, "stop");
        data["summary"] = json!(true);
        let summary = agent(3_001, data, &[text("All of it, in short", 3_050)]);
        let (t, events) = decode(&[&ended[..], &[asked, summary]].concat());
        assert_eq!(state_of(&t, 3_200).0, state, "compacted, by itself: {auto}");
        assert_eq!(t.last_said.as_deref(), Some("Hi"), "a summary is nothing said to the person");
        assert!(events.iter().any(|e| matches!(e.kind, EventKind::Compacted { .. })));
    }
}

#[test]
fn a_fork_counts_nothing_of_what_it_copied() {
    let rows = [
        session(json!({"created": 5_000, "title": "Go (fork #1)"})),
        user(2_000, "Go"),
        agent(
            2_001,
            done(2_200, "stop"),
            &[tool("read", json!({"status": "completed", "input": {"filePath": "a"}})), text("Hi", 2_150)],
        ),
        user(6_000, "Again"),
        agent(6_001, done(6_200, "stop"), &[text("Yes", 6_150)]),
    ];
    let (t, events) = decode(&rows);
    let count = |wanted: fn(&EventKind) -> bool| events.iter().filter(|e| wanted(&e.kind)).count();
    assert_eq!(count(|k| matches!(k, EventKind::ResponseReceived(_))), 1);
    assert_eq!(count(|k| matches!(k, EventKind::ToolCalled(_))), 0);
    assert_eq!(count(|k| matches!(k, EventKind::PromptSubmitted(p) if p.key.is_some())), 1);
    assert_eq!((t.first_prompt.as_deref(), t.last_said.as_deref()), (Some("Go"), Some("Yes")));
}

#[test]
fn runs_subagents_and_titles_are_known_by_the_sessions_row() {
    let deny = json!([{"permission": "question", "pattern": "*", "action": "deny"}]);
    let ended = |columns: Value| {
        let rows = [
            session(columns),
            user(2_000, "\"Say \\\"hi\\\" twice\""),
            agent(2_001, done(2_200, "stop"), &[text("Hi", 2_150)]),
        ];
        decode(&rows).0
    };
    let run = ended(json!({"permission": deny}));
    assert_eq!(state_of(&run, 2_300).0, TurnState::Ended, "nobody sits at a run");
    assert_eq!(run.first_prompt.as_deref(), Some("Say \"hi\" twice"));
    let sub = ended(json!({"permission": deny, "parent": "ses_0", "title": "Find it (@explore subagent)"}));
    assert_eq!(sub.parent.as_ref().map(|(id, _)| id.as_str()), Some("ses_0"));
    assert!(sub.hidden.is_some());
    let titled = ended(json!({"title": "Greeting"}));
    assert_eq!(titled.agent_title.as_deref(), Some("Greeting"));
    assert_eq!(titled.first_prompt.as_deref(), Some("\"Say \\\"hi\\\" twice\""), "typed so");
    let (t, _) =
        decode(&[session(json!({"title": "Greeting"})), session(json!({"title": "New session - y"}))]);
    assert_eq!(t.agent_title, None, "taken back");
}

#[test]
fn a_price_of_nothing_is_no_price() {
    for (cost, reported) in
        [(json!(0), None), (json!(0.002), Some(2_000_000)), (json!(-1), None), (json!("much"), None)]
    {
        let mut data = done(2_200, "stop");
        data["cost"] = cost.clone();
        let (t, _) = decode(&[session(json!({})), user(2_000, "Go"), agent(2_001, data, &[])]);
        assert_eq!(t.reported.get("m").map(|r| r.cost_nano), reported, "{cost}");
    }
}
