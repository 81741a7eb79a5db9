//! gzip undone, a bounded step at a time: bytes in, bytes out. Knows nothing of HTTP.
//!
//! A stream is of one or more members (RFC 1952, section 2.2): kube-apiserver begins another with each
//! flush of a WatchList (`WatchListCompression`, `apiserver/pkg/endpoints/handlers/watch.go`).

use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};

/// Plain bytes of one step, which inflate in some 25 µs. DEFLATE makes up to 1032 of one byte, so no
/// bound on what comes in would bound them.
const STEP_BYTES_MAX: usize = 32 << 10;

/// The largest window that there is, as a power of two.
const WINDOW_BITS: u8 = 15;

/// Why a stream is not gzip from its beginning to its end.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum GunzipError {
    /// Garbage behind the last member too, for it is no header of a further one.
    #[error("its gzip is corrupt")]
    Corrupt,
    #[error("its gzip ends too soon")]
    Truncated,
}

/// What a step came to.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Empty where it was all headers or trailers.
    Plain(Bytes),
    /// Nothing more comes of what is here.
    Hungry,
}

pub(super) struct Gunzip {
    inflate: Decompress,
    /// What has come and was not taken yet.
    packed: Bytes,
    /// Made by the last step; empty between steps.
    plain: Vec<u8>,
    /// The last step had more to give than it had room for.
    has_more: bool,
    /// All members that began have ended, their checksums right.
    is_whole: bool,
}

impl Gunzip {
    pub(super) fn new() -> Self {
        Self {
            inflate: Decompress::new_gzip(WINDOW_BITS),
            packed: Bytes::new(),
            plain: Vec::new(),
            has_more: false,
            is_whole: false,
        }
    }

    /// Takes the next chunk, once [`Step::Hungry`] was said.
    pub(super) fn feed(&mut self, chunk: Bytes) {
        debug_assert!(self.packed.is_empty(), "fed before it was hungry");
        self.packed = chunk;
    }

    /// Goes on, by no more than [`STEP_BYTES_MAX`] and no further than a member's end.
    ///
    /// # Errors
    /// The stream is corrupt, and is so ever after.
    pub(super) fn step(&mut self) -> Result<Step, GunzipError> {
        if self.packed.is_empty() && !self.has_more {
            return Ok(Step::Hungry);
        }
        if self.is_whole {
            self.inflate = Decompress::new_gzip(WINDOW_BITS);
            self.is_whole = false;
        }
        self.plain.reserve_exact(STEP_BYTES_MAX);
        let before = self.inflate.total_in();
        let inflated =
            self.inflate
                .decompress_vec(&self.packed, &mut self.plain, FlushDecompress::None);
        let status = inflated.map_err(|_| GunzipError::Corrupt)?;
        let taken = usize::try_from(self.inflate.total_in() - before).unwrap_or(usize::MAX);
        self.packed.advance(taken.min(self.packed.len()));
        self.is_whole = status == Status::StreamEnd;
        self.has_more = !self.is_whole && self.plain.len() == self.plain.capacity();
        let is_stuck = taken == 0 && self.plain.is_empty() && !self.is_whole;
        if is_stuck && !self.packed.is_empty() {
            return Err(GunzipError::Corrupt);
        }
        Ok(Step::Plain(self.take()))
    }

    /// Little is copied, lest a short event that waits for its client keep a large buffer.
    fn take(&mut self) -> Bytes {
        if self.plain.len() >= STEP_BYTES_MAX / 2 {
            return std::mem::take(&mut self.plain).into();
        }
        let copied = Bytes::copy_from_slice(&self.plain);
        self.plain.clear();
        copied
    }

    /// To be asked at the end of what comes, hungry.
    ///
    /// # Errors
    /// It is not the end of a member, or nothing has come at all.
    pub(super) fn finish(&self) -> Result<(), GunzipError> {
        match self.is_whole {
            true => Ok(()),
            false => Err(GunzipError::Truncated),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    /// Three members: JSON, nothing, and more than one step.
    fn members() -> (Vec<u8>, Vec<u8>) {
        let large: Vec<u8> = (0..10_000_u32).flat_map(u32::to_le_bytes).collect();
        let plain = [b"{\"items\":[]}".as_slice(), b"", &large];
        let packed = plain.iter().flat_map(|one| gzip(one)).collect();
        (plain.concat(), packed)
    }

    /// What comes of these chunks, and how it ends.
    fn gunzip<'a>(
        chunks: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Vec<u8>, Result<(), GunzipError>) {
        let (mut gunzip, mut plain) = (Gunzip::new(), Vec::new());
        for chunk in chunks {
            gunzip.feed(Bytes::copy_from_slice(chunk));
            loop {
                match gunzip.step() {
                    Ok(Step::Plain(bytes)) => {
                        assert!(bytes.len() <= STEP_BYTES_MAX, "{}", bytes.len());
                        plain.extend_from_slice(&bytes);
                    }
                    Ok(Step::Hungry) => break,
                    Err(error) => {
                        assert_eq!(gunzip.step(), Err(error.clone()), "it recovered");
                        return (plain, Err(error));
                    }
                }
            }
        }
        (plain, gunzip.finish())
    }

    #[test]
    fn all_members_are_read_however_they_are_cut() {
        let (plain, packed) = members();
        for at in 0..packed.len() {
            // Everywhere but in the middle of the large one.
            if at > 200 && at < packed.len() - 20 && at % 499 != 0 {
                continue;
            }
            let (first, second) = packed.split_at(at);
            assert_eq!(gunzip([first, second]), (plain.clone(), Ok(())), "at {at}");
        }
        for size in [1, 2, 7, 8, 13, 4096] {
            assert_eq!(gunzip(packed.chunks(size)), (plain.clone(), Ok(())));
        }
    }

    #[test]
    fn what_was_flushed_comes_out_at_once() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let mut gunzip = Gunzip::new();
        for event in ["{\"type\":\"ADDED\"}\n", "{\"type\":\"BOOKMARK\"}\n"] {
            encoder.write_all(event.as_bytes()).unwrap();
            encoder.flush().unwrap();
            gunzip.feed(std::mem::take(encoder.get_mut()).into());
            let mut plain = Vec::new();
            while let Step::Plain(bytes) = gunzip.step().unwrap() {
                plain.extend_from_slice(&bytes);
            }
            assert_eq!(plain, event.as_bytes());
        }
        assert_eq!(gunzip.finish(), Err(GunzipError::Truncated));
    }

    /// Even if a step's room ends in the middle of a repetition.
    #[test]
    fn nothing_is_kept_back_of_what_has_come() {
        let packed = gzip(&vec![b' '; STEP_BYTES_MAX + 1000]);
        for at in 0..packed.len() {
            let (prefix, _) = packed.split_at(at);
            let mut all = Vec::with_capacity(2 * STEP_BYTES_MAX);
            let mut inflate = Decompress::new_gzip(WINDOW_BITS);
            let status = inflate.decompress_vec(prefix, &mut all, FlushDecompress::None);
            assert!(status.is_ok());
            assert_eq!(gunzip([prefix]).0.len(), all.len(), "after {at}");
        }
    }

    #[test]
    fn a_stream_that_breaks_off_is_never_whole() {
        let first = gzip(b"{\"items\":[]}");
        let both = [first.as_slice(), &gzip(b"more")].concat();
        for length in 0..both.len() {
            let (_, end) = gunzip([both.get(..length).unwrap()]);
            // A member's end can't be told from the stream's; HTTP tells it.
            let wanted = match length == first.len() {
                true => Ok(()),
                false => Err(GunzipError::Truncated),
            };
            assert_eq!(end, wanted, "after {length} bytes");
        }
    }

    /// But for bits that say nothing, such as the header's time.
    #[test]
    fn a_bit_that_changed_never_changes_what_is_read() {
        let original = b"{\"items\":[{\"metadata\":{\"name\":\"a\"}}]}";
        let packed = gzip(original);
        let mut found = 0;
        for at in 0..packed.len() * 8 {
            let mut changed = packed.clone();
            *changed.get_mut(at / 8).unwrap() ^= 1 << (at % 8);
            let (plain, end) = gunzip([changed.as_slice()]);
            assert!(end.is_err() || plain == original, "bit {at}");
            found += usize::from(end.is_err());
        }
        assert!(found > original.len() * 8 / 2, "only {found} were found");
    }

    #[test]
    fn garbage_behind_the_last_member_is_an_error() {
        for garbage in [
            "{\"items\":[]}",
            "\0",
            "\0\0\0\0\0\0\0\0\0\0\0\0",
            "\u{1f}\0",
        ] {
            let packed = [gzip(b"{}").as_slice(), garbage.as_bytes()].concat();
            for size in [1, packed.len()] {
                let (plain, end) = gunzip(packed.chunks(size));
                assert_eq!(plain, b"{}");
                assert!(end.is_err(), "{garbage:?}");
            }
        }
        assert_eq!(
            gunzip([b"{\"items\":[]}".as_slice()]).1,
            Err(GunzipError::Corrupt)
        );
    }

    /// Zeros come in steps, and what is held meanwhile is one of them.
    #[test]
    fn a_bomb_goes_off_in_steps() {
        let packed = gzip(&vec![0; 8 << 20]);
        assert!(packed.len() < 128 << 10, "{}", packed.len());
        let mut gunzip = Gunzip::new();
        gunzip.feed(packed.into());
        let mut steps = 0;
        while let Step::Plain(bytes) = gunzip.step().unwrap() {
            assert!(bytes.len() <= STEP_BYTES_MAX);
            assert!(gunzip.plain.capacity() <= STEP_BYTES_MAX);
            steps += 1;
        }
        assert!(steps >= (8 << 20) / STEP_BYTES_MAX, "{steps}");
        assert_eq!(gunzip.finish(), Ok(()));
    }

    #[test]
    fn what_is_short_keeps_no_large_buffer() {
        let mut gunzip = Gunzip::new();
        gunzip.feed(gzip(b"{\"type\":\"ADDED\"}\n").into());
        let Step::Plain(bytes) = gunzip.step().unwrap() else {
            panic!("nothing came")
        };
        let Ok(bytes) = bytes.try_into_mut() else {
            panic!("it is shared")
        };
        assert!(bytes.capacity() < 100, "{}", bytes.capacity());
    }
}
