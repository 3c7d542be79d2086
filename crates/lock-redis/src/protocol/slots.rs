//! The slots of a Redis Cluster, and a short tag for each.
//!
//! The tag of a slot is the smallest number whose hexadecimal digits hash to it: a key with
//! `{<tag>}` in it is in that slot.
//! A lock's name in braces would not do: it may contain braces of its own.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::wire::slot_set::SLOT_COUNT;

/// The cluster slot of a key: of what is between its first `{` and the next `}` if that is not
/// empty, else of the whole.
pub(crate) fn slot(key: &str) -> u16 {
    let key = key.as_bytes();
    let tagged = key.iter().position(|&byte| byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|&byte| byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    crc16(tagged.unwrap_or(key)) % SLOT_COUNT
}

/// The smallest number whose hexadecimal digits hash to this slot.
pub(crate) fn tag(slot: u16) -> u32 {
    /// One more than each tag that was needed so far; 0 for the others.
    static FOUND: [AtomicU32; SLOT_COUNT as usize] =
        [const { AtomicU32::new(0) }; SLOT_COUNT as usize];

    let found = &FOUND[usize::from(slot % SLOT_COUNT)];
    if let Some(tag) = found.load(Ordering::Relaxed).checked_sub(1) {
        return tag;
    }
    let tag = find_tag(slot);
    found.store(tag + 1, Ordering::Relaxed);
    tag
}

/// Tries the numbers in order, 256 at a time.
///
/// CRC is linear: that of `<digits><pair>` is that of `<digits>` and two zero bytes, plus that of
/// `<pair>`.
/// So for given leading digits one look at a table tells which pair leads to the slot, if any.
fn find_tag(slot: u16) -> u32 {
    let pair_for = |crc: u16| PAIR_OF_CRC[usize::from((crc ^ slot) % SLOT_COUNT)];
    let of_one_digit = (0..0x10).find(|&number| crc16_of_hex(number) % SLOT_COUNT == slot);
    let of_two_digits = || pair_for(0).filter(|&pair| pair >= 0x10).map(u32::from);
    let of_more = || {
        // Every slot is reached with five digits.
        (1..=0xfff).find_map(|leading: u32| {
            let crc = crc16_step(crc16_step(crc16_of_hex(leading), 0), 0);
            pair_for(crc).map(|pair| leading << 8 | u32::from(pair))
        })
    };
    of_one_digit.or_else(of_two_digits).or_else(of_more).unwrap_or_default()
}

/// For the CRC of each pair of hexadecimal digits, without its upper two bits: that pair.
static PAIR_OF_CRC: [Option<u8>; SLOT_COUNT as usize] = {
    let mut pairs = [None; SLOT_COUNT as usize];
    let mut pair: u8 = 0;
    loop {
        let crc =
            crc16_step(crc16_step(0, hex_digit(pair as usize >> 4)), hex_digit(pair as usize));
        pairs[(crc % SLOT_COUNT) as usize] = Some(pair);
        if pair == u8::MAX {
            break pairs;
        }
        pair += 1;
    }
};

/// The CRC of a number's hexadecimal digits.
fn crc16_of_hex(number: u32) -> u16 {
    let digits = (u32::BITS - number.leading_zeros()).div_ceil(4).max(1);
    (0..digits)
        .rev()
        .fold(0, |crc, place| crc16_step(crc, hex_digit((number >> (4 * place)) as usize)))
}

/// The lowest of the hexadecimal digits.
const fn hex_digit(value: usize) -> u8 {
    b"0123456789abcdef"[value & 0xf]
}

/// CRC-16/XMODEM, which Redis Cluster uses.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| crc16_step(crc, byte))
}

const fn crc16_step(crc: u16, byte: u8) -> u16 {
    (crc << 8) ^ CRC_OF_BYTE[((crc >> 8) as u8 ^ byte) as usize]
}

static CRC_OF_BYTE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte: u16 = 0;
    while byte < 256 {
        let mut crc = byte << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_cluster_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot("foo"), 12_182);
        assert_eq!(slot("foo{}{bar}"), crc16(b"foo{}{bar}") % SLOT_COUNT);
        assert_eq!(slot("foo{{bar}}zap"), slot("{bar"));
        assert_eq!(slot("foo{bar}{zap}"), slot("bar"));
        assert_eq!(slot("}{"), crc16(b"}{") % SLOT_COUNT);
    }

    #[test]
    fn each_tag_is_the_smallest_number_whose_digits_hash_to_the_slot() {
        let mut missing: std::collections::HashSet<u16> = (0..SLOT_COUNT).collect();
        for number in 0.. {
            let slot = crc16(format!("{number:x}").as_bytes()) % SLOT_COUNT;
            if missing.remove(&slot) {
                assert_eq!(find_tag(slot), number, "{slot}");
                assert_eq!((tag(slot), tag(slot)), (number, number), "{slot}");
            }
            if missing.is_empty() {
                break;
            }
        }
    }
}
