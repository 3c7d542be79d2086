//! What identifies a state: a hash of 128 bits.

use std::hash::{Hash, Hasher};

/// A hash of 128 bits: among ten million states, the odds that two share one are below 10^-24.
#[must_use]
pub fn fingerprint(value: &impl Hash) -> u128 {
    let mut hasher = Fingerprint::default();
    value.hash(&mut hasher);
    hasher.mix(hasher.pending);
    // Two more rounds, so that the last word reaches every bit.
    hasher.mix(u64::from(hasher.filled));
    hasher.mix(1);
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

/// Mixes whole words, and packs what is smaller into one: nearly all that a state consists of fits
/// into a byte.
struct Fingerprint {
    low: u64,
    high: u64,
    /// The word that is not full yet.
    pending: u64,
    /// How many of its bits are used, from the lowest on.
    filled: u32,
}

impl Default for Fingerprint {
    fn default() -> Self {
        Self { low: 0x243f_6a88_85a3_08d3, high: 0x1319_8a2e_0370_7344, pending: 0, filled: 0 }
    }
}

impl Fingerprint {
    /// Appends the lowest bits of a word, from 1 to 64, whose other bits are zero.
    #[inline]
    fn append(&mut self, word: u64, bits: u32) {
        self.pending |= word << self.filled;
        self.filled += bits;
        if self.filled >= u64::BITS {
            self.mix(self.pending);
            self.filled -= u64::BITS;
            // What did not fit; nothing, if all of it did.
            self.pending = word.checked_shr(bits - self.filled).unwrap_or(0);
        }
    }

    fn mix(&mut self, word: u64) {
        let carried = self.high;
        self.high ^= folded(self.low ^ word, 0xa076_1d64_78bd_642f).rotate_left(23);
        self.low = folded(carried ^ word.rotate_left(32), 0xe703_7ed1_a0b4_28db)
            ^ self.low.rotate_left(41);
    }
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
            self.write_u8(byte);
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.append(u64::from(word), u8::BITS);
    }

    fn write_u16(&mut self, word: u16) {
        self.append(u64::from(word), u16::BITS);
    }

    fn write_u32(&mut self, word: u32) {
        self.append(u64::from(word), u32::BITS);
    }

    fn write_u64(&mut self, word: u64) {
        self.append(word, u64::BITS);
    }

    fn write_u128(&mut self, word: u128) {
        for half in halves(word) {
            self.write_u64(half);
        }
    }

    /// Lengths, indices and the numbers of variants, which are small: a byte, or a mark and all.
    #[inline]
    fn write_usize(&mut self, word: usize) {
        match u8::try_from(word) {
            Ok(byte) if byte < u8::MAX => self.write_u8(byte),
            _ => {
                self.write_u8(u8::MAX);
                self.write_u64(word as u64);
            }
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

    #[test]
    fn every_bit_of_a_word_that_crosses_into_the_next_one_counts() {
        let mut seen = HashSet::new();
        for bit in 0..u64::BITS {
            assert!(seen.insert(fingerprint(&(0_u8, 0_u16, 1_u64 << bit))), "bit {bit}");
        }
    }
}
