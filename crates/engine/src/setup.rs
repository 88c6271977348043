//! Set-up: connects agents and shells to Lamplight by editing their settings, shows before what it would change, and
//! undoes it to the byte.
//!
//! Start from [`plan`] (reads, changes nothing), [`apply`] (writes a plan, each file by rename) and [`undo`]. What was
//! there is kept in `setup/` of the data directory. An agent whose settings cannot be understood is left alone as a
//! whole; what the person set to somewhere else is never overwritten.

mod agent;
mod change;
mod claude;
mod codex;
mod command;
mod diff;
mod files;
mod gemini;
mod hooks;
mod journal;
mod places;
mod plan;
mod project;
mod settings;
mod shell;
mod state;
mod telemetry;
mod text;
mod undo;

pub use change::{Plan, SetupError, apply};
pub use files::FileError;
pub use places::{Places, Wish, lamp_beside, passing, stable_path};
pub use plan::plan;
pub use project::{Instance, SpawnedBy, configured_project, instance_of, repository, resource_attributes};
pub use settings::{ReadSettings, read_settings, write_settings};
pub use state::state;
pub use undo::{undo, written};

#[cfg(test)]
mod tests;
