//! JSON as Go writes it (`encoding/json`, `Marshal`): keys in the order of their bytes, `<`, `>` and `&`
//! escaped. So a message that quotes the object is the same.
//!
//! Beyond that, what YAML takes for a break or does not take at all is escaped: an apply patch is read
//! as YAML again.

use std::fmt::Write;

use super::decode::{Decoder, Value};
use super::document::Child;
use super::scalar::Meaning;
use super::{Error, number};

/// A document as JSON, in at most `bytes_max` bytes.
pub(super) fn write(root: &Child, depth_max: usize, bytes_max: usize) -> Result<Vec<u8>, Error> {
    let mut writer = Writer {
        decoder: Decoder::new(depth_max),
        out: String::new(),
        bytes_max,
    };
    writer.value(root)?;
    Ok(writer.out.into_bytes())
}

struct Writer {
    decoder: Decoder,
    out: String,
    bytes_max: usize,
}

impl Writer {
    fn value(&mut self, child: &Child) -> Result<(), Error> {
        if self.out.len() > self.bytes_max {
            return Err(Error::TooLong {
                max: self.bytes_max,
            });
        }
        self.decoder.enter(child)?;
        match self.decoder.value(&child.node)? {
            Value::Scalar(meaning) => self.scalar(meaning)?,
            Value::Sequence(items) => {
                self.out.push('[');
                for (at, item) in items.iter().enumerate() {
                    self.separate(at);
                    self.value(item)?;
                }
                self.out.push(']');
            }
            Value::Mapping(members) => {
                self.out.push('{');
                for (at, (key, value)) in members.into_iter().enumerate() {
                    self.separate(at);
                    self.text(&key);
                    self.out.push(':');
                    self.value(value)?;
                }
                self.out.push('}');
            }
        }
        self.decoder.leave(child);
        Ok(())
    }

    fn separate(&mut self, at: usize) {
        if at > 0 {
            self.out.push(',');
        }
    }

    fn scalar(&mut self, meaning: Meaning<'_>) -> Result<(), Error> {
        match meaning {
            Meaning::Null => self.out.push_str("null"),
            Meaning::Bool(bool) => self.out.push_str(&bool.to_string()),
            Meaning::Int(int) => self.out.push_str(&int.to_string()),
            Meaning::Uint(uint) => self.out.push_str(&uint.to_string()),
            Meaning::Float(float) => match number::json(float) {
                Some(text) => self.out.push_str(&text),
                None => {
                    let go = if float.is_nan() {
                        "NaN"
                    } else if float > 0.0 {
                        "+Inf"
                    } else {
                        "-Inf"
                    };
                    return Err(Error::Refused(format!("json: unsupported value: {go}")));
                }
            },
            Meaning::Text(text) | Meaning::Timestamp(text) => self.text(text),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => self.escaped(c),
                '\u{7f}'..='\u{9f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => self.escaped(c),
                _ => self.out.push(c),
            }
        }
        self.out.push('"');
    }

    fn escaped(&mut self, c: char) {
        // Writing to a string does not fail.
        let _ = write!(self.out, "\\u{:04x}", u32::from(c));
    }
}
