//! Where a session's process runs: which program shows its terminal, what that calls it, and how it comes to the front.
//!
//! Enrichment only: nothing here says whether a session lives. What is read is the kernel's table of processes, and nine
//! named variables of the environment of processes of this user ([`hints`]). A variable is inherited by whatever is started
//! from a terminal, other terminals too, so none is believed by itself: the program that made the pseudo-terminal is found
//! among the ancestors ([`place`]), and a hint counts when it speaks of that program. Each program has one small adapter.

#[cfg(target_os = "linux")]
mod adapter;
mod finder;
#[cfg(target_os = "linux")]
mod hints;
#[cfg(target_os = "linux")]
mod kitty;
#[cfg(target_os = "linux")]
mod place;
#[cfg(target_os = "linux")]
mod proc;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod screen;
#[cfg(target_os = "linux")]
mod tmux;
#[cfg(target_os = "linux")]
mod x11;

pub(crate) use finder::{Finder, Order};

use std::time::Duration;

/// Longest wait for a program that is asked about a terminal.
#[cfg(target_os = "linux")]
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// Why a terminal does not come to the front; each says what the person can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FocusError {
    /// Nothing is known of its terminal.
    #[error("its process has no terminal that is known here")]
    NoTerminal,
    /// The program that shows it cannot be asked from outside.
    #[error("its terminal is shown by {0}, which cannot be asked from here to bring it to the front")]
    NoWay(String),
    /// It runs in a multiplexer that no terminal shows.
    #[error("nobody is attached to {0}; attach to it in a terminal")]
    Detached(String),
    /// The program was asked and did not do it.
    #[error("{program} did not do it: {why}")]
    Refused {
        /// Which.
        program: &'static str,
        /// In its words, or ours.
        why: String,
    },
    /// No window of it is on the screen.
    #[error(
        "no window of {0} is on this screen; windows that Wayland shows cannot be raised by other programs"
    )]
    NoWindow(String),
    /// Several windows belong to one process, and none is known to be the one.
    #[error("{0} has several windows and does not say which one shows it")]
    ManyWindows(String),
}

/// What is known of the terminal of a process, as the card shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// For the card.
    pub terminal: lamplight_model::view::Terminal,
    /// Equal for processes that ran in one pane, tab or window, one after the other.
    pub pane: lamplight_model::ids::FactId,
}

/// Looks where a process runs. Reads and asks: never call it on the writer's thread.
#[cfg(target_os = "linux")]
#[must_use]
pub fn locate(pid: u32) -> Option<Located> {
    let place = place::find(pid)?;
    let shown = adapter::of(&place).show(&place);
    Some(Located { terminal: shown, pane: place.pane })
}

/// Brings the terminal of a process to the front. Takes up to some seconds.
///
/// # Errors
/// [`FocusError`], with what the person can do.
#[cfg(target_os = "linux")]
pub fn focus(pid: u32) -> Result<(), FocusError> {
    let place = place::find(pid).ok_or(FocusError::NoTerminal)?;
    adapter::of(&place).focus(&place)
}

/// Whether the terminal of a process is what the person has before them; `None` where that cannot be known.
#[cfg(target_os = "linux")]
#[must_use]
pub fn is_in_front(pid: u32) -> Option<bool> {
    let place = place::find(pid)?;
    adapter::of(&place).is_in_front(&place)
}

/// Elsewhere nobody looks for terminals yet.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn locate(_: u32) -> Option<Located> {
    None
}

/// Elsewhere nobody brings terminals to the front yet.
///
/// # Errors
/// Always [`FocusError::NoTerminal`].
#[cfg(not(target_os = "linux"))]
pub fn focus(_: u32) -> Result<(), FocusError> {
    Err(FocusError::NoTerminal)
}

/// Elsewhere nobody knows.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn is_in_front(_: u32) -> Option<bool> {
    None
}
