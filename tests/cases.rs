//! Which cases a law is tried on.

use proptest::test_runner::{Config, RngSeed};

/// So many cases. Always the same ones, so that what is built does not depend on luck; whoever asks for a number of them
/// (`PROPTEST_CASES`) gets new ones each time.
#[expect(clippy::disallowed_methods, reason = "how a person asks for more than the usual")]
pub fn config(usual: u32) -> Config {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    let rng_seed = if asked.is_some() { RngSeed::Random } else { RngSeed::Fixed(160) };
    Config { cases: asked.unwrap_or(usual), rng_seed, failure_persistence: None, ..Config::default() }
}
