//! YAML as `go.yaml.in/yaml/v2` writes it: blocks, indented by 2 but for lists in mappings, lines folded
//! at the first space beyond 80 columns (`emitterc.go`).

use super::decode::{Decoder, Value};
use super::document::Child;
use super::quote::{self, Style, is_break, is_printable};
use super::scalar::Meaning;
use super::{Error, number, order};

const INDENT: usize = 2;
const WIDTH: usize = 80;

/// Bytes of a key beyond which it is written after a question mark.
const SIMPLE_KEY_BYTES_MAX: usize = 128;

/// A document in YAML.
pub(super) fn write(root: &Child, depth_max: usize, bytes_max: usize) -> Result<String, Error> {
    let mut emitter = Emitter {
        decoder: Decoder::new(depth_max),
        out: String::new(),
        bytes_max,
        column: 0,
        indent: None,
        is_after_space: true,
        is_at_indent: true,
    };
    emitter.node(root, Context::Root)?;
    emitter.indent = None;
    emitter.line();
    Ok(emitter.out)
}

/// Where a node stands.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Context {
    Root,
    Item,
    Member,
}

struct Emitter {
    decoder: Decoder,
    out: String,
    bytes_max: usize,
    column: usize,
    indent: Option<usize>,
    /// The last that was written needs no space after it.
    is_after_space: bool,
    /// On this line there is nothing but indentation and dashes.
    is_at_indent: bool,
}

impl Emitter {
    fn node(&mut self, child: &Child, context: Context) -> Result<(), Error> {
        if self.out.len() > self.bytes_max {
            return Err(Error::TooLong {
                max: self.bytes_max,
            });
        }
        self.decoder.enter(child)?;
        match self.decoder.value(&child.node)? {
            Value::Scalar(meaning) => self.scalar(meaning),
            Value::Sequence([]) => self.empty("[", "]"),
            Value::Sequence(items) => self.sequence(items, context)?,
            Value::Mapping(members) if members.is_empty() => self.empty("{", "}"),
            Value::Mapping(members) => {
                let outer = self.indent;
                self.indent = Some(outer.map_or(0, |outer| outer + INDENT));
                for (key, value) in order::sort(members.into_iter().collect()) {
                    self.member(&key, value)?;
                }
                self.indent = outer;
            }
        }
        self.decoder.leave(child);
        Ok(())
    }

    fn sequence(&mut self, items: &[Child], context: Context) -> Result<(), Error> {
        let outer = self.indent;
        let is_indentless = context == Context::Member && !self.is_at_indent;
        self.indent = match outer {
            Some(outer) if is_indentless => Some(outer),
            Some(outer) => Some(outer + INDENT),
            None => Some(0),
        };
        for item in items {
            self.line();
            self.dash("-");
            self.node(item, Context::Item)?;
        }
        self.indent = outer;
        Ok(())
    }

    fn member(&mut self, key: &str, value: &Child) -> Result<(), Error> {
        self.line();
        if key.len() <= SIMPLE_KEY_BYTES_MAX && !key.contains(is_break) {
            self.text(key, true);
            self.indicator(":");
        } else {
            self.dash("?");
            self.text(key, false);
            self.line();
            self.dash(":");
        }
        self.node(value, Context::Member)
    }

    fn empty(&mut self, open: &str, close: &str) {
        self.space();
        self.indicator(open);
        self.indicator(close);
    }

    fn scalar(&mut self, meaning: Meaning<'_>) {
        let text = match meaning {
            Meaning::Text(text) | Meaning::Timestamp(text) => return self.text(text, false),
            Meaning::Null => "null".to_owned(),
            Meaning::Bool(bool) => bool.to_string(),
            Meaning::Int(int) => int.to_string(),
            Meaning::Uint(uint) => uint.to_string(),
            Meaning::Float(float) => number::general(float),
        };
        self.space();
        self.indicator(&text);
    }

    fn text(&mut self, text: &str, is_simple_key: bool) {
        let outer = self.indent;
        self.indent = Some(outer.map_or(INDENT, |outer| outer + INDENT));
        self.space();
        let may_fold = !is_simple_key;
        match quote::style(text, is_simple_key) {
            Style::Plain => self.plain(text, may_fold),
            Style::Single => self.single(text, may_fold),
            Style::Double => self.double(text, may_fold),
            Style::Literal => self.literal(text),
        }
        self.indent = outer;
    }

    fn plain(&mut self, text: &str, may_fold: bool) {
        let mut before = None;
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            if may_fold && self.folds(before, c, rest.peek()) {
                self.line();
            } else {
                self.put(c);
                if c != ' ' {
                    self.is_at_indent = false;
                }
            }
            before = Some(c);
        }
        self.is_after_space = false;
        self.is_at_indent = false;
    }

    /// Whether a line ends here, in place of a single space.
    fn folds(&self, before: Option<char>, c: char, next: Option<&char>) -> bool {
        c == ' ' && before != Some(' ') && self.column > WIDTH && next != Some(&' ')
    }

    fn single(&mut self, text: &str, may_fold: bool) {
        self.indicator("'");
        let mut before = None;
        let mut after_breaks = false;
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            let is_inside = before.is_some() && rest.peek().is_some();
            if c == ' ' && may_fold && is_inside && self.folds(before, c, rest.peek()) {
                self.line();
            } else if is_break(c) {
                self.put_break(c);
                after_breaks = true;
            } else {
                if after_breaks && c != ' ' {
                    self.line();
                }
                if c == '\'' {
                    self.put('\'');
                }
                self.put(c);
                if c != ' ' {
                    self.is_at_indent = false;
                    after_breaks = false;
                }
            }
            // Breaks do not end a run of spaces.
            if !is_break(c) || before != Some(' ') {
                before = Some(c);
            }
        }
        self.indicator("'");
        self.is_at_indent = false;
    }

    fn double(&mut self, text: &str, may_fold: bool) {
        self.indicator("\"");
        let mut before = None;
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            let is_inside = before.is_some() && rest.peek().is_some();
            if !is_printable(c) || is_break(c) || matches!(c, '"' | '\\') {
                self.escape(c);
            } else if c == ' '
                && may_fold
                && is_inside
                && before != Some(' ')
                && self.column > WIDTH
            {
                self.line();
                if rest.peek() == Some(&' ') {
                    self.put('\\');
                }
            } else {
                self.put(c);
            }
            before = Some(c);
        }
        self.indicator("\"");
        self.is_at_indent = false;
    }

    fn escape(&mut self, c: char) {
        let short = match c {
            '\0' => "0",
            '\u{7}' => "a",
            '\u{8}' => "b",
            '\t' => "t",
            '\n' => "n",
            '\u{b}' => "v",
            '\u{c}' => "f",
            '\r' => "r",
            '\u{1b}' => "e",
            '"' => "\"",
            '\\' => "\\",
            '\u{85}' => "N",
            '\u{a0}' => "_",
            '\u{2028}' => "L",
            '\u{2029}' => "P",
            _ => "",
        };
        let code = u32::from(c);
        let escaped = match (short, code) {
            ("", ..=0xff) => format!("\\x{code:02X}"),
            ("", ..=0xffff) => format!("\\u{code:04X}"),
            ("", _) => format!("\\U{code:08X}"),
            (short, _) => format!("\\{short}"),
        };
        escaped.chars().for_each(|c| self.put(c));
    }

    fn literal(&mut self, text: &str) {
        self.indicator("|");
        if text.starts_with(|c| c == ' ' || is_break(c)) {
            self.indicator(&INDENT.to_string());
        }
        let mut backwards = text.chars().rev();
        let last = backwards.next().is_some_and(is_break);
        let is_blank_line = backwards.next().is_none_or(is_break);
        if !last {
            self.indicator("-");
        } else if is_blank_line {
            self.indicator("+");
        }
        self.put_break('\n');
        self.is_after_space = true;
        let mut after_breaks = true;
        for c in text.chars() {
            if is_break(c) {
                self.put_break(c);
                after_breaks = true;
            } else {
                if after_breaks {
                    self.line();
                }
                self.put(c);
                self.is_at_indent = false;
                after_breaks = false;
            }
        }
    }

    /// Begins a line, unless one has begun, and indents it.
    fn line(&mut self) {
        let indent = self.indent.unwrap_or(0);
        let is_begun = self.column > indent || (self.column == indent && !self.is_after_space);
        if !self.is_at_indent || is_begun {
            self.put_break('\n');
        }
        while self.column < indent {
            self.put(' ');
        }
        self.is_after_space = true;
        self.is_at_indent = true;
    }

    /// A space, if what stands before needs one.
    fn space(&mut self) {
        if !self.is_after_space {
            self.put(' ');
        }
    }

    fn indicator(&mut self, text: &str) {
        text.chars().for_each(|c| self.put(c));
        self.is_after_space = false;
        self.is_at_indent = false;
    }

    /// An indicator after which a block may go on in the same line.
    fn dash(&mut self, text: &str) {
        self.space();
        let was_at_indent = self.is_at_indent;
        self.indicator(text);
        self.is_at_indent = was_at_indent;
    }

    fn put(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    fn put_break(&mut self, c: char) {
        self.out.push(c);
        self.column = 0;
        self.is_at_indent = true;
    }
}
