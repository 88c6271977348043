//! The name of a session, by precedence, and of its project.

use std::collections::BTreeMap;

use crate::ids::SessionKey;
use crate::instance::{is_placeholder, is_terminal};
use crate::session::{LabelSource, SessionState};

/// Longest label, in characters.
pub const MAX_LABEL: usize = 120;

/// Names people gave outside the agent.
#[derive(Debug, Clone, Default)]
pub struct Names<'a> {
    /// `[session_labels]`: full id, or the beginning of one.
    pub configured: Option<&'a BTreeMap<String, String>>,
    /// Rename in Lamplight.
    pub renamed: Option<&'a str>,
    /// `service.instance.id`.
    pub instance: Option<&'a str>,
}

/// Trims a label a person typed; `None` when nothing is left of it. Ends of lines and tabs become spaces, other control and
/// bidi characters are dropped.
#[must_use]
pub fn clean_label(text: &str) -> Option<String> {
    let spaced = text.chars().map(|c| if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c });
    let clean: String = spaced.filter(|c| !is_unsafe(*c)).collect();
    let clean = crate::fold::cut(clean.trim(), MAX_LABEL);
    let clean = clean.trim_end();
    (!clean.is_empty()).then(|| clean.to_owned())
}

/// Whether a character can turn a line of text into something else: controls, and marks that override direction.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Returns the label and where it comes from: config exact id, config prefix (the longest), rename, the agent's
/// user-given name, instance id, the agent's title, first prompt, short id. An instance id that is a terminal's own name
/// comes only before the short id.
#[must_use]
pub fn label(key: &SessionKey, state: &SessionState, names: &Names<'_>) -> (String, LabelSource) {
    let id = key.id.as_str();
    if let Some(configured) = names.configured {
        if let Some(label) = configured.get(id).and_then(|l| clean_label(l)) {
            return (label, LabelSource::ConfigExact);
        }
        let prefix = configured
            .iter()
            .filter(|(prefix, _)| !prefix.is_empty() && id.starts_with(prefix.as_str()))
            .max_by_key(|(prefix, _)| prefix.len());
        if let Some(label) = prefix.and_then(|(_, l)| clean_label(l)) {
            return (label, LabelSource::ConfigPrefix);
        }
    }
    if let Some(label) = names.renamed.and_then(clean_label) {
        return (label, LabelSource::Rename);
    }
    let t = state.transcript();
    let registry = state
        .processes
        .values()
        .filter(|p| p.entry.named_by_user)
        .max_by_key(|p| p.observed_at)
        .and_then(|p| p.entry.name.as_deref());
    let by_user = t
        .and_then(|t| t.user_title.as_deref())
        .or(registry)
        .or(state.user_title.as_ref().map(|d| d.value.as_str()));
    if let Some(label) = by_user.and_then(clean_label) {
        return (label, LabelSource::AgentUser);
    }
    let given = names.instance.filter(|name| !is_placeholder(name) && !is_terminal(name));
    if let Some(label) = given.and_then(clean_label) {
        return (label, LabelSource::InstanceId);
    }
    if let Some(label) = t.and_then(|t| t.agent_title.as_deref()).and_then(clean_label) {
        return (label, LabelSource::AgentTitle);
    }
    let first_line =
        state.first_prompt().and_then(|prompt| prompt.lines().find(|line| !line.trim().is_empty()));
    if let Some(label) = first_line.and_then(clean_label) {
        return (label, LabelSource::FirstPrompt);
    }
    // What a terminal is called by itself says more than an id does, and less than anything else.
    let terminal = names.instance.filter(|name| is_terminal(name) && !is_placeholder(name));
    if let Some(label) = terminal.and_then(clean_label) {
        return (label, LabelSource::InstanceId);
    }
    // A program names its sessions by its own name.
    if let Some(label) = state.sdk.service.as_ref().and_then(|d| clean_label(&d.value)) {
        return (label, LabelSource::AgentTitle);
    }
    (key.id.short().to_owned(), LabelSource::ShortId)
}

/// Names the project: configured for the agent or the folder, else the name of the git root, else of the directory.
/// Linked worktrees are given with their main repository as `git_root`, and so fold into it.
#[must_use]
pub fn project(
    key: &SessionKey,
    configured: &BTreeMap<String, String>,
    git_root: Option<&str>,
    cwd: Option<&str>,
) -> Option<String> {
    let root = git_root.or(cwd);
    let named = root.and_then(last_part);
    let by_config =
        [root, named, Some(key.agent.as_str())].into_iter().flatten().find_map(|name| configured.get(name));
    by_config.map(String::as_str).or(named).and_then(clean_label)
}

fn last_part(path: &str) -> Option<&str> {
    // A worktree Claude Code made for itself belongs to the repository it stands in.
    let path = path.split("/.claude/worktrees/").next().unwrap_or(path);
    path.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Agent, SessionId, Timestamp};
    use crate::session::Transcript;

    fn key() -> SessionKey {
        SessionKey {
            agent: Agent::ClaudeCode,
            id: SessionId::new("bb0d985f-be50-4558-b574-56e427c27f9f").unwrap(),
        }
    }

    #[test]
    fn precedence_a58_b_x14_is_config_then_rename_then_agent_then_prompt_then_id() {
        let mut state = SessionState::default();
        let mut configured = BTreeMap::new();
        let check = |state: &SessionState,
                     configured: &BTreeMap<String, String>,
                     renamed,
                     instance,
                     want: (&str, LabelSource)| {
            let names = Names { configured: Some(configured), renamed, instance };
            assert_eq!(label(&key(), state, &names), (want.0.to_owned(), want.1));
        };
        check(&state, &configured, None, None, ("27c27f9f", LabelSource::ShortId));
        check(&state, &configured, None, Some("pts-3"), ("pts-3", LabelSource::InstanceId));
        check(&state, &configured, None, Some("unknown"), ("27c27f9f", LabelSource::ShortId));
        let mut t =
            Transcript { first_prompt: Some("\n  Fix the tests\nplease".into()), ..Transcript::default() };
        t.last_at = Some(Timestamp(1));
        state.mains.insert(1, t.clone());
        check(&state, &configured, None, None, ("Fix the tests", LabelSource::FirstPrompt));
        t.agent_title = Some("Repair".into());
        state.mains.insert(1, t.clone());
        check(&state, &configured, None, None, ("Repair", LabelSource::AgentTitle));
        check(&state, &configured, None, Some("pts3"), ("pts3", LabelSource::InstanceId));
        check(&state, &configured, None, Some("/dev/pts/3"), ("Repair", LabelSource::AgentTitle));
        check(&state, &configured, None, Some("unknown"), ("Repair", LabelSource::AgentTitle));
        t.user_title = Some("mine".into());
        state.mains.insert(1, t);
        check(&state, &configured, None, Some("pts3"), ("mine", LabelSource::AgentUser));
        check(&state, &configured, Some(" renamed "), None, ("renamed", LabelSource::Rename));
        configured.insert("bb0d".into(), "by prefix".into());
        configured.insert("bb0d985f".into(), "by longer prefix".into());
        check(&state, &configured, Some("renamed"), None, ("by longer prefix", LabelSource::ConfigPrefix));
        configured.insert(key().id.as_str().into(), "exact".into());
        check(&state, &configured, Some("renamed"), None, ("exact", LabelSource::ConfigExact));
    }

    #[test]
    fn labels_are_trimmed_bounded_and_harmless_a59() {
        assert_eq!(clean_label("  \n "), None);
        assert_eq!(clean_label("a\nb\tc\n"), Some("a b c".into()));
        assert_eq!(clean_label(" a\u{202e}b\u{1b}[31m "), Some("ab[31m".into()));
        assert_eq!(clean_label(&"ü".repeat(200)).unwrap().chars().count(), MAX_LABEL);
    }

    #[test]
    fn worktrees_fold_into_their_repository() {
        let none = BTreeMap::new();
        assert_eq!(project(&key(), &none, None, Some("/h/api/.claude/worktrees/fix")), Some("api".into()));
        assert_eq!(project(&key(), &none, Some("/h/api"), Some("/h/api/sub")), Some("api".into()));
        let mut configured = BTreeMap::new();
        configured.insert("api".to_owned(), "Harbor".to_owned());
        assert_eq!(project(&key(), &configured, Some("/h/api"), None), Some("Harbor".into()));
    }
}
