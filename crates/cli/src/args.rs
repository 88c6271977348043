//! What can be asked.

use std::net::{Ipv4Addr, SocketAddr};

use clap::{Parser, Subcommand};
use lamplight_model::view::SetupAgent;

/// Says which coding-agent session needs you, and takes you back to it.
#[derive(Debug, Parser)]
#[command(
    name = "lamp",
    version,
    after_help = "Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 nothing matches."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) task: Task,
}

/// The commands of `lamp`.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Show which sessions need you, work, or are quiet
    Status(StatusArgs),
    /// Read what agents have written and print the totals
    Import(ImportArgs),
    /// Keep the light on: watch, and serve the control socket and loopback HTTP
    Serve(ServeArgs),
    /// Give a session another name
    Rename(RenameArgs),
    /// Print the command that takes you back to a session, or run it
    Resume(ResumeArgs),
    /// Bring the terminal of a running session to the front
    Focus(FocusArgs),
    /// Close a session in Lamplight; the agent is not touched, and later activity opens it again
    Close(CloseArgs),
    /// Put a session away in Lamplight; it comes back by itself when something happens in it
    Archive(IdArgs),
    /// Mark what a session calls for as handled
    Dismiss(IdArgs),
    /// Put off what a session calls for
    Snooze(SnoozeArgs),
    /// Silence a session: nothing is told of it, and it calls nobody
    Mute(IdArgs),
    /// Let a silenced session call again
    Unmute(IdArgs),
    /// Forget sessions for good, in Lamplight only, after showing which ones; the agents' own files are not touched
    Forget(ForgetArgs),
    /// Print a bug report of a session's evidence, without names, paths or texts of yours
    Report(IdArgs),
    /// Show runs: sessions that one harness started
    Runs(RunsArgs),
    /// What you were told, what not, and why
    Notices(NoticesArgs),
    /// Show programs that send telemetry, and how they fare
    Services(ServicesArgs),
    /// Play a recorded scenario and print what would have been shown and told, when, and why
    Replay(ReplayArgs),
    /// Look at everything Lamplight depends on: what is wrong, and what to do
    Doctor(DoctorArgs),
    /// Connect agents and shells, after showing what would change; --undo takes it back
    Setup(SetupArgs),
    /// Print OTEL_RESOURCE_ATTRIBUTES for a run in this folder
    OtelResourceAttrs(AttributesArgs),
    /// Say that a run has ended; ends with 0 in silence, also when nobody listens
    SessionEnd(SessionEndArgs),
    /// Take one event of an agent; agents call this, it ends with 0 and says nothing
    Hook(HookArgs),
}

/// Arguments of `lamp status`.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Go on showing changes; with --json, one object per line
    #[arg(long)]
    pub(crate) watch: bool,
}

/// Arguments of `lamp import`.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `lamp serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// Loopback address for HTTP; port 0 takes any free one [default: 127.0.0.1:4318, or a free port if that is taken]
    #[arg(long, value_name = "ADDR", value_parser = loopback_address)]
    pub(crate) http: Option<SocketAddr>,
    /// Loopback address for OTLP over gRPC
    #[arg(long, value_name = "ADDR", value_parser = loopback_address)]
    pub(crate) grpc: Option<SocketAddr>,
    /// Folder for the database, socket and token [default: LAMPLIGHT_DATA, else the platform's data folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<String>,
    /// Serve the browser UI and print its address
    #[arg(long)]
    pub(crate) ui: bool,
}

/// Arguments of `lamp rename`.
#[derive(Debug, clap::Args)]
pub(crate) struct RenameArgs {
    /// The session: agent:session_id, or the bare id
    pub(crate) id: String,
    /// Its new name
    #[arg(required_unless_present = "reset")]
    pub(crate) label: Option<String>,
    /// Go back to the name it had by itself
    #[arg(long, conflicts_with = "label")]
    pub(crate) reset: bool,
}

/// Arguments of `lamp focus`.
#[derive(Debug, clap::Args)]
pub(crate) struct FocusArgs {
    /// The session: agent:session_id, or the bare id
    pub(crate) id: String,
}

/// Arguments of `lamp resume`.
#[derive(Debug, clap::Args)]
pub(crate) struct ResumeArgs {
    /// The session: agent:session_id, or the bare id
    #[arg(required_unless_present = "viable", conflicts_with = "viable")]
    pub(crate) id: Option<String>,
    /// Run the command here instead of printing it; a resume that fails is counted and said on the session's card
    #[arg(long, conflicts_with = "viable")]
    pub(crate) run: bool,
    /// Print the id of the session worth resuming that was active last, or end with 3: by facts, so that a harness wastes
    /// no attempt
    #[arg(long)]
    pub(crate) viable: bool,
    /// With --viable: only sessions of this project
    #[arg(long, value_name = "NAME", requires = "viable")]
    pub(crate) project: Option<String>,
    /// With --viable: only sessions of this agent: claude-code, codex, gemini or opencode
    #[arg(long, value_name = "AGENT", requires = "viable")]
    pub(crate) agent: Option<String>,
    /// With --viable: print its card as JSON
    #[arg(long, requires = "viable")]
    pub(crate) json: bool,
}

/// Arguments of `lamp close`.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct CloseArgs {
    /// The session: agent:session_id, or the bare id
    pub(crate) id: Option<String>,
    /// Every open session that declared exactly this service.instance.id; with an id, both must fit
    #[arg(long, value_name = "ID")]
    pub(crate) instance_id: Option<String>,
}

/// Arguments of the commands that take a session and nothing else.
#[derive(Debug, clap::Args)]
pub(crate) struct IdArgs {
    /// The session: agent:session_id, or the bare id
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) id: String,
}

/// Arguments of `lamp forget`.
#[derive(Debug, clap::Args)]
#[group(id = "what", required = true, multiple = true, args = ["id", "project", "before"])]
pub(crate) struct ForgetArgs {
    /// The session: agent:session_id, or the bare id
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) id: Option<String>,
    /// Only sessions of this project
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) project: Option<String>,
    /// Only sessions whose last activity is before this day (2026-11-01, local time) or moment (RFC 3339)
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub(crate) before: Option<i64>,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Print JSON; without --yes only what would be forgotten
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `lamp snooze`.
#[derive(Debug, clap::Args)]
pub(crate) struct SnoozeArgs {
    /// The session: agent:session_id, or the bare id
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) id: String,
    /// For how long: minutes (15m) or hours (1h), until half past seven tomorrow, or until something changes
    #[arg(value_name = "15m|1h|tomorrow|change", default_value = "1h", value_parser = snooze_time)]
    pub(crate) time: SnoozeTime,
}

/// For how long something is put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SnoozeTime {
    /// So many minutes.
    Minutes(i64),
    /// Until the next morning, local time.
    Tomorrow,
    /// Until something happens in the session, or other work lies in its worktree.
    Change,
}

/// Arguments of `lamp notices`.
#[derive(Debug, clap::Args)]
pub(crate) struct NoticesArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Entries to show, the newest first
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
}

/// Arguments of `lamp runs`.
#[derive(Debug, clap::Args)]
pub(crate) struct RunsArgs {
    /// The run, as its harness declared it: show its members
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) id: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Runs to show, the one active last first
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) limit: u32,
}

/// Arguments of `lamp services`.
#[derive(Debug, clap::Args)]
pub(crate) struct ServicesArgs {
    /// Only the service of this name, in full
    pub(crate) name: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `lamp replay`.
#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    /// Folder of the recording: timeline, registry, transcripts, hooks, telemetry (tests/fixtures/README.md)
    pub(crate) dir: std::path::PathBuf,
    /// Leave a source out, as on a machine that has none of it; may be given more than once
    #[arg(long, value_name = "SOURCE", value_enum)]
    pub(crate) without: Vec<Recorded>,
    /// Print JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,
}

/// A source of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Recorded {
    /// Transcripts, registries, locks and processes.
    Files,
    /// Hooks.
    Hooks,
    /// OpenTelemetry.
    Telemetry,
}

/// Arguments of `lamp doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// Put right what can be put right without a loss; Lamplight must not run meanwhile
    #[arg(long)]
    pub(crate) repair: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `lamp setup`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch on the command line")]
pub(crate) struct SetupArgs {
    /// Take back what set-up changed
    #[arg(long)]
    pub(crate) undo: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Only show what would change
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Only this agent: claude-code, codex or gemini; may be given more than once [default: all]
    #[arg(long = "agent", value_name = "AGENT", value_parser = setup_agent)]
    pub(crate) agents: Vec<SetupAgent>,
    /// Leave telemetry as it is
    #[arg(long)]
    pub(crate) no_telemetry: bool,
    /// Leave hooks as they are
    #[arg(long)]
    pub(crate) no_hooks: bool,
    /// Leave shells as they are
    #[arg(long)]
    pub(crate) no_shell: bool,
    /// The project that sessions of this repository belong to
    #[arg(long, value_name = "NAME", conflicts_with = "no_project")]
    pub(crate) project: Option<String>,
    /// Do not ask for the project
    #[arg(long)]
    pub(crate) no_project: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `lamp otel-resource-attrs`.
#[derive(Debug, clap::Args)]
pub(crate) struct AttributesArgs {
    /// Whose run it is [default: claude-code]
    #[arg(long, value_name = "AGENT", value_parser = setup_agent)]
    pub(crate) agent: Option<SetupAgent>,
    /// A name for the terminal [default: LAMPLIGHT_AS]
    #[arg(long = "as", value_name = "NAME", allow_hyphen_values = true)]
    pub(crate) name: Option<String>,
    /// Without a name, take the terminal's own
    #[arg(long)]
    pub(crate) terminal: bool,
    /// The run that what is started belongs to: lamplight.run_id
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(crate) run_id: Option<String>,
    /// The session that starts it: lamplight.parent_session_id
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(crate) parent_session_id: Option<String>,
}

/// Arguments of `lamp session-end`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct SessionEndArgs {
    /// The terminal it ran in [default: service.instance.id of OTEL_RESOURCE_ATTRIBUTES]
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(crate) instance_id: Option<String>,
    /// The session: agent:session_id, or the bare id
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(crate) session_id: Option<String>,
}

fn setup_agent(word: &str) -> Result<SetupAgent, String> {
    SetupAgent::from_word(word).ok_or_else(|| "one of claude-code, codex, gemini".to_owned())
}

/// Arguments of `lamp hook`, for its help alone: it reads them itself.
#[derive(Debug, clap::Args)]
pub(crate) struct HookArgs {
    /// Whose event it is: claude-code, codex or gemini
    #[arg(long, default_value = "claude-code")]
    pub(crate) agent: String,
    /// The event, where it is not on standard input
    pub(crate) event: Option<String>,
}

/// Reads a day or a moment; returns milliseconds since the epoch.
fn date(text: &str) -> Result<i64, String> {
    use chrono::{DateTime, Local, NaiveDate, NaiveTime};
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|day| {
        // Where the clocks go forward at midnight the day begins later.
        let begin = (0..4).find_map(|hour| {
            day.and_time(NaiveTime::from_hms_opt(hour, 0, 0)?).and_local_timezone(Local).earliest()
        })?;
        Some(begin.timestamp_millis())
    });
    let moment = || DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_millis());
    day.or_else(moment)
        .ok_or_else(|| "write a day as 2026-11-01, or a moment as 2026-11-01T08:00:00Z".to_owned())
}

/// Reads `15m`, `1h`, `tomorrow` or `change`; at most a year, as the engine takes it.
fn snooze_time(word: &str) -> Result<SnoozeTime, String> {
    const MOST_MINUTES: i64 = 366 * 24 * 60;
    let minutes = match word {
        "tomorrow" => return Ok(SnoozeTime::Tomorrow),
        "change" => return Ok(SnoozeTime::Change),
        _ => match (word.strip_suffix('m'), word.strip_suffix('h')) {
            (Some(digits), _) => digits.parse::<i64>().ok(),
            (_, Some(digits)) => digits.parse::<i64>().ok().and_then(|hours| hours.checked_mul(60)),
            _ => None,
        },
    };
    minutes
        .filter(|minutes| (1..=MOST_MINUTES).contains(minutes))
        .map(SnoozeTime::Minutes)
        .ok_or_else(|| "write 15m, 1h, tomorrow or change".to_owned())
}

/// Reads `127.0.0.1:4318`, `[::1]:4318` or `localhost:4318`.
fn loopback_address(text: &str) -> Result<SocketAddr, String> {
    let parsed = match text.strip_prefix("localhost:") {
        Some(port) => port.parse().ok().map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        None => text.parse().ok(),
    };
    let addr = parsed.ok_or("not an address; write it as 127.0.0.1:4318")?;
    if addr.ip().is_loopback() {
        Ok(addr)
    } else {
        Err("not a loopback address: Lamplight is reachable from this machine only; use 127.0.0.1".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn a_date_is_a_day_or_a_moment() {
        assert_eq!(date("2026-11-01T08:00:00Z"), Ok(1_793_520_000_000));
        assert!(date("2026-11-01").is_ok_and(|at| (at - 1_793_491_200_000).abs() <= 14 * 3_600_000));
        for bad in ["", "yesterday", "2026-13-01", "01.11.2026", "2026-11-01 08:00"] {
            assert!(date(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_of_a_snooze_are_minutes_hours_or_one_of_two_words() {
        for (word, time) in [
            ("15m", SnoozeTime::Minutes(15)),
            ("1h", SnoozeTime::Minutes(60)),
            ("48h", SnoozeTime::Minutes(2_880)),
            ("tomorrow", SnoozeTime::Tomorrow),
            ("change", SnoozeTime::Change),
        ] {
            assert_eq!(snooze_time(word), Ok(time), "{word}");
        }
        for bad in ["", "0m", "-1h", "15", "m", "h", "1.5h", "9000h", "9223372036854775807h", "Tomorrow"] {
            assert!(snooze_time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_loopback_addresses_are_taken() {
        assert_eq!(loopback_address("localhost:0"), Ok("127.0.0.1:0".parse().unwrap()));
        assert_eq!(loopback_address("[::1]:80"), Ok("[::1]:80".parse().unwrap()));
        for bad in ["0.0.0.0:80", "4318", "localhost", "localhost:x", "example.com:80", ""] {
            assert!(loopback_address(bad).is_err(), "{bad}");
        }
    }
}
