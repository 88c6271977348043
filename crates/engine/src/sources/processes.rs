//! What the kernel says of processes: alive, started when, in which pid namespace.

use std::path::Path;

/// When a process started, in clock ticks since boot: field 22 of `/proc/<pid>/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartTicks(pub u64);

/// Whether a process is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// It runs; its start where the platform tells it.
    Alive(Option<StartTicks>),
    /// No such process, or it has exited and only waits for its parent.
    Gone,
    /// The platform does not say.
    Unknown,
}

/// Looks a process up.
#[cfg(target_os = "linux")]
#[must_use]
pub fn look_up(pid: u32) -> Liveness {
    match std::fs::read(format!("/proc/{pid}/stat")) {
        Ok(stat) => match parse_stat(&stat) {
            Some(('Z' | 'X' | 'x', _)) => Liveness::Gone,
            Some((_, start)) => Liveness::Alive(Some(start)),
            None => Liveness::Unknown,
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Liveness::Gone,
        // ESRCH: it went away between open and read.
        Err(e) if rustix::io::Errno::from_io_error(&e) == Some(rustix::io::Errno::SRCH) => Liveness::Gone,
        Err(_) => Liveness::Unknown,
    }
}

/// Looks a process up: kill(pid, 0) tells whether it is there, not when it started.
#[cfg(all(unix, not(target_os = "linux")))]
#[must_use]
pub fn look_up(pid: u32) -> Liveness {
    let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else {
        return Liveness::Gone;
    };
    match rustix::process::test_kill_process(pid) {
        Ok(()) | Err(rustix::io::Errno::PERM) => Liveness::Alive(None),
        Err(rustix::io::Errno::SRCH) => Liveness::Gone,
        Err(_) => Liveness::Unknown,
    }
}

/// Looks a process up: not supported here.
#[cfg(not(unix))]
#[must_use]
pub fn look_up(_pid: u32) -> Liveness {
    Liveness::Unknown
}

/// State letter and start of a `stat` line. The command's name may hold spaces and parentheses, so fields count from the
/// last closing one.
#[cfg(target_os = "linux")]
fn parse_stat(stat: &[u8]) -> Option<(char, StartTicks)> {
    let after = stat.get(memchr::memrchr(b')', stat)? + 1..)?;
    let mut fields = std::str::from_utf8(after).ok()?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    // State is field 3, the start is field 22.
    let start = fields.nth(18)?.parse().ok()?;
    Some((state, StartTicks(start)))
}

/// The pid namespace this process looks from, as `/proc/self/ns/pid` writes it: `pid:[4026531836]`.
#[must_use]
pub fn own_pid_namespace() -> Option<String> {
    let link = std::fs::read_link("/proc/self/ns/pid").ok()?;
    link.to_str().map(str::to_owned)
}

/// Whether every process that may write below `path` has a pid here.
///
/// So it is in the first pid namespace. In a container it is so for folders on the container's own root (an overlay no
/// other namespace writes to), but not for a mounted home: its writers may live outside, and the kernel's lock table
/// leaves out locks whose owner has no pid here.
#[cfg(target_os = "linux")]
#[must_use]
pub fn sees_all_writers(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    /// Inode of the first pid namespace, fixed in the kernel (`PROC_PID_INIT_INO`).
    const FIRST_NAMESPACE: &str = "pid:[4026531836]";
    /// `OVERLAYFS_SUPER_MAGIC`.
    const OVERLAY: u32 = 0x794c_7630;
    if own_pid_namespace().as_deref() == Some(FIRST_NAMESPACE) {
        return true;
    }
    let device = |p: &Path| std::fs::metadata(p).map(|m| m.dev()).ok();
    let is_overlay = rustix::fs::statfs("/").is_ok_and(|s| u32::try_from(s.f_type) == Ok(OVERLAY));
    is_overlay && device(path).is_some() && device(path) == device(Path::new("/"))
}

/// Whether every process that may write below `path` has a pid here: there are no pid namespaces on this platform.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn sees_all_writers(_path: &Path) -> bool {
    true
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_parentheses_does_not_shift_the_fields() {
        let stat =
            b"30 (a) (b c) S 1 30 30 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 223163 1 2 3 18446744073709551615 1\n";
        assert_eq!(parse_stat(stat), Some(('S', StartTicks(223_163))));
        assert_eq!(parse_stat(b"30 (a"), None);
        assert_eq!(parse_stat(b""), None);
    }

    #[test]
    fn this_process_is_alive_and_pid_zero_is_not() {
        assert!(matches!(look_up(std::process::id()), Liveness::Alive(Some(_))));
        assert_eq!(look_up(0), Liveness::Gone);
    }
}
