//! Bitmasks of the quotes and brackets in blocks of 64 bytes.
//!
//! Every byte of the stream is scanned here, so a whole batch of blocks is processed at once, without branches
//! per byte. Bytes are compared with the few that matter, and escaped quotes are removed. A prefix xor over the
//! quotes gives the bytes inside strings. State that crosses the end of a block is carried over. Several
//! backends do the comparisons, all with the same result. The best one that the machine supports is chosen once
//! per stream.

use super::batch::{BATCH_BLOCKS, BLOCK_BYTES, Batch, Comparison};
#[cfg(target_arch = "x86_64")]
use super::simd;

/// The state that is carried from block to block.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Carry {
    /// All ones inside a string, otherwise zero.
    in_string: u64,
    /// 1 if the next byte is escaped, otherwise 0.
    escaped: u64,
}

/// An instruction set for scanning. The output does not depend on it. Tests and benchmarks can choose one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InstructionSet {
    /// Vectors of 64 bytes.
    Avx512,
    /// Vectors of 32 bytes.
    Avx2,
    /// Vectors of 16 bytes, available on all x86-64 machines.
    Sse2,
    /// SIMD within a register: words of 8 bytes, available on all machines.
    Swar,
}

impl InstructionSet {
    /// All instruction sets, the best first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Sse2, Self::Swar];
}

/// An instruction set that this machine has. The vector variants contain a proof that it does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Backend {
    #[cfg(target_arch = "x86_64")]
    Avx512(simd::Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(simd::Avx2),
    #[cfg(target_arch = "x86_64")]
    Sse2,
    Swar,
}

impl Backend {
    /// Returns `None` if this machine does not have the instruction set.
    pub(super) fn detect(set: InstructionSet) -> Option<Self> {
        match set {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => simd::Avx512::detect().map(Self::Avx512),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => simd::Avx2::detect().map(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Sse2 => Some(Self::Sse2),
            InstructionSet::Swar => Some(Self::Swar),
            #[cfg(not(target_arch = "x86_64"))]
            _ => None,
        }
    }

    /// Returns the best backend that this machine has.
    pub(super) fn best() -> Self {
        let mut backends = InstructionSet::ALL.into_iter().filter_map(Self::detect);
        backends.next().unwrap_or(Self::Swar)
    }

    /// Returns the backend that every machine of this architecture has.
    pub(super) fn portable() -> Self {
        Self::detect(InstructionSet::Sse2).unwrap_or(Self::Swar)
    }

    /// Fills the batch from the first blocks of `bytes`. The last block may be short.
    pub(super) fn fill(self, bytes: &[u8], carry: &mut Carry, batch: &mut Batch) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(available) => available.fill(bytes, carry, batch),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(available) => available.fill(bytes, carry, batch),
            #[cfg(target_arch = "x86_64")]
            Self::Sse2 => simd::fill(bytes, carry, batch),
            Self::Swar => fill(bytes, carry, batch, swar::compare, prefix_xor),
        }
    }
}

/// Cuts `bytes` into blocks, and handles escapes and strings. Every backend shares this part.
#[inline(always)]
pub(super) fn fill(
    bytes: &[u8],
    carry: &mut Carry,
    batch: &mut Batch,
    compare: impl Fn(&[u8; BLOCK_BYTES]) -> Comparison,
    prefix_xor: impl Fn(u64) -> u64,
) {
    let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
    // A local copy stays in registers until the last block.
    let mut now = *carry;
    let mut put = |at, found: Comparison, length| {
        let quotes = found.quotes & !escaped(found.backslashes, length, &mut now);
        let strings = prefix_xor(quotes) ^ now.in_string;
        // All ones if the highest bit is one.
        now.in_string = 0u64.wrapping_sub(strings >> 63);
        batch.put(at, found, quotes, strings);
    };
    for (at, block) in blocks.iter().take(BATCH_BLOCKS).enumerate() {
        put(at, compare(block), BLOCK_BYTES);
    }
    if blocks.len() < BATCH_BLOCKS && !rest.is_empty() {
        let mut block = [b' '; BLOCK_BYTES];
        for (to, from) in block.iter_mut().zip(rest) {
            *to = *from;
        }
        put(blocks.len(), compare(&block), rest.len());
    }
    batch.end(bytes.len().div_ceil(BLOCK_BYTES).min(BATCH_BLOCKS));
    *carry = now;
}

/// Returns the bytes that are escaped by a backslash before them.
#[inline(always)]
fn escaped(backslashes: u64, length: usize, carry: &mut Carry) -> u64 {
    if backslashes == 0 {
        return std::mem::take(&mut carry.escaped);
    }
    // In a run of backslashes, every other one escapes the byte that follows. Subtracting the start of a run from the
    // odd bits carries through the run, which shows whether the run began at an odd or an even position.
    const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
    let may_escape = backslashes & !carry.escaped;
    let followers = may_escape << 1;
    let codes = ((followers | ODD).wrapping_sub(may_escape)) ^ ODD;
    let escaped = codes ^ (backslashes | carry.escaped);
    // A backslash in the last byte escapes the first byte of the next block.
    let escapes = codes & backslashes;
    carry.escaped = escapes >> (length - 1) & 1;
    escaped
}

/// Sets each bit to the xor of all bits up to it. Applied to quotes, this gives the bytes from each opening
/// quote to just before its closing quote.
pub(super) fn prefix_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// Compares eight bytes at a time in a 64-bit word.
mod swar {
    use super::{BLOCK_BYTES, Comparison};

    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;

    pub(super) fn compare(block: &[u8; BLOCK_BYTES]) -> Comparison {
        let mut found = Comparison::default();
        for (at, word) in block.as_chunks::<8>().0.iter().enumerate() {
            let word = u64::from_le_bytes(*word);
            // `[` and `{` differ only in bit 5, and so do `]` and `}`.
            let folded = word | (LOW << 5);
            let shift = at * 8;
            found.quotes |= equal(word, b'"') << shift;
            found.backslashes |= equal(word, b'\\') << shift;
            found.open |= equal(folded, b'{') << shift;
            found.close |= equal(folded, b'}') << shift;
            found.curly |= gather(word << 2 & HIGH) << shift;
            // Bytes below 0x20 have none of the bits 5, 6 and 7.
            found.controls |= gather(!(word << 2 | word << 1 | word) & HIGH) << shift;
        }
        found
    }

    /// Returns the bytes of a word that equal `byte`, as eight bits.
    fn equal(word: u64, byte: u8) -> u64 {
        let difference = word ^ (LOW * u64::from(byte));
        gather(!(((difference & !HIGH) + !HIGH) | difference) & HIGH)
    }

    /// Collects the top bits of eight bytes in the lowest byte.
    fn gather(tops: u64) -> u64 {
        (tops >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::BlockBrackets;
    use super::*;

    fn backends() -> impl Iterator<Item = Backend> {
        InstructionSet::ALL.into_iter().filter_map(Backend::detect)
    }

    /// The masks of one block.
    #[derive(Debug, Default, PartialEq)]
    struct Block {
        quotes: u64,
        special: u64,
        open: u64,
        close: u64,
        /// Only for brackets.
        curly: u64,
    }

    impl Block {
        fn of(batch: &Batch, at: usize) -> Self {
            let BlockBrackets { open, close, curly } = batch.block(at);
            Self {
                quotes: batch.quotes(at),
                special: batch.special(at),
                open,
                close,
                curly: curly & (open | close),
            }
        }
    }

    /// Computes the masks one byte at a time, directly from RFC 8259.
    fn reference(bytes: &[u8], in_string: &mut bool, escaped: &mut bool) -> Block {
        let mut masks = Block::default();
        for (at, byte) in bytes.iter().enumerate() {
            let bit = 1u64 << at;
            if std::mem::take(escaped) {
                // Outside strings, a backslash does not escape a bracket.
            } else if *byte == b'\\' {
                *escaped = true;
            } else if *byte == b'"' {
                masks.quotes |= bit;
                *in_string = !*in_string;
            }
            let bracket = if *in_string { b' ' } else { *byte };
            if matches!(bracket, b'{' | b'[') {
                masks.open |= bit;
            }
            if matches!(bracket, b'}' | b']') {
                masks.close |= bit;
            }
            if matches!(bracket, b'{' | b'}') {
                masks.curly |= bit;
            }
            if matches!(byte, b'\\' | 0..0x20) {
                masks.special |= bit;
            }
        }
        masks
    }

    fn check(bytes: &[u8]) {
        for backend in backends() {
            let mut carry = Carry::default();
            let (mut in_string, mut escaped) = (false, false);
            for part in bytes.chunks(BLOCK_BYTES * BATCH_BLOCKS) {
                let mut batch = Batch::default();
                backend.fill(part, &mut carry, &mut batch);
                for (at, block) in part.chunks(BLOCK_BYTES).enumerate() {
                    let expected = reference(block, &mut in_string, &mut escaped);
                    let block = Block::of(&batch, at * BLOCK_BYTES);
                    assert_eq!(block, expected, "{backend:?}");
                }
                assert_eq!(carry.escaped == 1, escaped, "{backend:?}");
                assert_eq!(carry.in_string != 0, in_string, "{backend:?}");
            }
        }
    }

    /// Miri is thousands of times slower, and finds undefined behavior with few inputs.
    const CASES: u32 = if cfg!(miri) { 2 } else { 256 };
    const POSITION_STEP: usize = if cfg!(miri) { 63 } else { 1 };
    const BYTE_STEP: usize = if cfg!(miri) { 61 } else { 1 };
    const TEXT_BYTES_MAX: usize = if cfg!(miri) { 1200 } else { 3000 };

    #[test]
    fn masks_match_the_reference_for_every_byte_at_every_position() {
        for byte in (0..=255).step_by(BYTE_STEP) {
            for at in (0..BLOCK_BYTES).step_by(POSITION_STEP) {
                let mut block = [b'x'; BLOCK_BYTES];
                block[at] = byte;
                check(&block);
            }
            check(&[byte; BLOCK_BYTES]);
        }
    }

    /// Checks that a test run for an instruction set really uses it.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn best_backend_matches_the_target_features() {
        if cfg!(target_feature = "avx512vbmi2") {
            assert!(matches!(Backend::best(), Backend::Avx512(_)));
        } else if cfg!(target_feature = "avx2") {
            assert!(!matches!(Backend::best(), Backend::Sse2));
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config {
            failure_persistence: None,
            ..proptest::test_runner::Config::with_cases(CASES)
        })]

        #[test]
        fn masks_match_the_reference_for_special_bytes(
            text in proptest::collection::vec(
                proptest::sample::select(b"\"\\{}[]x,; |~\n\x1f\xfb\xa2".as_slice()),
                0..TEXT_BYTES_MAX,
            ),
            start in 0..64usize,
        ) {
            // The allocation has exactly this size, so that Miri reports loads past its end.
            let text = text.into_boxed_slice();
            check(text.get(start..).unwrap_or_default());
        }

        #[test]
        fn masks_match_the_reference_for_any_bytes(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..TEXT_BYTES_MAX / 2)) {
            check(&bytes.into_boxed_slice());
        }
    }
}
