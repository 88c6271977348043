//! A latency histogram with four buckets per doubling: a quantile is off by at most an eighth of its value.

use std::collections::BTreeMap;

/// The bucket of a duration in microseconds: the place of its highest bit, then the next two bits.
pub(crate) fn bucket(us: u64) -> u16 {
    let us = us.max(4);
    let exponent = 63 - us.leading_zeros();
    let within = (us >> (exponent - 2)) & 3;
    u16::try_from(u64::from(exponent) * 4 + within).unwrap_or(u16::MAX)
}

/// The middle of a bucket, in microseconds.
fn middle(bucket: u16) -> u64 {
    let (exponent, within) = (u32::from(bucket / 4).clamp(2, 63), u64::from(bucket % 4));
    let step = 1u64 << (exponent - 2);
    (1u64 << exponent).saturating_add(within.saturating_mul(step)).saturating_add(step / 2)
}

/// The duration that `percent` of the calls did not exceed, in milliseconds; `None` without calls.
pub(crate) fn quantile_ms(histogram: &BTreeMap<u16, u64>, percent: u64) -> Option<u64> {
    let all: u64 = histogram.values().sum();
    if all == 0 {
        return None;
    }
    let rank = all.saturating_mul(percent).div_ceil(100).max(1);
    let mut below = 0;
    for (bucket, calls) in histogram {
        below += calls;
        if below >= rank {
            return Some(middle(*bucket).div_ceil(1_000));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_an_eighth() {
        for us in [5, 17, 999, 1_000, 54_321, 1_900_000, 86_400_000_000] {
            let found = middle(bucket(us));
            assert!(found.abs_diff(us) * 8 <= us.max(8), "{us}: {found}");
        }
        let mut histogram = BTreeMap::new();
        for ms in 1..=100u64 {
            *histogram.entry(bucket(ms * 1_000)).or_default() += 1;
        }
        let (p50, p95) = (quantile_ms(&histogram, 50).unwrap(), quantile_ms(&histogram, 95).unwrap());
        assert!((44..=57).contains(&p50) && (84..=107).contains(&p95), "{p50} {p95}");
        assert_eq!(quantile_ms(&BTreeMap::new(), 50), None);
        assert_eq!(bucket(0), bucket(4), "what is shorter than a clock can tell");
    }

    #[test]
    fn buckets_never_overflow() {
        for us in [0, 1, u64::MAX, u64::MAX / 3] {
            assert!(middle(bucket(us)) >= 4, "{us}");
        }
    }
}
