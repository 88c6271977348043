//! What every program that shows terminals can be asked.

use lamplight_model::view::Terminal;

use super::FocusError;
use super::place::{Host, Place};
use super::{kitty, screen, tmux, x11};

/// One program that shows terminals. Asking takes milliseconds, and seconds where a server hangs.
pub(super) trait Adapter {
    /// What it is called, and whether it can come to the front.
    fn show(&self, place: &Place) -> Terminal;

    /// Brings it to the front.
    fn focus(&self, place: &Place) -> Result<(), FocusError>;

    /// Whether it is what the person has before them; `None` where that cannot be known.
    fn is_in_front(&self, place: &Place) -> Option<bool>;
}

/// The adapter for a place.
pub(super) fn of(place: &Place) -> &'static dyn Adapter {
    match place.host {
        Host::Tmux(_) => &tmux::Tmux,
        Host::Screen(_) => &screen::Screen,
        Host::Kitty { .. } => &kitty::Kitty,
        Host::Emulator => &x11::X11,
        Host::Zellij { .. } | Host::Wezterm { .. } | Host::Windowless => &Named,
    }
}

/// A terminal that has a name and cannot be asked.
struct Named;

impl Adapter for Named {
    fn show(&self, place: &Place) -> Terminal {
        let (program, name) = match &place.host {
            Host::Zellij { session, pane } => ("zellij", format!("{session}, pane {pane}")),
            Host::Wezterm { pane } => ("wezterm", format!("pane {pane}")),
            _ => ("tty", place.tty.clone()),
        };
        Terminal { program: program.to_owned(), name, can_focus: false }
    }

    fn focus(&self, place: &Place) -> Result<(), FocusError> {
        Err(FocusError::NoWay(match &place.host {
            Host::Zellij { .. } => "Zellij".to_owned(),
            Host::Wezterm { .. } => "WezTerm".to_owned(),
            _ => place.owner.name.clone(),
        }))
    }

    fn is_in_front(&self, _: &Place) -> Option<bool> {
        None
    }
}
