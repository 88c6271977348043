//! Writes a synthetic store of agent transcripts and says exactly what is in it.
//!
//! Start at [`generate`]: it turns a [`Request`] into files below a home folder and a [`Truth`]. The truth is what the
//! generator decided to write, raised at the moment of each decision; it is never found by reading the files back.
//! [`count`] is the opposite: a slow, plain reader that knows nothing of the generator. The tests hold the two
//! against each other, and an importer against both.
//!
//! Must not: read a clock, or depend on anything but the request. The same request gives the same bytes.

pub mod claude;
pub mod claude_old;
pub mod clock;
pub mod codex;
pub mod count;
pub mod ids;
pub mod json;
pub mod plan;
pub mod rng;
pub mod store;
pub mod text;
pub mod truth;

pub use plan::{Family, Report, Request, generate};
pub use truth::{Truth, Usage};
