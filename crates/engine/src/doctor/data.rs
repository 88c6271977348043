//! The data folder: there, ours, closed to others, with room.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use lamplight_model::view::DoctorCheck;

use super::{counted, fail, ok, shown, size, warn};
use crate::config::Config;
use crate::sources::hooks;

const ABOUT: &str = "Data folder";
/// Free disk below which raw telemetry is refused (DESIGN §6).
const LEAST_FREE: u64 = 200_000_000;
/// Free disk below which it is time to look.
const LITTLE_FREE: u64 = 1_000_000_000;
/// Hooks that wait although an engine runs: it takes them within milliseconds.
const MANY_WAITING: usize = 1_000;

pub(super) fn checks(config: &Config) -> Vec<DoctorCheck> {
    let dir = &config.data_dir;
    let name = shown(dir, config);
    let meta = match fs::metadata(dir) {
        Ok(meta) if meta.is_dir() => meta,
        Ok(_) => {
            let remedy = "Move it away, or set LAMPLIGHT_DATA to another folder.";
            return vec![fail("data", ABOUT, format!("{name} is no folder."), remedy)];
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return vec![ok(
                "data",
                ABOUT,
                format!("{name} is not there yet; it is made at the first start."),
            )];
        }
        Err(e) => {
            let remedy = "Make it readable for you, or set LAMPLIGHT_DATA to another folder.";
            return vec![fail("data", ABOUT, format!("{name} cannot be read: {e}."), remedy)];
        }
    };
    let mut checks = vec![owned(dir, &meta, config)];
    checks.extend(room(dir, config));
    checks.push(spool(dir));
    checks
}

/// Files and folders of ours that others can get at, with the mode they should have.
pub(super) fn too_open(dir: &Path) -> Vec<(PathBuf, u32)> {
    let folders = ["", "spool", "setup", "shell", "forward"].map(|name| dir.join(name));
    let inside = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mut open: Vec<(PathBuf, u32)> = folders
        .iter()
        .cloned()
        .chain(inside.map(|entry| entry.path()))
        .filter_map(|path| {
            let meta = fs::symlink_metadata(&path).ok()?;
            let wanted = match mode(&meta)? {
                _ if meta.is_symlink() => return None,
                mode if mode & 0o077 == 0 => return None,
                mode => mode & 0o700,
            };
            Some((path, wanted))
        })
        .collect();
    open.sort();
    open.dedup();
    open
}

fn owned(dir: &Path, meta: &Metadata, config: &Config) -> DoctorCheck {
    let name = shown(dir, config);
    if let Some(owner) = foreign_owner(meta) {
        return fail(
            "data",
            ABOUT,
            format!("{name} belongs to another user (uid {owner})."),
            "Give it back to yourself with chown, or set LAMPLIGHT_DATA to a folder of your own.",
        );
    }
    let open = too_open(dir);
    let remedy = "Quit Lamplight and run lamp doctor --repair, which closes them to others.";
    if open.iter().any(|(path, _)| path == dir) {
        return fail("data", ABOUT, format!("Other users of this machine can look into {name}."), remedy);
    }
    if let Some((first, _)) = open.first() {
        let n = u64::try_from(open.len()).unwrap_or(u64::MAX);
        let what =
            format!("{} of {name} would be open to others, but for the folder around it", counted(n, "part"));
        return warn("data", ABOUT, format!("{what}: {}.", shown(first, config)), remedy);
    }
    ok("data", ABOUT, format!("{name} is yours alone."))
}

#[cfg(unix)]
fn mode(meta: &Metadata) -> Option<u32> {
    Some(std::os::unix::fs::MetadataExt::mode(meta) & 0o777)
}

#[cfg(not(unix))]
fn mode(_meta: &Metadata) -> Option<u32> {
    None
}

#[cfg(unix)]
fn foreign_owner(meta: &Metadata) -> Option<u32> {
    let owner = std::os::unix::fs::MetadataExt::uid(meta);
    (owner != rustix::process::getuid().as_raw()).then_some(owner)
}

#[cfg(not(unix))]
fn foreign_owner(_meta: &Metadata) -> Option<u32> {
    None
}

fn room(dir: &Path, config: &Config) -> Option<DoctorCheck> {
    let free = free_bytes(dir)?;
    let used: u64 = ["lamplight.db", "lamplight.db-wal"]
        .iter()
        .filter_map(|name| fs::metadata(dir.join(name)).ok())
        .map(|meta| meta.len())
        .sum();
    let message = format!("{} free, the database takes {}.", size(free), size(used));
    let remedy = format!("Make room on the disk of {}.", shown(dir, config));
    Some(match free {
        0..LEAST_FREE => fail("disk", "Disk", message, &remedy),
        LEAST_FREE..LITTLE_FREE => warn("disk", "Disk", message, &remedy),
        _ => ok("disk", "Disk", message),
    })
}

#[cfg(unix)]
fn free_bytes(dir: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_dir: &Path) -> Option<u64> {
    None
}

/// Counts what waits in the spool; removes nothing of it.
fn spool(dir: &Path) -> DoctorCheck {
    let folder = hooks::folder(dir);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return ok("spool", "Spool", "No hook waits to be read.");
        }
        Err(e) => {
            let remedy = "Make the folder spool in the data folder readable for you.";
            return fail("spool", "Spool", format!("The spool cannot be read: {e}."), remedy);
        }
    };
    let waiting: Vec<u64> = entries
        .flatten()
        .filter(|entry| hooks::is_hook_name(&entry.file_name()))
        .filter_map(|entry| entry.metadata().ok())
        .map(|meta| meta.len())
        .collect();
    let bytes = size(waiting.iter().sum());
    let n = u64::try_from(waiting.len()).unwrap_or(u64::MAX);
    let message = format!(
        "{} ({bytes}) to be read.",
        if n == 1 { "1 hook waits".to_owned() } else { format!("{n} hooks wait") }
    );
    match waiting.len() {
        0 => ok("spool", "Spool", "No hook waits to be read."),
        1..MANY_WAITING => ok("spool", "Spool", message),
        _ => warn(
            "spool",
            "Spool",
            message,
            "Start Lamplight: it reads them. From 20,000 on the oldest are dropped.",
        ),
    }
}
