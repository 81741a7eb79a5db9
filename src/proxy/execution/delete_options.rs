//! The options of a deletion, read as kube-apiserver reads them.

use std::fmt;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value};

use crate::error::RequestError;
use crate::proxy::client_body::ClientBody;
use crate::proxy::context::RequestContext;
use crate::proxy::media;
use crate::proxy::outbound::{BodyReader, OutboundBody, YamlConverter, is_json};
use crate::proxy::plan::RemoteRequest;
use claim_mapping::hidden_metadata::{CurrentMetadata, PropagationPolicy};
use claim_mapping::quoted_prefix::QuotedPrefix;
use kube_wire::accept::{PROTOBUF, SUPPORTED_MEDIA_TYPES, YAML};
use kube_wire::protobuf;
use kube_wire::request_info::Query;

const IGNORES_READ_ERRORS: &str = "ignoreStoreReadErrorWithClusterBreakingPotential";

/// The relevant part of `DeleteOptions` (`apimachinery/pkg/apis/meta/v1/types.go`).
#[derive(Debug, Default, PartialEq)]
pub(super) struct DeleteOptions {
    /// The policy that needs a finalizer for the app cluster's garbage collector. `None` for
    /// `Background`, without a policy, and for invalid options.
    pub(super) cascade: Option<PropagationPolicy>,
    pub(super) is_dry_run: bool,
    /// An object that cannot be read is deleted without checks. kube-apiserver then allows no preconditions
    /// (`apimachinery/pkg/apis/meta/v1/validation/validation.go`).
    ignores_read_errors: bool,
    uid: Option<String>,
    pub(super) version: Option<String>,
}

impl DeleteOptions {
    /// Reads options from a JSON body. The control plane rejects values of another type.
    pub(super) fn from_body(body: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let precondition = |name| body.get("preconditions")?.get(name).and_then(text);
        let given = |name| body.get(name).filter(|value| !value.is_null());
        Self {
            cascade: cascade(
                given("orphanDependents").map(|value| *value == Value::Bool(true)),
                given("propagationPolicy").map(|value| value.as_str().unwrap_or_default()),
            ),
            is_dry_run: given("dryRun").is_some_and(|value| *value != Value::Array(Vec::new())),
            ignores_read_errors: given(IGNORES_READ_ERRORS) == Some(&Value::Bool(true)),
            uid: precondition("uid"),
            version: precondition("resourceVersion"),
        }
    }

    /// Reads options from the query, which applies only without a body
    /// (`apimachinery/pkg/apis/meta/v1/conversion.go`, `Convert_url_Values_To_v1_DeleteOptions`).
    pub(super) fn from_query(query: &Query) -> Self {
        let precondition = |name| query.get(name).filter(|value| !value.is_empty());
        let is_true = |value: &str| value != "0" && !value.eq_ignore_ascii_case("false");
        Self {
            cascade: cascade(
                query.get("orphanDependents").map(is_true),
                query.get("propagationPolicy"),
            ),
            is_dry_run: query.get("dryRun").is_some(),
            ignores_read_errors: query.get(IGNORES_READ_ERRORS).is_some_and(is_true),
            uid: precondition("uid").map(str::to_owned),
            version: precondition("resourceVersion").map(str::to_owned),
        }
    }

    /// Returns whether the client requires a uid or a version.
    pub(super) fn has_preconditions(&self) -> bool {
        self.uid.is_some() || self.version.is_some()
    }

    /// Returns whether the preconditions hold for the object that was read. If not, the control plane
    /// rejects the deletion.
    pub(super) fn match_object(&self, current: &CurrentMetadata) -> bool {
        let holds = |expected: &Option<String>, actual: &str| {
            expected
                .as_deref()
                .is_none_or(|expected| expected == actual)
        };
        holds(&self.uid, &current.uid) && holds(&self.version, &current.resource_version)
    }
}

/// Preconditions that claimgate adds to a deletion.
#[derive(Clone, Copy, Default)]
pub(super) struct Preconditions<'a> {
    /// Used unless the client requires a uid itself.
    pub(super) uid: Option<&'a str>,
    /// Replaces the version that the client requires.
    pub(super) version: Option<&'a str>,
}

/// The options of a request, as received and as read.
pub(super) struct ReceivedOptions {
    pub(super) options: DeleteOptions,
    body: Bytes,
    /// The body as JSON, if it is not empty and can be read.
    json: Option<Value>,
}

impl ReceivedOptions {
    /// Reads the whole body, so that no option is missed.
    ///
    /// # Errors
    /// The body is too long, was interrupted, or cannot be read.
    pub(super) async fn read(
        bodies: &BodyReader,
        context: &RequestContext<'_>,
        remote: &RemoteRequest,
        incoming: ClientBody,
    ) -> Result<Self, RequestError> {
        let body = Bytes::from(bodies.read_whole(incoming).await?);
        let (options, json) = if body.is_empty() {
            (DeleteOptions::from_query(remote.query()), None)
        } else {
            let json = to_json(&bodies.yaml, &context.parts.headers, &body).await?;
            let options = json.as_ref().map(DeleteOptions::from_body);
            (options.unwrap_or_default(), json)
        };
        Ok(Self {
            options,
            body,
            json,
        })
    }

    /// Returns the deletion with these preconditions: in the query if there is no body, because only then the control
    /// plane reads options from the query. Without preconditions, the options stay as received. So do those that the
    /// control plane will reject.
    pub(super) fn outbound(
        &self,
        context: &RequestContext<'_>,
        remote: &RemoteRequest,
        preconditions: Preconditions<'_>,
    ) -> (RemoteRequest, OutboundBody) {
        let may_add_uid = self.options.uid.is_none() && !self.options.ignores_read_errors;
        let uid = preconditions.uid.filter(|_| may_add_uid);
        let added = [("uid", uid), ("resourceVersion", preconditions.version)];
        let added = added
            .iter()
            .filter_map(|(key, value)| Some((*key, (*value)?)));
        let mut remote = remote.clone();
        if self.body.is_empty() {
            for (key, value) in added {
                remote = remote.with_parameter(key, value);
            }
            return (remote, OutboundBody::default());
        }
        let mut json = self.json.clone();
        let mut is_changed = false;
        for (key, value) in added {
            is_changed |= json
                .as_mut()
                .is_some_and(|json| set_precondition(json, key, value));
        }
        let body = match json.filter(|_| is_changed) {
            Some(json) => {
                let body = json.to_string();
                let quoted_prefix = QuotedPrefix::new(&self.body, body.as_bytes());
                OutboundBody {
                    content_type: Some(media::converted_to_json(&context.parts.headers)),
                    ..OutboundBody::whole(body.into(), quoted_prefix)
                }
            }
            None => OutboundBody::whole(self.body.clone(), None),
        };
        (remote, body)
    }
}

/// Sets a precondition of options in JSON. Returns false for options that the control plane rejects.
fn set_precondition(options: &mut Value, key: &str, value: &str) -> bool {
    let Some(options) = options.as_object_mut() else {
        return false;
    };
    let preconditions = options.entry("preconditions").or_insert(Value::Null);
    if preconditions.is_null() {
        *preconditions = Value::Object(Map::new());
    }
    let Some(preconditions) = preconditions.as_object_mut() else {
        return false;
    };
    preconditions.insert(key.to_owned(), value.into());
    true
}

/// Returns the policy that needs a finalizer. kube-apiserver rejects options with both fields.
fn cascade(
    orphan_dependents: Option<bool>,
    propagation_policy: Option<&str>,
) -> Option<PropagationPolicy> {
    match (orphan_dependents, propagation_policy) {
        (Some(true), None) | (None, Some("Orphan")) => Some(PropagationPolicy::Orphan),
        (None, Some("Foreground")) => Some(PropagationPolicy::Foreground),
        _ => None,
    }
}

/// Returns the options in a body as JSON; `None` if the control plane will reject the body.
///
/// # Errors
/// The control plane might read the body, but claimgate cannot.
async fn to_json(
    converter: &YamlConverter,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Option<Value>, RequestError> {
    match media::media_type(headers).as_deref() {
        json if media::is_json_type(json) => match serde_json::from_slice(body) {
            Ok(json) => Ok(Some(json)),
            Err(error) if is_json(body) => Err(unreadable(error)),
            Err(_) => Ok(None),
        },
        Some(YAML) => {
            let converted = converter.convert(body.clone()).await?;
            let converted = converted.map_err(unreadable)?;
            let json = serde_json::from_slice(&converted.json);
            json.map(Some).map_err(unreadable)
        }
        Some(PROTOBUF) => protobuf::delete_options(body).map_err(unreadable),
        // A control plane may support CBOR, but claimgate cannot read it.
        Some("application/cbor") => Err(RequestError::UnsupportedMediaType(SUPPORTED_MEDIA_TYPES)),
        _ => Ok(None),
    }
}

fn unreadable(why: impl fmt::Display) -> RequestError {
    RequestError::BadRequest(format!("the options cannot be read: {why}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn body_and_query_give_the_same_options() {
        let expected = DeleteOptions {
            cascade: Some(PropagationPolicy::Orphan),
            is_dry_run: true,
            ignores_read_errors: true,
            uid: Some("u".to_owned()),
            version: Some("7".to_owned()),
        };
        let body = json!({
            "propagationPolicy": "Orphan",
            "dryRun": ["All"],
            "ignoreStoreReadErrorWithClusterBreakingPotential": true,
            "preconditions": {"uid": "u", "resourceVersion": "7"},
        });
        assert_eq!(DeleteOptions::from_body(&body), expected);
        let query = "propagationPolicy=Orphan&dryRun=All&uid=u&resourceVersion=7\
                     &ignoreStoreReadErrorWithClusterBreakingPotential=true";
        assert_eq!(DeleteOptions::from_query(&Query::parse(query)), expected);
    }

    #[test]
    fn contradicting_or_other_policies_need_no_finalizer() {
        for body in [
            json!({}),
            json!({"propagationPolicy": "Background"}),
            json!({"propagationPolicy": "Orphan", "orphanDependents": true}),
            json!({"propagationPolicy": null, "orphanDependents": false}),
        ] {
            assert_eq!(DeleteOptions::from_body(&body).cascade, None, "{body}");
        }
    }
}
