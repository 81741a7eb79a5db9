use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// A piece below this many bytes is copied together with its neighbours: a slice would keep its
/// whole chunk in memory, and a write of many tiny slices costs more than the copy.
pub const COPY_BELOW_BYTES: usize = 256;

/// A queue of what leaves the rewriter. As a [`Buf`] it is all of it in one, so that it can be written
/// at once: longer pieces of the input as slices of the chunks that they came in, and between them
/// what was put in or was too short for that; or all of it copied, see [`Output::contiguous`].
#[derive(Debug)]
pub struct Output {
    pieces: VecDeque<Piece>,
    /// The bytes of the copied pieces, one behind the other.
    copied: BytesMut,
    length: usize,
    /// Shorter pieces are copied.
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
    /// Shares memory with the chunk that it came in.
    Shared(Bytes),
    /// So many of the copied bytes. No two such pieces follow each other.
    Copied(usize),
}

impl Output {
    /// One that copies everything, so that any number of bytes can be taken as one: for who sends
    /// records of a certain size and would have to put pieces together for them.
    pub fn contiguous() -> Self {
        Self {
            copy_below_bytes: usize::MAX,
            ..Self::default()
        }
    }

    /// Bytes in all pieces.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing is there to be taken.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends bytes, by themselves or, if they are few, as a copy.
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.len() < self.copy_below_bytes {
            self.copy(&bytes);
        } else {
            self.length += bytes.len();
            self.pieces.push_back(Piece::Shared(bytes));
        }
    }

    /// Appends a copy.
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

    /// The pieces, none of them empty, in their order.
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

    /// Copies nothing that lies in one piece.
    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        assert!(length <= self.length, "{length} of {}", self.length);
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
            "advanced by {count} of {}",
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
    fn small_pieces_are_put_together_and_long_ones_are_not_copied() {
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
    fn as_a_buffer_it_is_all_pieces_in_order() {
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
    fn a_contiguous_one_gives_any_part_in_one() {
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
