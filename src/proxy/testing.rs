//! Test requests for the unit tests of the stages.

use std::collections::BTreeMap;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request};
use prometheus_client::metrics::gauge::Gauge;

use super::admission::{Admission, ControlPlaneAdmission, RequestPermit};
use super::context::{RequestContext, ResourceKind};
use super::control_plane::ControlPlane;
use crate::authn::{Identity, User};
use crate::config::{ControlPlaneLimits, LimitsConfig};
use crate::telemetry::metrics::Metrics;
use crate::upstream::{Credentials, Endpoint, GzipPolicy, PemSource, Timeouts, Upstream};
use claim_mapping::mapping::Mapping;
use dev_control_plane::certificates::Authority;
use kube_wire::request_info::{Query, ResourceRequest, Target, Verb};

/// A routed request for a control plane that is never contacted.
///
/// Its local namespaces `team-a` and `team-b` are mapped to `remote-a` and `remote-b`.
pub(super) struct TestRequest {
    control_plane: ControlPlane,
    kind: ResourceKind,
    request: ResourceRequest,
    parts: Parts,
    identity: Identity,
}

impl TestRequest {
    pub(super) fn new(method: Method, uri: &str) -> Self {
        let request = Request::builder().method(method).uri(uri).body(());
        let (parts, ()) = request.unwrap().into_parts();
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let Target::Resource(request) = Target::parse(&parts.method, parts.uri.path(), &query)
        else {
            panic!("{uri} is not the path of a resource");
        };
        Self {
            control_plane: control_plane(),
            kind: ResourceKind {
                api_version: format!("{}/{}", request.group, request.version),
                kind: "Claim".to_owned(),
                list_kind: "ClaimList".to_owned(),
                name_limit: claim_mapping::mapping::NameLimit::default(),
            },
            request,
            parts,
            identity: Identity::Direct(User::default()),
        }
    }

    pub(super) fn header(mut self, name: HeaderName, value: &'static str) -> Self {
        let value = HeaderValue::from_static(value);
        self.parts.headers.insert(name, value);
        self
    }

    pub(super) fn context(&self) -> RequestContext<'_> {
        RequestContext::negotiate(
            &self.control_plane,
            &self.kind,
            &self.request,
            &self.parts,
            &self.identity,
        )
        .unwrap()
    }
}

const CONTROL_PLANE_LIMITS: ControlPlaneLimits = ControlPlaneLimits {
    max_requests_in_flight: 1,
    max_watches: 1,
};

/// Returns a permit with a separate limit.
pub(super) fn permit() -> RequestPermit {
    let limits = LimitsConfig {
        max_watches: 1,
        max_requests_in_flight: 1,
        max_request_body_size: 1 << 20,
        max_buffered_size: 1 << 20,
        watch_buffer_size: 1 << 20,
        watch_write_timeout: Duration::from_secs(1),
    };
    let control_plane = ControlPlaneAdmission::new(CONTROL_PLANE_LIMITS);
    let permit = control_plane.admit(Verb::Get, "user", Gauge::default());
    let permit = permit.unwrap();
    Admission::new(&limits).admit(Verb::Get, permit).unwrap()
}

fn control_plane() -> ControlPlane {
    let rows = ["a", "b"].map(|name| (format!("team-{name}"), format!("remote-{name}")));
    let mapping = Mapping::table(BTreeMap::from(rows)).unwrap();
    let timeout = Duration::from_secs(1);
    let endpoint = Endpoint {
        name: "platform".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: 1,
        path_prefix: String::new(),
        tls_server_name: None,
        certificate_authority: Some(PemSource::Inline(
            Authority::new("ca").unwrap().pem().into(),
        )),
        gzip: GzipPolicy::Off,
        timeouts: Timeouts {
            connect: timeout,
            request: timeout,
            request_body_stall: timeout,
            ping_interval: timeout,
            ping_timeout: timeout,
        },
    };
    let credentials = Credentials::token("token").unwrap();
    ControlPlane {
        name: endpoint.name.clone(),
        upstream: Upstream::new(endpoint, credentials, &Metrics::new()).unwrap(),
        mapping,
        admission: ControlPlaneAdmission::new(CONTROL_PLANE_LIMITS),
    }
}
