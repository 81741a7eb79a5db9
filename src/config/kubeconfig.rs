//! A control plane's address and credentials out of a kubeconfig
//! (`client-go/tools/clientcmd/api/v1/types.go`).

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{CertificateAuthority, Credentials, PemSource, Secret};

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

/// What a kubeconfig says of one context.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) server: String,
    pub(super) certificate_authority: CertificateAuthority,
    pub(super) credentials: Credentials,
    pub(super) tls_server_name: Option<String>,
}

/// What is wrong with it, and the cure.
pub(super) type Trouble = (String, String);

fn trouble(problem: impl Into<String>, cure: impl Into<String>) -> Trouble {
    (problem.into(), cure.into())
}

/// Reads the context called `context`, or the current one if that is empty.
pub(super) fn read(path: &Path, context: &str) -> Result<Access, Trouble> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        trouble(
            format!("{} cannot be read: {error}", path.display()),
            "name a kubeconfig file",
        )
    })?;
    let kubeconfig: Kubeconfig = serde_saphyr::from_str(&text).map_err(|error| {
        let what = format!("{} is no kubeconfig: {error}", path.display());
        trouble(what, "write one with kubectl config view --raw --minify")
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
        let cure = format!(
            "choose one with context:; the file has {}",
            names.join(", ")
        );
        trouble(format!("{} has no {what} {name:?}", path.display()), cure)
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
        return Err(trouble(
            "the kubeconfig sets insecure-skip-tls-verify, which would show the credentials to anyone",
            "put the control plane's CA into certificate-authority-data instead",
        ));
    }
    if cluster.proxy_url.is_some() {
        return Err(trouble(
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
    Ok(Access {
        server: cluster.server.clone(),
        certificate_authority,
        credentials: credentials(user, directory)?,
        tls_server_name: cluster.tls_server_name.clone(),
    })
}

/// In the order in which client-go looks: a token beats a certificate for authentication, and a
/// file beats a literal.
fn credentials(user: &User, directory: &Path) -> Result<Credentials, Trouble> {
    if user.exec.is_some() || user.auth_provider.is_some() {
        return Err(trouble(
            "the kubeconfig's user runs a program for its credentials, which is not supported",
            "use a service account's token in a file (tokenFile) or a client certificate",
        ));
    }
    if user.username.is_some() {
        return Err(trouble(
            "a user name and password are not supported",
            "use a token",
        ));
    }
    if let Some(file) = &user.token_file {
        return Ok(Credentials::TokenFile(directory.join(file)));
    }
    if let Some(token) = user.token.as_ref().filter(|token| !token.is_empty()) {
        return Ok(Credentials::Token(Secret::new(token.clone())));
    }
    let source = |data: &Option<String>, file: &Option<PathBuf>, what: &str| match (data, file) {
        (Some(data), _) => decode(data, what).map(|pem| Some(PemSource::Inline(pem))),
        (None, Some(file)) => Ok(Some(PemSource::File(directory.join(file)))),
        (None, None) => Ok(None),
    };
    let certificate = source(
        &user.client_certificate_data,
        &user.client_certificate,
        "client-certificate-data",
    )?;
    let key = source(&user.client_key_data, &user.client_key, "client-key-data")?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Credentials::ClientCertificate { certificate, key }),
        (None, None) => Err(trouble(
            "the kubeconfig's user has no credentials",
            "give it a token, a tokenFile or a client certificate with its key",
        )),
        _ => Err(trouble(
            "the kubeconfig's user has a client certificate or a key, but not both",
            "give it both",
        )),
    }
}

fn decode(data: &str, what: &str) -> Result<Vec<u8>, Trouble> {
    let data: String = data.split_whitespace().collect();
    STANDARD.decode(data).map_err(|error| {
        trouble(
            format!("{what} is not base64: {error}"),
            "write it with base64 --wrap=0",
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use super::*;

    /// A kubeconfig of one context, whose cluster and user have these keys.
    fn written(cluster: &str, user: &str) -> String {
        format!(
            "current-context: one\n\
             contexts: [{{name: one, context: {{cluster: there, user: me}}}}]\n\
             clusters: [{{name: there, cluster: {{server: 'https://there', {cluster}}}}}]\n\
             users: [{{name: me, user: {{{user}}}}}]\n"
        )
    }

    fn read_text(text: &str, context: &str) -> Result<Access, Trouble> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kubeconfig");
        std::fs::write(&path, text).unwrap();
        let mut access = read(&path, context)?;
        // The folder is another each time.
        if let Credentials::TokenFile(path) = &mut access.credentials {
            *path = path.strip_prefix(directory.path()).unwrap().to_owned();
        }
        Ok(access)
    }

    #[test]
    fn paths_are_relative_to_the_file_and_a_token_file_comes_first() {
        let text = written("", "token: t, tokenFile: secrets/token");
        let access = read_text(&text, "").unwrap();
        let Credentials::TokenFile(path) = access.credentials else {
            panic!("{access:?}")
        };
        assert_eq!(path, Path::new("secrets/token"));
        assert_eq!(access.server, "https://there");
    }

    #[test]
    fn data_comes_before_files() {
        let cluster = "certificate-authority-data: Y2E=, certificate-authority: other.crt";
        let user = "client-certificate-data: Y2VydA==, client-key: k, client-key-data: a2V5";
        let access = read_text(&written(cluster, user), "one").unwrap();
        let CertificateAuthority::Inline(ca) = access.certificate_authority else {
            panic!("{access:?}")
        };
        let Credentials::ClientCertificate {
            certificate: PemSource::Inline(certificate),
            key: PemSource::Inline(key),
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
    fn what_cannot_be_used_is_refused_by_its_name() {
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
            let (problem, cure) = read_text(&written(cluster, user), context).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
            assert!(!cure.is_empty());
        }
        let (problem, _) = read_text("- nothing", "").unwrap_err();
        assert!(problem.contains("is no kubeconfig"), "{problem}");
    }
}
