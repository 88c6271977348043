//! Turns: what a person typed, and everything that follows until the agent stops.

use super::responses::End;
use super::{CONTEXT_BEFORE_COMPACTION, Entry, Spawn, Transcript};
use crate::ids::uuid;
use crate::text::Pool;
use crate::truth::Truth;

impl Transcript<'_> {
    fn prompt_text(&mut self) -> String {
        let bytes = self.rng.size(120, 1.1, 12_000);
        let lead = Pool::words(&mut self.rng, 3);
        format!("{lead} {}", self.pool.text(&mut self.rng, bytes))
    }

    fn user_record(&mut self, content: &str, source: &str, origin: &str) -> String {
        let line = self.tree_begin();
        self.lines.text("promptId", &self.prompt_id);
        self.agent_field();
        self.lines.text("type", "user");
        self.lines.open("message");
        self.lines.text("role", "user");
        self.lines.text("content", content);
        self.lines.close();
        let id = self.stamp();
        if self.agent.is_none() {
            self.lines.text("permissionMode", "default");
            match origin {
                "human" => self.lines.raw("origin", "{\"kind\":\"human\"}"),
                "task_notification" => {
                    self.lines.raw("origin", "{\"kind\":\"task-notification\",\"producer\":\"session-task\"}")
                }
                _ => {}
            }
            self.lines.text("promptSource", source);
            self.lines.text("turnOrigin", origin);
            self.lines.open("turnPosition");
            self.lines.int("promptIndex", self.prompts);
            self.lines.int("turnIndex", self.prompts);
            self.lines.close();
        }
        self.tree_end(line, id.clone(), false);
        id
    }

    /// A `user` record no one typed: a command, its output, bash mode, a reminder.
    fn client_record(&mut self, content: &str, is_meta: bool) {
        let line = self.tree_begin();
        self.lines.text("promptId", &self.prompt_id);
        self.agent_field();
        self.lines.text("type", "user");
        self.lines.open("message");
        self.lines.text("role", "user");
        self.lines.text("content", content);
        self.lines.close();
        if is_meta {
            self.lines.flag("isMeta", true);
            self.lines.flag("turnCompanion", true);
        }
        let id = self.stamp();
        self.tree_end(line, id, false);
    }

    fn system(&mut self, subtype: &str, fields: &[(&str, &str)]) {
        let line = self.tree_begin();
        self.lines.text("type", "system");
        self.lines.text("subtype", subtype);
        for (key, json) in fields {
            self.lines.raw(key, json);
        }
        let id = self.stamp();
        self.tree_end(line, id, false);
    }

    fn prompt(&mut self, truth: &mut Truth, source: &str) -> String {
        self.prompts += 1;
        self.prompt_id = uuid(&mut self.rng);
        let text = self.prompt_text();
        match self.entry {
            Entry::Print if self.agent.is_none() => {
                self.queue("enqueue", Some(&text));
                self.queue("dequeue", None);
                self.clock.pass(&mut self.rng, 2, 60);
                self.user_record(&text, "sdk", "sdk");
            }
            _ => {
                let snapshot = uuid(&mut self.rng);
                if self.agent.is_none() {
                    self.file_history_snapshot(&snapshot);
                    self.typed.push((self.clock.ms(), text.clone()));
                }
                self.user_record(&text, source, "human");
            }
        }
        if self.agent.is_none() {
            truth.prompts += 1;
        }
        text
    }

    /// Writes the next turn, with at most `most_rounds` rounds of tools. `spawns` are started in it; those started
    /// are returned with the call that did.
    pub fn turn(&mut self, truth: &mut Truth, spawns: Vec<Spawn>, most_rounds: usize) -> Vec<Spawn> {
        let first = !self.introduced;
        if first && self.agent.is_none() {
            self.state_lines();
        }
        self.between_turns(truth);
        let source = if !first && self.rng.chance(30) { "queued" } else { "typed" };
        let text = self.prompt(truth, source);
        if first {
            self.introduction();
        }
        let started = self.work(truth, spawns, most_rounds);
        self.turn_end(&text);
        if first {
            self.prompt_snapshot(true);
        }
        if self.agent.is_none() {
            for spawn in &started {
                self.notification_turn(truth, spawn);
            }
        }
        if self.context > CONTEXT_BEFORE_COMPACTION || (self.agent.is_none() && self.rng.chance(10)) {
            self.compact();
        }
        self.clock.pass(&mut self.rng, 3_000, 400_000);
        started
    }

    /// What a person does beside prompting: commands, bash mode, a prompt taken back before its first byte.
    fn between_turns(&mut self, truth: &mut Truth) {
        if self.agent.is_some() || self.entry == Entry::Print {
            return;
        }
        match self.rng.below(100) {
            0..=2 => {
                self.client_record("<local-command-caveat>The command below was run directly, not sent to you.</local-command-caveat>", true);
                self.client_record("<command-name>/cost</command-name>\\n            <command-message>cost</command-message>\\n            <command-args></command-args>", false);
                self.system(
                    "local_command",
                    &[
                        ("content", "\"<local-command-stdout>Total cost: $1.20</local-command-stdout>\""),
                        ("level", "\"info\""),
                        ("isMeta", "false"),
                        ("commandRun", "{\"command\":\"cost\",\"args\":\"\"}"),
                    ],
                );
                self.client_record("<local-command-stdout>Total cost: $1.20</local-command-stdout>", false);
            }
            3 | 4 => {
                self.client_record("<bash-input>git status</bash-input>", false);
                self.client_record("<bash-stdout>On branch main\\nnothing to commit</bash-stdout><bash-stderr></bash-stderr>", false);
            }
            5 if self.introduced => {
                // Esc before the first byte: the line stays as a dead branch, and the person did submit it.
                let leaf = self.last.clone();
                self.prompt(truth, "typed");
                self.last = leaf;
                self.clock.pass(&mut self.rng, 500, 5_000);
            }
            6 => self.rename(),
            7 => self.ai_title(),
            _ => {}
        }
    }

    fn work(&mut self, truth: &mut Truth, spawns: Vec<Spawn>, most_rounds: usize) -> Vec<Spawn> {
        let mut started = Vec::new();
        if !spawns.is_empty() {
            let (_, calls) = self.respond(truth, 0, spawns, End::Tools);
            started = self.results(calls);
        }
        let interactive = self.entry != Entry::Print && self.agent.is_none();
        let rounds = self.rng.size(4, 0.8, 40).min(most_rounds);
        for round in 0..rounds {
            let tools = if self.rng.chance(250) { self.rng.range(2, 4) } else { 1 };
            let (_, calls) = self.respond(truth, tools, Vec::new(), End::Tools);
            if interactive && self.rng.chance(6) {
                if let Some(call) = calls.last() {
                    self.interrupt_tool(call);
                }
                return started;
            }
            self.results(calls);
            if interactive && round == 0 && self.rng.chance(60) {
                self.absorbed_prompt(truth);
            }
            if self.rng.chance(20) {
                self.client_record(
                    "<system-reminder>\\nThe task list has not been used recently.\\n</system-reminder>",
                    true,
                );
            }
            if self.rng.chance(60) {
                self.tools_used();
            }
        }
        match self.rng.below(1000) {
            0..=24 => self.api_error(),
            25..=49 if interactive => {
                let (message, _) = self.respond(truth, 0, Vec::new(), End::CutByPerson);
                self.interruption("[Request interrupted by user]", Some(&message));
            }
            _ => {
                self.respond(truth, 0, Vec::new(), End::Turn);
            }
        }
        started
    }

    /// A prompt typed while the agent works and taken into the running turn: no `user` record.
    fn absorbed_prompt(&mut self, truth: &mut Truth) {
        let text = self.prompt_text();
        self.queue("enqueue", Some(&text));
        self.clock.pass(&mut self.rng, 200, 9_000);
        let (source, delivery) = (uuid(&mut self.rng), uuid(&mut self.rng));
        self.lines.begin();
        self.lines.text("type", "queue-operation");
        self.lines.text("operation", "remove");
        self.lines.text("timestamp", &self.clock.iso());
        self.lines.text("sessionId", &self.id);
        self.lines.text("content", &text);
        self.lines.text("reason", "absorbed_mid_turn");
        self.lines.text("commandUuid", &source);
        self.lines.text("deliveryId", &delivery);
        self.lines.end();
        let at = self.clock.iso();
        self.attachment(
            "queued_command",
            |l| {
                l.text("prompt", &text);
                l.text("source_uuid", &source);
                l.text("delivery_id", &delivery);
                l.text("commandMode", "prompt");
                l.raw("origin", "{\"kind\":\"human\"}");
                l.text("timestamp", &at);
                l.flag("humanTurn", true);
            },
            340,
        );
        truth.prompts += 1;
    }

    /// The turn a finished background agent starts by itself.
    fn notification_turn(&mut self, truth: &mut Truth, spawn: &Spawn) {
        self.clock.pass(&mut self.rng, 5_000, 200_000);
        self.prompt_id = uuid(&mut self.rng);
        let result = self.pool.text(&mut self.rng, 300);
        let content = format!(
            "<task-notification>\\n<task-id>{}</task-id>\\n<tool-use-id>{}</tool-use-id>\\n<status>completed</status>\\n<summary>Agent completed</summary>\\n<result>{result}</result>\\n</task-notification>",
            spawn.agent_id, spawn.tool_use_id
        );
        self.queue("enqueue", Some(&content));
        self.queue("dequeue", None);
        self.client_record("<system-reminder>\\n<tools-used-before-summary>Bash</tools-used-before-summary>\\n</system-reminder>", true);
        self.user_record(&content, "system", "task_notification");
        self.respond(truth, 0, Vec::new(), End::Turn);
        self.turn_end("");
    }

    fn turn_end(&mut self, prompt: &str) {
        if self.agent.is_some() {
            return;
        }
        if self.rng.chance(400) {
            self.system(
                "stop_hook_summary",
                &[
                    ("hookCount", "1"),
                    ("hookInfos", "[{\"command\":\"notify-send done\",\"durationMs\":89}]"),
                    ("hookErrors", "[]"),
                    ("preventedContinuation", "false"),
                    ("stopReason", "\"\""),
                    ("hasOutput", "false"),
                    ("level", "\"suggestion\""),
                ],
            );
        }
        if self.entry != Entry::Print {
            self.system(
                "turn_duration",
                &[("durationMs", "5297"), ("messageCount", "25"), ("isMeta", "false")],
            );
        }
        if self.rng.chance(300) && !prompt.is_empty() {
            self.last_prompt(prompt);
            self.state_lines();
        }
    }

    fn compact(&mut self) {
        let before = self.context;
        self.context = self.rng.range(8_000, 24_000);
        let old_leaf = self.last.take().unwrap_or_default();
        let line = self.tree_begin();
        self.lines.text("logicalParentUuid", &old_leaf);
        self.lines.text("type", "system");
        self.lines.text("subtype", "compact_boundary");
        self.lines.text("content", "Conversation compacted");
        self.lines.text("level", "info");
        self.lines.open("compactMetadata");
        self.lines.text("trigger", "auto");
        self.lines.int("preTokens", before);
        self.lines.int("postTokens", self.context);
        self.lines.int("cumulativeDroppedTokens", before - self.context.min(before));
        self.lines.int("durationMs", 41_000);
        self.lines.close();
        let id = self.stamp();
        self.tree_end(line, id, false);

        let bytes = self.rng.size(6_000, 0.5, 30_000);
        let body = self.pool.text(&mut self.rng, bytes);
        let line = self.tree_begin();
        self.lines.text("promptId", &self.prompt_id);
        self.agent_field();
        self.lines.text("type", "user");
        self.lines.open("message");
        self.lines.text("role", "user");
        self.lines.text(
            "content",
            &format!(
                "This session is being continued from a previous conversation that ran out of context. {body}"
            ),
        );
        self.lines.close();
        self.lines.flag("isVisibleInTranscriptOnly", true);
        self.lines.flag("isCompactSummary", true);
        let id = self.stamp();
        self.lines.raw("summarizedTurnPromptUuids", "[]");
        self.tree_end(line, id, false);
    }

    /// Ends the transcript in the middle of a turn: a call without an answer.
    pub fn leave_call_open(&mut self, truth: &mut Truth) {
        self.prompt(truth, "typed");
        self.respond(truth, 1, Vec::new(), End::Tools);
    }
}
