//! Is an engine there, and does it answer.

use lamplight_model::view::{DoctorCheck, SourceHealth, Status};

use super::{Patient, fail, ok, warn};
use crate::config::Config;
use crate::lock::{Holder, holder};

const ABOUT: &str = "Engine";

pub(super) fn checks(config: &Config, patient: Patient<'_>) -> Vec<DoctorCheck> {
    match patient {
        Patient::Running(status) => running(status),
        Patient::Silent => vec![silent(config)],
    }
}

fn running(status: &Status) -> Vec<DoctorCheck> {
    let version = env!("CARGO_PKG_VERSION");
    let mut checks = vec![match &status.importing {
        Some(at) => ok(
            "engine",
            ABOUT,
            format!(
                "Version {version} runs and reads {} of {} files for the first time.",
                at.files_done, at.files_total
            ),
        ),
        None => ok("engine", ABOUT, format!("Version {version} runs as process {}.", std::process::id())),
    }];
    let stopped = status.sources.iter().any(|source| {
        ["store", "sources"].contains(&source.name.as_str()) && source.state == SourceHealth::Degraded
    });
    if stopped {
        checks.push(fail(
            "engine",
            ABOUT,
            "It stopped reading: its database refused a write, or it met a fault of its own.",
            "Look at the checks of the data folder and the database, then start Lamplight again.",
        ));
    }
    checks
}

fn silent(config: &Config) -> DoctorCheck {
    match holder(&config.data_dir) {
        Holder::Nobody => ok("engine", ABOUT, "No engine runs; `lamp` reads for itself when it is asked."),
        Holder::Process(pid) => {
            let who = pid.map_or_else(|| "A process".to_owned(), |pid| format!("Process {pid}"));
            fail(
                "engine",
                ABOUT,
                format!("{who} holds the data folder and does not answer."),
                "If it goes on, end that process and start Lamplight again.",
            )
        }
        Holder::Unknown(why) => warn(
            "engine",
            ABOUT,
            format!("Nobody can say whether an engine runs: {why}."),
            "Look at the check of the data folder.",
        ),
    }
}
