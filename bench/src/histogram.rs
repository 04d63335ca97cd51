//! Latencies in little memory: a log-linear histogram, as HDR histograms are.
//!
//! Each power of two is cut into 128 equal parts, so a value is off by less than one percent, whatever its size.

/// How many parts a power of two is cut into, as a power of two.
const PART_BITS: u32 = 7;
const PARTS: usize = 1 << PART_BITS;

/// A count of values by size.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    most: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; highest_index() + 1], total: 0, most: 0 }
    }
}

impl Histogram {
    /// Counts one value.
    pub fn add(&mut self, value: u64) {
        self.counts[index(value)] += 1;
        self.total += 1;
        self.most = self.most.max(value);
    }

    /// How many values were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The largest value, exactly.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.most
    }

    /// The value below which this share (0 to 1) of the values lies; 0 if there are none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> u64 {
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return highest(at).min(self.most);
            }
        }
        self.most
    }
}

/// Where a value is counted.
fn index(value: u64) -> usize {
    let magnitude = (63 - (value | (PARTS as u64 - 1)).leading_zeros()) - (PART_BITS - 1);
    // Below the first power the parts are the values themselves; above, the leading bit falls away into the row.
    let row = magnitude as usize;
    if row == 0 {
        return usize::try_from(value).unwrap_or(0);
    }
    let part = usize::try_from(value >> magnitude).unwrap_or(0);
    row * (PARTS / 2) + part
}

/// The largest value that is counted at `at`.
fn highest(at: usize) -> u64 {
    if at < PARTS {
        return at as u64;
    }
    let row = at / (PARTS / 2) - 1;
    let part = at - row * (PARTS / 2);
    (part as u64) << row | ((1 << row) - 1)
}

fn highest_index() -> usize {
    index(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_found_again_within_two_percent() {
        let mut value: u64 = 1;
        while value < u64::MAX / 3 {
            for near in [value - 1, value, value + 1] {
                let top = highest(index(near));
                assert!(top >= near, "{near} is counted under {top}");
                assert!(top - near <= near / 64, "{near} is counted as {top}");
            }
            value += value / 4 + 1;
        }
    }

    #[test]
    fn quantiles_of_a_straight_line() {
        let mut histogram = Histogram::default();
        (1..=10_000).for_each(|value| histogram.add(value * 1000));
        let median = histogram.quantile(0.5);
        assert!((4_950_000..5_080_000).contains(&median), "{median}");
        assert_eq!(histogram.quantile(1.0), 10_000_000);
        assert_eq!(Histogram::default().quantile(0.5), 0);
    }
}
