//! JSON documents that keep the spelling of strings, and duplicate keys.

/// A JSON document that keeps what parsers lose: how strings are escaped, and duplicate keys.
#[derive(Clone, Debug)]
pub enum Tree {
    /// A number or a literal.
    Scalar(String),
    Text(Text),
    /// A string that contains this document.
    Json(Box<Self>),
    Array(Vec<Self>),
    Object(Vec<(Text, Self)>),
}

/// A string as written, with its unescaped bytes.
#[derive(Clone, Debug)]
pub struct Text {
    pub raw: Vec<u8>,
    pub value: Vec<u8>,
}

impl Text {
    /// Escapes a text as serde_json does.
    pub fn plain(value: &str) -> Self {
        let quoted = serde_json::to_string(value).unwrap();
        Self {
            raw: quoted.as_bytes()[1..quoted.len() - 1].to_vec(),
            value: value.as_bytes().to_vec(),
        }
    }

    /// Escapes a text as Go does.
    pub(crate) fn escaped_like_go(value: &str) -> Self {
        let Self { raw, value } = Self::plain(value);
        let raw = String::from_utf8(raw).unwrap();
        let raw = raw.chars().map(|c| match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => format!("\\u{:04x}", u32::from(c)),
            c => c.to_string(),
        });
        let raw = raw.collect::<String>().into_bytes();
        Self { raw, value }
    }
}

impl Tree {
    /// Appends the JSON text, with `space` between all tokens.
    pub fn write(&self, space: &str, to: &mut Vec<u8>) {
        let put = |text: &[u8], to: &mut Vec<u8>| {
            to.extend_from_slice(text);
            to.extend_from_slice(space.as_bytes());
        };
        let quoted = |raw: &[u8], to: &mut Vec<u8>| put(&[b"\"", raw, b"\""].concat(), to);
        match self {
            Self::Scalar(text) => put(text.as_bytes(), to),
            Self::Text(text) => quoted(&text.raw, to),
            Self::Json(inner) => quoted(&inner.embedded().raw, to),
            Self::Array(items) => {
                put(b"[", to);
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        put(b",", to);
                    }
                    item.write(space, to);
                }
                put(b"]", to);
            }
            Self::Object(members) => {
                put(b"{", to);
                for (at, (key, value)) in members.iter().enumerate() {
                    if at > 0 {
                        put(b",", to);
                    }
                    quoted(&key.raw, to);
                    put(b":", to);
                    value.write(space, to);
                }
                put(b"}", to);
            }
        }
    }

    /// Returns the depth of nested containers.
    pub(crate) fn depth(&self) -> usize {
        let deepest = match self {
            Self::Scalar(_) | Self::Text(_) | Self::Json(_) => return 0,
            Self::Array(items) => items.iter().map(Self::depth).max(),
            Self::Object(members) => members.iter().map(|(_, value)| value.depth()).max(),
        };
        1 + deepest.unwrap_or_default()
    }

    /// Returns the string that contains this document.
    pub(crate) fn embedded(&self) -> Text {
        let mut text = Vec::new();
        self.write("", &mut text);
        // Embedded JSON has neither lone surrogates nor invalid UTF-8.
        Text::plain(std::str::from_utf8(&text).unwrap())
    }
}
