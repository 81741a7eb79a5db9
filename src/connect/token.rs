//! Tokens of ServiceAccounts.

use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};

use crate::app_cluster::describe;

/// The lifetime of the daemon's first token. Servers may grant less.
pub(super) const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// The reason why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the API server granted a token without content")]
    Missing,
    #[error(
        "the API server grants no token for the ServiceAccount {account:?}: {why}; your user needs the verb create on serviceaccounts/token"
    )]
    Request { account: String, why: String },
}

/// A token and when it expires.
pub(super) struct Token {
    pub(super) text: String,
    pub(super) expires: Timestamp,
}

impl Token {
    /// Requests a token for an audience. Without an audience, the token is for the API server itself. The server may
    /// grant a shorter lifetime.
    ///
    /// # Errors
    /// The cluster rejects the request or cannot be reached.
    pub(super) async fn request(
        client: &Client,
        namespace: &str,
        account: &str,
        lifetime: Duration,
        audience: Option<&str>,
    ) -> Result<Self, TokenError> {
        let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: audience.into_iter().map(str::to_owned).collect(),
                expiration_seconds: Some(lifetime.as_secs().try_into().unwrap_or(i64::MAX)),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let granted = api
            .create_token_request(account, &PostParams::default(), &request)
            .await
            .map_err(|error| TokenError::Request {
                account: format!("{namespace}/{account}"),
                why: describe(&error),
            })?;
        // The API server always sets it.
        let status = granted.status.ok_or(TokenError::Missing)?;
        Ok(Self {
            text: status.token,
            expires: status.expiration_timestamp.0,
        })
    }
}
