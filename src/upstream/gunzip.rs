//! Decompresses gzip in steps of bounded size: bytes in, bytes out.
//!
//! A stream consists of one or more members (RFC 1952, section 2.2). kube-apiserver begins a new
//! member with each flush of a WatchList (`WatchListCompression`,
//! `apiserver/pkg/endpoints/handlers/watch.go`).

use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};

/// Largest size in bytes of the output of one step, which takes about 25 µs. A limit on the input would not bound the
/// output, because DEFLATE can expand one byte to 1032.
const STEP_BYTES_MAX: usize = 32 << 10;

/// The largest window of DEFLATE: 2 to the power of 15 bytes.
const WINDOW_BITS: u8 = 15;

/// The reason why a stream is not valid gzip.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum GunzipError {
    /// Includes garbage after the last member, because it is not the header of another one.
    #[error("the gzip data is corrupt")]
    Corrupt,
    #[error("the gzip data is truncated")]
    Truncated,
}

/// The result of a step.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Decompressed bytes. Empty if the input had only headers or trailers.
    Plain(Bytes),
    /// All input so far has been decompressed.
    NeedInput,
}

/// The state of a gzip stream.
pub(super) struct Gunzip {
    inflate: Decompress,
    /// Input that has not been decompressed.
    input: Bytes,
    /// Output of the current step; empty between steps.
    plain: Vec<u8>,
    /// Whether the last step filled its output, so the decoder may have more.
    has_more: bool,
    /// Whether every member so far has ended with the right checksum.
    is_complete: bool,
}

impl Gunzip {
    pub(super) fn new() -> Self {
        Self {
            inflate: Decompress::new_gzip(WINDOW_BITS),
            input: Bytes::new(),
            plain: Vec::new(),
            has_more: false,
            is_complete: false,
        }
    }

    /// Adds the next chunk. Call it only after [`Step::NeedInput`].
    pub(super) fn feed(&mut self, chunk: Bytes) {
        debug_assert!(self.input.is_empty(), "the input has not been decompressed");
        self.input = chunk;
    }

    /// Decompresses up to [`STEP_BYTES_MAX`] bytes, or up to the end of a member.
    ///
    /// # Errors
    /// The stream is corrupt. Every further step fails too.
    pub(super) fn step(&mut self) -> Result<Step, GunzipError> {
        if self.input.is_empty() && !self.has_more {
            return Ok(Step::NeedInput);
        }
        if self.is_complete {
            self.inflate = Decompress::new_gzip(WINDOW_BITS);
            self.is_complete = false;
        }
        self.plain.reserve_exact(STEP_BYTES_MAX);
        let before = self.inflate.total_in();
        let inflated =
            self.inflate
                .decompress_vec(&self.input, &mut self.plain, FlushDecompress::None);
        let status = inflated.map_err(|_| GunzipError::Corrupt)?;
        let consumed = usize::try_from(self.inflate.total_in() - before).unwrap_or(usize::MAX);
        self.input.advance(consumed.min(self.input.len()));
        self.is_complete = status == Status::StreamEnd;
        self.has_more = !self.is_complete && self.plain.len() == self.plain.capacity();
        let is_stuck = consumed == 0 && self.plain.is_empty() && !self.is_complete;
        if is_stuck && !self.input.is_empty() {
            return Err(GunzipError::Corrupt);
        }
        Ok(Step::Plain(self.take_output()))
    }

    /// Takes the output. Copies it if it is short, so that a buffered event does not keep a large
    /// buffer alive.
    fn take_output(&mut self) -> Bytes {
        if self.plain.len() >= STEP_BYTES_MAX / 2 {
            return std::mem::take(&mut self.plain).into();
        }
        let copied = Bytes::copy_from_slice(&self.plain);
        self.plain.clear();
        copied
    }

    /// Checks the end of the stream, after [`Step::NeedInput`].
    ///
    /// # Errors
    /// The stream ended inside a member, or is empty.
    pub(super) fn finish(&self) -> Result<(), GunzipError> {
        match self.is_complete {
            true => Ok(()),
            false => Err(GunzipError::Truncated),
        }
    }
}

#[cfg(test)]
mod tests;
