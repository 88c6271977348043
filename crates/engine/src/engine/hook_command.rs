//! The user's own command (`[notify] command`), run for each cause that is told.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use crate::core::Call;
use crate::sources::children::{end, wait_until};

/// Calls that may wait; a command that hangs holds up the others for [`PATIENCE`] each.
const WAITING: usize = 64;

/// How long a command may take. One that wants longer goes to the background by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs commands one after the other on a thread of its own, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Caller {
    calls: SyncSender<Call>,
}

impl Caller {
    /// Starts the thread.
    pub(super) fn start() -> std::io::Result<Self> {
        let (calls, waiting) = sync_channel(WAITING);
        std::thread::Builder::new().name("notify-command".to_owned()).spawn(move || run_all(&waiting))?;
        Ok(Self { calls })
    }

    /// Has a command run soon; never waits.
    pub(super) fn call(&self, call: Call) {
        if let Err(TrySendError::Full(_)) = self.calls.try_send(call) {
            tracing::warn!("the command of [notify] does not keep up; it was not run for one cause");
        }
    }
}

fn run_all(waiting: &Receiver<Call>) {
    for call in waiting {
        if let Err(error) = run(&call) {
            // Neither its arguments nor what it was told stand here: they may be private.
            tracing::warn!(%error, "the command of [notify] failed");
        }
    }
}

fn run(call: &Call) -> std::io::Result<()> {
    let [program, arguments @ ..] = call.command.as_slice() else { return Ok(()) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A few hundred bytes fit into the pipe, so that this waits for nobody; a command may also not want them.
        let _ = stdin.write_all(call.json.as_bytes());
    }
    match wait_until(&mut child, Instant::now() + PATIENCE) {
        Some(true) => Ok(()),
        Some(false) => Err(std::io::Error::other("it ended with an error")),
        None => {
            end(child);
            Err(std::io::Error::other("it took longer than 10 s and was ended"))
        }
    }
}
