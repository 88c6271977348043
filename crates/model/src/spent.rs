//! What a session spent, by model: from transcripts, and from what telemetry told beyond them.
//!
//! One rule for every sum that is shown. Responses of transcripts count by their usage; requests that stand in none
//! (titles, compactions, sessions without a transcript) by what telemetry told of them. Of Codex and Gemini CLI, whose
//! requests share no id with their files, telemetry counts only where no transcript is here. Metrics measure the same
//! once more: they speak where no request was told of at all, and only if they cover what the transcripts show, because
//! what of them was lost on its way cannot be seen.

use std::collections::BTreeMap;

use crate::event::Usage;
use crate::ids::Agent;
use crate::session::SessionState;

/// What was spent on one model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Responses.
    pub responses: u32,
    /// All usage.
    pub usage: Usage,
    /// What the agent reported that it cost, in billionths of a US dollar.
    pub reported_nano: Option<u64>,
    /// Responses this covers.
    pub reported_responses: u32,
    /// The part of the usage for which the agent reported no cost: the price table's.
    pub unreported: Usage,
}

/// What a session spent, by model as written.
#[must_use]
pub fn spent(state: &SessionState, agent: Agent) -> BTreeMap<String, Spent> {
    if let Some(metered) = by_meters(state, agent) {
        return metered;
    }
    let telemetry = &state.telemetry;
    let mut models: BTreeMap<String, Spent> = BTreeMap::new();
    // An agent whose records say what they cost sends no telemetry that says it again.
    let written = state.transcript().map(|t| &t.reported);
    for (model, sum) in &state.usage {
        let reported = telemetry.reported.get(model).or_else(|| written?.get(model));
        let reported = reported.copied().unwrap_or_default();
        let spent = models.entry(model.clone()).or_default();
        spent.responses = sum.responses;
        spent.usage = sum.usage;
        spent.reported_nano = (reported.responses > 0).then_some(reported.cost_nano);
        spent.reported_responses = reported.responses;
        spent.unreported = sum.usage.without(reported.usage);
    }
    if agent != Agent::ClaudeCode && !state.mains.is_empty() {
        return models;
    }
    for (model, sum) in &telemetry.unwritten {
        let spent = models.entry(model.clone()).or_default();
        spent.responses = spent.responses.saturating_add(sum.responses);
        spent.usage = spent.usage.plus(sum.usage);
        if sum.priced > 0 {
            spent.reported_nano = Some(spent.reported_nano.unwrap_or(0).saturating_add(sum.cost_nano));
        }
        spent.reported_responses = spent.reported_responses.saturating_add(sum.priced);
        spent.unreported = spent.unreported.plus(sum.unpriced);
    }
    models
}

/// By metrics, where they are all there is beyond transcripts, and cover those.
fn by_meters(state: &SessionState, agent: Agent) -> Option<BTreeMap<String, Spent>> {
    let telemetry = &state.telemetry;
    if agent != Agent::ClaudeCode || telemetry.told.has_requests || telemetry.meters.is_empty() {
        return None;
    }
    let metered = telemetry.meters.by_model();
    let covers = |(model, sum): (&String, &crate::session::ModelSum)| {
        let known = metered.get(model).map(|(usage, _)| *usage).unwrap_or_default();
        let written = sum.usage;
        known.input >= written.input
            && known.output >= written.output
            && known.cache_read >= written.cache_read
            && known.cache_write_5m >= written.cache_write_5m.saturating_add(written.cache_write_1h)
    };
    if metered.values().all(|(usage, _)| usage.is_zero()) || !state.usage.iter().all(covers) {
        return None;
    }
    let one = |(model, (usage, cost)): (String, (Usage, Option<u64>))| {
        let written = state.usage.get(&model).copied().unwrap_or_default();
        // The metric does not split what was written by age; what a transcript shows of it, it does.
        let one_hour = written.usage.cache_write_1h.min(usage.cache_write_5m);
        let usage = Usage {
            cache_write_1h: one_hour,
            cache_write_5m: usage.cache_write_5m.saturating_sub(one_hour),
            ..usage
        };
        let unreported = if cost.is_some() { Usage::default() } else { usage };
        let spent = Spent {
            responses: written.responses,
            usage,
            reported_nano: cost,
            reported_responses: if cost.is_some() { written.responses } else { 0 },
            unreported,
        };
        (model, spent)
    };
    Some(metered.into_iter().map(one).collect())
}

#[cfg(test)]
mod tests;
