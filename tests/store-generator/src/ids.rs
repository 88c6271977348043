//! Identifiers in the forms the agents give them.

use crate::rng::Rng;

const BASE58: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const ALNUM: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const HEX: &[u8] = b"0123456789abcdef";

fn letters(rng: &mut Rng, alphabet: &[u8], n: usize) -> String {
    (0..n).map(|_| char::from(alphabet[rng.index(alphabet.len())])).collect()
}

/// `n` hexadecimal digits.
pub fn hex(rng: &mut Rng, n: usize) -> String {
    letters(rng, HEX, n)
}

/// `prefix` and `n` base58 characters: Anthropic's message, request and tool ids.
pub fn base58(rng: &mut Rng, prefix: &str, n: usize) -> String {
    format!("{prefix}{}", letters(rng, BASE58, n))
}

/// `prefix` and `n` letters and digits: OpenAI's call ids.
pub fn alnum(rng: &mut Rng, prefix: &str, n: usize) -> String {
    format!("{prefix}{}", letters(rng, ALNUM, n))
}

/// A random UUID (version 4).
pub fn uuid(rng: &mut Rng) -> String {
    uuid_from((rng.bits() & !0xf000) | 0x4000, rng.bits())
}

/// A time-ordered UUID (version 7), as Codex names threads and turns.
pub fn uuid7(rng: &mut Rng, at_ms: u64) -> String {
    uuid_from((at_ms << 16) | 0x7000 | rng.below(0x1000), rng.bits())
}

fn uuid_from(high: u64, low: u64) -> String {
    let low = (low & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

/// The folder name Claude Code gives a working directory: each UTF-16 unit outside `[A-Za-z0-9]` becomes `-`.
pub fn encoded_cwd(cwd: &str) -> String {
    cwd.chars()
        .flat_map(|c| {
            let (keep, units) = if c.is_ascii_alphanumeric() { (c, 1) } else { ('-', c.len_utf16()) };
            std::iter::repeat_n(keep, units)
        })
        .collect()
}
