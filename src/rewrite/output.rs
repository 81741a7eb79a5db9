use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// A piece below this many bytes is copied together with its neighbours: a slice would keep its
/// whole chunk in memory, and a write of many tiny slices costs more than the copy.
pub const COPY_BELOW_BYTES: usize = 256;

/// What leaves the rewriter: bytes of the input, or bytes in place of some.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Piece {
    /// As they came in. Longer ones share memory with the chunk that they came in.
    Original(Bytes),
    Replaced(Bytes),
}

/// A queue of pieces. As a [`Buf`] it is all of them in one, so that it can be written at once.
#[derive(Debug, Default)]
pub struct Output {
    pieces: VecDeque<Piece>,
    /// The last piece while it is put together from small ones.
    small: BytesMut,
    length: usize,
}

impl Piece {
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Original(bytes) | Self::Replaced(bytes) => bytes,
        }
    }

    fn bytes_mut(&mut self) -> &mut Bytes {
        match self {
            Self::Original(bytes) | Self::Replaced(bytes) => bytes,
        }
    }
}

impl Output {
    /// Bytes in all pieces.
    pub fn len(&self) -> usize {
        self.length
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The next piece; small ones come put together, as [`Piece::Replaced`] if one of them is.
    pub fn pop(&mut self) -> Option<Piece> {
        self.settle();
        let piece = self.pieces.pop_front()?;
        self.length -= piece.bytes().len();
        Some(piece)
    }

    pub fn push_original(&mut self, bytes: Bytes) {
        self.length += bytes.len();
        if bytes.len() < COPY_BELOW_BYTES {
            self.small.extend_from_slice(&bytes);
        } else {
            self.settle();
            self.pieces.push_back(Piece::Original(bytes));
        }
    }

    pub fn push_replaced(&mut self, text: String) {
        self.length += text.len();
        if text.len() < COPY_BELOW_BYTES {
            self.small.extend_from_slice(text.as_bytes());
        } else {
            self.settle();
            self.pieces.push_back(Piece::Replaced(text.into()));
        }
    }

    fn settle(&mut self) {
        if !self.small.is_empty() {
            self.pieces
                .push_back(Piece::Replaced(self.small.split().freeze()));
        }
    }
}

impl From<Bytes> for Output {
    fn from(bytes: Bytes) -> Self {
        let mut output = Self {
            length: bytes.len(),
            ..Self::default()
        };
        output.pieces.push_back(Piece::Original(bytes));
        output
    }
}

impl Buf for Output {
    fn remaining(&self) -> usize {
        self.length
    }

    fn chunk(&self) -> &[u8] {
        let mut pieces = self.pieces.iter().map(|piece| &**piece.bytes());
        pieces
            .find(|bytes| !bytes.is_empty())
            .unwrap_or(&self.small)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = self.pieces.iter().map(|piece| &**piece.bytes());
        let all = pieces
            .chain([&*self.small])
            .filter(|bytes| !bytes.is_empty());
        let mut count = 0;
        for (slice, bytes) in slices.iter_mut().zip(all) {
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut count: usize) {
        assert!(
            count <= self.length,
            "advanced by {count} of {}",
            self.length
        );
        self.length -= count;
        while let Some(first) = self.pieces.front_mut() {
            let bytes = first.bytes_mut();
            if count < bytes.len() {
                bytes.advance(count);
                return;
            }
            count -= bytes.len();
            self.pieces.pop_front();
        }
        self.small.advance(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_are_put_together_and_long_ones_are_not_copied() {
        let long = Bytes::from(vec![b'x'; COPY_BELOW_BYTES]);
        let mut output = Output::default();
        output.push_original(Bytes::from_static(b"ab"));
        output.push_replaced("cd".to_owned());
        output.push_original(long.clone());
        output.push_original(Bytes::from_static(b"e"));
        assert_eq!(output.len(), 5 + COPY_BELOW_BYTES);
        assert_eq!(
            output.pop(),
            Some(Piece::Replaced(Bytes::from_static(b"abcd")))
        );
        let Some(Piece::Original(second)) = output.pop() else {
            panic!("no original")
        };
        assert_eq!(second.as_ptr(), long.as_ptr());
        assert_eq!(
            output.pop(),
            Some(Piece::Replaced(Bytes::from_static(b"e")))
        );
        assert_eq!(output.pop(), None);
    }

    #[test]
    fn as_a_buffer_it_is_all_pieces_in_order() {
        let mut output = Output::default();
        output.push_original(Bytes::from(vec![b'x'; 300]));
        output.push_replaced("yz".to_owned());
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(output.chunks_vectored(&mut slices), 2);
        output.advance(299);
        assert_eq!(output.chunk(), b"x");
        assert_eq!(output.copy_to_bytes(3), Bytes::from_static(b"xyz"));
        assert!(output.is_empty());
    }
}
