//! Writes JSON as Go does (`encoding/json`, `Marshal`): keys in byte order, `<`, `>` and `&`
//! escaped. Error messages that quote an object are then the same as kube-apiserver's.
//!
//! Characters that YAML treats as line breaks or rejects are escaped too, because kube-apiserver
//! parses an apply patch as YAML again.

use std::fmt::Write;

use super::decode::{Decoder, Value};
use super::document::Child;
use super::error::YamlError;
use super::number;
use super::scalar::ScalarValue;

/// Returns a document as JSON of at most `bytes_max` bytes.
pub(super) fn write(
    root: &Child,
    depth_max: usize,
    bytes_max: usize,
) -> Result<Vec<u8>, YamlError> {
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
    fn value(&mut self, child: &Child) -> Result<(), YamlError> {
        if self.out.len() > self.bytes_max {
            return Err(YamlError::TooLong {
                max: self.bytes_max,
            });
        }
        self.decoder.enter(child)?;
        match self.decoder.value(&child.node)? {
            Value::Scalar(scalar) => self.scalar(scalar)?,
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

    fn scalar(&mut self, value: ScalarValue<'_>) -> Result<(), YamlError> {
        match value {
            ScalarValue::Null => self.out.push_str("null"),
            ScalarValue::Bool(bool) => self.out.push_str(&bool.to_string()),
            ScalarValue::Int(int) => self.out.push_str(&int.to_string()),
            ScalarValue::Uint(uint) => self.out.push_str(&uint.to_string()),
            ScalarValue::Float(float) => match number::json(float) {
                Some(text) => self.out.push_str(&text),
                None => {
                    let go = if float.is_nan() {
                        "NaN"
                    } else if float > 0.0 {
                        "+Inf"
                    } else {
                        "-Inf"
                    };
                    return Err(YamlError::Invalid(format!("json: unsupported value: {go}")));
                }
            },
            ScalarValue::Text(text) | ScalarValue::Timestamp(text) => self.text(text),
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
        // Writing to a String cannot fail.
        let _ = write!(self.out, "\\u{:04x}", u32::from(c));
    }
}
