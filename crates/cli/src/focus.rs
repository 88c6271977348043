//! `lamp focus`.

use lamplight_api::commands::{IdParams, focus};
use lamplight_engine::config::Config;
use lamplight_model::view::SessionCard;
use serde_json::json;

use crate::args::FocusArgs;
use crate::plain::plain;
use crate::{output, reach};

pub(crate) fn run(config: &Config, args: &FocusArgs) -> anyhow::Result<()> {
    let card: SessionCard = reach::ask(config, "focus", &json!({ "id": args.id }), |config| {
        reach::once(config, |engine| focus(engine, IdParams { id: args.id.clone() }))
    })?;
    output::print(&format!("The terminal of \"{}\" is in front.\n", plain(&card.label)))
}
