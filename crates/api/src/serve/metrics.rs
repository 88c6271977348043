//! `GET /metrics`: counts for Prometheus. No labels, prompts, paths or ids of sessions.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use lamplight_engine::forward::ForwardTotals;
use lamplight_model::ids::Agent;
use lamplight_model::session::ResumeFailure;
use lamplight_model::view::{Attention, ImportTotals, SourceHealth, Status};

use super::routes::App;
use crate::error::{ApiError, ErrorCode};

pub(super) async fn metrics(State(app): State<App>) -> Response {
    let text = tokio::task::spawn_blocking(move || {
        let totals = app.engine.totals()?;
        let mut text = render(&app.engine.status(), &totals, app.engine.forward_totals());
        text.push_str(&resume_failures(&app.engine.resume_failures()?));
        Ok::<_, ApiError>(text)
    })
    .await;
    match text {
        Ok(Ok(text)) => {
            let mut response = text.into_response();
            response.headers_mut().insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
            );
            response
        }
        Ok(Err(error)) => error.into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics ended with a panic");
            ApiError::new(ErrorCode::Internal, "The metrics failed inside Lamplight; its log says more.")
                .into_response()
        }
    }
}

fn render(status: &Status, totals: &ImportTotals, forward: Option<ForwardTotals>) -> String {
    let mut page = Page(String::new());
    page.family("lamplight_build_info", "gauge", "Version that runs.");
    page.sample("lamplight_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.family("lamplight_revision", "counter", "Changes of the status since the engine started.");
    page.sample("lamplight_revision", &[], status.revision);

    let mut by_state: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut by_tier: BTreeMap<u8, u64> = (1..=3).map(|tier| (tier, 0)).collect();
    let mut by_resume: BTreeMap<&str, u64> = BTreeMap::new();
    for card in &status.sessions {
        *by_state.entry((&card.agent, card.turn_state.as_str())).or_default() += 1;
        *by_resume.entry(card.resume.state.as_str()).or_default() += 1;
        let is_snoozed = |cause: &Attention| cause.snoozed_until_ms.is_some_and(|until| until > status.at_ms);
        if let Some(attention) = card.attention.as_ref().filter(|cause| !is_snoozed(cause)) {
            *by_tier.entry(attention.tier.into()).or_default() += 1;
        }
    }
    page.family("lamplight_sessions", "gauge", "Sessions shown, by agent and turn state.");
    for ((agent, state), n) in by_state {
        page.sample("lamplight_sessions", &[("agent", agent), ("state", state)], n);
    }
    page.family(
        "lamplight_attention",
        "gauge",
        "Sessions that need their person, by tier of the most urgent cause; snoozed ones do not count.",
    );
    for (tier, n) in by_tier {
        page.sample("lamplight_attention", &[("tier", &tier.to_string())], n);
    }
    page.family("lamplight_resume", "gauge", "Sessions shown, by whether they can be resumed.");
    for (state, n) in by_resume {
        page.sample("lamplight_resume", &[("state", state)], n);
    }
    page.family("lamplight_archived_sessions", "gauge", "Sessions in the archive.");
    page.sample("lamplight_archived_sessions", &[], status.archived);
    page.family("lamplight_hidden_sessions", "gauge", "Sessions not shown, by reason.");
    let hidden = &status.hidden;
    for (reason, n) in [
        ("zombie", hidden.zombie),
        ("subagent", hidden.subagent),
        ("title_thread", hidden.title_thread),
        ("spare", hidden.spare),
        ("muted", hidden.muted),
    ] {
        page.sample("lamplight_hidden_sessions", &[("reason", reason)], n);
    }
    imported(&mut page, totals);
    sources(&mut page, status);
    if let Some(forward) = forward {
        forwarding(&mut page, &forward);
    }
    page.0
}

fn forwarding(page: &mut Page, forward: &ForwardTotals) {
    for (name, kind, help, value) in [
        (
            "lamplight_forward_up",
            "gauge",
            "1 where nothing hinders forwarding, else 0.",
            u64::from(forward.is_well),
        ),
        ("lamplight_forward_queue_bytes", "gauge", "Bytes that wait to be forwarded.", forward.queue_bytes),
        (
            "lamplight_forward_queue_records",
            "gauge",
            "Records that wait to be forwarded.",
            forward.queue_records,
        ),
        ("lamplight_forward_sent_total", "counter", "Records the Collector took.", forward.sent),
        (
            "lamplight_forward_dropped_total",
            "counter",
            "Records dropped for want of room, or because the settings no longer let them out.",
            forward.dropped,
        ),
        (
            "lamplight_forward_refused_total",
            "counter",
            "Records the Collector refused for good.",
            forward.refused,
        ),
    ] {
        page.family(name, kind, help);
        page.sample(name, &[], value);
    }
}

/// Resumes that were seen to fail, under our name and, for Claude Code, under the one its dashboards know.
fn resume_failures(counts: &[(Agent, ResumeFailure, u64)]) -> String {
    let mut page = Page(String::new());
    page.family(
        "lamplight_resume_failures_total",
        "counter",
        "Resumes that failed, by agent and by what it said.",
    );
    for (agent, class, n) in counts {
        let labels = [("agent", agent.as_str()), ("class", class.as_str())];
        page.sample("lamplight_resume_failures_total", &labels, n);
    }
    page.family("claude_session_resume_failures_total", "counter", "Resumes of Claude Code that failed.");
    for (_, class, n) in counts.iter().filter(|(agent, ..)| *agent == Agent::ClaudeCode) {
        page.sample("claude_session_resume_failures_total", &[("class", class.as_str())], n);
    }
    page.0
}

fn imported(page: &mut Page, totals: &ImportTotals) {
    page.family("lamplight_imported", "gauge", "What the database holds, as lamp import counts it.");
    for (what, n) in [
        ("sessions", totals.sessions),
        ("messages", totals.messages),
        ("prompts", totals.prompts),
        ("tool_calls", totals.tool_calls),
        ("subagents", totals.subagents),
    ] {
        page.sample("lamplight_imported", &[("what", what)], n);
    }
    page.family("lamplight_tokens", "gauge", "Tokens in the database, by model as written and kind.");
    for (model, tokens) in &totals.tokens {
        for (kind, n) in [
            ("input", tokens.input),
            ("output", tokens.output),
            ("cache_write_5m", tokens.cache_write_5m),
            ("cache_write_1h", tokens.cache_write_1h),
            ("cache_read", tokens.cache_read),
        ] {
            page.sample("lamplight_tokens", &[("model", model), ("kind", kind)], n);
        }
    }
}

/// What is known of all folders a source is read from: with several roots one name stands for several of them, and a
/// page with the same series twice is refused whole.
#[derive(Default)]
struct SourceSum {
    degraded: bool,
    ok: bool,
    files: u64,
    bytes: u64,
    skipped: u64,
}

fn sources(page: &mut Page, status: &Status) {
    let mut by_name: BTreeMap<&str, SourceSum> = BTreeMap::new();
    // Forwarding reads nothing and has numbers of its own.
    for source in status.sources.iter().filter(|source| source.name != "forward") {
        let sum = by_name.entry(&source.name).or_default();
        sum.degraded |= source.state == SourceHealth::Degraded;
        sum.ok |= source.state == SourceHealth::Ok;
        sum.files = sum.files.saturating_add(source.files);
        sum.bytes = sum.bytes.saturating_add(source.bytes);
        sum.skipped = sum.skipped.saturating_add(source.skipped);
    }
    type Value = fn(&SourceSum) -> u64;
    let families: [(&str, &str, &str, Value); 4] = [
        ("lamplight_source_up", "gauge", "1 where the source is there and read whole, else 0.", |sum| {
            u64::from(sum.ok && !sum.degraded)
        }),
        ("lamplight_source_files", "gauge", "Files of the source known.", |sum| sum.files),
        ("lamplight_source_bytes", "counter", "Bytes of the source read.", |sum| sum.bytes),
        ("lamplight_source_skipped", "counter", "Records or files that could not be used.", |sum| {
            sum.skipped
        }),
    ];
    for (name, kind, help, value) in families {
        page.family(name, kind, help);
        for (source, sum) in &by_name {
            page.sample(name, &[("source", source)], value(sum));
        }
    }
}

/// Prometheus' text format.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(key, text)| format!("{key}=\"{}\"", escape(text))).collect();
        if labels.is_empty() {
            self.line(format_args!("{name} {value}"));
        } else {
            self.line(format_args!("{name}{{{}}} {value}", labels.join(",")));
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("BUG: writing to a String cannot fail");
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_series_appears_twice_with_two_roots_of_one_agent() {
        let source = |state: &str, files| {
            serde_json::json!({"name": "claude-code transcripts", "path": format!("/{state}"), "state": state,
                "files": files, "bytes": 1, "skipped": 0, "issues": [], "last_fact_at_ms": null})
        };
        let status = serde_json::json!({"engine_id": "e", "revision": 1, "at_ms": 1, "sessions": [], "worktrees": [],
            "services": [], "hidden": {"zombie": 0, "subagent": 0, "title_thread": 0, "spare": 0, "muted": 0, "services": 0},
            "archived": 0, "sources": [source("ok", 2), source("absent", 0), source("ok", 3)], "importing": null});
        let totals = serde_json::json!({"sessions": 0, "messages": 0, "prompts": 0, "tool_calls": 0, "subagents": 0,
            "tokens": {}, "bytes_read": 0, "elapsed_ms": 0});
        let page =
            render(&serde_json::from_value(status).unwrap(), &serde_json::from_value(totals).unwrap(), None);
        let series: Vec<&str> = page
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(s, _)| s)
            .collect();
        assert_eq!(series.iter().collect::<std::collections::BTreeSet<_>>().len(), series.len(), "{page}");
        assert!(page.contains("lamplight_source_files{source=\"claude-code transcripts\"} 5\n"), "{page}");
        assert!(page.contains("lamplight_source_up{source=\"claude-code transcripts\"} 1\n"), "{page}");
    }

    #[test]
    fn label_values_cannot_break_out() {
        let mut page = Page(String::new());
        page.sample("x", &[("model", "a\"} 1\ny{b=\"\\")], 2);
        assert_eq!(page.0, "x{model=\"a\\\"} 1\\ny{b=\\\"\\\\\"} 2\n");
    }
}
