//! The wrapper in real shells: bash, zsh and fish, as scripts and at a terminal.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by failing"
)]
#![cfg(target_os = "linux")]

mod shell_support;

use shell_support::{Bench, SHELLS, Shell};

/// What the agent was given, and what it was named.
const SHOW: &str =
    r#"printf 'args:'; printf ' <%s>' "$@"; echo; echo "attributes: ${OTEL_RESOURCE_ATTRIBUTES-none}""#;

#[test]
fn a_name_is_taken_and_everything_else_is_passed_on_a53() {
    for shell in SHELLS {
        let bench = Bench::new(SHOW);
        let check = |line: &str, args: &str, name: &str| {
            let ran = bench.run(shell, line);
            let expected =
                format!("args:{args}\nattributes: service.name=claude-code,service.instance.id={name}\n");
            assert_eq!(ran.out, expected, "{shell:?}: {line}: {}", ran.err);
            assert_eq!(ran.err, "", "{shell:?}: {line}");
        };
        check("claude --as api -p 'two words'", " <-p> <two words>", "api");
        check("claude -p '' --as='a, b=c' x", " <-p> <> <x>", "a%2C%20b%3Dc");
        check("claude --resume id -- --as x '*'", " <--resume> <id> <--> <--as> <x> <*>", "unknown");
        check("claude --as", " <>", "unknown");
        check("claude --as \"it's; \\$(x)\" '-- \\n'", " <-- \\n>", "it%27s%3B%20%24%28x%29");
    }
}

#[test]
fn the_exit_status_is_the_agents_a33() {
    for shell in SHELLS {
        for status in [0, 1, 3, 42, 126, 127, 255] {
            let bench = Bench::new(&format!("exit {status}"));
            let ran = bench.run(shell, &format!("claude; echo {}", shell.status()));
            assert_eq!(ran.out, format!("{status}\n"), "{shell:?}: {}", ran.err);
        }
        for (signal, status) in [("TERM", 143), ("KILL", 137), ("HUP", 129)] {
            let bench = Bench::new(&format!("kill -{signal} $$; sleep 9"));
            let ran = bench.run(shell, &format!("claude; echo {}", shell.status()));
            assert!(ran.out.ends_with(&format!("{status}\n")), "{shell:?} {signal}: {ran:?}");
        }
    }
}

#[test]
fn the_end_is_told_once_after_every_way_to_return_but_a_crash_a31_a32() {
    for shell in SHELLS {
        for (end, is_told) in [
            ("exit 0", true),
            ("exit 3", true),
            ("kill -INT $$; sleep 9", true),
            ("kill -TERM $$; sleep 9", true),
            ("kill -HUP $$; sleep 9", true),
            ("kill -KILL $$; sleep 9", false),
            ("kill -SEGV $$; sleep 9", false),
            ("exit 126", false),
        ] {
            let bench = Bench::new(end);
            bench.run(shell, "claude --as api");
            let told = bench.told();
            let ends: Vec<&String> = told.iter().filter(|call| call.starts_with("session-end")).collect();
            if is_told {
                let expected = "session-end: service.name=claude-code,service.instance.id=api";
                assert_eq!(ends, [expected], "{shell:?} {end}");
            } else {
                assert!(ends.is_empty(), "{shell:?} {end}: {told:?}");
            }
        }
    }
}

#[test]
fn the_agent_is_started_once_and_by_its_own_name_a34() {
    for shell in SHELLS {
        let bench = Bench::new("echo started >> \"$HERE/starts\"");
        bench.run(shell, "claude; claude --as b");
        assert_eq!(bench.read("starts"), "started\nstarted\n", "{shell:?}");
    }
}

#[test]
fn only_the_agent_sees_the_name_and_a_persons_own_attributes_stay() {
    for shell in SHELLS {
        let bench = Bench::new(SHOW);
        let set = match shell {
            Shell::Fish => "set -gx OTEL_RESOURCE_ATTRIBUTES team=x,service.instance.id=mine",
            Shell::Bash | Shell::Zsh => "export OTEL_RESOURCE_ATTRIBUTES=team=x,service.instance.id=mine",
        };
        let ran =
            bench.run(shell, &format!("{set}; claude; claude --as api; echo $OTEL_RESOURCE_ATTRIBUTES"));
        let expected = "args: <>\nattributes: team=x,service.instance.id=mine,service.name=claude-code\n\
            args: <>\nattributes: team=x,service.instance.id=api,service.name=claude-code\n\
            team=x,service.instance.id=mine\n";
        assert_eq!(ran.out, expected, "{shell:?}: {}", ran.err);
        let ran = bench.run(shell, "claude >/dev/null; env | grep -c OTEL_");
        assert_eq!(ran.out, "0\n", "{shell:?}");
    }
}

#[test]
fn pipes_carry_what_they_carried() {
    for shell in SHELLS {
        let bench = Bench::new("cat; echo loud >&2");
        let ran = bench.run(shell, "printf 'a\\nb\\n' | claude -p | tr a-z A-Z");
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("A\nB\n", "loud\n"), "{shell:?}");
        let ran = bench.run(shell, "for i in 1 2 3; do printf x | claude; done".replace_for(shell));
        assert_eq!(ran.out, "xxx", "{shell:?}: {}", ran.err);
    }
}

#[test]
fn strict_shells_stop_where_they_would_without_us() {
    for shell in [Shell::Bash, Shell::Zsh] {
        let bench = Bench::new("exit ${1:-0}");
        for (line, out) in [
            ("set -eu; claude; echo after", "after\n"),
            ("set -eu; claude 3; echo after", ""),
            ("set -eu; claude 3 || echo failed; echo after", "failed\nafter\n"),
            ("set -eu; if claude 3; then echo yes; else echo no; fi", "no\n"),
            ("set -u; claude 3; echo after $?", "after 3\n"),
            ("set -eu; CLAUDECODE=1; claude 3 || echo failed", "failed\n"),
        ] {
            let ran = bench.run(shell, line);
            assert_eq!((ran.out.as_str(), ran.err.as_str()), (out, ""), "{shell:?}: {line}");
        }
    }
}

#[test]
fn without_lamp_and_inside_an_agent_the_program_runs_unchanged() {
    for shell in SHELLS {
        let bench = Bench::new(SHOW);
        let inside = match shell {
            Shell::Fish => "set -gx CLAUDECODE 1",
            Shell::Bash | Shell::Zsh => "export CLAUDECODE=1",
        };
        let ran = bench.run(shell, &format!("{inside}; claude --as api x"));
        assert_eq!(ran.out, "args: <x>\nattributes: none\n", "{shell:?}: {}", ran.err);
        assert!(bench.told().is_empty(), "{shell:?}");
        bench.remove_lamp();
        let ran = bench.run(shell, "claude --as api x");
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("args: <x>\nattributes: none\n", ""), "{shell:?}");
    }
}

#[test]
fn an_agent_that_is_not_there_is_missed_as_ever() {
    for shell in SHELLS {
        let bench = Bench::new("");
        bench.remove_claude();
        let ran = bench.run(shell, &format!("claude --as api; echo {}", shell.status()));
        assert_eq!(ran.out, "127\n", "{shell:?}");
        assert!(ran.err.contains("claude"), "{shell:?}: {}", ran.err);
        assert!(!bench.told().iter().any(|call| call.starts_with("session-end")), "{shell:?}");
    }
}

#[test]
fn a_function_of_the_persons_own_is_left_to_them() {
    for shell in SHELLS {
        let bench = Bench::new("echo agent");
        let own = match shell {
            Shell::Fish => "function claude; echo mine; end",
            Shell::Bash | Shell::Zsh => "claude() { echo mine; }",
        };
        let ran = bench.run_bare(shell, &format!("{own}; {load}; claude", load = bench.load(shell)));
        assert_eq!(ran.out, "mine\n", "{shell:?}: {}", ran.err);
        let ran = bench.run_bare(shell, &format!("{load}; {load}; claude", load = bench.load(shell)));
        assert_eq!(ran.out, "agent\n", "{shell:?}: {}", ran.err);
    }
}

#[test]
fn an_alias_of_the_persons_own_goes_through_the_wrapper() {
    for (shell, aliases) in [(Shell::Bash, "shopt -s expand_aliases\n"), (Shell::Zsh, "")] {
        let bench = Bench::new(SHOW);
        let load = bench.load(shell);
        for order in [
            format!("alias claude='claude --verbose'\n{load}"),
            format!("{load}\nalias claude='claude --verbose'"),
        ] {
            // From a file, as at a terminal, each line is read once the one before it was run.
            bench.write("home/start", &format!("{aliases}{order}\nclaude --as api x\n"));
            let ran = bench.run_bare(shell, ". ./start");
            let expected =
                "args: <--verbose> <x>\nattributes: service.name=claude-code,service.instance.id=api\n";
            assert_eq!((ran.out.as_str(), ran.err.as_str()), (expected, ""), "{shell:?}: {order}");
        }
    }
}

#[test]
fn signal_handlers_of_the_persons_own_are_there_afterwards() {
    let bench = Bench::new("exit 0");
    for (shell, line) in [
        (
            Shell::Bash,
            "trap 'echo \"it'\\''s over\"' TERM; trap '' HUP; claude; trap -p HUP INT TERM; kill -TERM $$",
        ),
        (Shell::Zsh, "trap 'echo \"it'\\''s over\"' TERM; claude; kill -TERM $$"),
    ] {
        let ran = bench.run(shell, line);
        assert!(ran.out.ends_with("it's over\n"), "{shell:?}: {ran:?}");
        assert!(!ran.out.contains("lamplight"), "{shell:?}: {ran:?}");
        if shell == Shell::Bash {
            assert!(ran.out.contains("trap -- '' SIGHUP"), "{ran:?}");
        }
    }
}

#[test]
fn a_terminal_has_a_name_of_its_own_a53() {
    for shell in SHELLS {
        let bench = Bench::new(SHOW);
        let mut terminal = bench.terminal(shell);
        let name = terminal.name();
        terminal.line("claude");
        terminal.wait_for(&format!("service.instance.id={name}"));
        assert!(name.starts_with("pts-"), "{name}");
    }
}

#[test]
fn a_stopped_agent_is_not_an_ended_one_and_goes_on_in_the_foreground() {
    for shell in SHELLS {
        // Stops itself alone, as a program may that reads Ctrl-Z by itself.
        let bench = Bench::new("echo before; kill -STOP $$; echo resumed; exit 5");
        let mut terminal = bench.terminal(shell);
        terminal.line("claude --as api");
        terminal.wait_for("before");
        // Split, since a terminal echoes what is typed before the shell reads it.
        terminal.line("echo 'at-the'-prompt-again");
        terminal.wait_for("at-the-prompt-again\r\n");
        assert!(
            !bench.told().iter().any(|call| call.starts_with("session-end")),
            "{shell:?}: {:?}",
            bench.told()
        );
        terminal.line("fg");
        terminal.wait_for("resumed");
        terminal.line(&format!("echo status-{}", shell.status()));
        // zsh keeps no status of a function that was stopped, and fish of nothing that was, with us or without.
        terminal.wait_for(if shell == Shell::Bash { "status-5" } else { "status-0" });
    }
}

#[test]
fn ctrl_c_reaches_the_agent_and_the_shell_goes_on_a32() {
    for shell in SHELLS {
        let bench = Bench::new("echo ready; exec sleep 60");
        let mut terminal = bench.terminal(shell);
        terminal.line("claude --as api");
        terminal.wait_for("ready");
        terminal.keys("\u{3}");
        terminal.line("echo 'still'-here");
        terminal.wait_for("still-here\r\n");
        bench.wait_told("session-end: service.name=claude-code,service.instance.id=api");
    }
}

#[test]
fn a_terminal_that_is_closed_tells_the_end_and_is_gone_a32() {
    for shell in SHELLS {
        let bench = Bench::new("trap 'exit 129' HUP; echo ready; while :; do sleep 0.1; done");
        let mut terminal = bench.terminal(shell);
        terminal.line("claude --as api");
        terminal.wait_for("ready");
        terminal.close();
        bench.wait_told("session-end: service.name=claude-code,service.instance.id=api");
    }
}

#[test]
fn a_shell_that_is_told_to_end_tells_the_end_of_its_run_first_a32() {
    for shell in SHELLS {
        let bench = Bench::new("trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done");
        let status = bench.run_and_kill(shell, "claude --as api; echo not-reached", "ready", "TERM");
        assert_eq!(status, "signal 15", "{shell:?}");
        bench.wait_told("session-end: service.name=claude-code,service.instance.id=api");
    }
}

/// The same loop in each shell's words.
trait ReplaceFor {
    fn replace_for(&self, shell: Shell) -> &str;
}

impl ReplaceFor for str {
    fn replace_for(&self, shell: Shell) -> &str {
        match shell {
            Shell::Fish => "for i in 1 2 3; printf x | claude; end",
            Shell::Bash | Shell::Zsh => self,
        }
    }
}
