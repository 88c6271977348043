//! `lamp report`.

use lamplight_api::commands::{IdParams, report};
use lamplight_engine::config::Config;
use lamplight_model::view::Report;
use serde_json::json;

use crate::args::IdArgs;
use crate::{output, reach};

/// Prints the report; it goes to a file or an issue as it is.
pub(crate) fn run(config: &Config, args: &IdArgs) -> anyhow::Result<()> {
    let Report { text } = reach::ask(config, "report", &json!({ "id": args.id }), |config| {
        reach::once(config, |engine| report(engine, IdParams { id: args.id.clone() }))
    })?;
    output::print(&text)
}
