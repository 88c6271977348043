//! Rollouts of Codex 0.42 to 0.125: events without ordinals, no response ids, token counts only.
//!
//! A response has no id here. It shows as a `token_count` whose `info` is not null and whose running total differs
//! from the one before in the same file; its tokens are that event's `last_token_usage`. Its key is the thread and
//! the running total. Before each such count the previous one is repeated, which must not be counted again.

use super::Tokens;
use crate::clock::Clock;
use crate::ids::{alnum, hex, uuid7};
use crate::json::{Lines, escape};
use crate::rng::Rng;
use crate::text::Pool;
use crate::truth::Truth;

/// An old rollout being written.
#[derive(Debug)]
pub struct OldRollout<'p> {
    pool: &'p Pool,
    rng: Rng,
    lines: Lines,
    /// Thread id.
    pub thread: String,
    version: &'static str,
    cwd: String,
    model: &'static str,
    /// The thread's clock.
    pub clock: Clock,
    total: Option<Tokens>,
    last: Tokens,
    context: u64,
    turn: String,
}

impl<'p> OldRollout<'p> {
    /// A rollout with its first lines.
    pub fn new(pool: &'p Pool, mut rng: Rng, cwd: String, clock: Clock) -> Self {
        let thread = uuid7(&mut rng, clock.ms());
        let version = rng.pick(&["0.42.0", "0.63.0", "0.98.0", "0.125.0"]);
        let model = rng.pick(&["gpt-5-codex", "gpt-5.1-codex", "gpt-5.1-codex-max"]);
        let mut rollout = Self {
            pool,
            rng,
            lines: Lines::default(),
            thread,
            version,
            cwd,
            model,
            clock,
            total: None,
            last: Tokens::default(),
            context: 0,
            turn: String::new(),
        };
        rollout.session_meta();
        rollout.message(
            "user",
            "input_text",
            "<environment_context>\\n  <shell>bash</shell>\\n</environment_context>",
        );
        rollout
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> &[u8] {
        self.lines.bytes()
    }

    fn is_new_enough_for_turns(&self) -> bool {
        self.version == "0.125.0"
    }

    fn begin(&mut self, kind: &str) {
        self.lines.begin();
        self.lines.text("timestamp", &self.clock.iso());
        self.lines.text("type", kind);
        self.lines.open("payload");
    }

    fn event(&mut self, kind: &str) {
        self.begin("event_msg");
        self.lines.text("type", kind);
    }

    fn end(&mut self) {
        self.lines.close();
        self.lines.end();
    }

    fn session_meta(&mut self) {
        let commit = hex(&mut self.rng, 40);
        let instructions = self.pool.text(&mut self.rng, 6_600);
        self.begin("session_meta");
        let l = &mut self.lines;
        l.text("id", &self.thread);
        l.text("timestamp", &self.clock.iso());
        l.string("cwd", &self.cwd);
        match self.version {
            "0.42.0" => {
                l.text("originator", "codex_cli_rs");
                l.text("cli_version", self.version);
                l.raw("instructions", "null");
            }
            "0.63.0" => {
                l.text("originator", "codex_exec");
                l.text("cli_version", self.version);
                l.raw("instructions", "null");
                l.text("source", "exec");
                l.text("model_provider", "openai");
            }
            _ => {
                l.text("originator", "codex_exec");
                l.text("cli_version", self.version);
                l.text("source", "exec");
                l.text("model_provider", "openai");
                l.open("base_instructions");
                l.text("text", instructions);
                l.close();
            }
        }
        l.raw("git", &format!("{{\"commit_hash\":\"{commit}\",\"branch\":\"main\"}}"));
        self.end();
    }

    fn message(&mut self, role: &str, kind: &str, text: &str) {
        self.begin("response_item");
        let l = &mut self.lines;
        l.text("type", "message");
        l.text("role", role);
        l.open_list("content");
        l.open_item();
        l.text("type", kind);
        l.text("text", text);
        l.close();
        l.close_list();
        self.end();
    }

    fn turn_context(&mut self) {
        self.begin("turn_context");
        let l = &mut self.lines;
        if self.version == "0.125.0" {
            l.text("turn_id", &self.turn);
        }
        l.string("cwd", &self.cwd);
        l.text("approval_policy", "never");
        l.raw(
            "sandbox_policy",
            if self.version == "0.42.0" {
                "{\"mode\":\"danger-full-access\"}"
            } else {
                "{\"type\":\"danger-full-access\"}"
            },
        );
        l.text("model", self.model);
        l.text("summary", "auto");
        self.end();
    }

    fn token_count(&mut self) {
        self.event("token_count");
        let l = &mut self.lines;
        match &self.total {
            None => l.raw("info", "null"),
            Some(total) => {
                l.open("info");
                total.write(l, "total_token_usage", false);
                self.last.write(l, "last_token_usage", false);
                l.int("model_context_window", if self.version == "0.42.0" { 272_000 } else { 258_400 });
                l.close();
            }
        }
        let reset =
            if self.version == "0.42.0" { "\"resets_in_seconds\":1200" } else { "\"resets_at\":1795190000" };
        l.raw(
            "rate_limits",
            &format!("{{\"primary\":{{\"used_percent\":12.5,\"window_minutes\":300,{reset}}},\"secondary\":{{\"used_percent\":40.0,\"window_minutes\":10080,{reset}}}}}"),
        );
        self.end();
    }

    /// The two counts of one response: the old one again, then its own.
    fn response_done(&mut self, truth: &mut Truth) {
        self.token_count();
        self.clock.pass(&mut self.rng, 5, 90);
        let one = Tokens::draw(&mut self.rng, self.context, false);
        self.context = one.input;
        self.total.get_or_insert_default().add(one);
        self.last = one;
        truth.response(self.model, one.usage());
        self.token_count();
    }

    /// Writes the next turn, with at most `most_rounds` rounds of tools.
    pub fn turn(&mut self, truth: &mut Truth, most_rounds: usize) {
        if self.is_new_enough_for_turns() {
            self.turn = uuid7(&mut self.rng, self.clock.ms());
            self.event("task_started");
            self.lines.text("turn_id", &self.turn);
            self.lines.int("started_at", self.clock.seconds());
            self.lines.int("model_context_window", 258_400);
            self.lines.text("collaboration_mode_kind", "default");
            self.end();
        }
        let bytes = self.rng.size(120, 1.1, 12_000);
        let lead = Pool::words(&mut self.rng, 3);
        let text = format!("{lead} {}", self.pool.text(&mut self.rng, bytes));
        self.message("user", "input_text", &text);
        self.event("user_message");
        self.lines.text("message", &text);
        if self.version == "0.42.0" {
            self.lines.text("kind", "plain");
        } else {
            self.lines.raw("images", "[]");
        }
        self.end();
        truth.prompts += 1;
        self.turn_context();
        for _ in 0..self.rng.size(4, 0.8, 40).min(most_rounds) {
            self.clock.pass(&mut self.rng, 500, 12_000);
            self.reasoning();
            self.response_done(truth);
            self.call(truth);
            if !self.is_new_enough_for_turns() {
                self.turn_context();
            }
        }
        self.clock.pass(&mut self.rng, 500, 12_000);
        if self.rng.chance(30) {
            self.event("turn_aborted");
            if self.is_new_enough_for_turns() {
                self.lines.text("turn_id", &self.turn);
            }
            self.lines.text("reason", "interrupted");
            self.end();
        } else {
            self.answer(truth);
        }
        if self.context > 220_000 {
            self.context = 9_000;
        }
        self.clock.pass(&mut self.rng, 3_000, 400_000);
    }

    fn reasoning(&mut self) {
        let text = self.pool.text(&mut self.rng, 120);
        self.event("agent_reasoning");
        self.lines.text("text", text);
        self.end();
        let secret = hex(&mut self.rng, 700);
        self.begin("response_item");
        let l = &mut self.lines;
        l.text("type", "reasoning");
        l.raw("summary", &format!("[{{\"type\":\"summary_text\",\"text\":\"{text}\"}}]"));
        l.raw("content", "null");
        l.text("encrypted_content", &secret);
        self.end();
    }

    fn call(&mut self, truth: &mut Truth) {
        let call = alnum(&mut self.rng, "call_", 24);
        let argument_bytes = self.rng.size(80, 0.9, 4_000);
        let argument = self.pool.text(&mut self.rng, argument_bytes);
        let is_patch = self.rng.chance(200);
        truth.tool_calls += 1;
        self.begin("response_item");
        let l = &mut self.lines;
        if is_patch {
            l.text("type", "custom_tool_call");
            l.text("status", "completed");
            l.text("call_id", &call);
            l.text("name", "apply_patch");
            l.text("input", argument);
        } else {
            l.text("type", "function_call");
            l.text("name", "shell");
            l.text(
                "arguments",
                &format!("{{\\\"command\\\":[\\\"bash\\\",\\\"-lc\\\",\\\"{}\\\"]}}", escape(argument)),
            );
            l.text("call_id", &call);
        }
        self.end();
        self.clock.pass(&mut self.rng, 60, 20_000);
        let bytes = self.rng.size(1_500, 1.4, 200_000);
        let output = self.pool.text(&mut self.rng, bytes);
        self.begin("response_item");
        let l = &mut self.lines;
        l.text("type", if is_patch { "custom_tool_call_output" } else { "function_call_output" });
        l.text("call_id", &call);
        l.text(
            "output",
            &format!(
                "{{\\\"output\\\":\\\"{}\\\",\\\"metadata\\\":{{\\\"exit_code\\\":0}}}}",
                escape(output)
            ),
        );
        self.end();
    }

    fn answer(&mut self, truth: &mut Truth) {
        let bytes = self.rng.size(600, 1.0, 20_000);
        let text = self.pool.text(&mut self.rng, bytes);
        self.event("agent_message");
        self.lines.text("message", text);
        self.end();
        self.message("assistant", "output_text", text);
        self.response_done(truth);
        if self.is_new_enough_for_turns() {
            self.event("task_complete");
            self.lines.text("turn_id", &self.turn);
            self.lines.text("last_agent_message", text);
            self.lines.int("completed_at", self.clock.seconds());
            self.lines.int("duration_ms", 454);
            self.end();
        }
    }
}
