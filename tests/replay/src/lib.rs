//! Replay of recorded sessions against labelled truth.
//!
//! Start from [`Scenario`] (what was written, when), [`play`] (the same facts into the engine's core on a virtual clock)
//! and [`hold`] (what the core said against what the labels say). Nothing here knows a rule about states, and nothing
//! touches a process, a clock or a home: pids are numbers of the capture machine.
//!
//! `../labels/README.md` says what the labels mean, `../fixtures/README.md` where the facts come from.

mod align;
mod claude;
mod codex;
mod dates;
mod gemini;
mod hold;
mod hooks;
mod labels;
mod opencode;
mod otlp;
mod play;
mod report;
mod scenario;
mod table;
mod transcript;

pub use hold::{Delay, Finding, Held, LAG_MS, hold, hold_within};
pub use labels::{Label, Labels, Never};
pub use play::{Change, History, Player, play, play_until};
pub use report::{Sources, Tally, report, tally};
pub use scenario::{ClockSet, Fact, Moment, Scenario, tests_dir};
pub use table::table;
pub use transcript::{Reader, TranscriptFile};
