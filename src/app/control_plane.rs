//! Builds the client and the exposure of a control plane from its configuration.

use crate::catalog::{ExposedApi, Exposure, ResourceSelection};
use crate::config::{self, Config};
use crate::proxy::ControlPlane;
use crate::proxy::admission::ControlPlaneAdmission;
use crate::telemetry::metrics::Metrics;
use crate::upstream::{Credentials, Endpoint, GzipPolicy, PemSource, Timeouts, Upstream};
use claim_mapping::mapping::Mapping;

/// Returns the control plane that requests are sent to. `credentials` come from [`credentials`].
///
/// # Errors
/// The endpoint's certificate authority or the client certificate is invalid.
pub(super) fn control_plane(
    settings: &config::ControlPlaneConfig,
    credentials: Credentials,
    metrics: &Metrics,
) -> Result<ControlPlane, String> {
    Ok(ControlPlane {
        name: settings.name.clone(),
        upstream: Upstream::new(endpoint(settings), credentials, metrics)?,
        mapping: settings.mapping.clone(),
        admission: ControlPlaneAdmission::new(settings.limits),
    })
}

fn endpoint(settings: &config::ControlPlaneConfig) -> Endpoint {
    Endpoint {
        name: settings.name.clone(),
        host: settings.server.host.clone(),
        port: settings.server.port,
        path_prefix: settings.server.path.clone(),
        tls_server_name: settings.tls_server_name.clone(),
        certificate_authority: match &settings.certificate_authority {
            config::CertificateAuthority::System => None,
            config::CertificateAuthority::File(path) => Some(PemSource::File(path.clone())),
            config::CertificateAuthority::Inline(pem) => Some(PemSource::Inline(pem.clone())),
        },
        gzip: match settings.compression {
            config::Compression::Auto => GzipPolicy::Auto,
            config::Compression::Off => GzipPolicy::Off,
            config::Compression::On => GzipPolicy::On,
        },
        timeouts: Timeouts {
            connect: settings.timeouts.connect,
            request: settings.timeouts.request,
            request_body_stall: settings.timeouts.request_body_stall,
            ping_interval: settings.timeouts.ping_interval,
            ping_timeout: settings.timeouts.ping_timeout,
        },
    }
}

/// Returns the credentials for requests to a control plane.
///
/// # Errors
/// The token cannot be read or is invalid.
pub(super) fn credentials(settings: &config::CredentialsConfig) -> Result<Credentials, String> {
    match settings {
        config::CredentialsConfig::ClientCertificate { certificate, key } => Ok(
            Credentials::client_certificate(pem_source(certificate), pem_source(key)),
        ),
        config::CredentialsConfig::Token(token) => Credentials::token(token.reveal()),
        config::CredentialsConfig::TokenFile(path) => Credentials::token_file(path.clone()),
        config::CredentialsConfig::TokenSecret(name) => {
            Err(format!("the Secret {name:?} was not read"))
        }
    }
}

fn pem_source(source: &config::PemConfig) -> PemSource {
    match source {
        config::PemConfig::File(path) => PemSource::File(path.clone()),
        config::PemConfig::Inline(pem) => PemSource::Inline(pem.clone()),
    }
}

/// Returns the APIs of one control plane that the configuration exposes.
pub(super) fn exposure(name: &str, config: &Config) -> Exposure {
    let apis = config
        .apis
        .iter()
        .filter(|api| api.control_plane.name == name);
    Exposure {
        control_plane: name.to_owned(),
        apis: apis.map(exposed_api).collect(),
        translates_names: config
            .control_planes
            .get(name)
            .is_some_and(|control_plane| matches!(control_plane.mapping, Mapping::Shared(_))),
    }
}

fn exposed_api(api: &config::ApiConfig) -> ExposedApi {
    ExposedApi {
        group: api.group.clone(),
        versions: api.versions.clone(),
        resources: match &api.resources {
            config::Resources::All => ResourceSelection::All,
            config::Resources::Category(category) => ResourceSelection::Category(category.clone()),
            config::Resources::Named(names) => ResourceSelection::Named(names.clone()),
        },
        read_only: api.read_only,
    }
}
