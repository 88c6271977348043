//! `lamp hook`: one event of an agent into the spool, within milliseconds of the agent's time.
//!
//! Whatever happens it ends with 0 and says nothing: an agent takes another exit code, or a word on standard error, for
//! a verdict on what it is about to do. It needs no engine, no settings file and no runtime. The arguments are looked at
//! here and not by the parser of the others, which would speak up about one it does not know.

use std::io::{Cursor, IsTerminal, Read};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use lamplight_api::config_file;
use lamplight_engine::sources::hooks::{self, Envelope, PutError};
use lamplight_model::ids::Agent;

/// After this an agent that never ends its event is left alone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes one event; `args` are those after `hook`.
pub(crate) fn run(args: &[String]) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    // A hook that is not kept is a fact that other sources tell later; there is nobody to tell of it here.
    let _ = std::panic::catch_unwind(|| take(args));
    ExitCode::SUCCESS
}

#[expect(
    clippy::disallowed_methods,
    reason = "a host, and finer than the engine's clock: the files sort by it"
)]
fn take(args: &[String]) -> Result<(), PutError> {
    let received = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // Nowhere to put it: it is read all the same, so that the agent can write it.
    let Some(data_dir) = config_file::data_dir(&crate::environment) else {
        std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())?;
        return Ok(());
    };
    let envelope = Envelope {
        agent: agent(args),
        received,
        pid: std::process::id(),
        #[cfg(unix)]
        parent: std::os::unix::process::parent_id(),
        #[cfg(not(unix))]
        parent: 0,
    };
    let spool = hooks::folder(&data_dir);
    match event(args) {
        // Codex's `notify` gives the event as the last argument.
        Some(event) => hooks::put(&spool, envelope, Cursor::new(event)),
        None => hooks::put(&spool, envelope, patient_stdin()?),
    }
}

/// `--agent codex` or `--agent=codex`; Claude Code unless said otherwise.
fn agent(args: &[String]) -> Agent {
    let after =
        args.iter().position(|arg| arg == "--agent").and_then(|at| args.get(at + 1)).map(String::as_str);
    let joined = args.iter().find_map(|arg| arg.strip_prefix("--agent="));
    after
        .or(joined)
        .and_then(Agent::from_word)
        .filter(|agent| *agent != Agent::Otel)
        .unwrap_or(Agent::ClaudeCode)
}

fn event(args: &[String]) -> Option<&str> {
    args.last().map(String::as_str).filter(|last| last.trim_start().starts_with('{'))
}

/// Standard input, unless a person sits at it; the process ends when it does not.
#[expect(clippy::disallowed_methods, reason = "a limit on waiting, in a process that does nothing else")]
fn patient_stdin() -> Result<impl Read, PutError> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(PutError::Empty);
    }
    // Ends with the process. That there is no such thread costs patience only.
    let _ = std::thread::Builder::new().stack_size(16 * 1024).spawn(|| {
        std::thread::sleep(PATIENCE);
        std::process::exit(0);
    });
    Ok(stdin.lock())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_say_whose_event_it_is_and_may_be_it() {
        let check = |line: &[&str], whose: Agent, has_event: bool| {
            let args: Vec<String> = line.iter().map(|&arg| arg.to_owned()).collect();
            assert_eq!((agent(&args), event(&args).is_some()), (whose, has_event), "{line:?}");
        };
        check(&[], Agent::ClaudeCode, false);
        check(&["--agent", "codex"], Agent::Codex, false);
        check(&["--agent=codex", "{\"type\":\"agent-turn-complete\"}"], Agent::Codex, true);
        check(&["--agent"], Agent::ClaudeCode, false);
        check(&["--agent", "nobody", "--unknown"], Agent::ClaudeCode, false);
    }
}
