//! Masks of several blocks: a bit a byte, the first byte lowest.

use super::masks::Compared;

/// Bytes that are looked at together.
pub(super) const BLOCK_BYTES: usize = 64;

/// Blocks that are looked at in one go; their masks stay in the nearest cache.
pub(super) const BATCH_BLOCKS: usize = 16;

/// A word for each block.
type Words = [u64; BATCH_BLOCKS];

/// The masks of consecutive blocks. A block is named by where it or one of its bytes stands in the
/// chunk.
#[derive(Debug, Default)]
pub(super) struct Batch {
    quotes: Words,
    special: Words,
    /// Opening and closing brackets outside of strings.
    open: Words,
    close: Words,
    curly: Words,
}

/// The brackets of one block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) open: u64,
    pub(super) close: u64,
    /// Those of them that are curly; of other bytes it means nothing.
    pub(super) curly: u64,
}

impl Found {
    /// Those that stand at one of these bits.
    #[inline]
    pub(super) fn of(self, bits: u64) -> Self {
        Self {
            open: self.open & bits,
            close: self.close & bits,
            ..self
        }
    }

    /// Without those of empty containers, which are many in managedFields: an opening bracket and a
    /// closing one of its kind behind it, in the same block.
    #[inline]
    pub(super) fn filled(self) -> Self {
        let Self { open, close, curly } = self;
        let empty = open & (close >> 1) & !(curly ^ (curly >> 1));
        Self {
            open: open ^ empty,
            close: close ^ (empty << 1),
            curly,
        }
    }
}

#[allow(
    clippy::indexing_slicing,
    reason = "remainders by an array's length, and constants below it"
)]
impl Batch {
    /// Puts in what was found in a block: `quotes` that no backslash escapes, and `strings`, the
    /// bytes from an opening quote to before its closing one.
    #[inline(always)]
    pub(super) fn put(&mut self, block: usize, found: Compared, quotes: u64, strings: u64) {
        let block = block % BATCH_BLOCKS;
        self.quotes[block] = quotes;
        self.special[block] = found.backslashes | found.controls;
        self.open[block] = found.open & !strings;
        self.close[block] = found.close & !strings;
        self.curly[block] = found.curly;
    }

    /// Quotes that no backslash escapes.
    #[inline]
    pub(super) fn quotes(&self, at: usize) -> u64 {
        self.quotes[at / BLOCK_BYTES % BATCH_BLOCKS]
    }

    /// Backslashes and control characters: where a string does not stand for itself.
    #[inline]
    pub(super) fn special(&self, at: usize) -> u64 {
        self.special[at / BLOCK_BYTES % BATCH_BLOCKS]
    }

    /// Brackets outside of strings.
    #[inline]
    pub(super) fn brackets(&self, at: usize) -> Found {
        let block = at / BLOCK_BYTES % BATCH_BLOCKS;
        Found {
            open: self.open[block],
            close: self.close[block],
            curly: self.curly[block],
        }
    }
}
