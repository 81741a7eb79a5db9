//! Reads the address and the credentials of a control plane from a kubeconfig
//! (`client-go/tools/clientcmd/api/v1/types.go`).

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::settings::{CertificateAuthority, CredentialsConfig, PemConfig, Secret};

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Kubeconfig {
    current_context: String,
    contexts: Vec<NamedContext>,
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Context {
    cluster: String,
    user: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    insecure_skip_tls_verify: bool,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamedUser {
    name: String,
    user: User,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    username: Option<String>,
    exec: Option<serde::de::IgnoredAny>,
    auth_provider: Option<serde::de::IgnoredAny>,
}

/// The address and credentials of one context.
#[derive(Debug)]
pub(super) struct KubeconfigAccess {
    pub(super) server: String,
    pub(super) certificate_authority: CertificateAuthority,
    pub(super) credentials: CredentialsConfig,
    pub(super) tls_server_name: Option<String>,
}

/// The problem of a kubeconfig, and its remedy.
pub(super) type Invalid = (String, String);

fn invalid(problem: impl Into<String>, cure: impl Into<String>) -> Invalid {
    (problem.into(), cure.into())
}

/// Reads the context with the name `context`, or the current context if the name is empty.
pub(super) fn read(path: &Path, context: &str) -> Result<KubeconfigAccess, Invalid> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        invalid(
            format!("{} cannot be read: {error}", path.display()),
            "set it to a kubeconfig file",
        )
    })?;
    let kubeconfig: Kubeconfig = serde_saphyr::from_str(&text).map_err(|error| {
        let problem = format!("{} is not a kubeconfig: {error}", path.display());
        invalid(
            problem,
            "create one with `kubectl config view --raw --minify`",
        )
    })?;
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    let context = if context.is_empty() {
        &kubeconfig.current_context
    } else {
        context
    };
    let missing = |what: &str, name: &str| {
        let names: Vec<&str> = kubeconfig
            .contexts
            .iter()
            .map(|c| c.name.as_str())
            .collect();
        let cure = format!("set context to one of: {}", names.join(", "));
        invalid(format!("{} has no {what} {name:?}", path.display()), cure)
    };
    let chosen = kubeconfig.contexts.iter().find(|c| c.name == context);
    let chosen = &chosen.ok_or_else(|| missing("context", context))?.context;
    let cluster = kubeconfig
        .clusters
        .iter()
        .find(|c| c.name == chosen.cluster);
    let cluster = &cluster
        .ok_or_else(|| missing("cluster", &chosen.cluster))?
        .cluster;
    let user = kubeconfig.users.iter().find(|u| u.name == chosen.user);
    let user = &user.ok_or_else(|| missing("user", &chosen.user))?.user;
    if cluster.insecure_skip_tls_verify {
        return Err(invalid(
            "the kubeconfig sets insecure-skip-tls-verify, which would expose the credentials",
            "set certificate-authority-data to the CA of the control plane instead",
        ));
    }
    if cluster.proxy_url.is_some() {
        return Err(invalid(
            "proxy-url is not supported",
            "connect to the control plane directly",
        ));
    }
    let certificate_authority = match (
        &cluster.certificate_authority_data,
        &cluster.certificate_authority,
    ) {
        (Some(data), _) => {
            CertificateAuthority::Inline(decode(data, "certificate-authority-data")?)
        }
        (None, Some(file)) => CertificateAuthority::File(directory.join(file)),
        (None, None) => CertificateAuthority::System,
    };
    Ok(KubeconfigAccess {
        server: cluster.server.clone(),
        certificate_authority,
        credentials: credentials(user, directory)?,
        tls_server_name: cluster.tls_server_name.clone(),
    })
}

/// Chooses credentials in the order of client-go: a token before a client certificate, and a token
/// file before a literal token.
fn credentials(user: &User, directory: &Path) -> Result<CredentialsConfig, Invalid> {
    if user.exec.is_some() || user.auth_provider.is_some() {
        return Err(invalid(
            "the user in the kubeconfig runs a program for its credentials, which is not supported",
            "use a ServiceAccount token in a file (tokenFile) or a client certificate",
        ));
    }
    if user.username.is_some() {
        return Err(invalid(
            "user name and password are not supported",
            "use a token",
        ));
    }
    if let Some(file) = &user.token_file {
        return Ok(CredentialsConfig::TokenFile(directory.join(file)));
    }
    if let Some(token) = user.token.as_ref().filter(|token| !token.is_empty()) {
        return Ok(CredentialsConfig::Token(Secret::new(token.clone())));
    }
    let source = |data: &Option<String>, file: &Option<PathBuf>, what: &str| match (data, file) {
        (Some(data), _) => decode(data, what).map(|pem| Some(PemConfig::Inline(pem))),
        (None, Some(file)) => Ok(Some(PemConfig::File(directory.join(file)))),
        (None, None) => Ok(None),
    };
    let certificate = source(
        &user.client_certificate_data,
        &user.client_certificate,
        "client-certificate-data",
    )?;
    let key = source(&user.client_key_data, &user.client_key, "client-key-data")?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            Ok(CredentialsConfig::ClientCertificate { certificate, key })
        }
        (None, None) => Err(invalid(
            "the user in the kubeconfig has no credentials",
            "set token, tokenFile, or a client certificate and its key",
        )),
        _ => Err(invalid(
            "the user in the kubeconfig has a client certificate or a key, but not both",
            "set both",
        )),
    }
}

fn decode(data: &str, what: &str) -> Result<Vec<u8>, Invalid> {
    let data: String = data.split_whitespace().collect();
    STANDARD.decode(data).map_err(|error| {
        invalid(
            format!("{what} is not base64: {error}"),
            "encode it with `base64 --wrap=0`",
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use super::*;

    /// Returns a kubeconfig with one context, and with these keys in its cluster and user.
    fn kubeconfig(cluster: &str, user: &str) -> String {
        format!(
            "current-context: one\n\
             contexts: [{{name: one, context: {{cluster: there, user: me}}}}]\n\
             clusters: [{{name: there, cluster: {{server: 'https://there', {cluster}}}}}]\n\
             users: [{{name: me, user: {{{user}}}}}]\n"
        )
    }

    fn read_text(text: &str, context: &str) -> Result<KubeconfigAccess, Invalid> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kubeconfig");
        std::fs::write(&path, text).unwrap();
        let mut access = read(&path, context)?;
        // The folder differs between runs.
        if let CredentialsConfig::TokenFile(path) = &mut access.credentials {
            *path = path.strip_prefix(directory.path()).unwrap().to_owned();
        }
        Ok(access)
    }

    #[test]
    fn token_file_precedes_token_and_is_relative_to_kubeconfig() {
        let text = kubeconfig("", "token: t, tokenFile: secrets/token");
        let access = read_text(&text, "").unwrap();
        let CredentialsConfig::TokenFile(path) = access.credentials else {
            panic!("{access:?}")
        };
        assert_eq!(path, Path::new("secrets/token"));
        assert_eq!(access.server, "https://there");
    }

    #[test]
    fn inline_data_precedes_files() {
        let cluster = "certificate-authority-data: Y2E=, certificate-authority: other.crt";
        let user = "client-certificate-data: Y2VydA==, client-key: k, client-key-data: a2V5";
        let access = read_text(&kubeconfig(cluster, user), "one").unwrap();
        let CertificateAuthority::Inline(ca) = access.certificate_authority else {
            panic!("{access:?}")
        };
        let CredentialsConfig::ClientCertificate {
            certificate: PemConfig::Inline(certificate),
            key: PemConfig::Inline(key),
        } = access.credentials
        else {
            panic!("{:?}", access.credentials)
        };
        assert_eq!(
            (&*ca, &*certificate, &*key),
            (&b"ca"[..], &b"cert"[..], &b"key"[..])
        );
    }

    #[test]
    fn unsupported_settings_are_rejected_by_name() {
        for (cluster, user, context, expected) in [
            ("", "token: t", "two", "no context \"two\""),
            ("insecure-skip-tls-verify: true", "token: t", "", "insecure"),
            ("proxy-url: 'http://p'", "token: t", "", "proxy-url"),
            ("", "exec: {command: aws}", "", "runs a program"),
            ("", "auth-provider: {name: gcp}", "", "runs a program"),
            ("", "username: u, password: p", "", "user name"),
            ("", "", "", "no credentials"),
            ("", "client-certificate: c", "", "not both"),
            (
                "certificate-authority-data: '?'",
                "token: t",
                "",
                "not base64",
            ),
        ] {
            let (problem, cure) = read_text(&kubeconfig(cluster, user), context).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
            assert!(!cure.is_empty());
        }
        let (problem, _) = read_text("- nothing", "").unwrap_err();
        assert!(problem.contains("is not a kubeconfig"), "{problem}");
    }
}
