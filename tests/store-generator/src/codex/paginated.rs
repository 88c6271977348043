//! Rollouts of Codex 0.169: ordinals, `token_usage_record`, `item_completed`, forks by reference, subagent threads.

use super::Tokens;
use crate::clock::Clock;
use crate::ids::{alnum, hex, uuid7};
use crate::json::{Lines, escape};
use crate::rng::Rng;
use crate::text::Pool;
use crate::truth::Truth;

/// Where the thread came from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// Typed in a terminal.
    Terminal,
    /// `codex exec`.
    Exec,
    /// A fork, by reference: nothing of the parent is copied.
    Fork {
        /// The parent thread.
        parent: String,
        /// First ordinal that belongs to the fork.
        end_ordinal: u64,
        /// Length of the parent's file at that ordinal.
        end_byte_offset: usize,
        /// The parent's running total, which the fork inherits.
        total: Tokens,
    },
    /// A subagent of another thread.
    Subagent {
        /// The root thread.
        root: String,
        /// The thread that started it.
        parent: String,
        /// Its name on screen.
        nickname: &'static str,
    },
}

/// A rollout being written.
#[derive(Debug)]
pub struct Rollout<'p> {
    pool: &'p Pool,
    rng: Rng,
    lines: Lines,
    /// Thread id.
    pub thread: String,
    origin: Origin,
    cwd: String,
    model: &'static str,
    /// The thread's clock.
    pub clock: Clock,
    ordinal: u64,
    sequence: u64,
    total: Tokens,
    last: Tokens,
    context: u64,
    writes_cache: bool,
    bulk_per_mille: u64,
    turn: String,
    /// Prompts typed in the terminal, for `history.jsonl`: (seconds, text).
    pub typed: Vec<(u64, String)>,
}

/// A point between two turns from which a fork can start.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// The next ordinal.
    pub ordinal: u64,
    /// Bytes written before it.
    pub bytes: usize,
    /// The running total there.
    pub total: Tokens,
}

impl<'p> Rollout<'p> {
    /// A rollout with its first line.
    pub fn new(
        pool: &'p Pool,
        mut rng: Rng,
        origin: Origin,
        cwd: String,
        model: &'static str,
        clock: Clock,
        bulk_per_mille: u64,
    ) -> Self {
        let thread = uuid7(&mut rng, clock.ms());
        let (ordinal, total) = match &origin {
            Origin::Fork { end_ordinal, total, .. } => (*end_ordinal, *total),
            _ => (0, Tokens::default()),
        };
        let writes_cache = rng.chance(200);
        let mut rollout = Self {
            pool,
            rng,
            lines: Lines::default(),
            thread,
            origin,
            cwd,
            model,
            clock,
            ordinal,
            sequence: 0,
            total,
            last: Tokens::default(),
            context: 0,
            writes_cache,
            bulk_per_mille,
            turn: String::new(),
            typed: Vec::new(),
        };
        rollout.session_meta();
        rollout
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> &[u8] {
        self.lines.bytes()
    }

    /// The present end of the file.
    pub fn mark(&self) -> Mark {
        Mark { ordinal: self.ordinal, bytes: self.lines.len(), total: self.total }
    }

    /// Text the client wrote: in a store of small files less of it.
    fn bulk(&mut self, bytes: usize) -> &'p str {
        let pool = self.pool;
        pool.text(&mut self.rng, bytes * usize::try_from(self.bulk_per_mille).unwrap_or(1000) / 1000)
    }

    fn root(&self) -> String {
        match &self.origin {
            Origin::Subagent { root, .. } => root.clone(),
            _ => self.thread.clone(),
        }
    }

    fn begin(&mut self, kind: &str) {
        self.lines.begin();
        self.lines.text("timestamp", &self.clock.iso());
        self.lines.int("ordinal", self.ordinal);
        self.lines.text("type", kind);
        self.lines.open("payload");
        self.ordinal += 1;
    }

    fn end(&mut self) {
        self.lines.close();
        self.lines.end();
    }

    fn end_with_metadata(&mut self) {
        self.sequence += 1;
        self.lines.open("internal_chat_message_metadata_passthrough");
        self.lines.text("turn_id", &self.turn);
        self.lines.close();
        self.lines.close();
        self.lines.open("metadata");
        self.lines.int("history_sequence", self.sequence);
        self.lines.int("sampled_through_sequence", self.sequence.saturating_sub(1));
        self.lines.flag("client_authored", false);
        self.lines.close();
        self.lines.end();
    }

    fn session_meta(&mut self) {
        let root = self.root();
        let instructions = self.bulk(21_000);
        let window = uuid7(&mut self.rng, self.clock.ms());
        let commit = hex(&mut self.rng, 40);
        self.begin("session_meta");
        let l = &mut self.lines;
        l.flag("account_scoped", true);
        l.text("session_id", &root);
        l.text("id", &self.thread);
        match &self.origin {
            Origin::Fork { parent, end_ordinal, .. } => {
                l.text("forked_from_id", parent);
                l.int("forked_from_ordinal_exclusive", *end_ordinal);
            }
            Origin::Subagent { parent, .. } => l.text("parent_thread_id", parent),
            Origin::Terminal | Origin::Exec => {}
        }
        l.text("timestamp", &self.clock.iso());
        l.string("cwd", &self.cwd);
        l.raw("runtime_workspace_roots", &format!("[\"{}\"]", escape(&self.cwd)));
        let is_exec = matches!(self.origin, Origin::Exec);
        l.text("originator", if is_exec { "codex_exec" } else { "codex-tui" });
        l.text("cli_version", "0.169.0");
        match &self.origin {
            Origin::Subagent { parent, nickname, .. } => {
                l.open("source");
                l.open("subagent");
                l.open("thread_spawn");
                l.text("parent_thread_id", parent);
                l.int("depth", 1);
                l.raw("agent_path", "null");
                l.text("agent_nickname", nickname);
                l.raw("agent_role", "null");
                l.close();
                l.close();
                l.close();
                l.text("thread_source", "subagent");
                l.text("agent_nickname", nickname);
            }
            _ => {
                l.text("source", if is_exec { "exec" } else { "cli" });
                l.text("thread_source", "user");
            }
        }
        l.text("model_provider", "openai");
        l.open("base_instructions");
        l.text("text", instructions);
        l.raw("provenance", &format!("{{\"type\":\"model\",\"model\":\"{}\"}}", self.model));
        l.close();
        l.text("history_mode", "paginated");
        if let Origin::Fork { parent, end_ordinal, end_byte_offset, .. } = &self.origin {
            l.open("history_base");
            l.text("thread_id", parent);
            l.int("end_ordinal_exclusive", *end_ordinal);
            l.int("end_byte_offset", *end_byte_offset as u64);
            l.close();
        }
        l.text("multi_agent_version", "v1");
        l.raw("context_window", &format!("{{\"window_id\":\"{window}\"}}"));
        l.raw("git", &format!("{{\"commit_hash\":\"{commit}\",\"branch\":\"main\"}}"));
        self.end();
    }

    fn event(&mut self, kind: &str) {
        self.begin("event_msg");
        self.lines.text("type", kind);
    }

    fn turn_context(&mut self) {
        self.begin("turn_context");
        let l = &mut self.lines;
        l.text("turn_id", &self.turn);
        l.text("root_turn_id", &self.turn);
        l.string("cwd", &self.cwd);
        l.text("approval_policy", "on-request");
        l.text("model", self.model);
        l.raw(
            "collaboration_mode",
            &format!(
                "{{\"mode\":\"default\",\"settings\":{{\"model\":\"{}\",\"reasoning_effort\":null}}}}",
                self.model
            ),
        );
        l.text("multi_agent_version", "v1");
        l.text("effort", "medium");
        l.text("summary", "none");
        l.raw("sandbox_policy", "{\"type\":\"workspace-write\"}");
        self.end();
    }

    fn message(&mut self, role: &str, kind: &str, text: &str) {
        let id = uuid7(&mut self.rng, self.clock.ms());
        self.begin("response_item");
        let l = &mut self.lines;
        l.text("type", "message");
        l.text("id", &format!("msg_{id}"));
        l.text("role", role);
        l.open_list("content");
        l.open_item();
        l.text("type", kind);
        l.text("text", text);
        l.close();
        l.close_list();
        self.end_with_metadata();
    }

    fn item_begin(&mut self, kind: &str, id: &str) {
        self.event("item_completed");
        self.lines.text("thread_id", &self.thread);
        self.lines.text("turn_id", &self.turn);
        self.lines.open("item");
        self.lines.text("type", kind);
        self.lines.text("id", id);
    }

    fn item_end(&mut self) {
        self.lines.close();
        self.lines.int("started_at_ms", self.clock.ms());
        self.lines.int("completed_at_ms", self.clock.ms());
        self.end();
    }

    fn turn_started(&mut self, trigger: Option<&str>) {
        self.turn = uuid7(&mut self.rng, self.clock.ms());
        self.event("task_started");
        let l = &mut self.lines;
        if let Some(trigger) = trigger {
            l.open("turn_attribution");
            l.text("turn_id", &self.turn);
            l.text("turn_trigger", trigger);
            l.raw("parent_turn_id", "null");
            l.text("root_turn_id", &self.turn);
            l.close();
        }
        l.text("turn_id", &self.turn);
        l.text("root_turn_id", &self.turn);
        l.int("started_at", self.clock.seconds());
        l.int("model_context_window", 258_400);
        l.text("collaboration_mode_kind", "default");
        self.end();
    }

    fn prompt(&mut self, truth: &mut Truth) {
        let bytes = self.rng.size(120, 1.1, 12_000);
        let lead = Pool::words(&mut self.rng, 3);
        let text = format!("{lead} {}", self.pool.text(&mut self.rng, bytes));
        self.message("user", "input_text", &text);
        let id = uuid7(&mut self.rng, self.clock.ms());
        self.item_begin("UserMessage", &id);
        self.lines.open_list("content");
        self.lines.open_item();
        self.lines.text("type", "text");
        self.lines.text("text", &text);
        self.lines.raw("text_elements", "[]");
        self.lines.close();
        self.lines.close_list();
        self.item_end();
        truth.prompts += 1;
        if matches!(self.origin, Origin::Terminal | Origin::Fork { .. }) {
            self.typed.push((self.clock.seconds(), text));
        }
    }

    /// Writes the record of one response: the only place its tokens may be counted from.
    fn response_done(&mut self, truth: &mut Truth) {
        let one = Tokens::draw(&mut self.rng, self.context, self.writes_cache);
        self.context = one.input;
        self.total.add(one);
        self.last = one;
        truth.response(self.model, one.usage());
        let response = hex(&mut self.rng, 48);
        let root = self.root();
        self.begin("token_usage_record");
        let l = &mut self.lines;
        l.text("thread_id", &self.thread);
        l.text("turn_id", &self.turn);
        l.text("session_id", &root);
        l.text("root_turn_id", &self.turn);
        l.text("response_id", &format!("resp_{response}"));
        one.write(l, "usage", true);
        one.write(l, "turn_token_usage", true);
        self.total.write(l, "thread_token_usage", true);
        self.end();
    }

    fn token_count(&mut self) {
        self.event("token_count");
        let l = &mut self.lines;
        l.open("info");
        self.total.write(l, "total_token_usage", true);
        self.last.write(l, "last_token_usage", true);
        l.flag("last_usage_includes_reasoning", false);
        l.int("model_context_window", 258_400);
        l.close();
        l.raw(
            "rate_limits",
            "{\"limit_id\":\"codex\",\"limit_name\":null,\"primary\":{\"used_percent\":12.5,\"window_minutes\":300,\"resets_at\":1795190000},\"secondary\":null,\"credits\":null,\"plan_type\":null,\"rate_limit_reached_type\":null}",
        );
        self.end();
    }

    fn call(&mut self, truth: &mut Truth) {
        let call = alnum(&mut self.rng, "call_", 24);
        let item = hex(&mut self.rng, 48);
        let is_patch = self.rng.chance(200);
        let argument_bytes = self.rng.size(if is_patch { 1_200 } else { 60 }, 0.9, 40_000);
        let argument = self.pool.text(&mut self.rng, argument_bytes);
        truth.tool_calls += 1;
        self.begin("response_item");
        let l = &mut self.lines;
        if is_patch {
            l.text("type", "custom_tool_call");
            l.text("id", &format!("ctc_{item}"));
            l.text("status", "completed");
            l.text("call_id", &call);
            l.text("name", "apply_patch");
            l.text("input", argument);
        } else {
            l.text("type", "function_call");
            l.text("status", "completed");
            l.text("id", &format!("fc_{item}"));
            l.text("name", "exec_command");
            // JSON inside JSON: the pool's text is already escaped once.
            l.text("arguments", &format!("{{\\\"cmd\\\":\\\"{}\\\"}}", escape(argument)));
            l.text("call_id", &call);
        }
        self.end_with_metadata();
        self.response_done(truth);
        self.clock.pass(&mut self.rng, 60, 20_000);
        let bytes = self.rng.size(1_200, 1.5, 200_000);
        let output = self.pool.text(&mut self.rng, bytes);
        if is_patch {
            self.item_begin("FileChange", &call);
            self.lines.raw("changes", "{\"/home/dev/projects/atlas/src/main.rs\":{\"type\":\"update\",\"unified_diff\":\"@@\",\"move_path\":null}}");
            self.lines.text("status", "completed");
            self.item_end();
        } else {
            self.item_begin("CommandExecution", &call);
            let l = &mut self.lines;
            l.raw("command", &format!("[\"/bin/bash\",\"-lc\",\"{argument}\"]"));
            l.text("cwd", "file:///home/dev/projects/atlas");
            l.text("source", "unified_exec_startup");
            l.text("status", "completed");
            l.text("aggregated_output", output);
            l.int("exit_code", 0);
            l.raw("duration", "{\"secs\":3,\"nanos\":867912191}");
            self.item_end();
        }
        let done = uuid7(&mut self.rng, self.clock.ms());
        self.begin("response_item");
        let l = &mut self.lines;
        l.text("type", if is_patch { "custom_tool_call_output" } else { "function_call_output" });
        l.text("id", &format!("fco_{done}"));
        l.text("call_id", &call);
        l.text(
            "output",
            if is_patch { "Success. Updated the following files:\\nM src/main.rs\\n" } else { output },
        );
        self.end_with_metadata();
        self.token_count();
    }

    /// Writes the call that starts a subagent thread.
    fn spawn(&mut self, truth: &mut Truth, child: &str, nickname: &str) {
        let call = alnum(&mut self.rng, "call_", 24);
        truth.tool_calls += 1;
        self.begin("response_item");
        let l = &mut self.lines;
        l.text("type", "function_call");
        l.text("status", "completed");
        l.text("name", "spawn_agent");
        l.text("namespace", "multi_agent_v1");
        l.text("arguments", "{\\\"message\\\":\\\"count the files\\\"}");
        l.text("call_id", &call);
        self.end_with_metadata();
        self.response_done(truth);
        self.item_begin("CollabAgentToolCall", &call);
        let l = &mut self.lines;
        l.text("tool", "spawn_agent");
        l.text("status", "completed");
        l.text("sender_thread_id", &self.thread);
        l.raw("receiver_thread_ids", &format!("[\"{child}\"]"));
        l.raw(
            "receiver_agents",
            &format!("[{{\"thread_id\":\"{child}\",\"agent_nickname\":\"{nickname}\"}}]"),
        );
        l.text("prompt", "count the files");
        self.item_end();
        self.begin("response_item");
        let l = &mut self.lines;
        l.text("type", "function_call_output");
        l.text("call_id", &call);
        l.text(
            "output",
            &format!("{{\\\"agent_id\\\":\\\"{child}\\\",\\\"nickname\\\":\\\"{nickname}\\\"}}"),
        );
        self.end_with_metadata();
        self.token_count();
        self.message(
            "user",
            "input_text",
            &format!("<subagent_notification>\\n{{\\\"agent_path\\\":\\\"{child}\\\",\\\"status\\\":{{\\\"completed\\\":\\\"done\\\"}}}}\\n</subagent_notification>"),
        );
    }

    /// Writes the next turn, with at most `most_rounds` rounds of tools; `children` are subagent threads started in
    /// it, by id and name.
    pub fn turn(&mut self, truth: &mut Truth, children: &[(String, &'static str)], most_rounds: usize) {
        let is_first = self.sequence == 0;
        let trigger = if matches!(self.origin, Origin::Exec) { "exec" } else { "user" };
        self.turn_started(Some(trigger));
        self.clock.pass(&mut self.rng, 10, 60);
        if is_first {
            let skills = self.bulk(9_000);
            self.message("developer", "input_text", &format!("<skills_instructions> {skills}"));
            self.message(
                "user",
                "input_text",
                "<environment_context>\\n  <shell>bash</shell>\\n</environment_context>",
            );
            let state = self.bulk(4_600);
            self.begin("world_state");
            self.lines.flag("full", true);
            self.lines.open("state");
            self.lines.text("host_skills", state);
            self.lines.close();
            self.end();
        }
        self.turn_context();
        self.prompt(truth);
        for (child, nickname) in children {
            self.spawn(truth, child, nickname);
        }
        for _ in 0..self.rng.size(4, 0.8, 40).min(most_rounds) {
            self.clock.pass(&mut self.rng, 500, 12_000);
            if self.rng.chance(400) {
                self.reasoning();
            }
            self.call(truth);
        }
        self.clock.pass(&mut self.rng, 500, 12_000);
        match self.rng.below(100) {
            0 | 1 => self.turn_failed(),
            2 | 3 if !matches!(self.origin, Origin::Exec) => self.turn_aborted(),
            _ => {
                let bytes = self.rng.size(600, 1.0, 20_000);
                let text = self.pool.text(&mut self.rng, bytes);
                let id = hex(&mut self.rng, 48);
                self.item_begin("AgentMessage", &format!("msg_{id}"));
                self.lines.open_list("content");
                self.lines.open_item();
                self.lines.text("type", "Text");
                self.lines.text("text", text);
                self.lines.close();
                self.lines.close_list();
                self.item_end();
                self.message("assistant", "output_text", text);
                self.response_done(truth);
                self.token_count();
                self.turn_complete(Some(text), "");
            }
        }
        if self.context > 220_000 || self.rng.chance(15) {
            self.compact(truth);
        }
        self.clock.pass(&mut self.rng, 3_000, 400_000);
    }

    fn reasoning(&mut self) {
        let text = self.pool.text(&mut self.rng, 160);
        let id = hex(&mut self.rng, 48);
        self.item_begin("Reasoning", &format!("rs_{id}"));
        self.lines.raw("summary_text", &format!("[\"{text}\"]"));
        self.lines.raw("raw_content", "[]");
        self.item_end();
        let secret = hex(&mut self.rng, 900);
        self.begin("response_item");
        let l = &mut self.lines;
        l.text("type", "reasoning");
        l.text("id", &format!("rs_{id}"));
        l.raw("summary", &format!("[{{\"type\":\"summary_text\",\"text\":\"{text}\"}}]"));
        l.raw("content", "null");
        l.text("encrypted_content", &secret);
        self.end_with_metadata();
    }

    fn turn_complete(&mut self, last: Option<&str>, error: &str) {
        self.event("task_complete");
        let l = &mut self.lines;
        l.text("root_turn_id", &self.turn);
        l.text("turn_id", &self.turn);
        l.text_or_null("last_agent_message", last);
        if !error.is_empty() {
            l.raw("error", error);
        }
        l.int("started_at", self.clock.seconds());
        l.int("completed_at", self.clock.seconds());
        l.int("duration_ms", 4_880);
        l.int("time_to_first_token_ms", 261);
        self.end();
    }

    fn turn_failed(&mut self) {
        self.turn_complete(None, "{\"message\":\"We’re currently experiencing high demand\",\"codex_error_info\":\"internal_server_error\"}");
    }

    fn turn_aborted(&mut self) {
        self.message(
            "user",
            "input_text",
            "<turn_aborted>\\nThe user interrupted the previous turn on purpose.\\n</turn_aborted>",
        );
        self.event("turn_aborted");
        let l = &mut self.lines;
        l.text("root_turn_id", &self.turn);
        l.text("turn_id", &self.turn);
        l.text("reason", "interrupted");
        l.int("started_at", self.clock.seconds());
        l.int("completed_at", self.clock.seconds());
        l.int("duration_ms", 3_138);
        self.end();
    }

    /// A turn of its own: the old count again, the summary's response, then an estimate that is no response.
    fn compact(&mut self, truth: &mut Truth) {
        self.turn_started(None);
        self.token_count();
        let bytes = self.rng.size(4_000, 0.5, 20_000);
        let text = self.pool.text(&mut self.rng, bytes);
        self.message("assistant", "output_text", text);
        self.response_done(truth);
        self.token_count();
        let window = uuid7(&mut self.rng, self.clock.ms());
        self.begin("compacted");
        self.lines.text("message", text);
        self.lines.raw("replacement_history", "[]");
        self.lines.int("window_number", 1);
        self.lines.text("window_id", &window);
        self.end();
        self.turn_context();
        self.context = self.rng.range(6_000, 14_000);
        self.event("token_count");
        let l = &mut self.lines;
        l.open("info");
        self.total.write(l, "total_token_usage", true);
        l.raw(
            "last_token_usage",
            &format!("{{\"input_tokens\":0,\"cached_input_tokens\":0,\"cache_write_input_tokens\":0,\"output_tokens\":0,\"reasoning_output_tokens\":0,\"total_tokens\":{}}}", self.context),
        );
        l.int("model_context_window", 258_400);
        l.close();
        self.end();
        let id = uuid7(&mut self.rng, self.clock.ms());
        self.item_begin("ContextCompaction", &id);
        self.item_end();
        self.turn_complete(None, "");
    }
}
