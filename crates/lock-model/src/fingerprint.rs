//! What identifies a state: a hash of 128 bits.

use std::hash::{Hash, Hasher};

/// A hash of 128 bits: among ten million states, the odds that two share one are below 10^-24.
#[must_use]
pub fn fingerprint(value: &impl Hash) -> u128 {
    let mut hasher = Fingerprint { low: 0x243f_6a88_85a3_08d3, high: 0x1319_8a2e_0370_7344 };
    value.hash(&mut hasher);
    // Two more rounds, so that the last word reaches every bit.
    hasher.write_u64(0);
    hasher.write_u64(1);
    (u128::from(hasher.high) << 64) | u128::from(hasher.low)
}

/// Fingerprints are evenly spread, so their lower half serves the set as it is.
#[derive(Debug, Default)]
pub struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u128(&mut self, fingerprint: u128) {
        let [low, _] = halves(fingerprint);
        self.0 = low;
    }
}

struct Fingerprint {
    low: u64,
    high: u64,
}

fn halves(word: u128) -> [u64; 2] {
    let bytes = word.to_le_bytes();
    let half = |from: usize| {
        bytes[from..from + 8].iter().rev().fold(0, |word, &byte| (word << 8) | u64::from(byte))
    };
    [half(0), half(8)]
}

/// The two halves of the product, one folded onto the other.
fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    #[expect(clippy::cast_possible_truncation, reason = "the halves are taken apart on purpose")]
    let (low, high) = (product as u64, (product >> 64) as u64);
    low ^ high
}

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        self.low
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_u64(&mut self, word: u64) {
        let carried = self.high;
        self.high ^= folded(self.low ^ word, 0xa076_1d64_78bd_642f).rotate_left(23);
        self.low = folded(carried ^ word.rotate_left(32), 0xe703_7ed1_a0b4_28db)
            ^ self.low.rotate_left(41);
    }

    fn write_u128(&mut self, word: u128) {
        for half in halves(word) {
            self.write_u64(half);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn small_differences_change_both_halves_of_a_fingerprint() {
        let mut halves_seen = [HashSet::new(), HashSet::new()];
        for a in 0..100_u8 {
            for b in 0..100_u8 {
                for (seen, half) in halves_seen.iter_mut().zip(halves(fingerprint(&(a, b)))) {
                    assert!(seen.insert(half));
                }
            }
        }
    }
}
