//! Processes as the kernel's table shows them.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Most of an environment that is read.
const MOST_BYTES: u64 = 2 * 1024 * 1024;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub pid: u32,
    pub parent: u32,
    /// The leader of its session: of the processes of one terminal, the shell.
    pub leader: u32,
    /// Device number of its controlling terminal, 0 for none.
    pub tty: u32,
    /// Clock ticks from boot to its start.
    pub start: u64,
    /// Its program's name, cut by the kernel to 15 bytes.
    pub name: String,
}

/// Looks one up.
pub(super) fn look(pid: u32) -> Option<Seen> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse(stat: &str) -> Option<Seen> {
    let (pid, rest) = stat.split_once(" (")?;
    // The name may hold spaces and parentheses itself.
    let (name, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<i64>().ok();
    let id = |at: usize| u32::try_from(number(at)?).ok();
    Some(Seen {
        pid: pid.parse().ok()?,
        parent: id(1)?,
        leader: id(3)?,
        // Written as a signed number, of which the kernel uses the bits.
        tty: u32::try_from(number(4)? & 0xffff_ffff).ok()?,
        start: fields.get(19)?.parse().ok()?,
        name: name.to_owned(),
    })
}

/// The name of a terminal below `/dev`: `pts/3`, `tty2`.
pub(super) fn tty_name(tty: u32) -> Option<String> {
    let (major, minor) = ((tty >> 8) & 0xfff, (tty & 0xff) | ((tty >> 12) & 0xf_ff00));
    match major {
        4 if minor < 64 => Some(format!("tty{minor}")),
        136..=143 => Some(format!("pts/{}", (major - 136) * 256 + minor)),
        _ => None,
    }
}

/// Whether a process belongs to this user; of others nothing is read.
pub(super) fn is_own(pid: u32) -> bool {
    let own = rustix::process::geteuid().as_raw();
    fs::metadata(format!("/proc/{pid}")).is_ok_and(|meta| meta.uid() == own)
}

/// Values of the named variables of a process of this user, in the order of `names`.
pub(super) fn environment<const N: usize>(pid: u32, names: [&str; N]) -> [Option<String>; N] {
    let mut found = [const { None }; N];
    if !is_own(pid) {
        return found;
    }
    let Ok(file) = fs::File::open(format!("/proc/{pid}/environ")) else { return found };
    let mut bytes = Vec::new();
    if file.take(MOST_BYTES).read_to_end(&mut bytes).is_err() {
        return found;
    }
    for entry in bytes.split(|byte| *byte == 0) {
        let Some((name, value)) = std::str::from_utf8(entry).ok().and_then(|e| e.split_once('=')) else {
            continue;
        };
        if let Some(slot) = names.iter().position(|n| *n == name).and_then(|at| found.get_mut(at)) {
            *slot = Some(value.to_owned()).filter(|value| !value.is_empty());
        }
    }
    found
}

/// What a process of this user has open, as paths.
pub(super) fn open_files(pid: u32) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).ok();
    entries
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .collect()
}

/// The first process of this user, by its pid, whose controlling terminal is this one.
pub(super) fn on_tty(tty: &str) -> Option<u32> {
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .ok()?
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids.into_iter()
        .find(|pid| is_own(*pid) && look(*pid).is_some_and(|p| tty_name(p.tty).as_deref() == Some(tty)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_table_is_read_whatever_the_name() {
        let line = "30 (a) (b c) S 12 30 29 34819 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 223163 1 2 3";
        let want =
            Seen { pid: 30, parent: 12, leader: 29, tty: 34_819, start: 223_163, name: "a) (b c".to_owned() };
        assert_eq!(parse(line), Some(want));
        for bad in ["", "30", "30 (a) S 1"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn terminals_have_the_names_they_have_below_dev() {
        for (tty, name) in [
            (0x8803, Some("pts/3")),
            (0x8900, Some("pts/256")),
            (0x0010_8801, Some("pts/257")),
            (0x0402, Some("tty2")),
            (0, None),
            (0x0500, None),
        ] {
            assert_eq!(tty_name(tty).as_deref(), name, "{tty:x}");
        }
    }
}
