//! `lamp doctor`: what is wrong, and what to do.

use anyhow::bail;
use lamplight_engine::config::Config;
use lamplight_engine::doctor::{Patient, RepairError, examine, repair};
use lamplight_engine::{StartError, clock};
use lamplight_model::view::{Doctor, DoctorCheck, DoctorState};
use serde_json::json;

use crate::args::DoctorArgs;
use crate::client::{AskError, Client};
use crate::page::{Colour, Look, Page};
use crate::plain::{pad, plain, width};
use crate::words::counted;
use crate::{output, reach};

/// Prints what was found; fails when something does not work.
pub(crate) fn run(config: &Config, args: &DoctorArgs) -> anyhow::Result<()> {
    let found = if args.repair { repaired(config)? } else { look(config)? };
    if args.json {
        output::print_json(&found)?;
    } else {
        output::print(&text(&found, Look::of_stdout()))?;
    }
    match count(&found, DoctorState::Fail) {
        0 => Ok(()),
        1 => bail!("1 thing does not work"),
        n => bail!("{n} things do not work"),
    }
}

/// Has the running engine look, which sees what it reads with; without one, looks from here.
fn look(config: &Config) -> anyhow::Result<Doctor> {
    let client = Client::new(&config.data_dir);
    let version = env!("CARGO_PKG_VERSION");
    match reach::runtime()?.block_on(client.ask::<Doctor>("doctor", json!({}))) {
        Ok(mut found) => {
            if found.version != version {
                found.checks.push(DoctorCheck {
                    id: "version".to_owned(),
                    about: "Version".to_owned(),
                    state: DoctorState::Warn,
                    message: format!("The engine is version {}, this lamp is {version}.", found.version),
                    remedy: Some(
                        "Quit Lamplight and start it again; it was updated while it ran.".to_owned(),
                    ),
                });
            }
            Ok(found)
        }
        Err(AskError::NobodyThere) => Ok(examine(config, Patient::Silent, clock::now())),
        // It is there and cannot say: that is a finding.
        Err(AskError::Refused(error)) => Ok(with_silence(config, &error.message)),
        Err(AskError::Broken(error)) => Ok(with_silence(config, &error.to_string())),
    }
}

fn with_silence(config: &Config, why: &str) -> Doctor {
    let mut found = examine(config, Patient::Silent, clock::now());
    let state = DoctorState::Fail;
    let message =
        format!("An engine is there and does not answer as it should: {}.", plain(why).trim_end_matches('.'));
    let remedy = Some("Quit Lamplight and start it again.".to_owned());
    found.checks.retain(|check| check.id != "engine");
    found.checks.insert(
        0,
        DoctorCheck { id: "engine".to_owned(), about: "Engine".to_owned(), state, message, remedy },
    );
    found
}

fn repaired(config: &Config) -> anyhow::Result<Doctor> {
    match repair(config) {
        Ok(found) => Ok(found),
        Err(RepairError::Start(StartError::Locked { dir, pid })) => {
            let process = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
            bail!("Lamplight{process} uses {}. Quit it, then repair.", dir.display())
        }
        Err(RepairError::Start(error)) => Err(reach::start_failure(error)),
        Err(error) => Err(error.into()),
    }
}

fn count(found: &Doctor, state: DoctorState) -> usize {
    found.checks.iter().filter(|check| check.state == state).count()
}

/// Writes what was found for a person: a line for each check, and below it what to do.
pub(crate) fn text(found: &Doctor, look: Look) -> String {
    let mut page = Page::new(look, found.at_ms);
    for done in &found.repaired {
        page.line(&format!("repaired  {}", plain(done)), Colour::Bold);
    }
    if !found.repaired.is_empty() {
        page.out.push('\n');
    }
    let abouts: Vec<String> = found.checks.iter().map(|check| plain(&check.about)).collect();
    let columns = abouts.iter().map(|about| width(about)).max().unwrap_or(0);
    for (check, about) in found.checks.iter().zip(&abouts) {
        let (word, colour) = match check.state {
            DoctorState::Ok => ("ok", Colour::Dim),
            DoctorState::Warn => ("warn", Colour::Turn),
            DoctorState::Fail => ("FAIL", Colour::Urgent),
        };
        // In full, whatever the terminal's width: half a remedy is none.
        page.whole(&format!("{word:<4}  {}  {}", pad(about, columns), plain(&check.message)), colour);
        if let Some(remedy) = check.remedy.as_deref().filter(|_| check.state != DoctorState::Ok) {
            page.whole(&format!("      {}  {}", " ".repeat(columns), plain(remedy)), Colour::None);
        }
    }
    page.out.push('\n');
    let counted = |n: usize, one| counted(u64::try_from(n).unwrap_or(u64::MAX), one);
    let verdict = match (count(found, DoctorState::Fail), count(found, DoctorState::Warn)) {
        (0, 0) => "Nothing is wrong.".to_owned(),
        (0, warnings) => format!("Everything works; {} to look at.", counted(warnings, "thing")),
        (fails, 0) => format!("{} to put right.", counted(fails, "thing")),
        (fails, warnings) => {
            format!("{} to put right, {} to look at.", counted(fails, "thing"), counted(warnings, "thing"))
        }
    };
    page.line(&verdict, Colour::Bold);
    page.out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_is_a_line_and_what_to_do_stands_below_what_is_wrong_a214() {
        let check = |id: &str, state, message: &str, remedy: Option<&str>| DoctorCheck {
            id: id.to_owned(),
            about: id.to_owned(),
            state,
            message: message.to_owned(),
            remedy: remedy.map(str::to_owned),
        };
        let found = Doctor {
            version: "0".to_owned(),
            at_ms: 0,
            is_running: false,
            checks: vec![
                check("data", DoctorState::Ok, "Yours alone.", None),
                check("ports", DoctorState::Warn, "Taken by \u{1b}[31motelcol.", Some("Stop it.")),
                check("database", DoctorState::Fail, "Damaged.", Some("Move it.")),
            ],
            repaired: vec!["Closed a file.".to_owned()],
        };
        let plain = Look { colour: false, columns: Some(20) };
        assert_eq!(
            text(&found, plain),
            "repaired  Closed a\u{2026}\n\n\
             ok    data      Yours alone.\n\
             warn  ports     Taken by [31motelcol.\n                Stop it.\n\
             FAIL  database  Damaged.\n                Move it.\n\n\
             1 thing to put righ\u{2026}\n"
        );
    }
}
