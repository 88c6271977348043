//! `lamp close`.

use anyhow::bail;
use lamplight_api::commands::{CloseParams, Closed, IdParams, close, session};
use lamplight_engine::config::Config;
use lamplight_model::session::{Lifecycle, LivenessState};
use lamplight_model::view::{SessionCard, SessionDetail};
use serde_json::json;

use crate::args::CloseArgs;
use crate::plain::plain;
use crate::words::counted;
use crate::{NothingMatches, output, reach};

/// Closes in Lamplight what the ids name, and says what became of it.
pub(crate) fn run(config: &Config, args: &CloseArgs) -> anyhow::Result<()> {
    let params = CloseParams { session_id: args.id.clone(), instance_id: args.instance_id.clone() };
    // First, so that an id that nothing has, or that two have, closes nothing.
    let before = args.id.as_deref().map(|id| card(config, id)).transpose()?;
    let asked = json!({ "session_id": params.session_id, "instance_id": params.instance_id });
    let Closed { closed } = reach::ask(config, "close", &asked, |config| {
        reach::once(config, |engine| close(engine, params.clone()))
    })?;
    match (closed, before) {
        (0, Some(card)) if args.instance_id.is_some() && is_open(&card) => {
            Err(NothingMatches("this session is not of that instance; nothing was closed".to_owned()).into())
        }
        (0, Some(card)) => output::print(&format!("\"{}\" is closed already.\n", plain(&card.label))),
        (0, None) => Err(NothingMatches("no open session declared this instance id".to_owned()).into()),
        (_, Some(card)) if card.liveness.state == LivenessState::Alive => output::print(&format!(
            "Noted. \"{}\" still runs{}; it is shown as closed once that process ends.\n",
            plain(&card.label),
            card.pid.map_or_else(String::new, |pid| format!(" as process {pid}")),
        )),
        (_, Some(card)) => output::print(&format!("Closed \"{}\".\n", plain(&card.label))),
        (n, None) => output::print(&format!("Closed {}.\n", counted(n, "session"))),
    }
}

fn is_open(card: &SessionCard) -> bool {
    !matches!(card.lifecycle, Lifecycle::Closed | Lifecycle::Completed)
}

/// The card of a session, or an error that says that there is none.
pub(crate) fn card(config: &Config, id: &str) -> anyhow::Result<SessionCard> {
    if id.is_empty() {
        bail!("the id is empty");
    }
    let detail: SessionDetail = reach::ask(config, "session", &json!({ "id": id }), |config| {
        reach::once(config, |engine| session(engine, IdParams { id: id.to_owned() }))
    })?;
    Ok(detail.card)
}
