//! Skipping: the end of a string or of a container whose content does not matter.
//!
//! This is where the bytes are, so it goes 64 at a time: a block is turned into bitmasks of quotes,
//! backslashes and brackets, what lies in strings is masked out by a prefix xor, and only the
//! brackets that are left are looked at one by one. What crosses a block's edge is carried. The
//! masks come from eight bytes in a word at a time, which every 64-bit machine does well; another
//! source of masks needs to replace [`Masks::of`] alone.

/// Bytes that are looked at together.
const BLOCK_BYTES: usize = 64;

/// Where in a block something stands, a bit a byte, the first byte lowest.
struct Masks {
    quotes: u64,
    backslashes: u64,
    /// `{` and `[`.
    open: u64,
    /// `}` and `]`.
    close: u64,
}

impl Masks {
    fn of(block: &[u8; BLOCK_BYTES]) -> Self {
        let mut masks = Self {
            quotes: 0,
            backslashes: 0,
            open: 0,
            close: 0,
        };
        for (at, word) in block.chunks_exact(8).enumerate() {
            let word = word.try_into().map_or(0, u64::from_le_bytes);
            // `[` and `{` differ in one bit alone, and so do `]` and `}`.
            let folded = word | 0x2020_2020_2020_2020;
            let shift = at * 8;
            masks.quotes |= equal(word, b'"') << shift;
            masks.backslashes |= equal(word, b'\\') << shift;
            masks.open |= equal(folded, b'{') << shift;
            masks.close |= equal(folded, b'}') << shift;
        }
        masks
    }
}

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The bytes of a word that equal `byte`, as the lowest eight bits.
fn equal(word: u64, byte: u8) -> u64 {
    let difference = word ^ (LOW * u64::from(byte));
    let zero = !(((difference & !HIGH) + !HIGH) | difference) & HIGH;
    // Brings the top bits of eight bytes together in the top byte.
    (zero >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

/// Each bit is the xor of all up to it: the bytes from an opening quote to before its closing one.
fn prefix_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// Why a container can't be skipped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Bad {
    Bracket,
    Depth,
}

/// A container that is being skipped.
#[derive(Debug, Default)]
pub(super) struct Skip {
    /// Kinds of the open brackets, a bit a level, `[` is 1. Only the lowest `depth` bits count.
    kinds: Vec<u64>,
    depth: usize,
    depth_max: usize,
    in_string: bool,
    /// The next byte is escaped.
    escaped: bool,
}

impl Skip {
    /// Starts behind an opening bracket.
    pub(super) fn begin(&mut self, bracket: u8, depth_max: usize) -> Result<(), Bad> {
        self.kinds.clear();
        self.depth = 0;
        self.depth_max = depth_max;
        (self.in_string, self.escaped) = (false, false);
        self.open(bracket)
    }

    /// Looks for the container's end from `at` on; the position behind it, if it is there.
    pub(super) fn find_end(
        &mut self,
        bytes: &[u8],
        at: usize,
    ) -> Result<Option<usize>, (usize, Bad)> {
        let mut at = at;
        while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK_BYTES>) {
            if let Some(end) = self.block(block).map_err(|(bit, bad)| (at + bit, bad))? {
                return Ok(Some(at + end));
            }
            at += BLOCK_BYTES;
        }
        for byte in bytes.get(at..).unwrap_or_default() {
            if self.byte(*byte).map_err(|bad| (at, bad))? {
                return Ok(Some(at + 1));
            }
            at += 1;
        }
        Ok(None)
    }

    #[inline]
    fn block(&mut self, block: &[u8; BLOCK_BYTES]) -> Result<Option<usize>, (usize, Bad)> {
        let masks = Masks::of(block);
        let quotes = masks.quotes & !self.escaped_bytes(masks.backslashes);
        let strings = prefix_xor(quotes) ^ if self.in_string { u64::MAX } else { 0 };
        self.in_string = strings >> 63 == 1;
        let mut brackets = (masks.open | masks.close) & !strings;
        while brackets != 0 {
            let bit = brackets.trailing_zeros() as usize;
            brackets &= brackets - 1;
            let bracket = block.get(bit).copied().unwrap_or_default();
            if masks.open >> bit & 1 == 1 {
                self.open(bracket).map_err(|bad| (bit, bad))?;
            } else if self.close(bracket).map_err(|bad| (bit, bad))? {
                return Ok(Some(bit + 1));
            }
        }
        Ok(None)
    }

    /// The bytes that a backslash precedes which is not escaped itself.
    fn escaped_bytes(&mut self, backslashes: u64) -> u64 {
        if backslashes == 0 && !self.escaped {
            return 0;
        }
        // Runs of backslashes are rare: one at a time is as good as arithmetic on all of them.
        let mut escaped = u64::from(self.escaped);
        let mut rest = backslashes & !escaped;
        self.escaped = false;
        while rest != 0 {
            let bit = rest.trailing_zeros();
            if bit == 63 {
                self.escaped = true;
                break;
            }
            let next = 2u64 << bit;
            escaped |= next;
            rest &= !(next | (next >> 1));
        }
        escaped
    }

    fn byte(&mut self, byte: u8) -> Result<bool, Bad> {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return Ok(false);
        }
        let escaped = std::mem::take(&mut self.escaped);
        match byte {
            // Outside of strings a backslash is an error of syntax that nobody looks for here; it
            // has to mean the same as in a block.
            b'\\' if !escaped => self.escaped = true,
            b'"' if !escaped => self.in_string = true,
            b'{' | b'[' => self.open(byte)?,
            b'}' | b']' => return self.close(byte),
            _ => {}
        }
        Ok(false)
    }

    fn open(&mut self, bracket: u8) -> Result<(), Bad> {
        if self.depth >= self.depth_max {
            return Err(Bad::Depth);
        }
        let (word, bit) = (self.depth / 64, self.depth % 64);
        if word == self.kinds.len() {
            self.kinds.push(0);
        }
        if let Some(kinds) = self.kinds.get_mut(word) {
            *kinds = *kinds & !(1 << bit) | u64::from(bracket == b'[') << bit;
        }
        self.depth += 1;
        Ok(())
    }

    /// Whether that was the last one.
    fn close(&mut self, bracket: u8) -> Result<bool, Bad> {
        let Some(depth) = self.depth.checked_sub(1) else {
            return Err(Bad::Bracket);
        };
        let kinds = self.kinds.get(depth / 64).copied().unwrap_or_default();
        if (kinds >> (depth % 64) & 1 == 1) != (bracket == b']') {
            return Err(Bad::Bracket);
        }
        self.depth = depth;
        Ok(depth == 0)
    }
}

/// The position of the quote that ends a string, from `at` on. `escaped` is carried: the next byte
/// is escaped.
pub(super) fn string_end(bytes: &[u8], mut at: usize, escaped: &mut bool) -> Option<usize> {
    loop {
        if !*escaped {
            while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
                let word = u64::from_le_bytes(*word);
                let found = equal(word, b'"') | equal(word, b'\\');
                if found != 0 {
                    at += found.trailing_zeros() as usize;
                    break;
                }
                at += 8;
            }
        }
        let byte = *bytes.get(at)?;
        match byte {
            _ if *escaped => *escaped = false,
            b'\\' => *escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks and single bytes have to agree: the one starts wherever a chunk does.
    fn end(text: &[u8], split: usize) -> Result<Option<usize>, Bad> {
        let mut skip = Skip::default();
        skip.begin(b'{', 100).unwrap();
        let (first, second) = text.split_at(split);
        if let Some(end) = skip.find_end(first, 0).map_err(|(_, bad)| bad)? {
            return Ok(Some(end));
        }
        let end = skip.find_end(second, 0).map_err(|(_, bad)| bad)?;
        Ok(end.map(|end| end + split))
    }

    #[test]
    fn blocks_and_bytes_agree_at_every_split() {
        let filler = "x".repeat(70);
        for text in [
            format!(r#""a":"}}{filler}\"}}{filler}","b":[{{"c":"\\"}}]}}tail"#),
            format!(r#""{filler}\\\"{filler}\\":1}}{filler}"#),
            format!(r#"{filler}[[[]]],{{"{filler}":[]}}]"#),
            format!(r#"\"{filler}{{}}\\{filler}}}"#),
        ] {
            let whole = end(text.as_bytes(), 0);
            for split in 0..text.len() {
                assert_eq!(end(text.as_bytes(), split), whole, "{text} at {split}");
            }
        }
    }

    #[test]
    fn kinds_and_depth_of_brackets_are_checked() {
        assert_eq!(end(b"]", 0), Err(Bad::Bracket));
        assert_eq!(end(b"[}", 0), Err(Bad::Bracket));
        assert_eq!(end(&[b'['; 100], 0), Err(Bad::Depth));
        assert_eq!(end(&[b'['; 99], 0), Ok(None));
    }

    #[test]
    fn masks_are_exact_for_every_byte() {
        for byte in 0..=255 {
            let masks = Masks::of(&[byte; BLOCK_BYTES]);
            let all = |is: bool| if is { u64::MAX } else { 0 };
            assert_eq!(masks.quotes, all(byte == b'"'));
            assert_eq!(masks.backslashes, all(byte == b'\\'));
            assert_eq!(masks.open, all(matches!(byte, b'{' | b'[')), "{byte}");
            assert_eq!(masks.close, all(matches!(byte, b'}' | b']')), "{byte}");
        }
    }
}
