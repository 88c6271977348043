//! What the generator decided to put into the store.

use std::collections::BTreeMap;

/// Tokens of one model response, in the words of `lamp import --json`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens read outside any cache.
    pub input: u64,
    /// Tokens written, reasoning included.
    pub output: u64,
    /// Tokens put into the five-minute cache.
    pub cache_write_5m: u64,
    /// Tokens put into the one-hour cache.
    pub cache_write_1h: u64,
    /// Tokens read from a cache.
    pub cache_read: u64,
}

/// True totals of a store. Each is raised where the thing is decided, once; copies made by forks raise nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Truth {
    /// Distinct (agent, id) with a main transcript.
    pub sessions: u64,
    /// Model responses.
    pub messages: u64,
    /// What a person or `-p` submitted.
    pub prompts: u64,
    /// Calls the model made.
    pub tool_calls: u64,
    /// Subagents with a transcript.
    pub subagents: u64,
    /// Tokens by model, named as written.
    pub tokens: BTreeMap<String, Usage>,
}

impl Truth {
    /// Counts one model response.
    pub fn response(&mut self, model: &str, usage: Usage) {
        self.messages += 1;
        let sum = self.tokens.entry(model.to_owned()).or_default();
        sum.input += usage.input;
        sum.output += usage.output;
        sum.cache_write_5m += usage.cache_write_5m;
        sum.cache_write_1h += usage.cache_write_1h;
        sum.cache_read += usage.cache_read;
    }

    /// The totals in the shape of `lamp import --json`.
    pub fn to_json(&self) -> String {
        let tokens: Vec<String> = self
            .tokens
            .iter()
            .map(|(model, u)| {
                format!(
                    "\"{}\":{{\"input\":{},\"output\":{},\"cache_write_5m\":{},\"cache_write_1h\":{},\"cache_read\":{}}}",
                    crate::json::escape(model),
                    u.input,
                    u.output,
                    u.cache_write_5m,
                    u.cache_write_1h,
                    u.cache_read
                )
            })
            .collect();
        format!(
            "{{\"sessions\":{},\"messages\":{},\"prompts\":{},\"tool_calls\":{},\"subagents\":{},\"tokens\":{{{}}}}}",
            self.sessions,
            self.messages,
            self.prompts,
            self.tool_calls,
            self.subagents,
            tokens.join(",")
        )
    }
}
