//! `lamp resume --viable`: which session a harness should take up again.

use lamplight_api::commands::{ViableParams, viable};
use lamplight_engine::config::Config;
use lamplight_model::view::SessionCard;
use serde_json::json;

use crate::args::ResumeArgs;
use crate::{output, reach};

/// Prints the bare id of the session, as its agent takes it, or its card.
///
/// # Errors
/// [`crate::NothingMatches`] with the reasons when none is worth an attempt.
pub(super) fn run(config: &Config, args: &ResumeArgs) -> anyhow::Result<()> {
    let params = ViableParams { project: args.project.clone(), agent: args.agent.clone() };
    let asked = json!({ "project": params.project, "agent": params.agent });
    let card: SessionCard = reach::ask(config, "viable", &asked, |config| {
        reach::once(config, |engine| viable(engine, params.clone()))
    })?;
    if args.json { output::print_json(&card) } else { output::print(&format!("{}\n", card.session_id)) }
}
