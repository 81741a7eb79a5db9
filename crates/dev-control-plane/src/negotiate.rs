//! Content negotiation and other common query parameters (apiserver
//! pkg/endpoints/handlers/negotiation).

use serde_json::Value;

use super::error::StatusError;
use super::request::{RecordedRequest, is_true};

/// The form of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Object,
    /// PartialObjectMetadata or its list, of `meta.k8s.io/<version>`.
    Partial {
        version: &'static str,
    },
    Table {
        version: &'static str,
        include: IncludeObject,
    },
}

/// The part of the object in a table row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IncludeObject {
    Metadata,
    None,
    Object,
}

/// One clause of an Accept header.
pub(crate) struct Clause<'a> {
    media_type: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl Clause<'_> {
    pub(crate) fn is_json(&self) -> bool {
        matches!(
            self.media_type,
            "application/json" | "application/*" | "*/*"
        )
    }

    /// Returns the value of a parameter, or an empty string if it is absent.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.parameters
            .iter()
            .find(|(key, _)| *key == name)
            .map_or("", |(_, value)| *value)
    }

    fn quality(&self) -> f32 {
        self.parameter("q").parse().unwrap_or(1.0)
    }
}

/// Returns the clauses of the Accept header, best first. An absent header means `*/*`.
pub(crate) fn accepted(request: &RecordedRequest) -> Vec<Clause<'_>> {
    let accept = match request.header(http::header::ACCEPT) {
        "" => "*/*",
        accept => accept,
    };
    let mut clauses: Vec<Clause<'_>> = accept
        .split(',')
        .map(|clause| {
            let mut parts = clause.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default();
            let parameters = parts.filter_map(|part| part.split_once('=')).collect();
            Clause {
                media_type,
                parameters,
            }
        })
        .collect();
    clauses.sort_by(|a, b| b.quality().total_cmp(&a.quality()));
    clauses
}

/// Returns the first supported form, or 406.
pub(crate) fn form(request: &RecordedRequest, list: bool) -> Result<Form, StatusError> {
    let partial = if list {
        "PartialObjectMetadataList"
    } else {
        "PartialObjectMetadata"
    };
    for clause in accepted(request).iter().filter(|clause| clause.is_json()) {
        let version = match clause.parameter("v") {
            "v1" => "v1",
            "v1beta1" => "v1beta1",
            _ => "",
        };
        let meta = clause.parameter("g") == "meta.k8s.io" && !version.is_empty();
        match clause.parameter("as") {
            "" => return Ok(Form::Object),
            "Table" if meta => {
                let include = include_object(request)?;
                return Ok(Form::Table { version, include });
            }
            name if meta && name == partial => return Ok(Form::Partial { version }),
            _ => {}
        }
    }
    Err(StatusError::not_acceptable())
}

fn include_object(request: &RecordedRequest) -> Result<IncludeObject, StatusError> {
    match request.parameter("includeObject").as_deref() {
        None | Some("" | "Metadata") => Ok(IncludeObject::Metadata),
        Some("None") => Ok(IncludeObject::None),
        Some("Object") => Ok(IncludeObject::Object),
        Some(other) => Err(StatusError::bad_request(format!(
            "unrecognized includeObject value: \"{other}\""
        ))),
    }
}

/// Returns whether to indent the response: because of `pretty`, or for browsers, curl and wget (negotiate.go
/// isPrettyPrint).
pub(crate) fn pretty(request: &RecordedRequest) -> bool {
    match request.parameter("pretty") {
        Some(value) if !value.is_empty() => is_true(&value),
        _ => {
            let agent = request.header(http::header::USER_AGENT);
            ["curl", "Wget", "Mozilla/5.0"]
                .iter()
                .any(|prefix| agent.starts_with(prefix))
        }
    }
}

/// Indents JSON that serde_json wrote. Parsing it again would sort its keys.
pub(crate) fn indent(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let (mut in_string, mut escaped) = (false, false);
    let mut rest = json.iter().peekable();
    let newline = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    while let Some(&byte) = rest.next() {
        if in_string {
            out.push(byte);
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                if let Some(close) = rest.next_if(|next| matches!(next, b'}' | b']')) {
                    out.push(*close);
                } else {
                    depth += 1;
                    newline(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                newline(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                newline(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            b'\n' => {}
            _ => {
                in_string = byte == b'"';
                out.push(byte);
            }
        }
    }
    out
}

/// Returns a number in a query parameter, or `None` if it is absent or empty.
pub(crate) fn number(request: &RecordedRequest, name: &str) -> Result<Option<u64>, StatusError> {
    match request.parameter(name).as_deref() {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            let shown = Value::from(text);
            StatusError::bad_request(format!("invalid value for query parameter {name}: {shown}"))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::indent;

    #[test]
    fn indentation_keeps_key_order_and_strings() {
        let json = br#"{"kind":"K","a":[1,{"b":"x,\"{y"}],"e":{},"f":[]}"#;
        let expected = "{\n  \"kind\": \"K\",\n  \"a\": [\n    1,\n    {\n      \"b\": \"x,\\\"{y\"\n    }\n  ],\n  \"e\": {},\n  \"f\": []\n}";
        assert_eq!(String::from_utf8(indent(json)).unwrap(), expected);
    }
}
