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

mod options;

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use self::options::Options;
use super::completion::{Carried, Found, TRIES_MAX};
use super::media::{self, RequestMedia};
use super::request_body::{Sent, is_json};
use super::{Outgoing, Proxy};
use crate::accept::{PROTOBUF, SERIALIZED, YAML};
use crate::error::Error;
use crate::protobuf;
use crate::request_info::Verb;
use crate::translate::beginning::Beginning;
use crate::translate::hidden::{Cascade, Current, Effect};
use crate::upstream::RequestBody;
use crate::yaml;

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
                Found::Failure(read) if read.answer.status() != StatusCode::NOT_FOUND => {
                    return Ok(self.refusal(outgoing, read).await);
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
                Found::Failure(patched) => return Ok(self.refusal(outgoing, patched).await),
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
        let unreadable = |why: &dyn fmt::Display| {
            Error::BadRequest(format!("the options cannot be read: {why}"))
        };
        match media::media_type(headers).as_deref() {
            kind if media::is_json_type(kind) => match serde_json::from_slice(body) {
                Ok(json) => Ok(Some(json)),
                Err(error) if is_json(body) => Err(unreadable(&error)),
                Err(_) => Ok(None),
            },
            Some(YAML) => {
                let (max, yaml) = (self.limits.body_bytes_max, body.clone());
                let converted = self.convert(move || yaml::to_json(&yaml, max)).await?;
                let converted = converted.map_err(|error| unreadable(&error))?;
                let json = serde_json::from_slice(&converted.json);
                json.map(Some).map_err(|error| unreadable(&error))
            }
            Some(PROTOBUF) => {
                let json = protobuf::delete_options(body);
                json.map(Some).map_err(|error| unreadable(&error))
            }
            // There are control planes that read it.
            Some("application/cbor") => Err(Error::UnsupportedMediaType(SERIALIZED)),
            _ => Ok(None),
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
