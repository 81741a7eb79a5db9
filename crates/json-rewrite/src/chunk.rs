//! The current chunk, and the white space and punctuation between values in it.

use super::scan::Scan;

/// The bytes of one call of `feed`, with their position in the stream. Positions (`at`) count from the start of
/// the chunk, offsets from the start of the stream.
pub(super) struct Chunk<'a> {
    pub(super) bytes: &'a [u8],
    base: u64,
    pub(super) scan: Scan<'a>,
}

impl<'a> Chunk<'a> {
    pub(super) fn new(bytes: &'a [u8], base: u64, scan: Scan<'a>) -> Self {
        Self { bytes, base, scan }
    }

    #[inline]
    pub(super) fn offset(&self, at: usize) -> u64 {
        self.base + at as u64
    }

    #[inline]
    pub(super) fn from(&self, at: usize) -> &'a [u8] {
        self.bytes.get(at..).unwrap_or_default()
    }

    /// Skips white space. Returns the next position, and the byte there unless the chunk ends.
    #[inline]
    pub(super) fn after_space(&self, at: usize) -> (usize, Option<u8>) {
        match self.bytes.get(at) {
            Some(byte) if *byte > b' ' => (at, Some(*byte)),
            _ => self.skip_space(at),
        }
    }

    /// Expects a colon. Returns the position of the value after it, and the value's first byte unless the chunk
    /// ends. `at` is the position after a key.
    #[inline(always)]
    pub(super) fn value_of_key(&self, at: usize) -> Option<(usize, Option<u8>)> {
        // The fast path for compact JSON.
        if self.bytes.get(at) == Some(&b':')
            && let Some(first) = self.bytes.get(at + 1)
            && *first > b' '
        {
            return Some((at + 1, Some(*first)));
        }
        match self.after_space(at) {
            (colon, Some(b':')) => Some(self.after_space(colon + 1)),
            _ => None,
        }
    }

    /// Returns the positions of the comma and of the next key's quote, if the chunk has both. `at` is the
    /// position after a value.
    #[inline(always)]
    pub(super) fn next_key(&self, at: usize) -> Option<(usize, usize)> {
        if self.bytes.get(at) == Some(&b',') && self.bytes.get(at + 1) == Some(&b'"') {
            return Some((at, at + 1));
        }
        let (comma, Some(b',')) = self.after_space(at) else {
            return None;
        };
        match self.after_space(comma + 1) {
            (next, Some(b'"')) => Some((comma, next)),
            _ => None,
        }
    }

    pub(super) fn skip_space(&self, at: usize) -> (usize, Option<u8>) {
        let spaces = self.from(at).iter().take_while(|byte| is_space(**byte));
        let at = at + spaces.count();
        (at, self.bytes.get(at).copied())
    }
}

/// Returns whether a byte is white space (RFC 8259 §2).
#[inline]
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
