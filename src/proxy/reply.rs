//! Translates the control plane's reply for the client: status, headers and body in local names.
//!
//! A successful body streams through up to three steps: rewriting ([`rewritten`], [`watch`]),
//! conversion to YAML or protobuf ([`serialize`]), and gzip ([`gzip`]). Only the first one always runs.
//! Only failures and replies in YAML or protobuf are buffered, up to `limits.maxBufferedSize`, and
//! the beginning of a body that may be compressed.

mod gzip;
mod headers;
#[cfg(feature = "pass-through")]
mod pass_through;
mod protobuf_watch;
mod rewritten;
mod serialize;
mod watch;

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use tokio_util::sync::CancellationToken;

use self::headers::is_json;
use self::rewritten::Rewritten;
pub(super) use self::serialize::ReplySerializer;
use super::admission::RequestPermit;
use super::context::RequestContext;
use super::dispatch::UpstreamReply;
use super::media;
use super::plan::RemoteRequest;
use super::response_mapper::ResponseMapper;
use super::rules_by_group::RulesByGroup;
use crate::body::{Buffered, ReplyBody};
use crate::config::LimitsConfig;
use crate::error::RequestError;
use crate::telemetry::metrics::Metrics;
use crate::upstream::ResponseBody;
use claim_mapping::RequestScope;
use claim_mapping::quoted_prefix::QuotedPrefix;
use claim_mapping::response::Shape;
use kube_wire::accept::Serializer;
use kube_wire::request_info::Verb;
use kube_wire::status;

/// Translates replies for the client.
pub(super) struct ReplyTranslator {
    mappers: Arc<RulesByGroup<ResponseMapper>>,
    serializer: ReplySerializer,
    watches: Arc<watch::Settings>,
    metrics: Metrics,
}

impl ReplyTranslator {
    /// Creates the stage. Watches end at their next event boundary once `draining` is cancelled.
    pub(super) fn new(
        limits: &LimitsConfig,
        mappers: Arc<RulesByGroup<ResponseMapper>>,
        serializer: ReplySerializer,
        metrics: Metrics,
        draining: CancellationToken,
    ) -> Self {
        Self {
            mappers,
            serializer,
            watches: Arc::new(watch::Settings {
                buffer_bytes_max: limits.watch_buffer_size,
                write_timeout: limits.watch_write_timeout,
                draining,
                metrics: metrics.clone(),
            }),
            metrics,
        }
    }

    fn mapper(&self, context: &RequestContext<'_>) -> &ResponseMapper {
        self.mappers.of(&context.request.group)
    }

    /// Translates one reply. The body keeps the permit until it is sent or dropped.
    ///
    /// # Errors
    /// The reply cannot be passed on, or is too long to be converted.
    pub(super) async fn translate(
        &self,
        context: &RequestContext<'_>,
        remote: RemoteRequest,
        reply: UpstreamReply,
        permit: RequestPermit,
    ) -> Result<Response<ReplyBody>, RequestError> {
        let UpstreamReply {
            response,
            quoted_prefix,
            warnings,
            object_scope,
        } = reply;
        let remote = match object_scope {
            Some(scope) => remote.with_scope(scope),
            None => remote,
        };
        let (parts, body) = response.into_parts();
        let status = parts.status;
        check_status(context, status)?;
        let control_plane = context.control_plane;
        if status == StatusCode::FORBIDDEN && control_plane.upstream.is_starting().await {
            let why = "it is starting and may not know its roles yet (403)";
            return Err(control_plane.unavailable(&context.request.group, why));
        }
        let mapper = self.mapper(context);
        let mut headers = headers::to_client(&parts.headers, &remote.scope, mapper);
        let serializer = serializer(context, status, &headers);
        let body = if context.is_head() && !context.needs_body_for_head() {
            ReplyBody::whole(Bytes::new())
        } else if status.is_success() {
            self.success(context, remote, body, permit, &mut headers)
                .await?
        } else {
            let mapped = self
                .failure(context, status, &headers, remote.scope, quoted_prefix, body)
                .await?;
            self.serializer
                .convert(context.control_plane, serializer, mapped)
                .await?
        };
        if serializer != Serializer::Json {
            let is_stream = context.request.verb == Verb::Watch && status.is_success();
            let content_type = match is_stream {
                true => serializer.stream_type(),
                false => serializer.content_type(),
            };
            headers.insert(CONTENT_TYPE, content_type);
        }
        headers::prepend_warnings(&mut headers, warnings);
        let mut response = Response::new(match context.is_head() {
            true => ReplyBody::whole(Bytes::new()),
            false => body,
        });
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// Maps a successful reply and converts it to what the client accepts.
    async fn success(
        &self,
        context: &RequestContext<'_>,
        remote: RemoteRequest,
        upstream: ResponseBody,
        permit: RequestPermit,
        headers: &mut HeaderMap,
    ) -> Result<ReplyBody, RequestError> {
        let control_plane = context.control_plane;
        upstream
            .check_encoding()
            .map_err(|error| control_plane.invalid_reply(error))?;
        if !is_json(headers) {
            let content_type = headers.get(CONTENT_TYPE).cloned();
            let why = format!("content type {content_type:?} instead of JSON");
            return Err(control_plane.invalid_reply(why));
        }
        let serializer = context.accept.serializer();
        let may_be_foreign = remote.scope.translates_names() && shape(context) == Shape::Object;
        let mut mapped = self.map(context, remote, upstream, permit);
        if may_be_foreign {
            mapped = self.own_object(context, mapped).await?;
        }
        if context.request.verb == Verb::Watch {
            return self.serializer.convert_watch(serializer, mapped);
        }
        let converted = self
            .serializer
            .convert(control_plane, serializer, mapped)
            .await?;
        if !media::accepts_gzip(&context.parts.headers) {
            return Ok(converted);
        }
        let compressed = gzip::compress_if_large(converted, headers).await;
        compressed.map_err(|broken| control_plane.invalid_reply(broken))
    }

    /// Returns a body that is mapped while it streams.
    fn map(
        &self,
        context: &RequestContext<'_>,
        remote: RemoteRequest,
        upstream: ResponseBody,
        permit: RequestPermit,
    ) -> ReplyBody {
        #[cfg(feature = "pass-through")]
        if pass_through::is_enabled() {
            return pass_through::body(upstream, self.metrics.clone(), permit);
        }
        let shape = shape(context);
        let rewriter = self.mapper(context).rewriter(remote, shape);
        if shape == Shape::Watch {
            let settings = Arc::clone(&self.watches);
            return ReplyBody::streamed(watch::relay(upstream, rewriter, settings, permit));
        }
        ReplyBody::streamed(Rewritten::new(
            upstream,
            rewriter,
            self.metrics.clone(),
            permit,
        ))
    }

    /// Waits until an object has been mapped, because it may turn out to belong to another app cluster or local name.
    ///
    /// # Errors
    /// [`RequestError::NotFound`], or the body was interrupted.
    async fn own_object(
        &self,
        context: &RequestContext<'_>,
        mut mapped: ReplyBody,
    ) -> Result<ReplyBody, RequestError> {
        let control_plane = context.control_plane;
        let buffered = mapped.buffer(self.mapper(context).buffered_bytes_max).await;
        match buffered.map_err(|error| control_plane.invalid_reply(error))? {
            Buffered::Whole(object) if object.is_empty() => Err(context.not_found()),
            Buffered::Whole(object) => Ok(mapped.replaced_by(object)),
            Buffered::Prefix(_) => Err(control_plane.invalid_reply("the object is too long")),
        }
    }

    /// Maps the body of a failure: a Status, or text as kube-apiserver's filters write it.
    ///
    /// It is buffered whole, because a message may quote the whole object that it rejects.
    ///
    /// # Errors
    /// [`RequestError::UntranslatableFailure`], with the same status code, if the body is longer
    /// than `limits.maxBufferedSize`, is interrupted or cannot be mapped.
    async fn failure(
        &self,
        context: &RequestContext<'_>,
        status: StatusCode,
        headers: &HeaderMap,
        scope: RequestScope,
        quoted_prefix: Option<QuotedPrefix>,
        body: ResponseBody,
    ) -> Result<ReplyBody, RequestError> {
        let control_plane = context.control_plane;
        let mapper = self.mapper(context);
        let collected = Limited::new(body, mapper.buffered_bytes_max)
            .collect()
            .await;
        let whole = collected
            .map_err(|error| control_plane.untranslatable_failure(status, error))?
            .to_bytes();
        let mapped = if is_json(headers) {
            let mapped = mapper.map_failure(scope, quoted_prefix, whole);
            mapped.map_err(|error| control_plane.untranslatable_failure(status, error))?
        } else {
            let text = String::from_utf8_lossy(&whole);
            match mapper.map_text(&scope, &text) {
                Some(mapped) => mapped.into(),
                None => whole,
            }
        };
        Ok(ReplyBody::whole(mapped))
    }
}

fn shape(context: &RequestContext<'_>) -> Shape {
    match context.request.verb {
        Verb::Watch => Shape::Watch,
        Verb::List | Verb::DeleteCollection => Shape::List,
        _ => Shape::Object,
    }
}

/// Rejects replies that must not reach the client.
fn check_status(context: &RequestContext<'_>, status: StatusCode) -> Result<(), RequestError> {
    let control_plane = context.control_plane;
    match status {
        // Logging in again would not help the client.
        StatusCode::UNAUTHORIZED => {
            let group = &context.request.group;
            Err(control_plane.unavailable(group, "it rejects claimgate's own credentials (401)"))
        }
        status if status.is_redirection() || status.is_informational() => {
            Err(control_plane.invalid_reply(format!("status {status}")))
        }
        _ => Ok(()),
    }
}

/// Returns the serializer of the reply. Only JSON can be converted to other formats.
fn serializer(context: &RequestContext<'_>, status: StatusCode, headers: &HeaderMap) -> Serializer {
    match is_json(headers) {
        false => Serializer::Json,
        true if status.is_success() => context.accept.serializer(),
        true => status::ResponseFormat::negotiate(context.parts).serializer,
    }
}
