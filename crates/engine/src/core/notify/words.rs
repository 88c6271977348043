//! What a notification says.

use lamplight_model::attention::CauseKind;
use lamplight_model::session::LivenessState;
use lamplight_model::view::{Attention, SessionCard};

/// Why, in the words of the notification.
pub(super) fn reason(card: &SessionCard, kind: CauseKind) -> String {
    let detail = card.waiting_for.as_ref().and_then(|w| w.detail.as_deref());
    match kind {
        CauseKind::Permission => match card.waiting_for.as_ref().and_then(|w| w.tool.as_deref()) {
            Some("Bash" | "exec_command" | "shell") => "Needs permission to run a command".to_owned(),
            Some("Edit" | "Write" | "MultiEdit" | "NotebookEdit" | "apply_patch") => {
                "Needs permission to edit a file".to_owned()
            }
            Some("WebFetch") => "Needs permission to fetch a page".to_owned(),
            Some(tool) => format!("Needs permission to use {tool}"),
            None => "Needs your permission".to_owned(),
        },
        CauseKind::Question => "Asks you a question".to_owned(),
        CauseKind::Plan => "Plan ready for approval".to_owned(),
        CauseKind::Elicitation => "Asks for input".to_owned(),
        CauseKind::SignIn => "Needs you to sign in".to_owned(),
        CauseKind::Limit => "Stopped by a usage limit".to_owned(),
        CauseKind::Error => match detail {
            Some(text) => format!("Stopped: {}", lamplight_model::fold::cut(text, 80)),
            None => "Stopped by an API error".to_owned(),
        },
        CauseKind::Reply => "Awaits your reply".to_owned(),
        CauseKind::Interrupted => "You interrupted it".to_owned(),
        CauseKind::Crashed => "Its process is gone".to_owned(),
        CauseKind::Uncommitted => left_uncommitted(card),
    }
}

/// "7 files uncommitted in refund-flow, no agent left".
fn left_uncommitted(card: &SessionCard) -> String {
    let git = card.git.as_ref();
    let files = match git.and_then(|g| g.dirty_files) {
        Some(1) => "1 file uncommitted".to_owned(),
        Some(n) => format!("{n} files uncommitted"),
        None => "Uncommitted work".to_owned(),
    };
    // Of some agents nobody can say that they have left.
    let who = match card.liveness.state {
        LivenessState::Unknown => "no agent heard there",
        LivenessState::Alive | LivenessState::Dead => "no agent left",
    };
    let name = git.and_then(|g| g.root.as_deref()).and_then(|root| root.rsplit('/').next());
    let name: String =
        name.unwrap_or_default().chars().filter(|c| !lamplight_model::label::is_unsafe(*c)).collect();
    if name.is_empty() {
        return format!("{files}, {who}");
    }
    format!("{files} in {}, {who}", lamplight_model::fold::cut(&name, 60))
}

/// The command or question, else what was said last; one line.
pub(super) fn preview(card: &SessionCard) -> Option<String> {
    let detail = card.waiting_for.as_ref().and_then(|w| w.detail.as_deref());
    let text = detail.or(card.excerpt.as_deref())?;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let clean: String = line.chars().filter(|c| !lamplight_model::label::is_unsafe(*c)).collect();
    (!clean.is_empty()).then(|| lamplight_model::fold::cut(&clean, 160))
}

/// What the user's own command is told of a cause.
pub(super) fn for_command(card: &SessionCard, cause: &Attention, why: &str, previews: bool) -> String {
    serde_json::json!({
        "cause_id": cause.cause_id,
        "cause": cause.cause,
        "tier": cause.tier,
        "since_ms": cause.since_ms,
        "why": why,
        "preview": previews.then(|| preview(card)).flatten(),
        "agent": card.agent,
        "session_id": card.session_id,
        "label": card.label,
        "project": card.project,
        "cwd": card.cwd,
        "resume": card.resume.command,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_agent_of_which_that_is_known_is_said_to_have_left() {
        for (files, liveness, want) in [
            (Some(7), "dead", "7 files uncommitted in refund-flow, no agent left"),
            (Some(1), "unknown", "1 file uncommitted in refund-flow, no agent heard there"),
            (None, "dead", "Uncommitted work in refund-flow, no agent left"),
        ] {
            let card: SessionCard = serde_json::from_value(serde_json::json!({
                "agent": "opencode", "session_id": "ses_1", "kind": "coding", "entry": "interactive",
                "project": "shop", "label": "x", "label_source": "first_prompt", "label_default": "x",
                "cwd": "/home/dev/refund-flow", "branch": "main", "model": null, "turn_state": "awaiting_reply",
                "turn_state_since_ms": 1_000, "waiting_for": null, "lifecycle": "active",
                "liveness": {"state": liveness, "source": null, "observed_at_ms": null},
                "last_speaker": null, "last_speaker_at_ms": null, "started_at_ms": 500,
                "last_activity_at_ms": 1_000, "ended_at_ms": null, "excerpt": null, "doing": null, "todos": null,
                "tokens": {"input": 0, "output": 0, "cache_write_5m": 0, "cache_write_1h": 0, "cache_read": 0},
                "tool_calls": 0, "errors": 0, "cost_usd": null, "cost_source": "table",
                "context": {"used": null, "window": null, "source": null},
                "subagents": {"running": 0, "total": 0}, "attention": null, "causes": [],
                "git": {"state": "dirty", "dirty_files": files, "root": "/home/dev/refund-flow", "reason": null},
                "resume": {"command": null, "state": "ready", "reason": null}, "pid": null, "run_id": null,
                "parent_session_id": null, "superseded_by": null, "evidence": []
            }))
            .expect("a card");
            assert_eq!(reason(&card, CauseKind::Uncommitted), want);
        }
    }
}
