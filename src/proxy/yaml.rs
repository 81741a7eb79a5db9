//! Request bodies in YAML, which go on as JSON, mapped.
//!
//! They are held whole, up to `bodyMax` as any. What can't be read here never goes on as it came, for
//! then it would not be mapped.

use std::collections::HashSet;
use std::sync::Arc;

use http::HeaderValue;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;

use super::media::RequestMedia;
use super::request_body::{Sent, is_json};
use super::{Outgoing, Proxy};
use crate::error::Error;
use crate::request_info::ResourceRequest;
use crate::translate::beginning::{self, Beginning, QUOTED_BYTES_MAX};
use crate::translate::hidden::Effect;
use crate::upstream::RequestBody;
use crate::yaml;

const SCALE: &str = "Scale";

/// What a body is to be, as messages name it.
struct Expected<'a> {
    kind: &'a str,
    version: &'a str,
    /// `fieldValidation`, from the query.
    validation: &'a str,
}

impl<'a> Expected<'a> {
    fn new(request: &'a ResourceRequest, kind: &'a str, validation: &'a str) -> Self {
        let is_scale = request.subresource.as_deref() == Some("scale");
        Self {
            kind: if is_scale { SCALE } else { kind },
            version: &request.version,
            validation,
        }
    }
}

/// How an object names its type.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TypeMeta {
    api_version: String,
    kind: String,
}

impl Proxy {
    /// A request body in YAML as JSON, mapped, and what is to be warned of.
    pub(super) async fn yaml_body(
        &self,
        outgoing: Outgoing<'_>,
        effect: Effect,
        mut incoming: Incoming,
    ) -> Result<Sent, Error> {
        let Outgoing {
            asked, media, plan, ..
        } = outgoing;
        let expected = Expected::new(asked.request, &asked.kind.kind, plan.validation());
        let mut mapping = self.mapping(outgoing, effect);
        while let Some(frame) = incoming.frame().await {
            mapping.take(frame)?;
        }
        let body = mapping.held.take().unwrap_or_default();
        let is_apply = media == RequestMedia::Apply;
        if is_apply && body.is_empty() {
            return Ok(Sent::default());
        }
        // What is JSON to the letter goes on to the byte; the control plane reads it as YAML itself.
        let begin = body.get(..=QUOTED_BYTES_MAX).unwrap_or(&body).to_vec();
        let (json, warnings) = if is_apply && is_json(&body) {
            (body, Vec::new())
        } else {
            self.read(media, &expected, body).await?
        };
        let whole = mapping.map(json.into())?;
        Ok(Sent {
            beginning: Beginning::new(&begin, &whole),
            body: RequestBody::Full(whole),
            warnings,
            ..Sent::default()
        })
    }

    async fn read(
        &self,
        media: RequestMedia,
        expected: &Expected<'_>,
        body: Vec<u8>,
    ) -> Result<(Vec<u8>, Vec<HeaderValue>), Error> {
        let max = self.limits.body_bytes_max;
        let body = Arc::new(body);
        let converted = Arc::clone(&body);
        let converted = self
            .convert(move || yaml::to_json(&converted, max))
            .await?
            .map_err(|error| match error {
                yaml::Error::TooLong { max } => Error::BodyTooLarge { max },
                error => refused(media, expected, &body, &error.to_string()),
            })?;
        let yaml::Converted { json, duplicates } = converted;
        if media == RequestMedia::Yaml && expected.kind != SCALE && has_no_kind(&json) {
            let why = format!(
                "Object 'Kind' is missing in '{}'",
                String::from_utf8_lossy(&body)
            );
            return Err(refused(media, expected, &body, &why));
        }
        match expected.validation {
            "Strict" if !duplicates.is_empty() => Err(Error::BadRequest(match media {
                RequestMedia::Apply => format!(
                    "error strict decoding patch: error converting YAML to JSON: {}",
                    unmarshal_errors(&duplicates)
                ),
                _ => strictly_refused(expected, &json, &duplicates),
            })),
            "" | "Warn" => Ok((json, warnings(&duplicates))),
            _ => Ok((json, Vec::new())),
        }
    }
}

/// As `go.yaml.in/yaml/v2` joins what it found.
fn unmarshal_errors(lines: &[String]) -> String {
    format!("yaml: unmarshal errors:\n  {}", lines.join("\n  "))
}

/// The refusal of keys that are there twice. Unknown fields, which kube-apiserver would list behind
/// them, are told once the keys were mended.
fn strictly_refused(expected: &Expected<'_>, json: &[u8], duplicates: &[String]) -> String {
    let body: TypeMeta = serde_json::from_slice(json).unwrap_or_default();
    let version = match body.api_version.rsplit('/').next() {
        Some(version) if !version.is_empty() => version,
        _ => expected.version,
    };
    let kind = match body.kind.as_str() {
        "" => expected.kind,
        kind => kind,
    };
    format!(
        "{kind} in version {version:?} cannot be handled as a {}: strict decoding error: {}",
        expected.kind,
        unmarshal_errors(duplicates)
    )
}

/// Warning headers, each once, of what can stand in one (`apimachinery/pkg/util/net/http.go`).
fn warnings(lines: &[String]) -> Vec<HeaderValue> {
    let mut told = HashSet::new();
    let once = lines.iter().filter(|line| told.insert(line.as_str()));
    let header = |line: &String| {
        let quoted = line.replace('\\', "\\\\").replace('"', "\\\"");
        HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()).ok()
    };
    once.filter_map(header).collect()
}

/// The refusal of what is no YAML, or no object (`apiserver/pkg/endpoints/handlers`, `patch.go`,
/// `validateAndTranscodePatch` and `applyPatchToCurrentObject`, and `rest.go`, `transformDecodeError`).
fn refused(media: RequestMedia, expected: &Expected<'_>, body: &[u8], why: &str) -> Error {
    let is_json = body.trim_ascii_start().starts_with(b"{");
    Error::BadRequest(match media {
        RequestMedia::Apply if is_json => {
            format!("error decoding patch: error converting YAML to JSON: {why}")
        }
        RequestMedia::Apply => format!("error encoding patch: {why}"),
        _ => format!(
            "the object provided is unrecognized (must be of type {}): {why} ({})",
            expected.kind,
            beginning::quoted(body)
        ),
    })
}

/// The control plane would say so, but quote the JSON.
fn has_no_kind(json: &[u8]) -> bool {
    let has_none = |body: TypeMeta| body.kind.is_empty();
    json == b"null" || json.starts_with(b"{") && serde_json::from_slice(json).is_ok_and(has_none)
}
