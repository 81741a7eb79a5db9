//! Forwards requests for claims to the control plane, and maps the replies.
//!
//! ```text
//! router ─▶ admission ─▶ context ─▶ plan ─▶ execution ─▶ dispatch ─▶ control plane
//!            permit       media      │        outbound                    │
//!                                    ▼                                    │
//!                           unmapped_namespace                            │
//!                                    │                                    │
//! client ◀───────────────────────────┴────────── reply ◀──────────────────┘
//! ```
//!
//! Read the modules in this order:
//! - `admission`: the permit that the router acquires for each request.
//! - `context`: the routed request and its negotiated media types (`media`); every stage gets
//!   it.
//! - `plan`: the path and query in remote names.
//! - `namespace_lifecycle`: checks whether the state of the local namespace forbids creates.
//! - `unmapped_namespace`: the reply if the local namespace is not mapped.
//! - `execution`: reads the body (`outbound`), reads the object before a write that needs it,
//!   and sends the request (`dispatch`).
//! - `reply`: the reply in local names, in the media type that the client accepts.
//!
//! Bodies stream, except for these, which are buffered:
//! - the beginning of every request body, so that it can be sent again;
//! - whole patches, deletions and YAML bodies;
//! - failures, and replies in YAML or protobuf, up to `limits.maxBufferedSize`;
//! - the beginning of a reply that may be compressed.

pub mod admission;
mod client_body;
mod context;
mod control_plane;
mod conversion;
mod dispatch;
mod execution;
mod media;
mod namespace_lifecycle;
mod outbound;
mod plan;
mod reply;
mod response_mapper;
mod rules_by_group;
#[cfg(test)]
mod testing;
mod unmapped_namespace;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use self::admission::RequestPermit;
use self::client_body::ClientBody;
pub use self::context::{RequestContext, ResourceKind};
pub use self::control_plane::ControlPlane;
use self::conversion::Conversions;
use self::execution::{Executor, ObjectReader};
use self::namespace_lifecycle::Obstacle;
use self::outbound::BodyReader;
use self::plan::RemoteRequest;
use self::reply::{ReplySerializer, ReplyTranslator};
use self::response_mapper::ResponseMapper;
use self::rules_by_group::RulesByGroup;
use self::unmapped_namespace::UnmappedNamespace;
use crate::body::ReplyBody;
use crate::config::LimitsConfig;
use crate::error::RequestError;
use crate::namespaces::LocalNamespaces;
use crate::telemetry::metrics::Metrics;
use claim_mapping::ReferencePaths;
use claim_mapping::request::RequestRules;
use json_rewrite::RuleError;
use kube_wire::request_info::Verb;
use kube_wire::status;

/// The stages that every request for claims passes.
pub struct Proxy {
    namespaces: LocalNamespaces,
    unmapped_namespace: UnmappedNamespace,
    executor: Executor,
    translator: ReplyTranslator,
    serializer: ReplySerializer,
}

impl Proxy {
    /// Creates the stages. `references` contains the declared references to Secrets by API group. Watches end at their
    /// next event boundary once `draining` is cancelled.
    ///
    /// # Errors
    /// The path of a rule cannot be compiled. A test rules this out.
    pub fn new(
        limits: &LimitsConfig,
        references: &BTreeMap<String, ReferencePaths>,
        namespaces: LocalNamespaces,
        metrics: Metrics,
        draining: CancellationToken,
    ) -> Result<Self, RuleError> {
        let conversions = Conversions::new();
        let mappers = Arc::new(RulesByGroup::compile(references, |references| {
            ResponseMapper::compile(references, limits.max_buffered_size)
        })?);
        let serializer = ReplySerializer::new(conversions.clone(), limits.max_buffered_size);
        let bodies = BodyReader::new(
            RulesByGroup::compile(references, RequestRules::compile)?,
            limits.max_request_body_size,
            metrics.clone(),
            conversions,
        );
        let objects = ObjectReader::new(Arc::clone(&mappers));
        Ok(Self {
            namespaces,
            unmapped_namespace: UnmappedNamespace::new(serializer.clone(), draining.clone()),
            executor: Executor::new(bodies, objects),
            translator: ReplyTranslator::new(
                limits,
                mappers,
                serializer.clone(),
                metrics,
                draining,
            ),
            serializer,
        })
    }

    /// Sends a request to its control plane and returns the reply for the client.
    ///
    /// # Errors
    /// The request is invalid, or no reply arrived that can be passed on.
    pub async fn forward(
        &self,
        context: &RequestContext<'_>,
        body: Incoming,
        permit: RequestPermit,
    ) -> Result<Response<ReplyBody>, RequestError> {
        let planned = RemoteRequest::plan(context)?;
        let obstacle = Obstacle::find(&self.namespaces, context).await;
        let Some(remote) = planned else {
            return match obstacle {
                // Mapping the namespace would not help.
                Some(Obstacle::Missing) if context.request.verb == Verb::Create => {
                    Err(Obstacle::Missing.error(context, String::new()))
                }
                _ => self.unmapped_namespace.reply(context).await,
            };
        };
        let stall = context.control_plane.upstream.request_body_stall();
        let body = ClientBody::new(body, stall);
        let executor = &self.executor;
        let reply = executor.execute(context, &remote, obstacle, body).await?;
        self.translator
            .translate(context, remote, reply, permit)
            .await
    }

    /// Returns the response for an error.
    pub async fn error_response(
        &self,
        error: &RequestError,
        format: status::ResponseFormat,
    ) -> Response<Bytes> {
        self.serializer.error_response(error, format).await
    }
}
