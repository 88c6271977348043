//! A page of text for a person at a terminal.

use std::io::IsTerminal;

use crate::environment;
use crate::plain::cut;

/// Narrowest terminal lines are cut to; below it they may as well wrap.
const LEAST_COLUMNS: usize = 40;

/// How the text may look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Colours may be used.
    pub(crate) colour: bool,
    /// Columns lines are cut to; `None` where nobody looks at them on a terminal.
    pub(crate) columns: Option<usize>,
}

impl Look {
    /// Colours and cutting only on a terminal; no colours where `NO_COLOR` is set or the terminal is dumb.
    pub(crate) fn of_stdout() -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let refused = environment("NO_COLOR").is_some_and(|value| !value.is_empty())
            || environment("TERM").is_some_and(|value| value == "dumb");
        let columns =
            terminal_size::terminal_size().map(|(terminal_size::Width(columns), _)| usize::from(columns));
        Self {
            colour: is_terminal && !refused,
            columns: columns.filter(|_| is_terminal).map(|c| c.max(LEAST_COLUMNS)),
        }
    }
}

/// What a line is, which decides its colour.
#[derive(Clone, Copy)]
pub(crate) enum Colour {
    None,
    Bold,
    Dim,
    Urgent,
    Turn,
}

/// The page as it is written.
pub(crate) struct Page {
    pub(crate) out: String,
    pub(crate) look: Look,
    /// The moment it speaks of.
    pub(crate) now_ms: i64,
}

impl Page {
    pub(crate) fn new(look: Look, now_ms: i64) -> Self {
        Self { out: String::new(), look, now_ms }
    }

    /// A heading, after an empty line.
    pub(crate) fn title(&mut self, title: &str) {
        self.out.push('\n');
        self.line(title, Colour::Bold);
    }

    /// A line, cut to the terminal.
    pub(crate) fn line(&mut self, line: &str, colour: Colour) {
        match self.look.columns {
            Some(columns) => self.whole(&cut(line, columns), colour),
            None => self.whole(line, colour),
        }
    }

    /// A line in full; the terminal may wrap it.
    pub(crate) fn whole(&mut self, line: &str, colour: Colour) {
        let code = match colour {
            _ if !self.look.colour => None,
            Colour::None => None,
            Colour::Bold => Some("1"),
            Colour::Dim => Some("2"),
            Colour::Urgent => Some("31"),
            Colour::Turn => Some("33"),
        };
        match code {
            Some(code) => self.out.push_str(&format!("\x1b[{code}m{line}\x1b[0m\n")),
            None => self.out.push_str(&format!("{line}\n")),
        }
    }
}
