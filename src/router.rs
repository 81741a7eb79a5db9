//! Routes requests to the catalog, which answers from memory, or to the proxy.
//!
//! Every request has the [`Peer`] of its connection. Errors become a Kubernetes Status here.

mod access;
mod local;
mod resource;
mod upgrade;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use self::access::AccessControl;
use self::access::Caller;
use self::upgrade::Upgrade;
use crate::authn::{Identity, Peer};
use crate::body::ReplyBody;
use crate::catalog::{Catalog, ExposedResource};
use crate::error::RequestError;
use crate::health::{self, Readiness};
use crate::proxy::admission::Admission;
use crate::proxy::{ControlPlane, Proxy, RequestContext, ResourceKind};
use crate::status::{ControlPlaneStatus, CopyStatus, StatusReport};
use crate::telemetry::metrics::{Metrics, RequestLabels};
use kube_wire::request_info::{Query, ResourceRequest, Target, Verb};
use kube_wire::status;

/// Routes requests and returns their responses.
pub struct Router {
    pub(crate) access: AccessControl,
    pub(crate) catalog: Catalog,
    pub(crate) control_planes: BTreeMap<String, ControlPlane>,
    pub(crate) proxy: Proxy,
    pub(crate) admission: Admission,
    pub(crate) metrics: Metrics,
    /// Cancelled by the stop signal: requests are still answered, but `/readyz` fails.
    pub(crate) stopping: CancellationToken,
    /// APIs that are not registered in the app cluster, and why.
    pub(crate) registration_problems: watch::Receiver<Vec<String>>,
    pub(crate) copies: CopyStatus,
    /// Returns whether the controllers of this replica run, or `None` if it has none.
    pub(crate) is_leader: Box<dyn Fn() -> Option<bool> + Send + Sync>,
}

type Answer = Result<Response<ReplyBody>, RequestError>;

impl Router {
    /// Returns whether the connection is the front proxy's.
    pub(crate) fn is_front_proxy(&self, peer: &Peer) -> bool {
        self.access.authenticator.is_front_proxy(peer)
    }

    /// Returns whether the daemon should get new requests.
    pub(crate) fn readiness(&self) -> Readiness {
        let stopping = match self.stopping.is_cancelled() {
            true => Err("draining".to_owned()),
            false => Ok(()),
        };
        Readiness {
            checks: vec![("stopping", stopping), ("discovery", self.catalog.ready())],
            warnings: self.warnings(),
        }
    }

    /// Returns the problems that do not keep the daemon from serving.
    fn warnings(&self) -> Vec<String> {
        let control_planes = self.control_planes.values().filter_map(|control_plane| {
            let problem = control_plane.problem()?;
            Some(format!("control plane {:?} {problem}", control_plane.name))
        });
        control_planes
            .chain(self.registration_problems.borrow().iter().cloned())
            .collect()
    }

    /// Returns what `claimgate status` shows.
    pub(crate) fn status(&self) -> StatusReport {
        let control_planes = self.control_planes.iter();
        let control_planes = control_planes.map(|(name, control_plane)| ControlPlaneStatus {
            name: name.clone(),
            problem: control_plane.problem(),
            is_reachable: self.catalog.is_reachable(name),
            is_degraded: self.catalog.is_degraded(name),
            missing_rights: self.missing_rights(name),
            discovery_age_seconds: self.catalog.age(name).map(|age| age.as_secs()),
        });
        StatusReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            is_leader: (self.is_leader)(),
            control_planes: control_planes.collect(),
            apis: self.catalog.api_status(),
            registration_problems: self.registration_problems.borrow().clone(),
            copies: self.copies.list(),
            events: self.copies.events(),
        }
    }

    fn missing_rights(&self, control_plane: &str) -> Vec<String> {
        let rights = self.catalog.missing_rights(control_plane).into_iter();
        let texts =
            rights.map(|it| format!("{} {}.{} {}", it.verb, it.resource, it.group, it.scope));
        texts.collect()
    }

    /// Returns the response to one request.
    pub async fn handle(
        self: &Arc<Self>,
        peer: &Peer,
        request: Request<Incoming>,
    ) -> Response<ReplyBody> {
        let (parts, body) = request.into_parts();
        let started = Instant::now();
        let caller = match self.access.caller(peer, &parts) {
            Ok(caller) => caller,
            Err(error) => return self.error_response(&error, &parts).await,
        };
        let upgrade = Upgrade::of(&parts);
        let (labels, answer) = self.dispatch(&caller, &parts, body).await;
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(%error, fault = ?error.fault(), "a request failed");
                self.error_response(&error, &parts).await
            }
        };
        let is_watch = labels.verb == Verb::Watch.as_str();
        let response = upgrade.apply(response, caller.is_direct(), is_watch);
        self.metrics
            .request(labels, response.status(), started.elapsed());
        response
    }

    async fn error_response(&self, error: &RequestError, parts: &Parts) -> Response<ReplyBody> {
        let format = status::ResponseFormat::negotiate(parts);
        let response = self.proxy.error_response(error, format).await;
        response.map(ReplyBody::whole)
    }

    async fn dispatch(
        self: &Arc<Self>,
        caller: &Caller,
        parts: &Parts,
        body: Incoming,
    ) -> (RequestLabels, Answer) {
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let path = parts.uri.path();
        let answer = match Target::parse(&parts.method, path, &query) {
            Target::Health => {
                let response = health::respond(path, parts.uri.query(), &self.readiness());
                Ok(response.map(ReplyBody::whole))
            }
            // The aggregator serves its own /version.
            Target::Version if caller.is_direct() => Ok(local::version()),
            Target::Version | Target::Unknown => Err(RequestError::PathNotFound),
            Target::Discovery | Target::OpenApi => local::document(&self.catalog, parts),
            Target::Resource(request) => match caller.identity() {
                Ok(identity) => return self.resource(request, identity, parts, body).await,
                Err(error) => Err(error),
            },
        };
        (RequestLabels::default(), answer)
    }

    async fn resource(
        self: &Arc<Self>,
        request: ResourceRequest,
        identity: &Identity,
        parts: &Parts,
        body: Incoming,
    ) -> (RequestLabels, Answer) {
        let resource = match resource::find(&self.catalog, &request) {
            Ok(resource) => resource,
            Err(error) => return (RequestLabels::default(), Err(error)),
        };
        let labels = RequestLabels {
            control_plane: resource.control_plane.clone(),
            group: request.group.clone(),
            resource: request.resource.clone(),
            verb: request.verb.as_str(),
        };
        let answer = if request.verb == Verb::Delete {
            self.forward_to_completion(request, resource, identity, parts, body, &labels)
                .await
        } else {
            self.forward(&request, &resource, identity, parts, body, &labels)
                .await
        };
        (labels, answer)
    }

    /// Proxies a deletion in a separate task, so that it completes even if the client disconnects. A
    /// finalizer for the garbage collector that is written without a deletion would act on a later one.
    async fn forward_to_completion(
        self: &Arc<Self>,
        request: ResourceRequest,
        resource: ExposedResource,
        identity: &Identity,
        parts: &Parts,
        body: Incoming,
        labels: &RequestLabels,
    ) -> Answer {
        let (router, labels) = (Arc::clone(self), labels.clone());
        let (identity, parts) = (identity.clone(), parts.clone());
        let task = tokio::spawn(async move {
            router
                .forward(&request, &resource, &identity, &parts, body, &labels)
                .await
        });
        task.await
            .unwrap_or_else(|error| Err(RequestError::Internal(error.to_string())))
    }

    async fn forward(
        &self,
        request: &ResourceRequest,
        resource: &ExposedResource,
        identity: &Identity,
        parts: &Parts,
        body: Incoming,
        labels: &RequestLabels,
    ) -> Answer {
        let Some(control_plane) = self.control_planes.get(&resource.control_plane) else {
            return Err(RequestError::Internal(format!(
                "the catalog names the unknown control plane {:?}",
                resource.control_plane
            )));
        };
        let gauge = match request.verb {
            Verb::Watch => self.metrics.watches(labels),
            _ => self.metrics.in_flight(&control_plane.name),
        };
        let permit = control_plane.admit(request.verb, &identity.user().name, gauge)?;
        let permit = self.admission.admit(request.verb, permit)?;
        let kind = ResourceKind {
            api_version: format!("{}/{}", request.group, request.version),
            kind: resource.kind.clone(),
            list_kind: format!("{}List", resource.kind),
            name_limit: resource.name_limit,
        };
        let context = RequestContext::negotiate(control_plane, &kind, request, parts, identity)?;
        let response = self.proxy.forward(&context, body, permit).await?;
        if response.status() == StatusCode::FORBIDDEN {
            self.catalog.invalidate_rights(&control_plane.name);
        }
        Ok(response)
    }
}
