//! `lamp resume`.

mod here;
mod viable;

use anyhow::bail;
use lamplight_api::commands::{IdParams, resume};
use lamplight_engine::config::Config;
use lamplight_model::session::ResumeState;
use lamplight_model::view::Resume;
use serde_json::json;

use crate::args::ResumeArgs;
use crate::plain::{is_hidden, plain};
use crate::{output, reach};

/// Prints the exact command line and what to expect of it on standard error, or runs it.
pub(crate) fn run(config: &Config, args: &ResumeArgs) -> anyhow::Result<()> {
    let Some(id) = args.id.as_deref() else { return viable::run(config, args) };
    let answer: Resume = reach::ask(config, "resume", &json!({ "id": id }), |config| {
        reach::once(config, |engine| resume(engine, IdParams { id: id.to_owned() }))
    })?;
    let reason = answer.reason.as_deref().map(plain).filter(|reason| !reason.is_empty());
    let Some(command) = answer.command else {
        bail!(
            "this session cannot be resumed: {}",
            reason.unwrap_or_else(|| "no reason is known".to_owned())
        );
    };
    // The engine makes no such line; a terminal or a shell would obey what the eye does not see.
    if command.chars().any(is_hidden) {
        bail!("this session cannot be resumed: its command would hold characters that cannot be seen");
    }
    if args.run && answer.state == ResumeState::Running {
        bail!("it runs already; resuming it again would branch its transcript");
    }
    if answer.state != ResumeState::Ready
        && let Some(reason) = reason
    {
        output::note(&format!("note: {reason}"));
    }
    if args.run { here::run(config, id, &command) } else { output::print(&format!("{command}\n")) }
}
