//! Decompresses gzip streams at every split, and truncated, damaged and extremely compressed ones.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// Three members: JSON, nothing, and data of several steps.
fn members() -> (Vec<u8>, Vec<u8>) {
    let large: Vec<u8> = (0..10_000_u32).flat_map(u32::to_le_bytes).collect();
    let plain = [b"{\"items\":[]}".as_slice(), b"", &large];
    let compressed = plain.iter().flat_map(|one| gzip(one)).collect();
    (plain.concat(), compressed)
}

/// Decompresses chunks. Returns the output and the result of the end.
fn gunzip<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Result<(), GunzipError>) {
    let (mut gunzip, mut plain) = (Gunzip::new(), Vec::new());
    for chunk in chunks {
        gunzip.feed(Bytes::copy_from_slice(chunk));
        loop {
            match gunzip.step() {
                Ok(Step::Plain(bytes)) => {
                    assert!(bytes.len() <= STEP_BYTES_MAX, "{}", bytes.len());
                    plain.extend_from_slice(&bytes);
                }
                Ok(Step::NeedInput) => break,
                Err(error) => {
                    assert_eq!(
                        gunzip.step(),
                        Err(error.clone()),
                        "a corrupt stream recovered"
                    );
                    return (plain, Err(error));
                }
            }
        }
    }
    (plain, gunzip.finish())
}

#[test]
fn members_are_decompressed_at_every_split() {
    let (plain, compressed) = members();
    for at in 0..compressed.len() {
        // Skips most positions inside the large member.
        if at > 200 && at < compressed.len() - 20 && at % 499 != 0 {
            continue;
        }
        let (first, second) = compressed.split_at(at);
        assert_eq!(gunzip([first, second]), (plain.clone(), Ok(())), "at {at}");
    }
    for size in [1, 2, 7, 8, 13, 4096] {
        assert_eq!(gunzip(compressed.chunks(size)), (plain.clone(), Ok(())));
    }
}

#[test]
fn flushed_data_is_available_at_once() {
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

/// The output of a step may end inside a repetition of DEFLATE.
#[test]
fn all_available_output_is_returned() {
    let compressed = gzip(&vec![b' '; STEP_BYTES_MAX + 1000]);
    for at in 0..compressed.len() {
        let (prefix, _) = compressed.split_at(at);
        let mut all = Vec::with_capacity(2 * STEP_BYTES_MAX);
        let mut inflate = Decompress::new_gzip(WINDOW_BITS);
        let status = inflate.decompress_vec(prefix, &mut all, FlushDecompress::None);
        assert!(status.is_ok());
        assert_eq!(gunzip([prefix]).0.len(), all.len(), "after {at}");
    }
}

#[test]
fn truncated_streams_are_errors() {
    let first = gzip(b"{\"items\":[]}");
    let both = [first.as_slice(), &gzip(b"more")].concat();
    for length in 0..both.len() {
        let (_, end) = gunzip([both.get(..length).unwrap()]);
        // The end of a member can also be the end of the stream; HTTP decides.
        let expected = match length == first.len() {
            true => Ok(()),
            false => Err(GunzipError::Truncated),
        };
        assert_eq!(end, expected, "after {length} bytes");
    }
}

/// Some bits have no effect, for example the time in the header, so not every flip is an error.
#[test]
fn flipped_bits_never_change_the_output() {
    let original = b"{\"items\":[{\"metadata\":{\"name\":\"a\"}}]}";
    let compressed = gzip(original);
    let mut found = 0;
    for at in 0..compressed.len() * 8 {
        let mut changed = compressed.clone();
        *changed.get_mut(at / 8).unwrap() ^= 1 << (at % 8);
        let (plain, end) = gunzip([changed.as_slice()]);
        assert!(end.is_err() || plain == original, "bit {at}");
        found += usize::from(end.is_err());
    }
    assert!(found > original.len() * 8 / 2, "only {found} were detected");
}

#[test]
fn garbage_after_the_last_member_is_an_error() {
    for garbage in [
        "{\"items\":[]}",
        "\0",
        "\0\0\0\0\0\0\0\0\0\0\0\0",
        "\u{1f}\0",
    ] {
        let compressed = [gzip(b"{}").as_slice(), garbage.as_bytes()].concat();
        for size in [1, compressed.len()] {
            let (plain, end) = gunzip(compressed.chunks(size));
            assert_eq!(plain, b"{}");
            assert!(end.is_err(), "{garbage:?}");
        }
    }
    assert_eq!(
        gunzip([b"{\"items\":[]}".as_slice()]).1,
        Err(GunzipError::Corrupt)
    );
}

/// Memory stays within one step.
#[test]
fn decompression_bomb_is_decompressed_in_steps() {
    let compressed = gzip(&vec![0; 8 << 20]);
    assert!(compressed.len() < 128 << 10, "{}", compressed.len());
    let mut gunzip = Gunzip::new();
    gunzip.feed(compressed.into());
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
fn short_output_keeps_no_large_buffer() {
    let mut gunzip = Gunzip::new();
    gunzip.feed(gzip(b"{\"type\":\"ADDED\"}\n").into());
    let Step::Plain(bytes) = gunzip.step().unwrap() else {
        panic!("no output")
    };
    let Ok(bytes) = bytes.try_into_mut() else {
        panic!("the buffer is shared")
    };
    assert!(bytes.capacity() < 100, "{}", bytes.capacity());
}
