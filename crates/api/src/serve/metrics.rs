//! `GET /metrics`: counts for Prometheus. No labels, prompts, paths or ids of sessions.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use lamplight_model::view::{ImportTotals, SourceHealth, Status};

use super::routes::App;
use crate::error::{ApiError, ErrorCode};

pub(super) async fn metrics(State(app): State<App>) -> Response {
    let text = tokio::task::spawn_blocking(move || {
        let totals = app.engine.totals()?;
        Ok::<_, ApiError>(render(&app.engine.status(), &totals))
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

fn render(status: &Status, totals: &ImportTotals) -> String {
    let mut page = Page(String::new());
    page.family("lamplight_build_info", "gauge", "Version that runs.");
    page.sample("lamplight_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.family("lamplight_revision", "counter", "Changes of the status since the database was made.");
    page.sample("lamplight_revision", &[], status.revision);

    let mut by_state: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut by_tier: BTreeMap<u8, u64> = (1..=3).map(|tier| (tier, 0)).collect();
    let mut by_resume: BTreeMap<&str, u64> = BTreeMap::new();
    for card in &status.sessions {
        *by_state.entry((&card.agent, card.turn_state.as_str())).or_default() += 1;
        *by_resume.entry(card.resume.state.as_str()).or_default() += 1;
        if let Some(attention) = &card.attention {
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
        "Sessions that need their person, by tier of the most urgent cause.",
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

fn sources(page: &mut Page, status: &Status) {
    page.family(
        "lamplight_source_up",
        "gauge",
        "1 where the source is read whole, 0 where it is absent or degraded.",
    );
    for source in &status.sources {
        page.sample(
            "lamplight_source_up",
            &[("source", &source.name)],
            u8::from(source.state == SourceHealth::Ok),
        );
    }
    page.family("lamplight_source_files", "gauge", "Files of the source known.");
    for source in &status.sources {
        page.sample("lamplight_source_files", &[("source", &source.name)], source.files);
    }
    page.family("lamplight_source_bytes", "counter", "Bytes of the source read.");
    for source in &status.sources {
        page.sample("lamplight_source_bytes", &[("source", &source.name)], source.bytes);
    }
    page.family("lamplight_source_skipped", "counter", "Records or files that could not be used.");
    for source in &status.sources {
        page.sample("lamplight_source_skipped", &[("source", &source.name)], source.skipped);
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
    fn label_values_cannot_break_out() {
        let mut page = Page(String::new());
        page.sample("x", &[("model", "a\"} 1\ny{b=\"\\")], 2);
        assert_eq!(page.0, "x{model=\"a\\\"} 1\\ny{b=\\\"\\\\\"} 2\n");
    }
}
