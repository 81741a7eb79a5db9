//! Follows and renews a bearer token for a control plane in a Secret.
//!
//! The claims of a token contain its ServiceAccount and its expiry, if a Kubernetes API server issued it for a
//! ServiceAccount. Other tokens are used as they are.

mod service_account;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use self::service_account::ServiceAccountToken;
use super::error::SecretError;
use super::report::FailureReport;
use super::secret::ManagedSecret;
use crate::telemetry::metrics::Metrics;
use crate::upstream::{Credentials, TokenCell, Upstream};

/// The name of this controller in metrics.
const CONTROLLER: &str = "token";

/// The key of the Secret.
const KEY: &str = "token";

/// Time between two reads of the Secret.
const INTERVAL: Duration = Duration::from_secs(10);

/// The lifetime that claimgate requests. Servers may grant less.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Keeps the token for a control plane equal to the one in the Secret, and renews it.
pub(crate) struct TokenKeeper {
    secret: ManagedSecret,
    /// The token that is in use.
    token: String,
    credentials: Credentials,
    cell: Arc<TokenCell>,
    report: FailureReport,
}

impl TokenKeeper {
    /// Reads the token.
    ///
    /// # Errors
    /// The Secret does not exist, cannot be read, or has no token.
    pub(crate) async fn open(
        client: kube::Client,
        namespace: &str,
        name: &str,
        metrics: Metrics,
    ) -> Result<Self, SecretError> {
        let secret = ManagedSecret::new(client, namespace, name, " --from-file token");
        let token = token(&secret, &secret.read().await?)?;
        let cell = TokenCell::new(&token).map_err(|problem| invalid(&secret, problem))?;
        Ok(Self {
            credentials: Credentials::token_cell(Arc::clone(&cell)),
            cell,
            token,
            secret,
            report: FailureReport::new(CONTROLLER, metrics),
        })
    }

    /// Returns credentials that always have the current token.
    pub(crate) fn credentials(&self) -> Credentials {
        self.credentials.clone()
    }

    /// Follows and renews the token until `stop` is cancelled. `upstream` is the client of the control plane.
    pub(crate) async fn run(mut self, upstream: Upstream, stop: CancellationToken) {
        if ServiceAccountToken::parse(&self.token).is_none() {
            tracing::info!(secret = %self.secret, "claimgate does not renew this token, because it is not a ServiceAccount token that expires");
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            let result = self.sync(&upstream).await;
            self.report.record(&result);
        }
    }

    /// Reads the Secret once, and renews the token if that is due.
    async fn sync(&mut self, upstream: &Upstream) -> Result<(), SecretError> {
        let read = self.secret.read().await?;
        self.set(token(&self.secret, &read)?)?;
        let account = ServiceAccountToken::parse(&self.token);
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let Some(account) = account.filter(|account| now >= account.renewal_time_s()) else {
            return Ok(());
        };
        let new = account.renew(upstream, LIFETIME).await;
        let new = new.map_err(SecretError::Renew)?;
        let mut data = read.data.clone().unwrap_or_default();
        data.insert(KEY.to_owned(), ByteString(new.clone().into_bytes()));
        // If the write fails, another replica was faster, and the next read returns its token.
        if self.secret.replace(read, data).await?.is_some() {
            tracing::info!(secret = %self.secret, "renewed the token for the control plane");
            self.set(new)?;
        }
        Ok(())
    }

    fn set(&mut self, token: String) -> Result<(), SecretError> {
        if token != self.token {
            let set = self.cell.set(&token);
            set.map_err(|problem| invalid(&self.secret, problem))?;
            self.token = token;
        }
        Ok(())
    }
}

fn token(secret: &ManagedSecret, read: &Secret) -> Result<String, SecretError> {
    let data = read.data.as_ref().and_then(|data| data.get(KEY));
    let ByteString(bytes) =
        data.ok_or_else(|| invalid(secret, format!("it has no key {KEY:?}")))?;
    let text = String::from_utf8(bytes.clone());
    let text = text.map_err(|_| invalid(secret, "the token is not text".to_owned()))?;
    Ok(text.trim().to_owned())
}

fn invalid(secret: &ManagedSecret, problem: String) -> SecretError {
    SecretError::InvalidToken {
        secret: secret.to_string(),
        problem,
    }
}
