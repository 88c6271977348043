//! Programs this engine starts: waited for with a limit, and ended whole.

use std::process::Child;
use std::time::{Duration, Instant};

/// Whether it ended well; `None` when it did not end in time.
pub(crate) fn wait_until(child: &mut Child, deadline: Instant) -> Option<bool> {
    if !has_ended_by(child.id(), deadline) {
        return None;
    }
    Some(child.wait().is_ok_and(|status| status.success()))
}

/// Waits for the end of a process, at most until `deadline`.
#[cfg(target_os = "linux")]
pub(crate) fn has_ended_by(pid: u32, deadline: Instant) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // Without a descriptor for it, its end is simply awaited: it has closed its output already.
    let Some(fd) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else { return true };
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => return false,
            Err(rustix::io::Errno::INTR) => {}
            Ok(_) | Err(_) => return true,
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn has_ended_by(_: u32, _: Instant) -> bool {
    true
}

/// Ends a program that leads its own process group, and everything it started. One that hangs in the kernel is waited for elsewhere.
pub(crate) fn end(mut child: Child) {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        // It may have ended by itself meanwhile.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    // As above.
    let _ = child.kill();
    if wait_until(&mut child, Instant::now() + Duration::from_millis(100)).is_none() {
        // Without a thread its entry stays in the process table until the app ends.
        let _ = std::thread::Builder::new().name("hung-child".to_owned()).spawn(move || child.wait());
    }
}
