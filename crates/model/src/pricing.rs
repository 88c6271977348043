//! Cost by a dated price table, and context windows.
//!
//! Start from [`PriceTable::builtin`]. The rows are in `data/prices.csv` and `data/windows.csv`, each with the public
//! page it was read in; a model without a row has no cost and no window ("not known"), never zero.

mod name;
mod rows;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{NaiveDate, NaiveTime};
use serde::{Deserialize, Serialize};

use crate::event::Usage;
use crate::ids::Timestamp;

/// What `[1m]` after a model's name asks for, in tokens.
const LONG_WINDOW_TOKENS: u64 = 1_000_000;

/// Prices are per this many tokens.
const TOKENS_PER_PRICE: f64 = 1_000_000.0;

/// One price of a model, in US dollars per million tokens, from a day on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// Model as agents write it, without its date; in a user's own prices also with it, or a prefix that ends with `*`.
    pub model: String,
    /// Input that was not cached.
    pub input: f64,
    /// Output, reasoning included.
    pub output: f64,
    /// Input written to the 5-minute cache.
    pub cache_write_5m: f64,
    /// Input written to the 1-hour cache.
    pub cache_write_1h: f64,
    /// Input read from the cache.
    pub cache_read: f64,
    /// First day (UTC) on which the price holds.
    pub valid_from: NaiveDate,
    /// Where it was read: a page and the date of the copy, or the user's own words.
    pub source: String,
}

impl Price {
    /// Day from which a price holds that was given without one.
    pub const ALWAYS: NaiveDate = NaiveDate::MIN;

    /// Returns what makes the price unusable, for the warning about a user's settings; such a price is left out of the
    /// table.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        let amounts = [self.input, self.output, self.cache_write_5m, self.cache_write_1h, self.cache_read];
        if self.model.is_empty() {
            Some("a price needs a model")
        } else if self.model.strip_suffix('*').unwrap_or(&self.model).contains('*') {
            Some("'*' may only end a model's name")
        } else if !amounts.iter().all(|n| n.is_finite() && *n >= 0.0) {
            Some("a price is a number of dollars, 0 or more")
        } else {
            None
        }
    }

    /// US dollars for `usage`, every kind of token at its own price.
    #[must_use]
    pub fn cost_usd(&self, usage: &Usage) -> f64 {
        let dollars = [
            (usage.input, self.input),
            (usage.output, self.output),
            (usage.cache_write_5m, self.cache_write_5m),
            (usage.cache_write_1h, self.cache_write_1h),
            (usage.cache_read, self.cache_read),
        ]
        .into_iter()
        // Exact below 2^53 tokens.
        .map(|(tokens, price)| tokens as f64 * price)
        .sum::<f64>();
        dollars / TOKENS_PER_PRICE
    }

    fn holds_at(&self, at: Timestamp) -> bool {
        self.valid_from.and_time(NaiveTime::MIN).and_utc().timestamp_millis() <= at.0
    }
}

/// Rows that share a model's name or prefix, oldest first.
type Rows = Vec<Price>;

/// The rows compiled in, read once.
#[derive(Debug)]
struct Builtin {
    prices: BTreeMap<String, Rows>,
    windows: BTreeMap<String, u64>,
}

static BUILTIN: LazyLock<Builtin> = LazyLock::new(|| {
    // Lines that are no rows give no price; a test holds that the files have none.
    let (prices, _) = rows::read_prices(include_str!("../data/prices.csv"));
    let (windows, _) = rows::read_windows(include_str!("../data/windows.csv"));
    Builtin { prices: by_model(prices), windows }
});

fn by_model(prices: impl IntoIterator<Item = Price>) -> BTreeMap<String, Rows> {
    let mut models = BTreeMap::<String, Rows>::new();
    for price in prices {
        models.entry(price.model.clone()).or_default().push(price);
    }
    for rows in models.values_mut() {
        // Stable: of two prices from the same day the later one in the list wins.
        rows.sort_by_key(|row| row.valid_from);
    }
    models
}

/// The newest of `rows` that holds at `at`.
fn newest(rows: &Rows, at: Timestamp) -> Option<&Price> {
    rows.iter().rev().find(|row| row.holds_at(at))
}

/// Prices and windows by model: the table compiled in, and a user's own prices before it.
#[derive(Debug, Clone)]
pub struct PriceTable {
    builtin: &'static Builtin,
    /// A user's prices of models named in full.
    own: BTreeMap<String, Rows>,
    /// A user's prices by prefix, longest first.
    own_prefixes: Vec<(String, Rows)>,
}

impl PriceTable {
    /// Returns the table compiled in. Cheap: the rows are read once and shared.
    #[must_use]
    pub fn builtin() -> Self {
        Self { builtin: &BUILTIN, own: BTreeMap::new(), own_prefixes: Vec::new() }
    }

    /// Puts a user's own prices before the table, in place of any given earlier.
    ///
    /// From its day on, an own price wins over the table, a model's full name over a prefix and a longer prefix over a
    /// shorter one. Before that day the table's price holds; a model the table does not know takes the oldest own one.
    /// Prices with a [`Price::problem`] are left out.
    #[must_use]
    pub fn with_overrides(mut self, prices: &[Price]) -> Self {
        let usable = prices.iter().filter(|p| p.problem().is_none()).cloned();
        let (prefixes, names): (Vec<_>, Vec<_>) = usable.partition(|p| p.model.ends_with('*'));
        self.own = by_model(names);
        self.own_prefixes = by_model(prefixes)
            .into_iter()
            .map(|(model, rows)| (model.strip_suffix('*').unwrap_or_default().to_owned(), rows))
            .collect();
        self.own_prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        self
    }

    /// Returns the price of `model` at `at`: the newest row from that day or before, else the oldest row; `None` when
    /// the model has no row.
    #[must_use]
    pub fn price(&self, model: &str, at: Timestamp) -> Option<&Price> {
        let forms = name::forms(model);
        let own = || {
            let named = forms.iter().filter_map(|form| self.own.get(form));
            let prefixed = self.own_prefixes.iter().filter(|(prefix, _)| model.starts_with(prefix));
            named.chain(prefixed.map(|(_, rows)| rows))
        };
        let table = forms.iter().find_map(|form| self.builtin.prices.get(form));
        own()
            .find_map(|rows| newest(rows, at))
            .or_else(|| table.and_then(|rows| newest(rows, at).or(rows.first())))
            .or_else(|| own().find_map(|rows| rows.first()))
    }

    /// Returns what `usage` cost in US dollars; `None` means not known.
    ///
    /// Long prompts cost more with some models, per call; `usage` may be the sum of many calls, which does not show
    /// that, so the price of short prompts is taken (see the head of `data/prices.csv`).
    #[must_use]
    pub fn cost_usd(&self, model: &str, at: Timestamp, usage: &Usage) -> Option<f64> {
        self.price(model, at).map(|price| price.cost_usd(usage))
    }

    /// Returns the context window of `model` in tokens; `None` means not known.
    ///
    /// What the client itself says about its window is nearer to the truth and comes first.
    #[must_use]
    pub fn window(&self, model: &str) -> Option<u64> {
        if name::has_long_window(model) {
            return Some(LONG_WINDOW_TOKENS);
        }
        name::forms(model).iter().find_map(|form| self.builtin.windows.get(form)).copied()
    }
}

#[cfg(test)]
mod tests;
