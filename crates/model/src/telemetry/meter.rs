//! What metrics measure of a session: sums that only grow, sent as differences or as totals since a process began.
//!
//! Differences are added, each point once. Of totals the largest since each start counts, so that points may come late,
//! twice and in any order, and a restarted process counts anew. What of differences was lost on its way cannot be seen: a
//! client sends none while nothing happens. Whether they cover a session is therefore judged by its transcript
//! ([`crate::telemetry::Telemetry::metered`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::Usage;
use crate::ids::FactId;

/// Series of totals kept; a process has some twenty.
const MAX_SERIES: usize = 1_024;

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meter {
    /// Tokens.
    Tokens {
        /// Model as written.
        model: String,
        /// Which.
        kind: TokenKind,
    },
    /// Billionths of a US dollar.
    Cost {
        /// Model as written.
        model: String,
    },
    /// Milliseconds in which the person typed.
    ActiveByPerson,
    /// Milliseconds in which the agent worked.
    ActiveByAgent,
    /// Lines added by edits.
    LinesAdded,
    /// Lines removed by edits.
    LinesRemoved,
    /// Edits that were let through.
    EditsAccepted,
    /// Edits that were refused.
    EditsRejected,
    /// Commits made.
    Commits,
    /// Pull requests made.
    PullRequests,
    /// Times the session was started or resumed.
    Starts,
}

/// Kind of token; the metric does not split what was written by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// Uncached input.
    Input,
    /// Output.
    Output,
    /// Read from the cache.
    CacheRead,
    /// Written to the cache.
    CacheWrite,
}

/// Sums of meters.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Meters {
    /// Sums of differences.
    #[serde(with = "pairs", skip_serializing_if = "BTreeMap::is_empty")]
    deltas: BTreeMap<Meter, u64>,
    /// Largest total by series and start.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    totals: BTreeMap<FactId, (Meter, u64)>,
}

/// Maps with a key that is no text, as lists of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Meter;

    pub(super) fn serialize<S: Serializer>(map: &BTreeMap<Meter, u64>, to: S) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<Meter, u64>, D::Error> {
        Ok(Vec::<(Meter, u64)>::deserialize(from)?.into_iter().collect())
    }
}

impl Meters {
    /// Whether nothing was measured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deltas.is_empty() && self.totals.is_empty()
    }

    /// Adds a difference; the caller sees to it that each is added once.
    pub fn add(&mut self, meter: Meter, amount: u64) {
        let sum = self.deltas.entry(meter).or_default();
        *sum = sum.saturating_add(amount);
    }

    /// Takes over a total of a series.
    pub fn set(&mut self, series: FactId, meter: Meter, amount: u64) {
        if self.totals.len() >= MAX_SERIES && !self.totals.contains_key(&series) {
            return;
        }
        let known = &mut self.totals.entry(series).or_insert((meter, 0)).1;
        *known = amount.max(*known);
    }

    /// What a meter shows; `None` where it was never sent.
    #[must_use]
    pub fn get(&self, meter: &Meter) -> Option<u64> {
        self.all().filter(|(m, _)| *m == meter).map(|(_, n)| n).reduce(u64::saturating_add)
    }

    /// Whether tokens or cost were measured: a model was asked.
    #[must_use]
    pub fn has_spent(&self) -> bool {
        self.all().any(|(m, n)| n > 0 && matches!(m, Meter::Tokens { .. } | Meter::Cost { .. }))
    }

    fn all(&self) -> impl Iterator<Item = (&Meter, u64)> {
        self.deltas.iter().map(|(m, n)| (m, *n)).chain(self.totals.values().map(|(m, n)| (m, *n)))
    }

    /// Usage and cost by model. Writes count as those of the 5-minute cache.
    #[must_use]
    pub fn by_model(&self) -> BTreeMap<String, (Usage, Option<u64>)> {
        let mut models: BTreeMap<String, (Usage, Option<u64>)> = BTreeMap::new();
        for (meter, n) in self.all() {
            match meter {
                Meter::Tokens { model, kind } => {
                    let usage = &mut models.entry(model.clone()).or_default().0;
                    let field = match kind {
                        TokenKind::Input => &mut usage.input,
                        TokenKind::Output => &mut usage.output,
                        TokenKind::CacheRead => &mut usage.cache_read,
                        TokenKind::CacheWrite => &mut usage.cache_write_5m,
                    };
                    *field = field.saturating_add(n);
                }
                Meter::Cost { model } => {
                    let cost = &mut models.entry(model.clone()).or_default().1;
                    *cost = Some(cost.unwrap_or(0).saturating_add(n));
                }
                _ => {}
            }
        }
        models
    }
}
