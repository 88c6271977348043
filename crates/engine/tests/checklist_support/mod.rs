//! A person's home with agents in it, and an engine that looks at them.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod agents;
pub mod clocked;
pub mod running;
