//! kitty: by its remote control, where the person switched that on; else only its window is known.

use lamplight_model::view::Terminal;

use super::adapter::Adapter;
use super::hints::is_own_socket;
use super::place::{Host, Place};
use super::run::ask;
use super::{FocusError, x11};

pub(super) struct Kitty;

impl Adapter for Kitty {
    fn show(&self, place: &Place) -> Terminal {
        let name = match place.host {
            Host::Kitty { window, .. } => format!("window {window}"),
            _ => place.tty.clone(),
        };
        let can_focus = remote(place).is_some() || x11::X11.show(place).can_focus;
        Terminal { program: "kitty".to_owned(), name, can_focus }
    }

    fn focus(&self, place: &Place) -> Result<(), FocusError> {
        let Some((window, socket)) = remote(place) else { return x11::raise(place) };
        let (to, id) = (format!("unix:{socket}"), format!("id:{window}"));
        ask("kitty", &["@", "--to", &to, "focus-window", "--match", &id])
            .map_err(|why| FocusError::Refused { program: "kitty", why })?;
        // It raises its window by itself where it may; under X11 the manager is asked too.
        match x11::raise(place) {
            Err(FocusError::Refused { .. }) | Ok(()) => Ok(()),
            // Under Wayland there is no such window, and of several kitty has chosen the right one.
            Err(FocusError::NoWindow(_) | FocusError::ManyWindows(_)) => Ok(()),
            Err(other) => Err(other),
        }
    }

    fn is_in_front(&self, place: &Place) -> Option<bool> {
        let in_front = x11::is_in_front(place)?;
        if !in_front {
            return Some(false);
        }
        // Its window is in front; which of its tabs that shows only it can say.
        let (window, socket) = remote(place)?;
        let said = ask("kitty", &["@", "--to", &format!("unix:{socket}"), "ls"]).ok()?;
        shows(&said, window)
    }
}

/// Number of its window, and the socket of its remote control, where that is this user's.
fn remote(place: &Place) -> Option<(u32, &str)> {
    match &place.host {
        Host::Kitty { window, socket: Some(socket) } if is_own_socket(socket) => {
            Some((*window, socket.to_str()?))
        }
        _ => None,
    }
}

/// Whether a window is the focused one of the focused tab, by `kitty @ ls`; `None` where it does not name it.
fn shows(said: &str, window: u32) -> Option<bool> {
    let all: serde_json::Value = serde_json::from_str(said).ok()?;
    let is = |value: &serde_json::Value, key: &str| value.get(key).and_then(serde_json::Value::as_bool);
    for os_window in all.as_array()? {
        for tab in os_window.get("tabs")?.as_array()? {
            for pane in tab.get("windows")?.as_array()? {
                if pane.get("id").and_then(serde_json::Value::as_u64) == Some(u64::from(window)) {
                    return Some(
                        is(os_window, "is_focused")? && is(tab, "is_focused")? && is(pane, "is_focused")?,
                    );
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tab_is_in_front_when_everything_around_it_is() {
        let said = r#"[{"id":1,"is_focused":true,"tabs":[
            {"id":1,"is_focused":false,"windows":[{"id":1,"is_focused":true}]},
            {"id":2,"is_focused":true,"windows":[{"id":2,"is_focused":true},{"id":3,"is_focused":false}]}]}]"#;
        let got: Vec<Option<bool>> = (1..=4).map(|window| shows(said, window)).collect();
        assert_eq!(got, [Some(false), Some(true), Some(false), None]);
        assert_eq!(shows("not json", 1), None);
    }
}
