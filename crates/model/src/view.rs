//! What the screen, the socket and scripts are told: plain data in the screen's words.
//!
//! Every key is always present; `null` means *not known*. Integers stay under 2^53; times are milliseconds since the
//! Unix epoch. These types are the contract of `lamp status --json`, the HTTP API and the window; they are exported to
//! TypeScript (`frontend/src/lib/bindings`), and a change here is a change of the contract.

mod card;
mod care;
mod detail;
mod doctor;
mod notice;
mod run;
mod service;
mod setup;
mod status;

pub use card::*;
pub use care::*;
pub use detail::*;
pub use doctor::*;
pub use notice::*;
pub use run::*;
pub use service::*;
pub use setup::*;
pub use status::*;
