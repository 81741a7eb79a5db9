//! The output of a stream, as a queue of byte slices.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Slices of the input that are shorter than this many bytes are copied and joined. A shared slice keeps its whole
/// chunk in memory, and writing many tiny slices costs more than copying them.
pub const COPY_BELOW_BYTES: usize = 256;

/// A queue of output bytes.
///
/// It is a [`Buf`] over all of its bytes, suited for vectored writes. Long pieces of the input share memory with the
/// chunks that they came in; short pieces and replacements are copied. [`Output::contiguous`] copies everything.
#[derive(Debug)]
pub struct Output {
    pieces: VecDeque<Piece>,
    /// The bytes of all copied pieces, in order.
    copied: BytesMut,
    length: usize,
    /// Pieces shorter than this are copied.
    copy_below_bytes: usize,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            pieces: VecDeque::new(),
            copied: BytesMut::new(),
            length: 0,
            copy_below_bytes: COPY_BELOW_BYTES,
        }
    }
}

#[derive(Debug)]
enum Piece {
    /// A slice that shares memory with its chunk.
    Shared(Bytes),
    /// The next bytes of `copied`, by their number. Two such pieces never follow each other.
    Copied(usize),
}

impl Output {
    /// Returns an output that copies everything, so that any number of bytes can be taken as one slice. Use it if
    /// records of a fixed size are sent, for example TLS records.
    pub fn contiguous() -> Self {
        Self {
            copy_below_bytes: usize::MAX,
            ..Self::default()
        }
    }

    /// Returns the number of bytes in the queue.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Returns whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends bytes. Shares their memory unless they are few.
    pub fn push(&mut self, bytes: Bytes) {
        if self.copies(bytes.len()) {
            self.copy(&bytes);
        } else {
            self.length += bytes.len();
            self.pieces.push_back(Piece::Shared(bytes));
        }
    }

    /// Returns whether [`Self::push`] copies a slice of this length.
    pub(super) fn copies(&self, length: usize) -> bool {
        length < self.copy_below_bytes
    }

    /// Appends a copy of bytes.
    #[inline]
    pub(super) fn copy(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.length += bytes.len();
        self.copied.extend_from_slice(bytes);
        match self.pieces.back_mut() {
            Some(Piece::Copied(length)) => *length += bytes.len(),
            _ => self.pieces.push_back(Piece::Copied(bytes.len())),
        }
    }

    /// Returns the pieces in order. None is empty.
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let mut copied = &*self.copied;
        self.pieces.iter().map(move |piece| match piece {
            Piece::Shared(bytes) => &**bytes,
            Piece::Copied(length) => copied.split_off(..*length).unwrap_or_default(),
        })
    }
}

impl From<Bytes> for Output {
    fn from(bytes: Bytes) -> Self {
        let mut output = Self::default();
        output.push(bytes);
        output
    }
}

impl Buf for Output {
    fn remaining(&self) -> usize {
        self.length
    }

    fn chunk(&self) -> &[u8] {
        self.slices().next().unwrap_or_default()
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (into, slice) in into.iter_mut().zip(self.slices()) {
            *into = IoSlice::new(slice);
            count += 1;
        }
        count
    }

    /// Copies only if the bytes span several pieces.
    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        assert!(
            length <= self.length,
            "cannot take {length} bytes of {}",
            self.length
        );
        match self.pieces.front_mut() {
            Some(Piece::Shared(bytes)) if bytes.len() >= length => {
                let part = bytes.slice(..length);
                self.advance(length);
                part
            }
            Some(Piece::Copied(copied)) if *copied >= length => {
                *copied -= length;
                if *copied == 0 {
                    self.pieces.pop_front();
                }
                self.length -= length;
                self.copied.split_to(length).freeze()
            }
            _ => {
                let mut copy = BytesMut::with_capacity(length);
                copy.put(self.take(length));
                copy.freeze()
            }
        }
    }

    fn advance(&mut self, mut count: usize) {
        assert!(
            count <= self.length,
            "cannot advance by {count} bytes of {}",
            self.length
        );
        self.length -= count;
        while let Some(first) = self.pieces.front_mut() {
            let length = match first {
                Piece::Shared(bytes) => bytes.len(),
                Piece::Copied(length) => *length,
            };
            if count < length {
                match first {
                    Piece::Shared(bytes) => bytes.advance(count),
                    Piece::Copied(left) => {
                        *left -= count;
                        self.copied.advance(count);
                    }
                }
                return;
            }
            if let Piece::Copied(_) = first {
                self.copied.advance(length);
            }
            self.pieces.pop_front();
            count -= length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_pieces_are_joined_and_long_pieces_are_shared() {
        let long = Bytes::from(vec![b'x'; COPY_BELOW_BYTES]);
        let mut output = Output::default();
        output.push(Bytes::from_static(b"ab"));
        output.copy(b"cd");
        output.push(long.clone());
        output.push(Bytes::from_static(b"e"));
        assert_eq!(output.len(), 5 + COPY_BELOW_BYTES);
        let slices: Vec<&[u8]> = output.slices().collect();
        assert_eq!(slices, [b"abcd", &*long, b"e"]);
        assert_eq!(slices[1].as_ptr(), long.as_ptr());
    }

    #[test]
    fn buf_has_all_pieces_in_order() {
        let mut output = Output::default();
        output.push(Bytes::from(vec![b'x'; 300]));
        output.copy(b"yz");
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(output.chunks_vectored(&mut slices), 2);
        output.advance(299);
        assert_eq!(output.chunk(), b"x");
        assert_eq!(output.copy_to_bytes(3), Bytes::from_static(b"xyz"));
        assert!(output.is_empty() && output.chunk().is_empty());
        output.copy(b"again");
        assert_eq!(output.chunk(), b"again");
    }

    #[test]
    fn contiguous_output_returns_any_part_as_one_slice() {
        let mut output = Output::contiguous();
        output.push(Bytes::from(vec![b'x'; 3000]));
        output.copy(b"yz");
        output.push(Bytes::from_static(b"end"));
        assert_eq!(output.chunk().len(), 3005);
        assert_eq!(output.copy_to_bytes(2999).len(), 2999);
        assert_eq!(output.copy_to_bytes(3), Bytes::from_static(b"xyz"));
        assert_eq!(output.copy_to_bytes(3), Bytes::from_static(b"end"));
        assert!(output.is_empty());
        output.push(Bytes::from_static(b"again"));
        assert_eq!(output.chunk(), b"again");
    }
}
