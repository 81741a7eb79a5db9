//! Request bodies: counted, mapped, and held while they are small.
//!
//! A body that is held can be refused before anything of it was sent, and can be sent again after a
//! GOAWAY. If it turns out to be no JSON, it goes on as it came, so that the control plane refuses
//! it in its own words. A larger one streams; if that turns out to be bad, it is broken off, which
//! makes the control plane drop the request, and the reason is left in [`Failure`]. One that is cut
//! ends as it came. A patch is held whole in any case, for what comes last in it may show that it has to
//! be completed; so is a JSON patch of a subresource, of which each operation is held anyway.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderValue;
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::IgnoredAny;

use super::media::RequestMedia;
use super::{Asked, Outgoing, Proxy};
use crate::body::Broken;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::rewrite::{self, Framing, Output, Rewriter};
use crate::translate::beginning::Beginning;
use crate::translate::hidden::{Current, Effect, OWNER_REFERENCES};
use crate::translate::request::RequestHandler;
use crate::upstream::RequestBody;

/// Bytes of a body that are held before it streams: nearly every claim fits.
pub(super) const HELD_BYTES_MAX: usize = 64 << 10;

/// Why a body was broken off, if it was.
#[derive(Clone, Default)]
pub(super) struct Failure(Arc<Mutex<Option<Error>>>);

impl Failure {
    pub(super) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, error: &Error) -> Broken {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
        Broken(error.to_string())
    }
}

/// A body that goes on.
#[derive(Default)]
pub(super) struct Sent {
    pub(super) body: RequestBody,
    pub(super) failure: Failure,
    pub(super) beginning: Option<Beginning>,
    /// What the client is to be warned of.
    pub(super) warnings: Vec<HeaderValue>,
}

/// A body that was read as far as it is held.
pub(super) enum Prepared {
    Ready(Sent),
    /// A patch, whole and as it came, which may lose something that is hidden.
    Incomplete(Bytes),
}

impl Proxy {
    /// Reads a body as far as it is held.
    pub(super) async fn request_body(
        &self,
        outgoing: Outgoing<'_>,
        effect: Effect,
        mut incoming: Incoming,
    ) -> Result<Prepared, Error> {
        let Asked { request, parts, .. } = outgoing.asked;
        let headers = &parts.headers;
        let max = self.limits.body_bytes_max;
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse().ok());
        if announced.is_some_and(|announced: usize| announced > max) {
            return Err(Error::BodyTooLarge { max });
        }
        if request.verb.is_read() || incoming.is_end_stream() {
            return Ok(Prepared::Ready(Sent::default()));
        }
        let is_patch =
            matches!(effect, Effect::Patch(_)) || outgoing.media == RequestMedia::JsonPatch;
        let mut mapping = self.mapping(outgoing, effect);
        let mut out = Output::default();
        while is_patch || out.len() <= HELD_BYTES_MAX {
            let frame = incoming.frame().await;
            let is_whole = frame.is_none();
            let fed = match frame {
                Some(frame) => mapping.feed(frame, &mut out),
                None => mapping.finish(&mut out),
            };
            let (whole, beginning) = match fed {
                Ok(()) if is_whole && mapping.needs_current() => {
                    let held = mapping.held.unwrap_or_default();
                    return Ok(Prepared::Incomplete(held.into()));
                }
                Ok(()) if is_whole => {
                    let whole = out.copy_to_bytes(out.remaining());
                    let whole = mapping.with_local_copies(whole)?;
                    let beginning = mapping.beginning(&whole);
                    (whole, beginning)
                }
                Ok(()) => continue,
                Err(Stop::Refused(error)) => return Err(error),
                Err(Stop::Unreadable(why)) => (mapping.into_unmapped(incoming, why).await?, None),
            };
            return Ok(Prepared::Ready(Sent {
                body: RequestBody::Full(whole),
                beginning,
                ..Sent::default()
            }));
        }
        let begin = out.copy_to_bytes(out.remaining());
        let beginning = mapping.beginning(&begin);
        mapping.held = None;
        let failure = Failure::default();
        let streamed = Streamed {
            incoming,
            mapping,
            out: begin.into(),
            failure: failure.clone(),
            ended: false,
        };
        Ok(Prepared::Ready(Sent {
            body: RequestBody::stream(streamed),
            failure,
            beginning,
            ..Sent::default()
        }))
    }

    /// A patch that was found incomplete, with what is hidden of its object now; and whether it says
    /// itself of which version of that it is meant to be.
    pub(super) fn completed(
        &self,
        outgoing: Outgoing<'_>,
        patch: Bytes,
        current: &Current,
    ) -> Result<(Sent, bool), Error> {
        let mut mapping = self.mapping(outgoing, Effect::Patch(Some(current.clone())));
        let mut whole = mapping.map(patch.clone())?;
        let handler = mapping.rewriter.as_ref().map(Rewriter::handler);
        let names_version = handler.is_some_and(RequestHandler::names_version);
        if outgoing.media == RequestMedia::JsonPatch {
            let completed = current.complete_json_patch(&whole, names_version);
            whole = completed
                .map_err(|error| {
                    Error::BadRequest(format!("the JSON patch cannot be read: {error}"))
                })?
                .into();
        }
        let sent = Sent {
            beginning: Beginning::new(&patch, &whole),
            body: RequestBody::Full(whole),
            ..Sent::default()
        };
        Ok((sent, names_version))
    }

    pub(super) fn mapping(&self, outgoing: Outgoing<'_>, effect: Effect) -> Mapping {
        let max = self.limits.body_bytes_max;
        let rules = match outgoing.media {
            RequestMedia::Opaque => None,
            RequestMedia::Object | RequestMedia::Yaml | RequestMedia::Apply => {
                Some(&self.request_rules.object)
            }
            RequestMedia::JsonPatch => Some(&self.request_rules.json_patch),
        };
        // A JSON patch's operation is judged whole, and may be as long as the body. So may a key, which is the
        // control plane's to refuse.
        let limits = rewrite::Limits::whole(max);
        let rewriter = rules.map(|rules| {
            let scope = outgoing.plan.scope.clone();
            let handler = self.request_rules.handler(scope, effect);
            Rewriter::new(rules.clone(), Framing::One, limits, handler)
        });
        Mapping {
            rewriter,
            taken: 0,
            max,
            held: Some(Vec::new()),
            metrics: self.metrics.clone(),
        }
    }
}

/// Counts and maps a body.
pub(super) struct Mapping {
    pub(super) rewriter: Option<Rewriter<RequestHandler>>,
    taken: usize,
    max: usize,
    /// What came, as long as none of it has left.
    pub(super) held: Option<Vec<u8>>,
    metrics: Metrics,
}

/// Why a body is not mapped to its end.
enum Stop {
    Refused(Error),
    /// It may be no JSON at all.
    Unreadable(rewrite::Error),
}

impl Mapping {
    /// Counts what comes; trailers are nothing.
    pub(super) fn take(
        &mut self,
        frame: Result<Frame<Bytes>, hyper::Error>,
    ) -> Result<Bytes, Error> {
        let frame = frame
            .map_err(|_| Error::BadRequest("the request body ended before it was whole".into()))?;
        let data = frame.into_data().unwrap_or_default();
        self.metrics.received(data.len());
        self.taken = self.taken.saturating_add(data.len());
        if self.taken > self.max {
            return Err(Error::BodyTooLarge { max: self.max });
        }
        if let Some(held) = &mut self.held {
            held.extend_from_slice(&data);
        }
        Ok(data)
    }

    fn feed(
        &mut self,
        frame: Result<Frame<Bytes>, hyper::Error>,
        out: &mut Output,
    ) -> Result<(), Stop> {
        let data = self.take(frame).map_err(Stop::Refused)?;
        match &mut self.rewriter {
            Some(rewriter) => rewriter.feed(data, out).map_err(stop),
            None => {
                out.push(data);
                Ok(())
            }
        }
    }

    fn beginning(&self, sent: &[u8]) -> Option<Beginning> {
        Beginning::new(self.held.as_deref()?, sent)
    }

    fn finish(&mut self, out: &mut Output) -> Result<(), Stop> {
        match &mut self.rewriter {
            Some(rewriter) if self.taken > 0 => {
                self.metrics.replacements(rewriter.replacements());
                rewriter.finish(out).map_err(stop)
            }
            _ => Ok(()),
        }
    }

    fn needs_current(&self) -> bool {
        let rewriter = self.rewriter.as_ref();
        rewriter.is_some_and(|rewriter| rewriter.handler().needs_current())
    }

    /// Maps a body that is there whole, whose bytes were counted.
    pub(super) fn map(&mut self, whole: Bytes) -> Result<Bytes, Error> {
        let Some(rewriter) = &mut self.rewriter else {
            return Ok(whole);
        };
        let mapped = rewriter.whole(whole).map_err(|error| match stop(error) {
            Stop::Refused(error) => error,
            Stop::Unreadable(why) => unreadable(&why),
        })?;
        self.metrics.replacements(rewriter.replacements());
        self.with_local_copies(mapped)
    }

    fn with_local_copies(&self, mapped: Bytes) -> Result<Bytes, Error> {
        let Some(rewriter) = &self.rewriter else {
            return Ok(mapped);
        };
        let completed = rewriter.handler().with_local_copies(mapped);
        completed.map_err(|why| Error::BadRequest(why.to_owned()))
    }

    /// All of a body that stopped the rewriter, to be refused by the control plane, which quotes how
    /// it begins and says what its own parser found (`apiserver/pkg/endpoints/handlers/rest.go`,
    /// `transformDecodeError`).
    ///
    /// # Errors
    /// It is JSON all the same: then it may name something, and can't go on unmapped.
    async fn into_unmapped(
        mut self,
        mut incoming: Incoming,
        why: rewrite::Error,
    ) -> Result<Bytes, Error> {
        while let Some(frame) = incoming.frame().await {
            self.take(frame)?;
        }
        let mut whole = self.held.unwrap_or_default();
        // Of one that is too deep, which is JSON to some, as much as is sure to be cut.
        if let rewrite::Error::Depth { offset, .. } = why {
            whole.truncate(usize::try_from(offset).map_or(0, |offset| offset.saturating_add(1)));
        }
        if is_json(&whole) {
            Err(unreadable(&why))
        } else {
            Ok(whole.into())
        }
    }
}

/// Whether a parser of its own can read it, which takes whatever Go's `encoding/json` takes.
pub(super) fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

fn stop(error: rewrite::Error) -> Stop {
    match error {
        rewrite::Error::Refused(OWNER_REFERENCES) => Stop::Refused(Error::OwnerReferences),
        rewrite::Error::Refused(why) => Stop::Refused(Error::BadRequest(why.to_owned())),
        error => Stop::Unreadable(error),
    }
}

fn unreadable(why: &rewrite::Error) -> Error {
    Error::BadRequest(format!("the request body cannot be read as JSON: {why}"))
}

/// A body that was too long to be held.
struct Streamed {
    incoming: Incoming,
    mapping: Mapping,
    out: Output,
    failure: Failure,
    ended: bool,
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        while this.out.is_empty() && !this.ended {
            let next = ready!(Pin::new(&mut this.incoming).poll_frame(context));
            let fed = match next {
                Some(frame) => this.mapping.feed(frame, &mut this.out),
                None => {
                    this.ended = true;
                    this.mapping.finish(&mut this.out)
                }
            };
            if let Err(stop) = fed {
                this.ended = true;
                let error = match stop {
                    Stop::Refused(error) => error,
                    // What has left is cut too, whatever of it was held back: the control plane
                    // refuses it in its own words.
                    Stop::Unreadable(rewrite::Error::Truncated) => continue,
                    Stop::Unreadable(why) => unreadable(&why),
                };
                return Poll::Ready(Some(Err(this.failure.set(&error))));
            }
        }
        let length = this.out.remaining();
        let data = (length > 0).then(|| Ok(Frame::data(this.out.copy_to_bytes(length))));
        Poll::Ready(data)
    }
}
