//! Runs the rewriter over chunks, and cuts documents into chunks.

use bytes::{Buf, Bytes};
use json_rewrite::{Framing, Handler, Limits, Output, RewriteError, Rewriter, Rules};

use crate::renamer::Renamer;

/// Runs the rewriter and returns its output.
pub fn run<'a>(
    mut rewriter: Rewriter<impl Handler>,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, RewriteError> {
    let mut out = Output::default();
    for chunk in chunks {
        rewriter.feed(Bytes::copy_from_slice(chunk), &mut out)?;
    }
    rewriter.finish(&mut out)?;
    Ok(out.copy_to_bytes(out.len()).to_vec())
}

/// Rewrites an input in one chunk, split at every byte, and byte by byte, each time with a new rewriter. Returns the
/// result for one chunk.
///
/// # Panics
/// If the output or the kind of error depends on the chunks.
pub fn run_with_all_splits<H: Handler>(
    new_rewriter: impl Fn() -> Rewriter<H>,
    input: &[u8],
) -> Result<Vec<u8>, RewriteError> {
    let kind = |result: Result<Vec<u8>, RewriteError>| {
        result.map_err(|error| std::mem::discriminant(&error))
    };
    let whole = run(new_rewriter(), [input]);
    let expected = kind(whole.clone());
    let shown = String::from_utf8_lossy(input);
    for at in 0..=input.len() {
        let (first, second) = input.split_at(at);
        let split = run(new_rewriter(), [first, second]);
        assert_eq!(kind(split), expected, "split at {at}: {shown}");
    }
    let bytes = run(new_rewriter(), input.chunks(1));
    assert_eq!(kind(bytes), expected, "byte by byte: {shown}");
    whole
}

/// Returns a rewriter whose handler is a [`Renamer`].
pub fn rewriter(rules: &Rules, framing: Framing, limits: Limits) -> Rewriter<Renamer> {
    Rewriter::new(rules.clone(), framing, limits, Renamer::default())
}

/// Cuts a text into chunks of the given sizes, used in turn.
pub fn cut<'a>(text: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = text;
    let mut chunks = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at((*size).clamp(1, rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

/// Removes the white space between tokens.
pub fn without_space(text: &[u8]) -> Vec<u8> {
    let (mut in_string, mut escaped) = (false, false);
    let is_kept = |byte: &&u8| {
        let byte = **byte;
        if escaped {
            escaped = false;
        } else if in_string && byte == b'\\' {
            escaped = true;
        } else if byte == b'"' {
            in_string = !in_string;
        }
        in_string || !byte.is_ascii_whitespace()
    };
    text.iter().filter(is_kept).copied().collect()
}
