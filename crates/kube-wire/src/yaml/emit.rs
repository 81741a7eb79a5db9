//! Emits YAML like `go.yaml.in/yaml/v2` (`emitterc.go`): block style, indented by 2 except for
//! sequences inside mappings, and long lines folded at the first space beyond 80 columns.

mod styles;
mod writer;

use self::writer::{INDENT, LineWriter};
use super::decode::{Decoder, Value};
use super::document::Child;
use super::error::YamlError;
use super::quote::{self, ScalarStyle, is_break};
use super::scalar::ScalarValue;
use super::{number, order};

/// Maximum length of a key in bytes that is written before a colon. A longer key is written after a question
/// mark.
const SIMPLE_KEY_BYTES_MAX: usize = 128;

/// Returns a document as YAML.
pub(super) fn write(root: &Child, depth_max: usize, bytes_max: usize) -> Result<String, YamlError> {
    let mut emitter = Emitter {
        decoder: Decoder::new(depth_max),
        out: LineWriter::default(),
        bytes_max,
    };
    emitter.node(root, Context::Root)?;
    Ok(emitter.out.finish())
}

/// The kind of parent that a node has.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Context {
    Root,
    Sequence,
    Mapping,
}

struct Emitter {
    decoder: Decoder,
    out: LineWriter,
    bytes_max: usize,
}

impl Emitter {
    fn node(&mut self, child: &Child, context: Context) -> Result<(), YamlError> {
        if self.out.len() > self.bytes_max {
            return Err(YamlError::TooLong {
                max: self.bytes_max,
            });
        }
        self.decoder.enter(child)?;
        match self.decoder.value(&child.node)? {
            Value::Scalar(value) => self.scalar(value),
            Value::Sequence([]) => self.empty("[", "]"),
            Value::Sequence(items) => self.sequence(items, context)?,
            Value::Mapping(members) if members.is_empty() => self.empty("{", "}"),
            Value::Mapping(members) => {
                let outer = self.out.indent;
                self.out.indent = Some(outer.map_or(0, |outer| outer + INDENT));
                for (key, value) in order::sort(members.into_iter().collect()) {
                    self.member(&key, value)?;
                }
                self.out.indent = outer;
            }
        }
        self.decoder.leave(child);
        Ok(())
    }

    fn sequence(&mut self, items: &[Child], context: Context) -> Result<(), YamlError> {
        let outer = self.out.indent;
        let is_indentless = context == Context::Mapping && !self.out.is_at_indent();
        self.out.indent = match outer {
            Some(outer) if is_indentless => Some(outer),
            Some(outer) => Some(outer + INDENT),
            None => Some(0),
        };
        for item in items {
            self.out.begin_line();
            self.out.block_indicator("-");
            self.node(item, Context::Sequence)?;
        }
        self.out.indent = outer;
        Ok(())
    }

    fn member(&mut self, key: &str, value: &Child) -> Result<(), YamlError> {
        self.out.begin_line();
        if key.len() <= SIMPLE_KEY_BYTES_MAX && !key.contains(is_break) {
            self.text(key, true);
            self.out.indicator(":");
        } else {
            self.out.block_indicator("?");
            self.text(key, false);
            self.out.begin_line();
            self.out.block_indicator(":");
        }
        self.node(value, Context::Mapping)
    }

    fn empty(&mut self, open: &str, close: &str) {
        self.out.separate();
        self.out.indicator(open);
        self.out.indicator(close);
    }

    fn scalar(&mut self, value: ScalarValue<'_>) {
        let text = match value {
            ScalarValue::Text(text) | ScalarValue::Timestamp(text) => {
                return self.text(text, false);
            }
            ScalarValue::Null => "null".to_owned(),
            ScalarValue::Bool(bool) => bool.to_string(),
            ScalarValue::Int(int) => int.to_string(),
            ScalarValue::Uint(uint) => uint.to_string(),
            ScalarValue::Float(float) => number::general(float),
        };
        self.out.separate();
        self.out.indicator(&text);
    }

    fn text(&mut self, text: &str, is_simple_key: bool) {
        let outer = self.out.indent;
        self.out.indent = Some(outer.map_or(INDENT, |outer| outer + INDENT));
        self.out.separate();
        let may_fold = !is_simple_key;
        match quote::style(text, is_simple_key) {
            ScalarStyle::Plain => styles::plain(&mut self.out, text, may_fold),
            ScalarStyle::Single => styles::single_quoted(&mut self.out, text, may_fold),
            ScalarStyle::Double => styles::double_quoted(&mut self.out, text, may_fold),
            ScalarStyle::Literal => styles::literal(&mut self.out, text),
        }
        self.out.indent = outer;
    }
}
