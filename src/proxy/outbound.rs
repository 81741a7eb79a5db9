//! Reads the client's request body and turns it into the body that is sent to the control plane.
//!
//! - The beginning of every body is buffered. A body that fits into the buffer can be rejected before
//!   anything was sent, and can be sent again after a GOAWAY.
//! - A longer body streams. If it turns out to be invalid, it is aborted, so that the control plane
//!   drops the request.
//! - A patch of an object is buffered whole, because only its end shows whether it must be completed, and because
//!   it may have to be sent again. JSON patches and YAML are buffered whole too.
//! - A buffered body that is not JSON is sent as received, so that the control plane rejects it.

mod outbound_body;
mod received;
mod rewriter;
mod streamed;
#[cfg(test)]
mod tests;
mod yaml;

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::Body;

use self::received::Received;
use self::rewriter::{BodyRewriter, RewriteFailure};
use super::context::RequestContext;
use super::conversion::Conversions;
use super::media::{PatchKind, RequestMedia};
use super::plan::RemoteRequest;
use super::rules_by_group::RulesByGroup;
use crate::error::RequestError;
use crate::telemetry::metrics::Metrics;
use claim_mapping::hidden_metadata::{
    CurrentMetadata, Restore, WriteEffect, complete_json_patch, require_uid,
};
use claim_mapping::request::{RequestRules, has_other_metadata};
use json_rewrite::Output;

pub(super) use self::outbound_body::OutboundBody;
pub(super) use self::rewriter::is_json;
pub(super) use self::yaml::{WholeBody, YamlConverter};

const NO_METADATA: &str = "the metadata of an apply must be an object; write {} or leave it out";

/// Size in bytes above which a body streams. Nearly every claim is smaller.
const BUFFERED_BYTES_MAX: usize = 64 << 10;

/// A patch in remote names.
pub(super) struct RewrittenPatch {
    pub(super) body: OutboundBody,
    /// Whether claimgate added the resourceVersion of the object from which it completed the patch.
    pub(super) is_versioned: bool,
}

/// Reads request bodies and rewrites them to remote names.
pub(super) struct BodyReader {
    rules: RulesByGroup<RequestRules>,
    /// `limits.maxRequestBodySize`
    bytes_max: usize,
    metrics: Metrics,
    pub(super) yaml: YamlConverter,
}

impl BodyReader {
    pub(super) fn new(
        rules: RulesByGroup<RequestRules>,
        bytes_max: usize,
        metrics: Metrics,
        conversions: Conversions,
    ) -> Self {
        Self {
            rules,
            bytes_max,
            metrics,
            yaml: YamlConverter::new(conversions, bytes_max),
        }
    }

    /// Reads and rewrites the body of a request. Only the buffered part of a long body is read here.
    ///
    /// # Errors
    /// The body is too long, was interrupted, or is invalid.
    pub(super) async fn read<B>(
        &self,
        context: &RequestContext<'_>,
        remote: &RemoteRequest,
        effect: WriteEffect,
        incoming: B,
    ) -> Result<OutboundBody, RequestError>
    where
        B: Body<Data = Bytes> + Unpin + Send + 'static,
    {
        let media = context.request_media;
        if media.is_yaml() || media.is_always_buffered() {
            let whole = self.read_as_json(context, remote, incoming).await?;
            return self.rewrite(context, remote, effect, &whole);
        }
        self.check_announced_length(&context.parts.headers)?;
        if context.request.verb.is_read() || incoming.is_end_stream() {
            return Ok(OutboundBody::default());
        }
        let rewriter = self.rewriter(context, remote, effect);
        read_json(rewriter, incoming).await
    }

    /// Reads the whole body of a request, and converts YAML to JSON.
    ///
    /// # Errors
    /// The body is too long, was interrupted, or is invalid YAML.
    pub(super) async fn read_as_json<B>(
        &self,
        context: &RequestContext<'_>,
        remote: &RemoteRequest,
        incoming: B,
    ) -> Result<WholeBody, RequestError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        self.check_announced_length(&context.parts.headers)?;
        let media = context.request_media;
        let body = Bytes::from(self.read_whole(incoming).await?);
        let is_empty_apply = body.is_empty() && media.is_patch_kind(PatchKind::Apply);
        match media.is_yaml() && !is_empty_apply {
            true => self.yaml.read(context, remote, body).await,
            false => Ok(WholeBody::json(body)),
        }
    }

    /// Rewrites a whole body. A body that is not JSON stays, so that the control plane rejects it.
    ///
    /// # Errors
    /// The body is invalid.
    pub(super) fn rewrite(
        &self,
        context: &RequestContext<'_>,
        remote: &RemoteRequest,
        effect: WriteEffect,
        body: &WholeBody,
    ) -> Result<OutboundBody, RequestError> {
        let mut rewriter = self.rewriter(context, remote, effect);
        let rewritten = rewriter.rewrite_or_keep(body.json.clone())?;
        Ok(body.outbound(rewritten))
    }

    /// Rewrites a patch, and completes it with the hidden metadata of the current object. Returns `None` if the patch
    /// has to be completed and `effect` has no current object.
    ///
    /// # Errors
    /// The patch is invalid.
    pub(super) fn rewrite_patch(
        &self,
        context: &RequestContext<'_>,
        remote: &RemoteRequest,
        effect: WriteEffect,
        patch: &WholeBody,
    ) -> Result<Option<RewrittenPatch>, RequestError> {
        let current = match &effect {
            WriteEffect::Patch(current) => current.clone(),
            _ => None,
        };
        let is_json_patch = context.request_media.is_patch_kind(PatchKind::Json);
        let effect = match remote.scope.translates_names() && has_other_metadata(&patch.json) {
            true if is_json_patch => effect,
            // Without claimgate's metadata, the field manager would give it up.
            true if context.request_media.is_patch_kind(PatchKind::Apply) => {
                return Err(RequestError::BadRequest(NO_METADATA.to_owned()));
            }
            // The control plane rejects it.
            true => WriteEffect::Subresource,
            false => effect,
        };
        let mut rewriter = self.rewriter(context, remote, effect);
        let mut rewritten = rewriter.rewrite_or_keep(patch.json.clone())?;
        if rewriter.needs_current_object() {
            return Ok(None);
        }
        let depends_on_hidden = rewriter.depends_on_hidden();
        let names_version = rewriter.names_version();
        let is_object = context.request.subresource.is_none();
        let restores = |current: &CurrentMetadata| is_json_patch && is_object && current.is_damaged;
        let completed_from = current
            .as_ref()
            .filter(|current| depends_on_hidden || restores(current));
        if let Some(current) = completed_from.filter(|_| is_json_patch) {
            let restored = match is_object {
                true => Restore::Metadata {
                    sets_resource_version: names_version,
                },
                false => Restore::Nothing,
            };
            let completed = complete_json_patch(&rewritten, current, restored, &remote.scope);
            rewritten = match completed {
                Ok(completed) => completed.into(),
                // The control plane says better what is wrong.
                Err(_) if !is_json(&rewritten) => rewritten,
                Err(error) => {
                    let why = format!("the JSON patch cannot be read: {error}");
                    return Err(RequestError::BadRequest(why));
                }
            };
        }
        if let Some(uid) = remote.scope.required_uid()
            && is_json_patch
            // The control plane rejects anything but a list.
            && let Ok(guarded) = require_uid(&rewritten, uid)
        {
            rewritten = guarded.into();
        }
        Ok(Some(RewrittenPatch {
            body: patch.outbound(rewritten),
            is_versioned: completed_from.is_some() && is_object && !names_version,
        }))
    }

    /// Reads a whole body without rewriting it.
    ///
    /// # Errors
    /// The body is too long or was interrupted.
    pub(super) async fn read_whole<B>(&self, incoming: B) -> Result<Vec<u8>, RequestError>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        self.received().read_to_end(incoming).await
    }

    fn check_announced_length(&self, headers: &HeaderMap) -> Result<(), RequestError> {
        let announced: Option<usize> = headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        match announced {
            Some(announced) if announced > self.bytes_max => Err(RequestError::BodyTooLarge {
                max: self.bytes_max,
            }),
            _ => Ok(()),
        }
    }

    fn received(&self) -> Received {
        Received::new(self.bytes_max, self.metrics.clone())
    }

    fn rewriter(
        &self,
        context: &RequestContext<'_>,
        remote: &RemoteRequest,
        effect: WriteEffect,
    ) -> BodyRewriter {
        let media = context.request_media;
        let rules = self.rules.of(&context.request.group);
        // An operation of a JSON patch is buffered whole, and may be as long as the body. A key may be
        // as long too; the control plane rejects it.
        let limits = json_rewrite::Limits::for_body(self.bytes_max);
        let scope = remote.scope.clone();
        let rewriter = match media {
            RequestMedia::Opaque => None,
            _ if media.is_patch_kind(PatchKind::Json) => {
                Some(rules.json_patch(scope, effect, limits))
            }
            _ => Some(rules.object(scope, effect, limits)),
        };
        BodyRewriter::new(rewriter, self.received())
    }
}

/// Reads a JSON body until it ends, or until it is long enough to stream.
async fn read_json<B>(
    mut rewriter: BodyRewriter,
    mut incoming: B,
) -> Result<OutboundBody, RequestError>
where
    B: Body<Data = Bytes> + Unpin + Send + 'static,
{
    let mut rewritten = Output::default();
    while rewritten.len() <= BUFFERED_BYTES_MAX {
        match rewriter.read_frame(&mut incoming, &mut rewritten).await {
            Ok(has_ended) if has_ended => return Ok(finish(&rewriter, rewritten)),
            Ok(_) => {}
            Err(RewriteFailure::Rejected(error)) => return Err(error),
            Err(RewriteFailure::Unreadable(why)) => {
                let raw = rewriter.into_raw(incoming, why).await?;
                return Ok(OutboundBody::whole(raw, None));
            }
        }
    }
    Ok(streamed::outbound(rewriter, incoming, rewritten))
}

/// Returns a body that was read and rewritten to its end.
fn finish(rewriter: &BodyRewriter, mut rewritten: Output) -> OutboundBody {
    let whole = rewritten.copy_to_bytes(rewritten.remaining());
    let quoted_prefix = rewriter.quoted_prefix(&whole);
    OutboundBody::whole(whole, quoted_prefix)
}
