//! Where the messages of a Redis server begin and end, so that some can be left out whole.

/// Reads one direction of a connection, byte by byte, as RESP3 (the Redis serialization protocol,
/// version 3).
///
/// Of what is something else it makes nothing, and lets it through.
#[derive(Debug, Default)]
pub(super) struct Frames {
    reading: Reading,
    /// How many values are still missing in each aggregate that has begun, the outermost first.
    open: Vec<u64>,
    /// The message that has begun is left out.
    drops: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reading {
    /// The next byte tells the type of a value.
    #[default]
    Type,
    /// A line that says what follows.
    Line { follows: Follows, number: u64, is_negative: bool },
    /// So many bytes of a string, its line end included.
    Text(u64),
    /// This is another protocol.
    Lost,
}

/// What the number in a line counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follows {
    Nothing,
    Bytes,
    Values,
    Pairs,
}

impl Frames {
    /// What of these bytes passes, if pushed messages that begin in them are to be left out.
    pub(super) fn passing(&mut self, bytes: Vec<u8>, without_pushes: bool) -> Vec<u8> {
        let mut passing = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if self.reading == Reading::Type && self.open.is_empty() {
                self.drops = without_pushes && byte == b'>';
            }
            if !self.drops {
                passing.push(byte);
            }
            self.read(byte);
        }
        passing
    }

    fn read(&mut self, byte: u8) {
        match self.reading {
            Reading::Lost => {}
            Reading::Type => {
                let follows = match byte {
                    b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => Follows::Nothing,
                    b'$' | b'=' | b'!' => Follows::Bytes,
                    b'*' | b'~' | b'>' => Follows::Values,
                    b'%' => Follows::Pairs,
                    _ => {
                        self.reading = Reading::Lost;
                        return;
                    }
                };
                self.reading = Reading::Line { follows, number: 0, is_negative: false };
            }
            Reading::Line { follows, number, .. } if byte == b'\n' => {
                self.follow(follows, number);
            }
            Reading::Line { ref mut number, ref mut is_negative, .. } => match byte {
                b'0'..=b'9' if !*is_negative => {
                    *number = number.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
                }
                // A length of -1 is that of nothing.
                b'-' => *is_negative = true,
                _ => {}
            },
            Reading::Text(1) => self.end_value(),
            Reading::Text(left) => self.reading = Reading::Text(left - 1),
        }
    }

    fn follow(&mut self, follows: Follows, number: u64) {
        let is_nothing = matches!(self.reading, Reading::Line { is_negative: true, .. });
        match follows {
            Follows::Bytes if !is_nothing => {
                self.reading = Reading::Text(number.saturating_add(2));
            }
            Follows::Values | Follows::Pairs if !is_nothing && number > 0 => {
                let values = if follows == Follows::Pairs { 2 } else { 1 };
                self.open.push(number.saturating_mul(values));
                self.reading = Reading::Type;
            }
            _ => self.end_value(),
        }
    }

    /// A value is complete, and perhaps the aggregates whose last one it was.
    fn end_value(&mut self) {
        self.reading = Reading::Type;
        while let Some(missing) = self.open.last_mut() {
            *missing -= 1;
            if *missing > 0 {
                return;
            }
            self.open.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PUSH: &str = ">3\r\n$7\r\nmessage\r\n$4\r\ndl:c\r\n$6\r\n+>1\r\n>\r\n";
    const REPLIES: [&str; 8] = [
        "+OK\r\n",
        ":-17\r\n",
        "$-1\r\n",
        "$0\r\n\r\n",
        "$5\r\n>1\r\n+\r\n",
        "*3\r\n:1\r\n*0\r\n*2\r\n$1\r\n>\r\n_\r\n",
        "%2\r\n+a\r\n*1\r\n:1\r\n+b\r\n#t\r\n",
        "-ERR >no\r\n",
    ];

    proptest! {
        #[test]
        fn pushes_go_and_replies_stay_however_the_stream_is_split(
            order in proptest::collection::vec(0..=REPLIES.len(), 1..20),
            sizes in proptest::collection::vec(1..40_usize, 40),
        ) {
            let messages = order.iter().map(|&index| REPLIES.get(index).copied());
            let whole: String = messages.clone().map(|reply| reply.unwrap_or(PUSH)).collect();
            let replies: String = messages.flatten().collect();
            let (mut frames, mut rest, mut passed) = (Frames::default(), whole.as_bytes(), vec![]);
            for size in sizes.into_iter().cycle() {
                let (chunk, behind) = rest.split_at(size.min(rest.len()));
                passed.extend(frames.passing(chunk.to_vec(), true));
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(String::from_utf8(passed).unwrap(), replies);
        }

        #[test]
        fn nothing_goes_unless_it_is_asked_for(
            stream in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            prop_assert_eq!(Frames::default().passing(stream.clone(), false), stream);
        }
    }

    #[test]
    fn a_push_that_has_begun_to_pass_passes_whole() {
        let mut frames = Frames::default();
        let (begin, end) = PUSH.as_bytes().split_at(9);
        let mut passed = frames.passing(begin.to_vec(), false);
        passed.extend(frames.passing(end.to_vec(), true));
        assert_eq!(passed, PUSH.as_bytes());
        assert_eq!(frames.passing(PUSH.as_bytes().to_vec(), true), b"");
    }

    #[test]
    fn another_protocol_passes() {
        let stream = b"HTTP/1.1 200 OK\r\n\r\n>1\r\n+a\r\n";
        assert_eq!(Frames::default().passing(stream.to_vec(), true), stream);
    }
}
