//! Hooks into session rows. Runs inside the transaction of [`super::Core::apply_all`].

use lamplight_model::assess::NEWS_MS;
use lamplight_model::hook::{HookKind, fold_hook};
use lamplight_model::ids::{SessionKey, Timestamp};

use super::Core;
use crate::facts::HookFact;
use crate::store::{StoreError, rows};

impl Core {
    /// Takes in one hook. The same one again changes nothing: its file may outlive us between commit and removal.
    pub(super) fn apply_hook(&mut self, fact: HookFact, now: Timestamp) -> Result<(), StoreError> {
        let HookFact { agent, session, hook, .. } = fact;
        self.reports.hook_fact(hook.at);
        let key = SessionKey { agent, id: session };
        if !is_work(&hook.kind)
            && !self.by_key.contains_key(&key)
            && rows::find(&self.store.db, &key)?.is_none()
        {
            // A client that was opened and left, or a spare: no session of anyone.
            return Ok(());
        }
        let Some(id) = self.row_of(&key)? else { return Ok(()) };
        if let Some(word) = kept_word(&hook.kind) {
            rows::keep_live_fact_once(&self.store.db, id, hook.at, "hooks", &word)?;
        }
        // What lay there for so long is history.
        if now.since(hook.at) > NEWS_MS {
            return Ok(());
        }
        if let Some(loaded) = self.load(id)? {
            fold_hook(&mut loaded.state.hooks, &hook);
            self.touched.insert(id);
        }
        Ok(())
    }
}

/// Whether a hook shows that a session is worked in.
fn is_work(kind: &HookKind) -> bool {
    !matches!(
        kind,
        HookKind::SessionStarted { .. }
            | HookKind::SessionEnded { .. }
            | HookKind::DialogStands { .. }
            | HookKind::Other { .. }
    )
}

/// What is kept of a hook for 400 days: what stands nowhere else. Prompts, tools and subagents are in the transcript.
fn kept_word(kind: &HookKind) -> Option<String> {
    Some(match kind {
        HookKind::SessionStarted { how } => {
            format!("session started: {}", how.as_deref().unwrap_or("unknown"))
        }
        HookKind::SessionEnded { reason } => {
            format!("session ended: {}", reason.as_deref().unwrap_or("unknown"))
        }
        HookKind::Asked(call) => format!("asked: {}", call.tool),
        HookKind::FormAsked { .. } => "asked: form".to_owned(),
        HookKind::FormAnswered => "form answered".to_owned(),
        HookKind::DialogStands { .. } => "dialog stands".to_owned(),
        HookKind::TurnEnded { background: 0, .. } => return None,
        HookKind::TurnEnded { background, .. } => format!("turn ended, {background} in the background"),
        HookKind::TurnFailed(failure) => format!("turn failed: {:?}", failure.class).to_lowercase(),
        HookKind::TurnInterrupted => "turn interrupted".to_owned(),
        HookKind::PromptSubmitted { .. }
        | HookKind::ToolStarted(_)
        | HookKind::ToolFinished(_)
        | HookKind::SubagentStarted
        | HookKind::SubagentStopped
        | HookKind::Compacting
        | HookKind::Other { .. } => return None,
    })
}
