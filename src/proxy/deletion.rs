//! Deletions, and what the garbage collector of the app cluster is told before them.
//!
//! Who deletes a claim with `propagationPolicy: Orphan` or `Foreground` means what it owns in the app
//! cluster too. The collector there acts on a finalizer, which kube-apiserver sets as it deletes
//! (`apiserver/pkg/registry/generic/registry/store.go`, `deletionFinalizersForGarbageCollection`). The
//! control plane does so for its own collector alone, so the one of the app cluster is set before, by a
//! patch of the version that was read, and the deletion follows as it came. If that is refused, the
//! finalizer is taken back.
//!
//! A claim that is being deleted takes no more finalizers (`apimachinery/pkg/api/validation`,
//! `ValidateNoNewFinalizers`). Nothing is lost then by `Foreground`, for what the claim owns is collected
//! once it is gone; with `Orphan` it would be lost, so that is refused, as it is for collections.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use super::completion::{Carried, Found, TRIES_MAX};
use super::media::RequestMedia;
use super::request_body::{Sent, is_json};
use super::{Outgoing, Proxy};
use crate::error::Error;
use crate::request_info::{Query, Verb};
use crate::translate::beginning::Beginning;
use crate::translate::hidden::{Cascade, Current, Effect};
use crate::upstream::RequestBody;
use crate::yaml;

/// What is looked at of `DeleteOptions` (`apimachinery/pkg/apis/meta/v1/types.go`).
#[derive(Debug, Default, PartialEq)]
struct Options {
    /// What the app cluster's collector has to be told; nothing of options that will be refused.
    cascade: Option<Cascade>,
    is_dry_run: bool,
    uid: Option<String>,
    version: Option<String>,
}

impl Options {
    /// From a body in JSON. What is of another type than it has to be the control plane refuses.
    fn of_body(body: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let condition = |name| body.get("preconditions")?.get(name).and_then(text);
        let given = |name| body.get(name).filter(|value| !value.is_null());
        Self {
            cascade: cascade(
                given("orphanDependents").map(|value| *value == Value::Bool(true)),
                given("propagationPolicy").map(|value| value.as_str().unwrap_or_default()),
            ),
            is_dry_run: given("dryRun").is_some_and(|value| *value != Value::Array(Vec::new())),
            uid: condition("uid"),
            version: condition("resourceVersion"),
        }
    }

    /// From the query, which counts if there is no body (`apimachinery/pkg/apis/meta/v1/conversion.go`,
    /// `Convert_url_Values_To_v1_DeleteOptions`).
    fn of_query(query: &Query) -> Self {
        let condition = |name| query.get(name).filter(|value| !value.is_empty());
        let is_true = |value: &str| value != "0" && !value.eq_ignore_ascii_case("false");
        Self {
            cascade: cascade(
                query.get("orphanDependents").map(is_true),
                query.get("propagationPolicy"),
            ),
            is_dry_run: query.get("dryRun").is_some(),
            uid: condition("uid").map(str::to_owned),
            version: condition("resourceVersion").map(str::to_owned),
        }
    }

    /// Whether the deletion is meant for the object as it was read; otherwise it will be refused.
    fn are_about(&self, current: &Current) -> bool {
        let is_met =
            |asked: &Option<String>, is: &str| asked.as_deref().is_none_or(|asked| asked == is);
        is_met(&self.uid, &current.uid) && is_met(&self.version, &current.version)
    }
}

/// As kube-apiserver has it; it refuses both at once.
fn cascade(orphans: Option<bool>, policy: Option<&str>) -> Option<Cascade> {
    match (orphans, policy) {
        (Some(true), None) | (None, Some("Orphan")) => Some(Cascade::Orphan),
        (None, Some("Foreground")) => Some(Cascade::Foreground),
        _ => None,
    }
}

/// A deletion as the client sent it.
struct Deletion {
    options: Options,
    body: Bytes,
    /// The same in JSON, if there is one.
    json: Option<Value>,
}

impl Deletion {
    fn as_it_came(&self) -> Sent {
        Sent {
            beginning: Beginning::new(&self.body, &self.body),
            body: match self.body.is_empty() {
                true => RequestBody::Empty,
                false => RequestBody::Full(self.body.clone()),
            },
            ..Sent::default()
        }
    }

    /// Its body, about a later version of the object than the client named.
    fn of_version(&self, version: &str) -> Sent {
        let mut json = self.json.clone().unwrap_or_default();
        if let Some(named) = json.pointer_mut("/preconditions/resourceVersion") {
            *named = version.into();
        }
        let body = json.to_string();
        Sent {
            beginning: Beginning::new(&self.body, body.as_bytes()),
            body: RequestBody::Full(body.into()),
            ..Sent::default()
        }
    }
}

impl Proxy {
    /// Sends a deletion, and before it what the app cluster's collector has to know.
    pub(super) async fn delete(
        &self,
        outgoing: Outgoing<'_>,
        incoming: Incoming,
    ) -> Result<Carried, Error> {
        let request = outgoing.asked.request;
        let deletion = self.deletion(outgoing, incoming).await?;
        let is_one = request.verb == Verb::Delete;
        match deletion.options {
            Options {
                cascade: Some(Cascade::Orphan),
                ..
            } if !is_one => Err(Error::OrphansOfMany),
            Options {
                cascade: Some(cascade),
                is_dry_run: false,
                ..
            } if is_one => self.delete_marked(outgoing, &deletion, cascade).await,
            _ => self.send(outgoing, deletion.as_it_came()).await,
        }
    }

    async fn delete_marked(
        &self,
        outgoing: Outgoing<'_>,
        deletion: &Deletion,
        cascade: Cascade,
    ) -> Result<Carried, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let current = match self.current(outgoing).await? {
                Found::Object(current) if deletion.options.are_about(&current) => current,
                Found::Failure(carried) if carried.answer.status() != StatusCode::NOT_FOUND => {
                    return Ok(carried);
                }
                // To be refused in the control plane's words.
                _ => return self.send(outgoing, deletion.as_it_came()).await,
            };
            let Some(finalizers) = current.marked(cascade) else {
                return self.send(outgoing, deletion.as_it_came()).await;
            };
            match cascade {
                Cascade::Orphan if current.is_being_deleted => return Err(too_late(outgoing)),
                Cascade::Foreground if current.is_being_deleted => {
                    return self.send(outgoing, deletion.as_it_came()).await;
                }
                _ => {}
            }
            let patch = current.merge_patch(&finalizers);
            match self.patched(outgoing, patch).await? {
                Found::Object(marked) => {
                    return self
                        .delete_or_unmark(outgoing, deletion, &current, &marked)
                        .await;
                }
                Found::Failure(carried)
                    if carried.answer.status() == StatusCode::CONFLICT && tries < TRIES_MAX => {}
                Found::Failure(carried) => return Ok(carried),
            }
        }
    }

    /// Sends the deletion of an object that is `marked`, and puts the finalizers back that it had
    /// `before`, should that be refused, for otherwise another deletion would be taken for this one.
    async fn delete_or_unmark(
        &self,
        outgoing: Outgoing<'_>,
        deletion: &Deletion,
        before: &Current,
        marked: &Current,
    ) -> Result<Carried, Error> {
        let carried = match (&deletion.options.version, &deletion.json) {
            (None, _) => self.send(outgoing, deletion.as_it_came()).await?,
            (Some(_), None) => {
                let plan = &outgoing.plan.of_version(&marked.version);
                let outgoing = Outgoing { plan, ..outgoing };
                self.send(outgoing, deletion.as_it_came()).await?
            }
            (Some(_), Some(_)) => {
                // Sets the type of the body, which is JSON now.
                let media = RequestMedia::Yaml;
                let outgoing = Outgoing { media, ..outgoing };
                let sent = deletion.of_version(&marked.version);
                self.send(outgoing, sent).await?
            }
        };
        // A server that failed may still carry it out.
        if carried.answer.status().is_client_error() {
            let patch = marked.merge_patch(&before.finalizers());
            // If this fails too, the finalizer stays, to be seen and taken off by whoever looks.
            let _ = self.patched(outgoing, patch).await;
        }
        Ok(carried)
    }

    /// Reads a deletion whole, so that nothing in it is missed.
    async fn deletion(
        &self,
        outgoing: Outgoing<'_>,
        mut incoming: Incoming,
    ) -> Result<Deletion, Error> {
        let mut mapping = self.mapping(outgoing, Effect::Harmless);
        while let Some(frame) = incoming.frame().await {
            mapping.take(frame)?;
        }
        let body = Bytes::from(mapping.held.unwrap_or_default());
        if body.is_empty() {
            return Ok(Deletion {
                options: Options::of_query(outgoing.plan.query()),
                body,
                json: None,
            });
        }
        let json = self.options(&outgoing.asked.parts.headers, &body).await?;
        Ok(Deletion {
            options: json.as_ref().map(Options::of_body).unwrap_or_default(),
            body,
            json,
        })
    }

    /// A body's options; `None` if the control plane will refuse it.
    ///
    /// # Errors
    /// It may be read there, but not here.
    async fn options(&self, headers: &HeaderMap, body: &Bytes) -> Result<Option<Value>, Error> {
        let Some(media) = RequestMedia::of_options(headers)? else {
            return Ok(None);
        };
        let unreadable =
            |why: &str| Error::BadRequest(format!("the options cannot be read: {why}"));
        if media == RequestMedia::Yaml {
            let (max, yaml) = (self.limits.body_bytes_max, body.clone());
            let converted = self.convert(move || yaml::to_json(&yaml, max)).await?;
            let converted = converted.map_err(|error| unreadable(&error.to_string()))?;
            let json = serde_json::from_slice(&converted.json);
            return json
                .map(Some)
                .map_err(|error| unreadable(&error.to_string()));
        }
        match serde_json::from_slice(body) {
            Ok(json) => Ok(Some(json)),
            Err(error) if is_json(body) => Err(unreadable(&error.to_string())),
            Err(_) => Ok(None),
        }
    }
}

fn too_late(outgoing: Outgoing<'_>) -> Error {
    let request = outgoing.asked.request;
    Error::OrphanedTooLate {
        resource: request.resource.clone(),
        group: request.group.clone(),
        name: request.name.clone().unwrap_or_default(),
    }
}
