//! `lamp`: Lamplight from a terminal.
//!
//! Start from [`args`] (what can be asked) and [`reach`] (who answers: a running engine through its socket, or this
//! process for one pass). Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 nothing matches. What was asked for goes to
//! standard output; progress, warnings and errors go to standard error. No rule about sessions lives here.

mod args;
mod aside;
mod client;
mod close;
mod doctor;
mod focus;
mod forget;
mod hook;
mod import;
mod notices;
mod output;
mod page;
mod plain;
mod reach;
mod rename;
mod replay;
mod report;
mod resume;
mod runs;
mod serve;
mod services;
mod setup;
mod status;
mod terminal;
mod watch;
mod words;

use std::process::ExitCode;

use clap::Parser;
use lamplight_api::config_file;
use lamplight_engine::config::Config;
use lamplight_engine::setup::stable_path;

use args::{Args, Task};

/// Nothing has the id that was asked for: exit code 3.
#[derive(Debug)]
struct NothingMatches(String);

impl std::fmt::Display for NothingMatches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NothingMatches {}

/// The command line asks for what cannot be done: exit code 2.
#[derive(Debug)]
struct WrongUsage(String);

impl std::fmt::Display for WrongUsage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongUsage {}

/// A program that was run for the person ended so; it said why itself.
#[derive(Debug)]
struct EndedWith(u8);

impl std::fmt::Display for EndedWith {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it ended with {}", self.0)
    }
}

impl std::error::Error for EndedWith {}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|task| task == "hook") {
        return hook::run(&args.map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>());
    }
    let task = match Args::try_parse() {
        Ok(args) => args.task,
        // Whoever calls it at the end of a run is not to be bothered, whatever it was called with.
        Err(error)
            if error.use_stderr() && std::env::args_os().nth(1).is_some_and(|task| task == "session-end") =>
        {
            return ExitCode::SUCCESS;
        }
        Err(error) => error.exit(),
    };
    match run(task) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough (`lamp status | head`).
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(EndedWith(code)) = error.downcast_ref() {
                return ExitCode::from(*code);
            }
            output::error(&error);
            if error.is::<NothingMatches>() {
                ExitCode::from(3)
            } else if error.is::<WrongUsage>() {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    match task {
        Task::Status(args) if args.watch => watch::run(&load_config(None)?, args.json),
        Task::Status(args) => status::run(&load_config(None)?, args.json),
        Task::Import(args) => import::run(&load_config(None)?, args.json),
        Task::Serve(args) => serve::run(load_config(args.data.as_deref())?, &args),
        Task::Rename(args) => rename::run(&load_config(None)?, &args),
        Task::Resume(args) => resume::run(&load_config(None)?, &args),
        Task::Focus(args) => focus::run(&load_config(None)?, &args),
        Task::Close(args) => close::run(&load_config(None)?, &args),
        Task::Archive(args) => aside::archive(&load_config(None)?, &args),
        Task::Dismiss(args) => aside::dismiss(&load_config(None)?, &args),
        Task::Snooze(args) => aside::snooze(&load_config(None)?, &args),
        Task::Mute(args) => aside::mute(&load_config(None)?, &args, true),
        Task::Unmute(args) => aside::mute(&load_config(None)?, &args, false),
        Task::Forget(args) => forget::run(&load_config(None)?, &args),
        Task::Report(args) => report::run(&load_config(None)?, &args),
        Task::Notices(args) => notices::run(&load_config(None)?, &args),
        Task::Runs(args) => runs::run(&load_config(None)?, &args),
        Task::Services(args) => services::run(&load_config(None)?, &args),
        Task::Replay(args) => replay::run(&args),
        Task::Doctor(args) => doctor::run(&load_config(None)?, &args),
        Task::Setup(args) => setup::run(&load_config(None)?, &args),
        Task::OtelResourceAttrs(args) => terminal::attributes(&args),
        Task::SessionEnd(args) => {
            terminal::end(&args);
            Ok(())
        }
        Task::Hook(args) => {
            // Handled before the arguments were parsed.
            let _ = (args.agent, args.event);
            Ok(())
        }
    }
}

/// Reads settings and environment and says what in them was not understood; `data` replaces `LAMPLIGHT_DATA`.
fn load_config(data: Option<&str>) -> anyhow::Result<Config> {
    let mut config = config_file::load(&|name| environment_over(name, data))?;
    for warning in &config.warnings {
        output::warning(warning);
    }
    let exe = std::env::current_exe().ok();
    config.setup.lamp = exe.map(|exe| stable_path(&exe, environment("PATH").as_deref()));
    Ok(config)
}

/// Reads one variable; `data` stands for `LAMPLIGHT_DATA`.
fn environment_over(name: &str, data: Option<&str>) -> Option<String> {
    match (name, data) {
        ("LAMPLIGHT_DATA", Some(dir)) => Some(dir.to_owned()),
        _ => environment(name),
    }
}

/// Reads one variable; one that is no UTF-8 counts as not set.
#[expect(clippy::disallowed_methods, reason = "this is a host: the one place that reads the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
