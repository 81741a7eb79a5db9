//! Chooses the style of a text in YAML (`go.yaml.in/yaml/v2`, `encode.go`, `stringv`, and
//! `emitterc.go`, `yaml_emitter_analyze_scalar`).

use super::scalar::{self, ScalarValue};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ScalarStyle {
    Plain,
    Single,
    Double,
    /// A block scalar after `|`.
    Literal,
}

/// Returns the style of a text. A simple key is a key on one line, before a colon.
pub(super) fn style(text: &str, is_simple_key: bool) -> ScalarStyle {
    let analysis = Analysis::of(text);
    if text.contains('\n') {
        return if analysis.may_be_block() && !is_simple_key {
            ScalarStyle::Literal
        } else {
            ScalarStyle::Double
        };
    }
    let is_text = matches!(scalar::resolve_plain(text), ScalarValue::Text(_));
    if !is_text || is_base_60(text) {
        ScalarStyle::Double
    } else if analysis.may_be_plain() {
        ScalarStyle::Plain
    } else if analysis.may_be_single() {
        ScalarStyle::Single
    } else {
        ScalarStyle::Double
    }
}

pub(super) fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

/// Returns whether a character is written without an escape. Characters above U+FFFF are always escaped.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// Properties of a text that rule out styles.
#[derive(Default)]
struct Analysis {
    has_indicators: bool,
    has_breaks: bool,
    has_special: bool,
    leads_or_trails: bool,
    trails_with_space: bool,
    has_break_before_space: bool,
    has_space_before_break: bool,
}

impl Analysis {
    fn of(text: &str) -> Self {
        let mut analysis = Self {
            has_indicators: text.starts_with("---") || text.starts_with("..."),
            has_breaks: text.contains(is_break),
            has_special: !text.chars().all(is_printable),
            leads_or_trails: text.starts_with(|c| c == ' ' || is_break(c))
                || text.ends_with(|c| c == ' ' || is_break(c)),
            trails_with_space: text.ends_with(' '),
            ..Self::default()
        };
        let mut before = None;
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            let is_followed_by_blank = rest.peek().copied().is_none_or(is_blank);
            analysis.has_indicators |= match (before, c) {
                (None, '-' | '?') | (_, ':') => is_followed_by_blank,
                (None, c) => "#,[]{}&*!|>'\"%@`".contains(c),
                (Some(before), '#') => is_blank(before) || is_break(before) || before == '\0',
                _ => false,
            };
            let after_space = before == Some(' ');
            let after_break = before.is_some_and(is_break);
            analysis.has_break_before_space |= after_break && c == ' ';
            analysis.has_space_before_break |= after_space && is_break(c);
            before = Some(c);
        }
        analysis
    }

    fn may_be_plain(&self) -> bool {
        self.may_be_single() && !self.leads_or_trails && !self.has_breaks && !self.has_indicators
    }

    fn may_be_single(&self) -> bool {
        !self.has_break_before_space && !self.has_space_before_break && !self.has_special
    }

    fn may_be_block(&self) -> bool {
        !self.trails_with_space && !self.has_space_before_break && !self.has_special
    }
}

/// Returns whether YAML 1.1 reads the text as a number in base 60, for example `1:30` or `-12:30:45.6`. Such
/// text is quoted for parsers that do.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let mut parts = whole.split(':');
    let is_digit_or_separator = |c: char| c.is_ascii_digit() || c == '_';
    let first = parts.next().unwrap_or_default();
    let is_first =
        first.starts_with(|c: char| c.is_ascii_digit()) && first.chars().all(is_digit_or_separator);
    let is_sixtieth = |part: &str| {
        let last = part.strip_prefix(|c: char| ('0'..='5').contains(&c));
        let is_digit = |text: &str| text.len() == 1 && text.chars().all(|c| c.is_ascii_digit());
        is_digit(part) || last.is_some_and(is_digit)
    };
    is_first
        && whole.contains(':')
        && parts.all(is_sixtieth)
        && fraction.chars().all(is_digit_or_separator)
}
