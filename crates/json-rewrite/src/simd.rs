//! Computes masks with the vector instructions of x86-64: AVX-512, AVX2 and SSE2.
//!
//! This is the only file with `unsafe` code, for two reasons. Functions for instructions that a machine may
//! lack must not be called on such a machine. Vector loads and prefetches use pointers.
#![allow(
    unsafe_code,
    reason = "vector instructions; each use says why it is sound"
)]

use std::arch::x86_64::{
    __m128i, __m256i, __m512i, _MM_HINT_T0, _mm_clmulepi64_si128, _mm_cmpeq_epi8,
    _mm_cvtsi128_si64, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
    _mm_prefetch, _mm_set_epi64x, _mm_set1_epi8, _mm_slli_epi16, _mm256_cmpeq_epi8,
    _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8,
    _mm256_slli_epi16, _mm512_cmpeq_epi8_mask, _mm512_cmplt_epu8_mask, _mm512_loadu_si512,
    _mm512_or_si512, _mm512_set1_epi8, _mm512_test_epi8_mask,
};

use super::batch::{BATCH_BLOCKS, BLOCK_BYTES, Batch, Comparison};
use super::masks::{self, Carry};

/// Proof that this machine has all instructions that [`fill_avx512`] needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Avx512(());

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        // VBMI2 is not used. Machines without it run slower while they use 64-byte vectors.
        let all = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("pclmulqdq");
        all.then_some(Self(()))
    }

    pub(super) fn fill(self, bytes: &[u8], carry: &mut Carry, batch: &mut Batch) {
        // SAFETY: a value of this type exists only if the features were detected.
        unsafe { fill_avx512(bytes, carry, batch) }
    }
}

/// Proof that this machine has all instructions that [`fill_avx2`] needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        let all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("pclmulqdq");
        all.then_some(Self(()))
    }

    pub(super) fn fill(self, bytes: &[u8], carry: &mut Carry, batch: &mut Batch) {
        // SAFETY: a value of this type exists only if the features were detected.
        unsafe { fill_avx2(bytes, carry, batch) }
    }
}

/// Fills the batch with SSE2.
pub(super) fn fill(bytes: &[u8], carry: &mut Carry, batch: &mut Batch) {
    // SAFETY: SSE2 is part of x86-64.
    unsafe { fill_sse2(bytes, carry, batch) }
}

/// Prefetches the block that is one batch ahead.
fn prefetch(block: &[u8; BLOCK_BYTES]) {
    let ahead = block.as_ptr().wrapping_add(BLOCK_BYTES * BATCH_BLOCKS);
    // SAFETY: a prefetch is a hint. It does not access memory and accepts any address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead.cast()) }
}

#[target_feature(enable = "avx512f,avx512bw,bmi1,pclmulqdq")]
fn fill_avx512(bytes: &[u8], carry: &mut Carry, batch: &mut Batch) {
    masks::fill(
        bytes,
        carry,
        batch,
        |block| compare_avx512(block),
        |bits| prefix_xor(bits),
    );
}

#[target_feature(enable = "avx512f,avx512bw")]
fn compare_avx512(block: &[u8; BLOCK_BYTES]) -> Comparison {
    prefetch(block);
    let bytes = load_avx512(block);
    let all = |byte: u8| _mm512_set1_epi8(byte.cast_signed());
    let folded = _mm512_or_si512(bytes, all(0x20));
    Comparison {
        quotes: _mm512_cmpeq_epi8_mask(bytes, all(b'"')),
        backslashes: _mm512_cmpeq_epi8_mask(bytes, all(b'\\')),
        open: _mm512_cmpeq_epi8_mask(folded, all(b'{')),
        close: _mm512_cmpeq_epi8_mask(folded, all(b'}')),
        curly: _mm512_test_epi8_mask(bytes, all(0x20)),
        controls: _mm512_cmplt_epu8_mask(bytes, all(0x20)),
    }
}

#[target_feature(enable = "avx512f")]
fn load_avx512(bytes: &[u8; BLOCK_BYTES]) -> __m512i {
    // SAFETY: this reads the 64 bytes of the array and needs no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2,bmi1,pclmulqdq")]
fn fill_avx2(bytes: &[u8], carry: &mut Carry, batch: &mut Batch) {
    masks::fill(
        bytes,
        carry,
        batch,
        |block| compare_avx2(block),
        |bits| prefix_xor(bits),
    );
}

#[target_feature(enable = "avx2")]
fn compare_avx2(block: &[u8; BLOCK_BYTES]) -> Comparison {
    prefetch(block);
    let mut found = Comparison::default();
    for (at, part) in block.as_chunks::<32>().0.iter().enumerate() {
        let bytes = load_avx2(part);
        // `[` and `{` differ only in bit 5, and so do `]` and `}`.
        let folded = _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
        let equal = |bytes: __m256i, byte: u8| {
            signs_avx2(_mm256_cmpeq_epi8(
                bytes,
                _mm256_set1_epi8(byte.cast_signed()),
            ))
        };
        let lower = _mm256_min_epu8(bytes, _mm256_set1_epi8(0x1f));
        let shift = at * 32;
        found.quotes |= equal(bytes, b'"') << shift;
        found.backslashes |= equal(bytes, b'\\') << shift;
        found.open |= equal(folded, b'{') << shift;
        found.close |= equal(folded, b'}') << shift;
        // Shifts bit 5 of each byte to its sign bit.
        found.curly |= signs_avx2(_mm256_slli_epi16::<2>(bytes)) << shift;
        found.controls |= signs_avx2(_mm256_cmpeq_epi8(lower, bytes)) << shift;
    }
    found
}

#[target_feature(enable = "avx2")]
fn load_avx2(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: this reads the 32 bytes of the array and needs no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
fn signs_avx2(bytes: __m256i) -> u64 {
    u64::from(_mm256_movemask_epi8(bytes).cast_unsigned())
}

/// Sets each bit to the xor of all bits up to it, by a carry-less multiplication by all ones.
#[target_feature(enable = "pclmulqdq")]
fn prefix_xor(bits: u64) -> u64 {
    let product =
        _mm_clmulepi64_si128::<0>(_mm_set_epi64x(0, bits.cast_signed()), _mm_set1_epi8(-1));
    _mm_cvtsi128_si64(product).cast_unsigned()
}

#[target_feature(enable = "sse2")]
fn fill_sse2(bytes: &[u8], carry: &mut Carry, batch: &mut Batch) {
    masks::fill(
        bytes,
        carry,
        batch,
        |block| compare_sse2(block),
        masks::prefix_xor,
    );
}

#[target_feature(enable = "sse2")]
fn compare_sse2(block: &[u8; BLOCK_BYTES]) -> Comparison {
    let mut found = Comparison::default();
    for (at, part) in block.as_chunks::<16>().0.iter().enumerate() {
        let bytes = load_sse2(part);
        let folded = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
        let equal = |bytes: __m128i, byte: u8| {
            signs_sse2(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte.cast_signed())))
        };
        let lower = _mm_min_epu8(bytes, _mm_set1_epi8(0x1f));
        let shift = at * 16;
        found.quotes |= equal(bytes, b'"') << shift;
        found.backslashes |= equal(bytes, b'\\') << shift;
        found.open |= equal(folded, b'{') << shift;
        found.close |= equal(folded, b'}') << shift;
        found.curly |= signs_sse2(_mm_slli_epi16::<2>(bytes)) << shift;
        found.controls |= signs_sse2(_mm_cmpeq_epi8(lower, bytes)) << shift;
    }
    found
}

#[target_feature(enable = "sse2")]
fn load_sse2(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: this reads the 16 bytes of the array and needs no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "sse2")]
fn signs_sse2(bytes: __m128i) -> u64 {
    u64::from(_mm_movemask_epi8(bytes).cast_unsigned())
}
