//! What a scalar means, by the rules of `go.yaml.in/yaml/v2` (`resolve.go`): YAML 1.1, less numbers to
//! the base of 60 and times, which stay strings.

use super::document::Scalar;
use super::number::{float_of, int_of, without_separators};
use super::{Error, timestamp};

const TAG_PREFIX: &str = "tag:yaml.org,2002:";

/// What a scalar stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Meaning<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// Beyond the range of `Int`.
    Uint(u64),
    Float(f64),
    Text(&'a str),
    /// Looks like a time, and stays a string.
    Timestamp(&'a str),
}

impl Meaning<'_> {
    fn tag(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::Uint(_) => "int",
            Self::Float(_) => "float",
            Self::Text(_) => "str",
            Self::Timestamp(_) => "timestamp",
        }
    }
}

/// What a scalar of a document means.
pub(super) fn meaning(scalar: &Scalar) -> Result<Meaning<'_>, Error> {
    let text = scalar.value.as_str();
    let tag = scalar.tag.as_str();
    if tag.is_empty() {
        return Ok(if scalar.is_plain {
            plain(text)
        } else {
            Meaning::Text(text)
        });
    }
    let tag = match tag.strip_prefix(TAG_PREFIX) {
        // Only base64 that happens to be text could be said in JSON.
        Some("binary") => return Err(Error::refused("yaml: !!binary is not supported")),
        Some(tag @ ("bool" | "int" | "float" | "null" | "timestamp")) => tag,
        _ => return Ok(Meaning::Text(text)),
    };
    let meaning = match plain(text) {
        // Only asked for is a time anything else than text.
        Meaning::Timestamp(text) if tag != "timestamp" => Meaning::Text(text),
        #[allow(clippy::cast_precision_loss, reason = "as `float64(v)` in resolve.go")]
        Meaning::Int(int) if tag == "float" => Meaning::Float(int as f64),
        meaning => meaning,
    };
    if meaning.tag() == tag {
        Ok(meaning)
    } else {
        Err(Error::Refused(format!(
            "yaml: cannot decode !!{} `{text}` as a !!{tag}",
            meaning.tag()
        )))
    }
}

/// What a scalar without quotes and without a tag means.
pub(super) fn plain(text: &str) -> Meaning<'_> {
    if let Some(meaning) = word(text) {
        return meaning;
    }
    let number = match text.bytes().next() {
        Some(b'.') => without_separators(text)
            .and_then(|text| float_of(&text))
            .map(Meaning::Float),
        Some(b'+' | b'-' | b'0'..=b'9') => {
            if timestamp::is_timestamp(text) {
                return Meaning::Timestamp(text);
            }
            number(&text.replace('_', ""))
        }
        _ => None,
    };
    number.unwrap_or(Meaning::Text(text))
}

fn word(text: &str) -> Option<Meaning<'static>> {
    Some(match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Meaning::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Meaning::Bool(false)
        }
        "" | "~" | "null" | "Null" | "NULL" => Meaning::Null,
        ".nan" | ".NaN" | ".NAN" => Meaning::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Meaning::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Meaning::Float(f64::NEG_INFINITY),
        _ => return None,
    })
}

/// A number, from text without underscores.
fn number(text: &str) -> Option<Meaning<'static>> {
    if let Some(int) = int_of(text, None) {
        return Some(int);
    }
    if let Some(float) = float_of(text) {
        return Some(Meaning::Float(float));
    }
    // What stands behind the prefix may have a sign of its own.
    text.strip_prefix("0b")
        .and_then(|digits| int_of(digits, Some(2)))
}
