//! Masks of several blocks: a bit a byte, the first byte lowest.

/// Bytes that are looked at together.
pub(super) const BLOCK_BYTES: usize = 64;

/// Blocks that are looked at in one go; their masks stay in the nearest cache.
pub(super) const BATCH_BLOCKS: usize = 16;

/// Bits that a look from any byte on surely sees.
pub(super) const SEEN_BITS: usize = 57;

const BLOCK_MASK_BYTES: usize = BLOCK_BYTES / 8;

const MASK_BYTES: usize = BATCH_BLOCKS * BLOCK_MASK_BYTES;

/// Bits of all blocks, in order, and behind them those of a block in which nothing is.
#[derive(Debug)]
struct Bits([u8; MASK_BYTES + BLOCK_MASK_BYTES]);

impl Default for Bits {
    fn default() -> Self {
        Self([0; _])
    }
}

#[allow(
    clippy::indexing_slicing,
    reason = "remainders that leave room for a word in the array"
)]
impl Bits {
    #[inline(always)]
    fn put(&mut self, block: usize, bits: u64) {
        let at = block % (BATCH_BLOCKS + 1) * BLOCK_MASK_BYTES;
        self.0[at..at + BLOCK_MASK_BYTES].copy_from_slice(&bits.to_le_bytes());
    }

    /// A block's bits, from the one of the byte on that is a multiple of eight.
    #[inline(always)]
    fn word(&self, at: usize) -> u64 {
        let at = at / 8 % MASK_BYTES;
        let mut word = [0; BLOCK_MASK_BYTES];
        word.copy_from_slice(&self.0[at..at + BLOCK_MASK_BYTES]);
        u64::from_le_bytes(word)
    }

    /// The next bits, that of the byte at `at` lowest; at least [`SEEN_BITS`] of them.
    #[inline(always)]
    fn from(&self, at: usize) -> u64 {
        self.word(at) >> (at % 8)
    }

    /// The bits of the block that `at` lies in.
    #[inline(always)]
    fn block(&self, at: usize) -> u64 {
        self.word(at - at % BLOCK_BYTES)
    }
}

/// Comparisons with single bytes, a bit a byte.
#[derive(Clone, Copy, Default)]
pub(super) struct Compared {
    pub(super) quotes: u64,
    pub(super) backslashes: u64,
    pub(super) open: u64,
    pub(super) close: u64,
    /// Bytes with bit 5: of a bracket it tells `{` from `[`, and `}` from `]`.
    pub(super) curly: u64,
    /// Below 0x20.
    pub(super) controls: u64,
}

/// The masks of consecutive blocks. A block is named by where it or one of its bytes stands in the
/// chunk.
#[derive(Debug, Default)]
pub(super) struct Batch {
    quotes: Bits,
    special: Bits,
    /// Opening and closing brackets outside of strings.
    open: Bits,
    close: Bits,
    curly: Bits,
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

impl Batch {
    /// Puts in what was found in a block: `quotes` that no backslash escapes, and `strings`, the
    /// bytes from an opening quote to before its closing one.
    #[inline(always)]
    pub(super) fn put(&mut self, block: usize, found: Compared, quotes: u64, strings: u64) {
        self.quotes.put(block, quotes);
        self.special.put(block, found.backslashes | found.controls);
        self.open.put(block, found.open & !strings);
        self.close.put(block, found.close & !strings);
        self.curly.put(block, found.curly);
    }

    /// There are no more blocks than this; a look beyond the last one finds nothing.
    #[inline(always)]
    pub(super) fn end(&mut self, blocks: usize) {
        self.quotes.put(blocks, 0);
        self.open.put(blocks, 0);
        self.close.put(blocks, 0);
    }

    /// Quotes that no backslash escapes, from a byte on.
    #[inline(always)]
    pub(super) fn quotes(&self, at: usize) -> u64 {
        self.quotes.from(at)
    }

    /// Backslashes and control characters, where a string does not stand for itself, from a byte on.
    #[inline(always)]
    pub(super) fn special(&self, at: usize) -> u64 {
        self.special.from(at)
    }

    /// Brackets outside of strings, from a byte on.
    #[inline(always)]
    pub(super) fn brackets(&self, at: usize) -> u64 {
        self.open.from(at) | self.close.from(at)
    }

    /// The brackets of the block that `at` lies in.
    #[inline(always)]
    pub(super) fn block(&self, at: usize) -> Found {
        Found {
            open: self.open.block(at),
            close: self.close.block(at),
            curly: self.curly.block(at),
        }
    }
}
