//! `lamp resume --run`: the agent in this terminal, and a note when it does not resume.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use lamplight_api::commands::{ResumeFailedParams, resume_failed};
use lamplight_engine::config::Config;
use lamplight_model::view::Resume;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::{EndedWith, output, reach};

/// An agent that ends with an error within this has not resumed; one that ran longer has, whatever ended it.
const AT_ONCE: Duration = Duration::from_secs(15);
/// End of what the agent said on standard error that is kept to tell why it failed.
const SAID_BYTES: usize = 16 * 1024;
/// Time for the last of it to arrive: something the agent left running may hold the pipe open for ever.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Runs the line in this terminal and ends as it does. What it says on standard error passes through.
pub(super) fn run(config: &Config, id: &str, command: &str) -> anyhow::Result<()> {
    let runtime = reach::runtime()?;
    let _inside = runtime.enter();
    // Keys that end programs are for the agent; this process waits for it.
    let _interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let _quit = signal(SignalKind::quit()).context("cannot listen for signals")?;
    let began = Instant::now();
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start a shell for the command")?;
    let said = child.stderr.take().map(Said::pass_through).transpose()?;
    let status = child.wait().context("cannot wait for the agent")?;
    if status.success() {
        return Ok(());
    }
    if began.elapsed() < AT_ONCE && status.signal().is_none() {
        let said = said.map(Said::last_words).unwrap_or_default();
        let noted: anyhow::Result<Resume> =
            reach::ask(config, "resume_failed", &json!({ "id": id, "said": said }), |config| {
                let params = ResumeFailedParams { id: id.to_owned(), said: said.clone() };
                reach::once(config, |engine| resume_failed(engine, params))
            });
        match noted {
            Ok(_) => output::note("lamp: the resume failed; it is noted on the session's card"),
            // The agent's own error is what the person needs; that it was not noted is told beside it.
            Err(error) => output::warning(&format!("the failed resume could not be noted: {error}")),
        }
    }
    Err(EndedWith(code_of(status)).into())
}

/// What an agent says on standard error, while it says it.
struct Said {
    /// The end of it; the reading thread writes, the waiting one looks once at the end.
    kept: Arc<Mutex<Vec<u8>>>,
    /// Hangs up when there is no more.
    over: Receiver<()>,
}

impl Said {
    /// Copies to our standard error as it comes, on a thread of its own that ends with the pipe or with this process.
    fn pass_through(mut from: impl Read + Send + 'static) -> anyhow::Result<Self> {
        let (going_on, over) = channel::<()>();
        let kept = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&kept);
        let copy = move || {
            let _going_on = going_on;
            let mut buffer = [0; 4096];
            loop {
                let n = match from.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(n) => n,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    Err(_) => return,
                };
                let bytes = buffer.get(..n).unwrap_or_default();
                // Nobody listens there any more: the agent goes on all the same.
                let _ = std::io::stderr().write_all(bytes);
                let mut kept = keep.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(bytes);
                let over = kept.len().saturating_sub(SAID_BYTES);
                kept.drain(..over);
            }
        };
        std::thread::Builder::new().name("stderr".to_owned()).spawn(copy).context("cannot start a thread")?;
        Ok(Self { kept, over })
    }

    /// The end of what was said.
    fn last_words(self) -> String {
        // Either nothing more comes, or it has had its time.
        let _ = self.over.recv_timeout(LAST_WORDS);
        String::from_utf8_lossy(&self.kept.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

/// The exit code a shell would give.
fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}
