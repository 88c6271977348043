//! What the environment of a process says of its terminal: twelve variables, each checked before it is used anywhere.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::proc;

/// The variables that are read; nothing else of an environment is kept.
const NAMES: [&str; 12] = [
    "TMUX",
    "TMUX_PANE",
    "STY",
    "WINDOW",
    "ZELLIJ_SESSION_NAME",
    "ZELLIJ_PANE_ID",
    "KITTY_WINDOW_ID",
    "KITTY_LISTEN_ON",
    "WEZTERM_PANE",
    "WINDOWID",
    "DISPLAY",
    "SCREENDIR",
];

/// What they said, as far as it makes sense.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hints {
    pub tmux: Option<TmuxPane>,
    pub screen: Option<ScreenWindow>,
    /// Session and pane of Zellij.
    pub zellij: Option<(String, u32)>,
    pub kitty_window: Option<u32>,
    /// kitty's remote control, a socket of this user.
    pub kitty_socket: Option<PathBuf>,
    pub wezterm_pane: Option<u32>,
    pub window: Option<u32>,
    /// A display of this machine.
    pub display: Option<String>,
}

/// `TMUX` and `TMUX_PANE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TmuxPane {
    pub socket: PathBuf,
    pub server: u32,
    /// `%3`.
    pub pane: String,
}

/// `STY` and `WINDOW`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScreenWindow {
    /// `<server pid>.<name>`.
    pub session: String,
    pub server: u32,
    pub window: u32,
    /// Where its socket lies, when not where it would by itself.
    pub sockets: Option<PathBuf>,
}

/// Reads them of a process.
pub(super) fn read(pid: u32) -> Hints {
    parse(proc::environment(pid, NAMES))
}

fn parse(values: [Option<String>; 12]) -> Hints {
    let [tmux, pane, sty, window, session, zellij_pane, kitty, listen, wezterm, x11, display, screens] =
        values;
    Hints {
        tmux: tmux.zip(pane).and_then(|(tmux, pane)| tmux_pane(&tmux, &pane)),
        screen: sty.zip(window).and_then(|(sty, window)| screen_window(sty, &window)).map(|found| {
            ScreenWindow { sockets: screens.map(PathBuf::from).filter(|p| p.is_absolute()), ..found }
        }),
        zellij: session.filter(|name| is_name(name)).zip(zellij_pane.and_then(|pane| digits(&pane))),
        kitty_window: kitty.and_then(|text| digits(&text)),
        kitty_socket: listen
            .and_then(|text| text.strip_prefix("unix:").map(PathBuf::from))
            .filter(|path| path.is_absolute()),
        wezterm_pane: wezterm.and_then(|text| digits(&text)),
        window: x11.and_then(|text| digits(&text)),
        display: display.filter(|text| is_local_display(text)),
    }
}

fn tmux_pane(tmux: &str, pane: &str) -> Option<TmuxPane> {
    // `<socket>,<server pid>,<session>`; a path may hold commas.
    let mut parts = tmux.rsplitn(3, ',');
    let (_, server, socket) = (parts.next()?, digits(parts.next()?)?, PathBuf::from(parts.next()?));
    let is_pane = pane.strip_prefix('%').is_some_and(|number| digits(number).is_some());
    (is_pane && socket.is_absolute()).then(|| TmuxPane { socket, server, pane: pane.to_owned() })
}

fn screen_window(session: String, window: &str) -> Option<ScreenWindow> {
    let (server, name) = session.split_once('.')?;
    let (server, window) = (digits(server)?, digits(window)?);
    is_name(name).then_some(ScreenWindow { session, server, window, sockets: None })
}

fn digits(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// A name that is safe as an argument and on the screen.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && !text.starts_with('-')
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | ' '))
}

/// `:0`, `:10.0`: nothing that leads over a network.
fn is_local_display(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(':') else { return false };
    let (display, screen) = rest.split_once('.').unwrap_or((rest, "0"));
    digits(display).is_some_and(|n| n < 10_000) && digits(screen).is_some()
}

/// Whether a path is a socket of this user.
pub(super) fn is_own_socket(path: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket() && meta.uid() == own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(given: &[(&str, &str)]) -> Hints {
        parse(NAMES.map(|name| given.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())))
    }

    #[test]
    fn a_tmux_pane_has_a_socket_a_server_and_a_number() {
        let check = |tmux: &str, pane: &str, want: Option<(&str, u32)>| {
            let got = hints(&[("TMUX", tmux), ("TMUX_PANE", pane)]).tmux;
            let got = got.as_ref().map(|t| (t.socket.to_str().unwrap(), t.server));
            assert_eq!(got, want, "{tmux} {pane}");
        };
        check("/tmp/tmux-0/default,311,0", "%3", Some(("/tmp/tmux-0/default", 311)));
        check("/tmp/a,b/s,311,0", "%0", Some(("/tmp/a,b/s", 311)));
        for (tmux, pane) in [
            ("relative,311,0", "%3"),
            ("/tmp/s,311,0", "3"),
            ("/tmp/s,311,0", "%3;kill-server"),
            ("/tmp/s,311,0", "%"),
            ("/tmp/s,-1,0", "%3"),
            ("/tmp/s", "%3"),
            ("", ""),
        ] {
            check(tmux, pane, None);
        }
    }

    #[test]
    fn what_would_not_be_safe_to_use_is_not_there() {
        assert_eq!(
            hints(&[("STY", "42.pts-0.host"), ("WINDOW", "1")]).screen.map(|s| (s.server, s.window)),
            Some((42, 1))
        );
        for (sty, window) in
            [("42.-X", "1"), ("x.name", "1"), ("42.a\u{1b}b", "1"), ("42.a", "-1"), ("42.", "1")]
        {
            assert_eq!(hints(&[("STY", sty), ("WINDOW", window)]).screen, None, "{sty} {window}");
        }
        assert_eq!(hints(&[("DISPLAY", ":0")]).display.as_deref(), Some(":0"));
        for display in ["host:0", "localhost:10.0", "", ":", ":0.x", ":99999", "unix:/tmp/x"] {
            assert_eq!(hints(&[("DISPLAY", display)]).display, None, "{display}");
        }
        for (listen, there) in [("unix:/run/kitty", true), ("unix:@kitty", false), ("tcp:localhost:1", false)]
        {
            assert_eq!(hints(&[("KITTY_LISTEN_ON", listen)]).kitty_socket.is_some(), there, "{listen}");
        }
        assert_eq!(hints(&[("WINDOWID", "0x12")]).window, None);
    }
}
