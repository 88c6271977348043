//! All I/O of Lamplight: sources are read, facts are folded and stored, changes are published.
//!
//! Start from [`Engine`] (a running engine, cheap to clone) and [`Config`] (what a host passes in). The engine prints
//! nothing, never exits, and reads neither environment nor arguments.

mod archive;
mod board;
mod card;
#[cfg(test)]
#[path = "../../../tests/cases.rs"]
mod cases;
pub mod clock;
pub mod config;
pub mod core;
mod detail;
pub mod doctor;
pub mod engine;
pub mod errors;
pub mod facts;
mod forget;
pub mod forward;
mod import;
mod lock;
mod notices;
mod otlp;
mod places;
mod programs;
mod report;
mod reports;
mod runs;
pub mod setup;
pub mod sources;
mod space;
pub mod store;
pub mod terminals;
mod viable;
mod worktrees;

pub use crate::otlp::traces::TraceFilter;
pub use board::Subscription;
pub use config::Config;
pub use core::Notice;
pub use engine::{CauseAction, Engine, EngineError, FindError, IngestError, StartError, run_once};
pub use forget::{Forget, Ignored};
pub use viable::Wanted;
