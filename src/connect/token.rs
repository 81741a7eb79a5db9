//! Tokens of ServiceAccounts on the control plane.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

use super::private_file;

/// The lifetime of the daemon's token. Servers may grant less.
pub(super) const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Time between two attempts after a failure.
const RETRY: Duration = Duration::from_secs(30);

/// The reason why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the control plane granted a token without content")]
    Missing,
    #[error(
        "the control plane grants no token for the ServiceAccount {account:?}: {error}; your user needs the verb create on serviceaccounts/token"
    )]
    Request {
        account: String,
        error: Box<kube::Error>,
    },
}

/// A token and when it expires.
pub(super) struct Token {
    pub(super) text: String,
    pub(super) expires: Timestamp,
}

impl Token {
    /// Requests a token. The server may grant a shorter lifetime.
    ///
    /// # Errors
    /// The control plane rejects the request or cannot be reached.
    pub(super) async fn request(
        client: &Client,
        namespace: &str,
        account: &str,
        lifetime: Duration,
    ) -> Result<Self, TokenError> {
        let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(lifetime.as_secs().try_into().unwrap_or(i64::MAX)),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let granted = api
            .create_token_request(account, &PostParams::default(), &request)
            .await
            .map_err(|error| TokenError::Request {
                account: account.to_owned(),
                error: Box::new(error),
            })?;
        // The API server always sets it.
        let status = granted.status.ok_or(TokenError::Missing)?;
        Ok(Self {
            text: status.token,
            expires: status.expiration_timestamp.0,
        })
    }

    /// Returns the time until two thirds of the remaining lifetime are over.
    fn renew_after(&self) -> Duration {
        let left_s = self.expires.as_second() - Timestamp::now().as_second();
        Duration::from_secs(u64::try_from(left_s * 2 / 3).unwrap_or(0)).max(RETRY)
    }
}

/// Where a token is renewed.
pub(super) struct Renewal {
    /// Authenticates with the token in `file`.
    pub(super) client: Client,
    pub(super) namespace: String,
    pub(super) account: String,
    pub(super) file: PathBuf,
}

/// Renews the token until `stop` is cancelled.
pub(super) async fn renew(renewal: Renewal, mut token: Token, stop: CancellationToken) {
    let mut wait = token.renew_after();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = match renewed(&renewal).await {
            Ok(new) => {
                token = new;
                tracing::info!("renewed the token for the control plane");
                token.renew_after()
            }
            Err(problem) => {
                tracing::warn!(%problem, expires = %token.expires, "cannot renew the token for the control plane");
                RETRY
            }
        };
    }
}

async fn renewed(renewal: &Renewal) -> Result<Token, String> {
    let Renewal {
        client,
        namespace,
        account,
        file,
    } = renewal;
    let token = Token::request(client, namespace, account, LIFETIME)
        .await
        .map_err(|error| error.to_string())?;
    let written: io::Result<()> = private_file::replace(file, &token.text);
    written.map_err(|error| error.to_string())?;
    Ok(token)
}
