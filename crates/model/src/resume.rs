//! The command that takes the person back, and whether it is expected to work.

use crate::ids::{Agent, SessionId, Timestamp};
use crate::label::is_unsafe;
use crate::session::{Dated, ResumeFailure, ResumeState};
use crate::view::Resume;

/// What is known about the way back.
#[derive(Debug, Clone, Copy)]
pub struct WayBack<'a> {
    /// Whose session.
    pub agent: Agent,
    /// Its id.
    pub id: &'a SessionId,
    /// Directory its transcript belongs to, from a transcript or a validated registry file.
    pub directory: Option<&'a str>,
    /// The directory exists; `None` when nobody could look.
    pub directory_exists: Option<bool>,
    /// The transcript exists.
    pub transcript_exists: bool,
    /// A process runs it now.
    pub running: bool,
    /// Folder of the agent's configuration, when it is not the one the agent uses by itself.
    pub config_dir: Option<&'a str>,
    /// Last activity.
    pub last_activity: Option<Timestamp>,
    /// Age from which a resume is stale.
    pub max_age_ms: i64,
    /// The last resume that failed.
    pub failed: Option<&'a Dated<ResumeFailure>>,
}

/// Tells from what an agent said as it ended at once with an error why a resume failed. Only words that were seen are
/// known; everything else is [`ResumeFailure::Other`].
#[must_use]
pub fn classify_failure(said: &str) -> ResumeFailure {
    let said = said.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    // Claude Code: "No conversation found with session ID: <id>".
    if has(&["no conversation found"]) {
        ResumeFailure::NotFound
    } else if has(&["session expired", "session has expired"]) {
        ResumeFailure::Expired
    } else {
        ResumeFailure::Other
    }
}

/// What speaks against resuming a session without a person to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hindrance {
    /// A process runs it.
    Running,
    /// A process may run it that nobody here can look at.
    OutOfSight,
    /// Another session took its place.
    Superseded,
    /// Its person put it away.
    PutAway,
    /// The last resume failed, and nothing happened in it since.
    Failed,
    /// Its transcript is gone.
    NoTranscript,
    /// Its directory is gone.
    NoDirectory,
    /// No safe command can be made.
    NoCommand,
}

impl Hindrance {
    /// What is said of `n` sessions that have it, after the number.
    #[must_use]
    pub fn of(self, n: u64) -> &'static str {
        match (self, n) {
            (Self::Running, 1) => "runs",
            (Self::Running, _) => "run",
            (Self::OutOfSight, _) => "may run where nobody can look",
            (Self::Superseded, _) => "went on in another session",
            (Self::PutAway, 1) => "is put away",
            (Self::PutAway, _) => "are put away",
            (Self::Failed, _) => "could not be resumed last time",
            (Self::NoTranscript, 1) => "has no transcript",
            (Self::NoTranscript, _) => "have no transcript",
            (Self::NoDirectory, 1) => "has lost its directory",
            (Self::NoDirectory, _) => "have lost their directory",
            (Self::NoCommand, _) => "cannot be resumed from here",
        }
    }
}

/// Builds the command and says what to expect of it.
#[must_use]
pub fn resume(way: &WayBack<'_>, now: Timestamp) -> Resume {
    let none = |state, reason: &str| Resume { command: None, state, reason: Some(reason.to_owned()) };
    if way.agent == Agent::Otel {
        return none(ResumeState::Unsupported, "A program's own session cannot be resumed from here.");
    }
    if !way.transcript_exists {
        return none(
            ResumeState::NoTranscript,
            if way.running {
                "Nothing was said yet; there is no transcript to resume."
            } else {
                "Its transcript was deleted; the agent cannot find the session any more."
            },
        );
    }
    if way.agent == Agent::Gemini && way.config_dir.is_some() {
        return none(ResumeState::Unsupported, "Its chats lie outside the folder that Gemini CLI looks in.");
    }
    let data_home = way.config_dir.map(data_home);
    if way.agent == Agent::OpenCode && data_home == Some(None) {
        return none(
            ResumeState::Unsupported,
            "Its database lies in a folder that is not called opencode, where OpenCode looks for none.",
        );
    }
    let Some(directory) = way.directory else {
        return none(ResumeState::Unsupported, "Its directory is not known.");
    };
    let odd = |path: &str| path.chars().any(is_unsafe);
    if odd(directory) || way.config_dir.is_some_and(odd) {
        return none(
            ResumeState::Unsupported,
            "Its path has control, newline or direction characters; a command with it would not be safe to paste.",
        );
    }
    let mut command = format!("cd {} && ", quote(directory));
    match way.agent {
        Agent::ClaudeCode => {
            if let Some(dir) = way.config_dir {
                command.push_str(&format!("CLAUDE_CONFIG_DIR={} ", quote(dir)));
            }
            command.push_str(&format!("claude --resume {}", way.id));
        }
        Agent::Codex => {
            if let Some(dir) = way.config_dir {
                command.push_str(&format!("CODEX_HOME={} ", quote(dir)));
            }
            command.push_str(&format!("codex resume {}", way.id));
        }
        // Its folder cannot be named on the command line; sessions of another one get no command.
        Agent::Gemini => command.push_str(&format!("gemini --resume {}", way.id)),
        Agent::OpenCode => {
            if let Some(dir) = data_home.flatten() {
                command.push_str(&format!("XDG_DATA_HOME={} ", quote(dir)));
            }
            command.push_str(&format!("opencode --session {}", way.id));
        }
        Agent::Otel => {}
    }
    if way.directory_exists == Some(false) {
        return Resume {
            command: None,
            state: ResumeState::NoDirectory,
            reason: Some(format!("Its directory {directory} is gone.")),
        };
    }
    let (state, reason) = if way.running {
        (
            ResumeState::Running,
            Some("It runs already; resuming it again would branch its transcript.".to_owned()),
        )
    } else if let Some(failed) = way.failed.filter(|f| way.last_activity.is_none_or(|last| last <= f.at)) {
        let why = match failed.value {
            ResumeFailure::NotFound => "the agent did not find it",
            ResumeFailure::Expired => "the agent said that it has expired",
            ResumeFailure::Other => "the agent ended with an error at once",
        };
        let when = ago(now.since(failed.at));
        (ResumeState::Stale, Some(format!("The last resume failed {when}: {why}.")))
    } else {
        match way.last_activity.map(|last| now.since(last)) {
            Some(age) if age > way.max_age_ms => {
                (ResumeState::Stale, Some(format!("Last used {}; the agent may not find it.", ago(age))))
            }
            _ => (ResumeState::Ready, None),
        }
    };
    Resume { command: Some(command), state, reason }
}

/// Folder under which OpenCode finds a folder of its own; `None` for one it does not look in.
fn data_home(folder: &str) -> Option<&str> {
    let (above, name) = folder.trim_end_matches('/').rsplit_once('/')?;
    (name == "opencode").then_some(if above.is_empty() { "/" } else { above })
}

/// `5 min ago`, `3 h ago`, `3 days ago`.
fn ago(ms: i64) -> String {
    let (minutes, hours, days) = (ms / 60_000, ms / 3_600_000, ms / 86_400_000);
    match (days, hours) {
        (0, 0) => format!("{minutes} min ago"),
        (0, _) => format!("{hours} h ago"),
        (1, _) => "1 day ago".to_owned(),
        _ => format!("{days} days ago"),
    }
}

/// Quotes for a POSIX shell: as it is when every character is plain, else in single quotes.
#[must_use]
pub fn quote(text: &str) -> String {
    let plain = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ',' | ':' | '@' | '%')
    };
    if !text.is_empty() && text.chars().all(plain) && !text.starts_with('-') {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way<'a>(id: &'a SessionId, directory: &'a str) -> WayBack<'a> {
        WayBack {
            agent: Agent::ClaudeCode,
            id,
            directory: Some(directory),
            directory_exists: Some(true),
            transcript_exists: true,
            running: false,
            config_dir: None,
            last_activity: Some(Timestamp(0)),
            max_age_ms: 86_400_000,
            failed: None,
        }
    }

    #[test]
    fn commands_are_exact_and_quoted_x25() {
        let id = SessionId::new("7c1e0b52").unwrap();
        let now = Timestamp(1000);
        let check = |directory: &str, want: &str| {
            assert_eq!(resume(&way(&id, directory), now).command.as_deref(), Some(want));
        };
        check("/home/a/b", "cd /home/a/b && claude --resume 7c1e0b52");
        check("/home/a b", "cd '/home/a b' && claude --resume 7c1e0b52");
        check("/home/it's", r"cd '/home/it'\''s' && claude --resume 7c1e0b52");
        check("/h/$(rm -rf ~)`x`", "cd '/h/$(rm -rf ~)`x`' && claude --resume 7c1e0b52");
        check("/h/日本", "cd '/h/日本' && claude --resume 7c1e0b52");
        check("-x", "cd '-x' && claude --resume 7c1e0b52");
        let codex = WayBack { agent: Agent::Codex, ..way(&id, "/p") };
        assert_eq!(resume(&codex, now).command.as_deref(), Some("cd /p && codex resume 7c1e0b52"));
        let extra = WayBack { config_dir: Some("/x y"), ..way(&id, "/p") };
        assert_eq!(
            resume(&extra, now).command.as_deref(),
            Some("cd /p && CLAUDE_CONFIG_DIR='/x y' claude --resume 7c1e0b52")
        );
        let id = SessionId::new("ses_e07233b36ffenoKfKB6noo1JtG").unwrap();
        let opencode = |config_dir| {
            let way = WayBack { agent: Agent::OpenCode, config_dir, ..way(&id, "/home/it's") };
            let got = resume(&way, now);
            (got.command, got.state)
        };
        let command = r"cd '/home/it'\''s' && opencode --session ses_e07233b36ffenoKfKB6noo1JtG";
        assert_eq!(opencode(None), (Some(command.to_owned()), ResumeState::Ready));
        let elsewhere = command.replace("opencode", "XDG_DATA_HOME='/mnt/o d' opencode");
        assert_eq!(opencode(Some("/mnt/o d/opencode")), (Some(elsewhere), ResumeState::Ready));
        assert_eq!(opencode(Some("/mnt/backup")), (None, ResumeState::Unsupported));
    }

    #[test]
    fn age_and_failures_warn_and_hide_nothing_b69_b71_b76_b77_b80_b82() {
        let id = SessionId::new("7c1e0b52").unwrap();
        const HOUR: i64 = 3_600_000;
        let check = |max_hours: i64, age: i64, failed: Option<(i64, ResumeFailure)>, reason: Option<&str>| {
            let failed = failed.map(|(hour, value)| Dated { at: Timestamp(hour * HOUR), value });
            let way = WayBack { max_age_ms: max_hours * HOUR, failed: failed.as_ref(), ..way(&id, "/p") };
            let got = resume(&way, Timestamp(age));
            assert!(got.command.is_some(), "nothing is hidden");
            assert_eq!(got.reason.as_deref(), reason);
            let state = if reason.is_some() { ResumeState::Stale } else { ResumeState::Ready };
            assert_eq!(got.state, state);
        };
        check(24, HOUR, None, None);
        check(24, 24 * HOUR, None, None);
        check(24, 24 * HOUR + 1, None, Some("Last used 1 day ago; the agent may not find it."));
        check(24, 25 * HOUR, None, Some("Last used 1 day ago; the agent may not find it."));
        check(48, 25 * HOUR, None, None);
        check(2, 3 * HOUR, None, Some("Last used 3 h ago; the agent may not find it."));
        for (class, why) in [
            (ResumeFailure::NotFound, "the agent did not find it"),
            (ResumeFailure::Expired, "the agent said that it has expired"),
            (ResumeFailure::Other, "the agent ended with an error at once"),
        ] {
            check(24, 3 * HOUR, Some((1, class)), Some(&format!("The last resume failed 2 h ago: {why}.")));
            check(24, 3 * HOUR, Some((-1, class)), None);
        }
    }

    #[test]
    fn what_agents_say_is_classified_deliberately_b80_b82() {
        for (said, class) in [
            (
                "No conversation found with session ID: 7c1e0b52-1111-4111-8111-000000000001",
                ResumeFailure::NotFound,
            ),
            ("error: No Conversation Found\n", ResumeFailure::NotFound),
            ("session expired", ResumeFailure::Expired),
            ("Your session has expired. Please sign in", ResumeFailure::Expired),
            ("Segmentation fault", ResumeFailure::Other),
            ("", ResumeFailure::Other),
        ] {
            assert_eq!(classify_failure(said), class, "{said}");
        }
        for class in ResumeFailure::ALL {
            assert_eq!(ResumeFailure::from_word(class.as_str()), Some(class));
        }
    }

    #[test]
    fn unresumable_is_explained_x25_b77() {
        let id = SessionId::new("7c1e0b52").unwrap();
        let now = Timestamp(3 * 86_400_000);
        for bad in ["/a\nrm -rf ~", "/a\u{202e}b", "/a\u{1b}[2J"] {
            let got = resume(&way(&id, bad), now);
            assert_eq!((got.command, got.state), (None, ResumeState::Unsupported), "{bad:?}");
        }
        let got = resume(&way(&id, "/p"), now);
        assert_eq!(got.state, ResumeState::Stale);
        assert_eq!(got.reason.as_deref(), Some("Last used 3 days ago; the agent may not find it."));
        assert!(got.command.is_some(), "stale hides nothing");
        let gone = WayBack { transcript_exists: false, ..way(&id, "/p") };
        assert_eq!(resume(&gone, now).state, ResumeState::NoTranscript);
        let moved = WayBack { directory_exists: Some(false), ..way(&id, "/p") };
        assert_eq!(resume(&moved, now).state, ResumeState::NoDirectory);
        let running = WayBack { running: true, ..way(&id, "/p") };
        assert_eq!(resume(&running, now).state, ResumeState::Running);
    }
}
