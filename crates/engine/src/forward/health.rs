//! How forwarding goes: counted, and told as the health of a source.

use lamplight_model::ids::Timestamp;
use lamplight_model::view::{IssueView, SourceHealth, SourceView};

use super::queue::Fill;
use super::send::Trouble;
use crate::config::Forward;

/// Name of forwarding among the sources.
pub(super) const NAME: &str = "forward";

/// Numbers of forwarding since the engine started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ForwardTotals {
    /// The Collector took the last request, or was not asked yet.
    pub is_well: bool,
    /// Bytes that wait.
    pub queue_bytes: u64,
    /// Records that wait.
    pub queue_records: u64,
    /// Records the Collector took.
    pub sent: u64,
    /// Records dropped for want of room, or because they may not be sent any more.
    pub dropped: u64,
    /// Records the Collector refused for good.
    pub refused: u64,
}

/// A request that comes back does so within this time.
const DETOUR_MS: i64 = 60_000;

/// Something that went wrong, with how often and when last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen<T> {
    what: T,
    times: u64,
    at: Timestamp,
}

/// What is known besides how full the queue is.
#[derive(Debug, Default)]
pub(super) struct Health {
    sent: u64,
    refused: u64,
    /// Dropped because the settings have changed.
    unwanted: u64,
    last_delivery: Option<Timestamp>,
    /// Since the last delivery.
    trouble: Option<Seen<Trouble>>,
    refusal: Option<Seen<Trouble>>,
    /// The address is one of our own.
    loops: Option<Seen<()>>,
    /// What was sent came back by a detour.
    came_back: Option<Seen<()>>,
    disk: Option<Seen<()>>,
    full: Option<Seen<u64>>,
    /// Why nothing is sent at all.
    setup: Option<Seen<&'static str>>,
}

fn again<T: Copy>(before: Option<Seen<T>>, what: T, at: Timestamp) -> Option<Seen<T>> {
    Some(Seen { what, times: before.map_or(1, |seen| seen.times.saturating_add(1)), at })
}

impl Health {
    pub(super) fn delivered(&mut self, records: u64, rejected: u64, at: Timestamp) {
        self.sent = self.sent.saturating_add(records.saturating_sub(rejected));
        self.refused = self.refused.saturating_add(rejected);
        self.last_delivery = Some(at);
        (self.trouble, self.loops) = (None, None);
        // A delivery may be the very one that came back: only one that nothing came back of ends that.
        self.came_back = self.came_back.filter(|seen| at.since(seen.at) < DETOUR_MS);
    }

    pub(super) fn trouble(&mut self, trouble: Trouble, at: Timestamp) {
        self.trouble = again(self.trouble, trouble, at);
    }

    pub(super) fn refused(&mut self, trouble: Trouble, records: u64, at: Timestamp) {
        self.refused = self.refused.saturating_add(records);
        self.refusal = again(self.refusal, trouble, at);
        self.trouble = again(self.trouble, trouble, at);
    }

    pub(super) fn unwanted(&mut self, records: u64) {
        self.unwanted = self.unwanted.saturating_add(records);
    }

    pub(super) fn looped(&mut self, at: Timestamp) {
        self.loops = again(self.loops, (), at);
    }

    pub(super) fn came_back(&mut self, at: Timestamp) {
        self.came_back = again(self.came_back, (), at);
    }

    pub(super) fn no_loop(&mut self) {
        self.loops = None;
    }

    pub(super) fn disk_failed(&mut self, at: Timestamp) {
        self.disk = again(self.disk, (), at);
    }

    pub(super) fn disk_works(&mut self) {
        self.disk = None;
    }

    pub(super) fn cannot_start(&mut self, why: &'static str, at: Timestamp) {
        self.setup = again(self.setup, why, at);
    }

    pub(super) fn totals(&self, fill: Fill) -> ForwardTotals {
        ForwardTotals {
            is_well: !self.is_troubled(),
            queue_bytes: fill.bytes,
            queue_records: fill.records,
            sent: self.sent,
            dropped: fill.dropped.saturating_add(self.unwanted),
            refused: self.refused,
        }
    }

    fn is_troubled(&self) -> bool {
        self.trouble.is_some()
            || self.loops.is_some()
            || self.came_back.is_some()
            || self.disk.is_some()
            || self.setup.is_some()
    }

    /// Forwarding as a source: records that wait are its files, what the queue holds its bytes.
    pub(super) fn view(&mut self, config: &Forward, fill: Fill, now: Timestamp) -> SourceView {
        if fill.dropped > self.full.map_or(0, |seen| seen.what) {
            self.full = Some(Seen { what: fill.dropped, times: fill.dropped, at: now });
        }
        let mut issues: Vec<IssueView> = Vec::new();
        let mut issue = |kind: &str, message: String, times: u64, at: Timestamp| {
            let kind = kind.to_owned();
            issues.push(IssueView { kind, message, path: None, count: times, last_at_ms: at.0 });
        };
        if let Some(seen) = self.setup {
            let message = format!("Nothing can be forwarded: {}. Everything else works.", seen.what);
            issue("forward_setup", message, seen.times, seen.at);
        }
        if let Some(seen) = self.loops {
            let message = format!(
                "[forward] endpoint leads back to Lamplight itself ({}). Nothing is forwarded; name the Collector's address.",
                config.endpoint
            );
            issue("forward_loop", message, seen.times, seen.at);
        }
        if let Some(seen) = self.came_back {
            let message = format!(
                "What [forward] sends to {} comes back to Lamplight. It is not taken again; name the Collector's address.",
                config.endpoint
            );
            issue("forward_loop", message, seen.times, seen.at);
        }
        if let Some(seen) = self.trouble.filter(|seen| self.refusal.is_none_or(|r| r.what != seen.what)) {
            issue("forward_failed", failed(seen.what), seen.times, seen.at);
        }
        if let Some(seen) = self.refusal {
            issue("forward_refused", refused(seen.what), seen.times, seen.at);
        }
        if let Some(seen) = self.disk {
            let message = "The forwarding queue cannot be written or read: a full disk or denied permission. What comes \
                           meanwhile is not forwarded; everything else works.";
            issue("forward_disk", message.to_owned(), seen.times, seen.at);
        }
        if let Some(seen) = self.full {
            let message = format!(
                "More waited than the forwarding queue holds ({} MB). The oldest records were dropped; Lamplight itself has \
                 them.",
                config.max_bytes / (1024 * 1024)
            );
            issue("forward_full", message, seen.times, seen.at);
        }
        issues.sort_by_key(|issue| std::cmp::Reverse(issue.last_at_ms));
        let totals = self.totals(fill);
        SourceView {
            name: NAME.to_owned(),
            path: format!("{} ({})", config.endpoint, config.protocol.as_str()),
            state: if self.is_troubled() { SourceHealth::Degraded } else { SourceHealth::Ok },
            files: totals.queue_records,
            bytes: totals.queue_bytes,
            skipped: totals.dropped.saturating_add(totals.refused),
            issues,
            last_fact_at_ms: self.last_delivery.map(|at| at.0),
        }
    }
}

fn failed(trouble: Trouble) -> String {
    let what = match trouble {
        Trouble::Unreachable => {
            "The Collector cannot be reached, or its certificate is not trusted.".to_owned()
        }
        Trouble::TimedOut => "The Collector did not answer in time.".to_owned(),
        Trouble::Http(status) => format!("The Collector cannot take telemetry now (HTTP {status})."),
        Trouble::Grpc(code) => format!("The Collector cannot take telemetry now (gRPC code {code})."),
    };
    format!("{what} What waits is sent as soon as it does.")
}

fn refused(trouble: Trouble) -> String {
    let (what, is_denied) = match trouble {
        Trouble::Http(status) => (format!("HTTP {status}"), matches!(status, 401 | 403)),
        Trouble::Grpc(code) => (format!("gRPC code {code}"), matches!(code, 7 | 16)),
        Trouble::Unreachable | Trouble::TimedOut => ("no answer".to_owned(), false),
    };
    let hint =
        if is_denied { "Look at [forward] headers." } else { "Look at [forward] endpoint and protocol." };
    format!(
        "The Collector refused telemetry ({what}). It was dropped, as sending it again would not help. {hint}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Forward {
        Forward::to(crate::config::Endpoint::parse("https://c.example.org/key-in-path").unwrap())
    }

    #[test]
    fn trouble_is_told_in_sentences_and_passes() {
        let mut health = Health::default();
        let at = Timestamp(5);
        health.trouble(Trouble::Http(503), at);
        health.trouble(Trouble::Unreachable, at);
        let view = health.view(&config(), Fill { bytes: 7, records: 3, dropped: 2, damaged: 0 }, at);
        assert_eq!((view.state, view.files, view.bytes, view.skipped), (SourceHealth::Degraded, 3, 7, 2));
        let kinds: Vec<_> = view.issues.iter().map(|i| (i.kind.as_str(), i.count)).collect();
        assert_eq!(kinds, [("forward_failed", 2), ("forward_full", 2)]);
        assert!(view.issues[0].message.contains("cannot be reached"), "{:?}", view.issues);
        assert!(!format!("{view:?}").contains("key-in-path"));
        health.delivered(4, 1, Timestamp(9));
        let view = health.view(&config(), Fill { dropped: 2, ..Fill::default() }, Timestamp(9));
        assert_eq!((view.state, view.skipped, view.last_fact_at_ms), (SourceHealth::Ok, 3, Some(9)));
    }

    #[test]
    fn a_refusal_says_what_to_look_at() {
        let mut health = Health::default();
        health.refused(Trouble::Http(401), 5, Timestamp(1));
        let view = health.view(&config(), Fill::default(), Timestamp(1));
        assert_eq!(view.issues.len(), 1, "{view:?}");
        assert!(view.issues[0].message.contains("headers") && view.state == SourceHealth::Degraded);
        health.refused(Trouble::Http(404), 5, Timestamp(2));
        assert!(health.view(&config(), Fill::default(), Timestamp(2)).issues[0].message.contains("endpoint"));
        assert_eq!(health.totals(Fill::default()).refused, 10);
    }
}
