//! Follows the description of the front proxy that the app cluster publishes
//! (`apiserver/pkg/server/options/authentication.go`, `lookupRequestHeaderOptions`).

use std::collections::BTreeMap;

use futures_util::StreamExt;
use http::HeaderName;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use tokio_util::sync::CancellationToken;

use crate::authn::FrontProxyCell;
use crate::config::RequestHeader;

const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";

/// The default header with the UID. Clusters before Kubernetes 1.32 do not publish this header.
const UID_HEADER: &str = "x-remote-uid";

/// The reason why the front proxy is not known.
#[derive(Debug, thiserror::Error)]
pub enum FrontProxyError {
    #[error(
        "cannot read the ConfigMap {NAMESPACE}/{NAME}: {0}; bind the Role extension-apiserver-authentication-reader in {NAMESPACE} to claimgate, or set clientCa instead of fromCluster"
    )]
    Read(#[from] kube::Error),
    #[error("the ConfigMap {NAMESPACE}/{NAME} {0}")]
    Invalid(String),
}

/// Keeps the front proxy of the authenticator equal to the one that the app cluster publishes.
pub(crate) struct FrontProxyWatch {
    api: Api<ConfigMap>,
    front_proxy: FrontProxyCell,
}

impl FrontProxyWatch {
    /// Reads the description once.
    ///
    /// # Errors
    /// It cannot be read or is invalid.
    pub(crate) async fn open(
        client: kube::Client,
        front_proxy: FrontProxyCell,
    ) -> Result<Self, FrontProxyError> {
        let watch = Self {
            api: api(client),
            front_proxy,
        };
        let object = watch.api.get(NAME).await?;
        watch.apply(object)?;
        Ok(watch)
    }

    /// Follows the description until `stop` is cancelled. If a new description is invalid, logs this and continues to
    /// use the last one.
    pub(crate) async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            let objects = watch_object(self.api.clone(), NAME);
            let mut objects = Box::pin(objects.default_backoff());
            while let Some(object) = objects.next().await {
                match object {
                    Ok(Some(object)) => self.apply(object).unwrap_or_else(report),
                    Ok(None) => report(FrontProxyError::Invalid("is gone".to_owned())),
                    Err(error) => {
                        tracing::debug!(%error, "cannot watch the front proxy of the app cluster")
                    }
                }
            }
        })
        .await;
    }

    fn apply(&self, object: ConfigMap) -> Result<(), FrontProxyError> {
        let data = object.data.unwrap_or_default();
        let (client_ca, headers) = parse(&data).map_err(FrontProxyError::Invalid)?;
        let replaced = self.front_proxy.replace(client_ca, headers);
        replaced.map_err(|why| FrontProxyError::Invalid(format!("has a client CA that {why}")))
    }
}

/// Checks that the app cluster publishes a front proxy.
///
/// # Errors
/// The description cannot be read or is invalid.
pub(crate) async fn check_front_proxy(client: kube::Client) -> Result<(), FrontProxyError> {
    let object = api(client).get_opt(NAME).await?;
    let data = object.and_then(|object| object.data).unwrap_or_default();
    parse(&data).map(drop).map_err(FrontProxyError::Invalid)
}

fn api(client: kube::Client) -> Api<ConfigMap> {
    Api::namespaced(client, NAMESPACE)
}

fn report(error: FrontProxyError) {
    tracing::warn!(%error, "the last front proxy of the app cluster stays in use");
}

/// Returns the client CA and the headers. A cluster without client certificates for users publishes only these.
fn parse(data: &BTreeMap<String, String>) -> Result<(&[u8], RequestHeader), String> {
    let value = |key: &str| data.get(key).filter(|text| !text.is_empty());
    let list = |key: &str| -> Result<Vec<String>, String> {
        let text = value(key).map_or("[]", String::as_str);
        serde_json::from_str(text).map_err(|error| format!("has an invalid {key}: {error}"))
    };
    let names = |key: &str| -> Result<Vec<HeaderName>, String> {
        let names = list(key)?;
        let parsed: Result<_, _> = names.iter().map(|name| name.parse()).collect();
        parsed.map_err(|_| format!("has an invalid {key}"))
    };
    let client_ca = value("requestheader-client-ca-file");
    let client_ca =
        client_ca.ok_or("has no requestheader-client-ca-file: aggregation is not enabled")?;
    let username_headers = names("requestheader-username-headers")?;
    if username_headers.is_empty() {
        return Err("has no requestheader-username-headers".to_owned());
    }
    let mut uid_headers = names("requestheader-uid-headers")?;
    if uid_headers.is_empty() {
        uid_headers.push(HeaderName::from_static(UID_HEADER));
    }
    let prefixes = list("requestheader-extra-headers-prefix")?;
    let headers = RequestHeader {
        allowed_names: list("requestheader-allowed-names")?,
        username_headers,
        uid_headers,
        group_headers: names("requestheader-group-headers")?,
        extra_headers_prefix: prefixes
            .iter()
            .map(|prefix| prefix.to_ascii_lowercase())
            .collect(),
    };
    Ok((client_ca.as_bytes(), headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(members: &[(&str, &str)]) -> BTreeMap<String, String> {
        let members = members.iter();
        members
            .map(|(key, value)| (format!("requestheader-{key}"), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn description_of_kube_apiserver_is_read() {
        let published = data(&[
            ("client-ca-file", "PEM"),
            ("allowed-names", r#"["front-proxy-client"]"#),
            ("username-headers", r#"["X-Remote-User"]"#),
            ("group-headers", r#"["X-Remote-Group"]"#),
            ("extra-headers-prefix", r#"["X-Remote-Extra-"]"#),
        ]);
        let (client_ca, headers) = parse(&published).unwrap();
        assert_eq!(client_ca, b"PEM");
        assert_eq!(headers.allowed_names, ["front-proxy-client"]);
        assert_eq!(headers.username_headers, ["x-remote-user"]);
        assert_eq!(headers.uid_headers, ["x-remote-uid"]);
        assert_eq!(headers.group_headers, ["x-remote-group"]);
        assert_eq!(headers.extra_headers_prefix, ["x-remote-extra-"]);
    }

    #[test]
    fn description_without_front_proxy_is_invalid() {
        for members in [
            &[][..],
            &[("client-ca-file", "PEM")],
            &[
                ("client-ca-file", "PEM"),
                ("username-headers", "X-Remote-User"),
            ],
            &[
                ("client-ca-file", "PEM"),
                ("username-headers", r#"["a b"]"#),
            ],
        ] {
            assert!(parse(&data(members)).is_err(), "{members:?}");
        }
    }
}
