//! An in-memory control plane, the daemon in front of it, and clients, in one process over real TLS
//! and HTTP/2.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use claimgate::app::{App, Stop};
use claimgate::config;
use claimgate::dev::certificates::{Authority, Identity};
use claimgate::dev::control_plane::{ControlPlane, Options};
use claimgate::dev::example;
use claimgate::tls::{pem, provider};
use http::{Request, Response};
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

pub(crate) const CLAIMS: &str =
    "/apis/k8s.starter.org/v1alpha1/namespaces/default/kubernetesclusters";
pub(crate) const ALL: &str = "/apis/k8s.starter.org/v1alpha1/kubernetesclusters";

/// Long enough for a loaded machine, short enough to wait for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Bed {
    pub control_plane: ControlPlane,
    pub stop: Stop,
    pub running: JoinHandle<()>,
    address: SocketAddr,
    admin: SocketAddr,
    ca: String,
    clients: Authority,
    pub developer: Identity,
    pub proxy: Identity,
    _dir: tempfile::TempDir,
}

impl Bed {
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// `more` is YAML that is appended to the configuration.
    pub(crate) async fn start_with(more: &str) -> Self {
        Self::start_before(Self::control_plane().await, more).await
    }

    /// `keys` is YAML of the control plane's section, in one line.
    pub(crate) async fn start_towards(keys: &str) -> Self {
        Self::configured(Self::control_plane().await, keys, "", "").await
    }

    /// Before a control plane that is given so much time for an answer.
    pub(crate) async fn with_request_timeout(timeout: &str) -> Self {
        let timeout = format!(", request: {timeout}");
        Self::configured(Self::control_plane().await, "", &timeout, "").await
    }

    pub(crate) async fn control_plane() -> ControlPlane {
        let options = Options {
            ready_after: None,
            ..example::options()
        };
        let control_plane = ControlPlane::start(options).await.unwrap();
        example::populate(&control_plane).unwrap();
        control_plane
    }

    /// Before a control plane that is there, with whatever faults.
    pub(crate) async fn start_before(control_plane: ControlPlane, more: &str) -> Self {
        Self::configured(control_plane, "", "", more).await
    }

    async fn configured(
        control_plane: ControlPlane,
        keys: &str,
        timeouts: &str,
        more: &str,
    ) -> Self {
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
             mapping: {{namespaces: {{default: app-ns-1, team-a: app-ns-2}}}}\n    \
             timeouts: {{pingInterval: 1s, pingTimeout: 1s, connect: 2s{timeouts}}}\n    {keys}\n\
             apis: [{{group: k8s.starter.org, controlPlane: platform}}]\n\
             admin: {{address: '127.0.0.1:0'}}\n{more}\n"
        );
        for (name, text) in [
            ("tls.crt", identity.certificate.as_str()),
            ("tls.key", &identity.key),
            ("clients.crt", &clients.pem()),
            ("front.crt", &front.pem()),
            ("platform.kubeconfig", &control_plane.kubeconfig()),
            ("claimgate.yaml", &config),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let config = config::load(&dir.path().join("claimgate.yaml"), []);
        let config = config.unwrap_or_else(|problems| panic!("{problems}"));
        let stop = Stop::default();
        let app = App::bind(config, stop.clone()).await.unwrap();
        let (address, admin) = (app.address().unwrap(), app.admin_address().unwrap());
        let ready = app.readiness();
        let running = tokio::spawn(app.run());
        eventually(|| async { ready() }).await;
        let developer = clients.client("developer", &["dev-users"]).unwrap();
        let proxy = front.client("front-proxy-client", &[]).unwrap();
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
            proxy,
            _dir: dir,
        }
    }

    /// A connection of somebody who may come directly.
    pub(crate) async fn developer(&self) -> Client {
        Client::connect(self, Some(&self.developer)).await
    }

    /// The same, that has room for so many bytes of an answer's body until it is read.
    pub(crate) async fn developer_with_room(&self, bytes: u32) -> Client {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(bytes);
        Client::connect_as(self, Some(&self.developer), &builder).await
    }

    /// A connection of the front proxy.
    pub(crate) async fn proxy(&self) -> Client {
        Client::connect(self, Some(&self.proxy)).await
    }

    /// A connection of somebody of these groups, whose certificate the client CA has signed.
    pub(crate) async fn of_groups(&self, groups: &[&str]) -> Client {
        let identity = self.clients.client("somebody", groups).unwrap();
        Client::connect(self, Some(&identity)).await
    }

    /// TLS of a client that offers these versions.
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

    /// The answer to somebody who comes directly and by HTTP/1.1, on a connection of its own.
    pub(crate) async fn http1(&self, path: &str) -> Response<Incoming> {
        let tls = self.tls(Some(&self.developer), ALL_VERSIONS);
        let (mut sender, driver) = http1::handshake(self.dial(tls).await.unwrap())
            .await
            .unwrap();
        tokio::spawn(driver);
        let request = Request::get(path).header("host", "localhost");
        let request = request.body(Full::<Bytes>::default()).unwrap();
        sender.send_request(request).await.unwrap()
    }

    /// The value of a metric, by its name and labels as Prometheus reads them.
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

    pub(crate) async fn nobody(&self) -> Client {
        Client::connect(self, None).await
    }
}

/// One HTTP/2 connection to the daemon.
pub(crate) struct Client(SendRequest<Full<Bytes>>);

impl Client {
    async fn connect(bed: &Bed, identity: Option<&Identity>) -> Self {
        Self::connect_as(bed, identity, &Builder::new(TokioExecutor::new())).await
    }

    async fn connect_as(
        bed: &Bed,
        identity: Option<&Identity>,
        builder: &Builder<TokioExecutor>,
    ) -> Self {
        let mut config = bed.tls(identity, ALL_VERSIONS);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tls = bed.dial(config).await.unwrap();
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
        tokio::time::timeout(PATIENCE, sent).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response<Incoming> {
        self.send(Request::get(path).body(Full::default()).unwrap())
            .await
    }

    /// Status and body as JSON.
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

pub(crate) async fn json(response: Response<Incoming>) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// The next frames of a body until a line is whole.
pub(crate) async fn line(body: &mut Incoming) -> Option<Value> {
    let mut text = Vec::new();
    loop {
        let frame = tokio::time::timeout(PATIENCE, body.frame())
            .await
            .expect("no event came");
        let data = frame?.unwrap().into_data().unwrap();
        text.extend_from_slice(&data);
        if let Ok(value) = serde_json::from_slice(&text) {
            return Some(value);
        }
    }
}

/// Asks again until it is so.
pub(crate) async fn eventually<F: Future<Output = bool>>(is_so: impl Fn() -> F) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("it did not become so");
}
