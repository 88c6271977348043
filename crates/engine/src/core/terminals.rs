//! Where the terminals of sessions are, which ones are to be looked for, and which session took another's place in a pane.

use std::collections::{BTreeSet, HashMap};

use lamplight_model::ids::{FactId, SessionKey, Timestamp};
use lamplight_model::lineage::{Sitting, successor};
use lamplight_model::session::{Dated, LivenessState, Seat, TurnState};

use super::{Core, Loaded};
use crate::facts::TerminalLook;
use crate::store::StoreError;
use crate::store::rows::Class;
use crate::terminals::Order;

/// A terminal that was looked for is looked for again, when something happens, after this: it may have been moved or renamed.
const MOVED_MS: i64 = 60_000;

/// What is known of terminals beyond what the sessions' own states say.
#[derive(Debug, Default)]
pub(super) struct Terminals {
    looked: HashMap<i64, Looked>,
    /// Sessions in memory by the pane of their latest process.
    panes: HashMap<FactId, BTreeSet<i64>>,
    orders: Vec<Order>,
}

/// The latest look for the terminal of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Looked {
    pid: u32,
    turn_state: TurnState,
    at: Timestamp,
}

impl Terminals {
    /// A session came into memory, or its process was found somewhere.
    pub(super) fn seat(&mut self, id: i64, pane: FactId) {
        self.panes.entry(pane).or_default().insert(id);
    }

    /// A session left memory, or its pane.
    pub(super) fn leave(&mut self, id: i64, pane: FactId) {
        if let Some(here) = self.panes.get_mut(&pane) {
            here.remove(&id);
            if here.is_empty() {
                self.panes.remove(&pane);
            }
        }
    }

    pub(super) fn forget(&mut self, id: i64) {
        self.looked.remove(&id);
    }

    /// Has the terminal of a living process looked for: when it is new, and when what the session does has changed a while
    /// after the last look.
    pub(super) fn want(
        &mut self,
        id: i64,
        session: &SessionKey,
        pid: u32,
        turn_state: TurnState,
        now: Timestamp,
    ) {
        let is_known = self.looked.get(&id).is_some_and(|looked| {
            looked.pid == pid && (looked.turn_state == turn_state || now.since(looked.at) < MOVED_MS)
        });
        if !is_known {
            self.looked.insert(id, Looked { pid, turn_state, at: now });
            self.orders.push(Order::Locate { session: session.clone(), pid });
        }
    }

    pub(super) fn take_orders(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.orders)
    }

    fn others(&self, id: i64, pane: FactId) -> impl Iterator<Item = i64> + '_ {
        self.panes.get(&pane).into_iter().flatten().copied().filter(move |other| *other != id)
    }
}

impl Core {
    /// Takes what a look for a terminal found.
    pub(super) fn apply_terminal(&mut self, look: TerminalLook) -> Result<(), StoreError> {
        let TerminalLook { session, pid, found, at } = look;
        let Some(&id) = self.by_key.get(&session) else { return Ok(()) };
        let Some(loaded) = self.load(id)? else { return Ok(()) };
        let is_its = loaded.verdict.as_ref().is_some_and(|v| v.pid == Some(pid));
        // It moved on to another process meanwhile, which is looked for by itself.
        if !is_its {
            return Ok(());
        }
        let before = loaded.state.seat.take();
        let Some(found) = found else {
            // A process without a terminal, or gone before anybody looked: what is known of an earlier one stands.
            loaded.state.seat = before.filter(|seat| seat.pid != pid);
            self.touched.insert(id);
            return Ok(());
        };
        let since = before.as_ref().filter(|seat| seat.pid == pid).map_or(at, |seat| seat.since);
        let pane = found.pane;
        loaded.state.seat = Some(Seat { pid, pane, terminal: found.terminal, since });
        if let Some(before) = before.filter(|seat| seat.pane != pane) {
            self.terminals.leave(id, before.pane);
            self.touched.extend(self.terminals.others(id, before.pane));
        }
        self.terminals.seat(id, pane);
        self.touched.extend(self.terminals.others(id, pane));
        self.touched.insert(id);
        Ok(())
    }

    /// Notes which session has taken the place of this one in its pane, as far as they are in memory: those that are not
    /// are on no list.
    pub(super) fn note_successor(&mut self, id: i64) {
        let Some(own) = self.sessions.get(&id) else { return };
        let Some(seat) = own.state.seat.as_ref().filter(|_| !is_alive(own)) else { return };
        let former = sitting(own);
        let others: Vec<Sitting> = self
            .terminals
            .others(id, seat.pane)
            .filter_map(|other| self.sessions.get(&other))
            .map(sitting)
            .collect();
        let next = successor(&former, &others).map(|s| Dated { at: s.since, value: s.id.clone() });
        if let (Some(next), Some(own)) = (next, self.sessions.get_mut(&id)) {
            own.state.superseded_by = Some(next);
        }
    }

    /// Others in the pane of a session, which may have another place now.
    pub(super) fn neighbours(&self, id: i64) -> Vec<i64> {
        let pane = self.sessions.get(&id).and_then(|loaded| loaded.state.seat.as_ref()).map(|seat| seat.pane);
        pane.map(|pane| self.terminals.others(id, pane).collect()).unwrap_or_default()
    }

    /// What the thread that looks for terminals is to do.
    pub(crate) fn take_terminal_orders(&mut self) -> Vec<Order> {
        let mut orders = self.terminals.take_orders();
        let fronts = self.notifier.take_fronts();
        orders.extend(fronts.into_iter().map(|(session, pid)| Order::Front { session, pid }));
        orders
    }
}

fn is_alive(loaded: &Loaded) -> bool {
    loaded.verdict.as_ref().is_some_and(|v| v.liveness.state == LivenessState::Alive)
}

fn sitting(loaded: &Loaded) -> Sitting {
    let seat = loaded.state.seat.as_ref();
    Sitting {
        agent: loaded.key.agent,
        id: loaded.key.id.clone(),
        pane: seat.map(|seat| seat.pane),
        since: seat.map(|seat| seat.since).unwrap_or_default(),
        is_alive: is_alive(loaded),
        is_more_than_a_start: loaded.class == Class::Row && loaded.state.has_signal(),
    }
}
