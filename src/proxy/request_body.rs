//! Request bodies: counted, mapped, and held while they are small.
//!
//! A body that is held can be refused before anything of it was sent, and can be sent again after a
//! GOAWAY. A larger one streams; if it turns out to be bad, it is broken off, which makes the
//! control plane drop the request, and the reason is left in [`Failure`].

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::IgnoredAny;

use super::Proxy;
use super::media::RequestMedia;
use super::plan::Plan;
use crate::body::Broken;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::request_info::Verb;
use crate::rewrite::{self, Framing, Output, Rewriter};
use crate::translate::hidden::OWNER_REFERENCES;
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

impl Proxy {
    /// Reads a body as far as it is held.
    pub(super) async fn request_body(
        &self,
        media: RequestMedia,
        plan: &Plan,
        headers: &HeaderMap,
        mut incoming: Incoming,
        verb: Verb,
    ) -> Result<(RequestBody, Failure), Error> {
        let max = self.limits.body_bytes_max;
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse().ok());
        if announced.is_some_and(|announced: usize| announced > max) {
            return Err(Error::BodyTooLarge { max });
        }
        let failure = Failure::default();
        if verb.is_read() || incoming.is_end_stream() {
            return Ok((RequestBody::Empty, failure));
        }
        let mut mapping = self.mapping(media, plan, verb);
        let mut out = Output::default();
        // What has to be looked at whole before any of it may leave is bounded by `max` alone.
        while out.len() <= HELD_BYTES_MAX || mapping.json.is_some() {
            match incoming.frame().await {
                Some(frame) => mapping.feed(frame, &mut out)?,
                None => {
                    mapping.finish(&mut out)?;
                    let whole = out.copy_to_bytes(out.remaining());
                    return Ok((RequestBody::Full(whole), failure));
                }
            }
        }
        let streamed = Streamed {
            incoming,
            mapping,
            out,
            failure: failure.clone(),
            ended: false,
        };
        Ok((RequestBody::stream(streamed), failure))
    }

    fn mapping(&self, media: RequestMedia, plan: &Plan, verb: Verb) -> Mapping {
        let max = self.limits.body_bytes_max;
        let rules = match media {
            RequestMedia::Opaque => None,
            RequestMedia::Object | RequestMedia::Apply => Some(&self.request_rules.object),
            RequestMedia::JsonPatch => Some(&self.request_rules.json_patch),
        };
        // A JSON patch's operation is judged whole, and may be as long as the body.
        let limits = rewrite::Limits {
            held_bytes_max: max,
            string_bytes_max: max,
            ..rewrite::Limits::default()
        };
        let rewriter = rules.map(|rules| {
            let handler = self
                .request_rules
                .handler(plan.scope.clone(), verb == Verb::Update);
            Rewriter::new(rules.clone(), Framing::One, limits, handler)
        });
        Mapping {
            rewriter,
            taken: 0,
            max,
            json: (media == RequestMedia::Apply).then(Vec::new),
            metrics: self.metrics.clone(),
        }
    }
}

/// Counts and maps a body.
struct Mapping {
    rewriter: Option<Rewriter<RequestHandler>>,
    taken: usize,
    max: usize,
    /// All of a body that the control plane reads as YAML, less white space before it. It has to be JSON to the letter: in what the
    /// rewriter skips, YAML has other strings than JSON, and so could hide anything from it.
    json: Option<Vec<u8>>,
    metrics: Metrics,
}

impl Mapping {
    fn feed(
        &mut self,
        frame: Result<Frame<Bytes>, hyper::Error>,
        out: &mut Output,
    ) -> Result<(), Error> {
        let frame = frame
            .map_err(|_| Error::BadRequest("the request body ended before it was whole".into()))?;
        let Ok(data) = frame.into_data() else {
            return Ok(());
        };
        self.metrics.received(data.len());
        self.taken = self.taken.saturating_add(data.len());
        if self.taken > self.max {
            return Err(Error::BodyTooLarge { max: self.max });
        }
        if let Some(json) = &mut self.json {
            let begins = json.is_empty();
            let part = if begins {
                data.trim_ascii_start()
            } else {
                &data
            };
            if begins && part.first().is_some_and(|first| *first != b'{') {
                return Err(NOT_JSON);
            }
            json.extend_from_slice(part);
        }
        match &mut self.rewriter {
            Some(rewriter) => rewriter.feed(data, out).map_err(bad_body),
            None => {
                out.push(data);
                Ok(())
            }
        }
    }

    fn finish(&mut self, out: &mut Output) -> Result<(), Error> {
        match &mut self.rewriter {
            Some(rewriter) if self.taken > 0 => {
                if let Some(json) = &self.json
                    && serde_json::from_slice::<IgnoredAny>(json).is_err()
                {
                    return Err(NOT_JSON);
                }
                self.metrics.replacements(rewriter.replacements());
                rewriter.finish(out).map_err(bad_body)
            }
            _ => Ok(()),
        }
    }
}

const NOT_JSON: Error = Error::UnsupportedMediaType("application/apply-patch+yaml in JSON");

fn bad_body(error: rewrite::Error) -> Error {
    match error {
        rewrite::Error::Refused(OWNER_REFERENCES) => Error::OwnerReferences,
        rewrite::Error::Refused(why) => Error::BadRequest(why.to_owned()),
        error => Error::BadRequest(format!("the request body cannot be read as JSON: {error}")),
    }
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
            if let Err(error) = fed {
                this.ended = true;
                return Poll::Ready(Some(Err(this.failure.set(&error))));
            }
        }
        let length = this.out.remaining();
        let data = (length > 0).then(|| Ok(Frame::data(this.out.copy_to_bytes(length))));
        Poll::Ready(data)
    }
}
