//! Finds where strings and containers end, from the masks of the chunk in hand.

use super::batch::{BATCH_BLOCKS, BLOCK_BYTES, Batch, SEEN_BITS};
use super::brackets::{Bad, Brackets};
use super::masks::{Carry, Source};

const BATCH_BYTES: usize = BATCH_BLOCKS * BLOCK_BYTES;

/// Reads a chunk from its first byte to its last. Every quote has to be seen, or all after it would
/// be taken for the inside of a string; so positions only grow, and [`Scan::finish`] is the end.
pub(super) struct Scan<'a> {
    bytes: &'a [u8],
    source: Source,
    carry: Carry,
    batch: Batch,
    /// Up to where the chunk has been looked at; the batch ends there.
    seen: usize,
}

/// A string that has ended.
#[derive(Clone, Copy)]
pub(super) struct Ended {
    /// Its closing quote.
    pub(super) end: usize,
    /// It stands for itself, without backslashes and control characters.
    pub(super) is_plain: bool,
    seen_from: usize,
    /// Quotes behind it that were seen with it.
    later: u64,
}

impl Ended {
    /// The quote that ends the next string, if it was seen too: then nothing has to wait for where
    /// that string begins.
    #[inline]
    pub(super) fn next_end(self) -> Option<usize> {
        let ends = self.later & self.later.wrapping_sub(1);
        (ends != 0).then(|| self.seen_from + ends.trailing_zeros() as usize)
    }
}

impl<'a> Scan<'a> {
    pub(super) fn new(bytes: &'a [u8], source: Source, carry: Carry) -> Self {
        Self {
            bytes,
            source,
            carry,
            batch: Batch::default(),
            seen: 0,
        }
    }

    /// Looks at what is left; what the next chunk has to know.
    pub(super) fn finish(mut self) -> Carry {
        while self.seen < self.bytes.len() {
            self.next_batch();
        }
        self.carry
    }

    fn next_batch(&mut self) {
        let end = self.bytes.len().min(self.seen + BATCH_BYTES);
        let part = self.bytes.get(self.seen..end).unwrap_or_default();
        self.source.fill(part, &mut self.carry, &mut self.batch);
        self.seen = end;
    }

    /// The masks of the block that `at` lies in, which is not before the last batch; `None` at the
    /// chunk's end.
    #[inline(always)]
    fn batch(&mut self, at: usize) -> Option<&Batch> {
        (at < self.seen || self.read_on(at)).then_some(&self.batch)
    }

    #[inline(never)]
    fn read_on(&mut self, at: usize) -> bool {
        while at >= self.seen {
            if self.seen == self.bytes.len() {
                return false;
            }
            self.next_batch();
        }
        true
    }

    /// Behind what a look from `at` on has seen; nothing of the next batch was.
    #[inline]
    fn behind(&self, at: usize) -> usize {
        self.seen.min(at + SEEN_BITS)
    }

    /// The quote that ends the string which `at` lies in.
    #[inline]
    pub(super) fn string_end(&mut self, at: usize) -> Option<usize> {
        self.string(at).map(|string| string.end)
    }

    /// The same, with what is known of the string from `at` on.
    #[inline]
    pub(super) fn string(&mut self, mut at: usize) -> Option<Ended> {
        let mut special = 0;
        while let Some(batch) = self.batch(at) {
            let quotes = batch.quotes(at);
            // Up to the first quote, or all that was seen.
            special |= batch.special(at) & (quotes ^ quotes.wrapping_sub(1));
            if quotes != 0 {
                return Some(Ended {
                    end: at + quotes.trailing_zeros() as usize,
                    is_plain: special == 0,
                    seen_from: at,
                    later: quotes & (quotes - 1),
                });
            }
            at = self.behind(at);
        }
        None
    }

    /// The first bracket from `at` on, or the chunk's end; and whether it closes what `bracket` opened.
    #[inline]
    pub(super) fn bracket(&mut self, mut at: usize, bracket: u8) -> (usize, bool) {
        while let Some(batch) = self.batch(at) {
            let brackets = batch.brackets(at);
            if brackets != 0 {
                let found = at + brackets.trailing_zeros() as usize;
                // `[` and `]`, and `{` and `}`, are two apart.
                let closes = self.bytes.get(found) == Some(&(bracket + 2));
                return (found, closes);
            }
            at = self.behind(at);
        }
        (self.bytes.len(), false)
    }

    /// The position behind the container that `at` lies in.
    #[inline(never)]
    pub(super) fn container_end(
        &mut self,
        brackets: &mut Brackets,
        mut at: usize,
    ) -> Result<Option<usize>, (usize, Bad)> {
        let mut later = u64::MAX << (at % BLOCK_BYTES);
        at -= at % BLOCK_BYTES;
        while let Some(batch) = self.batch(at) {
            let found = batch.block(at).of(later);
            let end = brackets.block(found);
            if let Some(bit) = end.map_err(|(bit, bad)| (at + bit, bad))? {
                return Ok(Some(at + bit + 1));
            }
            later = u64::MAX;
            at += BLOCK_BYTES;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The end of the object whose inside the text is, in two chunks.
    fn end(text: &[u8], split: usize) -> Result<Option<usize>, Bad> {
        let mut brackets = Brackets::default();
        brackets.begin(b'{', 100).unwrap();
        let (first, second) = text.split_at(split);
        let mut scan = Scan::new(first, Source::best(), Carry::default());
        let end = scan.container_end(&mut brackets, 0);
        if let Some(end) = end.map_err(|(_, bad)| bad)? {
            return Ok(Some(end));
        }
        let mut scan = Scan::new(second, Source::best(), scan.finish());
        let end = scan.container_end(&mut brackets, 0);
        Ok(end.map_err(|(_, bad)| bad)?.map(|end| end + split))
    }

    #[test]
    fn the_same_end_at_every_split() {
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
        let mut deepest = vec![b'['; 98];
        deepest.extend_from_slice(b"{}");
        assert_eq!(end(&deepest, 0), Ok(None));
        deepest.insert(0, b'[');
        assert_eq!(end(&deepest, 0), Err(Bad::Depth));
    }

    #[test]
    fn kinds_are_known_beyond_a_word_of_levels() {
        let mut text: Vec<u8> = (0..90)
            .map(|at| if at % 3 == 0 { b'[' } else { b'{' })
            .collect();
        let closing = text.clone();
        text.extend(closing.iter().rev().map(|open| open + 2));
        assert_eq!(end(&[text.as_slice(), b"}"].concat(), 7), Ok(Some(181)));
        text[90 + 80] ^= 0x20;
        assert_eq!(end(&text, 7), Err(Bad::Bracket));
    }
}
