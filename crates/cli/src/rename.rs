//! `lamp rename`.

use lamplight_api::commands::{LabelParams, set_label};
use lamplight_engine::config::Config;
use lamplight_model::view::SessionCard;
use serde_json::json;

use crate::args::RenameArgs;
use crate::plain::plain;
use crate::{output, reach};

pub(crate) fn run(config: &Config, args: &RenameArgs) -> anyhow::Result<()> {
    let label = args.label.as_deref();
    let card: SessionCard =
        reach::ask(config, "set_label", &json!({ "id": args.id, "label": label }), |config| {
            reach::once(config, |engine| {
                set_label(engine, LabelParams { id: args.id.clone(), label: label.map(ToOwned::to_owned) })
            })
        })?;
    let sentence =
        if label.is_some_and(|label| !label.trim().is_empty()) { "Renamed to" } else { "Named again" };
    output::print(&format!("{sentence} \"{}\".\n", plain(&card.label)))
}
