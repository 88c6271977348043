//! `lamp doctor`: looks at everything Lamplight depends on and says what is wrong and what to do.
//!
//! Start from [`examine`], which changes nothing, and [`repair`], which puts right what can be put right without a loss:
//! modes of our own files, parts the database lacks, indexes, what a killed engine left behind. Both read agents' files
//! only to count them. No finding holds a secret or what was said in a session.

mod connected;
mod data;
mod database;
mod engine;
mod fix;
mod ports;
mod roots;
mod times;
mod watches;

use lamplight_model::ids::Timestamp;
use lamplight_model::view::{Doctor, DoctorCheck, DoctorState, Status};

use crate::config::Config;

pub use fix::{RepairError, repair};

/// Who was found to serve the data directory.
#[derive(Debug, Clone, Copy)]
pub enum Patient<'a> {
    /// This very process, which shows this.
    Running(&'a Status),
    /// Nobody answers at the control socket.
    Silent,
}

/// Looks at everything. Reads the whole database once.
#[must_use]
pub fn examine(config: &Config, patient: Patient<'_>, now: Timestamp) -> Doctor {
    let seen = roots::Seen::of(config);
    let mut checks = Vec::new();
    checks.extend(engine::checks(config, patient));
    checks.extend(data::checks(config));
    let database = database::checks(config, now, &mut checks);
    checks.extend(ports::checks(patient));
    checks.extend(roots::checks(config, &seen, patient));
    checks.extend(connected::checks(config, &seen, patient, database.as_ref()));
    checks.extend(times::checks(&seen, patient, database.as_ref(), now));
    checks.extend(watches::checks(&seen));
    checks.extend(config.warnings.iter().map(|warning| {
        warn(
            "config",
            "Settings",
            warning.clone(),
            "Correct it in the settings file; it is read again at once.",
        )
    }));
    Doctor {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        at_ms: now.0,
        is_running: matches!(patient, Patient::Running(_)),
        checks,
        repaired: Vec::new(),
    }
}

fn ok(id: &str, about: &str, message: impl Into<String>) -> DoctorCheck {
    check(id, about, DoctorState::Ok, message.into(), None)
}

fn warn(id: &str, about: &str, message: impl Into<String>, remedy: &str) -> DoctorCheck {
    check(id, about, DoctorState::Warn, message.into(), Some(remedy))
}

fn fail(id: &str, about: &str, message: impl Into<String>, remedy: &str) -> DoctorCheck {
    check(id, about, DoctorState::Fail, message.into(), Some(remedy))
}

fn check(id: &str, about: &str, state: DoctorState, message: String, remedy: Option<&str>) -> DoctorCheck {
    DoctorCheck {
        id: id.to_owned(),
        about: about.to_owned(),
        state,
        message,
        remedy: remedy.filter(|text| !text.is_empty()).map(str::to_owned),
    }
}

/// A path of ours or an agent's for a message: on one line, the home as `~`.
fn shown(path: &std::path::Path, config: &Config) -> String {
    let shortened = config.home.as_deref().and_then(|home| path.strip_prefix(home).ok());
    let text = match shortened {
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    };
    text.chars().filter(|c| !lamplight_model::label::is_unsafe(*c)).collect()
}

/// `412 bytes`, `3.4 MB`, in decimal units.
fn size(bytes: u64) -> String {
    for (unit, size) in [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)] {
        if bytes >= size {
            return format!("{}.{} {unit}", bytes / size, bytes % size * 10 / size);
        }
    }
    format!("{bytes} bytes")
}

/// `1 file`, `12 files`.
fn counted(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// `8 s`, `12 min`, `3 h`, `2 d`.
fn span(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}
