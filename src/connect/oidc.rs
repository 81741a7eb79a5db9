//! Makes the control plane trust tokens of the app cluster (`connect --credential oidc`): prints the configuration for
//! the control plane, and checks it.

use std::time::Duration;

use http::Request;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use kube::config::Kubeconfig;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::clusters::Cluster;
use super::error::ConnectError;
use super::installation::TOKEN_AUDIENCE;
use super::session::Session;
use super::token::Token;
use crate::app_cluster::describe;
use kube_wire::yaml;

/// Where an API server describes the tokens that it issues (`kubernetes/pkg/serviceaccount/openidmetadata.go`).
const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";

/// The ClusterRoleBinding that lets clients without credentials read the keys. The user creates it.
const DISCOVERY_BINDING: &str = "claimgate-issuer-discovery";

/// The shortest lifetime that API servers grant. The check needs the token only once.
const CHECK_LIFETIME: Duration = Duration::from_secs(600);

/// Maximum length of the document in bytes. CAs are much shorter.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: String,
}

/// The issuer of the app cluster's tokens, as the control plane must know it.
#[derive(Debug)]
pub(super) struct Issuer {
    url: String,
    /// How the control plane reads the keys.
    keys: Keys,
    /// The user of the pods in the app cluster, which is the subject of the tokens.
    subject: String,
    /// The prefix that the control plane adds to the subject.
    prefix: String,
}

/// The location of the keys of an issuer.
#[derive(Debug, Eq, PartialEq)]
enum Keys {
    /// At the URL of the issuer, which the system roots verify.
    AtIssuer,
    /// On the API server of the app cluster.
    OnApiServer {
        /// The URL of the discovery document, if it cannot be derived from the URL of the issuer.
        discovery_url: Option<String>,
        /// PEM; `None` for the system roots.
        authority: Option<String>,
    },
}

impl Issuer {
    /// Reads the issuer of the app cluster.
    ///
    /// # Errors
    /// The app cluster cannot be reached, or the control plane could not trust the issuer.
    pub(super) async fn read(session: &Session) -> Result<Self, ConnectError> {
        let app = &session.app;
        let found = discovery(app).await;
        let url = found.map_err(app.failed("read the OpenID Connect discovery"))?;
        if !url.starts_with("https://") {
            return Err(app.unusable()(format!(
                "the issuer {url:?} of ServiceAccount tokens does not use https; start the API server with an https URL as --service-account-issuer"
            )));
        }
        // If the user may not read the issuer of the control plane, the issuers are assumed to differ.
        if discovery(&session.control_plane).await.ok().as_ref() == Some(&url) {
            return Err(app.unusable()(format!(
                "both clusters have the issuer {url:?} of ServiceAccount tokens, so the control plane cannot tell them apart; start the API server of the app cluster with another --service-account-issuer"
            )));
        }
        let endpoint = app.endpoint()?;
        let authority = endpoint.ca_pem().map_err(app.unusable())?;
        Ok(Self {
            keys: keys(&url, &endpoint.server, authority),
            url,
            subject: session.installation.account_user(),
            prefix: session.tenant.user_prefix(),
        })
    }

    /// Returns what the administrator of the control plane must do.
    ///
    /// # Errors
    /// The document cannot be written.
    pub(super) fn instructions(&self, app_context: &str) -> Result<String, ConnectError> {
        let json = serde_json::to_vec(&self.configuration())?;
        let document = yaml::from_json(&json, DOCUMENT_BYTES_MAX)?;
        let mut text = format!(
            "The API server of the control plane must trust tokens of the app cluster. Start it with --authentication-config and \
             this file, or add the entry of jwt to its file:\n\n{document}"
        );
        if let Keys::OnApiServer { .. } = self.keys {
            text += &format!(
                "\nIt reads the keys from the API server of the app cluster, and must reach it. Let it read them:\n\n\
                 kubectl --context {app_context} create clusterrolebinding {DISCOVERY_BINDING} \
                 --clusterrole system:service-account-issuer-discovery --group system:unauthenticated\n"
            );
        }
        Ok(text)
    }

    /// The format of `kube-apiserver --authentication-config` (`apiserver/pkg/apis/apiserver/v1/types.go`).
    fn configuration(&self) -> Value {
        let mut issuer = json!({"url": self.url, "audiences": [TOKEN_AUDIENCE]});
        if let Keys::OnApiServer {
            discovery_url,
            authority,
        } = &self.keys
        {
            for (key, value) in [
                ("discoveryURL", discovery_url),
                ("certificateAuthority", authority),
            ] {
                if let (Some(value), Some(members)) = (value, issuer.as_object_mut()) {
                    members.insert(key.to_owned(), json!(value));
                }
            }
        }
        json!({
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AuthenticationConfiguration",
            "jwt": [{
                "issuer": issuer,
                "claimMappings": {"username": {"claim": "sub", "prefix": self.prefix}},
                // Other ServiceAccounts of the app cluster can request tokens with this audience too.
                "claimValidationRules": [{"claim": "sub", "requiredValue": self.subject}],
            }],
        })
    }

    /// Returns whether the ServiceAccount of the pods exists.
    ///
    /// # Errors
    /// The app cluster rejects the request or cannot be reached.
    pub(super) async fn has_account(&self, session: &Session) -> Result<bool, ConnectError> {
        let (app, service) = (&session.app, &session.installation.service);
        let accounts: Api<ServiceAccount> = Api::namespaced(app.client.clone(), &service.namespace);
        let account = accounts.get_metadata_opt(&service.name).await;
        let account = account.map_err(app.failed("read the ServiceAccount of the pods"))?;
        Ok(account.is_some())
    }

    /// Checks that the control plane accepts a token of the app cluster, and that its user has the expected name. The
    /// ServiceAccount of the pods must exist.
    ///
    /// # Errors
    /// The control plane does not trust the token, or a cluster rejects a request or cannot be reached.
    pub(super) async fn check(&self, session: &Session) -> Result<(), ConnectError> {
        let service = &session.installation.service;
        let token = Token::request(
            &session.app.client,
            &service.namespace,
            &service.name,
            CHECK_LIFETIME,
            Some(TOKEN_AUDIENCE),
        )
        .await?;
        let with_token = with_token(session, &token.text).await?;
        let reviews: Api<SelfSubjectReview> = Api::all(with_token.client.clone());
        let asked = reviews
            .create(&PostParams::default(), &SelfSubjectReview::default())
            .await;
        let problem = match asked {
            Ok(review) => {
                let status = review.status.and_then(|status| status.user_info);
                let user = status.and_then(|user| user.username).unwrap_or_default();
                let expected = format!("{}{}", self.prefix, self.subject);
                match user == expected {
                    true => return Ok(()),
                    false => format!("it knows the daemon as {user:?} instead of {expected:?}"),
                }
            }
            Err(kube::Error::Api(status)) if status.code == 401 => {
                describe(&kube::Error::Api(status))
            }
            Err(error) => {
                let doing = "ask who the user of the token is";
                return Err(session.control_plane.failed(doing)(error));
            }
        };
        Err(ConnectError::NotTrusted {
            context: session.control_plane.context.clone(),
            problem,
            instructions: self.instructions(&session.app.context)?,
        })
    }
}

/// Returns instructions to remove what `disconnect` cannot remove.
pub(super) fn leftovers(app_context: &str) -> String {
    format!(
        "The control plane still trusts tokens of the app cluster, which give no rights any more. Remove the entry from its \
         AuthenticationConfiguration, and the binding: kubectl --context {app_context} delete clusterrolebinding {DISCOVERY_BINDING} --ignore-not-found"
    )
}

/// Returns the issuer of the ServiceAccount tokens of a cluster.
async fn discovery(cluster: &Cluster) -> Result<String, kube::Error> {
    let request = Request::get(DISCOVERY_PATH).body(Vec::new());
    let request = request.map_err(kube::Error::HttpError)?;
    let discovery: Discovery = cluster.client.request(request).await?;
    Ok(discovery.issuer)
}

/// Returns the control plane as the user of a token.
async fn with_token(session: &Session, token: &str) -> Result<Cluster, ConnectError> {
    let (name, endpoint) = (&session.control_plane.context, &session.endpoint);
    let kubeconfig: Kubeconfig = serde_json::from_value(json!({
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": {
            "server": endpoint.server,
            "certificate-authority-data": endpoint.ca_data,
        }}],
        "users": [{"name": name, "user": {"token": token}}],
    }))?;
    Cluster::open(&kubeconfig, Some(name)).await
}

/// Returns the location from which the control plane reads the keys. If only the app cluster itself can resolve the
/// name of the issuer, such as `https://kubernetes.default.svc.cluster.local`, the keys are on the API server at
/// `server`.
fn keys(issuer: &str, server: &str, authority: Option<String>) -> Keys {
    let origin = |text: &str| Url::parse(text).ok().map(|url| url.origin());
    let is_server = origin(issuer) == origin(server);
    let is_internal = Url::parse(issuer).is_ok_and(|url| {
        let host = url.host_str().unwrap_or_default();
        host == "kubernetes" || host.starts_with("kubernetes.default")
    });
    if !is_server && !is_internal {
        return Keys::AtIssuer;
    }
    let discovery_url =
        is_internal.then(|| format!("{}{DISCOVERY_PATH}", server.trim_end_matches('/')));
    Keys::OnApiServer {
        discovery_url,
        authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "https://app.example.org:6443";

    fn issuer(url: &str) -> Issuer {
        Issuer {
            url: url.to_owned(),
            keys: keys(url, SERVER, Some("pem".to_owned())),
            subject: "system:serviceaccount:claimgate-system:claimgate".to_owned(),
            prefix: "claimgate:team-a:".to_owned(),
        }
    }

    #[test]
    fn configuration_tells_where_the_keys_are() {
        let discovery = "https://app.example.org:6443/.well-known/openid-configuration";
        for (url, expected) in [
            (
                "https://oidc.example.org/id/1",
                json!({"url": "https://oidc.example.org/id/1", "audiences": ["claimgate"]}),
            ),
            (
                SERVER,
                json!({"url": SERVER, "audiences": ["claimgate"], "certificateAuthority": "pem"}),
            ),
            (
                "https://kubernetes.default.svc.cluster.local",
                json!({
                    "url": "https://kubernetes.default.svc.cluster.local", "audiences": ["claimgate"],
                    "certificateAuthority": "pem", "discoveryURL": discovery,
                }),
            ),
        ] {
            let configuration = issuer(url).configuration();
            assert_eq!(configuration["jwt"][0]["issuer"], expected);
        }
    }

    #[test]
    fn only_the_service_account_of_the_pods_is_trusted() {
        let text = issuer(SERVER).instructions("app").unwrap();
        for part in [
            "requiredValue: system:serviceaccount:claimgate-system:claimgate",
            "prefix: 'claimgate:team-a:'",
            "kubectl --context app create clusterrolebinding",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
