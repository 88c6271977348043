//! GNU screen: its own client is asked, by the session's name, which holds the server's process id.

use lamplight_model::view::Terminal;

use super::adapter::{self, Adapter};
use super::hints::ScreenWindow;
use super::place::{Host, Place};
use super::run::ask_in;
use super::{FocusError, proc};

pub(super) struct Screen;

impl Adapter for Screen {
    fn show(&self, place: &Place) -> Terminal {
        let Host::Screen(window) = &place.host else {
            return Terminal { program: "screen".to_owned(), name: place.tty.clone(), can_focus: false };
        };
        let name = window.session.split_once('.').map_or(window.session.as_str(), |(_, name)| name);
        Terminal {
            program: "screen".to_owned(),
            name: format!("{name}:{}", window.window),
            can_focus: proc::is_own(window.server),
        }
    }

    fn focus(&self, place: &Place) -> Result<(), FocusError> {
        let Host::Screen(window) = &place.host else { return Err(FocusError::NoTerminal) };
        let display = display_of(place, window);
        let Some(display) = display else {
            return Err(FocusError::Detached(format!("screen session {}", window.session)));
        };
        let number = window.window.to_string();
        say(window, &["-X", "select", &number])
            .map_err(|why| FocusError::Refused { program: "screen", why })?;
        adapter::of(&display).focus(&display)
    }

    fn is_in_front(&self, place: &Place) -> Option<bool> {
        let Host::Screen(window) = &place.host else { return None };
        let Some(display) = display_of(place, window) else { return Some(false) };
        let shown = say(window, &["-Q", "number"]).ok()?;
        if number(&shown)? != window.window {
            return Some(false);
        }
        adapter::of(&display).is_in_front(&display)
    }
}

fn say(window: &ScreenWindow, args: &[&str]) -> Result<String, String> {
    let mut all = vec!["-S", window.session.as_str()];
    all.extend(args);
    let sockets: Vec<_> = window.sockets.iter().map(|path| ("SCREENDIR", path.as_path())).collect();
    ask_in("screen", &all, &sockets)
}

/// `2 (bash)`: the window that is shown.
fn number(text: &str) -> Option<u32> {
    text.split_whitespace().next()?.parse().ok()
}

/// Where a terminal that shows the session runs: the server has that terminal open, while those of its own windows it made
/// itself and holds by their other end.
fn display_of(place: &Place, window: &ScreenWindow) -> Option<Place> {
    proc::open_files(window.server).iter().find_map(|path| {
        let tty = path.strip_prefix("/dev").ok()?.to_str()?;
        let is_terminal = tty.strip_prefix("pts/").or_else(|| tty.strip_prefix("tty"))?;
        is_terminal.parse::<u32>().ok()?;
        place.shown_by(proc::on_tty(tty)?)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_window_that_is_shown_is_the_first_word_b30() {
        for (text, want) in [("2 (bash)", Some(2)), ("0 (a b)\n", Some(0)), ("", None), ("No window", None)] {
            assert_eq!(super::number(text), want, "{text:?}");
        }
    }
}
