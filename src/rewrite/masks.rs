//! Where in 64 bytes quotes and brackets stand, as bitmasks.
//!
//! This is where the bytes are, so it is done for a batch of blocks at once and without a branch
//! for each: bytes are compared with the few that matter, what a backslash escapes is taken out, and
//! a prefix xor over the quotes tells what lies in strings. What crosses a block's edge is carried.
//! There are several sources of the comparisons, all of which give the same masks; the best that
//! the machine has is chosen once a stream.

use super::batch::{BATCH_BLOCKS, BLOCK_BYTES, Batch, Compared};
#[cfg(target_arch = "x86_64")]
use super::simd;

/// What the next block has to know of those before it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Carry {
    /// All ones within a string.
    in_string: u64,
    /// 1 if the next byte is escaped.
    escaped: u64,
}

/// The code by which a stream is looked at. The output is the same; so that this can be tested, and what
/// each costs measured, one may be asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Code {
    /// By vectors of 64 bytes.
    Avx512,
    /// By vectors of 32 bytes.
    Avx2,
    /// By vectors of 16 bytes, which all of x86-64 have.
    Sse2,
    /// By words of 8 bytes, which all machines have.
    Words,
}

impl Code {
    /// Each, the best first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Sse2, Self::Words];
}

/// Who compares.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Source {
    #[cfg(target_arch = "x86_64")]
    Avx512(simd::Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(simd::Avx2),
    #[cfg(target_arch = "x86_64")]
    Sse2,
    Words,
}

impl Source {
    /// If this machine has it.
    pub(super) fn of(code: Code) -> Option<Self> {
        match code {
            #[cfg(target_arch = "x86_64")]
            Code::Avx512 => simd::Avx512::detect().map(Self::Avx512),
            #[cfg(target_arch = "x86_64")]
            Code::Avx2 => simd::Avx2::detect().map(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            Code::Sse2 => Some(Self::Sse2),
            Code::Words => Some(Self::Words),
            #[cfg(not(target_arch = "x86_64"))]
            _ => None,
        }
    }

    /// The best that this machine has.
    pub(super) fn best() -> Self {
        let mut sources = Code::ALL.into_iter().filter_map(Self::of);
        sources.next().unwrap_or(Self::Words)
    }

    /// What every machine of this architecture has.
    pub(super) fn portable() -> Self {
        Self::of(Code::Sse2).unwrap_or(Self::Words)
    }

    /// Fills the batch from the first blocks of `bytes`, the last of which may be short.
    pub(super) fn fill(self, bytes: &[u8], carry: &mut Carry, batch: &mut Batch) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(available) => available.fill(bytes, carry, batch),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(available) => available.fill(bytes, carry, batch),
            #[cfg(target_arch = "x86_64")]
            Self::Sse2 => simd::fill(bytes, carry, batch),
            Self::Words => fill(bytes, carry, batch, words::compare, prefix_xor),
        }
    }
}

/// The same for every source: cuts into blocks, treats escapes and strings.
#[inline(always)]
pub(super) fn fill(
    bytes: &[u8],
    carry: &mut Carry,
    batch: &mut Batch,
    compare: impl Fn(&[u8; BLOCK_BYTES]) -> Compared,
    prefix_xor: impl Fn(u64) -> u64,
) {
    let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
    // In registers until the last block is done.
    let mut now = *carry;
    let mut put = |at, found: Compared, length| {
        let quotes = found.quotes & !escaped(found.backslashes, length, &mut now);
        let strings = prefix_xor(quotes) ^ now.in_string;
        // All ones if the last bit is one.
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

/// The bytes that a backslash precedes which is not escaped itself.
#[inline(always)]
fn escaped(backslashes: u64, length: usize, carry: &mut Carry) -> u64 {
    if backslashes == 0 {
        return std::mem::take(&mut carry.escaped);
    }
    // In a run of backslashes every other one escapes what follows it. Subtracting a run's start
    // from the bits of odd places carries through the run, and so tells at which parity it began.
    const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
    let may_escape = backslashes & !carry.escaped;
    let followers = may_escape << 1;
    let codes = ((followers | ODD).wrapping_sub(may_escape)) ^ ODD;
    let escaped = codes ^ (backslashes | carry.escaped);
    // The last byte's backslash escapes what comes with the next block.
    let escapes = codes & backslashes;
    carry.escaped = escapes >> (length - 1) & 1;
    escaped
}

/// Each bit is the xor of all up to it: the bytes from an opening quote to before its closing one.
pub(super) fn prefix_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// Eight bytes in a word at a time, which every 64-bit machine does well.
mod words {
    use super::{BLOCK_BYTES, Compared};

    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;

    pub(super) fn compare(block: &[u8; BLOCK_BYTES]) -> Compared {
        let mut found = Compared::default();
        for (at, word) in block.as_chunks::<8>().0.iter().enumerate() {
            let word = u64::from_le_bytes(*word);
            // `[` and `{` differ in bit 5 alone, and so do `]` and `}`.
            let folded = word | (LOW << 5);
            let shift = at * 8;
            found.quotes |= equal(word, b'"') << shift;
            found.backslashes |= equal(word, b'\\') << shift;
            found.open |= equal(folded, b'{') << shift;
            found.close |= equal(folded, b'}') << shift;
            found.curly |= gather(word << 2 & HIGH) << shift;
            // Neither bit 5 nor 6 nor 7: below 0x20.
            found.controls |= gather(!(word << 2 | word << 1 | word) & HIGH) << shift;
        }
        found
    }

    /// The bytes of a word that equal `byte`, as the lowest eight bits.
    fn equal(word: u64, byte: u8) -> u64 {
        let difference = word ^ (LOW * u64::from(byte));
        gather(!(((difference & !HIGH) + !HIGH) | difference) & HIGH)
    }

    /// Brings the top bits of eight bytes together in the lowest byte.
    fn gather(tops: u64) -> u64 {
        (tops >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::Found;
    use super::*;

    /// All that this machine has.
    fn sources() -> impl Iterator<Item = Source> {
        Code::ALL.into_iter().filter_map(Source::of)
    }

    /// What a batch says about one block.
    #[derive(Debug, Default, PartialEq)]
    struct Block {
        quotes: u64,
        special: u64,
        open: u64,
        close: u64,
        /// Of the brackets only.
        curly: u64,
    }

    impl Block {
        fn of(batch: &Batch, at: usize) -> Self {
            let Found { open, close, curly } = batch.block(at);
            Self {
                quotes: batch.quotes(at),
                special: batch.special(at),
                open,
                close,
                curly: curly & (open | close),
            }
        }
    }

    /// A byte at a time, straight from RFC 8259.
    fn slowly(bytes: &[u8], in_string: &mut bool, escaped: &mut bool) -> Block {
        let mut masks = Block::default();
        for (at, byte) in bytes.iter().enumerate() {
            let bit = 1u64 << at;
            if std::mem::take(escaped) {
                // A bracket outside of strings is one whatever stands before it.
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
        for source in sources() {
            let mut carry = Carry::default();
            let (mut in_string, mut escaped) = (false, false);
            for part in bytes.chunks(BLOCK_BYTES * BATCH_BLOCKS) {
                let mut batch = Batch::default();
                source.fill(part, &mut carry, &mut batch);
                for (at, block) in part.chunks(BLOCK_BYTES).enumerate() {
                    let expected = slowly(block, &mut in_string, &mut escaped);
                    let block = Block::of(&batch, at * BLOCK_BYTES);
                    assert_eq!(block, expected, "{source:?}");
                }
                assert_eq!(carry.escaped == 1, escaped, "{source:?}");
                assert_eq!(carry.in_string != 0, in_string, "{source:?}");
            }
        }
    }

    /// Miri takes thousands of times as long, and looks for something else.
    const CASES: u32 = if cfg!(miri) { 2 } else { 256 };
    const PLACES_APART: usize = if cfg!(miri) { 63 } else { 1 };
    const BYTES_APART: usize = if cfg!(miri) { 61 } else { 1 };
    const TEXT_BYTES_MAX: usize = if cfg!(miri) { 1200 } else { 3000 };

    #[test]
    fn every_byte_at_every_place_of_a_block() {
        for byte in (0..=255).step_by(BYTES_APART) {
            for at in (0..BLOCK_BYTES).step_by(PLACES_APART) {
                let mut block = [b'x'; BLOCK_BYTES];
                block[at] = byte;
                check(&block);
            }
            check(&[byte; BLOCK_BYTES]);
        }
    }

    /// So that a run which is to test certain instructions does.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn what_it_is_compiled_for_is_used() {
        if cfg!(target_feature = "avx512vbmi2") {
            assert!(matches!(Source::best(), Source::Avx512(_)));
        } else if cfg!(target_feature = "avx2") {
            assert!(!matches!(Source::best(), Source::Sse2));
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config {
            failure_persistence: None,
            ..proptest::test_runner::Config::with_cases(CASES)
        })]

        #[test]
        fn any_text_of_what_matters(
            text in proptest::collection::vec(
                proptest::sample::select(b"\"\\{}[]x,; |~\n\x1f\xfb\xa2".as_slice()),
                0..TEXT_BYTES_MAX,
            ),
            start in 0..64usize,
        ) {
            // Of exactly these bytes, so that a look behind them is one outside of what is allocated.
            let text = text.into_boxed_slice();
            check(text.get(start..).unwrap_or_default());
        }

        #[test]
        fn any_bytes(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..TEXT_BYTES_MAX / 2)) {
            check(&bytes.into_boxed_slice());
        }
    }
}
