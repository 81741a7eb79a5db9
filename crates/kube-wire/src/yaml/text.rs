//! Text encodings of YAML streams.

use std::borrow::Cow;

use super::error::YamlError;

/// Marks the encoding at the start of a stream.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

/// Decodes bytes as UTF-8, or as UTF-16 if a byte order mark says so (`readerc.go`). The result has
/// no mark.
pub(super) fn decode_text(bytes: &[u8]) -> Result<Cow<'_, str>, YamlError> {
    let units: fn([u8; 2]) -> u16 = match bytes {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => {
            let text = std::str::from_utf8(bytes);
            let text = text.map_err(|_| YamlError::invalid("yaml: invalid UTF-8"))?;
            return Ok(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).into());
        }
    };
    let (pairs, odd) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(pairs.len());
    let pairs = pairs.iter().skip(1).map(|pair| units(*pair));
    let mut letters = char::decode_utf16(pairs).peekable();
    while let Some(letter) = letters.next() {
        let is_last = letters.peek().is_none();
        text.push(letter.map_err(|error| {
            YamlError::invalid(match error.unpaired_surrogate() {
                0xdc00.. => "yaml: unexpected low surrogate area",
                _ if is_last => "yaml: incomplete UTF-16 surrogate pair",
                _ => "yaml: expected low surrogate area",
            })
        })?);
    }
    if odd.is_empty() {
        Ok(text.into())
    } else {
        Err(YamlError::invalid("yaml: incomplete UTF-16 character"))
    }
}
