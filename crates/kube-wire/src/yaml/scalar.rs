//! Resolves the types of scalars (`go.yaml.in/yaml/v2`, `resolve.go`): YAML 1.1, except that
//! timestamps and numbers in base 60 stay text.

use super::document::Scalar;
use super::error::YamlError;
use super::number::{Integer, parse_float, parse_int, without_separators};
use super::timestamp;

const TAG_PREFIX: &str = "tag:yaml.org,2002:";

/// The value of a scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ScalarValue<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// Above the range of `Int`.
    Uint(u64),
    Float(f64),
    Text(&'a str),
    /// Text that looks like a timestamp.
    Timestamp(&'a str),
}

impl ScalarValue<'_> {
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

impl From<Integer> for ScalarValue<'static> {
    fn from(integer: Integer) -> Self {
        match integer {
            Integer::Int64(int) => Self::Int(int),
            Integer::Uint64(uint) => Self::Uint(uint),
        }
    }
}

/// Resolves a scalar by its tag, or by its text if it has none.
pub(super) fn resolve(scalar: &Scalar) -> Result<ScalarValue<'_>, YamlError> {
    let text = scalar.value.as_str();
    let tag = scalar.tag.as_str();
    if tag.is_empty() {
        return Ok(if scalar.is_plain {
            resolve_plain(text)
        } else {
            ScalarValue::Text(text)
        });
    }
    let tag = match tag.strip_prefix(TAG_PREFIX) {
        // JSON can only contain text, and only some binary values are text.
        Some("binary") => return Err(YamlError::invalid("yaml: !!binary is not supported")),
        Some(tag @ ("bool" | "int" | "float" | "null" | "timestamp")) => tag,
        _ => return Ok(ScalarValue::Text(text)),
    };
    let value = match resolve_plain(text) {
        // Without a timestamp tag, it is text.
        ScalarValue::Timestamp(text) if tag != "timestamp" => ScalarValue::Text(text),
        #[allow(clippy::cast_precision_loss, reason = "as `float64(v)` in resolve.go")]
        ScalarValue::Int(int) if tag == "float" => ScalarValue::Float(int as f64),
        value => value,
    };
    if value.tag() == tag {
        Ok(value)
    } else {
        Err(YamlError::Invalid(format!(
            "yaml: cannot decode !!{} `{text}` as a !!{tag}",
            value.tag()
        )))
    }
}

/// Resolves a scalar without quotes and without a tag.
pub(super) fn resolve_plain(text: &str) -> ScalarValue<'_> {
    if let Some(value) = resolve_word(text) {
        return value;
    }
    let number = match text.bytes().next() {
        Some(b'.') => without_separators(text)
            .and_then(|text| parse_float(&text))
            .map(ScalarValue::Float),
        Some(b'+' | b'-' | b'0'..=b'9') => {
            if timestamp::is_timestamp(text) {
                return ScalarValue::Timestamp(text);
            }
            number(&text.replace('_', ""))
        }
        _ => None,
    };
    number.unwrap_or(ScalarValue::Text(text))
}

fn resolve_word(text: &str) -> Option<ScalarValue<'static>> {
    Some(match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            ScalarValue::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            ScalarValue::Bool(false)
        }
        "" | "~" | "null" | "Null" | "NULL" => ScalarValue::Null,
        ".nan" | ".NaN" | ".NAN" => ScalarValue::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => ScalarValue::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => ScalarValue::Float(f64::NEG_INFINITY),
        _ => return None,
    })
}

/// Parses a number without underscores.
fn number(text: &str) -> Option<ScalarValue<'static>> {
    if let Some(int) = parse_int(text, None) {
        return Some(int.into());
    }
    if let Some(float) = parse_float(text) {
        return Some(ScalarValue::Float(float));
    }
    // go-yaml parses the digits after the prefix `0b` with a sign of their own.
    text.strip_prefix("0b")
        .and_then(|digits| parse_int(digits, Some(2)))
        .map(ScalarValue::from)
}
