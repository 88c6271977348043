//! The contract over a real server on a free port, in front of a real engine on a temporary home.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod guards;
mod host;
mod routes;
mod stream;
