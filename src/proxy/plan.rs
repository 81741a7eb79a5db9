//! Where a request goes on the control plane: its path and query in remote terms.

use http::Uri;

use super::ControlPlane;
use super::media::Accept;
use crate::accept::{Form, Serializer};
use crate::error::Error;
use crate::request_info::{Query, ResourceRequest, Verb, why_no_name};
use crate::translate::{Scope, selector, token};

/// A request in remote terms.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) scope: Scope,
    /// The client wants rows without their objects, which are asked for to judge the rows by.
    pub(super) strips_rows: bool,
    /// What the client is answered in, unless it is refused.
    pub(super) serializer: Serializer,
    path: String,
    query: Query,
}

impl Plan {
    /// `None` if the request is about local namespaces that no remote one belongs to.
    pub(super) fn new(
        control_plane: &ControlPlane,
        request: &ResourceRequest,
        mut query: Query,
        accept: &Accept,
    ) -> Result<Option<Self>, Error> {
        // Never passed on: to a server in between, it could mean another path.
        if let Some(name) = &request.name
            && let Some(why) = why_no_name(name)
        {
            return Err(Error::BadRequest(format!(
                "Name parameter invalid: {name:?}: {why}"
            )));
        }
        let fields = query.get("fieldSelector").map(str::to_owned);
        let Some(scope) = scope(control_plane, request, fields.as_deref())? else {
            return Ok(None);
        };
        if let Some(fields) = fields {
            let namespaces = &control_plane.namespaces;
            let to_remote = |local: &str| namespaces.to_remote(local).map(str::to_owned);
            query.set("fieldSelector", &selector::to_remote(&fields, to_remote));
        }
        // A watch has none, which the control plane says itself.
        if scope.is_all()
            && request.verb == Verb::List
            && let Some(token) = query.get("continue").filter(|token| !token.is_empty())
        {
            let token = token::to_remote(token, &scope).map_err(|_| Error::ForeignContinueToken)?;
            query.set("continue", &token);
        }
        // A row without its object can't be judged.
        let judged = matches!(accept.form(), Form::Table(_)) && matches!(scope, Scope::Mapped(_));
        let strips_rows = judged && query.get("includeObject") == Some("None");
        if strips_rows {
            query.set("includeObject", "Metadata");
        }
        // Its white space would be in fieldsV1, which protobuf has as JSON.
        if accept.serializer() == Serializer::Protobuf {
            query.set("pretty", "false");
        }
        let path = path(&control_plane.path_prefix, request, scope.remote());
        Ok(Some(Self {
            scope,
            strips_rows,
            serializer: accept.serializer(),
            path,
            query,
        }))
    }

    /// `fieldValidation`, as the client gave it.
    pub(super) fn validation(&self) -> &str {
        self.query.get("fieldValidation").unwrap_or_default()
    }

    /// The object itself, without what the request says of how it is to be written.
    pub(super) fn object_uri(&self) -> Result<Uri, Error> {
        uri(&self.path)
    }

    /// The same for a patch of claimgate's own, under whose name what it sets is managed.
    pub(super) fn own_patch_uri(&self) -> Result<Uri, Error> {
        uri(&format!("{}?fieldManager=claimgate", self.path))
    }

    /// The query in the control plane's terms.
    pub(super) fn query(&self) -> &Query {
        &self.query
    }

    /// The same, about this version of the object.
    pub(super) fn of_version(&self, version: &str) -> Self {
        let mut plan = self.clone();
        plan.query.set("resourceVersion", version);
        plan
    }

    /// The same, to be carried out in appearance only.
    pub(super) fn dry(&self) -> Self {
        let mut plan = self.clone();
        plan.query.set("dryRun", "All");
        plan
    }

    pub(super) fn uri(&self) -> Result<Uri, Error> {
        let query = self.query.to_string();
        match query.as_str() {
            "" => uri(&self.path),
            query => uri(&format!("{}?{query}", self.path)),
        }
    }
}

fn uri(text: &str) -> Result<Uri, Error> {
    text.parse()
        .map_err(|_| Error::BadRequest("the request's path cannot be passed on".into()))
}

fn scope(
    control_plane: &ControlPlane,
    request: &ResourceRequest,
    fields: Option<&str>,
) -> Result<Option<Scope>, Error> {
    let namespaces = &control_plane.namespaces;
    // A selector of one namespace makes kube-apiserver read that one alone, and then a continue
    // token names none (`apiserver/pkg/registry/generic/registry/store.go`, ListPredicate).
    let selected = fields.and_then(selector::only_namespace);
    let selected = selected.and_then(|local| Some((local, namespaces.to_remote(local)?)));
    match (&request.namespace, request.verb) {
        (Some(local), _) => Ok(namespaces.to_remote(local).map(|remote| Scope::One {
            local: local.clone(),
            remote: remote.to_owned(),
        })),
        // As kube-apiserver has it: across namespaces there is reading alone.
        (None, Verb::List | Verb::Watch) => {
            Ok(Some(match selected.or_else(|| namespaces.single()) {
                Some((local, remote)) => Scope::Only {
                    local: local.to_owned(),
                    remote: remote.to_owned(),
                },
                None => Scope::Mapped(namespaces.clone()),
            }))
        }
        (None, _) => Err(Error::PathNotFound),
    }
}

fn path(prefix: &str, request: &ResourceRequest, remote: Option<&str>) -> String {
    let mut path = format!(
        "{prefix}/apis/{}/{}",
        encode(&request.group),
        encode(&request.version)
    );
    if request.watch_path {
        path.push_str("/watch");
    }
    let namespace = remote.map(|remote| ["namespaces", remote]);
    let rest = [
        Some(&request.resource),
        request.name.as_ref(),
        request.subresource.as_ref(),
    ];
    for segment in namespace.into_iter().flatten() {
        path.push('/');
        path.push_str(&encode(segment));
    }
    for segment in rest.into_iter().flatten() {
        path.push('/');
        path.push_str(&encode(segment));
    }
    path
}

/// Percent-encodes all but RFC 3986's unreserved characters.
fn encode(segment: &str) -> String {
    let mut encoded = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
