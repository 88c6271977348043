//! The command that agents run for an event, and how to know it again.

use std::path::Path;

use lamplight_model::view::SetupAgent;

use super::places::Places;

/// Stands at the end of every hook that is ours. A comment to every shell that agents hand their hooks to.
pub(super) const MARK: &str = "# lamplight";

/// Quotes a text for a POSIX shell; fish reads it alike unless it holds a backslash.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The hook of an agent: says nothing and ends with 0, whether `lamp` is there or not.
///
/// `lamp` is not `exec`ed: a shell that cannot start it would say so and end with 126.
pub(super) fn hook(places: &Places, lamp: &Path, agent: SetupAgent) -> String {
    let call = call(places, lamp, &format!("hook --agent {}", agent.word()));
    let lamp = quoted(&lamp.to_string_lossy());
    format!("[ -x {lamp} ] && {call} >/dev/null 2>&1; exit 0 {MARK}")
}

/// A call of `lamp` that finds our data wherever it is run from.
pub(super) fn call(places: &Places, lamp: &Path, args: &str) -> String {
    let lamp = quoted(&lamp.to_string_lossy());
    if places.data_dir_is_named {
        format!("LAMPLIGHT_DATA={} {lamp} {args}", quoted(&places.data_dir.to_string_lossy()))
    } else {
        format!("{lamp} {args}")
    }
}

/// Codex's `notify`: it is started without a shell, and given the event as one more argument.
pub(super) fn notify(places: &Places, lamp: &Path) -> [String; 4] {
    let call = call(places, lamp, "hook --agent codex");
    let lamp = quoted(&lamp.to_string_lossy());
    let script = format!("[ -x {lamp} ] && {call} \"$1\" >/dev/null 2>&1; exit 0 {MARK}");
    ["/bin/sh".to_owned(), "-c".to_owned(), script, "lamplight".to_owned()]
}

/// Whether a command is one of ours, of whatever version.
pub(super) fn is_ours(command: &str) -> bool {
    command.trim_end().ends_with(MARK)
}

/// The `lamp` that one of our commands calls.
pub(super) fn lamp_of(command: &str) -> Option<String> {
    let rest = command.strip_prefix("[ -x '")?;
    let end = rest.find("' ] && ")?;
    Some(rest[..end].replace(r"'\''", "'"))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::programs::tests::write_program;

    /// A stand-in that writes down how it was called and what it was given, and is as loud and failing as can be.
    fn loud_lamp(path: &Path) {
        let script =
            "#!/bin/sh\n{ printf '%s|' \"$@\"; cat; } > \"$SEEN\"\necho noise; echo noise >&2; exit 7\n";
        write_program(path, script);
    }

    #[track_caller]
    fn run(shell: &str, flag: &str, command: &str, args: &[&str], seen: &Path) {
        let mut child = Command::new(shell)
            .arg(flag)
            .arg(command)
            .args(args)
            .env("SEEN", seen)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may be gone already.
        let _ = child.stdin.take().unwrap().write_all(b"{\"event\":1}");
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command}");
        let said = [output.stdout, output.stderr].concat();
        assert_eq!(String::from_utf8_lossy(&said), "", "{command}");
    }

    #[test]
    fn hooks_end_with_0_in_silence_whatever_the_path_and_whether_lamp_is_there() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["plain", "a b", "it's", "$(touch x)", "quote\"d", "semi;colon & more", "ünïcode 🪔"]
        {
            let lamp = dir.path().join(name);
            let places = Places {
                data_dir: PathBuf::from("/da ta/it's"),
                data_dir_is_named: true,
                ..Places::default()
            };
            let command = hook(&places, &lamp, SetupAgent::ClaudeCode);
            assert!(is_ours(&command));
            assert_eq!(lamp_of(&command), Some(lamp.to_string_lossy().into_owned()));
            let seen = dir.path().join("seen");
            for there in [false, true] {
                if there {
                    loud_lamp(&lamp);
                }
                for shell in ["/bin/sh", "/bin/bash"] {
                    run(shell, "-c", &command, &[], &seen);
                    let told = std::fs::read_to_string(&seen).ok();
                    assert_eq!(told.as_deref(), there.then_some("hook|--agent|claude-code|{\"event\":1}"));
                    // Not written at all in the other case.
                    let _ = std::fs::remove_file(&seen);
                }
                let [shell, flag, script, name] = notify(&places, &lamp);
                run(&shell, &flag, &script, &[&name, "{\"type\":\"x y\"}"], &seen);
                let told = std::fs::read_to_string(&seen).ok();
                assert_eq!(
                    told.as_deref(),
                    there.then_some("hook|--agent|codex|{\"type\":\"x y\"}|{\"event\":1}")
                );
                let _ = std::fs::remove_file(&seen);
            }
            std::fs::remove_file(&lamp).unwrap();
        }
    }

    #[test]
    fn a_lamp_that_cannot_be_started_is_as_one_that_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let lamp = dir.path().join("lamp");
        write_program(&lamp, "\u{7f}ELF of another machine");
        let command = hook(&Places::default(), &lamp, SetupAgent::Codex);
        run("/bin/sh", "-c", &command, &[], &dir.path().join("seen"));
    }
}
