//! The moment of the first cards, for the benchmark, and the log on stderr.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Environment variable that asks for the line below.
const TRACE: &str = "LAMPLIGHT_TRACE_START";

/// When the process began, and whether the first cards were already reported.
pub struct Started {
    at: Instant,
    is_reported: AtomicBool,
}

impl Started {
    /// Takes the present instant; call it first in `main`.
    pub fn at_entry() -> Self {
        Self { at: Instant::now(), is_reported: AtomicBool::new(false) }
    }

    /// Prints one JSON line on stdout, once, if the environment asks for it.
    ///
    /// `at_ms` is the wall clock, so that whoever started the process can subtract its own; `since_main_ms` leaves out
    /// loading the binary.
    #[expect(clippy::print_stdout, reason = "a line for the benchmark that started this process")]
    #[expect(
        clippy::disallowed_methods,
        reason = "the benchmark compares with its own wall clock; nothing is decided by it"
    )]
    pub fn report(&self, what: &str) {
        if std::env::var_os(TRACE).is_none_or(|on| on != "1")
            || self.is_reported.swap(true, Ordering::Relaxed)
        {
            return;
        }
        let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        println!(
            "{{\"event\":\"{what}\",\"at_ms\":{at_ms},\"since_main_ms\":{}}}",
            self.at.elapsed().as_millis()
        );
    }
}

/// Sends warnings and errors to stderr.
pub fn log_to_stderr() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_max_level(tracing::Level::WARN)
        .init();
}
