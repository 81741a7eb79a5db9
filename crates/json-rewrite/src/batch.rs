//! The masks of several blocks: one bit per byte, the first byte in the lowest bit.

/// Number of bytes that are compared together.
pub(super) const BLOCK_BYTES: usize = 64;

/// Blocks per batch. Their masks fit into the L1 cache.
pub(super) const BATCH_BLOCKS: usize = 16;

/// The number of valid bits that a read at any position returns at least.
pub(super) const READ_BITS: usize = 57;

const BLOCK_MASK_BYTES: usize = BLOCK_BYTES / 8;

const MASK_BYTES: usize = BATCH_BLOCKS * BLOCK_MASK_BYTES;

/// The bits of all blocks in order, followed by an empty block.
#[derive(Debug)]
struct Bits([u8; MASK_BYTES + BLOCK_MASK_BYTES]);

impl Default for Bits {
    fn default() -> Self {
        Self([0; _])
    }
}

#[allow(
    clippy::indexing_slicing,
    reason = "the remainders keep each word inside the array"
)]
impl Bits {
    #[inline(always)]
    fn put(&mut self, block: usize, bits: u64) {
        let at = block % (BATCH_BLOCKS + 1) * BLOCK_MASK_BYTES;
        self.0[at..at + BLOCK_MASK_BYTES].copy_from_slice(&bits.to_le_bytes());
    }

    /// Returns a word of bits, from the multiple of eight at or before `at`.
    #[inline(always)]
    fn word(&self, at: usize) -> u64 {
        let at = at / 8 % MASK_BYTES;
        let mut word = [0; BLOCK_MASK_BYTES];
        word.copy_from_slice(&self.0[at..at + BLOCK_MASK_BYTES]);
        u64::from_le_bytes(word)
    }

    /// Returns the bits from `at` on, at least [`READ_BITS`] of them.
    #[inline(always)]
    fn from(&self, at: usize) -> u64 {
        self.word(at) >> (at % 8)
    }

    /// Returns the bits of the block of `at`.
    #[inline(always)]
    fn block(&self, at: usize) -> u64 {
        self.word(at - at % BLOCK_BYTES)
    }
}

/// The results of comparing one block, before strings are taken into account.
#[derive(Clone, Copy, Default)]
pub(super) struct Comparison {
    pub(super) quotes: u64,
    pub(super) backslashes: u64,
    pub(super) open: u64,
    pub(super) close: u64,
    /// Bytes with bit 5 set. It distinguishes `{` from `[` and `}` from `]`.
    pub(super) curly: u64,
    /// Bytes below 0x20.
    pub(super) controls: u64,
}

/// The masks of consecutive blocks. Positions (`at`) count from the start of the chunk.
#[derive(Debug, Default)]
pub(super) struct Batch {
    quotes: Bits,
    special: Bits,
    /// Opening and closing brackets outside strings.
    open: Bits,
    close: Bits,
    curly: Bits,
}

/// The brackets of one block.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockBrackets {
    pub(super) open: u64,
    pub(super) close: u64,
    /// Whether a bracket is curly. Undefined for other bytes.
    pub(super) curly: u64,
}

impl BlockBrackets {
    /// Returns the brackets at the given bits.
    #[inline]
    pub(super) fn masked(self, bits: u64) -> Self {
        Self {
            open: self.open & bits,
            close: self.close & bits,
            ..self
        }
    }

    /// Removes the brackets of empty containers whose brackets are adjacent in this block. managedFields has many
    /// of them.
    #[inline]
    pub(super) fn without_empty_pairs(self) -> Self {
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
    /// Stores the masks of a block. `quotes` are the unescaped quotes; `strings` are the bytes from an opening quote
    /// to just before its closing quote.
    #[inline(always)]
    pub(super) fn put(&mut self, block: usize, found: Comparison, quotes: u64, strings: u64) {
        self.quotes.put(block, quotes);
        self.special.put(block, found.backslashes | found.controls);
        self.open.put(block, found.open & !strings);
        self.close.put(block, found.close & !strings);
        self.curly.put(block, found.curly);
    }

    /// Ends the batch after this many blocks, so that reads beyond the last one find nothing.
    #[inline(always)]
    pub(super) fn end(&mut self, blocks: usize) {
        self.quotes.put(blocks, 0);
        self.open.put(blocks, 0);
        self.close.put(blocks, 0);
    }

    /// Returns the unescaped quotes from `at` on.
    #[inline(always)]
    pub(super) fn quotes(&self, at: usize) -> u64 {
        self.quotes.from(at)
    }

    /// Returns the backslashes and control characters from `at` on.
    #[inline(always)]
    pub(super) fn special(&self, at: usize) -> u64 {
        self.special.from(at)
    }

    /// Returns the brackets outside strings from `at` on.
    #[inline(always)]
    pub(super) fn brackets(&self, at: usize) -> u64 {
        self.open.from(at) | self.close.from(at)
    }

    /// Returns the brackets of the block of `at`.
    #[inline(always)]
    pub(super) fn block(&self, at: usize) -> BlockBrackets {
        BlockBrackets {
            open: self.open.block(at),
            close: self.close.block(at),
            curly: self.curly.block(at),
        }
    }
}
