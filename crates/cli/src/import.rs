//! `lamp import`.

use lamplight_engine::config::Config;
use lamplight_engine::run_once;
use lamplight_model::view::{ImportProgress, ImportTotals, TokenTotals};
use serde_json::json;

use crate::output::Progress;
use crate::plain::plain;
use crate::words::{bytes, count, duration};
use crate::{output, reach};

pub(crate) fn run(config: &Config, as_json: bool) -> anyhow::Result<()> {
    let totals: ImportTotals = reach::ask(config, "import", &json!({}), |config| {
        let mut progress = Progress::new();
        let (totals, _) = run_once(config, |at| progress.show(&progress_line(&at)))?;
        Ok(totals)
    })?;
    if as_json { output::print_json(&totals) } else { output::print(&text(&totals)) }
}

/// The line shown while transcripts are read.
pub(crate) fn progress_line(at: &ImportProgress) -> String {
    format!(
        "Reading transcripts: {} of {} files, {} of {}",
        count(at.files_done),
        count(at.files_total),
        bytes(at.bytes_done),
        bytes(at.bytes_total)
    )
}

fn text(totals: &ImportTotals) -> String {
    let mut out = format!(
        "{} sessions, {} subagents, {} prompts, {} model responses, {} tool calls\n",
        count(totals.sessions),
        count(totals.subagents),
        count(totals.prompts),
        count(totals.messages),
        count(totals.tool_calls)
    );
    for (model, tokens) in &totals.tokens {
        let TokenTotals { input, output, cache_write_5m, cache_write_1h, cache_read } = *tokens;
        out.push_str(&format!(
            "  {}: {} input, {} output, {} cache written, {} cache read\n",
            plain(model),
            count(input),
            count(output),
            count(cache_write_5m.saturating_add(cache_write_1h)),
            count(cache_read)
        ));
    }
    out.push_str(&format!("Read {} in {}.\n", bytes(totals.bytes_read), duration(totals.elapsed_ms)));
    out
}
