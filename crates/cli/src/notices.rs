//! `lamp notices`: what the person was told, what not, and why.

use lamplight_api::commands::{NoticesParams, notices};
use lamplight_engine::clock;
use lamplight_engine::config::Config;
use lamplight_model::attention::CauseKind;
use lamplight_model::notice::{HeldBack, NoticeOutcome};
use lamplight_model::view::NoticePage;
use serde_json::json;

use crate::args::NoticesArgs;
use crate::page::{Colour, Look, Page};
use crate::plain::{cut, plain};
use crate::words::span;
use crate::{output, reach};

/// Widest name.
const NAME_COLUMNS: usize = 60;

pub(crate) fn run(config: &Config, args: &NoticesArgs) -> anyhow::Result<()> {
    let page: NoticePage = reach::ask(config, "notices", &json!({ "limit": args.limit }), |config| {
        reach::once(config, |engine| notices(engine, NoticesParams { before: None, limit: Some(args.limit) }))
    })?;
    if args.json {
        return output::print_json(&page);
    }
    output::print(&text(&page, clock::now().0, Look::of_stdout()))
}

/// Writes the log for a person.
pub(crate) fn text(log: &NoticePage, now_ms: i64, look: Look) -> String {
    let mut page = Page::new(look, now_ms);
    if log.notices.is_empty() {
        page.line("Nothing was told yet, and nothing held back.", Colour::Bold);
        return page.out;
    }
    for entry in &log.notices {
        let age = span(now_ms.saturating_sub(entry.at_ms));
        let name = cut(&plain(&entry.label), NAME_COLUMNS);
        let colour = match entry.outcome {
            NoticeOutcome::Told | NoticeOutcome::Grouped => Colour::Turn,
            NoticeOutcome::HeldBack | NoticeOutcome::Resolved | NoticeOutcome::Withdrawn => Colour::Dim,
        };
        page.line(
            &format!("{age} ago · {name} · {} · {}", cause(entry.cause), became(entry.outcome, entry.why)),
            colour,
        );
    }
    page.out
}

/// A cause in words.
pub(crate) fn cause(kind: CauseKind) -> &'static str {
    match kind {
        CauseKind::Permission => "permission",
        CauseKind::Question => "question",
        CauseKind::Plan => "plan",
        CauseKind::Elicitation => "input",
        CauseKind::SignIn => "sign-in",
        CauseKind::Limit => "usage limit",
        CauseKind::Error => "error",
        CauseKind::Reply => "your turn",
        CauseKind::Interrupted => "interrupted",
        CauseKind::Crashed => "process gone",
        CauseKind::Uncommitted => "left uncommitted",
    }
}

/// What became of a cause, in words.
pub(crate) fn became(outcome: NoticeOutcome, why: Option<HeldBack>) -> &'static str {
    match (outcome, why) {
        (NoticeOutcome::Told, _) => "told",
        (NoticeOutcome::Grouped, _) => "told together with others",
        (NoticeOutcome::Resolved, _) => "seen to before it was told",
        (NoticeOutcome::Withdrawn, _) => "seen to, and taken back",
        (NoticeOutcome::HeldBack, None) => "not told",
        (NoticeOutcome::HeldBack, Some(why)) => match why {
            HeldBack::Paused => "not told: notifications were paused",
            HeldBack::Off => "not told: notifications are off",
            HeldBack::QuietHours => "not told: quiet hours",
            HeldBack::Attended => "not told: you were looking at it",
            HeldBack::Kind => "not told: this kind is switched off",
            HeldBack::Project => "not told: its project is switched off",
            HeldBack::Old => "not told: it stood for more than 12 hours",
            HeldBack::Before => "not told: it was so before Lamplight looked",
            HeldBack::Opened => "not told: it was so when you opened it",
            HeldBack::OwnDoing => "not told: you did it yourself",
            HeldBack::Muted => "not told: you silenced it",
        },
    }
}
