//! The wrapper that names terminals, and the lines that load it.

use std::path::{Path, PathBuf};

use lamplight_model::view::SetupAgent;

use super::command::quoted;
use super::places::Places;

/// Begins the lines that are ours in a start-up file.
const BEGIN: &str = "# >>> lamplight >>>";
/// Ends them.
const END: &str = "# <<< lamplight <<<";

const POSIX: &str = include_str!("wrapper.sh");
const FISH: &str = include_str!("wrapper.fish");

/// A shell whose start-up file is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shell {
    pub name: &'static str,
    /// What it reads when it starts.
    pub start: PathBuf,
    /// The wrapper it loads.
    pub wrapper: PathBuf,
}

impl Shell {
    pub(super) fn is_fish(&self) -> bool {
        self.name == "fish"
    }
}

/// Shells that are in use: bash and zsh by their start-up file, fish by its folder.
pub(super) fn shells(places: &Places) -> Vec<Shell> {
    let folder = places.data_dir.join("shell");
    let posix = folder.join("lamplight.sh");
    let bash = places.home.as_ref().map(|home| home.join(".bashrc"));
    let zsh = places.zsh.as_ref().map(|folder| folder.join(".zshrc"));
    let mut found = Vec::new();
    for (name, start) in [("bash", bash), ("zsh", zsh)] {
        found.extend(start.filter(|start| start.exists()).map(|start| Shell {
            name,
            start,
            wrapper: posix.clone(),
        }));
    }
    found.extend(places.fish.as_ref().filter(|folder| folder.is_dir()).map(|fish| Shell {
        name: "fish",
        start: fish.join("conf.d/lamplight.fish"),
        wrapper: folder.join("lamplight.fish"),
    }));
    found
}

/// The wrapper's text.
pub(super) fn wrapper(shell: &Shell, places: &Places, lamp: &Path, agents: &[SetupAgent]) -> String {
    let (text, define) =
        if shell.is_fish() { (FISH, fish_function as fn(_) -> _) } else { (POSIX, function as fn(_) -> _) };
    let functions: String = agents.iter().filter_map(|agent| program(*agent)).map(define).collect();
    let data =
        if places.data_dir_is_named { places.data_dir.to_string_lossy().into_owned() } else { String::new() };
    text.replace("@LAMP@", &quoted_for(shell, &lamp.to_string_lossy()))
        .replace("@DATA@", &quoted_for(shell, &data))
        .replace("@FUNCTIONS@", functions.trim_end())
}

/// The word a person starts the agent with. Codex runs its turns in a server that other terminals share, which does not
/// see the environment of the one it is started from: there is nothing to name there.
fn program(agent: SetupAgent) -> Option<(&'static str, &'static str)> {
    match agent {
        SetupAgent::ClaudeCode => Some((agent.word(), "claude")),
        SetupAgent::Gemini => Some((agent.word(), "gemini")),
        SetupAgent::Codex => None,
    }
}

/// A function of the person's own by that name is left to them.
fn function((agent, program): (&str, &str)) -> String {
    format!(
        "case $(typeset -f {program} 2>/dev/null) in\n    '' | *__lamplight*) function {program} {{ __lamplight {agent} {program} \"$@\"; }} ;;\nesac\n"
    )
}

fn fish_function((agent, program): (&str, &str)) -> String {
    format!(
        "if not functions -q {program}; or functions {program} | string match -q '*__lamplight*'\n    function {program} --wraps {program} --description 'with a name for this terminal: --as NAME'\n        __lamplight {agent} {program} $argv\n    end\nend\n"
    )
}

/// In fish's single quotes a backslash stands for itself only when doubled.
fn quoted_for(shell: &Shell, text: &str) -> String {
    if shell.is_fish() {
        format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
    } else {
        quoted(text)
    }
}

/// The lines that load the wrapper, if it is there.
fn block(shell: &Shell) -> String {
    let wrapper = quoted_for(shell, &shell.wrapper.to_string_lossy());
    let load = if shell.is_fish() {
        format!("test -r {wrapper}; and source {wrapper}")
    } else {
        format!("if [ -r {wrapper} ]; then . {wrapper}; fi")
    };
    format!(
        "{BEGIN} Names terminals; written by `lamp setup`, taken out by `lamp setup --undo`.\n{load}\n{END}\n"
    )
}

/// Puts our lines into a start-up file: in place where they stand, else at its end.
pub(super) fn edit(text: &str, shell: &Shell) -> String {
    let block = block(shell);
    let mut out = without(text);
    match position(text) {
        Some(at) => out.insert_str(at, &block),
        None => {
            if !out.is_empty() && !out.ends_with('\n') {
                out.push('\n');
            }
            out.push_str(&block);
        }
    }
    out
}

/// Takes our lines out, however often they stand there.
pub(super) fn take_out(text: &str) -> String {
    without(text)
}

/// Whether our lines are there as they should be.
pub(super) fn is_connected(text: &str, shell: &Shell) -> bool {
    edit(text, shell) == text
}

/// Where our first block begins.
fn position(text: &str) -> Option<usize> {
    blocks(text).first().map(|block| block.start)
}

fn without(text: &str) -> String {
    let mut out = text.to_owned();
    for block in blocks(text).into_iter().rev() {
        out.replace_range(block, "");
    }
    out
}

/// Our blocks, whole lines. One whose end is missing is no block: nobody knows where it would end.
fn blocks(text: &str) -> Vec<std::ops::Range<usize>> {
    let (mut found, mut open, mut at) = (Vec::new(), None, 0);
    for line in text.split_inclusive('\n') {
        let end = at + line.len();
        if line.starts_with(BEGIN) {
            open = Some(at);
        } else if line.trim_end() == END
            && let Some(start) = open.take()
        {
            found.push(start..end);
        }
        at = end;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bash() -> Shell {
        Shell {
            name: "bash",
            start: PathBuf::from("/h/.bashrc"),
            wrapper: PathBuf::from("/da ta/it's/lamplight.sh"),
        }
    }

    #[test]
    fn the_lines_are_put_in_once_and_replaced_in_place_a54() {
        for text in ["", "alias a=b\n", "alias a=b", "# x\n\n\n", "a\r\nb\r\n"] {
            let edited = edit(text, &bash());
            assert!(edited.starts_with(text));
            assert_eq!(edit(&edited, &bash()), edited, "twice is as once");
            assert!(is_connected(&edited, &bash()) && !is_connected(text, &bash()));
            assert_eq!(take_out(&edited).trim_end(), text.trim_end());
            let moved = edited.replace("it's", "old") + "export LATER=1\n";
            let again = edit(&moved, &bash());
            assert!(again.ends_with("export LATER=1\n") && again.starts_with(text));
            assert_eq!(again.matches(BEGIN).count(), 1);
        }
        let half = format!("a\n{BEGIN}\nrm -rf x\n");
        assert_eq!(take_out(&half), half, "what has no end is not ours to cut");
        let two = edit("a\n", &bash()).repeat(2);
        assert_eq!(edit(&two, &bash()).matches(END).count(), 1);
    }
}
