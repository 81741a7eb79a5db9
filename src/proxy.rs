//! The way of a request for claims: to the control plane and back.
//!
//! In flows a request that was authenticated, authorised and found among the exposed resources; out
//! comes the response, with namespaces mapped both ways. Bodies stream: of a request the first
//! `request_body::HELD_BYTES_MAX` are held so that it can be sent again, and of a patch, of a deletion
//! and of what is read as YAML all; of a response nothing but failures and what leaves as YAML or
//! protobuf, up to `heldBytesMax`, and of what may leave as gzip the beginning.

pub mod admission;
mod answer;
mod completion;
mod compress;
mod deletion;
mod media;
#[cfg(feature = "pass-through")]
mod pass_through;
mod plan;
mod protobuf_watch;
mod request_body;
mod response_body;
mod serialize;
pub mod unmapped;
mod watch;
mod yaml;

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::admission::Admitted;
use self::completion::Carried;
use self::media::{Accept, RequestMedia};
use self::plan::Plan;
use self::request_body::Sent;
use self::unmapped::EmptyWatch;
use crate::accept::Form;
use crate::body::ReplyBody;
use crate::config::Limits;
use crate::error::Error;
use crate::mapping::Namespaces;
use crate::metrics::Metrics;
use crate::request_info::{Query, ResourceRequest, Verb};
use crate::rewrite;
use crate::status;
use crate::translate::request::RequestRules;
use crate::translate::response::ResponseRules;
use crate::upstream::credentials::Credentials;
use crate::upstream::{self, Lane, Upstream};

/// Request headers that mean something to the control plane. Everything else stays here, identity
/// above all: the connector's own is put in its place.
const FORWARDED: [HeaderName; 4] = [
    CONTENT_TYPE,
    USER_AGENT,
    HeaderName::from_static("audit-id"),
    HeaderName::from_static("traceparent"),
];

/// One control plane, as requests see it.
pub struct ControlPlane {
    pub name: String,
    pub upstream: Upstream,
    pub credentials: Credentials,
    pub namespaces: Arc<Namespaces>,
    /// Path under which the API is served, without a slash at its end.
    pub path_prefix: String,
    pub request_timeout: Duration,
}

impl ControlPlane {
    /// What a read that took too long is answered with.
    fn timeout(&self) -> Error {
        Error::Timeout {
            control_plane: self.name.clone(),
            seconds: self.request_timeout.as_secs(),
        }
    }
}

/// A request for claims, as it was routed.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub control_plane: &'a ControlPlane,
    pub kind: &'a unmapped::Kind,
    pub request: &'a ResourceRequest,
    pub parts: &'a Parts,
}

impl Asked<'_> {
    /// Only headers are wanted, and whether they name gzip, the length of a body has to tell.
    /// kube-apiserver too writes the body then, and its HTTP server drops it.
    fn is_head_of_gzip(&self) -> bool {
        self.parts.method == Method::HEAD
            && self.request.verb != Verb::Watch
            && compress::is_accepted(&self.parts.headers)
    }

    /// Headers of what is sent to the control plane for it.
    fn headers(&self, accept: HeaderValue) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for name in FORWARDED {
            if let Some(value) = self.parts.headers.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        headers.insert(ACCEPT, accept);
        self.control_plane.credentials.authorize(&mut headers);
        headers
    }
}

/// The same on its way to the control plane, but for its body.
#[derive(Clone, Copy)]
struct Outgoing<'a> {
    asked: Asked<'a>,
    media: RequestMedia,
    accept: &'a Accept,
    plan: &'a Plan,
}

/// What all requests share.
pub struct Proxy {
    request_rules: RequestRules,
    response_rules: ResponseRules,
    limits: Limits,
    watches: Arc<watch::Settings>,
    metrics: Metrics,
    /// Watches end at their next event boundary once this is cancelled.
    draining: CancellationToken,
    /// Places for conversions from and to YAML.
    conversions: Arc<Semaphore>,
}

impl Proxy {
    /// Fails only if a rule's path can't be compiled, which a test rules out.
    pub fn new(
        limits: Limits,
        metrics: Metrics,
        draining: CancellationToken,
    ) -> Result<Self, rewrite::RuleError> {
        Ok(Self {
            request_rules: RequestRules::compile()?,
            response_rules: ResponseRules::compile()?,
            watches: Arc::new(watch::Settings {
                buffer_bytes_max: limits.watch_buffer_bytes_max,
                stall_max: limits.watch_stall_max,
                draining: draining.clone(),
                metrics: metrics.clone(),
            }),
            limits,
            metrics,
            draining,
            conversions: Arc::new(Semaphore::new(serialize::CONVERSIONS_MAX)),
        })
    }

    /// Sends a request to its control plane and answers with the response.
    pub async fn forward(
        &self,
        asked: Asked<'_>,
        body: Incoming,
        admitted: Admitted,
    ) -> Result<Response<ReplyBody>, Error> {
        let Asked {
            control_plane,
            request,
            parts,
            ..
        } = asked;
        let accept = Accept::parse(request.verb, &parts.headers);
        let media = RequestMedia::parse(request.verb, &parts.headers);
        // kube-apiserver looks at a patch's type before it looks at Accept, at another body's after
        // (`apiserver/pkg/endpoints/handlers`, `patch.go` and `create.go`).
        let (accept, media) = if request.verb == Verb::Patch {
            let media = media?;
            (accept?, media)
        } else {
            (accept?, media?)
        };
        let serializer = accept.serializer();
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let Some(plan) = Plan::new(control_plane, request, query.clone(), &accept)? else {
            let body = self.unmapped(asked, &query, accept.form())?;
            let (written, content_type) = match request.verb {
                Verb::Watch => (
                    self.written_by_event(serializer, body)?,
                    serializer.stream_type(),
                ),
                _ => (
                    self.written(serializer, &control_plane.name, body).await?,
                    serializer.content_type(),
                ),
            };
            let mut response = Response::new(written);
            response.headers_mut().insert(CONTENT_TYPE, content_type);
            return Ok(response);
        };
        let outgoing = Outgoing {
            asked,
            media,
            accept: &accept,
            plan: &plan,
        };
        let carried = self.carry_out(outgoing, body).await?;
        self.answer(asked, plan, carried, admitted).await
    }

    async fn send(&self, outgoing: Outgoing<'_>, sent: Sent) -> Result<Carried, Error> {
        let Asked {
            control_plane,
            request,
            ..
        } = outgoing.asked;
        let lane = if request.verb == Verb::Watch {
            Lane::Watches
        } else {
            Lane::Requests
        };
        let outgoing = self.request(outgoing, sent.body)?;
        let answer = control_plane.upstream.send(lane, outgoing).await;
        // The control plane may answer a body that we broke off, with whatever it made of the rest.
        if let Some(error) = sent.failure.take() {
            return Err(error);
        }
        let answer = answer.map_err(|error| upstream_error(control_plane, request.verb, &error))?;
        Ok(Carried {
            answer,
            beginning: sent.beginning,
            warnings: sent.warnings,
        })
    }

    fn request(
        &self,
        outgoing: Outgoing<'_>,
        body: upstream::RequestBody,
    ) -> Result<Request<upstream::RequestBody>, Error> {
        let Outgoing {
            asked,
            media,
            accept,
            plan,
        } = outgoing;
        let mut request = Request::new(body);
        *request.method_mut() = if asked.is_head_of_gzip() {
            Method::GET
        } else {
            asked.parts.method.clone()
        };
        *request.uri_mut() = plan.uri()?;
        *request.headers_mut() = asked.headers(accept.header()?);
        if media == RequestMedia::Yaml {
            let json = media::in_json(&asked.parts.headers);
            request.headers_mut().insert(CONTENT_TYPE, json);
        }
        Ok(request)
    }

    /// The body of the answer to a request about local namespaces that no remote one belongs to.
    fn unmapped(&self, asked: Asked<'_>, query: &Query, form: Form) -> Result<ReplyBody, Error> {
        let Asked {
            control_plane,
            kind,
            request,
            ..
        } = asked;
        let body = match request.verb {
            Verb::List | Verb::DeleteCollection => {
                unmapped::validate(query, false)?;
                let is_indented = status::is_pretty(asked.parts);
                ReplyBody::whole(unmapped::list(kind, form, is_indented))
            }
            Verb::Watch => {
                unmapped::validate(query, true)?;
                ReplyBody::streamed(EmptyWatch::new(kind, form, query, self.draining.clone()))
            }
            Verb::Get | Verb::Delete => {
                return Err(Error::NotFound {
                    resource: request.resource.clone(),
                    group: request.group.clone(),
                    name: request.name.clone().unwrap_or_default(),
                });
            }
            Verb::Create | Verb::Update | Verb::Patch | Verb::Proxy | Verb::Unknown => {
                return Err(Error::NamespaceNotMapped {
                    control_plane: control_plane.name.clone(),
                    namespace: request.namespace.clone().unwrap_or_default(),
                    resource: request.resource.clone(),
                    group: request.group.clone(),
                    name: request.name.clone(),
                });
            }
        };
        Ok(body)
    }
}

/// A read, and a write that was certainly not carried out, is told that the control plane is away;
/// of any other write the outcome is not known.
fn upstream_error(control_plane: &ControlPlane, verb: Verb, error: &upstream::Error) -> Error {
    if error.reason() == "timeout" && verb.is_read() {
        return control_plane.timeout();
    }
    let (control_plane, why) = (control_plane.name.clone(), error.to_string());
    match error.outcome() {
        upstream::Outcome::NotProcessed => Error::Away { control_plane, why },
        upstream::Outcome::Unknown if verb.is_read() => Error::Away { control_plane, why },
        upstream::Outcome::Unknown => Error::OutcomeUnknown { control_plane, why },
    }
}
