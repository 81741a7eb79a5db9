//! Which form of an answer a client accepts (apiserver pkg/endpoints/handlers/negotiation).

use serde_json::Value;

use super::error::ApiError;
use super::request::{RecordedRequest, is_true};

/// The form of an object, a list or a watch.
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

/// What of the object a table row carries.
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

    /// A parameter's value, empty if absent.
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

/// The clauses of the request's Accept, best first; one of `*/*` if it has none.
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

/// The first form that we can serve, or 406.
pub(crate) fn form(request: &RecordedRequest, list: bool) -> Result<Form, ApiError> {
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
    Err(ApiError::not_acceptable())
}

fn include_object(request: &RecordedRequest) -> Result<IncludeObject, ApiError> {
    match request.parameter("includeObject").as_deref() {
        None | Some("" | "Metadata") => Ok(IncludeObject::Metadata),
        Some("None") => Ok(IncludeObject::None),
        Some("Object") => Ok(IncludeObject::Object),
        Some(other) => Err(ApiError::bad_request(format!(
            "unrecognized includeObject value: \"{other}\""
        ))),
    }
}

/// Whether the answer is to be indented: asked for, or a person's client (negotiate.go isPrettyPrint).
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

/// JSON text of ours, indented. Keeps the order of keys, which parsing would sort.
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

/// A number in a query parameter; absent, empty and unparsable differ.
pub(crate) fn number(request: &RecordedRequest, name: &str) -> Result<Option<u64>, ApiError> {
    match request.parameter(name).as_deref() {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            let shown = Value::from(text);
            ApiError::bad_request(format!("invalid value for query parameter {name}: {shown}"))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::indent;

    #[test]
    fn indented_json_keeps_order_and_strings() {
        let json = br#"{"kind":"K","a":[1,{"b":"x,\"{y"}],"e":{},"f":[]}"#;
        let expected = "{\n  \"kind\": \"K\",\n  \"a\": [\n    1,\n    {\n      \"b\": \"x,\\\"{y\"\n    }\n  ],\n  \"e\": {},\n  \"f\": []\n}";
        assert_eq!(String::from_utf8(indent(json)).unwrap(), expected);
    }
}
