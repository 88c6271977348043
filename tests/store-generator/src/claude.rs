//! Claude Code 2.1 transcripts: main files, subagents, forks.

mod responses;
mod turns;

use std::collections::{BTreeMap, HashMap};

use crate::clock::Clock;
use crate::ids::{hex, uuid};
use crate::json::{Lines, escape};
use crate::rng::Rng;
use crate::text::Pool;
use crate::truth::Usage;

/// The client version whose shapes these are.
pub const VERSION: &str = "2.1.329";

const CONTEXT_BEFORE_COMPACTION: u64 = 160_000;

/// Who runs the process; decides which bookkeeping lines surround a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Typed in a terminal.
    Interactive,
    /// `claude -p` or an SDK.
    Print,
    /// A background session.
    Background,
}

/// How a transcript came to begin with another one's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForkKind {
    /// `--resume ID --fork-session`.
    ForkSession,
    /// `/branch NAME`.
    Branch,
    /// The session went to the background under a new id.
    Background,
}

/// A subagent whose transcript is still to be written.
#[derive(Debug, Clone)]
pub struct Spawn {
    /// The id in its file name and on its lines.
    pub agent_id: String,
    /// `Explore`, `general-purpose` …
    pub agent_type: &'static str,
    /// The call that started it; filled when that call is written.
    pub tool_use_id: String,
    /// When it was started.
    pub at_ms: u64,
}

#[derive(Debug, Clone)]
struct TreeLine {
    start: usize,
    end: usize,
    uuid: String,
    is_assistant: bool,
}

/// A transcript being written.
#[derive(Debug, Clone)]
pub struct Transcript<'p> {
    pool: &'p Pool,
    rng: Rng,
    lines: Lines,
    /// Session id: the parent's for a subagent.
    pub id: String,
    stale_id: Option<String>,
    agent: Option<(String, &'static str)>,
    entry: Entry,
    cwd: String,
    branch: String,
    model: &'static str,
    /// The session's clock.
    pub clock: Clock,
    last: Option<String>,
    prompt_id: String,
    prompts: u64,
    one_hour_cache: bool,
    context: u64,
    base_request: Option<String>,
    tree: Vec<TreeLine>,
    spent: BTreeMap<&'static str, Usage>,
    bulk_per_mille: u64,
    introduced: bool,
    title: Option<String>,
    /// Prompts typed in the terminal, for `history.jsonl`: (ms, text).
    pub typed: Vec<(u64, String)>,
}

/// What a session is made with.
#[derive(Debug, Clone)]
pub struct Start<'p> {
    /// Where text comes from.
    pub pool: &'p Pool,
    /// The session's own random source.
    pub rng: Rng,
    /// Session id.
    pub id: String,
    /// Who runs it.
    pub entry: Entry,
    /// Working directory.
    pub cwd: String,
    /// Git branch.
    pub branch: String,
    /// Model name as written.
    pub model: &'static str,
    /// Start and end of time.
    pub clock: Clock,
    /// Size of the copies of the prompt and tool schemas, in thousandths of what the client writes.
    pub bulk_per_mille: u64,
}

impl<'p> Transcript<'p> {
    /// An empty transcript.
    pub fn new(start: Start<'p>) -> Self {
        let mut rng = start.rng;
        let prompt_id = uuid(&mut rng);
        let one_hour_cache = rng.chance(400);
        Self {
            pool: start.pool,
            rng,
            lines: Lines::default(),
            id: start.id,
            stale_id: None,
            agent: None,
            entry: start.entry,
            cwd: start.cwd,
            branch: start.branch,
            model: start.model,
            clock: start.clock,
            last: None,
            prompt_id,
            prompts: 0,
            one_hour_cache,
            context: 0,
            base_request: None,
            tree: Vec::new(),
            spent: BTreeMap::new(),
            bulk_per_mille: start.bulk_per_mille,
            introduced: false,
            title: None,
            typed: Vec::new(),
        }
    }

    /// The transcript of a subagent of this session.
    pub fn subagent(&self, spawn: &Spawn, rng: Rng, until_ms: u64) -> Self {
        let mut agent = Self::new(Start {
            pool: self.pool,
            rng,
            id: self.id.clone(),
            entry: self.entry,
            cwd: self.cwd.clone(),
            branch: self.branch.clone(),
            model: if spawn.agent_type == "Explore" { "claude-haiku-4-5-20251001" } else { self.model },
            clock: Clock::from_start(spawn.at_ms, until_ms),
            bulk_per_mille: self.bulk_per_mille,
        });
        agent.agent = Some((spawn.agent_id.clone(), spawn.agent_type));
        agent
    }

    /// A new session that begins with a copy of this one's tree lines.
    pub fn fork(&self, kind: ForkKind, new_id: String, rng: Rng) -> Self {
        let mut fork = self.clone();
        fork.rng = rng;
        fork.lines = Lines::default();
        fork.tree = Vec::new();
        fork.typed = Vec::new();
        fork.id = new_id;
        fork.base_request = None;
        fork.stale_id = (kind != ForkKind::ForkSession).then(|| self.id.clone());
        if kind == ForkKind::Background {
            fork.entry = Entry::Background;
        }
        if kind == ForkKind::Branch {
            let title = Pool::words(&mut fork.rng, 3);
            fork.title = Some(title);
        }
        fork.state_lines();
        let old_session = format!("\"sessionId\":\"{}\"", self.id);
        let new_session = format!("\"sessionId\":\"{}\"", fork.id);
        let mut turn_ids: HashMap<String, String> = HashMap::new();
        for line in &self.tree {
            let Ok(text) = std::str::from_utf8(&self.lines.bytes()[line.start..line.end]) else { continue };
            let mut copy = text.replacen(&old_session, &new_session, 1);
            if let Some(old) = value_after(&copy, "\"promptId\":\"") {
                let old = old.to_owned();
                let new = turn_ids.entry(old.clone()).or_insert_with(|| uuid(&mut fork.rng)).clone();
                copy = copy.replacen(&old, &new, 1);
            }
            copy.pop();
            if kind == ForkKind::Background && !copy.contains("\"sessionKind\":\"bg\"") {
                copy.push_str(",\"sessionKind\":\"bg\"");
            }
            if line.is_assistant && !copy.contains("\"requestSessionId\":\"") {
                copy.push_str(&format!(",\"requestSessionId\":\"{}\"", self.id));
            }
            if kind == ForkKind::Branch {
                if let Some(at) = copy.find(",\"forkedFrom\":{") {
                    copy.truncate(at);
                }
                copy.push_str(&format!(
                    ",\"forkedFrom\":{{\"sessionId\":\"{}\",\"messageUuid\":\"{}\"}}",
                    self.id, line.uuid
                ));
            }
            copy.push('}');
            let start = fork.lines.len();
            fork.lines.line(copy.as_bytes());
            fork.tree.push(TreeLine {
                start,
                end: fork.lines.len() - 1,
                uuid: line.uuid.clone(),
                is_assistant: line.is_assistant,
            });
        }
        fork
    }

    /// Everything written so far.
    pub fn bytes(&self) -> &[u8] {
        self.lines.bytes()
    }

    /// Number of bytes written so far.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// True while nothing is written.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    // ---- frame of a tree record

    fn tree_begin(&mut self) -> usize {
        let start = self.lines.len();
        self.lines.begin();
        self.lines.text_or_null("parentUuid", self.last.as_deref());
        self.lines.flag("isSidechain", self.agent.is_some());
        start
    }

    fn stamp(&mut self) -> String {
        let id = uuid(&mut self.rng);
        self.lines.text("uuid", &id);
        self.lines.text("timestamp", &self.clock.iso());
        id
    }

    fn agent_field(&mut self) {
        if let Some((id, _)) = &self.agent {
            self.lines.text("agentId", id);
        }
    }

    fn tree_end(&mut self, start: usize, uuid: String, is_assistant: bool) {
        if self.entry != Entry::Print && self.agent.is_none() && is_assistant {
            let id = self.stale_id.as_deref().unwrap_or(&self.id);
            self.lines.text("session_id", id);
        }
        if self.entry == Entry::Background {
            self.lines.text("sessionKind", "bg");
        }
        self.lines.text("userType", "external");
        self.lines.text("entrypoint", if self.entry == Entry::Print { "sdk-cli" } else { "cli" });
        self.lines.string("cwd", &self.cwd);
        self.lines.text("sessionId", &self.id);
        self.lines.text("version", VERSION);
        self.lines.string("gitBranch", &self.branch);
        self.lines.end();
        self.last = Some(uuid.clone());
        self.tree.push(TreeLine { start, end: self.lines.len() - 1, uuid, is_assistant });
    }

    // ---- line records without uuid

    fn state_line(&mut self, kind: &str, field: &str, value: &str) {
        self.lines.begin();
        self.lines.text("type", kind);
        self.lines.text(field, value);
        self.lines.text("sessionId", &self.id);
        self.lines.end();
    }

    fn state_lines(&mut self) {
        if let Some(title) = self.title.clone() {
            self.state_line("custom-title", "customTitle", &title);
            self.state_line("agent-name", "agentName", &title);
        }
        self.state_line("mode", "mode", "normal");
        if self.entry != Entry::Print {
            self.state_line("permission-mode", "permissionMode", "default");
        }
        self.state_line("atis-latch", "atis", "");
    }

    fn last_prompt(&mut self, text: &str) {
        let leaf = self.last.clone().unwrap_or_default();
        self.lines.begin();
        self.lines.text("type", "last-prompt");
        self.lines.text("lastPrompt", text);
        self.lines.text("leafUuid", &leaf);
        self.lines.text("sessionId", &self.id);
        self.lines.end();
    }

    /// Gives the session a title the model made.
    pub fn ai_title(&mut self) {
        let title = Pool::words(&mut self.rng, 5);
        self.state_line("ai-title", "aiTitle", &title);
    }

    /// Gives the session a name its person chose.
    pub fn rename(&mut self) {
        let title = Pool::words(&mut self.rng, 3);
        self.state_line("custom-title", "customTitle", &title);
        self.state_line("agent-name", "agentName", &title);
        self.title = Some(title);
    }

    /// Says that the session goes on in the background under another id.
    pub fn continued_in(&mut self, other: &str) {
        self.lines.begin();
        self.lines.text("type", "continued-in");
        self.lines.text("timestamp", &self.clock.iso());
        self.lines.text("sessionId", &self.id);
        self.lines.text("continuedInSessionId", other);
        self.lines.end();
    }

    fn queue(&mut self, operation: &str, content: Option<&str>) {
        self.lines.begin();
        self.lines.text("type", "queue-operation");
        self.lines.text("operation", operation);
        self.lines.text("timestamp", &self.clock.iso());
        self.lines.text("sessionId", &self.id);
        if let Some(content) = content {
            self.lines.text("content", content);
        }
        self.lines.end();
    }

    fn file_history_snapshot(&mut self, message: &str) {
        self.lines.begin();
        self.lines.text("type", "file-history-snapshot");
        self.lines.text("messageId", message);
        self.lines.open("snapshot");
        self.lines.text("messageId", message);
        self.lines.raw("trackedFileBackups", "{}");
        self.lines.text("timestamp", &self.clock.iso());
        self.lines.close();
        self.lines.flag("isSnapshotUpdate", false);
        self.lines.end();
    }

    /// The running cost, as written at an orderly exit.
    pub fn cost_state(&mut self) {
        self.lines.begin();
        self.lines.text("type", "cost-state");
        self.lines.text("sessionId", &self.id);
        let output: u64 = self.spent.values().map(|u| u.output).sum();
        self.lines.raw("totalCostUSD", &format!("{}.{:02}", output / 40_000, (output / 400) % 100));
        self.lines.int("totalAPIDuration", output * 20);
        self.lines.int("totalAPIDurationWithoutRetries", output * 19);
        self.lines.int("totalToolDuration", output);
        self.lines.int("totalLinesAdded", output / 90);
        self.lines.int("totalLinesRemoved", output / 200);
        self.lines.int("totalDuration", output * 30);
        self.lines.int("startTime", self.clock.ms().saturating_sub(output * 30));
        self.lines.open("modelUsage");
        for (model, usage) in self.spent.clone() {
            self.lines.open(model);
            self.lines.int("inputTokens", usage.input);
            self.lines.int("outputTokens", usage.output);
            self.lines.int("thinkingTokens", 0);
            self.lines.int("cacheReadInputTokens", usage.cache_read);
            self.lines.int("cacheCreationInputTokens", usage.cache_write_5m + usage.cache_write_1h);
            self.lines.int("cacheCreationEphemeral5mInputTokens", usage.cache_write_5m);
            self.lines.int("cacheCreationEphemeral1hInputTokens", usage.cache_write_1h);
            self.lines.int("webSearchRequests", 0);
            self.lines
                .raw("costUSD", &format!("{}.{:02}", usage.output / 40_000, (usage.output / 400) % 100));
            self.lines.close();
        }
        self.lines.close();
        self.lines.flag("hasUnknownModelCost", false);
        self.lines.end();
    }

    fn tools_used(&mut self) {
        self.lines.begin();
        self.lines.text("type", "tools-used");
        self.lines.raw("tools", "[\"Bash\",\"Read\",\"Edit\"]");
        self.lines.text("sessionId", &self.id);
        self.lines.end();
    }

    // ---- bookkeeping of what was sent

    fn bulk(&mut self, bytes: usize) -> &'p str {
        let scaled = bytes * usize::try_from(self.bulk_per_mille).unwrap_or(1000) / 1000;
        self.pool.text(&mut self.rng, scaled)
    }

    fn attachment(&mut self, kind: &str, fill: impl FnOnce(&mut Lines), rendered: usize) {
        let start = self.tree_begin();
        self.agent_field();
        self.lines.open("attachment");
        self.lines.text("type", kind);
        fill(&mut self.lines);
        self.lines.close();
        self.lines.text("type", "attachment");
        let id = self.stamp();
        if rendered > 0 {
            let text = self.bulk(rendered);
            self.lines.open_list("rendered");
            self.lines.open_item();
            self.lines.text("content", text);
            self.lines.close();
            self.lines.close_list();
            self.lines.text("renderedRole", "system");
        }
        self.tree_end(start, id, false);
    }

    fn prompt_snapshot(&mut self, with_tools: bool) {
        let parts: Vec<&str> = (0..10).map(|_| self.bulk(720)).collect();
        let tools: Vec<(&str, &str)> = if with_tools {
            (0..12).map(|_| (self.bulk(1500), self.bulk(2500))).collect()
        } else {
            Vec::new()
        };
        self.attachment(
            "prompt_snapshot",
            |lines| {
                lines.open_list("systemPrompt");
                for part in parts {
                    lines.item(part);
                }
                lines.close_list();
                if with_tools {
                    lines.open_list("tools");
                    for ((description, schema), name) in tools.into_iter().zip(TOOL_NAMES) {
                        lines.open_item();
                        lines.text("name", name);
                        lines.text("description", description);
                        lines.open("schema");
                        lines.text("description", schema);
                        lines.close();
                        lines.close();
                    }
                    lines.close_list();
                }
                lines.flag("reminderFold", false);
                lines.flag("echoWireToolInputs", false);
                lines.text("contextRendering", "announced");
            },
            0,
        );
    }

    fn introduction(&mut self) {
        self.introduced = true;
        let cwd = escape(&self.cwd);
        self.attachment(
            "environment",
            |l| {
                l.open("snapshot");
                l.text("workingDirectory", &cwd);
                l.flag("isWorktree", false);
                l.flag("isGitRepo", true);
                l.raw("additionalWorkingDirectories", "[]");
                l.text("platform", "linux");
                l.text("shell", "bash");
                l.text("osVersion", "Linux 6.18.44");
                l.close();
            },
            800,
        );
        let model = self.model;
        self.attachment(
            "model",
            |l| {
                l.open("identity");
                l.text("modelId", model);
                l.text("marketingName", "Claude");
                l.text("knowledgeCutoff", "June 2026");
                l.close();
            },
            160,
        );
        self.attachment(
            "deferred_tools_delta",
            |l| l.raw("addedNames", "[\"CronCreate\",\"WebFetch\",\"WebSearch\"]"),
            430,
        );
        self.attachment(
            "agent_listing_delta",
            |l| l.raw("addedTypes", "[\"claude\",\"Explore\",\"general-purpose\",\"Plan\"]"),
            2700,
        );
        self.attachment("skill_listing", |l| l.int("skillCount", 13), 6300);
        if self.agent.is_none() {
            let status = self.bulk(280);
            self.attachment(
                "session_context",
                |l| {
                    l.open("context");
                    l.text("gitStatus", status);
                    l.close();
                },
                580,
            );
            let date = self.clock.format("%Y-%m-%d");
            self.attachment("date", |l| l.text("date", &date), 70);
        }
        self.attachment("remote_session_change", |l| l.raw("url", "null"), 580);
        self.prompt_snapshot(false);
        // The shape of the request: system prompt and all tools once more.
        let system = self.bulk(7300);
        self.lines.begin();
        self.lines.text("type", "api-request-shape");
        self.lines.text("sessionId", &self.id);
        let hash = hex(&mut self.rng, 64);
        self.lines.text("shapeHash", &hash);
        self.lines.text("timestamp", &self.clock.iso());
        self.lines.text("version", VERSION);
        self.lines.open("shape");
        self.lines.open_list("system");
        self.lines.open_item();
        self.lines.text("type", "text");
        self.lines.text("text", system);
        self.lines.close();
        self.lines.close_list();
        self.lines.open_list("tools");
        for name in TOOL_NAMES {
            let description = self.bulk(1500);
            let schema = self.bulk(1400);
            self.lines.open_item();
            self.lines.text("name", name);
            self.lines.text("description", description);
            self.lines.open("input_schema");
            self.lines.text("description", schema);
            self.lines.close();
            self.lines.close();
        }
        self.lines.close_list();
        self.lines.close();
        self.lines.end();
        self.request_blob(10_300);
    }

    fn request_blob(&mut self, bytes: usize) {
        let text = self.bulk(bytes);
        let hash = hex(&mut self.rng, 64);
        self.lines.begin();
        self.lines.text("type", "api-request-blob");
        self.lines.text("sessionId", &self.id);
        self.lines.text("hash", &hash);
        self.lines.open("message");
        self.lines.text("role", "user");
        self.lines.open_list("content");
        self.lines.open_item();
        self.lines.text("type", "text");
        self.lines.text("text", text);
        self.lines.close();
        self.lines.close_list();
        self.lines.close();
        self.lines.end();
    }

    fn request(&mut self) -> String {
        let id = uuid(&mut self.rng);
        self.lines.begin();
        self.lines.text("type", "api-request");
        self.lines.text("sessionId", &self.id);
        self.agent_field();
        self.lines.text("id", &id);
        self.lines.text("timestamp", &self.clock.iso());
        self.lines.text("version", VERSION);
        let source = match (&self.agent, self.entry) {
            (Some((_, kind)), _) => format!("agent:builtin:{kind}"),
            (None, Entry::Print) => "sdk".to_owned(),
            (None, _) => "repl_main_thread".to_owned(),
        };
        self.lines.text("querySource", &source);
        self.lines.open("params");
        self.lines.text("model", self.model);
        self.lines.raw("betas", "[\"claude-code-20250219\",\"interleaved-thinking-2025-05-14\",\"context-management-2025-06-27\"]");
        self.lines.int("max_tokens", 128_000);
        self.lines.raw("thinking", "{\"type\":\"adaptive\",\"display\":\"updates\"}");
        self.lines.raw("output_config", "{\"effort\":\"medium\"}");
        self.lines.close();
        if let Some(base) = &self.base_request {
            self.lines.text("base", base);
        }
        self.lines.int("keep", self.prompts * 2);
        let (first, second) = (hex(&mut self.rng, 64), hex(&mut self.rng, 64));
        self.lines.raw("tail", &format!("[\"{first}\",\"{second}\"]"));
        self.lines.raw("cacheControl", "[{\"path\":[\"system\",0],\"value\":{\"type\":\"ephemeral\"}}]");
        self.lines.text("requestDigest", &first);
        self.lines.end();
        self.base_request = Some(id.clone());
        id
    }
}

/// The built-in tools a request carries.
const TOOL_NAMES: [&str; 13] = [
    "Agent",
    "AskUserQuestion",
    "Bash",
    "Edit",
    "ListAgents",
    "Read",
    "ReportFindings",
    "ScheduleWakeup",
    "Skill",
    "ToolSearch",
    "Workflow",
    "Write",
    "TaskCreate",
];

fn value_after<'t>(line: &'t str, key: &str) -> Option<&'t str> {
    let start = line.find(key)? + key.len();
    let end = line[start..].find('"')? + start;
    Some(&line[start..end])
}
