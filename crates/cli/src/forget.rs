//! `lamp forget`: shows which sessions would go, asks, and has them forgotten.

use anyhow::anyhow;
use lamplight_api::commands::{ForgetParams, forget};
use lamplight_engine::config::Config;
use lamplight_model::view::Forgotten;
use serde_json::json;

use crate::args::ForgetArgs;
use crate::plain::plain;
use crate::words::counted;
use crate::{NothingMatches, WrongUsage, close, output, reach, setup};

/// Sessions that are named before it is asked.
const NAMED: usize = 10;

pub(crate) fn run(config: &Config, args: &ForgetArgs) -> anyhow::Result<()> {
    let would = ask(config, args, true)?;
    if would.total == 0 {
        return Err(if would.running > 0 {
            anyhow!("nothing was forgotten: {}. End it first.", left_alone(would.running))
        } else {
            NothingMatches("no session matches".to_owned()).into()
        });
    }
    if args.json {
        return output::print_json(&if args.yes { ask(config, args, false)? } else { would });
    }
    if !args.yes {
        output::print(&shown(config, args, &would)?)?;
        if !setup::is_terminal() {
            return Err(WrongUsage(
                "nothing was forgotten, because nobody can be asked here. To go on, add --yes".to_owned(),
            )
            .into());
        }
        if !setup::agreed("Forget for good? [y/N] ")? {
            return output::print("Nothing was forgotten.\n");
        }
    }
    let gone = ask(config, args, false)?;
    let mut said =
        format!("Forgot {}. The agents' own files were not touched.\n", counted(gone.total, "session"));
    if gone.running > 0 {
        said.push_str(&format!("Left alone: {}.\n", left_alone(gone.running)));
    }
    output::print(&said)
}

fn shown(config: &Config, args: &ForgetArgs, would: &Forgotten) -> anyhow::Result<String> {
    let mut out = match &args.id {
        Some(id) => format!("\"{}\" would be forgotten:\n", plain(&close::card(config, id)?.label)),
        None => format!("{} would be forgotten:\n", counted(would.total, "session")),
    };
    for name in would.sessions.iter().take(NAMED) {
        out.push_str(&format!("  {}\n", plain(name)));
    }
    let more = would.total.saturating_sub(would.sessions.len().min(NAMED) as u64);
    if more > 0 {
        out.push_str(&format!("  and {more} more\n"));
    }
    if would.running > 0 {
        out.push_str(&format!("Left alone: {}.\n", left_alone(would.running)));
    }
    out.push_str("Everything Lamplight keeps of it goes, and it is not taken in again. Transcripts stay where they are.\n");
    Ok(out)
}

fn left_alone(running: u64) -> String {
    let verb = if running == 1 { "is" } else { "are" };
    format!("{} {verb} run by a process", counted(running, "session"))
}

fn ask(config: &Config, args: &ForgetArgs, dry_run: bool) -> anyhow::Result<Forgotten> {
    let params = json!({
        "id": args.id, "project": args.project, "before_ms": args.before, "dry_run": dry_run,
    });
    reach::ask(config, "forget", &params, |config| {
        reach::once(config, |engine| {
            let params = ForgetParams {
                id: args.id.clone(),
                project: args.project.clone(),
                before_ms: args.before,
                dry_run,
            };
            forget(engine, params)
        })
    })
}
