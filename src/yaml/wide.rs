//! UTF-16, which a document is in that begins with its byte order mark (`go.yaml.in/yaml/v2`,
//! `readerc.go`). UTF-32 is unknown there too.

use std::borrow::Cow;

use super::Error;

const LITTLE: &[u8] = b"\xff\xfe";
const BIG: &[u8] = b"\xfe\xff";

/// A document in UTF-8, without its mark if it was in UTF-16.
pub(super) fn to_utf8(yaml: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    let (units, read): (_, fn([u8; 2]) -> u16) = if let Some(units) = yaml.strip_prefix(LITTLE) {
        (units, u16::from_le_bytes)
    } else if let Some(units) = yaml.strip_prefix(BIG) {
        (units, u16::from_be_bytes)
    } else {
        return Ok(Cow::Borrowed(yaml));
    };
    let (units, rest) = units.as_chunks::<2>();
    let mut text = String::with_capacity(units.len());
    let mut decoded = char::decode_utf16(units.iter().map(|unit| read(*unit))).peekable();
    while let Some(letter) = decoded.next() {
        let is_last = decoded.peek().is_none();
        text.push(letter.map_err(|error| {
            Error::refused(match error.unpaired_surrogate() {
                0xDC00.. => "yaml: unexpected low surrogate area",
                _ if is_last => "yaml: incomplete UTF-16 surrogate pair",
                _ => "yaml: expected low surrogate area",
            })
        })?);
    }
    if rest.is_empty() {
        Ok(Cow::Owned(text.into_bytes()))
    } else {
        Err(Error::refused("yaml: incomplete UTF-16 character"))
    }
}
