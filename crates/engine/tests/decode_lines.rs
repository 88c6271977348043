//! One line in, facts out: a table per kind of record, the odd shapes included.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]

#[path = "decode_support/story.rs"]
mod story;

use lamplight_engine::facts::{FileRole, IssueKind};
use lamplight_engine::sources::decode::{Decoded, Decoder, claude, codex};
use lamplight_model::event::EventKind;
use lamplight_model::ids::{Agent, SessionId, Timestamp};
use lamplight_model::session::{EntryKind, RegistryStatus};

fn main_file() -> FileRole {
    story::role(Agent::ClaudeCode)
}

fn subagent_file() -> FileRole {
    FileRole { subagent: Some("a1".to_owned()), ..main_file() }
}

/// Checks what lines give. Each line of `expected` is trimmed, the times are left out.
#[track_caller]
fn check(role: &FileRole, lines: &str, expected: &str) {
    let told = story::story(role, lines);
    let told: Vec<&str> =
        told.lines().map(|line| if line.starts_with('!') { line } else { after_time(line) }).collect();
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    assert_eq!(told, expected, "{lines}");
}

fn after_time(line: &str) -> &str {
    line.split_once(' ').map_or(line, |(_, rest)| rest)
}

#[track_caller]
fn claude(lines: &str, expected: &str) {
    check(&main_file(), lines, expected);
}

#[track_caller]
fn codex(lines: &str, expected: &str) {
    check(&story::role(Agent::Codex), lines, expected);
}

/// A user record with this content and these further members.
fn user(content: &str, more: &str) -> String {
    format!(
        r#"{{"type":"user","message":{{"role":"user","content":{content}}},"uuid":"u1","timestamp":"2026-11-20T12:00:00.000Z"{more}}}"#
    )
}

/// An assistant record with this content block, stop reason and these further members.
fn assistant(block: &str, stop: &str, more: &str) -> String {
    format!(
        r#"{{"message":{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{block}],"stop_reason":{stop},"usage":{{"input_tokens":1,"output_tokens":2}}}},"apiBlockIndex":0,"type":"assistant","uuid":"a1","timestamp":"2026-11-20T12:00:01.000Z"{more}}}"#
    )
}

const RESPONSE: &str = "response #1 m in 1 out 2 5m 0 1h 0 read 0";

#[test]
fn what_a_person_submits_is_a_prompt_and_what_the_client_writes_is_none() {
    for (content, more, expected) in [
        (r#""Fix it""#, "", r#"prompt Person #1 "Fix it""#),
        (r#""""#, "", r#"prompt Person #1 """#),
        (r#""Go on""#, r#","promptSource":"queued""#, r#"prompt Person #1 "Go on""#),
        (r#""Caveat: …""#, r#","isMeta":true"#, ""),
        (r#""This session is being continued""#, r#","isCompactSummary":true"#, ""),
        (
            r#""<command-name>/clear</command-name>\n <command-message>clear</command-message>\n <command-args></command-args>""#,
            "",
            r#"prompt Command #1 "/clear""#,
        ),
        (
            r#""<command-message>init</command-message><command-name>/init</command-name><command-args>now</command-args>""#,
            "",
            r#"prompt Command #1 "/init now""#,
        ),
        (r#""<bash-input>ls -l</bash-input>""#, "", r#"prompt Command #1 "! ls -l""#),
        (r#""<bash-stdout>x</bash-stdout><bash-stderr></bash-stderr>""#, "", ""),
        (r#""<local-command-stdout>x</local-command-stdout>""#, "", ""),
        (
            r#""<task-notification>\n<task-id>b7</task-id>\n<status>completed</status>\n</task-notification>""#,
            "",
            "background Unknown b7 over\nprompt Client #1 \"<task-notification>\\n<task-id>b7</task-id>\\n<status>completed</status>\\n</task-not…\"",
        ),
        (r#"[{"type":"text","text":"[Request interrupted by user]"}]"#, "", "turn interrupted"),
        (r#"[{"type":"text","text":"[Request interrupted by user for tool use]"}]"#, "", "turn interrupted"),
        (
            r#"[{"type":"text","text":"See this"},{"type":"image","source":{"data":"AAAA"}}]"#,
            "",
            r#"prompt Person no key "See this""#,
        ),
        (r#"[{"type":"text","text":"Expanded command"}]"#, r#","isMeta":true"#, ""),
        (r#""Ask the helper""#, r#","isSidechain":true"#, r#"(sidechain) prompt Client #1 "Ask the helper""#),
        (
            r#""Copied""#,
            r#","forkedFrom":{"sessionId":"0ld-session","messageUuid":"u1"}"#,
            "Branch of -session\nprompt Person #1 \"Copied\" of -session",
        ),
        ("7", "", ""),
        ("null", "", ""),
    ] {
        claude(&user(content, more), expected);
    }
    check(
        &subagent_file(),
        &user(r#""Look""#, r#","isSidechain":true,"cwd":"/x""#),
        r#"prompt Client #1 "Look""#,
    );
}

#[test]
fn a_prompt_absorbed_by_the_running_turn_is_queued() {
    let line = |attachment: &str, more: &str| {
        format!(
            r#"{{"attachment":{attachment},"type":"attachment","uuid":"q1","timestamp":"2026-11-20T12:00:00Z"{more}}}"#
        )
    };
    claude(&line(r#"{"type":"queued_command","prompt":"And this"}"#, ""), r#"prompt Queued #1 "And this""#);
    claude(
        &line(r#"{"prompt":[{"type":"text","text":"And that"}],"type":"queued_command"}"#, ""),
        r#"prompt Queued #1 "And that""#,
    );
    // A notice of the client absorbed likewise starts no turn: it would close the calls that are open.
    claude(
        &line(
            r#"{"type":"queued_command","prompt":"<task-notification><task-id>x</task-id></task-notification>"}"#,
            "",
        ),
        "background Unknown x over",
    );
    claude(&line(r#"{"type":"queued_command","prompt":"Inner"}"#, r#","isSidechain":true"#), "");
    claude(&line(r#"{"type":"prompt_snapshot","prompt":"Not this"}"#, ""), "");
}

#[test]
fn a_turn_ends_by_its_stop_reason_only() {
    let text = r#"{"type":"text","text":"Done."}"#;
    for (stop, more, end) in [
        (r#""end_turn""#, "", "turn ended"),
        (r#""stop_sequence""#, "", "turn ended"),
        (r#""refusal""#, "", "turn ended"),
        (r#""tool_use""#, "", ""),
        (r#""max_tokens""#, "", ""),
        (r#""pause_turn""#, "", ""),
        ("null", "", ""),
        ("null", r#","isAbortedMidStream":true"#, "turn interrupted"),
    ] {
        claude(&assistant(text, stop, more), &format!("{RESPONSE}\nsaid \"Done.\"\n{end}"));
    }
    // Clients that wrote while the response came in never said why it stopped.
    let old = assistant(text, "null", "").replace(r#""apiBlockIndex":0,"#, "");
    claude(&old, &format!("{RESPONSE}\nsaid \"Done.\"\nturn ended"));
    let call = r#"{"type":"tool_use","id":"t","name":"Bash","input":{"command":"ls"}}"#;
    let old = assistant(call, "null", "").replace(r#""apiBlockIndex":0,"#, "");
    claude(&old, &format!("{RESPONSE}\ncall #2 Bash \"ls\""));
    // A subagent's own file speaks of its own turn; a sidechain inside the main file does not speak of the main one.
    let line = assistant(text, r#""end_turn""#, r#","isSidechain":true"#);
    check(&subagent_file(), &line, &format!("{RESPONSE}\nsaid \"Done.\"\nturn ended"));
    claude(&line, &format!("(sidechain) {RESPONSE}\n(sidechain) said \"Done.\""));
}

#[test]
fn usage_is_read_with_and_without_the_split_of_the_cache() {
    for (usage, told) in [
        (
            r#"{"input_tokens":1,"output_tokens":2,"cache_creation_input_tokens":30,"cache_read_input_tokens":4,"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20}}"#,
            "in 1 out 2 5m 10 1h 20 read 4",
        ),
        (
            r#"{"input_tokens":1,"cache_creation_input_tokens":30,"cache_read_input_tokens":4}"#,
            "in 1 out 0 5m 30 1h 0 read 4",
        ),
        (
            r#"{"cache_creation":{"ephemeral_1h_input_tokens":5,"ephemeral_5m_input_tokens":6}}"#,
            "in 0 out 0 5m 6 1h 5 read 0",
        ),
        (
            r#"{"input_tokens":"12","output_tokens":-3,"cache_read_input_tokens":4.0,"cache_creation_input_tokens":null}"#,
            "in 12 out 0 5m 0 1h 0 read 4",
        ),
        ("null", "in 0 out 0 5m 0 1h 0 read 0"),
    ] {
        let line = format!(
            r#"{{"type":"assistant","message":{{"id":"x","model":"m","content":[],"stop_reason":"tool_use","usage":{usage}}}}}"#
        );
        claude(&line, &format!("response #1 m {told}"));
    }
}

#[test]
fn a_copied_response_names_its_owner_and_the_session_its_parent_once() {
    let block = r#"{"type":"tool_use","id":"t","name":"Read","input":{"file_path":"/f"}}"#;
    let fork = assistant(block, r#""tool_use""#, r#","requestSessionId":"origin-1""#);
    claude(
        &format!("{fork}\n{fork}"),
        &format!(
            "Fork of origin-1\n{RESPONSE} of origin-1 by Request\ncall #2 Read \"/f\" of origin-1\n\
             {RESPONSE} of origin-1 by Request\ncall #2 Read \"/f\" of origin-1"
        ),
    );
    let branch = assistant(block, r#""tool_use""#, r#","forkedFrom":{"sessionId":"origin-2"}"#);
    claude(
        &branch,
        &format!("Branch of origin-2\n{RESPONSE} of origin-2 by ForkedFrom\ncall #2 Read \"/f\" of origin-2"),
    );
    // An id that could be a path or an option is none.
    let bad = assistant(block, r#""tool_use""#, r#","requestSessionId":"../x""#);
    let told = story::story(&main_file(), &bad);
    assert!(told.contains("! BadId") && !told.contains(" of "), "{told}");
}

#[test]
fn what_a_call_acts_on_is_read_by_what_is_there() {
    for (name, input, told) in [
        ("Bash", r#"{"description":"List","command":"ls"}"#, r#"Bash "ls""#),
        ("Edit", r#"{"old_string":"a","new_string":"b","file_path":"/f"}"#, r#"Edit "/f""#),
        ("NotebookEdit", r#"{"notebook_path":"/n","new_source":"x"}"#, r#"NotebookEdit "/n""#),
        ("WebFetch", r#"{"prompt":"What?","url":"https://e.example"}"#, r#"WebFetch "https://e.example""#),
        ("Grep", r#"{"path":"/src","pattern":"fn main"}"#, r#"Grep "fn main""#),
        ("Agent", r#"{"prompt":"Long","description":"Short","subagent_type":"Explore"}"#, r#"Agent "Short""#),
        ("Skill", r#"{"skill":"review","args":"now"}"#, r#"Skill "review""#),
        ("TaskUpdate", r#"{"taskId":3,"status":"completed"}"#, r#"TaskUpdate "3""#),
        ("mcp__x__y", r#"{"other":{"deep":[1,2]}}"#, "mcp__x__y"),
        ("Bash", r#"{"command":["not","a","text"]}"#, "Bash"),
        ("Bash", r#""no object""#, "Bash"),
        (
            "AskUserQuestion",
            r#"{"questions":[{"question":"Which?","options":[{"label":"A","description":"a"},"B"]},{"question":"And?"}]}"#,
            r#"AskUserQuestion "Which?" asks Ask { kind: Question, text: "Which?", options: ["A", "B"], count: 2 }"#,
        ),
        (
            "ExitPlanMode",
            r###"{"plan":"# Plan\n- one\n  - inner\n- two\n"}"###,
            r###"ExitPlanMode asks Ask { kind: Plan, text: "# Plan\n- one\n  - inner\n- two\n", options: [], count: 2 }"###,
        ),
        (
            "TodoWrite",
            r#"{"todos":[{"content":"a","status":"completed"},{"content":"b","status":"in_progress"}]}"#,
            "TodoWrite\ntasks 1 of 2",
        ),
    ] {
        let block = format!(r#"{{"type":"tool_use","id":"t","name":"{name}","input":{input}}}"#);
        claude(&assistant(&block, r#""tool_use""#, ""), &format!("{RESPONSE}\ncall #2 {told}"));
    }
    // A call by the model's server is none of the session's.
    let server = r#"{"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"x"}}"#;
    claude(&assistant(server, r#""tool_use""#, ""), RESPONSE);
}

#[test]
fn a_result_answers_its_call_and_says_what_became_of_it() {
    let result = |more: &str, is_error: bool| {
        user(
            &format!(r#"[{{"tool_use_id":"t","type":"tool_result","content":"x","is_error":{is_error}}}]"#),
            more,
        )
    };
    for (more, is_error, told) in [
        ("", false, "answer #1"),
        (r#","toolUseResult":"Error: Exit code 3""#, true, "answer #1 error"),
        (
            r#","toolUseResult":"User rejected tool use","toolDenialKind":"user-rejected","toolDenialBeforeRun":true"#,
            true,
            "answer #1 error refused",
        ),
        // Cut while it ran: the client answers in the same words.
        (
            r#","toolUseResult":"User rejected tool use","toolDenialKind":"user-rejected""#,
            true,
            "answer #1 error",
        ),
        (r#","toolUseResult":"User rejected tool use""#, true, "answer #1 error refused"),
        (r#","toolDenialKind":"permission-rule""#, true, "answer #1 error"),
        (
            r#","permissionDecision":{"decision":"reject","source":"user_temporary"}"#,
            true,
            "answer #1 error refused",
        ),
        (r#","permissionDecision":{"decision":"accept","source":"user_temporary"}"#, false, "answer #1"),
        (
            r#","toolUseResult":{"stdout":"","backgroundTaskId":"b1"}"#,
            false,
            "answer #1\nbackground Shell b1 runs",
        ),
        (
            r#","toolUseResult":{"isAsync":true,"status":"async_launched","agentId":"a9"}"#,
            false,
            "answer #1\nbackground Subagent a9 runs",
        ),
        (r#","toolUseResult":{"status":"completed","agentId":"a9"}"#, false, "answer #1"),
        (
            r#","toolUseResult":{"task":{"id":"1","subject":"Look"}}"#,
            false,
            "answer #1\ntask 1 done Some(false)",
        ),
        (
            r#","toolUseResult":{"taskId":"2","statusChange":{"from":"pending","to":"completed"}}"#,
            false,
            "answer #1\ntask 2 done Some(true)",
        ),
        (
            r#","toolUseResult":{"taskId":"2","statusChange":{"to":"deleted"}}"#,
            false,
            "answer #1\ntask 2 done None",
        ),
        (r#","toolUseResult":{"success":true,"taskId":"2","updatedFields":["subject"]}"#, false, "answer #1"),
        (r#","toolUseResult":[{"type":"text"}]"#, false, "answer #1"),
    ] {
        claude(&result(more, is_error), told);
    }
    let both = r#"[{"type":"tool_result","tool_use_id":"t"},{"type":"text","text":"[Request interrupted by user for tool use]"}]"#;
    claude(&user(both, ""), "answer #1\nturn interrupted");
}

#[test]
fn an_error_that_ended_the_turn_is_classed() {
    let error = |text: &str, more: &str| {
        format!(
            r#"{{"type":"assistant","timestamp":"2026-11-20T12:00:00Z","message":{{"id":"e","model":"<synthetic>","stop_reason":"stop_sequence","content":[{{"type":"text","text":"{text}"}}]}}{more}}}"#
        )
    };
    for (text, more, told) in [
        (
            "Invalid API key · Please run /login",
            r#","isApiErrorMessage":true,"error":"authentication_failed","apiErrorStatus":401"#,
            r#"SignIn 401 "Invalid API key · Please run /login""#,
        ),
        (
            "You've hit your limit\\nResets 3pm",
            r#","isApiErrorMessage":true,"error":"rate_limit","apiErrorStatus":429"#,
            r#"Limit 429 "You've hit your limit""#,
        ),
        (
            "Credit balance is too low",
            r#","isApiErrorMessage":true,"error":"billing_error""#,
            r#"Limit "Credit balance is too low""#,
        ),
        (
            "API Error: 529",
            r#","isApiErrorMessage":true,"error":"server_error","apiErrorStatus":529"#,
            r#"Error 529 "API Error: 529""#,
        ),
        // Clients before `error`.
        (
            "Claude AI usage limit reached|1795200000",
            r#","isApiErrorMessage":true"#,
            r#"Limit "Claude AI usage limit reached|1795200000" resets at 1795200000000"#,
        ),
        ("API Error: Request was aborted.", "", r#"Error "API Error: Request was aborted.""#),
    ] {
        claude(&error(text, more), &format!("turn failed {told}"));
    }
    // Synthetic, and no error: nothing happened.
    claude(&error("No response requested.", ""), "");
}

#[test]
fn system_records_tell_of_ends_retries_and_compaction() {
    let line = |more: &str| format!(r#"{{"type":"system","timestamp":"2026-11-20T12:00:00Z",{more}}}"#);
    for (more, told) in [
        (r#""subtype":"turn_duration","durationMs":641"#, "turn ended"),
        (r#""subtype":"api_error","error":{"status":529},"retryAttempt":1,"maxRetries":10"#, "retry 1 of 10"),
        (
            r#""subtype":"compact_boundary","compactMetadata":{"trigger":"auto","postTokens":2902}"#,
            "compacted Some(2902)",
        ),
        (r#""subtype":"compact_boundary""#, "compacted None"),
        (r#""subtype":"local_command","content":"<local-command-stdout>""#, ""),
        (r#""subtype":"informational","content":"x""#, ""),
        (r#""subtype":7"#, ""),
    ] {
        claude(&line(more), told);
    }
}

#[test]
fn a_request_is_the_start_of_work_unless_it_was_written_late() {
    let request = |time: &str, more: &str| {
        format!(r#"{{"type":"api-request","id":"r","timestamp":"2026-11-20T12:00:{time}Z"{more}}}"#)
    };
    claude(&request("00", r#","querySource":"repl_main_thread""#), "turn started");
    claude(&request("00", r#","querySource":"sdk""#), "turn started");
    claude(&request("00", r#","querySource":"generate_session_title""#), "");
    claude(&request("00", r#","querySource":"agent:builtin:Explore","agentId":"a1""#), "");
    check(&subagent_file(), &request("00", ""), "");
    // A burst may hold the request behind the response that ended the turn.
    let end = assistant(r#"{"type":"text","text":"Done."}"#, r#""end_turn""#, "");
    let told = format!("{RESPONSE}\nsaid \"Done.\"\nturn ended");
    claude(&format!("{end}\n{}", request("00.900", "")), &told);
    claude(&format!("{end}\n{}", request("01.200", "")), &format!("{told}\nturn started"));
    // And the end of a turn behind the prompt that began the next.
    let late_end = r#"{"type":"system","subtype":"turn_duration","timestamp":"2026-11-20T11:59:59Z"}"#;
    claude(&format!("{}\n{late_end}", user(r#""Next""#, "")), r#"prompt Person #1 "Next""#);
}

#[test]
fn facts_without_a_time_take_the_one_before_and_wait_for_the_first() {
    let titles = concat!(
        r#"{"type":"ai-title","aiTitle":"By the model"}"#,
        "\n",
        r#"{"type":"custom-title","customTitle":"By me"}"#,
        "\n",
        r#"{"type":"agent-name","agentName":"By me"}"#,
        "\n",
        r#"{"type":"custom-title","customTitle":"By me"}"#,
        "\n",
    );
    // A store is read long after it was written: the moment of reading says nothing of these.
    claude(titles, "");
    let lines = format!("{titles}{}\n{}", user(r#""Hi""#, ""), r#"{"type":"cost-state","totalCostUSD":0.5}"#);
    assert_eq!(
        story::story(&main_file(), &lines),
        "12:00:00.000 title by Agent \"By the model\"\n\
         12:00:00.000 title by User \"By me\"\n\
         12:00:00.000 prompt Person #1 \"Hi\"\n\
         12:00:00.000 cost $0.5\n"
    );
}

#[test]
fn line_records_of_a_session() {
    let first = user(r#""Hi""#, r#","cwd":"/a","gitBranch":"","version":"2.1.329","entrypoint":"sdk-cli""#);
    let told = "context cwd \"/a\" branch \"\" version \"2.1.329\" Print\nprompt Person #1 \"Hi\"\n";
    for (line, more) in [
        (r#"{"type":"relocated","relocatedCwd":"/b"}"#, "context cwd \"/b\""),
        (r#"{"type":"relocated","relocatedCwd":"/a"}"#, ""),
        (
            r#"{"type":"worktree-state","worktreeSession":{"originalCwd":"/repo"}}"#,
            "context git root \"/repo\"",
        ),
        (r#"{"type":"worktree-state","worktreeSession":null}"#, ""),
        (r#"{"type":"continued-in","continuedInSessionId":"next-one"}"#, "continued in next-one"),
        (r#"{"type":"summary","summary":"Old title","leafUuid":"x"}"#, "title by Agent \"Old title\""),
        (r#"{"type":"custom-title","customTitle":""}"#, "title by User \"\""),
        (r#"{"type":"cost-state","totalCostUSD":2}"#, "cost $2"),
        (r#"{"type":"cost-state"}"#, ""),
        (r#"{"type":"last-prompt","lastPrompt":"x"}"#, ""),
        (
            r#"{"type":"file-history-snapshot","messageId":"x","snapshot":{"timestamp":"2026-11-20T12:00:00Z"}}"#,
            "",
        ),
        (r#"{"type":"queue-operation","operation":"enqueue","content":"x"}"#, ""),
        (r#"{"type":"from-the-future","uuid":"x"}"#, ""),
        (r#"{"no":"type"}"#, ""),
    ] {
        claude(&format!("{first}\n{line}"), &format!("{told}{more}"));
    }
    let bg = user(r#""Hi""#, r#","entrypoint":"cli","sessionKind":"bg""#);
    claude(&bg, "context Background\nprompt Person #1 \"Hi\"");
    let sdk = user(r#""Hi""#, r#","entrypoint":"sdk-ts""#);
    claude(&sdk, "context Sdk\nprompt Person #1 \"Hi\"");
}

#[test]
fn the_type_is_read_as_json_whatever_stands_around_it() {
    let told = r#"prompt Person #1 "Hi""#;
    for line in [
        r#"{ "message" : { "type" : "assistant" , "content" : "Hi" } , "uuid":"u" , "type" : "user" }"#,
        r#"{"\u0074ype":"user","uuid":"u","message":{"content":"Hi"}}"#,
        r#"{"type":"us\u0065r","uuid":"u","message":{"content":"Hi"}}"#,
        "\t{\"uuid\":\"u\",\"toolUseResult\":\"\\\"type\\\":\\\"system\\\"\",\"type\":\"user\",\"message\":{\"content\":\"Hi\"}}\r",
        r#"{"type":"user","uuid":"u","isSidechain":"no flag","timestamp":7,"cwd":{"a":1},"version":[],"message":{"id":5,"content":"Hi"},"origin":"x","toolUseResult":8}"#,
    ] {
        claude(line, told);
    }
}

#[test]
fn a_line_that_cannot_be_used_is_counted() {
    for line in
        ["nonsense", "[1,2]", "\"type\"", "7", "{\"type\":\"user\",", "{\"type\":\"user\"}}", "{\"a\":}", "{"]
    {
        claude(line, "! BadJson");
        codex(&line.replace("user", "session_meta"), "! BadJson");
    }
    // Torn, of a kind that is passed over.
    claude(r#"{"type":"file-history-snapshot","messageId":"#, "! BadJson");
    // Deep nesting is passed over without recursion, where nothing is read of it.
    let deep = |n: usize| {
        format!(
            "{{\"type\":\"user\",\"x\":{}{},\"message\":{{\"content\":\"Hi\"}}}}",
            "[".repeat(n),
            "]".repeat(n)
        )
    };
    claude(&deep(100_000), "prompt Person no key \"Hi\"");
    let bomb = format!("{{\"type\":\"user\",\"message\":{}", "{\"message\":".repeat(100_000));
    claude(&bomb, "! BadJson");
}

#[test]
fn bad_utf8_is_counted_and_the_rest_read() {
    let line = b"{\"type\":\"user\",\"uuid\":\"u\",\"message\":{\"content\":\"caf\xe9\"}}";
    let out = story::decode(&main_file(), [line.as_slice()]);
    assert_eq!(
        story::tell(&out.events, &[]).split_once(' ').unwrap().1,
        "prompt Person #1 \"caf\u{fffd}\"\n"
    );
    assert_eq!(out.issues, [IssueKind::BadUtf8]);
}

#[test]
fn a_future_time_is_counted_and_clamped_to_the_moment_of_reading() {
    let read_at = Timestamp::from_rfc3339("2026-11-20T11:00:00Z").unwrap();
    let mut decoder = Decoder::new(&main_file());
    let mut out = Decoded::default();
    decoder.line(&main_file(), user(r#""Hi""#, "").as_bytes(), read_at, &mut out);
    assert_eq!(out.events[0].at, read_at);
    assert_eq!(out.issues, [IssueKind::FutureTime]);
    // A line written while its file was being read is a little ahead.
    let mut out = Decoded::default();
    let almost = Timestamp::from_rfc3339("2026-11-20T11:59:59.500Z").unwrap();
    decoder.line(&main_file(), user(r#""Hi""#, "").as_bytes(), almost, &mut out);
    assert_eq!((out.events[0].at, out.issues.len()), (almost, 0));
}

#[test]
fn a_prompt_is_cut_at_a_character() {
    let long = "ä".repeat(3_000);
    let out = story::decode(&main_file(), [user(&format!("\"{long}\""), "").as_bytes()]);
    let EventKind::PromptSubmitted(prompt) = &out.events[0].kind else { panic!("{:?}", out.events) };
    assert_eq!(prompt.text.chars().count(), 2_000);
}

// ---- Codex

fn payload(kind: &str, payload: &str) -> String {
    format!(r#"{{"timestamp":"2026-11-20T12:00:00.000Z","ordinal":3,"type":"{kind}","payload":{payload}}}"#)
}

#[test]
fn codex_meta_says_who_runs_the_thread() {
    for (fields, told) in [
        (r#""source":"vscode","originator":"codex-tui""#, "context cwd \"/p\" Interactive"),
        (r#""source":"cli","originator":"codex-tui""#, "context cwd \"/p\" Interactive"),
        (r#""source":"exec","originator":"codex_exec""#, "context cwd \"/p\" Print"),
        (r#""originator":"codex_cli_rs""#, "context cwd \"/p\" Interactive"),
        (r#""source":"vscode","originator":"codex_vscode""#, "context cwd \"/p\" Sdk"),
        (r#""source":{"other":1}"#, "context cwd \"/p\" Interactive"),
        (r#""git":{},"cli_version":"0.169.0""#, "context cwd \"/p\" version \"0.169.0\" Interactive"),
        (r#""git":{"branch":"main"}"#, "context cwd \"/p\" branch \"main\" Interactive"),
        (r#""forked_from_id":"parent-1""#, "context cwd \"/p\" Interactive\nFork of parent-1"),
        (
            r#""thread_source":"subagent","parent_thread_id":"parent-2","source":{"subagent":{"thread_spawn":{}}}"#,
            "context cwd \"/p\" Interactive hidden Subagent\nSubagent of parent-2",
        ),
        (r#""source":{"subagent":"review"}"#, "context cwd \"/p\" Interactive hidden Subagent"),
    ] {
        let line = payload("session_meta", &format!(r#"{{"id":"t","cwd":"/p",{fields}}}"#));
        // A second one in a file is a copied parent's.
        codex(&format!("{line}\n{line}"), told);
    }
}

#[test]
fn codex_events() {
    for (kind, body, told) in [
        (
            "event_msg",
            r#"{"type":"task_started","model_context_window":258400}"#,
            "turn started\ncontext filled None of Some(258400)",
        ),
        ("event_msg", r#"{"type":"task_complete","last_agent_message":null}"#, "turn ended"),
        ("event_msg", r#"{"type":"task_complete","error":null}"#, "turn ended"),
        ("event_msg", r#"{"type":"turn_aborted","reason":"interrupted"}"#, "turn interrupted"),
        (
            "event_msg",
            r#"{"type":"task_complete","error":{"message":"No\nmore","codex_error_info":"usage_limit_exceeded"}}"#,
            "turn failed Limit \"No\"",
        ),
        (
            "event_msg",
            r#"{"type":"task_complete","error":{"message":"401","codex_error_info":{"http_connection_failed":{"http_status_code":401}}}}"#,
            "turn failed SignIn 401 \"401\"",
        ),
        (
            "event_msg",
            r#"{"type":"task_complete","error":{"message":"x","codex_error_info":"context_window_exceeded"}}"#,
            "turn failed Error \"x\"",
        ),
        (
            "event_msg",
            r#"{"type":"task_complete","error":{"codex_error_info":{"other":null}}}"#,
            "turn failed Error \"\"",
        ),
        (
            "event_msg",
            r#"{"type":"item_completed","item":{"type":"UserMessage","id":"i","content":[{"type":"text","text":"Fix"},{"type":"image"}]}}"#,
            "prompt Person #1 \"Fix\"",
        ),
        (
            "event_msg",
            r#"{"type":"item_completed","item":{"id":"i","content":[{"type":"Text","text":"Done"}],"type":"AgentMessage"}}"#,
            "said \"Done\"",
        ),
        ("event_msg", r#"{"type":"item_completed","item":{"type":"CommandExecution","id":"c"}}"#, ""),
        (
            "event_msg",
            r#"{"type":"item_completed","item":{"type":"UserMessage","id":"i","content":[{"type":"text","text":"Generate a concise, single-line task title for"}]}}"#,
            "context hidden TitleThread\nprompt Person #1 \"Generate a concise, single-line task title for\"",
        ),
        ("event_msg", r#"{"type":"token_count","info":null}"#, ""),
        (
            "event_msg",
            r#"{"type":"token_count","info":{"total_token_usage":{"total_tokens":9},"last_token_usage":{"input_tokens":3,"total_tokens":5},"model_context_window":100}}"#,
            "context filled Some(5) of Some(100)",
        ),
        (
            "event_msg",
            r#"{"type":"thread_settings_applied","thread_settings":{"model":"g","cwd":"/p"}}"#,
            "context cwd \"/p\" model \"g\"",
        ),
        // The current family says these by items; the older events would repeat them.
        ("event_msg", r#"{"type":"user_message","message":"Fix"}"#, ""),
        ("event_msg", r#"{"type":"agent_message","message":"Done"}"#, ""),
        ("turn_context", r#"{"cwd":"/p","model":"g"}"#, "context cwd \"/p\" model \"g\""),
        ("compacted", r#"{"message":"x","replacement_history":[{}]}"#, "compacted None"),
        ("world_state", r#"{"type":"task_started"}"#, ""),
        ("response_item", r#"{"type":"message","role":"user","content":[]}"#, ""),
        (
            "token_usage_record",
            r#"{"thread_id":"t","response_id":"r","usage":{"input_tokens":3210,"cached_input_tokens":1024,"cache_write_input_tokens":5,"output_tokens":42,"reasoning_output_tokens":16,"total_tokens":3252}}"#,
            "response #1 no model in 2186 out 42 5m 5 1h 0 read 1024",
        ),
    ] {
        codex(&payload(kind, body), told);
    }
}

#[test]
fn codex_calls() {
    for (body, told) in [
        (
            r#"{"type":"function_call","name":"exec_command","arguments":"{\"cmd\":\"ls -l\",\"yield_time_ms\":1}","call_id":"c"}"#,
            r#"exec_command "ls -l""#,
        ),
        (
            r#"{"type":"function_call","name":"exec_command","arguments":"{\"cmd\":\"x\",\"sandbox_permissions\":\"require_escalated\"}","call_id":"c"}"#,
            r#"exec_command "x" escalated"#,
        ),
        (
            r#"{"type":"function_call","name":"shell","arguments":"{\"command\":[\"bash\",\"-lc\",\"cat a\"],\"with_escalated_permissions\":true}","call_id":"c"}"#,
            r#"shell "cat a" escalated"#,
        ),
        (
            r#"{"type":"function_call","name":"shell","arguments":"{\"command\":[\"git\",\"status\"]}","call_id":"c"}"#,
            r#"shell "git status""#,
        ),
        (
            r#"{"type":"local_shell_call","action":{"type":"exec","command":["ls"]},"call_id":"c"}"#,
            r#"local_shell "ls""#,
        ),
        (
            r#"{"type":"custom_tool_call","name":"apply_patch","input":"*** Begin Patch\n*** Update File: src/a.rs\n@@","call_id":"c"}"#,
            r#"apply_patch "src/a.rs""#,
        ),
        (r#"{"type":"custom_tool_call","name":"exec","input":"text(1)","call_id":"c"}"#, r#"exec "text(1)""#),
        (
            r#"{"type":"function_call","name":"view_image","arguments":"{\"path\":\"/i.png\"}","call_id":"c"}"#,
            r#"view_image "/i.png""#,
        ),
        (r#"{"type":"function_call","name":"odd","arguments":"no json","call_id":"c"}"#, "odd"),
        (r#"{"type":"function_call","name":"odd","arguments":{"path":"/x"},"call_id":"c"}"#, r#"odd "/x""#),
        (
            r#"{"type":"function_call","name":"request_user_input","arguments":"{\"questions\":[{\"question\":\"Which?\",\"options\":[{\"label\":\"Red\"}]}]}","call_id":"c"}"#,
            r#"request_user_input "Which?" asks Ask { kind: Question, text: "Which?", options: ["Red"], count: 1 }"#,
        ),
        (
            r#"{"type":"function_call","name":"update_plan","arguments":"{\"plan\":[{\"step\":\"a\",\"status\":\"completed\"},{\"step\":\"b\",\"status\":\"pending\"}]}","call_id":"c"}"#,
            "update_plan\ntasks 1 of 2",
        ),
    ] {
        codex(&payload("response_item", body), &format!("call #1 {told}"));
    }
    for (output, told) in [
        (r#""Chunk ID: 1\nProcess exited with code 0\nOutput:\nx""#, "answer #1"),
        (r#""Process exited with code 3\nOutput:\n""#, "answer #1 error"),
        (r#""Exit code: 127\nWall time: 0""#, "answer #1 error"),
        (r#""{\"output\":\"Exit code: 5\",\"metadata\":{\"exit_code\":0}}""#, "answer #1 error"),
        (
            r#""{\"output\":\"fine\",\"metadata\":{\"exit_code\":3,\"duration_seconds\":0.0}}""#,
            "answer #1 error",
        ),
        (r#""{\"output\":\"fine\",\"metadata\":{\"exit_code\":0}}""#, "answer #1"),
        (r#""exec command rejected by user""#, "answer #1 error refused"),
        (r#""Wall time: 4.2 seconds\naborted by user""#, "answer #1 error"),
        (r#""unsupported call: update_plan""#, "answer #1 error"),
        (r#"[{"type":"input_text","text":"Script failed\nWall"}]"#, "answer #1 error"),
        (r#""Plan updated""#, "answer #1"),
        ("null", "answer #1"),
    ] {
        let body = format!(r#"{{"type":"function_call_output","call_id":"c","output":{output}}}"#);
        codex(&payload("response_item", &body), told);
    }
}

#[test]
fn codex_families_without_ordinals_count_what_changes_the_totals() {
    let line = |kind: &str, body: &str| {
        format!(r#"{{"timestamp":"2026-11-20T12:00:00.000Z","type":"{kind}","payload":{body}}}"#)
    };
    let count = |total: u32, last: u32| {
        line(
            "event_msg",
            &format!(
                r#"{{"type":"token_count","info":{{"total_token_usage":{{"input_tokens":{total},"total_tokens":{total}}},"last_token_usage":{{"input_tokens":{last},"total_tokens":{last}}}}}}}"#
            ),
        )
    };
    let lines = [
        line("turn_context", r#"{"model":"g"}"#),
        line("event_msg", r#"{"type":"user_message","message":"Fix","kind":"plain"}"#),
        line("event_msg", r#"{"type":"user_message","message":"<env>","kind":"environment_context"}"#),
        count(10, 10),
        line("response_item", r#"{"type":"function_call","name":"shell","arguments":"{}","call_id":"c"}"#),
        count(10, 10),
        line("event_msg", r#"{"type":"agent_message","message":"Done"}"#),
        line("response_item", r#"{"type":"message","role":"assistant","content":[]}"#),
        count(25, 15),
        line("event_msg", r#"{"type":"user_message","message":"Fix"}"#),
        count(25, 15),
    ];
    codex(
        &lines.join("\n"),
        r#"context model "g"
        prompt Person #1 "Fix"
        response #2 g in 10 out 0 5m 0 1h 0 read 0
        context filled Some(10) of None
        call #3 shell
        context filled Some(10) of None
        said "Done"
        response #4 g in 15 out 0 5m 0 1h 0 read 0
        context filled Some(15) of None
        turn ended
        prompt Person #5 "Fix"
        context filled Some(15) of None"#,
    );
}

// ---- small files

#[test]
fn registry_files_are_read_leniently() {
    let file = claude::registry(
        br#"{"pid":30,"sessionId":"bb0d985f","cwd":"/p","startedAt":1795176118139,"procStart":"223163","version":"2.1.329","kind":"interactive","entrypoint":"cli","pidDomain":"linux:0:pid:[4026532178]","name":"permission-f9","nameSource":"derived","status":"waiting","waitingFor":"permission prompt","updatedAt":1795176121031,"statusUpdatedAt":1795176121030}"#,
    )
    .expect("a registry file");
    assert_eq!(
        (file.pid, file.session_id.as_str(), file.proc_start.as_deref()),
        (30, "bb0d985f", Some("223163"))
    );
    assert_eq!(file.status_at, Some(Timestamp(1_795_176_121_030)));
    assert_eq!(file.entry.status, Some(RegistryStatus::Waiting("permission prompt".to_owned())));
    assert_eq!(
        (file.entry.kind, file.entry.named_by_user, file.entry.spare),
        (EntryKind::Interactive, false, false)
    );

    let file = claude::registry(br#" {"sessionId":"x","pid":"7","procStart":12,"kind":"bg","entrypoint":"cli","spare":true,"nameSource":"user","name":"n","status":"pondering","updatedAt":5}"#)
        .expect("numbers as texts and the other way round");
    assert_eq!((file.pid, file.proc_start.as_deref(), file.status_at), (7, Some("12"), Some(Timestamp(5))));
    assert_eq!(file.entry.status, Some(RegistryStatus::Other("pondering".to_owned())));
    assert_eq!(
        (file.entry.kind, file.entry.named_by_user, file.entry.spare),
        (EntryKind::Background, true, true)
    );

    let print = claude::registry(br#"{"pid":1,"sessionId":"x","kind":"interactive","entrypoint":"sdk-cli"}"#)
        .expect("no status");
    assert_eq!((print.entry.kind, print.entry.status), (EntryKind::Print, None));

    for half in [
        "",
        "{",
        r#"{"pid":30,"sess"#,
        r#"{"pid":30}"#,
        r#"{"sessionId":"x"}"#,
        r#"{"pid":-1,"sessionId":"x"}"#,
        "[]",
        "null",
    ] {
        assert!(claude::registry(half.as_bytes()).is_err(), "{half}");
    }
}

#[test]
fn a_subagents_meta_file_and_a_line_of_titles() {
    let meta = claude::subagent_meta(
        b"{\n \"agentType\": \"Explore\", \"description\": \"Look\", \"finished\": true\n}",
    )
    .unwrap();
    assert_eq!(
        (meta.kind.as_deref(), meta.description.as_deref(), meta.finished),
        (Some("Explore"), Some("Look"), true)
    );
    assert_eq!(claude::subagent_meta(b"{\"agentType\":"), None);

    let line = br#"{"id":"01a1f8db-5f46","thread_name":"My thread","updated_at":"2026-11-20T12:08:09.637Z"}"#;
    let at = Timestamp::from_rfc3339("2026-11-20T12:08:09.637Z").unwrap();
    assert_eq!(
        codex::index_line(line),
        Some((SessionId::new("01a1f8db-5f46").unwrap(), "My thread".to_owned(), at))
    );
    for bad in [
        "",
        "{",
        r#"{"id":"../x","thread_name":"n","updated_at":"2026-11-20T12:08:09Z"}"#,
        r#"{"id":"x","thread_name":"n"}"#,
    ] {
        assert_eq!(codex::index_line(bad.as_bytes()), None, "{bad}");
    }
}
