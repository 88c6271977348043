//! Pure rules of Lamplight: facts, the fold, what a session is doing, what needs its person, prices and views.
//!
//! Start from [`event::Event`] (a fact), [`session::SessionState`] (what is folded from facts) and [`assess::assess`]
//! (what that means at a given moment). Nothing here reads a file, a clock or JSON; the same input gives the same
//! output, always.

pub mod assess;
pub mod attention;
#[cfg(test)]
#[path = "../../../tests/cases.rs"]
mod cases;
pub mod event;
pub mod fold;
pub mod hook;
pub mod ids;
pub mod instance;
pub mod label;
pub mod lineage;
pub mod notice;
pub mod pricing;
pub mod resume;
pub mod run;
pub mod sdk;
pub mod session;
pub mod spent;
pub mod telemetry;
pub mod trace;
pub mod view;
pub mod worktree;
