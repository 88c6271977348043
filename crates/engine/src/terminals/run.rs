//! Runs a multiplexer's own client: no shell, a limit, and its output.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Instant;

use super::PATIENCE;
use crate::sources::children::{end, wait_until};

/// Most output that is read.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// Runs a program to its end, at most for [`PATIENCE`]; what it printed, or why that is not to be had.
pub(super) fn ask(program: &str, args: &[&str]) -> Result<String, String> {
    ask_in(program, args, &[])
}

/// As [`ask`], with variables of the program's own set.
pub(super) fn ask_in(program: &str, args: &[&str], set: &[(&str, &Path)]) -> Result<String, String> {
    let prepare = |program: &Path| {
        let mut command = Command::new(program);
        command.envs(set.iter().copied());
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // It is to talk to the server it is told to, not to one that Lamplight was started in.
        for name in ["TMUX", "TMUX_PANE", "STY", "WINDOW", "KITTY_LISTEN_ON", "KITTY_PUBLIC_KEY"] {
            command.env_remove(name);
        }
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command
    };
    let deadline = Instant::now() + PATIENCE;
    let mut child =
        crate::programs::spawn(Path::new(program), prepare).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => format!("{program} is not installed"),
            _ => format!("{program} cannot be started: {error}"),
        })?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (done, read) = channel();
    // It ends with the pipes, which end with the program or are left to it.
    let reading = std::thread::Builder::new().name("terminal-ask".to_owned()).spawn(move || {
        let text = |from: Option<&mut dyn Read>| {
            let mut bytes = Vec::new();
            if let Some(from) = from {
                // Half an answer is none; the program's own word on how it ended decides.
                let _ = from.take(MOST_BYTES).read_to_end(&mut bytes);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (mut out, mut err) = (out, err);
        let said = text(out.as_mut().map(|o| o as &mut dyn Read));
        let failed = text(err.as_mut().map(|e| e as &mut dyn Read));
        // Whoever waited may have lost patience.
        let _ = done.send((said, failed));
    });
    let said =
        reading.ok().and_then(|_| read.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok());
    let ended = said.as_ref().and_then(|_| wait_until(&mut child, deadline));
    match (said, ended) {
        (Some((said, _)), Some(true)) => Ok(said),
        (Some((said, failed)), Some(false)) => {
            let word = if failed.trim().is_empty() { said } else { failed };
            let line = word.lines().find(|line| !line.trim().is_empty()).unwrap_or("it ended with an error");
            Err(line.chars().filter(|c| !c.is_control()).take(200).collect())
        }
        _ => {
            end(child);
            Err(format!("it did not answer within {} s", PATIENCE.as_secs()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_hangs_is_ended_with_all_it_started_b29() {
        let dir = tempfile::tempdir().unwrap();
        let script = "sleep 600 & echo $! >child; echo $$ >self; echo half an answer; wait";
        let began = Instant::now();
        let said = ask("sh", &["-c", &format!("cd '{}'; {script}", dir.path().display())]);
        assert_eq!(said, Err(format!("it did not answer within {} s", PATIENCE.as_secs())));
        assert!(began.elapsed() >= PATIENCE, "it was given its time");
        for name in ["self", "child"] {
            let pid = std::fs::read_to_string(dir.path().join(name)).unwrap();
            let stat = format!("/proc/{}/stat", pid.trim());
            // An orphan that has ended may stay in the table until it is collected.
            let is_over = || {
                std::fs::read_to_string(&stat)
                    .map_or(true, |s| s.rsplit(')').next().unwrap().starts_with(" Z"))
            };
            while !is_over() {
                assert!(began.elapsed().as_secs() < 60, "{name} still runs");
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn what_cannot_answer_says_why_b31() {
        assert_eq!(
            ask("lamplight-no-such-program", &[]),
            Err("lamplight-no-such-program is not installed".to_owned())
        );
        let refused = ask("sh", &["-c", "echo >&2; echo 'no server \u{1b}[31mrunning' >&2; exit 1"]);
        assert_eq!(
            refused,
            Err("no server [31mrunning".to_owned()),
            "its first word, without commands to a terminal"
        );
        assert_eq!(ask("sh", &["-c", "echo three; exit 0"]), Ok("three\n".to_owned()));
    }
}
