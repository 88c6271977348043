//! All I/O of Lamplight: sources are read, facts are folded and stored, changes are published.
//!
//! Start from [`Engine`] (a running engine, cheap to clone) and [`Config`] (what a host passes in). The engine prints
//! nothing, never exits, and reads neither environment nor arguments.

pub mod clock;
pub mod config;
pub mod facts;
pub mod sources;
