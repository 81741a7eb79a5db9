//! An in-memory control plane, the daemon in front of it, and clients, in one process over real TLS
//! and HTTP/2.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use claim_mapping::ReferencePaths;
use claimgate::app::App;
use claimgate::config;
use claimgate::signals::StopSignal;
use claimgate::tls::{pem, provider};
use dev_control_plane::certificates::{Authority, Identity};
use dev_control_plane::example;
use dev_control_plane::faults::Fault;
use dev_control_plane::{DevControlPlane, DevControlPlaneOptions, RecordedRequest, Resource};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ALL_VERSIONS, ClientConfig, RootCertStore, SupportedProtocolVersion};

/// The claims of the mapped namespace `default`.
pub(crate) const CLAIMS: &str =
    "/apis/k8s.starter.org/v1alpha1/namespaces/default/kubernetesclusters";
/// The claims of all namespaces.
pub(crate) const ALL: &str = "/apis/k8s.starter.org/v1alpha1/kubernetesclusters";
/// The claim that exists at the start, in the namespace `app-ns-1` of the control plane.
pub(crate) const SHOP: &str =
    "/apis/k8s.starter.org/v1alpha1/namespaces/default/kubernetesclusters/shop";

/// The resources of the second control plane.
pub(crate) const OTHER: &str = "/apis/other.example.org/v1/namespaces/default/queues";

const OTHER_CONTROL_PLANE: &str =
    "  other: {kubeconfig: other.kubeconfig, mapping: {namespaces: {default: app-ns-1}}}\n";

/// The mapping of most tests.
const TABLE: &str = "{namespaces: {default: app-ns-1, team-a: app-ns-2}}";
pub(crate) const SHARED: &str = "{namespace: app-ns-1, names: readable}";

/// The parts of the configuration that differ between tests.
pub(crate) struct Setup<'a> {
    pub mapping: &'a str,
    pub apis: &'a str,
    /// One line in the control plane's section.
    pub keys: &'a str,
    /// More timeouts of the control plane.
    pub timeouts: &'a str,
    /// Text at the end.
    pub more: &'a str,
    /// A second control plane, with the resources of [`TestEnv::other_control_plane`].
    pub other: Option<&'a DevControlPlane>,
    /// The declared references to Secrets, by API group.
    pub references: BTreeMap<String, ReferencePaths>,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            mapping: TABLE,
            apis: "[{group: k8s.starter.org, controlPlane: platform}]",
            keys: "",
            timeouts: "",
            more: "",
            other: None,
            references: BTreeMap::new(),
        }
    }
}

/// Timeout of every wait. Generous, because the machine may be busy.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// A control plane, the daemon in front of it, and the identities of its clients.
pub(crate) struct TestEnv {
    pub control_plane: DevControlPlane,
    pub stop: StopSignal,
    pub running: JoinHandle<()>,
    address: SocketAddr,
    admin: SocketAddr,
    ca: String,
    clients: Authority,
    pub developer: Identity,
    pub front_proxy: Identity,
    _dir: tempfile::TempDir,
}

impl TestEnv {
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// Starts the daemon. `more` is YAML that is appended to its configuration.
    pub(crate) async fn start_with(more: &str) -> Self {
        Self::start_with_control_plane(Self::control_plane().await, more).await
    }

    /// Starts the daemon. `keys` is one line of YAML in the control plane's section of its configuration.
    pub(crate) async fn start_with_control_plane_keys(keys: &str) -> Self {
        let setup = Setup {
            keys,
            ..Setup::default()
        };
        Self::configured(Self::control_plane().await, setup).await
    }

    /// Starts the daemon with this request timeout for the control plane.
    pub(crate) async fn start_with_request_timeout(timeout: &str) -> Self {
        let timeout = format!(", request: {timeout}");
        let setup = Setup {
            timeouts: &timeout,
            ..Setup::default()
        };
        Self::configured(Self::control_plane().await, setup).await
    }

    /// Starts the daemon with a shared mapping to the namespace `app-ns-1`.
    pub(crate) async fn start_shared() -> Self {
        let setup = Setup {
            mapping: SHARED,
            ..Setup::default()
        };
        Self::configured(Self::control_plane().await, setup).await
    }

    pub(crate) async fn control_plane() -> DevControlPlane {
        let options = DevControlPlaneOptions {
            ready_after: None,
            ..example::options()
        };
        let control_plane = DevControlPlane::start(options).await.unwrap();
        example::populate(&control_plane).unwrap();
        let claims = control_plane.objects(example::CLAIMS).unwrap();
        claims
            .create(example::claim("app-ns-1", "shop", 3))
            .unwrap();
        control_plane
    }

    /// Starts a control plane that serves [`OTHER`].
    pub(crate) async fn other_control_plane() -> DevControlPlane {
        let mut resource = Resource::new("other.example.org", "v1", "Queue");
        resource.categories = vec!["claim".to_owned()];
        let options = DevControlPlaneOptions {
            resources: vec![resource],
            ..example::options()
        };
        DevControlPlane::start(options).await.unwrap()
    }

    /// Starts the daemon in front of a running control plane, which may have faults.
    pub(crate) async fn start_with_control_plane(
        control_plane: DevControlPlane,
        more: &str,
    ) -> Self {
        let setup = Setup {
            more,
            ..Setup::default()
        };
        Self::configured(control_plane, setup).await
    }

    /// Starts the daemon in front of a running control plane.
    pub(crate) async fn configured(control_plane: DevControlPlane, setup: Setup<'_>) -> Self {
        let Setup {
            mapping,
            apis,
            keys,
            timeouts,
            more,
            other,
            references,
        } = setup;
        let dir = tempfile::tempdir().unwrap();
        let (serving, clients, front) = (
            Authority::new("serving").unwrap(),
            Authority::new("clients").unwrap(),
            Authority::new("front-proxy").unwrap(),
        );
        let identity = serving.serving(&["localhost"]).unwrap();
        let config = format!(
            "cluster: test\n\
             listen: {{address: '127.0.0.1:0', certificate: tls.crt, key: tls.key}}\n\
             authentication:\n  requestHeader: {{clientCa: front.crt}}\n  clientCertificate: {{clientCa: clients.crt}}\n\
             authorization: {{directGroups: [dev-users]}}\n\
             controlPlanes:\n  platform:\n    kubeconfig: platform.kubeconfig\n    \
             mapping: {mapping}\n    \
             timeouts: {{pingInterval: 1s, pingTimeout: 1s, connect: 2s{timeouts}}}\n    {keys}\n\
{}\
             apis: {apis}\n\
             admin: {{address: '127.0.0.1:0'}}\n{more}\n",
            other.map_or("", |_| OTHER_CONTROL_PLANE)
        );
        let other_kubeconfig = other.map(DevControlPlane::kubeconfig).unwrap_or_default();
        for (name, text) in [
            ("tls.crt", identity.certificate.as_str()),
            ("tls.key", &identity.key),
            ("clients.crt", &clients.pem()),
            ("front.crt", &front.pem()),
            ("platform.kubeconfig", &control_plane.kubeconfig()),
            ("other.kubeconfig", &other_kubeconfig),
            ("claimgate.yaml", &config),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let config = config::load(&dir.path().join("claimgate.yaml"), []);
        let mut config = config.unwrap_or_else(|problems| panic!("{problems}"));
        let stop = StopSignal::default();
        config.references = references;
        let app = App::bind(config, stop.clone());
        let app = Box::pin(app).await.unwrap();
        let (address, admin) = (app.address().unwrap(), app.admin_address().unwrap());
        let ready = app.readiness();
        let running = tokio::spawn(app.run());
        eventually(|| async { ready() }).await;
        let developer = clients.client("developer", &["dev-users"]).unwrap();
        let front_proxy = front.client("front-proxy-client", &[]).unwrap();
        let ca = serving.pem();
        Self {
            control_plane,
            stop,
            running,
            address,
            admin,
            ca,
            clients,
            developer,
            front_proxy,
            _dir: dir,
        }
    }

    /// Connects as a user with direct access.
    pub(crate) async fn developer(&self) -> Client {
        Client::connect(self, Some(&self.developer)).await
    }

    /// Connects as a user with direct access. Each response gets a flow-control window of `bytes` bytes.
    pub(crate) async fn developer_with_window(&self, bytes: u32) -> Client {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(bytes);
        Client::connect_as(self, Some(&self.developer), &builder).await
    }

    /// Connects as the front proxy.
    pub(crate) async fn front_proxy(&self) -> Client {
        Client::connect(self, Some(&self.front_proxy)).await
    }

    /// Connects as a user in these groups, with a certificate of the client CA.
    pub(crate) async fn member_of(&self, groups: &[&str]) -> Client {
        let identity = self.clients.client("somebody", groups).unwrap();
        Client::connect(self, Some(&identity)).await
    }

    /// Returns a client's TLS configuration with these protocol versions.
    pub(crate) fn tls(
        &self,
        identity: Option<&Identity>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        for certificate in pem::certificates(self.ca.as_bytes()).unwrap() {
            roots.add(certificate).unwrap();
        }
        let builder = ClientConfig::builder_with_provider(provider::provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = pem::certificates(identity.certificate.as_bytes()).unwrap();
                let key = pem::private_key(identity.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        }
    }

    pub(crate) async fn dial(
        &self,
        config: ClientConfig,
    ) -> std::io::Result<TokioIo<TlsStream<TcpStream>>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = "localhost".try_into().unwrap();
        let tls = TlsConnector::from(Arc::new(config)).connect(name, stream);
        Ok(TokioIo::new(tls.await?))
    }

    /// Sends a GET by HTTP/1.1 as a user with direct access, on a new connection.
    pub(crate) async fn get_http1(&self, path: &str) -> Response<Incoming> {
        let tls = self.tls(Some(&self.developer), ALL_VERSIONS);
        let (mut sender, driver) = http1::handshake(self.dial(tls).await.unwrap())
            .await
            .unwrap();
        tokio::spawn(driver);
        let request = Request::get(path).header("host", "localhost");
        let request = request.body(Full::<Bytes>::default()).unwrap();
        sender.send_request(request).await.unwrap()
    }

    /// Returns the value of a metric. `name` includes the labels, as in the OpenMetrics format.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let stream = TokioIo::new(TcpStream::connect(self.admin).await.unwrap());
        let (mut sender, driver) = http1::handshake(stream).await.unwrap();
        tokio::spawn(driver);
        let request = Request::get("/metrics").header("host", "localhost");
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let body = sender.send_request(request).await.unwrap().into_body();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
        let mut lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        lines
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.parse().unwrap())
    }

    /// Connects without a client certificate.
    pub(crate) async fn anonymous(&self) -> Client {
        Client::connect(self, None).await
    }
}

/// One HTTP/2 connection to the daemon.
pub(crate) struct Client(SendRequest<Full<Bytes>>);

impl Client {
    async fn connect(env: &TestEnv, identity: Option<&Identity>) -> Self {
        Self::connect_as(env, identity, &Builder::new(TokioExecutor::new())).await
    }

    async fn connect_as(
        env: &TestEnv,
        identity: Option<&Identity>,
        builder: &Builder<TokioExecutor>,
    ) -> Self {
        let mut config = env.tls(identity, ALL_VERSIONS);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tls = env.dial(config).await.unwrap();
        let (sender, driver) = builder.handshake(tls).await.unwrap();
        tokio::spawn(driver);
        Self(sender)
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        self.try_send(request).await.unwrap()
    }

    pub(crate) async fn try_send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        let uri = format!("https://localhost{}", request.uri());
        *request.uri_mut() = uri.parse().unwrap();
        let sent = self.0.clone().send_request(request);
        tokio::time::timeout(TIMEOUT, sent).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response<Incoming> {
        self.send(Request::get(path).body(Full::default()).unwrap())
            .await
    }

    /// GETs a path and returns the status code and the body as JSON.
    pub(crate) async fn json(&self, path: &str) -> (u16, Value) {
        json(self.get(path).await).await
    }

    pub(crate) async fn write(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: &str,
    ) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", kind);
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        json(self.send(request.body(body).unwrap()).await).await
    }
}

/// Returns the status code and the body as JSON, or `null` if it is not JSON.
pub(crate) async fn json(response: Response<Incoming>) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// Returns the next event of a JSON watch, or `None` at its end.
pub(crate) async fn line(body: &mut Incoming) -> Option<Value> {
    let mut text = Vec::new();
    loop {
        let frame = tokio::time::timeout(TIMEOUT, body.frame())
            .await
            .expect("no event arrived");
        let data = frame?.unwrap().into_data().unwrap();
        text.extend_from_slice(&data);
        if let Ok(value) = serde_json::from_slice(&text) {
            return Some(value);
        }
    }
}

/// Returns whether a request is for the claim [`SHOP`].
pub(crate) fn is_for_shop(request: &RecordedRequest) -> bool {
    request.path.ends_with("/shop")
}

/// Returns the claim [`SHOP`] as the control plane stores it.
pub(crate) fn stored_shop(env: &TestEnv) -> Option<Value> {
    let claims = env.control_plane.objects(example::CLAIMS).unwrap();
    claims.get("app-ns-1", "shop")
}

/// Returns a fault that makes the control plane respond with this status code and JSON body.
pub(crate) fn json_fault(code: u16, body: impl Into<Bytes>) -> Fault {
    let content_type = HeaderValue::from_static("application/json");
    Fault::Answer {
        status: StatusCode::from_u16(code).unwrap(),
        headers: HeaderMap::from_iter([(CONTENT_TYPE, content_type)]),
        body: body.into(),
    }
}

/// Polls a condition until it is true.
pub(crate) async fn eventually<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, wait)
        .await
        .expect("the condition did not become true");
}
