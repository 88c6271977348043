//! A small random source, the same on every machine and in every release.

/// Splitmix64: eight bytes of state, good enough for test data, and its stream never changes under us.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A source whose whole stream is decided by `seed`.
    pub fn from_seed(seed: u64) -> Self {
        Self(seed ^ 0x5851_f42d_4c95_7f2d)
    }

    /// A source of its own for one session, so that a change in one session moves no other.
    pub fn fork(&mut self) -> Self {
        Self(self.bits())
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n` (0 when `n` is 0).
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.bits() % n }
    }

    /// An index below `n` (0 when `n` is 0).
    pub fn index(&mut self, n: usize) -> usize {
        usize::try_from(self.below(n as u64)).unwrap_or(0)
    }

    /// A number from `low` up to and including `high`.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True in `per_mille` of a thousand cases.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// One of `items`.
    pub fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.index(items.len())]
    }

    /// A number strictly between 0 and 1.
    pub fn unit(&mut self) -> f64 {
        let bits = u32::try_from(self.bits() >> 32).unwrap_or(u32::MAX);
        (f64::from(bits) + 0.5) / 4_294_967_296.0
    }

    /// A log-normal draw around `median`: most near it, a few many times larger.
    pub fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        let (u, v) = (self.unit(), self.unit());
        let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        median * (sigma * normal).exp()
    }

    /// A heavy-tailed size in bytes, never above `max`.
    pub fn size(&mut self, median: u32, sigma: f64, max: u32) -> usize {
        let draw = self.log_normal(f64::from(median), sigma).min(f64::from(max));
        whole(draw)
    }
}

/// The whole part of a size; what does not fit is 0, which no caller asks for.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes here are positive and far below 2^52"
)]
pub fn whole(value: f64) -> usize {
    value as usize
}
