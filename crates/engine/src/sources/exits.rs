//! Process ends as events: a pid is held open and awaited, never polled.

use std::io;

/// Why a process cannot be awaited.
#[derive(Debug, thiserror::Error)]
pub enum ExitError {
    /// It has ended already.
    #[error("process {0} has ended")]
    Gone(u32),
    /// The platform, or this kernel, has no way; the reconcile looks every time instead.
    #[error("process ends cannot be awaited here")]
    Unsupported,
    /// The system refused.
    #[error("cannot await the end of process {pid}")]
    System {
        /// Which.
        pid: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The waiting thread did not start.
    #[error("cannot start waiting for process ends")]
    Start(#[source] io::Error),
}

#[cfg(target_os = "linux")]
pub use linux::Exits;
#[cfg(not(target_os = "linux"))]
pub use unsupported::Exits;

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::HashMap;
    use std::os::fd::OwnedFd;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::thread::JoinHandle;

    use rustix::event::{EventfdFlags, epoll, eventfd};
    use rustix::io::Errno;
    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use super::ExitError;

    /// Event data of the bell that ends the thread; no pid is so large.
    const BELL: u64 = u64::MAX;

    /// Waits for process ends on a thread of its own.
    #[derive(Debug)]
    pub struct Exits {
        shared: Arc<Shared>,
        thread: Option<JoinHandle<()>>,
    }

    #[derive(Debug)]
    struct Shared {
        epoll: OwnedFd,
        bell: OwnedFd,
        /// Processes held. Locked by the caller to add and drop, by the thread to drop, never while telling.
        held: Mutex<HashMap<u32, OwnedFd>>,
    }

    impl Exits {
        /// Starts the thread; `tell` is called on it for each end and may block.
        ///
        /// # Errors
        /// [`ExitError::Start`] when the system gives no epoll, event descriptor or thread.
        pub fn start(tell: impl Fn(u32) + Send + 'static) -> Result<Self, ExitError> {
            let start = |e: Errno| ExitError::Start(e.into());
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(start)?;
            let bell = eventfd(0, EventfdFlags::CLOEXEC).map_err(start)?;
            epoll::add(&epoll, &bell, epoll::EventData::new_u64(BELL), epoll::EventFlags::IN)
                .map_err(start)?;
            let shared = Arc::new(Shared { epoll, bell, held: Mutex::default() });
            let theirs = Arc::clone(&shared);
            let thread = std::thread::Builder::new()
                .name("process-exits".to_owned())
                .spawn(move || wait(&theirs, &tell))
                .map_err(ExitError::Start)?;
            Ok(Self { shared, thread: Some(thread) })
        }

        /// Holds a process; its end is told once. Holding it again changes nothing.
        ///
        /// The caller checks the process's start *after* this returns: what was opened is then what was checked.
        ///
        /// # Errors
        /// [`ExitError::Gone`] when there is no such process, [`ExitError::Unsupported`] on kernels before 5.3.
        pub fn hold(&self, pid: u32) -> Result<(), ExitError> {
            let mut held = self.shared.held.lock().unwrap_or_else(PoisonError::into_inner);
            if held.contains_key(&pid) {
                return Ok(());
            }
            let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(ExitError::Gone(pid))?;
            let fd = pidfd_open(raw, PidfdFlags::empty()).map_err(|e| match e {
                Errno::SRCH | Errno::INVAL => ExitError::Gone(pid),
                Errno::NOSYS | Errno::PERM => ExitError::Unsupported,
                e => ExitError::System { pid, source: e.into() },
            })?;
            let flags = epoll::EventFlags::IN | epoll::EventFlags::ONESHOT;
            epoll::add(&self.shared.epoll, &fd, epoll::EventData::new_u64(u64::from(pid)), flags)
                .map_err(|e| ExitError::System { pid, source: e.into() })?;
            held.insert(pid, fd);
            Ok(())
        }

        /// Lets a process go; its end is not told.
        pub fn release(&self, pid: u32) {
            self.shared.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid);
        }

        /// Whether a process is held and has not been told to have ended.
        #[must_use]
        pub fn is_held(&self, pid: u32) -> bool {
            self.shared.held.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&pid)
        }
    }

    impl Drop for Exits {
        fn drop(&mut self) {
            // A full counter would ring as well, so nothing is lost with the result.
            let _ = rustix::io::write(&self.shared.bell, &1u64.to_ne_bytes());
            if let Some(thread) = self.thread.take() {
                // A panic there has been reported on its own thread; there is nothing left to stop.
                let _ = thread.join();
            }
        }
    }

    fn wait(shared: &Shared, tell: &dyn Fn(u32)) {
        let mut events = Vec::with_capacity(64);
        loop {
            events.clear();
            match epoll::wait(&shared.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => {
                    tracing::error!(%error, "waiting for process ends failed; the reconcile looks instead");
                    return;
                }
            }
            for event in &events {
                let data = event.data.u64();
                let Ok(pid) = u32::try_from(data) else { return };
                let was_held =
                    shared.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid).is_some();
                if was_held {
                    tell(pid);
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod unsupported {
    use super::ExitError;

    /// Stands where kqueue (macOS) or a process handle (Windows) will: nothing is awaited, the reconcile looks.
    #[derive(Debug)]
    pub struct Exits;

    impl Exits {
        /// Does nothing.
        ///
        /// # Errors
        /// None.
        pub fn start(_tell: impl Fn(u32) + Send + 'static) -> Result<Self, ExitError> {
            Ok(Self)
        }

        /// Refuses.
        ///
        /// # Errors
        /// Always [`ExitError::Unsupported`].
        pub fn hold(&self, _pid: u32) -> Result<(), ExitError> {
            Err(ExitError::Unsupported)
        }

        /// Does nothing.
        pub fn release(&self, _pid: u32) {}

        /// Returns `false`.
        #[must_use]
        pub fn is_held(&self, _pid: u32) -> bool {
            false
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_end_of_a_held_process_is_told_even_before_it_is_reaped() {
        let (send, receive) = channel();
        let exits = Exits::start(move |pid| send.send(pid).unwrap()).unwrap();
        let mut child = Command::new("sleep").arg("600").stdout(Stdio::null()).spawn().unwrap();
        exits.hold(child.id()).unwrap();
        exits.hold(child.id()).unwrap();
        assert!(exits.is_held(child.id()));
        child.kill().unwrap();
        assert_eq!(receive.recv_timeout(Duration::from_secs(30)), Ok(child.id()));
        assert!(!exits.is_held(child.id()));
        child.wait().unwrap();
        assert!(matches!(exits.hold(child.id()), Err(ExitError::Gone(_))));
        drop(exits);
        assert!(receive.recv().is_err(), "told once, and the thread ended");
    }
}
