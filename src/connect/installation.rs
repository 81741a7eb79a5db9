//! The objects that `connect` creates in the app cluster. Does no I/O. The Helm chart renders the same objects
//! (`tests/kubernetes/chart_test.go` compares them).

mod deployment;
mod names;
mod rights;

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service, ServicePort, ServiceSpec};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

pub(crate) use self::deployment::METRICS_PORT;
pub(super) use self::deployment::{CONTAINER_PORT, Files, TOKEN_AUDIENCE, TOKEN_FILE};
pub(super) use self::names::Installation;
use super::connection::Credential;
use super::manifest::Manifest;
use super::objects::named;

/// The key of the token Secret.
const TOKEN_KEY: &str = "token";

/// Returns the objects for a daemon outside of the app cluster, in the order of creation. `host` is its DNS name or
/// address, as the API server of the app cluster reaches it.
///
/// # Errors
/// An object cannot be serialized.
pub(super) fn outside(
    installation: &Installation,
    host: &str,
) -> Result<Vec<Manifest>, serde_json::Error> {
    Ok(vec![
        namespace(installation)?,
        // The ClusterRole has no rules, because it only owns the APIServices.
        Manifest::new(&ClusterRole {
            metadata: installation.owner(),
            rules: Some(Vec::new()),
            ..ClusterRole::default()
        })?,
        certificates(installation)?,
        discovery(installation)?,
        service(
            installation,
            ServiceSpec {
                type_: Some("ExternalName".to_owned()),
                external_name: Some(host.to_owned()),
                ports: Some(ports(installation, None)),
                ..ServiceSpec::default()
            },
        )?,
    ])
}

/// Returns the objects for daemons in the app cluster, in the order of creation. `files` are the configuration and
/// the files that it refers to.
///
/// # Errors
/// An object cannot be serialized.
pub(super) fn inside(
    installation: &Installation,
    image: &str,
    files: &Files,
    control_plane: &str,
) -> Result<Vec<Manifest>, serde_json::Error> {
    let mut objects = vec![namespace(installation)?];
    objects.extend(rights::objects(installation, control_plane)?);
    objects.extend([
        certificates(installation)?,
        discovery(installation)?,
        Manifest::new(&ConfigMap {
            metadata: installation.metadata(&installation.service.name),
            data: Some(files.clone()),
            ..ConfigMap::default()
        })?,
        service(
            installation,
            ServiceSpec {
                selector: Some(installation.labels()),
                ports: Some(ports(
                    installation,
                    Some(IntOrString::String("https".to_owned())),
                )),
                ..ServiceSpec::default()
            },
        )?,
    ]);
    objects.extend(deployment::objects(installation, image, files)?);
    Ok(objects)
}

/// Returns all objects of both kinds of installation, with the Secret for a stored token.
///
/// # Errors
/// An object cannot be serialized.
pub(super) fn all(
    installation: &Installation,
    control_plane: &str,
) -> Result<Vec<Manifest>, serde_json::Error> {
    let mut objects = inside(installation, "", &Files::new(), control_plane)?;
    if installation.credential == Credential::Token {
        objects.push(token(installation, control_plane, "")?);
    }
    Ok(objects)
}

/// Returns the Secret with the token for the control plane.
///
/// # Errors
/// The object cannot be serialized.
pub(super) fn token(
    installation: &Installation,
    control_plane: &str,
    token: &str,
) -> Result<Manifest, serde_json::Error> {
    let token = ByteString(token.as_bytes().to_vec());
    Manifest::new(&Secret {
        metadata: installation.metadata(&installation.token_secret(control_plane)),
        data: Some(BTreeMap::from([(TOKEN_KEY.to_owned(), token)])),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    })
}

fn namespace(installation: &Installation) -> Result<Manifest, serde_json::Error> {
    Manifest::new(&Namespace {
        metadata: named(&installation.service.namespace),
        ..Namespace::default()
    })
}

/// Returns the Secret without data, so that applying it again keeps the data of the daemon.
fn certificates(installation: &Installation) -> Result<Manifest, serde_json::Error> {
    Manifest::new(&Secret {
        metadata: installation.metadata(&installation.certificate_secret()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    })
}

/// Returns the ConfigMap without data, for the same reason.
fn discovery(installation: &Installation) -> Result<Manifest, serde_json::Error> {
    Manifest::new(&ConfigMap {
        metadata: installation.metadata(&installation.discovery_config_map()),
        ..ConfigMap::default()
    })
}

fn service(installation: &Installation, spec: ServiceSpec) -> Result<Manifest, serde_json::Error> {
    Manifest::new(&Service {
        metadata: installation.metadata(&installation.service.name),
        spec: Some(spec),
        status: None,
    })
}

fn ports(installation: &Installation, target: Option<IntOrString>) -> Vec<ServicePort> {
    vec![ServicePort {
        name: Some("https".to_owned()),
        port: installation.service.port.into(),
        protocol: Some("TCP".to_owned()),
        target_port: target,
        ..ServicePort::default()
    }]
}
