//! Strings as Go's `strconv.Quote` writes them.

use std::collections::HashMap;

/// A Go string literal at the start of a text.
pub(super) struct GoString<'a> {
    content: String,
    /// The escape for each escaped character. Go always escapes a character in the same way.
    escapes: HashMap<char, &'a str>,
    length: usize,
}

impl<'a> GoString<'a> {
    /// Reads the string at the start of a text. Returns `None` if it does not end, or if Go would not have
    /// quoted it that way.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (mut content, mut escapes) = (String::new(), HashMap::new());
        let mut rest = text.strip_prefix('"')?;
        loop {
            let (plain, after) = rest.split_at(rest.find(['"', '\\'])?);
            content.push_str(plain);
            if let Some(after) = after.strip_prefix('"') {
                return Some(Self {
                    content,
                    escapes,
                    length: text.len() - after.len(),
                });
            }
            let (character, length) = decode_escape(after)?;
            let (escape, after) = after.split_at_checked(length)?;
            content.push(character);
            escapes.insert(character, escape);
            rest = after;
        }
    }

    /// Returns the unquoted content.
    pub(super) fn content(&self) -> &str {
        &self.content
    }

    /// Returns the length of the quoted string in bytes, including its quotes.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Quotes another content with the same escapes.
    pub(super) fn quote(&self, content: &str) -> String {
        let mut quoted = String::with_capacity(self.length);
        quoted.push('"');
        for character in content.chars() {
            match self.escapes.get(&character) {
                Some(escape) => quoted.push_str(escape),
                None => quoted.push(character),
            }
        }
        quoted.push('"');
        quoted
    }
}

/// Decodes an escape, and returns its character and its length in bytes. Returns `None` for an escaped byte
/// that is not a character.
fn decode_escape(escape: &str) -> Option<(char, usize)> {
    let digits = |from: usize, count: usize| {
        let digits = escape.get(from..from + count)?;
        let code = u32::from_str_radix(digits, 16).ok()?;
        Some((char::from_u32(code)?, from + count))
    };
    let short = |character: char| Some((character, 2));
    match escape.as_bytes().get(1)? {
        b'a' => short('\u{7}'),
        b'b' => short('\u{8}'),
        b'f' => short('\u{c}'),
        b'n' => short('\n'),
        b'r' => short('\r'),
        b't' => short('\t'),
        b'v' => short('\u{b}'),
        b'\\' => short('\\'),
        b'"' => short('"'),
        b'x' => digits(2, 2).filter(|(character, _)| character.is_ascii()),
        b'u' => digits(2, 4),
        b'U' => digits(2, 8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_the_content_restores_the_string() {
        let quoted = r#""{\"a\":\"\a\b\f\n\r\t\v\\ é ☺ \x7f \u200b \ufeff \U000e0001 \u2028\"}""#;
        let unquoted = GoString::read(&format!("{quoted} and more\"")).map(|read| {
            assert_eq!(read.quote(&read.content), quoted);
            (read.content, read.length)
        });
        let content = "{\"a\":\"\u{7}\u{8}\u{c}\n\r\t\u{b}\\ é ☺ \u{7f} \u{200b} \u{feff} \u{e0001} \u{2028}\"}";
        assert_eq!(unquoted, Some((content.to_owned(), quoted.len())));
    }

    #[test]
    fn string_that_go_does_not_write_is_not_read() {
        for quoted in [
            r#"""#,
            r#""\"#,
            r#""\x"#,
            r#""\x4"#,
            r#""\xff""#,
            r#""\u12""#,
            r#""\ud800""#,
            r#""\U00110000""#,
            r#""\q""#,
            r#""a\""#,
        ] {
            assert!(GoString::read(quoted).is_none(), "{quoted}");
        }
    }
}
