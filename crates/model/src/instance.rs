//! Which `service.instance.id` names one terminal, and which names none.

/// Words that programs and scripts write where they know no terminal: `tty` prints `not a tty` without one, wrappers fall
/// back to `unknown`, and `tty`, `console` and `localhost` are every terminal and every machine.
const PLACEHOLDERS: [&str; 22] = [
    "unknown",
    "not a tty",
    "tty",
    "notty",
    "no tty",
    "no-tty",
    "console",
    "terminal",
    "localhost",
    "127.0.0.1",
    "::1",
    "default",
    "none",
    "null",
    "nil",
    "undefined",
    "unset",
    "n/a",
    "na",
    "-",
    "?",
    "0",
];

/// Whether an instance id is shared by whoever had nothing better to say, so that closing by it would close the sessions
/// of strangers. Case and surrounding blanks do not matter, nor does a leading `/dev/`.
#[must_use]
pub fn is_placeholder(instance: &str) -> bool {
    let word = instance.trim().to_lowercase();
    let word = word.strip_prefix("/dev/").unwrap_or(&word);
    // The nil UUID stands for no instance.
    word.chars().all(|c| matches!(c, '0' | '-')) || PLACEHOLDERS.contains(&word)
}

/// Whether an instance id is the name a terminal has by itself (`pts-3`, `/dev/pts/3`, `ttys004`, `tty1`, `7`): it tells
/// terminals apart, but nobody chose it, and a person knows a session by anything else sooner.
#[must_use]
pub fn is_terminal(instance: &str) -> bool {
    let word = instance.trim();
    let word = word.strip_prefix("/dev/").unwrap_or(word);
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let rest = |start: &str| word.strip_prefix(start);
    number(word)
        || rest("pts-").or(rest("pts/")).is_some_and(number)
        || rest("tty").is_some_and(|rest| number(rest.trim_start_matches(|c: char| c.is_ascii_alphabetic())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_told_from_names_a22() {
        for shared in [
            "",
            "  ",
            "unknown",
            "Unknown ",
            "not a tty",
            "tty",
            "/dev/tty",
            "console",
            "/dev/console",
            "localhost",
            "-",
            "null",
            "00000000-0000-0000-0000-000000000000",
        ] {
            assert!(is_placeholder(shared), "{shared:?}");
        }
        for own in ["pts-3", "/dev/pts/3", "ttys004", "tty1", "api", "unknown-api", "my console", "7", "é"] {
            assert!(!is_placeholder(own), "{own:?}");
        }
    }

    #[test]
    fn what_a_terminal_is_called_by_itself_is_told_from_a_chosen_name() {
        for own in ["pts-3", "/dev/pts/12", "pts/0", "ttys004", "tty1", "ttyS0", "7"] {
            assert!(is_terminal(own), "{own:?}");
        }
        for chosen in ["pts3", "api", "tty", "pts-", "pts-a", "3rd", "ttyx", "", "t-7"] {
            assert!(!is_terminal(chosen), "{chosen:?}");
        }
    }
}
