//! The contract of Lamplight: every command declared once, and the two ways to reach it from outside the process.
//!
//! Start from [`commands`] (the table of commands and [`call`], which runs one by name), [`serve`] (the socket and the
//! loopback HTTP server) and [`config_file`] (settings and environment to the engine's `Config`). Nothing here reads a
//! transcript, knows SQL or decides what a state means: bodies ask the engine and pass on what it says. The environment
//! is read through a function the host passes in.

pub mod commands;
pub mod config_file;
pub mod error;
pub mod serve;
pub mod socket;

pub use commands::call;
pub use error::{ApiError, ErrorCode};
