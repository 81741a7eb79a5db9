//! Checks that kube-apiserver can reach the daemon through its Service.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use rustls_pki_types::{InvalidDnsNameError, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use crate::config::ServiceConfig;
use crate::tls::{pem, provider};

/// Time to wait for an answer, the same as in kube-apiserver
/// (`kube-aggregator/pkg/controllers/status/remote/remote_available_controller.go`).
const TIMEOUT: Duration = Duration::from_secs(5);

/// The reason why kube-apiserver cannot reach the daemon.
#[derive(Debug, thiserror::Error)]
pub(super) enum EndpointError {
    #[error("cannot read the Service {namespace}/{name}: {error}", namespace = .service.namespace, name = .service.name)]
    Service {
        service: ServiceConfig,
        error: Box<kube::Error>,
    },
    #[error("the Service has neither a cluster IP nor an external name; set one of them")]
    NoAddress,
    #[error("no connection to {address}: {error}")]
    Connect { address: String, error: io::Error },
    #[error("{address} has not answered within 5 s")]
    Timeout { address: String },
    #[error("the CA bundle of the APIServices {0}")]
    CertificateAuthority(#[from] pem::PemError),
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the name of the Service is not a DNS name: {0}")]
    Name(#[from] InvalidDnsNameError),
    #[error("the HTTP request failed: {0}")]
    Http(#[from] hyper::Error),
    #[error("cannot create the HTTP request: {0}")]
    Request(#[from] http::Error),
    #[error("/readyz returned {0}")]
    NotReady(StatusCode),
}

/// Connects as kube-apiserver does: to the address of the Service, with its DNS name, and trusting only the CA bundle
/// of the APIService.
///
/// # Errors
/// The Service does not lead to a ready daemon with a certificate for the name of the Service.
pub(super) async fn check(
    client: &kube::Client,
    service: &ServiceConfig,
    ca_bundle: &[u8],
) -> Result<(), EndpointError> {
    let api: Api<Service> = Api::namespaced(client.clone(), &service.namespace);
    let object = api
        .get(&service.name)
        .await
        .map_err(|error| EndpointError::Service {
            service: service.clone(),
            error: Box::new(error),
        })?;
    let host = host(&object).ok_or(EndpointError::NoAddress)?;
    let address = format!("{host}:{}", service.port);
    let dialed = tokio::time::timeout(TIMEOUT, dial(&address, service, ca_bundle)).await;
    dialed.unwrap_or(Err(EndpointError::Timeout { address }))
}

/// Returns the address, with brackets around an IPv6 address.
fn host(service: &Service) -> Option<String> {
    let spec = service.spec.as_ref()?;
    if spec.type_.as_deref() == Some("ExternalName") {
        return spec.external_name.clone();
    }
    let ip = spec
        .cluster_ip
        .as_ref()
        .filter(|ip| *ip != "None" && !ip.is_empty())?;
    Some(match ip.contains(':') {
        true => format!("[{ip}]"),
        false => ip.clone(),
    })
}

async fn dial(
    address: &str,
    service: &ServiceConfig,
    ca_bundle: &[u8],
) -> Result<(), EndpointError> {
    let name = service.dns_name();
    let connect = |error| EndpointError::Connect {
        address: address.to_owned(),
        error,
    };
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(ca_bundle)? {
        roots.add(certificate)?;
    }
    let config = ClientConfig::builder_with_provider(provider::provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.map_err(connect)?;
    let server_name = ServerName::try_from(name.clone())?;
    let tls = TlsConnector::from(Arc::new(config)).connect(server_name, stream);
    let tls = tls.await.map_err(connect)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get("/readyz")
        .header(header::HOST, name)
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    connection.abort();
    match response.status() {
        StatusCode::OK => Ok(()),
        status => Err(EndpointError::NotReady(status)),
    }
}
