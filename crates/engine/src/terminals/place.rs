//! The program that shows the terminal of a process, found among its ancestors.

use lamplight_model::ids::{Agent, FactId};

use super::hints::{self, Hints, ScreenWindow, TmuxPane};
use super::proc::{self, Seen};
use crate::facts::fact_id;

/// Programs that run another one in a terminal of its own within theirs.
const BETWEEN: &[&str] = &["script", "sudo", "su", "doas", "expect"];
/// Most ancestors looked at.
const MOST_ANCESTORS: usize = 64;

/// Most multiplexers within each other.
const MOST_NESTED: u8 = 4;

/// Where a process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// What shows it.
    pub host: Host,
    /// Its terminal below `/dev`.
    pub tty: String,
    /// The process that made the terminal: an emulator, or a multiplexer's server.
    pub owner: Owner,
    /// Equal for processes that ran in one pane, tab or window, one after the other.
    pub pane: FactId,
    /// The display its environment names.
    pub display: Option<String>,
    /// The X11 window its environment names; inherited, so believed only where it belongs to the owner.
    pub window: Option<u32>,
    /// How many multiplexers show it to each other before it.
    depth: u8,
}

impl Place {
    /// The place of the process through which a multiplexer in `self` is shown; `None` where there is none, or where
    /// multiplexers show each other without an end.
    pub(super) fn shown_by(&self, pid: u32) -> Option<Self> {
        let depth = self.depth.checked_add(1).filter(|depth| *depth <= MOST_NESTED)?;
        Some(Self { depth, ..find(pid)? })
    }
}

/// The process that made a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub pid: u32,
    pub name: String,
    /// It and its ancestors: a window may belong to one of them.
    pub line: Vec<u32>,
}

/// What shows a terminal, with what is needed to ask it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    Tmux(TmuxPane),
    Screen(ScreenWindow),
    /// A tab of Zellij; it cannot be asked.
    Zellij {
        session: String,
        pane: u32,
    },
    Kitty {
        window: u32,
        socket: Option<std::path::PathBuf>,
    },
    /// A pane of WezTerm; it cannot be asked.
    Wezterm {
        pane: u32,
    },
    /// Another terminal emulator.
    Emulator,
    /// A login over the network, a console, something without a window.
    Windowless,
}

/// Looks where a process runs; `None` when it has no terminal.
pub(super) fn find(pid: u32) -> Option<Place> {
    let process = proc::look(pid).filter(|_| proc::is_own(pid))?;
    place(&process, hints::read(pid), proc::look)
}

fn place(process: &Seen, hints: Hints, look: impl Fn(u32) -> Option<Seen>) -> Option<Place> {
    let tty = proc::tty_name(process.tty)?;
    let owner = owner(process, &look);
    let line = match &owner {
        Some(owner) => ancestors(owner, &look),
        None => Vec::new(),
    };
    let leader = look(process.leader).unwrap_or_else(|| process.clone());
    let mut pane = ["tty".to_owned(), leader.pid.to_string(), leader.start.to_string()];
    let host = match &owner {
        // A console, or a shell that outlived the terminal's program.
        None => Host::Windowless,
        Some(owner) => {
            let host = host(owner, hints.clone());
            if let Host::Tmux(tmux) = &host {
                // Numbers of panes are not used again as long as the server runs.
                pane = [tmux.pane.clone(), owner.pid.to_string(), owner.start.to_string()];
            }
            host
        }
    };
    let (owner_pid, name) = owner.map_or((0, "a console".to_owned()), |owner| (owner.pid, owner.name));
    Some(Place {
        host,
        tty,
        owner: Owner { pid: owner_pid, name, line },
        pane: fact_id(Agent::ClaudeCode, "pane", &pane.each_ref().map(String::as_str)),
        display: hints.display,
        window: hints.window,
        depth: 0,
    })
}

/// The process that made the terminal: the nearest ancestor that does not have it itself.
fn owner(process: &Seen, look: &impl Fn(u32) -> Option<Seen>) -> Option<Seen> {
    let mut tty = process.tty;
    let mut at = process.clone();
    for _ in 0..MOST_ANCESTORS {
        let parent = look(at.parent).filter(|parent| parent.pid > 1)?;
        if parent.tty != tty {
            if !(BETWEEN.contains(&parent.name.as_str()) && parent.tty != 0) {
                return Some(parent);
            }
            tty = parent.tty;
        }
        at = parent;
    }
    None
}

fn ancestors(process: &Seen, look: &impl Fn(u32) -> Option<Seen>) -> Vec<u32> {
    let mut line = vec![process.pid];
    let mut at = process.parent;
    while at > 1 && line.len() < MOST_ANCESTORS {
        line.push(at);
        let Some(parent) = look(at) else { break };
        at = parent.parent;
    }
    line
}

/// Which of the hints speaks of the process that made the terminal.
fn host(owner: &Seen, hints: Hints) -> Host {
    if let Some(tmux) = hints.tmux.filter(|tmux| tmux.server == owner.pid) {
        return Host::Tmux(tmux);
    }
    if let Some(screen) = hints.screen.filter(|screen| screen.server == owner.pid) {
        return Host::Screen(screen);
    }
    let is = |name: &str| owner.name == name || owner.name.starts_with(&format!("{name}-"));
    match (hints.zellij, hints.kitty_window, hints.wezterm_pane) {
        (Some((session, pane)), ..) if is("zellij") => Host::Zellij { session, pane },
        (_, Some(window), _) if is("kitty") => Host::Kitty { window, socket: hints.kitty_socket },
        (_, _, Some(pane)) if is("wezterm") => Host::Wezterm { pane },
        _ if is("sshd") || is("login") || is("systemd") || hints.display.is_none() => Host::Windowless,
        _ => Host::Emulator,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of processes: pid, parent, leader, terminal, name.
    fn table(rows: &[(u32, u32, u32, u32, &str)]) -> impl Fn(u32) -> Option<Seen> {
        let all: Vec<Seen> = rows
            .iter()
            .map(|(pid, parent, leader, tty, name)| Seen {
                pid: *pid,
                parent: *parent,
                leader: *leader,
                tty: *tty,
                start: u64::from(*pid) * 10,
                name: (*name).to_owned(),
            })
            .collect();
        move |pid| all.iter().find(|seen| seen.pid == pid).cloned()
    }

    fn at(rows: &[(u32, u32, u32, u32, &str)], hints: Hints) -> Option<Place> {
        let look = table(rows);
        place(&look(100).unwrap(), hints, look)
    }

    const PTS: u32 = 0x8800;

    fn in_tmux(server: u32) -> Hints {
        let tmux = TmuxPane { socket: "/tmp/s".into(), server, pane: "%3".to_owned() };
        Hints { tmux: Some(tmux), window: Some(7), display: Some(":0".to_owned()), ..Hints::default() }
    }

    #[test]
    fn a_hint_counts_when_it_speaks_of_what_made_the_terminal() {
        let pane =
            [(100, 90, 90, PTS + 3, "claude"), (90, 50, 90, PTS + 3, "bash"), (50, 1, 50, 0, "tmux: server")];
        let found = at(&pane, in_tmux(50)).unwrap();
        assert!(matches!(found.host, Host::Tmux(_)), "{found:?}");
        assert_eq!((found.tty.as_str(), found.owner.line.as_slice()), ("pts/3", &[50][..]));
        // An xterm that was opened from within that pane inherits its variables.
        let opened = [
            (100, 95, 95, PTS + 4, "claude"),
            (95, 94, 95, PTS + 4, "bash"),
            (94, 90, 90, PTS + 3, "xterm"),
            (90, 50, 90, PTS + 3, "bash"),
            (50, 1, 50, 0, "tmux: server"),
        ];
        let found = at(&opened, in_tmux(50)).unwrap();
        assert_eq!((&found.host, found.owner.name.as_str()), (&Host::Emulator, "xterm"));
        // `script` shows nothing itself.
        let inside = [
            (100, 95, 95, PTS + 5, "claude"),
            (95, 94, 95, PTS + 5, "bash"),
            (94, 90, 90, PTS + 3, "script"),
            (90, 50, 90, PTS + 3, "bash"),
            (50, 1, 50, 0, "tmux: server"),
        ];
        assert!(matches!(at(&inside, in_tmux(50)).unwrap().host, Host::Tmux(_)));
        let remote =
            [(100, 90, 90, PTS, "claude"), (90, 40, 90, PTS, "bash"), (40, 1, 40, 0, "sshd-session")];
        assert_eq!(at(&remote, Hints::default()).unwrap().host, Host::Windowless);
        let none = [(100, 1, 100, 0, "claude")];
        assert_eq!(at(&none, in_tmux(50)), None, "no terminal at all");
        let orphan = [(100, 1, 90, PTS, "claude")];
        assert_eq!(at(&orphan, in_tmux(50)).unwrap().host, Host::Windowless);
    }

    #[test]
    fn one_pane_is_one_whatever_runs_in_it_and_no_other_is_it() {
        let pane = |process: u32, leader: u32, server: u32, hints: Hints| {
            let rows = [
                (100, leader, leader, PTS + 3, "claude"),
                (leader, server, leader, PTS + 3, "bash"),
                (server, 1, server, 0, "xterm"),
            ];
            let look = table(&rows);
            place(&Seen { pid: process, ..look(100).unwrap() }, hints, look).unwrap().pane
        };
        let own = pane(100, 90, 50, Hints::default());
        assert_eq!(pane(101, 90, 50, Hints::default()), own, "the next one in the same shell");
        assert_ne!(pane(101, 91, 50, Hints::default()), own, "another shell, the same emulator");
        let tmux = pane(100, 90, 50, in_tmux(50));
        assert_eq!(pane(100, 91, 50, in_tmux(50)), tmux, "the pane was filled again");
        assert_ne!(tmux, own);
        assert_ne!(pane(100, 90, 51, in_tmux(51)), tmux, "another server has a pane of that number too");
    }
}
