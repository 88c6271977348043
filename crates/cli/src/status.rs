//! `lamp status`: what needs you first.

use std::cell::Cell;

use lamplight_engine::config::Config;
use lamplight_engine::run_once;
use lamplight_model::attention::Tier;
use lamplight_model::session::TurnState;
use lamplight_model::view::{Attention, SessionCard, SourceHealth, SourceView, Status, Worktree};
use serde_json::json;

use crate::import::progress_line;
use crate::output::Progress;
use crate::page::{Colour, Look, Page};
use crate::plain::{cut, pad, plain, width};
use crate::words::{count, span, state};
use crate::{output, reach};

/// Widest column of names; longer ones are cut, so that the states stay in one column.
const NAME_COLUMNS: usize = 32;

pub(crate) fn run(config: &Config, as_json: bool) -> anyhow::Result<()> {
    // Who looks once looks at no worktree: that takes git, and time.
    let is_alone = Cell::new(false);
    let status: Status = reach::ask(config, "status", &json!({}), |config| {
        is_alone.set(true);
        let mut progress = Progress::new();
        let (_, status) = run_once(config, |at| progress.show(&progress_line(&at)))?;
        Ok(status)
    })?;
    if as_json {
        output::print_json(&status)
    } else {
        let mut text = text(&status, status.at_ms, Look::of_stdout());
        if is_alone.get() && !status.sessions.is_empty() {
            text.push_str("\nUncommitted work is looked for while Lamplight runs.\n");
        }
        output::print(&text)
    }
}

/// Writes the status for a person, as of `now_ms`.
pub(crate) fn text(status: &Status, now_ms: i64, look: Look) -> String {
    let mut page = Page::new(look, now_ms);
    let calling = |card: &SessionCard| card.attention.clone().filter(|cause| is_calling(cause, now_ms));
    let mut blocked: Vec<(i64, &SessionCard)> = Vec::new();
    let mut your_turn: Vec<(i64, &SessionCard)> = Vec::new();
    let mut working: Vec<(i64, &SessionCard)> = Vec::new();
    let mut quiet: Vec<(i64, &SessionCard)> = Vec::new();
    for card in &status.sessions {
        let is_busy =
            matches!(card.turn_state, TurnState::Starting | TurnState::Working | TurnState::Background);
        match calling(card).filter(|_| card.muted.is_none()).map(|cause| (cause.tier, cause.since_ms)) {
            Some((Tier::Blocked, since)) => blocked.push((since, card)),
            Some((Tier::YourTurn, since)) => your_turn.push((since, card)),
            Some((Tier::AtRisk, _)) | None if is_busy => working.push((since_of(card), card)),
            Some((Tier::AtRisk, _)) | None => quiet.push((since_of(card), card)),
        }
    }
    blocked.sort_by_key(|(since, _)| *since);
    your_turn.sort_by_key(|(since, _)| *since);
    // In background last: nobody is waiting for the end of a turn there.
    working.sort_by_key(|(since, card)| (card.turn_state == TurnState::Background, *since));
    quiet.sort_by_key(|(since, _)| std::cmp::Reverse(*since));

    page.headline(status, blocked.iter().chain(&your_turn).map(|(since, _)| *since));
    page.section("Blocked on you", &blocked, Colour::Urgent);
    page.section("Your turn", &your_turn, Colour::Turn);
    page.worktrees(status);
    page.section("Working", &working, Colour::None);
    page.section("Quiet", &quiet, Colour::Dim);
    page.footer(status);
    page.out
}

fn is_calling(cause: &Attention, now_ms: i64) -> bool {
    cause.snoozed_until_ms.is_none_or(|until| until <= now_ms)
}

fn since_of(card: &SessionCard) -> i64 {
    card.turn_state_since_ms.or(card.last_activity_at_ms).unwrap_or(0)
}

impl Page {
    fn headline(&mut self, status: &Status, waits: impl Iterator<Item = i64>) {
        let waits: Vec<i64> = waits.collect();
        let headline = match (waits.len(), status.sessions.is_empty()) {
            // No source has been listed yet, or the first import is under way: nothing is known to be absent.
            (0, true) if status.sources.is_empty() || status.importing.is_some() => {
                "Looking for sessions.".to_owned()
            }
            (0, true) => {
                "No session is open right now. Start an agent in any terminal and it appears here.".to_owned()
            }
            (0, false) => "All clear".to_owned(),
            (1, _) => "1 session needs you".to_owned(),
            (n, _) => format!("{n} sessions need you"),
        };
        let longest = waits.into_iter().min();
        let line = match longest {
            Some(since) => format!("{headline}, waiting for {}", span(self.now_ms.saturating_sub(since))),
            None => headline,
        };
        self.line(&line, Colour::Bold);
        if status.hidden.muted > 0 {
            let needs = if status.hidden.muted == 1 { "session needs" } else { "sessions need" };
            self.line(&format!("{} muted {needs} you", count(status.hidden.muted)), Colour::Dim);
        }
        if let Some(importing) = &status.importing {
            self.line(&progress_line(importing), Colour::Dim);
        }
    }

    fn section(&mut self, title: &str, cards: &[(i64, &SessionCard)], colour: Colour) {
        if cards.is_empty() {
            return;
        }
        self.title(title);
        let names: Vec<String> =
            cards.iter().map(|(_, card)| cut(&plain(&card.label), NAME_COLUMNS)).collect();
        let columns = names.iter().map(|name| width(name)).max().unwrap_or(0);
        for ((since, card), name) in cards.iter().zip(&names) {
            let state = state(card);
            let mut words = state.words;
            if let Some(detail) = state.detail {
                words = format!("{words}: {detail}");
            }
            let resets = card.waiting_for.as_ref().and_then(|waiting| waiting.resets_at_ms);
            if let Some(left) = resets.map(|at| at.saturating_sub(self.now_ms)).filter(|left| *left > 0) {
                words = format!("{words}, resets in {}", span(left));
            }
            self.line(&format!("  {}  {words}", pad(name, columns)), colour);
            self.line(&format!("  {}  {}", " ".repeat(columns), self.facts(card, *since)), Colour::Dim);
        }
    }

    /// Why a session that waits for its person does not call them.
    fn why_quiet(&self, card: &SessionCard) -> Option<String> {
        if card.muted.is_some() {
            return Some("muted".to_owned());
        }
        let mut causes = card.attention.iter().chain(&card.causes).filter(|cause| cause.tier != Tier::AtRisk);
        if causes.clone().any(|cause| is_calling(cause, self.now_ms)) {
            return None;
        }
        let put_off = causes.next();
        match (put_off, card.turn_state) {
            (Some(cause), _) if cause.until_change => Some("put off until something changes".to_owned()),
            (Some(cause), _) => cause
                .snoozed_until_ms
                .map(|until| format!("put off for {}", span(until.saturating_sub(self.now_ms)))),
            (None, TurnState::AwaitingPermission | TurnState::AwaitingAnswer) => Some("seen to".to_owned()),
            (None, _) => None,
        }
    }

    /// How long, where, who: the second line of a session.
    fn facts(&self, card: &SessionCard, since: i64) -> String {
        let mut facts = Vec::new();
        if since > 0 {
            facts.push(span(self.now_ms.saturating_sub(since)));
        }
        facts.extend(self.why_quiet(card));
        facts.extend([&card.project, &card.branch].into_iter().flatten().map(|text| plain(text)));
        facts.extend(card.model.as_deref().map(plain));
        if let Some(files) = card.git.as_ref().and_then(|git| git.dirty_files).filter(|files| *files > 0) {
            facts.push(files_changed(files));
        }
        facts.push(format!("{}:{}", plain(&card.agent), plain(&card.session_id)));
        facts.join(" · ")
    }

    fn worktrees(&mut self, status: &Status) {
        let files = |worktree| dirty_files(worktree, &status.sessions);
        let left: Vec<(&Worktree, u32)> =
            status.worktrees.iter().map(|tree| (tree, files(tree))).filter(|(_, files)| *files > 0).collect();
        if left.is_empty() {
            return;
        }
        self.title("Left uncommitted");
        for (worktree, files) in left {
            self.line(&format!("  {}: {}", plain(&worktree.root), files_changed(files)), Colour::None);
        }
    }

    fn footer(&mut self, status: &Status) {
        let troubled: Vec<&SourceView> =
            status.sources.iter().filter(|source| source.state == SourceHealth::Degraded).collect();
        if status.archived > 0 || !troubled.is_empty() {
            self.out.push('\n');
        }
        if status.archived > 0 {
            let sessions = if status.archived == 1 { "session" } else { "sessions" };
            self.line(&format!("Archive: {} {sessions}", count(status.archived)), Colour::Dim);
        }
        for source in troubled {
            let why = source
                .issues
                .first()
                .map_or_else(|| "works in part".to_owned(), |issue| plain(&issue.message));
            self.line(&format!("{} ({}): {why}", plain(&source.name), plain(&source.path)), Colour::Turn);
        }
    }
}

/// Files that differ, as the card of a session there counts them. Without one at most so many: a file that is staged and
/// changed again is in two of the counts.
fn dirty_files(worktree: &Worktree, cards: &[SessionCard]) -> u32 {
    let there =
        |card: &&SessionCard| card.git.as_ref().is_some_and(|git| git.root.as_ref() == Some(&worktree.root));
    let known = cards.iter().find(there).and_then(|card| card.git.as_ref()?.dirty_files);
    let counts = [worktree.staged, worktree.unstaged, worktree.untracked, worktree.conflicted];
    known.unwrap_or_else(|| counts.into_iter().flatten().fold(0, u32::saturating_add))
}

fn files_changed(files: u32) -> String {
    if files == 1 {
        "1 file changed".to_owned()
    } else {
        format!("{} files changed", count(u64::from(files)))
    }
}

#[cfg(test)]
mod tests;
