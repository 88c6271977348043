//! tmux: its own client is asked, over the socket that the pane's environment names and only while that is this user's.

use lamplight_model::view::Terminal;

use super::adapter::{self, Adapter};
use super::hints::{TmuxPane, is_own_socket};
use super::place::{Host, Place};
use super::run::ask;
use super::{FocusError, proc};

/// What is asked of a client, tab-separated, since a session's name may hold spaces.
const CLIENT: &str = "#{client_activity}\t#{client_pid}\t#{client_tty}\t#{client_session}";

pub(super) struct Tmux;

/// A terminal that shows a session of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Client {
    /// Seconds since the epoch of its last key.
    activity: u64,
    pid: u32,
    tty: String,
    session: String,
}

impl Adapter for Tmux {
    fn show(&self, place: &Place) -> Terminal {
        let name = pane_of(place).and_then(|pane| {
            let name = "#{session_name}:#{window_index}.#{pane_index}";
            say(pane, &["display-message", "-p", "-t", &pane.pane, name])
        });
        let (name, can_focus) = match name {
            Ok(name) => (one_line(&name), true),
            Err(_) => (place.tty.clone(), false),
        };
        Terminal { program: "tmux".to_owned(), name, can_focus }
    }

    fn focus(&self, place: &Place) -> Result<(), FocusError> {
        let refused = |why| FocusError::Refused { program: "tmux", why };
        let pane = pane_of(place).map_err(refused)?;
        let session = session_of(pane).map_err(refused)?;
        let clients = clients(pane).map_err(refused)?;
        let Some(client) = best(&clients, &session) else {
            return Err(FocusError::Detached(format!("tmux session {session}")));
        };
        if client.session != session {
            say(pane, &["switch-client", "-c", &client.tty, "-t", &pane.pane]).map_err(refused)?;
        }
        say(pane, &["select-window", "-t", &pane.pane]).map_err(refused)?;
        say(pane, &["select-pane", "-t", &pane.pane]).map_err(refused)?;
        let shown_by = place.shown_by(client.pid).ok_or(FocusError::NoTerminal)?;
        adapter::of(&shown_by).focus(&shown_by)
    }

    fn is_in_front(&self, place: &Place) -> Option<bool> {
        let pane = pane_of(place).ok()?;
        let front = say(pane, &["display-message", "-p", "-t", &pane.pane, "#{window_active}#{pane_active}"]);
        if front.ok()?.trim() != "11" {
            return Some(false);
        }
        let session = session_of(pane).ok()?;
        let mut answer = Some(false);
        for client in clients(pane).ok()?.iter().filter(|client| client.session == session) {
            let shown_by = place.shown_by(client.pid);
            match shown_by.and_then(|shown| adapter::of(&shown).is_in_front(&shown)) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => answer = None,
            }
        }
        answer
    }
}

fn pane_of(place: &Place) -> Result<&TmuxPane, String> {
    match &place.host {
        Host::Tmux(pane) if is_own_socket(&pane.socket) && proc::is_own(pane.server) => Ok(pane),
        _ => Err("its socket is not there any more".to_owned()),
    }
}

/// Asks the server; none of what is asked starts one.
fn say(pane: &TmuxPane, args: &[&str]) -> Result<String, String> {
    let socket = pane.socket.to_str().ok_or("the name of its socket is no text")?;
    let mut all = vec!["-S", socket];
    all.extend(args);
    ask("tmux", &all)
}

fn session_of(pane: &TmuxPane) -> Result<String, String> {
    say(pane, &["display-message", "-p", "-t", &pane.pane, "#{session_name}"]).map(|name| one_line(&name))
}

fn clients(pane: &TmuxPane) -> Result<Vec<Client>, String> {
    Ok(parse_clients(&say(pane, &["list-clients", "-F", CLIENT])?))
}

fn parse_clients(text: &str) -> Vec<Client> {
    text.lines()
        .filter_map(|line| {
            let mut parts = line.splitn(4, '\t');
            Some(Client {
                activity: parts.next()?.parse().ok()?,
                pid: parts.next()?.parse().ok()?,
                tty: parts.next()?.to_owned(),
                session: parts.next()?.to_owned(),
            })
        })
        .collect()
}

/// The client to use: one that shows the session, else any; of several the one used last.
fn best<'a>(clients: &'a [Client], session: &str) -> Option<&'a Client> {
    clients.iter().max_by_key(|client| (client.session == session, client.activity, client.pid))
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or("").chars().filter(|c| !c.is_control()).take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_shows_the_session_comes_before_one_used_later() {
        let text = "1790000009\t11\t/dev/pts/1\tother work\n1790000001\t12\t/dev/pts/2\tapi\n\nbroken\tline\n\
            1790000002\t13\t/dev/pts/3\tapi\n";
        let clients = parse_clients(text);
        assert_eq!(clients.len(), 3, "blank and broken lines are passed over (b30)");
        assert_eq!(clients.first().map(|c| c.session.as_str()), Some("other work"));
        assert_eq!(best(&clients, "api").map(|c| c.pid), Some(13));
        assert_eq!(best(&clients, "none of them").map(|c| c.pid), Some(11));
        assert_eq!(best(&[], "api"), None);
    }
}
