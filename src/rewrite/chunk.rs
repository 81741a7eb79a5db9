//! The bytes that were fed last, and what stands between values in them.

use super::scan::Scan;

/// The chunk in hand and where in the stream it stands.
pub(super) struct Chunk<'a> {
    pub(super) bytes: &'a [u8],
    base: u64,
    pub(super) scan: Scan<'a>,
}

impl<'a> Chunk<'a> {
    pub(super) fn new(bytes: &'a [u8], base: u64, scan: Scan<'a>) -> Self {
        Self { bytes, base, scan }
    }

    pub(super) fn offset(&self, at: usize) -> u64 {
        self.base + at as u64
    }

    pub(super) fn from(&self, at: usize) -> &'a [u8] {
        self.bytes.get(at..).unwrap_or_default()
    }

    /// The first position from `at` on that is no white space, and its byte if the chunk has it.
    #[inline]
    pub(super) fn after_space(&self, at: usize) -> (usize, Option<u8>) {
        match self.bytes.get(at) {
            Some(byte) if *byte > b' ' => (at, Some(*byte)),
            _ => self.past_space(at),
        }
    }

    /// Behind a key, where the value begins after a colon, and its first byte if the chunk has it.
    #[inline(always)]
    pub(super) fn value_of_key(&self, at: usize) -> Option<(usize, Option<u8>)> {
        // As it is in compact JSON.
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

    /// Behind a value, where a comma and the next key stand, if they do.
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

    pub(super) fn past_space(&self, at: usize) -> (usize, Option<u8>) {
        let spaces = self.from(at).iter().take_while(|byte| is_space(**byte));
        let at = at + spaces.count();
        (at, self.bytes.get(at).copied())
    }
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
