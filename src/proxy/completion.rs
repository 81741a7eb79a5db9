//! Writes on their way to the control plane, and the reads before those that could lose what the app
//! cluster does not see of their object (`translate::hidden`).
//!
//! An update replaces its object, and some patches replace lists of it. So claimgate first reads the
//! object's metadata, as itself and as any answer is read, and completes the write with what is hidden
//! there. Between the two the object may change; then the write's precondition fails it. An update
//! always has one, since a custom resource can't be updated without its `resourceVersion`
//! (`apiextensions-apiserver/pkg/registry/customresource/strategy.go`). A patch is given the version
//! that was read, unless it names one itself, and is completed anew if that has gone by. An object that is
//! not there has nothing hidden, and so has none that an update could make: of custom resources none can.
//!
//! A version that a client names is its own affair: an honest one is no newer than what is read after
//! it, so it is either the same or a conflict. Who guesses the version of a change that is only just
//! to come undoes what that change hides.

use std::fmt;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;

use super::media::RequestMedia;
use super::request_body::{Prepared, Sent};
use super::{Outgoing, Proxy, upstream_error};
use crate::error::Error;
use crate::request_info::Verb;
use crate::translate::beginning::Beginning;
use crate::translate::hidden::{Current, Effect};
use crate::upstream::{Lane, RequestBody, ResponseBody};

/// How often a patch is completed and sent, if the object changes each time in between; as often as
/// clients that update try (`client-go/util/retry/util.go`, `DefaultRetry`).
pub(super) const TRIES_MAX: usize = 5;

/// The metadata alone; and failures as to whom asks for an object, which can't be had in that form
/// (`apiserver/pkg/endpoints/handlers/responsewriters/writers.go`, `ErrorNegotiated`).
const METADATA: HeaderValue = HeaderValue::from_static(
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
);

const MERGE_PATCH: HeaderValue = HeaderValue::from_static("application/merge-patch+json");

/// Of no object, were it not dry. An update or a patch without a body is none either.
const NO_DELETION: Bytes =
    Bytes::from_static(br#"{"dryRun":["All"],"preconditions":{"uid":"claimgate"}}"#);

/// What became of a request.
pub(super) struct Carried {
    pub(super) answer: Response<ResponseBody>,
    /// How the body that was sent with it begins.
    pub(super) beginning: Option<Beginning>,
    /// What the client is to be warned of.
    pub(super) warnings: Vec<HeaderValue>,
}

/// What was found of an object before what the client asked for is sent.
pub(super) enum Found {
    Object(Current),
    /// The request for it failed; this is its answer.
    Failure(Carried),
}

impl Found {
    /// A write to an object that is not there loses nothing, and is the control plane's to refuse: it has
    /// much to say before that.
    fn or_missing(self) -> Self {
        match self {
            Self::Failure(read) if read.answer.status() == StatusCode::NOT_FOUND => {
                Self::Object(Current::missing())
            }
            found => found,
        }
    }
}

impl Proxy {
    /// Sends a request with its body, and takes the control plane's answer to it, or to the read that
    /// had to come before it.
    pub(super) async fn carry_out(
        &self,
        outgoing: Outgoing<'_>,
        body: Incoming,
    ) -> Result<Carried, Error> {
        let Outgoing { asked, media, .. } = outgoing;
        let effect = match asked.request.verb {
            _ if asked.request.subresource.is_some() => Effect::Subresource,
            Verb::Delete | Verb::DeleteCollection => return self.delete(outgoing, body).await,
            _ if asked.request.name.is_none() => Effect::Harmless,
            Verb::Update => match self.current(outgoing).await?.or_missing() {
                Found::Object(current) => Effect::Update(current),
                Found::Failure(read) => return Ok(self.refusal(outgoing, read).await),
            },
            Verb::Patch if media != RequestMedia::Apply => Effect::Patch(None),
            _ => Effect::Harmless,
        };
        let prepared = if media.is_yaml() {
            Prepared::Ready(self.yaml_body(outgoing, effect, body).await?)
        } else {
            self.request_body(outgoing, effect, body).await?
        };
        match prepared {
            Prepared::Ready(sent) => self.send(outgoing, sent).await,
            Prepared::Incomplete(patch) => self.complete(outgoing, patch).await,
        }
    }

    /// Sends a patch together with what it would lose.
    async fn complete(&self, outgoing: Outgoing<'_>, patch: Bytes) -> Result<Carried, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let current = match self.current(outgoing).await?.or_missing() {
                Found::Object(current) => current,
                Found::Failure(read) => return Ok(self.refusal(outgoing, read).await),
            };
            let (sent, names_version) = self.completed(outgoing, patch.clone(), &current)?;
            let carried = self.send(outgoing, sent).await?;
            let is_outdated = carried.answer.status() == StatusCode::CONFLICT && !names_version;
            if !is_outdated || tries == TRIES_MAX {
                return Ok(carried);
            }
        }
    }

    /// What is answered if a request of claimgate's own fails that has to come first. If the connector may
    /// not make it, it may hardly do what the client asked for, and kube-apiserver says so before it looks
    /// at anything else. So it is asked to, by a request that could change nothing.
    pub(super) async fn refusal(&self, outgoing: Outgoing<'_>, first: Carried) -> Carried {
        if first.answer.status() != StatusCode::FORBIDDEN {
            return first;
        }
        let mut outgoing = outgoing;
        let mut body = RequestBody::Empty;
        if outgoing.asked.request.verb == Verb::Delete {
            // Sets the type of the body.
            outgoing.media = RequestMedia::Yaml;
            body = RequestBody::Full(NO_DELETION);
        }
        let plan = &outgoing.plan.dry();
        let sent = Sent {
            body,
            ..Sent::default()
        };
        // Boxed, for it is rare.
        let asked = Box::pin(self.send(Outgoing { plan, ..outgoing }, sent));
        let time = outgoing.asked.control_plane.request_timeout;
        match tokio::time::timeout(time, asked).await {
            Ok(Ok(asked)) if asked.answer.status() == StatusCode::FORBIDDEN => asked,
            _ => first,
        }
    }

    /// Reads what is hidden of the request's object.
    pub(super) async fn current(&self, outgoing: Outgoing<'_>) -> Result<Found, Error> {
        let mut request = Request::new(RequestBody::Empty);
        *request.method_mut() = Method::GET;
        *request.uri_mut() = outgoing.plan.object_uri()?;
        *request.headers_mut() = outgoing.asked.headers(METADATA);
        request.headers_mut().remove(CONTENT_TYPE);
        self.found(outgoing, request).await
    }

    /// Changes the request's object by a merge patch of claimgate's own.
    pub(super) async fn patched(
        &self,
        outgoing: Outgoing<'_>,
        patch: Vec<u8>,
    ) -> Result<Found, Error> {
        let mut request = Request::new(RequestBody::Full(patch.into()));
        *request.method_mut() = Method::PATCH;
        *request.uri_mut() = outgoing.plan.own_patch_uri()?;
        *request.headers_mut() = outgoing.asked.headers(METADATA);
        request.headers_mut().insert(CONTENT_TYPE, MERGE_PATCH);
        self.found(outgoing, request).await
    }

    /// Sends a request that is answered with the object's metadata, and waits at most for the time that
    /// a request may take. What the client asked for has not been sent by then, so that a failure of
    /// the connection is told as that of a read.
    async fn found(
        &self,
        outgoing: Outgoing<'_>,
        request: Request<RequestBody>,
    ) -> Result<Found, Error> {
        let control_plane = outgoing.asked.control_plane;
        let time = control_plane.request_timeout;
        let found = tokio::time::timeout(time, self.find(outgoing, request)).await;
        found.unwrap_or_else(|_| Err(control_plane.timeout()))
    }

    async fn find(
        &self,
        outgoing: Outgoing<'_>,
        request: Request<RequestBody>,
    ) -> Result<Found, Error> {
        let Outgoing { asked, plan, .. } = outgoing;
        let control_plane = asked.control_plane;
        let sent = control_plane.upstream.send(Lane::Requests, request).await;
        let answer = sent.map_err(|error| upstream_error(control_plane, Verb::Get, &error))?;
        if !answer.status().is_success() {
            return Ok(Found::Failure(Carried {
                answer,
                beginning: None,
                warnings: Vec::new(),
            }));
        }
        let bad = |why: &dyn fmt::Display| Error::BadAnswer {
            control_plane: control_plane.name.clone(),
            why: why.to_string(),
        };
        let body = Limited::new(answer.into_body(), self.limits.held_bytes_max);
        let whole = body.collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return bad(&error);
            }
            Error::Away {
                control_plane: control_plane.name.clone(),
                why: error.to_string(),
            }
        })?;
        let mapped = self.object(&plan.scope, whole.to_bytes());
        let mapped = mapped.map_err(|error| bad(&error))?;
        let current = Current::read(&mapped).map_err(|error| bad(&error))?;
        Ok(Found::Object(current))
    }
}
