//! The thread that looks for terminals, so that neither a hanging multiplexer nor a slow display holds anybody up.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use lamplight_model::ids::SessionKey;

use crate::clock;
use crate::facts::{Input, TerminalLook};

/// What the finder can be told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Look where a process runs.
    Locate {
        /// The session it runs.
        session: SessionKey,
        /// The process.
        pid: u32,
    },
    /// Say whether the terminal of a process is what the person has before them.
    Front {
        /// `agent:session_id`.
        session: String,
        /// The process.
        pid: u32,
    },
    /// End.
    Stop,
}

/// A running finder. It ends when told to, or when nobody takes what it finds.
#[derive(Debug)]
pub(crate) struct Finder {
    pub(crate) orders: Sender<Order>,
    thread: JoinHandle<()>,
}

impl Finder {
    /// Starts the thread; what is found goes to `tell`, which says whether anybody still takes it.
    pub(crate) fn start(tell: impl Fn(Input) -> bool + Send + 'static) -> std::io::Result<Self> {
        let (orders, inbox) = channel();
        let thread =
            std::thread::Builder::new().name("terminals".to_owned()).spawn(move || find(&inbox, &tell))?;
        Ok(Self { orders, thread })
    }

    /// Ends the thread; a question that is asked just now is waited for, at most a few seconds.
    pub(crate) fn stop(self) {
        // It may have ended already.
        let _ = self.orders.send(Order::Stop);
        // A panic has been reported on its own thread.
        let _ = self.thread.join();
    }
}

fn find(inbox: &Receiver<Order>, tell: &dyn Fn(Input) -> bool) {
    // Where one is can wait, and takes its time where a multiplexer hangs: orders are looked at between any two.
    let mut wanted: HashMap<SessionKey, u32> = HashMap::new();
    loop {
        let first = if wanted.is_empty() { inbox.recv().ok() } else { inbox.try_recv().ok() };
        if first.is_none() && wanted.is_empty() {
            return;
        }
        let mut fronts = Vec::new();
        for order in first.into_iter().chain(inbox.try_iter()) {
            match order {
                Order::Front { session, pid } => fronts.push((session, pid)),
                Order::Locate { session, pid } => drop(wanted.insert(session, pid)),
                Order::Stop => return,
            }
        }
        // Whether one is in front is asked because somebody waits for the answer.
        for (session, pid) in fronts {
            let is_in_front = super::is_in_front(pid);
            if !tell(Input::Front { session, is_in_front, at: clock::now() }) {
                return;
            }
        }
        let Some(session) = wanted.keys().next().cloned() else { continue };
        let Some(pid) = wanted.remove(&session) else { continue };
        let look = TerminalLook { session, pid, found: super::locate(pid), at: clock::now() };
        if !tell(Input::Terminal(Box::new(look))) {
            return;
        }
    }
}
