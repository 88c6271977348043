//! Delivering: what waits is sent in order until the Collector has it, with growing pauses while it does not answer.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::health::Health;
use super::queue::{Entry, Next};
use super::send::{Outcome, Sender, SetupError};
use super::{Shared, Tell};
use crate::clock;
use crate::sources::otlp::Signal;

/// First and longest pause after a failure; each is twice the one before, less up to a half of it by chance, so that many
/// machines do not come back at the same moment.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// Tries of a request at which the Collector itself fails, which may be the request's doing.
const MAX_DOUBTFUL: u32 = 5;

/// How often appended requests are asked to reach the disk, and the health is looked at.
const TICK: Duration = Duration::from_secs(5);

/// Least time between two tellings of mere counts.
const TELL_COUNTS: Duration = Duration::from_secs(10);

/// Longest wait for the host to say where it listens; without it, a loop is only noticed by its mark.
const AWAIT_OWN: Duration = Duration::from_secs(2);

/// How often an address that leads back to ourselves is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// How long a stop waits for the answer to what is under way; without it, it is sent a second time later.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// Sends until told to stop. What is under way then is finished if its answer comes within a second; else it is sent again
/// after the next start, as it was not noted as delivered.
pub(super) async fn run(shared: &Shared, tell: Tell, mut stop: watch::Receiver<bool>) {
    let mut told = Told { tell, last: None };
    let under_way = Cell::new(false);
    let delivery = Delivery { shared, pause: Duration::ZERO, under_way: &under_way, stop: stop.clone() };
    let mut delivery = pin!(delivery.run());
    tokio::select! {
        // An error means that the sender is gone, which is a stop as well.
        _ = stop.wait_for(|stop| *stop) => {}
        () = &mut delivery => {}
        () = look_after(shared, &mut told) => {}
    }
    let last = std::future::poll_fn(|context| {
        let goes_on = under_way.get() && delivery.as_mut().poll(context).is_pending() && under_way.get();
        if goes_on { Poll::Pending } else { Poll::Ready(()) }
    });
    // No answer in time: see above.
    let _ = tokio::time::timeout(LAST_ANSWER, last).await;
    told.tell(shared);
}

/// Syncs files and tells the health, now and then.
async fn look_after(shared: &Shared, told: &mut Told) {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_time_to_sync = tokio::select! {
            _ = tick.tick() => true,
            () = shared.health_changed.notified() => false,
        };
        told.tell(shared);
        let files = if is_time_to_sync { shared.queue.to_sync() } else { Vec::new() };
        if !files.is_empty() {
            let sync = move || files.iter().try_for_each(std::fs::File::sync_data);
            let synced = tokio::task::spawn_blocking(sync).await;
            if !matches!(synced, Ok(Ok(()))) {
                shared.health().disk_failed(clock::now());
            }
        }
    }
}

/// What was last told of the health.
struct Told {
    tell: Tell,
    last: Option<(lamplight_model::view::SourceView, Instant)>,
}

impl Told {
    /// Tells a change of state or of the issues at once, and mere counts every ten seconds.
    fn tell(&mut self, shared: &Shared) {
        let view = shared.health().view(&shared.config, shared.queue.fill(), clock::now());
        let is_due = self.last.as_ref().is_none_or(|(last, at)| {
            let kinds = |view: &lamplight_model::view::SourceView| {
                view.issues.iter().map(|issue| issue.message.clone()).collect::<Vec<_>>()
            };
            last.state != view.state
                || kinds(last) != kinds(&view)
                || (*last != view && at.elapsed() >= TELL_COUNTS)
        });
        if is_due && (self.tell)(view.clone()) {
            self.last = Some((view, Instant::now()));
        }
    }
}

struct Delivery<'a> {
    shared: &'a Shared,
    /// After the last failure; zero after a success.
    pause: Duration,
    /// Something is being sent, or its answer is not noted yet.
    under_way: &'a Cell<bool>,
    stop: watch::Receiver<bool>,
}

impl Delivery<'_> {
    /// Ends only once it is to stop.
    async fn run(mut self) {
        let sender = match Sender::new(&self.shared.config, &self.shared.sender) {
            Ok(sender) => sender,
            Err(error) => {
                tracing::error!(%error, "forwarding cannot start");
                let why = match error {
                    SetupError::NoRoots => {
                        "this system has no certificates of authorities, so that no Collector can be trusted over https"
                    }
                    SetupError::Tls(_) | SetupError::Address(_) => "its settings cannot be used",
                };
                self.health(|health| health.cannot_start(why, clock::now()));
                // What waits is kept until there is a way to send it.
                return std::future::pending().await;
            }
        };
        self.await_own().await;
        let mut looked: Option<(Instant, Option<Vec<SocketAddr>>)> = None;
        while !*self.stop.borrow() {
            // A host that was slow to say where it listens is heard all the same.
            if looked.as_ref().is_none_or(|(at, own)| at.elapsed() >= LOOK_AGAIN || *own != self.own()) {
                looked = Some((Instant::now(), self.own()));
                while self.leads_to_ourselves().await {
                    self.health(|health| health.looped(clock::now()));
                    tokio::select! {
                        () = self.shared.own_known.notified() => {}
                        () = sleep(LOOK_AGAIN) => {}
                    }
                }
                self.health(Health::no_loop);
            }
            match self.shared.queue.next() {
                Ok(Some(next)) => self.deliver(&sender, next).await,
                Ok(None) => self.shared.queue.more.notified().await,
                Err(error) => {
                    tracing::debug!(%error, "the forwarding queue cannot be read");
                    self.health(|health| health.disk_failed(clock::now()));
                    self.rest(None).await;
                }
            }
        }
    }

    /// Delivers requests, signal by signal: of one signal in their order, together where that is possible.
    async fn deliver(&mut self, sender: &Sender, mut next: Next) {
        let config = &self.shared.config;
        let entries = std::mem::take(&mut next.entries);
        let records: Vec<u64> = entries.iter().map(|e| e.records.into()).collect();
        let is_wanted = |e: &Entry| config.signals.contains(&e.signal) && (config.content || !e.content);
        let (wanted, unwanted): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(is_wanted);
        for signal in Signal::ALL {
            let of_signal: Vec<&Entry> = wanted.iter().filter(|e| e.signal == signal).collect();
            if !of_signal.is_empty() {
                self.send(sender, signal, &of_signal).await;
            }
        }
        // Queued under other settings, which allowed it.
        let unwanted: u64 = unwanted.iter().map(|e| u64::from(e.records)).sum();
        if let Err(error) = self.shared.queue.done(&next, records.iter().sum()) {
            tracing::debug!(%error, "how far was forwarded cannot be noted");
            self.health(|health| health.disk_failed(clock::now()));
        }
        self.under_way.set(false);
        if unwanted > 0 {
            self.health(|health| health.unwanted(unwanted));
        }
    }

    /// Sends requests as one, or one by one where the Collector refuses them together.
    async fn send(&mut self, sender: &Sender, signal: Signal, entries: &[&Entry]) {
        let Err(refused) = self.send_once(sender, signal, entries).await else { return };
        match entries {
            // Who is not let in is not let in with less either.
            [_, _, ..] if !refused.is_about_us => {
                for entry in entries {
                    if let Err(refused) = self.send_once(sender, signal, &[entry]).await {
                        self.refuse(&refused, &[entry]);
                    }
                }
            }
            _ => self.refuse(&refused, entries),
        }
    }

    fn refuse(&self, refused: &Refused, entries: &[&Entry]) {
        let records = count(entries);
        self.health(|health| health.refused(refused.trouble, records, clock::now()));
    }

    /// Sends requests as one until they are delivered or refused for good.
    async fn send_once(
        &mut self,
        sender: &Sender,
        signal: Signal,
        entries: &[&Entry],
    ) -> Result<(), Refused> {
        let mut doubtful = 0;
        loop {
            // Requests are lists of resources: one after the other they are one.
            let body: Vec<u8> = entries.iter().flat_map(|e| &e.body).copied().collect();
            self.under_way.set(true);
            let (after, trouble) = match sender.send(signal, body).await {
                Outcome::Delivered { rejected } => {
                    self.pause = Duration::ZERO;
                    self.health(|health| health.delivered(count(entries), rejected, clock::now()));
                    return Ok(());
                }
                Outcome::Later { after, trouble } => (after, trouble),
                Outcome::Doubtful(trouble) => {
                    doubtful += 1;
                    if doubtful >= MAX_DOUBTFUL {
                        return Err(Refused { trouble, is_about_us: false });
                    }
                    (None, trouble)
                }
                Outcome::Never(trouble) => {
                    let is_about_us = trouble.is_about_us();
                    return Err(Refused { trouble, is_about_us });
                }
            };
            tracing::debug!(?trouble, ?signal, "telemetry was not forwarded; it is tried again");
            self.health(|health| health.trouble(trouble, clock::now()));
            self.rest(after).await;
        }
    }

    /// Waits before the next try: as long as the Collector asked for, and at least the growing pause.
    async fn rest(&mut self, after: Option<Duration>) {
        self.under_way.set(false);
        self.pause = (self.pause * 2).clamp(PAUSES.0, PAUSES.1);
        let pause = match after {
            // Its own word counts; the chance is added, so that it is never sooner.
            Some(after) => after + by_chance(PAUSES.0),
            None => self.pause / 2 + by_chance(self.pause / 2),
        };
        sleep(pause).await;
    }

    /// Waits until the host said where it listens.
    async fn await_own(&self) {
        if self.own().is_none() {
            // Without its word it goes on all the same: a host may have no listener at all.
            let _ = tokio::time::timeout(AWAIT_OWN, self.shared.own_known.notified()).await;
        }
    }

    fn own(&self) -> Option<Vec<SocketAddr>> {
        self.shared.own.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Whether the endpoint is one of our own listeners: the same port, on this machine. They are bound to loopback only.
    async fn leads_to_ourselves(&self) -> bool {
        let endpoint = &self.shared.config.endpoint;
        let own = self.own().unwrap_or_default();
        if !own.iter().any(|addr| addr.port() == endpoint.port()) {
            return false;
        }
        let is_here = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
        match tokio::net::lookup_host((endpoint.host(), endpoint.port())).await {
            Ok(mut found) => found.any(|addr| is_here(addr.ip().to_canonical())),
            // It cannot be reached either.
            Err(_) => false,
        }
    }

    fn health(&self, change: impl FnOnce(&mut Health)) {
        change(&mut self.shared.health());
        self.shared.health_changed.notify_one();
    }
}

/// Requests that were refused for good.
struct Refused {
    trouble: super::send::Trouble,
    /// Because of who sends them or where to, and not of what they are.
    is_about_us: bool,
}

fn count(entries: &[&Entry]) -> u64 {
    entries.iter().map(|e| u64::from(e.records)).sum()
}

/// A duration between nothing and `most`.
fn by_chance(most: Duration) -> Duration {
    let mut random = [0; 2];
    // Without chance many machines may come back together, which the pauses bear.
    let share = getrandom::fill(&mut random).map_or(u16::MAX, |()| u16::from_le_bytes(random));
    most * u32::from(share) / u32::from(u16::MAX)
}
