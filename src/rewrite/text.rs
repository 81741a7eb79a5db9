//! Escapes of JSON strings (RFC 8259 §7).

use std::borrow::Cow;

/// The text that a string's raw content stands for, which is the content itself where it has no
/// escapes; else see [`unescape`].
pub(super) fn unescaped(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    if up_to_backslash(raw).len() == raw.len() {
        return Some(Cow::Borrowed(raw));
    }
    let mut text = Vec::with_capacity(raw.len());
    unescape(raw, &mut text)?;
    Some(Cow::Owned(text))
}

/// The bytes before the first backslash.
#[inline]
pub(super) fn up_to_backslash(text: &[u8]) -> &[u8] {
    const LOW: u64 = 0x0101_0101_0101_0101;
    let (words, _) = text.as_chunks::<8>();
    let mut end = 0;
    // Eight bytes at a time: the lowest one that becomes zero borrows into its top bit.
    for word in words {
        let differs = u64::from_le_bytes(*word) ^ (LOW * u64::from(b'\\'));
        let zeros = differs.wrapping_sub(LOW) & !differs & (LOW << 7);
        if zeros != 0 {
            end += zeros.trailing_zeros() as usize / 8;
            return text.get(..end).unwrap_or_default();
        }
        end += word.len();
    }
    let rest = text.get(end..).unwrap_or_default();
    let rest_end = rest.iter().position(|byte| *byte == b'\\');
    let end = end + rest_end.unwrap_or(rest.len());
    text.get(..end).unwrap_or_default()
}

/// Appends the text that a string's raw content stands for; a lone surrogate as the three bytes of
/// its code point. `None` for an escape that is none, or a control character.
pub(super) fn unescape(raw: &[u8], into: &mut Vec<u8>) -> Option<()> {
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'\\' => rest = unescape_one(rest, into)?,
            0..0x20 => return None,
            byte => into.push(byte),
        }
    }
    Some(())
}

/// What follows a backslash; the rest behind it.
fn unescape_one<'a>(rest: &'a [u8], into: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (&kind, rest) = rest.split_first()?;
    if kind != b'u' {
        into.push(simple(kind)?);
        return Some(rest);
    }
    let (unit, rest) = hex4(rest)?;
    if is_high(unit)
        && let Some((low, after)) = rest.strip_prefix(b"\\u").and_then(hex4)
        && let Some(point) = pair(unit, low)
    {
        push(point, into);
        return Some(after);
    }
    push(unit, into);
    Some(rest)
}

/// Whether a unit of UTF-16 may be the first half of a surrogate pair.
pub(super) fn is_high(unit: u32) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

/// The code point of a pair whose first half is `high`; `None` if the other unit is no second half.
pub(super) fn pair(high: u32, low: u32) -> Option<u32> {
    let is_low = (0xdc00..0xe000).contains(&low);
    is_low.then(|| 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
}

/// The byte that a one-letter escape stands for.
pub(super) fn simple(kind: u8) -> Option<u8> {
    Some(match kind {
        b'"' | b'\\' | b'/' => kind,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    })
}

fn hex4(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_at_checked(4)?;
    let digits = std::str::from_utf8(digits).ok()?;
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

/// Code point to bytes, surrogates too, which `char` can't hold.
pub(super) fn push(point: u32, into: &mut Vec<u8>) {
    let byte = |value: u32| u8::try_from(value & 0xff).unwrap_or(b'?');
    if let Some(c) = char::from_u32(point) {
        into.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        let bytes = [
            0xe0 | (point >> 12),
            0x80 | ((point >> 6) & 0x3f),
            0x80 | (point & 0x3f),
        ];
        into.extend(bytes.map(byte));
    }
}

/// Appends the content of a string that stands for the text, to be put between quotes; `within` a
/// string, that content is escaped once more. Written as Go's encoding/json does by default, so that
/// who wrote the document would have written it so.
pub(super) fn escape(text: &str, into: &mut Vec<u8>, within: bool) {
    let stands_for_itself = |byte| match byte {
        0..0x20 | b'"' | b'\\' | b'<' | b'>' | b'&' => false,
        // The line separators begin so.
        byte => byte != 0xe2,
    };
    if text.bytes().all(stands_for_itself) {
        into.extend_from_slice(text.as_bytes());
        return;
    }
    let mut put = |byte| {
        if within && matches!(byte, b'"' | b'\\') {
            into.push(b'\\');
        }
        into.push(byte);
    };
    for c in text.chars() {
        let letter = match c {
            '"' => b'"',
            '\\' => b'\\',
            '\u{8}' => b'b',
            '\u{c}' => b'f',
            '\n' => b'n',
            '\r' => b'r',
            '\t' => b't',
            '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let unit = format!("\\u{:04x}", u32::from(c));
                unit.bytes().for_each(&mut put);
                continue;
            }
            c => {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(&mut put);
                continue;
            }
        };
        put(b'\\');
        put(letter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(raw: &str) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        unescape(raw.as_bytes(), &mut text).map(|()| text)
    }

    #[test]
    fn escapes_stand_for_characters() {
        assert_eq!(text(r#"a\u0062\n\/\"\\"#).unwrap(), b"ab\n/\"\\");
        assert_eq!(text(r"\ud83d\ude00").unwrap(), "😀".as_bytes());
        assert_eq!(text(r"\ud83dx").unwrap(), b"\xed\xa0\xbdx");
        assert_eq!(
            text(r"\ud83d\ud83d\ude00").unwrap(),
            b"\xed\xa0\xbd\xf0\x9f\x98\x80"
        );
        for bad in [r"\x", r"\u12", r"\u+123", "\\", "\n"] {
            assert_eq!(text(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_escaped_is_unescaped_to_itself() {
        let all = "a\"\\\n\r\t\u{8}\u{c}\u{1}\u{7f}<&>\u{2027}\u{2028}\u{2029}é😀";
        let mut content = Vec::new();
        escape(all, &mut content, false);
        let content = String::from_utf8(content).unwrap();
        assert_eq!(text(&content).unwrap(), all.as_bytes());
        let (mut within, mut twice) = (Vec::new(), Vec::new());
        escape(all, &mut within, true);
        escape(&content, &mut twice, false);
        assert_eq!(within, twice);
    }

    #[test]
    fn what_is_escaped_is_written_as_go_writes_it() {
        for (plain, content) in [
            ("a<b>&c", r"a\u003cb\u003e\u0026c"),
            ("\u{2028}…\u{2029}", r"\u2028…\u2029"),
            ("\u{0}\u{1f}\u{8}\u{c}\n\r\t", r"\u0000\u001f\b\f\n\r\t"),
            ("/'é\u{7f}", "/'é\u{7f}"),
        ] {
            let (mut once, mut twice) = (Vec::new(), Vec::new());
            escape(plain, &mut once, false);
            escape(plain, &mut twice, true);
            assert_eq!(String::from_utf8(once).unwrap(), content);
            assert_eq!(
                String::from_utf8(twice).unwrap(),
                content.replace('\\', r"\\")
            );
        }
    }
}
