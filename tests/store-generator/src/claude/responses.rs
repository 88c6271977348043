//! Model responses, tool calls and their results.

use super::{Entry, Spawn, Transcript};
use crate::ids::{base58, hex, uuid};
use crate::json::Lines;
use crate::text::Pool;
use crate::truth::{Truth, Usage};

/// One content block; each becomes a line of its own.
#[derive(Debug)]
enum Block<'p> {
    Thinking(&'p str),
    Text(&'p str),
    Tool(Call<'p>),
}

/// A tool call and what is needed to write its result.
#[derive(Debug)]
pub(super) struct Call<'p> {
    pub(super) id: String,
    name: &'static str,
    argument: &'p str,
    body: &'p str,
    spawn: Option<Spawn>,
}

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Turn,
    Tools,
    CutByPerson,
}

/// Writes a `usage` object as the client of 2.1 does.
fn write_usage(lines: &mut Lines, usage: Usage, whole: bool) {
    lines.open("usage");
    lines.int("input_tokens", usage.input);
    lines.int("cache_creation_input_tokens", usage.cache_write_5m + usage.cache_write_1h);
    lines.int("cache_read_input_tokens", usage.cache_read);
    lines.int("output_tokens", usage.output);
    if whole {
        lines.raw("output_tokens_details", "{\"thinking_tokens\":0}");
        lines.raw("server_tool_use", "{\"web_search_requests\":0,\"web_fetch_requests\":0}");
    }
    lines.text("service_tier", "standard");
    lines.open("cache_creation");
    lines.int("ephemeral_1h_input_tokens", usage.cache_write_1h);
    lines.int("ephemeral_5m_input_tokens", usage.cache_write_5m);
    lines.close();
    if whole {
        lines.text("inference_geo", "");
        lines.raw("iterations", "[]");
        lines.text("speed", "standard");
        lines.raw("fallback_credit", "null");
    }
    lines.close();
}

impl<'p> Transcript<'p> {
    fn next_usage(&mut self, written_chars: usize) -> Usage {
        let new = if self.context == 0 { self.rng.range(9_000, 22_000) } else { self.rng.range(120, 6_000) };
        let read = self.context;
        self.context += new;
        let (cache_write_5m, cache_write_1h) = if !self.one_hour_cache {
            (new, 0)
        } else if self.rng.chance(300) {
            (new / 5, new - new / 5)
        } else {
            (0, new)
        };
        Usage {
            input: self.rng.range(1, 12),
            output: self.rng.range(8, 60) + written_chars as u64 / 4,
            cache_write_5m,
            cache_write_1h,
            cache_read: read,
        }
    }

    fn call(&mut self) -> Call<'p> {
        let name = match self.rng.below(100) {
            0..=44 => "Bash",
            45..=69 => "Read",
            70..=84 => "Edit",
            85..=90 => "Write",
            91..=93 => "TaskUpdate",
            94..=96 => "mcp__tracker__search",
            _ => "WebFetch",
        };
        let (median, sigma, max) = match name {
            "Bash" => (700, 1.5, 120_000),
            "Read" => (3_500, 1.2, 400_000),
            "Edit" => (900, 0.9, 20_000),
            "Write" => (2_500, 1.0, 60_000),
            _ => (500, 1.0, 20_000),
        };
        let bytes = self.rng.size(median, sigma, max);
        let argument_bytes = self.rng.size(60, 0.6, 900);
        Call {
            id: base58(&mut self.rng, "toolu_01", 22),
            name,
            argument: self.pool.text(&mut self.rng, argument_bytes),
            body: self.pool.text(&mut self.rng, bytes),
            spawn: None,
        }
    }

    fn agent_call(&mut self, spawn: Spawn) -> Call<'p> {
        let bytes = self.rng.size(500, 0.8, 6_000);
        Call {
            id: base58(&mut self.rng, "toolu_01", 22),
            name: "Agent",
            argument: self.pool.text(&mut self.rng, 40),
            body: self.pool.text(&mut self.rng, bytes),
            spawn: Some(spawn),
        }
    }

    /// Writes one response of the model: a line per block, the same usage on each. Returns its calls.
    pub(super) fn respond(
        &mut self,
        truth: &mut Truth,
        tools: u64,
        spawns: Vec<Spawn>,
        end: End,
    ) -> (String, Vec<Call<'p>>) {
        let request_ref = self.request();
        self.clock.pass(&mut self.rng, 700, 14_000);
        let mut blocks = Vec::new();
        if self.rng.chance(300) {
            let bytes = self.rng.size(600, 1.0, 30_000);
            blocks.push(Block::Thinking(self.pool.text(&mut self.rng, bytes)));
        }
        if end != End::Tools || self.rng.chance(600) {
            let bytes = self.rng.size(if end == End::Turn { 700 } else { 160 }, 1.0, 20_000);
            blocks.push(Block::Text(self.pool.text(&mut self.rng, bytes)));
        }
        for _ in 0..tools {
            let call = self.call();
            blocks.push(Block::Tool(call));
        }
        for spawn in spawns {
            let call = self.agent_call(spawn);
            blocks.push(Block::Tool(call));
        }
        let chars = blocks
            .iter()
            .map(|block| match block {
                Block::Thinking(text) | Block::Text(text) => text.len(),
                Block::Tool(call) => {
                    call.argument.len()
                        + if matches!(call.name, "Edit" | "Write") { call.body.len() } else { 0 }
                }
            })
            .sum();
        let mut usage = self.next_usage(chars);
        if end == End::CutByPerson {
            // A cut response keeps the usage the stream opened with.
            usage.output = 1;
        }
        truth.response(self.model, usage);
        add(self.spent.entry(self.model).or_default(), usage);

        let message_id = base58(&mut self.rng, "msg_01", 22);
        let request_id = base58(&mut self.rng, "req_011C", 20);
        let mut calls = Vec::new();
        for (index, block) in blocks.into_iter().enumerate() {
            if index > 0 {
                self.clock.pass(&mut self.rng, 5, 900);
            }
            let signature_bytes = self.rng.index(400) + 200;
            let signature = hex(&mut self.rng, signature_bytes);
            let line = self.tree_begin();
            self.agent_field();
            let l = &mut self.lines;
            l.open("message");
            l.text("id", &message_id);
            l.text("type", "message");
            l.text("role", "assistant");
            l.text("model", self.model);
            l.open_list("content");
            l.open_item();
            match &block {
                Block::Thinking(text) => {
                    l.text("type", "thinking");
                    l.text("thinking", text);
                    l.text("signature", &signature);
                }
                Block::Text(text) => {
                    l.text("type", "text");
                    l.text("text", text);
                }
                Block::Tool(call) => {
                    truth.tool_calls += 1;
                    l.text("type", "tool_use");
                    l.text("id", &call.id);
                    l.text("name", call.name);
                    write_input(l, call);
                }
            }
            l.close();
            l.close_list();
            match end {
                End::Turn => l.text("stop_reason", "end_turn"),
                End::Tools => l.text("stop_reason", "tool_use"),
                End::CutByPerson => l.raw("stop_reason", "null"),
            }
            l.raw("stop_sequence", "null");
            write_usage(l, usage, end != End::CutByPerson);
            if end != End::CutByPerson {
                l.raw("stop_details", "null");
            }
            l.close();
            match &block {
                Block::Thinking(_) => {
                    l.int("thinkingDurationMs", 900);
                    l.text("thinkingDisplay", "updates");
                }
                Block::Tool(_) => l.int("toolInputStreamMs", 2),
                Block::Text(_) => {}
            }
            l.int("apiBlockIndex", index as u64);
            l.text("requestId", &request_id);
            l.text("requestRef", &request_ref);
            l.text("requestedModel", self.model);
            l.text("promptCacheRequested", if self.one_hour_cache { "1h" } else { "5m" });
            if let Some((_, kind)) = &self.agent {
                l.text("attributionAgent", kind);
            }
            l.text("type", "assistant");
            let id = self.stamp();
            if end == End::CutByPerson {
                self.lines.flag("isAbortedMidStream", true);
            }
            self.lines.text("effort", "medium");
            self.lines.text("perTurnEffort", "medium");
            self.lines.text("madeBy", "model");
            self.tree_end(line, id, true);
            if let Block::Tool(call) = block {
                calls.push(call);
            }
        }
        (message_id, calls)
    }

    /// Writes the results of some calls, one record each, and returns the subagents they started.
    pub(super) fn results(&mut self, calls: Vec<Call<'p>>) -> Vec<Spawn> {
        let mut spawned = Vec::new();
        for call in calls {
            let (low, high) = if call.spawn.is_some() { (40, 400) } else { (60, 9_000) };
            self.clock.pass(&mut self.rng, low, high);
            let failed = call.spawn.is_none() && self.rng.chance(60);
            let line = self.result_begin();
            let source = self.last.clone().unwrap_or_default();
            let l = &mut self.lines;
            l.open("message");
            l.text("role", "user");
            l.open_list("content");
            l.open_item();
            if failed {
                l.text("type", "tool_result");
                l.text("content", call.body);
                l.flag("is_error", true);
                l.text("tool_use_id", &call.id);
            } else {
                l.text("tool_use_id", &call.id);
                l.text("type", "tool_result");
                match (&call.spawn, call.name) {
                    (Some(spawn), _) => {
                        l.open_list("content");
                        l.open_item();
                        l.text("type", "text");
                        l.text(
                            "text",
                            &format!("Async agent launched successfully.\\nagentId: {}", spawn.agent_id),
                        );
                        l.close();
                        l.close_list();
                    }
                    (None, "Edit" | "Write") => l.text("content", "The file has been updated successfully."),
                    (None, _) => {
                        l.text("content", call.body);
                        l.flag("is_error", false);
                    }
                }
            }
            l.close();
            l.close_list();
            l.close();
            let id = self.stamp();
            if failed {
                let text = self.pool.text(&mut self.rng, 60);
                self.lines.text("toolUseResult", &format!("Error: {text}"));
            } else if self.agent.is_none() || self.rng.chance(500) {
                write_result(&mut self.lines, &call, &self.cwd, self.model);
            }
            self.lines.flag("sandboxed", false);
            self.lines.text("sourceToolAssistantUUID", &source);
            self.lines.raw("permissionDecision", "{\"decision\":\"accept\",\"source\":\"config\",\"reasonType\":\"rule\",\"ruleSource\":\"cliArg\"}");
            self.tree_end(line, id, false);
            if let Some(mut spawn) = call.spawn {
                spawn.tool_use_id = call.id;
                spawn.at_ms = self.clock.ms();
                spawned.push(spawn);
            }
        }
        spawned
    }

    fn result_begin(&mut self) -> usize {
        let line = self.tree_begin();
        self.lines.text("promptId", &self.prompt_id);
        self.agent_field();
        self.lines.text("type", "user");
        line
    }

    /// Writes the answer to a call the person refused or stopped, and the interruption line.
    pub(super) fn interrupt_tool(&mut self, call: &Call<'p>) {
        self.clock.pass(&mut self.rng, 800, 60_000);
        let line = self.result_begin();
        self.lines.open("message");
        self.lines.text("role", "user");
        self.lines.open_list("content");
        self.lines.open_item();
        self.lines.text("type", "tool_result");
        self.lines.text(
            "content",
            "The user doesn't want to proceed with this tool use. The tool use was rejected.",
        );
        self.lines.flag("is_error", true);
        self.lines.text("tool_use_id", &call.id);
        self.lines.close();
        self.lines.close_list();
        self.lines.close();
        let id = self.stamp();
        self.lines.text("toolUseResult", "User rejected tool use");
        self.lines.text("toolDenialKind", "user-rejected");
        self.tree_end(line, id, false);
        self.interruption("[Request interrupted by user for tool use]", None);
    }

    /// Writes the line Esc leaves behind.
    pub(super) fn interruption(&mut self, text: &str, cut_message: Option<&str>) {
        let line = self.result_begin();
        self.lines.open("message");
        self.lines.text("role", "user");
        self.lines.open_list("content");
        self.lines.open_item();
        self.lines.text("type", "text");
        self.lines.text("text", text);
        self.lines.close();
        self.lines.close_list();
        self.lines.close();
        let id = self.stamp();
        if let Some(message) = cut_message {
            self.lines.text("interruptedMessageId", message);
        }
        self.tree_end(line, id, false);
    }

    /// Writes the client's own message about a failed request: no model spoke.
    pub(super) fn api_error(&mut self) {
        self.request();
        if self.entry == Entry::Print {
            let line = self.tree_begin();
            self.lines.text("type", "system");
            self.lines.text("subtype", "api_error");
            self.lines.text("level", "error");
            self.lines.raw("error", "{\"message\":\"529 Overloaded\",\"status\":529,\"formatted\":\"529 Overloaded\",\"isNetworkDown\":false}");
            self.lines.int("retryInMs", 1209);
            self.lines.int("retryAttempt", 1);
            self.lines.int("maxRetries", 10);
            self.lines.text("source", "request_retry");
            let id = self.stamp();
            self.tree_end(line, id, false);
        }
        self.clock.pass(&mut self.rng, 2_000, 60_000);
        let message_id = uuid(&mut self.rng);
        let line = self.tree_begin();
        self.agent_field();
        self.lines.text("type", "assistant");
        let id = self.stamp();
        let l = &mut self.lines;
        l.open("message");
        l.text("id", &message_id);
        l.raw("container", "null");
        l.text("model", "<synthetic>");
        l.text("role", "assistant");
        l.text("stop_reason", "stop_sequence");
        l.text("stop_sequence", "");
        l.text("type", "message");
        write_usage(l, Usage::default(), true);
        l.open_list("content");
        l.open_item();
        l.text("type", "text");
        l.text("text", "API Error: 529 Overloaded. This is a server-side issue, usually temporary.");
        l.close();
        l.close_list();
        l.close();
        l.text("error", "server_error");
        l.flag("isApiErrorMessage", true);
        l.int("apiErrorStatus", 529);
        l.text("madeBy", "model");
        self.tree_end(line, id, true);
    }

    /// A subagent id and kind for the next `Agent` call.
    pub(crate) fn plan_spawn(&mut self) -> Spawn {
        let tail = hex(&mut self.rng, 16);
        Spawn {
            agent_id: format!("a{tail}"),
            agent_type: self.rng.pick(&["Explore", "general-purpose", "Plan"]),
            tool_use_id: String::new(),
            at_ms: self.clock.ms(),
        }
    }

    /// The `.meta.json` beside a subagent's transcript.
    pub fn meta(&mut self, spawn: &Spawn, parent: Option<&str>, depth: u64) -> Vec<u8> {
        let description = Pool::words(&mut self.rng, 4);
        let mut l = Lines::default();
        l.begin();
        l.text("agentType", spawn.agent_type);
        l.flag("isBuiltIn", true);
        l.text("description", &description);
        l.text("toolUseId", &spawn.tool_use_id);
        if let Some(parent) = parent {
            l.text("parentAgentId", parent);
        }
        l.int("spawnDepth", depth);
        l.text("requestShape", "background");
        l.text("model", self.model);
        l.flag("finished", true);
        l.end();
        l.bytes().to_vec()
    }
}

fn add(sum: &mut Usage, usage: Usage) {
    sum.input += usage.input;
    sum.output += usage.output;
    sum.cache_write_5m += usage.cache_write_5m;
    sum.cache_write_1h += usage.cache_write_1h;
    sum.cache_read += usage.cache_read;
}

fn write_input(l: &mut Lines, call: &Call<'_>) {
    l.open("input");
    match call.name {
        "Bash" => {
            l.text("command", call.argument);
            l.text("description", "Run it");
        }
        "Read" => l.text("file_path", "/home/dev/projects/atlas/src/main.rs"),
        "Edit" => {
            l.text("file_path", "/home/dev/projects/atlas/src/main.rs");
            l.text("old_string", call.argument);
            l.text("new_string", call.body);
            l.flag("replace_all", false);
        }
        "Write" => {
            l.text("file_path", "/home/dev/projects/atlas/notes.md");
            l.text("content", call.body);
        }
        "Agent" => {
            l.text("description", call.argument);
            l.text("prompt", call.body);
            l.text("subagent_type", call.spawn.as_ref().map_or("Explore", |spawn| spawn.agent_type));
        }
        _ => l.text("query", call.argument),
    }
    l.close();
}

fn write_result(l: &mut Lines, call: &Call<'_>, cwd: &str, model: &str) {
    l.open("toolUseResult");
    match call.name {
        "Read" => {
            l.text("type", "text");
            l.open("file");
            l.text("filePath", "/home/dev/projects/atlas/src/main.rs");
            l.text("content", call.body);
            l.int("numLines", call.body.len() as u64 / 50);
            l.int("startLine", 1);
            l.int("totalLines", call.body.len() as u64 / 50);
            l.close();
        }
        "Edit" => {
            l.text("filePath", "/home/dev/projects/atlas/src/main.rs");
            l.text("oldString", call.argument);
            l.text("newString", call.body);
            l.text("originalFile", call.body);
            l.raw("structuredPatch", "[]");
            l.flag("userModified", false);
            l.flag("replaceAll", false);
        }
        "Write" => {
            l.text("type", "create");
            l.text("filePath", "/home/dev/projects/atlas/notes.md");
            l.text("content", call.body);
            l.raw("structuredPatch", "[]");
            l.raw("originalFile", "null");
            l.flag("userModified", false);
        }
        "Agent" => {
            l.flag("isAsync", true);
            l.text("status", "async_launched");
            l.text("agentId", call.spawn.as_ref().map_or("", |spawn| &spawn.agent_id));
            l.text("description", call.argument);
            l.text("resolvedModel", model);
            l.text("prompt", call.body);
            l.string("outputFile", &format!("{cwd}/.output"));
        }
        _ => {
            l.text("stdout", call.body);
            l.text("stderr", "");
            l.flag("interrupted", false);
            l.flag("isImage", false);
            l.flag("noOutputExpected", false);
        }
    }
    l.close();
}
