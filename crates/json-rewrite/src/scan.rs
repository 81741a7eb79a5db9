//! Finds the ends of strings and containers in a chunk, from its masks.

use super::batch::{BATCH_BLOCKS, BLOCK_BYTES, Batch, READ_BITS};
use super::brackets::{BracketError, Brackets};
use super::masks::{Backend, Carry};

const BATCH_BYTES: usize = BATCH_BLOCKS * BLOCK_BYTES;

/// Scans a chunk from its first byte to its last.
///
/// Every quote has to be seen, because a missed quote would swap the inside and the outside of all later strings. So
/// positions only grow, and [`Scan::finish`] scans the rest of the chunk.
pub(super) struct Scan<'a> {
    bytes: &'a [u8],
    backend: Backend,
    carry: Carry,
    batch: Batch,
    /// The end of the current batch; everything before it has been scanned.
    scanned: usize,
}

/// The end of a string.
#[derive(Clone, Copy)]
pub(super) struct StringEnd {
    /// The position of its closing quote.
    pub(super) end: usize,
    /// Whether it has neither backslashes nor control characters.
    pub(super) is_plain: bool,
    /// The position of bit 0 of `later_quotes`.
    base: usize,
    /// The quotes after it that were found with it.
    later_quotes: u64,
}

impl StringEnd {
    /// Returns the closing quote of the next string, if it was found too. It does not depend on where that
    /// string starts, so it shortens the chain of dependent instructions.
    #[inline]
    pub(super) fn next_end(self) -> Option<usize> {
        let ends = self.later_quotes & self.later_quotes.wrapping_sub(1);
        (ends != 0).then(|| self.base + ends.trailing_zeros() as usize)
    }
}

impl<'a> Scan<'a> {
    pub(super) fn new(bytes: &'a [u8], backend: Backend, carry: Carry) -> Self {
        Self {
            bytes,
            backend,
            carry,
            batch: Batch::default(),
            scanned: 0,
        }
    }

    /// Scans the rest of the chunk. Returns the state for the next chunk.
    pub(super) fn finish(mut self) -> Carry {
        while self.scanned < self.bytes.len() {
            self.next_batch();
        }
        self.carry
    }

    fn next_batch(&mut self) {
        let end = self.bytes.len().min(self.scanned + BATCH_BYTES);
        let part = self.bytes.get(self.scanned..end).unwrap_or_default();
        self.backend.fill(part, &mut self.carry, &mut self.batch);
        self.scanned = end;
    }

    /// Returns the batch with the block of `at`, or `None` at the end of the chunk. `at` is not before the current
    /// batch.
    #[inline(always)]
    fn batch(&mut self, at: usize) -> Option<&Batch> {
        (at < self.scanned || self.scan_to(at)).then_some(&self.batch)
    }

    #[inline(never)]
    fn scan_to(&mut self, at: usize) -> bool {
        while at >= self.scanned {
            if self.scanned == self.bytes.len() {
                return false;
            }
            self.next_batch();
        }
        true
    }

    /// Returns the end of the bits that a read at `at` returns. A read never includes the next batch.
    #[inline]
    fn end_of_read(&self, at: usize) -> usize {
        self.scanned.min(at + READ_BITS)
    }

    /// Returns the closing quote of the string around `at`.
    #[inline]
    pub(super) fn string_end(&mut self, at: usize) -> Option<usize> {
        self.string(at).map(|string| string.end)
    }

    /// Returns the end of the string around `at`.
    #[inline]
    pub(super) fn string(&mut self, mut at: usize) -> Option<StringEnd> {
        let mut special = 0;
        while let Some(batch) = self.batch(at) {
            let quotes = batch.quotes(at);
            // Up to the first quote; all bits if there is none.
            special |= batch.special(at) & (quotes ^ quotes.wrapping_sub(1));
            if quotes != 0 {
                return Some(StringEnd {
                    end: at + quotes.trailing_zeros() as usize,
                    is_plain: special == 0,
                    base: at,
                    later_quotes: quotes & (quotes - 1),
                });
            }
            at = self.end_of_read(at);
        }
        None
    }

    /// Returns the first bracket from `at` on, or the end of the chunk, and whether it closes the container that
    /// `bracket` opened.
    #[inline]
    pub(super) fn bracket(&mut self, mut at: usize, bracket: u8) -> (usize, bool) {
        while let Some(batch) = self.batch(at) {
            let brackets = batch.brackets(at);
            if brackets != 0 {
                let found = at + brackets.trailing_zeros() as usize;
                // In ASCII, `]` is `[` + 2 and `}` is `{` + 2.
                let closes = self.bytes.get(found) == Some(&(bracket + 2));
                return (found, closes);
            }
            at = self.end_of_read(at);
        }
        (self.bytes.len(), false)
    }

    /// Returns the position after the container around `at`. Errors have the position of their bracket.
    #[inline(never)]
    pub(super) fn container_end(
        &mut self,
        brackets: &mut Brackets,
        mut at: usize,
    ) -> Result<Option<usize>, (usize, BracketError)> {
        let mut from = u64::MAX << (at % BLOCK_BYTES);
        at -= at % BLOCK_BYTES;
        while let Some(batch) = self.batch(at) {
            let found = batch.block(at).masked(from);
            let end = brackets.block(found);
            if let Some(bit) = end.map_err(|(bit, error)| (at + bit, error))? {
                return Ok(Some(at + bit + 1));
            }
            from = u64::MAX;
            at += BLOCK_BYTES;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the end of an object whose content is the text, scanned in two chunks.
    fn end(text: &[u8], split: usize) -> Result<Option<usize>, BracketError> {
        let mut brackets = Brackets::default();
        brackets.begin(b'{', 100).unwrap();
        let (first, second) = text.split_at(split);
        let mut scan = Scan::new(first, Backend::best(), Carry::default());
        let end = scan.container_end(&mut brackets, 0);
        if let Some(end) = end.map_err(|(_, error)| error)? {
            return Ok(Some(end));
        }
        let mut scan = Scan::new(second, Backend::best(), scan.finish());
        let end = scan.container_end(&mut brackets, 0);
        Ok(end.map_err(|(_, error)| error)?.map(|end| end + split))
    }

    #[test]
    fn container_end_does_not_depend_on_the_split() {
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
    fn mismatched_and_too_deep_brackets_are_rejected() {
        assert_eq!(end(b"]", 0), Err(BracketError::Mismatch));
        assert_eq!(end(b"[}", 0), Err(BracketError::Mismatch));
        assert_eq!(end(&[b'['; 100], 0), Err(BracketError::TooDeep));
        assert_eq!(end(&[b'['; 99], 0), Ok(None));
        let mut deepest = vec![b'['; 98];
        deepest.extend_from_slice(b"{}");
        assert_eq!(end(&deepest, 0), Ok(None));
        deepest.insert(0, b'[');
        assert_eq!(end(&deepest, 0), Err(BracketError::TooDeep));
    }

    #[test]
    fn bracket_types_are_checked_beyond_one_word_of_levels() {
        let mut text: Vec<u8> = (0..90)
            .map(|at| if at % 3 == 0 { b'[' } else { b'{' })
            .collect();
        let closing = text.clone();
        text.extend(closing.iter().rev().map(|open| open + 2));
        assert_eq!(end(&[text.as_slice(), b"}"].concat(), 7), Ok(Some(181)));
        text[90 + 80] ^= 0x20;
        assert_eq!(end(&text, 7), Err(BracketError::Mismatch));
    }
}
