//! Codex rollouts: what the paginated (0.169) and the older families share.

/// The older families, 0.42 to 0.125.
pub mod old;
/// The paginated family.
pub mod paginated;

use crate::json::Lines;
use crate::rng::Rng;
use crate::truth::Usage;

/// Tokens as Codex counts them: `input` holds the cached ones, `output` the reasoning.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tokens {
    /// Input, cached included.
    pub input: u64,
    /// The cached part of the input.
    pub cached: u64,
    /// Tokens written to the cache, apart from input.
    pub cache_write: u64,
    /// Output, reasoning included.
    pub output: u64,
    /// The reasoning part of the output.
    pub reasoning: u64,
}

impl Tokens {
    /// One response in a thread whose context holds `context` tokens.
    pub fn draw(rng: &mut Rng, context: u64, writes_cache: bool) -> Self {
        let input = context + rng.range(200, 6_000);
        let output = rng.range(20, 1_800);
        let cached = context - context % 128;
        Self {
            input,
            cached,
            cache_write: if writes_cache { rng.range(0, 2_000).min(input - cached) } else { 0 },
            output,
            reasoning: rng.below(output / 2 + 1),
        }
    }

    /// Adds one response to a running total.
    pub fn add(&mut self, one: Self) {
        self.input += one.input;
        self.cached += one.cached;
        self.cache_write += one.cache_write;
        self.output += one.output;
        self.reasoning += one.reasoning;
    }

    /// The same tokens in the words of the totals.
    pub fn usage(&self) -> Usage {
        Usage {
            input: self.input - self.cached,
            output: self.output,
            cache_write_5m: self.cache_write,
            cache_write_1h: 0,
            cache_read: self.cached,
        }
    }

    /// Writes the tokens as an object; `with_cache_write` as the newer clients do.
    pub fn write(&self, l: &mut Lines, key: &str, with_cache_write: bool) {
        l.open(key);
        l.int("input_tokens", self.input);
        l.int("cached_input_tokens", self.cached);
        if with_cache_write {
            l.int("cache_write_input_tokens", self.cache_write);
        }
        l.int("output_tokens", self.output);
        l.int("reasoning_output_tokens", self.reasoning);
        l.int("total_tokens", self.input + self.output);
        l.close();
    }
}

/// The path of a rollout below the home folder.
pub fn path(clock: &crate::clock::Clock, thread: &str, is_archived: bool) -> String {
    let name = format!("rollout-{}-{thread}.jsonl", clock.format("%Y-%m-%dT%H-%M-%S"));
    if is_archived {
        format!(".codex/archived_sessions/{name}")
    } else {
        format!(".codex/sessions/{}/{name}", clock.format("%Y/%m/%d"))
    }
}
