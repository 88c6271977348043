//! The settings file as written, with a warning for everything in it that means nothing.

mod forward;

use std::collections::BTreeMap;
use std::path::PathBuf;

use lamplight_engine::config::Forward;
use lamplight_model::attention::CauseKind;
use lamplight_model::ids::Agent;
use lamplight_model::pricing::Price;
use toml_edit::{Document, Item, TableLike, Value};

use super::hint::nearest;
use super::price::{PRICE_KEYS, configured};

/// Settings as written; `None` and empty mean "not set".
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RawConfig {
    /// `[sessions] idle_minutes`.
    pub idle_minutes: Option<u32>,
    /// `[sessions] resume_max_hours`.
    pub resume_max_hours: Option<u32>,
    /// `[session_labels]`: id or prefix to label.
    pub session_labels: BTreeMap<String, String>,
    /// `[agents.<name>] project`, by name.
    pub projects: BTreeMap<String, String>,
    /// `[[roots]]`.
    pub roots: Vec<RawRoot>,
    /// `[prices."<model>"]`.
    pub prices: Vec<Price>,
    /// `[notify]`.
    pub notify: RawNotify,
    /// `[window] strip`: whether the strip is shown.
    pub strip: Option<bool>,
    /// `[git] status`.
    pub git: Option<bool>,
    /// `[terminals] find`.
    pub terminals: Option<bool>,
    /// `[otlp] token`; one that cannot be used is empty, which lets nobody in.
    pub otlp_token: Option<String>,
    /// `[forward]`, when it names a place and everything in it is understood.
    pub forward: Option<Forward>,
    /// There is a `[forward]`, and it cannot be used.
    pub forward_unclear: bool,
    /// `[store] durable`.
    pub durable: Option<bool>,
    /// `[store] max_bytes`.
    pub max_bytes: Option<u64>,
    /// `[store] min_free_bytes`.
    pub min_free_bytes: Option<u64>,
}

/// One entry of `[[roots]]`; the path may begin with `~`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRoot {
    /// Whose folder.
    pub agent: Agent,
    /// Where it is.
    pub path: PathBuf,
}

/// `[notify]` as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawNotify {
    /// `enabled`.
    pub enabled: Option<bool>,
    /// `previews`.
    pub previews: Option<bool>,
    /// `sound`.
    pub sound: Option<bool>,
    /// `quiet_lets_blocked_through`.
    pub quiet_lets_blocked_through: Option<bool>,
    /// `quiet`: from and to, in minutes since midnight.
    pub quiet: Option<(u32, u32)>,
    /// `muted`.
    pub muted: Vec<CauseKind>,
    /// `muted_projects`.
    pub muted_projects: Vec<String>,
    /// `command`.
    pub command: Vec<String>,
}

/// A settings file that was understood, and what in it was not.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) config: RawConfig,
    /// One sentence each, beginning with the line.
    pub(super) warnings: Vec<String>,
}

/// The text is no TOML.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) message: String,
}

const SECTIONS: &[&str] = &[
    "sessions",
    "session_labels",
    "agents",
    "roots",
    "prices",
    "notify",
    "git",
    "terminals",
    "otlp",
    "forward",
    "store",
    "window",
];
const NOTIFY_KEYS: &[&str] = &[
    "enabled",
    "previews",
    "sound",
    "quiet",
    "quiet_lets_blocked_through",
    "muted",
    "muted_projects",
    "command",
];

impl RawConfig {
    /// Reads TOML; everything that is not understood becomes a warning with its line.
    pub(super) fn parse(text: &str) -> Result<Parsed, SyntaxError> {
        let document = Document::parse(text).map_err(|error| SyntaxError {
            line: error.span().map_or(1, |span| line_of(text, span.start)),
            message: error.message().trim_end().replace('\n', "; "),
        })?;
        let mut reader = Reader { text, parsed: Parsed::default() };
        reader.document(document.as_table());
        Ok(reader.parsed)
    }
}

/// Whether a text can be sent as a bearer token and is too long to be guessed at once.
pub(crate) fn is_token(text: &str) -> bool {
    (16..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Agents whose folders can be read.
const WITH_FOLDERS: [Agent; 4] = [Agent::ClaudeCode, Agent::Codex, Agent::Gemini, Agent::OpenCode];

/// Returns the agent of this word, when its folders can be read.
pub(super) fn folder_agent(word: &str) -> Option<Agent> {
    Agent::from_word(word).filter(|agent| WITH_FOLDERS.contains(agent))
}

struct Reader<'t> {
    text: &'t str,
    parsed: Parsed,
}

impl Reader<'_> {
    fn document(&mut self, root: &dyn TableLike) {
        for (key, item) in root.iter() {
            match key {
                "sessions" => self.sessions(root, item),
                "session_labels" => {
                    self.each(root, key, item, |reader, labels, id, item| {
                        if let Some(label) = reader.text_value(labels, id, item) {
                            reader.parsed.config.session_labels.insert(id.to_owned(), label);
                        }
                    });
                }
                "agents" => {
                    self.each(root, key, item, |reader, agents, name, item| reader.agent(agents, name, item));
                }
                "roots" => self.roots(root, item),
                "prices" => {
                    self.each(root, key, item, |reader, prices, model, item| {
                        reader.price(prices, model, item)
                    });
                }
                "notify" => self.notify(root, item),
                "otlp" => self.each(root, key, item, |reader, otlp, key, item| match key {
                    "token" => reader.otlp_token(otlp, item),
                    _ => reader.unknown(otlp, key, &["token"]),
                }),
                "git" => self.each(root, key, item, |reader, git, key, item| match key {
                    "status" => reader.parsed.config.git = reader.bool_value(git, key, item),
                    _ => reader.unknown(git, key, &["status"]),
                }),
                "terminals" => self.each(root, key, item, |reader, terminals, key, item| match key {
                    "find" => reader.parsed.config.terminals = reader.bool_value(terminals, key, item),
                    _ => reader.unknown(terminals, key, &["find"]),
                }),
                "window" => self.each(root, key, item, |reader, window, key, item| match key {
                    "strip" => reader.parsed.config.strip = reader.bool_value(window, key, item),
                    _ => reader.unknown(window, key, &["strip"]),
                }),
                "forward" => self.forward(root, item),
                "store" => self.each(root, key, item, |reader, store, key, item| match key {
                    "durable" => reader.parsed.config.durable = reader.bool_value(store, key, item),
                    // Below it a day of ordinary sessions has no room; beyond a petabyte nobody means a bound.
                    "max_bytes" => {
                        reader.parsed.config.max_bytes =
                            reader.size(store, key, item, 64_000_000, 1_000_000_000_000_000);
                    }
                    "min_free_bytes" => {
                        reader.parsed.config.min_free_bytes =
                            reader.size(store, key, item, 0, 1_000_000_000_000_000);
                    }
                    _ => reader.unknown(store, key, &["durable", "max_bytes", "min_free_bytes"]),
                }),
                _ => self.unknown(root, key, SECTIONS),
            }
        }
    }

    fn sessions(&mut self, root: &dyn TableLike, item: &Item) {
        self.each(root, "sessions", item, |reader, sessions, key, item| match key {
            // A month: beyond it "stale" would mean nothing.
            "idle_minutes" => {
                reader.parsed.config.idle_minutes = reader.whole(sessions, key, item, 1, 43_200)
            }
            // Ten years, as good as never.
            "resume_max_hours" => {
                reader.parsed.config.resume_max_hours = reader.whole(sessions, key, item, 1, 87_600);
            }
            _ => reader.unknown(sessions, key, &["idle_minutes", "resume_max_hours"]),
        });
    }

    /// A token that cannot be used must not leave the door open.
    fn otlp_token(&mut self, otlp: &dyn TableLike, item: &Item) {
        let usable = item.as_str().filter(|text| is_token(text));
        if usable.is_none() {
            self.warn(
                otlp,
                "token",
                "must be a text of 16 to 256 letters, digits and signs without spaces; no telemetry is taken in until it is",
            );
        }
        self.parsed.config.otlp_token = Some(usable.unwrap_or_default().to_owned());
    }

    fn agent(&mut self, agents: &dyn TableLike, name: &str, item: &Item) {
        self.each(agents, name, item, |reader, agent, key, item| match key {
            "project" => {
                if let Some(project) = reader.text_value(agent, key, item) {
                    reader.parsed.config.projects.insert(name.to_owned(), project);
                }
            }
            _ => reader.unknown(agent, key, &["project"]),
        });
    }

    fn roots(&mut self, root: &dyn TableLike, item: &Item) {
        let entries: Vec<&dyn TableLike> = match item {
            Item::ArrayOfTables(tables) => tables.iter().map(|table| table as &dyn TableLike).collect(),
            Item::Value(Value::Array(array)) if array.iter().all(Value::is_inline_table) => array
                .iter()
                .filter_map(|value| value.as_inline_table().map(|t| t as &dyn TableLike))
                .collect(),
            _ => {
                return self.warn(
                    root,
                    "roots",
                    "must be written as [[roots]], once per folder; it is ignored",
                );
            }
        };
        for entry in entries {
            let (mut agent, mut path) = (None, None);
            for (key, item) in entry.iter() {
                match key {
                    "agent" => agent = self.agent_word(entry, item),
                    "path" => path = self.text_value(entry, key, item).map(PathBuf::from),
                    _ => self.unknown(entry, key, &["agent", "path"]),
                }
            }
            match (agent, path) {
                (Some(agent), Some(path)) => self.parsed.config.roots.push(RawRoot { agent, path }),
                _ => self.warn(root, "roots", "an entry needs both agent and path; it is ignored"),
            }
        }
    }

    fn agent_word(&mut self, entry: &dyn TableLike, item: &Item) -> Option<Agent> {
        let word = self.text_value(entry, "agent", item)?;
        let agent = folder_agent(&word);
        if agent.is_none() {
            let known = WITH_FOLDERS.map(Agent::as_str).join(", ");
            self.warn(entry, "agent", &format!("{word:?} is no agent; it is one of {known}"));
        }
        agent
    }

    fn price(&mut self, prices: &dyn TableLike, model: &str, item: &Item) {
        let mut amounts = BTreeMap::new();
        self.each(prices, model, item, |reader, price, key, item| {
            match PRICE_KEYS.iter().find(|k| **k == key) {
                Some(known) => {
                    if let Some(amount) = reader.amount(price, key, item) {
                        amounts.insert(*known, amount);
                    }
                }
                None => reader.unknown(price, key, PRICE_KEYS),
            }
        });
        match configured(model, &amounts) {
            Ok(price) => self.parsed.config.prices.push(price),
            Err(problem) => self.warn(prices, model, &format!("is ignored: {problem}")),
        }
    }

    fn notify(&mut self, root: &dyn TableLike, item: &Item) {
        self.each(root, "notify", item, |reader, notify, key, item| match key {
            "enabled" => reader.parsed.config.notify.enabled = reader.bool_value(notify, key, item),
            "previews" => reader.parsed.config.notify.previews = reader.bool_value(notify, key, item),
            "sound" => reader.parsed.config.notify.sound = reader.bool_value(notify, key, item),
            "quiet_lets_blocked_through" => {
                reader.parsed.config.notify.quiet_lets_blocked_through = reader.bool_value(notify, key, item);
            }
            "quiet" => reader.quiet(notify, item),
            "muted" => reader.muted(notify, item),
            "muted_projects" => {
                reader.parsed.config.notify.muted_projects = reader.texts(notify, key, item);
            }
            "command" => reader.parsed.config.notify.command = reader.texts(notify, key, item),
            _ => reader.unknown(notify, key, NOTIFY_KEYS),
        });
    }

    fn quiet(&mut self, notify: &dyn TableLike, item: &Item) {
        let (mut from, mut to) = (None, None);
        self.each(notify, "quiet", item, |reader, quiet, key, item| match key {
            "from" => from = reader.time_of_day(quiet, key, item),
            "to" => to = reader.time_of_day(quiet, key, item),
            _ => reader.unknown(quiet, key, &["from", "to"]),
        });
        match (from, to) {
            (Some(from), Some(to)) if from != to => self.parsed.config.notify.quiet = Some((from, to)),
            _ => self.warn(notify, "quiet", "needs two different times, from and to; it is ignored"),
        }
    }

    /// A list of texts; one that holds anything else is ignored as a whole.
    fn texts(&mut self, table: &dyn TableLike, key: &str, item: &Item) -> Vec<String> {
        let texts: Option<Vec<String>> =
            item.as_array().and_then(|list| list.iter().map(|v| v.as_str().map(str::to_owned)).collect());
        if texts.is_none() {
            self.warn(table, key, "must be a list of texts in quotes; it is ignored");
        }
        texts.unwrap_or_default()
    }

    fn muted(&mut self, notify: &dyn TableLike, item: &Item) {
        let Some(words) = item.as_array() else {
            return self.warn(notify, "muted", "must be a list of reasons in quotes; it is ignored");
        };
        for word in words {
            match word.as_str().and_then(CauseKind::from_word) {
                Some(kind) => self.parsed.config.notify.muted.push(kind),
                None => {
                    let written = word.to_string();
                    self.warn(
                        notify,
                        "muted",
                        &format!(
                            "holds {}, which is no reason to notify; known are permission, question, plan, elicitation, \
                             sign_in, limit, error, reply, interrupted, crashed, uncommitted",
                            written.trim()
                        ),
                    );
                }
            }
        }
    }

    /// Reads `"22:30"` or a TOML local time as minutes since midnight.
    fn time_of_day(&mut self, table: &dyn TableLike, key: &str, item: &Item) -> Option<u32> {
        let written = item
            .as_datetime()
            .and_then(|at| at.time)
            .map(|time| (u32::from(time.hour), u32::from(time.minute)));
        let minutes = item
            .as_str()
            .and_then(|text| text.split_once(':'))
            .and_then(|(hour, minute)| Some((hour.parse().ok()?, minute.parse().ok()?)))
            .or(written)
            .filter(|(hour, minute): &(u32, u32)| *hour < 24 && *minute < 60)
            .map(|(hour, minute)| hour * 60 + minute);
        if minutes.is_none() {
            self.warn(table, key, "must be a time of day as \"22:30\"; it is ignored");
        }
        minutes
    }

    /// Calls `body` for each key of a section, or warns that it is no section.
    fn each(
        &mut self,
        parent: &dyn TableLike,
        name: &str,
        item: &Item,
        mut body: impl FnMut(&mut Self, &dyn TableLike, &str, &Item),
    ) {
        let Some(table) = item.as_table_like() else {
            return self.warn(parent, name, "must be a section; it is ignored");
        };
        for (key, item) in table.iter() {
            body(self, table, key, item);
        }
    }

    fn text_value(&mut self, table: &dyn TableLike, key: &str, item: &Item) -> Option<String> {
        let text = item.as_str().map(str::trim).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
        if text.is_none() {
            self.warn(table, key, "must be a text in quotes, not empty; it is ignored");
        }
        text
    }

    fn bool_value(&mut self, table: &dyn TableLike, key: &str, item: &Item) -> Option<bool> {
        let value = item.as_bool();
        if value.is_none() {
            self.warn(table, key, "must be true or false; it has its default");
        }
        value
    }

    fn whole(&mut self, table: &dyn TableLike, key: &str, item: &Item, least: u32, most: u32) -> Option<u32> {
        let value =
            item.as_integer().and_then(|n| u32::try_from(n).ok()).filter(|n| (least..=most).contains(n));
        if value.is_none() {
            self.warn(
                table,
                key,
                &format!("must be a whole number from {least} to {most}; it has its default"),
            );
        }
        value
    }

    fn size(&mut self, table: &dyn TableLike, key: &str, item: &Item, least: u64, most: u64) -> Option<u64> {
        let value =
            item.as_integer().and_then(|n| u64::try_from(n).ok()).filter(|n| (least..=most).contains(n));
        if value.is_none() {
            let what = format!("must be a number of bytes from {least} to {most}; it has its default");
            self.warn(table, key, &what);
        }
        value
    }

    fn amount(&mut self, table: &dyn TableLike, key: &str, item: &Item) -> Option<f64> {
        // Whole amounts go through i32, which f64 holds exactly; no price is near its limit.
        let whole = item.as_integer().and_then(|n| i32::try_from(n).ok()).map(f64::from);
        let amount = item.as_float().or(whole).filter(|amount| amount.is_finite() && *amount >= 0.0);
        if amount.is_none() {
            self.warn(
                table,
                key,
                "must be a number of US dollars per million tokens, 0 or more; it is ignored",
            );
        }
        amount
    }

    fn unknown(&mut self, table: &dyn TableLike, key: &str, known: &[&str]) {
        let hint = match nearest(key, known) {
            Some(word) => format!("did you mean {word}?"),
            None => format!("known here: {}", known.join(", ")),
        };
        self.warn(table, key, &format!("is not a setting; {hint}"));
    }

    fn warn(&mut self, table: &dyn TableLike, key: &str, what: &str) {
        let at = table.get_key_value(key).and_then(|(key, item)| key.span().or_else(|| item.span()));
        let line = at.map_or(1, |span| line_of(self.text, span.start));
        self.parsed.warnings.push(format!("line {line}: {key} {what}"));
    }
}

/// Line of a byte, from 1.
fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|b| *b == b'\n').count() + 1
}
