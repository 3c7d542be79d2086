//! Finding needles in a stream that arrives in chunks.

use super::fault::MAX_NEEDLE_BYTES;

/// The last bytes of a stream: enough to see a needle that straddles two chunks.
#[derive(Debug, Default)]
pub(super) struct Tail(Vec<u8>);

impl Tail {
    /// Where the occurrences of `needle` end, as offsets into `chunk`, rising and from 1 on.
    pub(super) fn ends_of(&self, chunk: &[u8], needle: &[u8]) -> Vec<usize> {
        let before = (needle.len() - 1).min(self.0.len());
        let mut text = self.0[self.0.len() - before..].to_vec();
        text.extend_from_slice(chunk);
        let windows = text.windows(needle.len()).enumerate();
        windows
            .filter(|(_, window)| *window == needle)
            .map(|(at, _)| at + needle.len() - before)
            .collect()
    }

    /// Moves on behind `chunk`.
    pub(super) fn advance(&mut self, chunk: &[u8]) {
        self.0.extend_from_slice(chunk);
        let surplus = self.0.len().saturating_sub(MAX_NEEDLE_BYTES - 1);
        self.0.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_split_of_a_stream_finds_the_same_needles(
            text in proptest::collection::vec(0..2_u8, 1..60),
            needle in proptest::collection::vec(0..2_u8, 1..5),
            sizes in proptest::collection::vec(1..7_usize, 60),
        ) {
            let whole = Tail::default().ends_of(&text, &needle);
            let (mut found, mut tail, mut at) = (Vec::new(), Tail::default(), 0);
            for size in sizes {
                let chunk = &text[at..(at + size).min(text.len())];
                found.extend(tail.ends_of(chunk, &needle).into_iter().map(|end| end + at));
                tail.advance(chunk);
                at += chunk.len();
            }
            prop_assert_eq!(found, whole);
        }
    }
}
