//! Bodies in YAML: from the client they go on as JSON, mapped; to the client they are written from
//! the mapped JSON.
//!
//! Such bodies are held whole: those of requests up to `bodyMax`, as any, answers up to `heldBytesMax`.
//! What can't be read here never goes on as it came, for then it would not be mapped.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::{Buf, BufMut, BytesMut};
use http::{HeaderValue, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;

use super::Proxy;
use super::compress::Whole;
use super::media::RequestMedia;
use super::plan::Plan;
use super::request_body::{Stop, is_json, stop, unreadable};
use crate::body::ReplyBody;
use crate::error::Error;
use crate::request_info::{ResourceRequest, Verb};
use crate::rewrite::Output;
use crate::upstream::RequestBody;
use crate::yaml;

/// Conversions at once: a body of many short values takes some 25 times its bytes, and a processor to
/// itself.
pub(super) const CONVERSIONS_MAX: usize = 2;

pub(super) const APPLICATION_YAML: HeaderValue = HeaderValue::from_static("application/yaml");

/// Bytes of a body that kube-apiserver quotes (`apiserver/pkg/endpoints/handlers/rest.go`).
const QUOTED_BYTES_MAX: usize = 30;

const SCALE: &str = "Scale";

/// What a body is to be, as messages name it.
pub(super) struct Expected<'a> {
    kind: &'a str,
    version: &'a str,
    /// `fieldValidation`, from the query.
    validation: &'a str,
}

impl<'a> Expected<'a> {
    pub(super) fn new(request: &'a ResourceRequest, kind: &'a str, validation: &'a str) -> Self {
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
        media: RequestMedia,
        plan: &Plan,
        expected: &Expected<'_>,
        mut incoming: Incoming,
        verb: Verb,
    ) -> Result<(RequestBody, Vec<HeaderValue>), Error> {
        let mut mapping = self.mapping(media, plan, verb);
        while let Some(frame) = incoming.frame().await {
            mapping.take(frame)?;
        }
        let body = mapping.held.take().unwrap_or_default();
        let is_apply = media == RequestMedia::Apply;
        if is_apply && body.is_empty() {
            return Ok((RequestBody::Empty, Vec::new()));
        }
        // What is JSON to the letter goes on to the byte; the control plane reads it as YAML itself.
        let (json, warnings) = if is_apply && is_json(&body) {
            (body, Vec::new())
        } else {
            self.read(media, expected, body).await?
        };
        let mut out = Output::default();
        if let Some(rewriter) = &mut mapping.rewriter {
            let mapped = rewriter
                .feed(json.into(), &mut out)
                .and_then(|()| rewriter.finish(&mut out));
            mapped.map_err(|error| match stop(error) {
                Stop::Refused(error) => error,
                Stop::Unreadable(why) => unreadable(&why),
            })?;
            self.metrics.replacements(rewriter.replacements());
        }
        let whole = out.copy_to_bytes(out.remaining());
        Ok((RequestBody::Full(whole), warnings))
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
                yaml::Error::Refused(why) => refused(media, expected, &body, &why),
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

    /// An answer in JSON, in YAML.
    pub(super) async fn in_yaml(
        &self,
        control_plane: &str,
        mut body: ReplyBody,
    ) -> Result<ReplyBody, Error> {
        let max = self.limits.held_bytes_max;
        let mut held = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|broken| Error::BadAnswer {
                control_plane: control_plane.to_owned(),
                why: broken.to_string(),
            })?;
            if let Ok(data) = frame.into_data() {
                held.put(data);
            }
            if held.len() > max {
                return Err(Error::TooLongForYaml { max });
            }
        }
        let written = self.convert(move || yaml::from_json(&held)).await?;
        let yaml = written.map_err(|error| Error::UnwritableInYaml(error.to_string()))?;
        Ok(ReplyBody::streamed(Whole {
            bytes: Some(yaml.into()),
            _body: body,
        }))
    }

    /// An error as its Status in YAML, or as it is if that can't be written.
    pub(super) async fn refused_in_yaml(&self, error: Error) -> Result<Response<ReplyBody>, Error> {
        if matches!(error, Error::PathNotFound) {
            return Err(error);
        }
        let (mut parts, json) = error.response().into_parts();
        match self.convert(move || yaml::from_json(&json)).await {
            Ok(Ok(yaml)) => {
                parts.headers.insert(header::CONTENT_TYPE, APPLICATION_YAML);
                Ok(Response::from_parts(parts, ReplyBody::whole(yaml.into())))
            }
            _ => Err(error),
        }
    }

    /// Runs a conversion where it keeps no other request waiting.
    async fn convert<T: Send + 'static>(
        &self,
        conversion: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let failed = |why: &dyn std::fmt::Display| Error::Internal(format!("YAML: {why}"));
        let _place = self.conversions.acquire().await.map_err(|e| failed(&e))?;
        let converted = tokio::task::spawn_blocking(conversion).await;
        converted.map_err(|error| failed(&error))
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
            summary(body)
        ),
    })
}

/// The control plane would say so, but quote the JSON.
fn has_no_kind(json: &[u8]) -> bool {
    let has_none = |body: TypeMeta| body.kind.is_empty();
    json == b"null" || json.starts_with(b"{") && serde_json::from_slice(json).is_ok_and(has_none)
}

/// How a body begins, as kube-apiserver quotes it: JSON as text, anything else in hexadecimal.
fn summary(body: &[u8]) -> String {
    let quoted = body.get(..QUOTED_BYTES_MAX).unwrap_or(body);
    let more = if body.len() > quoted.len() {
        " ..."
    } else {
        ""
    };
    match quoted.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(quoted)),
        Some(_) => {
            let digits = quoted.iter().map(|byte| format!("{byte:02x}"));
            format!("{}{more}", digits.collect::<String>())
        }
    }
}
