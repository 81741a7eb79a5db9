//! Who may ask for what, and who answers: from memory here, or the proxy.
//!
//! In flows a request and the [`Peer`] of its connection, out comes a response, always; errors end
//! here as a Status.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::accept::Serializer;
use crate::authn::{Anonymous, Authenticator, Identity, Peer, User};
use crate::body::ReplyBody;
use crate::body::events::Delimiter;
use crate::discovery::{self, Catalog, Lookup, Resource};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::openapi;
use crate::proxy::admission::Admission;
use crate::proxy::{Asked, ControlPlane, Proxy, unmapped};
use crate::request_info::{Query, ResourceRequest, Target, Verb};
use crate::serve::HEADERS_MAX;
use crate::status;
use crate::websocket::{self, handshake};

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// Everything that requests are answered with.
pub struct Router {
    pub(crate) authenticator: Authenticator,
    /// Groups whose members may come without the aggregator.
    pub(crate) direct_groups: std::collections::BTreeSet<String>,
    pub(crate) catalog: Catalog,
    pub(crate) control_planes: BTreeMap<String, ControlPlane>,
    pub(crate) proxy: Proxy,
    pub(crate) admission: Admission,
    pub(crate) websockets: websocket::Bounds,
    pub(crate) metrics: Metrics,
    /// Cancelled from the signal to end on: not ready, though requests are still answered.
    pub(crate) stopping: CancellationToken,
}

impl Router {
    pub fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    /// Why no new requests should be sent here, if so.
    pub fn ready(&self) -> Result<(), String> {
        if self.stopping.is_cancelled() {
            return Err("draining".to_owned());
        }
        self.catalog.ready()
    }

    /// Answers one request.
    pub async fn handle(
        self: &Arc<Self>,
        peer: &Peer,
        request: Request<Incoming>,
    ) -> Response<ReplyBody> {
        let (parts, body) = request.into_parts();
        let begun = Instant::now();
        let known = match self.admit(peer, &parts) {
            Ok(known) => known,
            Err(error) => return self.refused(&error, &parts).await,
        };
        let is_direct = matches!(known, Known::User(Identity::Direct(_)));
        let is_upgrade = handshake::is_upgrade(&parts);
        let handshake = handshake::answer(&parts);
        let (labels, answer) = self.dispatch(&known, &parts, body).await;
        let mut response = match answer {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(%error, fault = ?error.fault(), "a request failed");
                self.refused(&error, &parts).await
            }
        };
        // What is answered to an upgrade passes the aggregator as it is, and unless it is one the
        // connection ends there (`apimachinery/pkg/util/proxy/upgradeaware.go`, `tryUpgrade`).
        if is_direct || is_upgrade {
            finish(response.headers_mut());
        } else {
            // The aggregator adds its own.
            response.headers_mut().remove(CACHE_CONTROL);
        }
        if let Some(handshake) = handshake
            && labels.verb == Verb::Watch.as_str()
            && response.status().is_success()
        {
            response = by_websocket(handshake, response);
        }
        if is_upgrade && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        self.metrics
            .request(&labels, response.status(), begun.elapsed());
        response
    }

    async fn refused(&self, error: &Error, parts: &Parts) -> Response<ReplyBody> {
        let media = status::Media::of(parts);
        let response = self.proxy.refused(error, media).await;
        response.map(ReplyBody::whole)
    }

    /// Authenticates, and authorises those who come by themselves: what the aggregator forwards has
    /// passed the app cluster's RBAC.
    fn admit(&self, peer: &Peer, parts: &Parts) -> Result<Known, Error> {
        if parts.headers.len() > HEADERS_MAX {
            return Err(Error::HeadersTooLarge { max: HEADERS_MAX });
        }
        if matches!(parts.uri.path(), "/livez" | "/readyz" | "/healthz") {
            return Ok(Known::Anybody);
        }
        match self.authenticator.authenticate(peer, &parts.headers) {
            Ok(Identity::Direct(user)) if !self.may_come_directly(&user) => {
                Err(Error::NotDirect { user: user.name })
            }
            // To do it as the user that comes, and not as the one asked for, would be worse.
            Ok(Identity::Direct(_)) if impersonates(&parts.headers) => Err(Error::Impersonation),
            Ok(identity) => Ok(Known::User(identity)),
            Err(anonymous) => Err(self.unauthenticated(anonymous)),
        }
    }

    fn may_come_directly(&self, user: &User) -> bool {
        user.groups
            .iter()
            .any(|group| self.direct_groups.contains(group))
    }

    fn unauthenticated(&self, anonymous: Anonymous) -> Error {
        self.metrics.authentication_failure(anonymous.reason());
        Error::Unauthenticated
    }

    async fn dispatch(
        self: &Arc<Self>,
        known: &Known,
        parts: &Parts,
        body: Incoming,
    ) -> (Labels, Result<Response<ReplyBody>, Error>) {
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let labels = Labels::default();
        match Target::parse(&parts.method, parts.uri.path(), &query) {
            Target::Health => (labels, Ok(self.health(parts.uri.path()))),
            Target::Version if matches!(known, Known::User(Identity::Direct(_))) => {
                (labels, Ok(json(version())))
            }
            Target::Version | Target::Unknown => (labels, Err(Error::PathNotFound)),
            Target::Discovery | Target::OpenApi => (labels, self.memory(parts)),
            Target::Resource(request) => self.resource(request, parts, body).await,
        }
    }

    fn health(&self, path: &str) -> Response<ReplyBody> {
        let (status, text) = match self.ready() {
            Err(why) if path == "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, why),
            _ => (StatusCode::OK, "ok".to_owned()),
        };
        let mut response = Response::new(ReplyBody::whole(text.into()));
        *response.status_mut() = status;
        let kind = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }

    /// Discovery and OpenAPI.
    fn memory(&self, parts: &Parts) -> Result<Response<ReplyBody>, Error> {
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            return Err(Error::MethodNotAllowed {
                method: parts.method.to_string(),
            });
        }
        let header = |name| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let asked = discovery::Asked {
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            accept: header(ACCEPT),
            media: status::Media::accepted(parts),
            if_none_match: header(IF_NONE_MATCH),
        };
        let answer = if asked.path.starts_with("/openapi/") {
            openapi::answer(&self.catalog, &asked)
        } else {
            discovery::answer(&self.catalog, &asked)
        };
        match answer {
            discovery::Answer::Document {
                status,
                headers,
                body,
            } => {
                let mut response = Response::new(ReplyBody::whole(body));
                *response.status_mut() = status;
                *response.headers_mut() = headers;
                Ok(response)
            }
            discovery::Answer::NotAcceptable(supported) => Err(Error::NotAcceptable(supported)),
            discovery::Answer::NotFound => Err(Error::PathNotFound),
            discovery::Answer::Unseen(control_plane) => Err(Error::Unseen { control_plane }),
        }
    }

    async fn resource(
        self: &Arc<Self>,
        request: ResourceRequest,
        parts: &Parts,
        body: Incoming,
    ) -> (Labels, Result<Response<ReplyBody>, Error>) {
        let mut labels = Labels::default();
        let resource = match self.lookup(&request) {
            Ok(resource) => resource,
            Err(error) => return (labels, Err(error)),
        };
        labels = Labels {
            control_plane: resource.control_plane.clone(),
            group: request.group.clone(),
            resource: request.resource.clone(),
            verb: request.verb.as_str(),
        };
        let answer = if request.verb == Verb::Delete {
            self.carried_through(request, resource, parts, body, &labels)
                .await
        } else {
            self.proxied(&request, &resource, parts, body, &labels)
                .await
        };
        (labels, answer)
    }

    /// Proxies a deletion in a task of its own, which a client that leaves does not end: what is
    /// written before it, for the garbage collector, means something else without it.
    async fn carried_through(
        self: &Arc<Self>,
        request: ResourceRequest,
        resource: Resource,
        parts: &Parts,
        body: Incoming,
        labels: &Labels,
    ) -> Result<Response<ReplyBody>, Error> {
        let (router, parts, labels) = (Arc::clone(self), parts.clone(), labels.clone());
        let carried = tokio::spawn(async move {
            router
                .proxied(&request, &resource, &parts, body, &labels)
                .await
        });
        carried
            .await
            .unwrap_or_else(|error| Err(Error::Internal(error.to_string())))
    }

    /// The exposed resource that a request names, if it has the verb.
    fn lookup(&self, request: &ResourceRequest) -> Result<Resource, Error> {
        let resource =
            match self
                .catalog
                .resource(&request.group, &request.version, &request.resource)
            {
                Lookup::Found(resource) => resource,
                Lookup::NotExposed => return Err(Error::PathNotFound),
                Lookup::Unseen(control_plane) => return Err(Error::Unseen { control_plane }),
            };
        if resource.read_only && !request.verb.is_read() {
            return Err(Error::ReadOnly {
                group: request.group.clone(),
            });
        }
        // A verb that makes no sense for the path, as PUT without a name, is the control plane's to
        // refuse. The rest is as its handler of custom resources has it
        // (`apiextensions-apiserver/pkg/apiserver/customresource_handler.go`).
        if let Some(subresource) = &request.subresource
            && !resource.subresources.contains(subresource)
        {
            return Err(Error::NotFound {
                resource: request.resource.clone(),
                group: request.group.clone(),
                name: request.name.clone().unwrap_or_default(),
            });
        }
        if matches!(request.verb, Verb::Proxy | Verb::Unknown) {
            if request.namespace.is_none() {
                return Err(Error::PathNotFound);
            }
            return Err(Error::VerbNotSupported {
                verb: request.verb.as_str(),
                resource: request.resource.clone(),
                group: request.group.clone(),
            });
        }
        Ok(resource)
    }

    async fn proxied(
        &self,
        request: &ResourceRequest,
        resource: &Resource,
        parts: &Parts,
        body: Incoming,
        labels: &Labels,
    ) -> Result<Response<ReplyBody>, Error> {
        let Some(control_plane) = self.control_planes.get(&resource.control_plane) else {
            return Err(Error::Internal(format!(
                "no control plane {:?}",
                resource.control_plane
            )));
        };
        let admitted = if request.verb == Verb::Watch {
            self.admission.watch(self.metrics.watches(labels))?
        } else {
            self.admission.request(self.metrics.in_flight())?
        };
        let kind = unmapped::Kind {
            api_version: format!("{}/{}", request.group, request.version),
            kind: resource.kind.clone(),
            list_kind: format!("{}List", resource.kind),
        };
        let asked = Asked {
            control_plane,
            kind: &kind,
            request,
            parts,
        };
        self.proxy.forward(asked, body, admitted).await
    }
}

/// Who asks, where that matters.
enum Known {
    Anybody,
    User(Identity),
}

/// What a request is counted under.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    pub control_plane: String,
    pub group: String,
    pub resource: String,
    pub verb: &'static str,
}

fn json(body: Bytes) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::whole(body));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The aggregator acts on these headers itself, and takes them away.
fn impersonates(headers: &http::HeaderMap) -> bool {
    headers
        .keys()
        .any(|name| name.as_str().starts_with("impersonate-"))
}

/// A watch in another form. kube-apiserver too looks at the handshake once the watch has begun, and
/// then writes its answer without the headers of others
/// (`apiserver/pkg/endpoints/handlers/watch.go`, `serveWatchHandler`).
fn by_websocket(handshake: Response<Bytes>, watch: Response<ReplyBody>) -> Response<ReplyBody> {
    if handshake.status() == StatusCode::SWITCHING_PROTOCOLS {
        let delimiter = match watch.headers().get(CONTENT_TYPE) {
            Some(stream) if stream == Serializer::Protobuf.stream_type() => Delimiter::Length,
            _ => Delimiter::Newline,
        };
        let mut response = handshake.map(|_empty| watch.into_body());
        response.extensions_mut().insert(delimiter);
        response
    } else {
        handshake.map(ReplyBody::whole)
    }
}

/// What the aggregator adds to every response that it looks at, and is missed in others.
fn finish(headers: &mut http::HeaderMap) {
    if let Ok(id) = HeaderValue::from_str(&Uuid::new_v4().to_string()) {
        headers.entry(AUDIT_ID).or_insert(id);
    }
    let private = HeaderValue::from_static("no-cache, private");
    headers.entry(CACHE_CONTROL).or_insert(private);
}

/// For kubectl, which asks who it talks to. The minor version is that of the Kubernetes whose API
/// machinery is followed here.
fn version() -> Bytes {
    let version = serde_json::json!({
        "major": "1", "minor": "37",
        "gitVersion": concat!("v1.37.0+claimgate-", env!("CARGO_PKG_VERSION")),
        "gitCommit": option_env!("CLAIMGATE_COMMIT").unwrap_or("unknown"),
        "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "rustc",
        "platform": concat!("linux/", "any"),
    });
    Bytes::from(version.to_string())
}
