//! `lamp archive`, `dismiss`, `snooze`, `mute` and `unmute`: what calls for its person is put out of the way.

use chrono::{DateTime, Days, Local, NaiveTime, TimeZone};
use lamplight_api::commands::{
    CauseParams, Done, IdParams, MutedParams, archive as put_away, set_cause, set_muted,
};
use lamplight_engine::config::Config;
use lamplight_engine::{CauseAction, clock};
use lamplight_model::view::{Attention, SessionCard};
use serde_json::json;

use crate::args::{IdArgs, SnoozeArgs, SnoozeTime};
use crate::plain::plain;
use crate::{NothingMatches, close, notices, output, reach};

/// Puts a session away.
pub(crate) fn archive(config: &Config, args: &IdArgs) -> anyhow::Result<()> {
    let card: SessionCard = reach::ask(config, "archive", &json!({ "id": args.id }), |config| {
        reach::once(config, |engine| put_away(engine, IdParams { id: args.id.clone() }))
    })?;
    output::print(&format!(
        "Archived \"{}\". It comes back when something happens in it.\n",
        plain(&card.label)
    ))
}

/// Silences a session, or lets it call again.
pub(crate) fn mute(config: &Config, args: &IdArgs, muted: bool) -> anyhow::Result<()> {
    let card: SessionCard =
        reach::ask(config, "set_muted", &json!({ "id": args.id, "muted": muted }), |config| {
            reach::once(config, |engine| set_muted(engine, MutedParams { id: args.id.clone(), muted }))
        })?;
    let label = plain(&card.label);
    output::print(&match (muted, card.muted) {
        (true, _) => format!("\"{label}\" is muted: nothing is told of it.\n"),
        (false, None) => format!("\"{label}\" calls again.\n"),
        (false, Some(_)) => {
            format!("\"{label}\" is still silent: the settings mute its whole project.\n")
        }
    })
}

/// Marks what a session calls for as handled.
pub(crate) fn dismiss(config: &Config, args: &IdArgs) -> anyhow::Result<()> {
    let (card, cause) = calling(config, &args.id)?;
    act(config, &cause, CauseAction::Dismiss)?;
    output::print(&format!("\"{}\": {} is handled.\n", plain(&card.label), notices::cause(cause.cause)))
}

/// Puts off what a session calls for.
pub(crate) fn snooze(config: &Config, args: &SnoozeArgs) -> anyhow::Result<()> {
    let (card, cause) = calling(config, &args.id)?;
    let now = clock::now().0;
    let (action, until) = match args.time {
        SnoozeTime::Change => (CauseAction::SnoozeUntilChange, "until something changes".to_owned()),
        SnoozeTime::Minutes(minutes) => until(now.saturating_add(minutes.saturating_mul(60_000))),
        SnoozeTime::Tomorrow => until(tomorrow_morning(now).unwrap_or(now + 12 * 3_600_000)),
    };
    act(config, &cause, action)?;
    let what = notices::cause(cause.cause);
    output::print(&format!("\"{}\": {what} is put off {until}.\n", plain(&card.label)))
}

fn until(until_ms: i64) -> (CauseAction, String) {
    let words = Local.timestamp_millis_opt(until_ms).single().map_or_else(
        || "for a while".to_owned(),
        |at: DateTime<Local>| format!("until {}", at.format("%Y-%m-%d %H:%M")),
    );
    (CauseAction::Snooze { until_ms }, words)
}

/// 07:30 of the next local day; `None` where the calendar has no such moment.
fn tomorrow_morning(now_ms: i64) -> Option<i64> {
    let today = Local.timestamp_millis_opt(now_ms).single()?.date_naive();
    let morning = today.checked_add_days(Days::new(1))?.and_time(NaiveTime::from_hms_opt(7, 30, 0)?);
    Some(morning.and_local_timezone(Local).earliest()?.timestamp_millis())
}

/// The card of a session and the most urgent of what it calls for.
fn calling(config: &Config, id: &str) -> anyhow::Result<(SessionCard, Attention)> {
    let card = close::card(config, id)?;
    let now = clock::now().0;
    // What is put off can be put off anew.
    let calls = card.causes.iter().find(|c| c.snoozed_until_ms.is_none_or(|until| until <= now));
    let cause = calls.or(card.causes.first()).cloned();
    let label = plain(&card.label);
    match cause {
        Some(cause) => Ok((card, cause)),
        None => Err(NothingMatches(format!("\"{label}\" calls for nothing")).into()),
    }
}

fn act(config: &Config, cause: &Attention, action: CauseAction) -> anyhow::Result<Done> {
    let params = json!({ "causeId": cause.cause_id, "action": action });
    reach::ask(config, "set_cause", &params, |config| {
        reach::once(config, |engine| {
            set_cause(engine, CauseParams { cause_id: cause.cause_id.clone(), action })
        })
    })
}
