//! The styles in which a text can be written.

use super::super::quote::{is_break, is_printable};
use super::writer::{INDENT, LineWriter};

/// Width in columns beyond which a line is folded.
const WIDTH: usize = 80;

pub(super) fn plain(out: &mut LineWriter, text: &str, may_fold: bool) {
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if may_fold && folds(out, before, c, rest.peek()) {
            out.begin_line();
        } else {
            out.put(c);
            if c != ' ' {
                out.leave_indent();
            }
        }
        before = Some(c);
    }
    out.end_token();
}

/// Returns whether a line break replaces a character, which must be a single space beyond the width.
fn folds(out: &LineWriter, before: Option<char>, c: char, next: Option<&char>) -> bool {
    c == ' ' && before != Some(' ') && out.column() > WIDTH && next != Some(&' ')
}

pub(super) fn single_quoted(out: &mut LineWriter, text: &str, may_fold: bool) {
    out.indicator("'");
    let mut before = None;
    let mut after_breaks = false;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let is_inside = before.is_some() && rest.peek().is_some();
        if c == ' ' && may_fold && is_inside && folds(out, before, c, rest.peek()) {
            out.begin_line();
        } else if is_break(c) {
            out.put_break(c);
            after_breaks = true;
        } else {
            if after_breaks && c != ' ' {
                out.begin_line();
            }
            if c == '\'' {
                out.put('\'');
            }
            out.put(c);
            if c != ' ' {
                out.leave_indent();
                after_breaks = false;
            }
        }
        // A line break does not end a run of spaces.
        if !is_break(c) || before != Some(' ') {
            before = Some(c);
        }
    }
    out.indicator("'");
    out.leave_indent();
}

pub(super) fn double_quoted(out: &mut LineWriter, text: &str, may_fold: bool) {
    out.indicator("\"");
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let is_inside = before.is_some() && rest.peek().is_some();
        if !is_printable(c) || is_break(c) || matches!(c, '"' | '\\') {
            escape(out, c);
        } else if c == ' ' && may_fold && is_inside && before != Some(' ') && out.column() > WIDTH {
            out.begin_line();
            if rest.peek() == Some(&' ') {
                out.put('\\');
            }
        } else {
            out.put(c);
        }
        before = Some(c);
    }
    out.indicator("\"");
    out.leave_indent();
}

fn escape(out: &mut LineWriter, c: char) {
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
    escaped.chars().for_each(|c| out.put(c));
}

/// Writes a block scalar after `|`.
pub(super) fn literal(out: &mut LineWriter, text: &str) {
    out.indicator("|");
    if text.starts_with(|c| c == ' ' || is_break(c)) {
        out.indicator(&INDENT.to_string());
    }
    let mut backwards = text.chars().rev();
    let last = backwards.next().is_some_and(is_break);
    let is_blank_line = backwards.next().is_none_or(is_break);
    if !last {
        out.indicator("-");
    } else if is_blank_line {
        out.indicator("+");
    }
    out.put_break('\n');
    out.skip_separator();
    let mut after_breaks = true;
    for c in text.chars() {
        if is_break(c) {
            out.put_break(c);
            after_breaks = true;
        } else {
            if after_breaks {
                out.begin_line();
            }
            out.put(c);
            out.leave_indent();
            after_breaks = false;
        }
    }
}
