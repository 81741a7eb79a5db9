//! Escapes in JSON strings (RFC 8259 §7).

use std::borrow::Cow;

/// Returns the unescaped text of a string's raw content. Borrows it if there are no escapes; otherwise see
/// [`unescape`].
pub(super) fn unescaped(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    if before_backslash(raw).len() == raw.len() {
        return Some(Cow::Borrowed(raw));
    }
    let mut text = Vec::with_capacity(raw.len());
    unescape(raw, &mut text)?;
    Some(Cow::Owned(text))
}

/// Returns the bytes before the first backslash.
#[inline]
pub(super) fn before_backslash(text: &[u8]) -> &[u8] {
    const LOW: u64 = 0x0101_0101_0101_0101;
    let (words, _) = text.as_chunks::<8>();
    let mut end = 0;
    // Eight bytes at a time. A byte that equals the backslash becomes zero, and subtracting 1 from the lowest such
    // byte sets its top bit.
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

/// Appends the unescaped text of a string's raw content. A lone surrogate becomes the three bytes of its code point,
/// encoded like UTF-8. Returns `None` for an invalid escape or a control character.
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

/// Unescapes the escape after a backslash and returns the rest.
fn unescape_one<'a>(rest: &'a [u8], into: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (&kind, rest) = rest.split_first()?;
    if kind != b'u' {
        into.push(one_letter(kind)?);
        return Some(rest);
    }
    let (unit, rest) = hex4(rest)?;
    if is_high_surrogate(unit)
        && let Some((low, after)) = rest.strip_prefix(b"\\u").and_then(hex4)
        && let Some(point) = combine_surrogates(unit, low)
    {
        push_code_point(point, into);
        return Some(after);
    }
    push_code_point(unit, into);
    Some(rest)
}

/// Returns whether a UTF-16 code unit is a high surrogate, the first half of a pair.
pub(super) fn is_high_surrogate(unit: u32) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

/// Returns the code point of a surrogate pair, or `None` if `low` is not a low surrogate. `high` is a high surrogate.
pub(super) fn combine_surrogates(high: u32, low: u32) -> Option<u32> {
    let is_low = (0xdc00..0xe000).contains(&low);
    is_low.then(|| 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
}

/// Returns the byte of a one-letter escape.
pub(super) fn one_letter(kind: u8) -> Option<u8> {
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

/// Appends a code point as UTF-8, including surrogates, which `char` cannot represent.
pub(super) fn push_code_point(point: u32, into: &mut Vec<u8>) {
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

/// For each byte, whether [`escape`] copies it. A table takes fewer instructions than comparisons.
#[allow(
    clippy::indexing_slicing,
    reason = "the compiler evaluates it, so it cannot panic"
)]
static UNESCAPED: [bool; 256] = {
    let mut table = [true; 256];
    let mut byte = 0;
    while byte < table.len() {
        // Control characters, the quote, `&`, `<`, `>`, the backslash, and the first byte of U+2028 and U+2029.
        let is_escaped = byte < 0x20 || matches!(byte, 0x22 | 0x26 | 0x3c | 0x3e | 0x5c | 0xe2);
        table[byte] = !is_escaped;
        byte += 1;
    }
    table
};

fn is_unescaped(byte: u8) -> bool {
    UNESCAPED.get(usize::from(byte)).is_some_and(|it| *it)
}

/// Appends `text`, escaped as Go's `encoding/json` does by default, so that documents written by Go keep their style.
/// If `is_embedded`, the text is part of JSON in a string, so the result is escaped a second time.
pub(super) fn escape(text: &str, into: &mut Vec<u8>, is_embedded: bool) {
    if text.bytes().all(is_unescaped) {
        into.extend_from_slice(text.as_bytes());
        return;
    }
    let mut put = |byte| {
        if is_embedded && matches!(byte, b'"' | b'\\') {
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
    fn valid_escapes_are_unescaped_and_others_rejected() {
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
    fn unescape_reverses_escape() {
        let all = "a\"\\\n\r\t\u{8}\u{c}\u{1}\u{7f}<&>\u{2027}\u{2028}\u{2029}é😀";
        let mut content = Vec::new();
        escape(all, &mut content, false);
        let content = String::from_utf8(content).unwrap();
        assert_eq!(text(&content).unwrap(), all.as_bytes());
        let (mut embedded, mut twice) = (Vec::new(), Vec::new());
        escape(all, &mut embedded, true);
        escape(&content, &mut twice, false);
        assert_eq!(embedded, twice);
    }

    #[test]
    fn escapes_match_go() {
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
