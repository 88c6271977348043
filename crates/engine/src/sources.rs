//! Where facts come from: transcripts and registries of each agent, processes, locks.
//!
//! Start from [`scout`], the thread that drives everything here, and [`import`], which reads whole stores at first. What
//! a line means is [`decode`]'s; nothing here interprets a state. Agent files are opened read-only and never locked.

pub(crate) mod children;
pub mod decode;
pub mod discover;
pub mod exits;
pub mod gemini;
pub mod hooks;
pub mod import;
pub mod locks;
pub mod meta;
pub mod open;
pub mod opencode;
pub mod otlp;
mod probe;
pub mod processes;
pub mod registry;
pub mod scout;
pub mod tail;
pub mod watch;

pub use probe::probe;
