//! Windows of X11: which one belongs to a process that made a terminal, raised as a pager would.
//!
//! A window names its process by `_NET_WM_PID`, and the server knows it by itself (the X-Resource extension), which is
//! believed where it is there. `WINDOWID` of an environment is inherited, so it only chooses among windows that belong to
//! the right process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use lamplight_model::view::Terminal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use x11rb::connection::Connection;
use x11rb::protocol::res::{ClientIdMask, ClientIdSpec, ConnectionExt as _};
use x11rb::protocol::screensaver::ConnectionExt as _;
use x11rb::protocol::xproto::{
    AtomEnum, ChangeWindowAttributesAux, ClientMessageEvent, ConnectionExt as _, EventMask, MapState, Window,
};
use x11rb::rust_connection::RustConnection;

use super::adapter::Adapter;
use super::place::{Owner, Place};
use super::{FocusError, PATIENCE};

/// A person who touched nothing for so long may not see what is in front of them.
const AWAY_MS: u32 = 60_000;
/// Time a window manager has to raise a window.
const RAISE: Duration = Duration::from_millis(1_000);
/// Servers that may hang at once; beyond that none is asked.
const MOST_HANGING: usize = 4;
/// Most windows between one that a program made and the one the manager put around it.
const MOST_PARENTS: usize = 16;

x11rb::atom_manager! {
    Atoms: AtomsCookie {
        _NET_CLIENT_LIST,
        _NET_ACTIVE_WINDOW,
        _NET_WM_PID,
    }
}

pub(super) struct X11;

impl Adapter for X11 {
    fn show(&self, place: &Place) -> Terminal {
        let is_there =
            |place: &Place| Screen::open(place).is_some_and(|screen| screen.window_of(place).is_ok());
        let can_focus = within(place, is_there).unwrap_or(false);
        Terminal { program: place.owner.name.clone(), name: place.tty.clone(), can_focus }
    }

    fn focus(&self, place: &Place) -> Result<(), FocusError> {
        raise(place)
    }

    fn is_in_front(&self, place: &Place) -> Option<bool> {
        is_in_front(place)
    }
}

/// Asks the server that a place names, on a thread of its own: one that hangs keeps that thread and nobody else. `None` when it
/// does not answer within [`PATIENCE`].
fn within<T: Send + 'static>(place: &Place, ask: impl FnOnce(&Place) -> T + Send + 'static) -> Option<T> {
    static HANGING: AtomicUsize = AtomicUsize::new(0);
    if HANGING.fetch_add(1, Ordering::SeqCst) >= MOST_HANGING {
        HANGING.fetch_sub(1, Ordering::SeqCst);
        return None;
    }
    let (place, (done, answer)) = (place.clone(), channel());
    let asking = std::thread::Builder::new().name("x11-ask".to_owned()).spawn(move || {
        let said = ask(&place);
        HANGING.fetch_sub(1, Ordering::SeqCst);
        // Whoever asked may have lost patience.
        let _ = done.send(said);
    });
    if asking.is_err() {
        HANGING.fetch_sub(1, Ordering::SeqCst);
        return None;
    }
    answer.recv_timeout(PATIENCE).ok()
}

/// Brings the window of a place to the front, and sees that it came.
pub(super) fn raise(place: &Place) -> Result<(), FocusError> {
    let refused =
        || FocusError::Refused { program: "the X server", why: "it did not answer in time".to_owned() };
    within(place, raise_now).ok_or_else(refused)?
}

fn raise_now(place: &Place) -> Result<(), FocusError> {
    let screen = Screen::open(place).ok_or_else(|| FocusError::NoWindow(place.owner.name.clone()))?;
    let window = screen.window_of(place)?;
    let refused = |why: &str| FocusError::Refused { program: "the window manager", why: why.to_owned() };
    let asked = screen.follow().and_then(|()| screen.activate(window));
    asked.ok_or_else(|| refused("it could not be asked"))?;
    let deadline = Instant::now() + RAISE;
    while screen.active() != Some(window) {
        if !screen.hears_by(deadline) {
            return Err(refused("the window did not come to the front"));
        }
    }
    Ok(())
}

/// Whether the window of a place is the active one, and somebody is there.
pub(super) fn is_in_front(place: &Place) -> Option<bool> {
    within(place, is_in_front_now)?
}

fn is_in_front_now(place: &Place) -> Option<bool> {
    let screen = Screen::open(place)?;
    let active = screen.active()?;
    if screen.window_of(place).ok()? != active {
        return Some(false);
    }
    Some(screen.idle_ms()? < AWAY_MS)
}

struct Screen {
    x: RustConnection,
    root: Window,
    atoms: Atoms,
}

impl Screen {
    fn open(place: &Place) -> Option<Self> {
        let (x, number) = x11rb::connect(Some(place.display.as_deref()?)).ok()?;
        let root = x.setup().roots.get(number)?.root;
        let atoms = Atoms::new(&x).ok()?.reply().ok()?;
        Some(Self { x, root, atoms })
    }

    /// The one window that shows a place.
    fn window_of(&self, place: &Place) -> Result<Window, FocusError> {
        let Owner { name, line, .. } = &place.owner;
        let clients = self.property(self.root, self.atoms._NET_CLIENT_LIST);
        // The process itself first: an emulator started from another terminal has that one's window among its ancestors.
        let mine: Vec<Window> = line
            .iter()
            .map(|pid| clients.iter().copied().filter(|w| self.pid_of(*w) == Some(*pid)).collect::<Vec<_>>())
            .find(|windows| !windows.is_empty())
            .ok_or_else(|| FocusError::NoWindow(name.clone()))?;
        match mine.as_slice() {
            [only] => Ok(*only),
            several => {
                let named = place.window.and_then(|window| self.outermost(window, several));
                named.ok_or_else(|| FocusError::ManyWindows(name.clone()))
            }
        }
    }

    /// The process that made a window.
    fn pid_of(&self, window: Window) -> Option<u32> {
        let spec = ClientIdSpec { client: window, mask: ClientIdMask::LOCAL_CLIENT_PID };
        let known = self.x.res_query_client_ids(&[spec]).ok().and_then(|cookie| cookie.reply().ok());
        let by_server = known.and_then(|reply| reply.ids.first().and_then(|id| id.value.first().copied()));
        by_server.or_else(|| self.property(window, self.atoms._NET_WM_PID).first().copied())
    }

    /// Which of some windows holds another one, or is it.
    fn outermost(&self, window: Window, among: &[Window]) -> Option<Window> {
        let mut at = window;
        for _ in 0..MOST_PARENTS {
            if among.contains(&at) {
                return Some(at);
            }
            at = self.x.query_tree(at).ok()?.reply().ok()?.parent;
        }
        None
    }

    fn active(&self) -> Option<Window> {
        self.property(self.root, self.atoms._NET_ACTIVE_WINDOW).first().copied()
    }

    fn activate(&self, window: Window) -> Option<()> {
        // Source 2: on behalf of the person. What is minimised is shown first by some managers only on this word.
        let event = ClientMessageEvent::new(32, window, self.atoms._NET_ACTIVE_WINDOW, [2, 0, 0, 0, 0]);
        let mask = EventMask::SUBSTRUCTURE_NOTIFY | EventMask::SUBSTRUCTURE_REDIRECT;
        self.x.send_event(false, self.root, mask, event).ok()?;
        let state = self.x.get_window_attributes(window).ok()?.reply().ok()?.map_state;
        if state == MapState::UNMAPPED {
            self.x.map_window(window).ok()?;
        }
        self.x.flush().ok()
    }

    /// Has the server tell of changes of the root's properties.
    fn follow(&self) -> Option<()> {
        let wanted = ChangeWindowAttributesAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        self.x.change_window_attributes(self.root, &wanted).ok()?.check().ok()
    }

    /// Waits until the server tells of something; `false` when it does not in time.
    fn hears_by(&self, deadline: Instant) -> bool {
        loop {
            if let Ok(Some(_)) = self.x.poll_for_event() {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(timeout) = Timespec::try_from(left) else { return false };
            let mut fds = [PollFd::new(self.x.stream(), PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) => return false,
                Ok(_) | Err(rustix::io::Errno::INTR) if !left.is_zero() => {}
                Ok(_) | Err(_) => return false,
            }
        }
    }

    /// Since the person touched a key or the mouse, in milliseconds.
    fn idle_ms(&self) -> Option<u32> {
        let info = self.x.screensaver_query_info(self.root).ok()?.reply().ok()?;
        Some(info.ms_since_user_input)
    }

    /// A property of 32-bit values; empty where there is none.
    fn property(&self, window: Window, name: u32) -> Vec<u32> {
        let asked = self.x.get_property(false, window, name, AtomEnum::ANY, 0, 16_384);
        let reply = asked.ok().and_then(|cookie| cookie.reply().ok());
        reply.as_ref().and_then(|reply| reply.value32()).map(Iterator::collect).unwrap_or_default()
    }
}
