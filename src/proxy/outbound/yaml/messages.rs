//! kube-apiserver's messages about invalid YAML bodies.

use std::collections::HashSet;

use http::HeaderValue;
use serde::Deserialize;

use crate::error::RequestError;
use crate::proxy::context::RequestContext;
use crate::proxy::media::PatchKind;
use claim_mapping::quoted_prefix;

const SCALE: &str = "Scale";

/// The kind of object that a body should contain, for messages.
pub(super) struct Expected<'a> {
    kind: &'a str,
    version: &'a str,
    is_apply: bool,
    /// The query parameter `fieldValidation`.
    pub(super) field_validation: &'a str,
}

/// The fields of an object that name its type.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TypeMeta {
    api_version: String,
    kind: String,
}

impl<'a> Expected<'a> {
    pub(super) fn new(context: &RequestContext<'a>, field_validation: &'a str) -> Self {
        let is_scale = context.request.subresource.as_deref() == Some("scale");
        Self {
            kind: if is_scale { SCALE } else { &context.kind.kind },
            version: &context.request.version,
            is_apply: context.request_media.is_patch_kind(PatchKind::Apply),
            field_validation,
        }
    }

    /// Checks that an object names its kind. The control plane would quote the JSON instead of the YAML.
    pub(super) fn check_kind(&self, json: &[u8], body: &[u8]) -> Result<(), RequestError> {
        if self.is_apply || self.kind == SCALE || !has_no_kind(json) {
            return Ok(());
        }
        let why = format!(
            "Object 'Kind' is missing in '{}'",
            String::from_utf8_lossy(body)
        );
        Err(self.unreadable(body, &why))
    }

    /// Returns the error for a body that is not YAML or not an object (`apiserver/pkg/endpoints/handlers`,
    /// `patch.go`, `validateAndTranscodePatch` and `applyPatchToCurrentObject`, and `rest.go`,
    /// `transformDecodeError`).
    pub(super) fn unreadable(&self, body: &[u8], why: &str) -> RequestError {
        let looks_like_json = body.trim_ascii_start().starts_with(b"{");
        RequestError::BadRequest(if !self.is_apply {
            format!(
                "the object provided is unrecognized (must be of type {}): {why} ({})",
                self.kind,
                quoted_prefix::quoted(body)
            )
        } else if looks_like_json {
            format!("error decoding patch: error converting YAML to JSON: {why}")
        } else {
            format!("error encoding patch: {why}")
        })
    }

    /// Returns the error for duplicate keys. kube-apiserver would also list unknown fields. The client gets
    /// those errors once its keys are unique.
    pub(super) fn strictly_rejected(&self, json: &[u8], duplicates: &[String]) -> RequestError {
        let errors = unmarshal_errors(duplicates);
        if self.is_apply {
            return RequestError::BadRequest(format!(
                "error strict decoding patch: error converting YAML to JSON: {errors}"
            ));
        }
        let body: TypeMeta = serde_json::from_slice(json).unwrap_or_default();
        let version = match body.api_version.rsplit('/').next() {
            Some(version) if !version.is_empty() => version,
            _ => self.version,
        };
        let kind = match body.kind.as_str() {
            "" => self.kind,
            kind => kind,
        };
        RequestError::BadRequest(format!(
            "{kind} in version {version:?} cannot be handled as a {}: strict decoding error: {errors}",
            self.kind,
        ))
    }
}

/// Joins errors as `go.yaml.in/yaml/v2` does.
fn unmarshal_errors(lines: &[String]) -> String {
    format!("yaml: unmarshal errors:\n  {}", lines.join("\n  "))
}

/// Returns one Warning header for each distinct line. Lines that a header cannot contain are left out
/// (`apimachinery/pkg/util/net/http.go`).
pub(super) fn warnings(lines: &[String]) -> Vec<HeaderValue> {
    let mut seen = HashSet::new();
    let unique = lines.iter().filter(|line| seen.insert(line.as_str()));
    let header = |line: &String| {
        let quoted = line.replace('\\', "\\\\").replace('"', "\\\"");
        HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()).ok()
    };
    unique.filter_map(header).collect()
}

fn has_no_kind(json: &[u8]) -> bool {
    let is_missing = |body: TypeMeta| body.kind.is_empty();
    json == b"null" || json.starts_with(b"{") && serde_json::from_slice(json).is_ok_and(is_missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(is_apply: bool) -> Expected<'static> {
        Expected {
            kind: "One",
            version: "v1",
            is_apply,
            field_validation: "",
        }
    }

    #[test]
    fn object_without_kind_is_rejected_and_quoted() {
        let error = expected(false).check_kind(b"{}", b"a: 1").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the object provided is unrecognized (must be of type One): \
             Object 'Kind' is missing in 'a: 1' (613a2031)"
        );
        assert!(expected(true).check_kind(b"{}", b"a: 1").is_ok());
        assert!(
            expected(false)
                .check_kind(br#"{"kind":"One"}"#, b"")
                .is_ok()
        );
    }

    #[test]
    fn strict_rejection_names_type_of_body() {
        let error = expected(false).strictly_rejected(
            br#"{"apiVersion":"a.org/v2","kind":"Two"}"#,
            &["line 2: key \"a\" already set in map".to_owned()],
        );
        assert_eq!(
            error.to_string(),
            "Two in version \"v2\" cannot be handled as a One: strict decoding error: \
             yaml: unmarshal errors:\n  line 2: key \"a\" already set in map"
        );
    }

    #[test]
    fn duplicate_warnings_are_sent_once() {
        let lines = ["a \"b\"", "c", "c"].map(str::to_owned);
        assert_eq!(warnings(&lines), ["299 - \"a \\\"b\\\"\"", "299 - \"c\""]);
    }
}
