//! Creates and renews a serving certificate and its CA in a Secret.
//!
//! The CA signs one certificate, and its private key is never stored. A renewal replaces both. The order of the steps
//! ensures that every kube-apiserver trusts the certificate that it gets:
//!
//! 1. At two thirds of the lifetime, the next CA and certificate are written to the Secret. The APIServices get the CA
//!    bundle of both. All replicas still serve the old certificate.
//! 2. When the APIServices have had the bundle for the overlap, the next certificate becomes the current one. A replica
//!    serves it as soon as it has read the Secret. The bundle still contains the previous CA.
//! 3. The next renewal removes the previous CA.

mod issue;
mod stored;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;

use self::stored::{Step, Stored};
use super::error::SecretError;
use super::report::FailureReport;
use super::secret::ManagedSecret;
use crate::config::{SelfManaged, ServiceConfig};
use crate::telemetry::metrics::Metrics;

/// The name of this controller in metrics.
const CONTROLLER: &str = "certificate";

/// Time between two reads of the Secret, unless the lifetime of the certificate is short.
const INTERVAL_MAX: Duration = Duration::from_secs(30);
const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Minimum number of reads during the lifetime of a certificate.
const READS_PER_LIFETIME: u32 = 120;

/// Keeps the certificate of the daemon equal to the one in the Secret, and renews it.
pub(crate) struct CertificateKeeper {
    secret: ManagedSecret,
    /// The name of the Service in the DNS of the app cluster.
    dns_name: String,
    lifetime: Duration,
    /// The last resourceVersion that was read.
    version: Option<String>,
    certificate: watch::Sender<Arc<CertifiedKey>>,
    ca_bundle: watch::Sender<Arc<Vec<u8>>>,
    /// The CA bundle in the APIServices, and the time when this replica learned of it.
    trusted: Option<(Arc<Vec<u8>>, Instant)>,
    report: FailureReport,
}

impl CertificateKeeper {
    /// Reads the certificate, or creates the first one.
    ///
    /// # Errors
    /// The Secret does not exist, cannot be written, or contains an invalid certificate.
    pub(crate) async fn open(
        client: kube::Client,
        config: &SelfManaged,
        service: &ServiceConfig,
        metrics: Metrics,
    ) -> Result<Self, SecretError> {
        let secret = ManagedSecret::new(client, &service.namespace, &config.secret, "");
        let dns_name = service.dns_name();
        let (version, stored) = loop {
            let read = secret.read().await?;
            let stored = parse(&secret, &read)?;
            let due = match &stored {
                Some(stored) => stored.step(OffsetDateTime::now_utc(), &dns_name),
                None => Step::Replace,
            };
            match (stored, due) {
                (Some(stored), Step::Wait | Step::Renew | Step::Switch) => {
                    break (read.metadata.resource_version, stored);
                }
                _ => {
                    let stored = Stored::new(issue::issue(&dns_name, config.lifetime)?);
                    if let Some(written) = secret.replace(read, stored.data()).await? {
                        tracing::info!(%secret, "created a CA and a serving certificate");
                        break (written.metadata.resource_version, stored);
                    }
                }
            }
        };
        let invalid = |problem| invalid(&secret, problem);
        let certificate = stored.current.certified_key().map_err(invalid)?;
        Ok(Self {
            certificate: watch::Sender::new(Arc::new(certificate)),
            ca_bundle: watch::Sender::new(Arc::new(stored.ca_bundle())),
            secret,
            dns_name,
            lifetime: config.lifetime,
            version,
            trusted: None,
            report: FailureReport::new(CONTROLLER, metrics),
        })
    }

    /// Returns the certificate that the daemon serves.
    pub(crate) fn certificate(&self) -> watch::Receiver<Arc<CertifiedKey>> {
        self.certificate.subscribe()
    }

    /// Returns the PEM of the CAs that clients must trust.
    pub(crate) fn ca_bundle(&self) -> watch::Receiver<Arc<Vec<u8>>> {
        self.ca_bundle.subscribe()
    }

    /// Follows and renews the certificate until `stop` is cancelled. `in_place` is the CA bundle in the APIServices.
    pub(crate) async fn run(
        mut self,
        in_place: watch::Receiver<Option<Arc<Vec<u8>>>>,
        stop: CancellationToken,
    ) {
        let interval = (self.lifetime / READS_PER_LIFETIME).clamp(INTERVAL_MIN, INTERVAL_MAX);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
            self.trust(in_place.borrow().clone());
            let result = self.sync().await;
            self.report.record(&result);
        }
    }

    fn trust(&mut self, in_place: Option<Arc<Vec<u8>>>) {
        let known = self.trusted.as_ref().map(|(bundle, _)| bundle);
        if known != in_place.as_ref() {
            self.trusted = in_place.map(|bundle| (bundle, Instant::now()));
        }
    }

    /// Reads the Secret once, and performs the next step of a renewal if it is due.
    async fn sync(&mut self) -> Result<(), SecretError> {
        let read = self.secret.read().await?;
        let stored = parse(&self.secret, &read)?;
        if let Some(stored) = &stored
            && read.metadata.resource_version != self.version
        {
            self.publish(stored)?;
            self.version.clone_from(&read.metadata.resource_version);
        }
        let Some((next, done)) = self.due(stored)? else {
            return Ok(());
        };
        // If the write fails, another replica was faster, and the next read returns its result.
        if let Some(written) = self.secret.replace(read, next.data()).await? {
            tracing::info!(secret = %self.secret, "{done}");
            self.publish(&next)?;
            self.version = written.metadata.resource_version;
        }
        Ok(())
    }

    /// Returns the new content of the Secret and a log message, or `None` if no step is due.
    fn due(&self, stored: Option<Stored>) -> Result<Option<(Stored, &'static str)>, SecretError> {
        let issue = || issue::issue(&self.dns_name, self.lifetime);
        let Some(stored) = stored else {
            let made = Stored::new(issue()?);
            return Ok(Some((made, "the Secret was empty; created a certificate")));
        };
        let now = OffsetDateTime::now_utc();
        let bundle = stored.ca_bundle();
        let trusted = self.trusted.as_ref();
        let trusted = trusted.filter(|(in_place, _)| **in_place == bundle);
        let trusted_for = trusted.map(|(_, since)| since.elapsed());
        Ok(match stored.step(now, &self.dns_name) {
            Step::Wait => None,
            Step::Renew => Some((stored.with_next(issue()?), "created the next certificate")),
            Step::Switch if stored.may_switch(now, trusted_for) => {
                Some((stored.switched(), "the next certificate is in use"))
            }
            Step::Switch => None,
            Step::Replace => Some((Stored::new(issue()?), "replaced an unusable certificate")),
        })
    }

    fn publish(&self, stored: &Stored) -> Result<(), SecretError> {
        let certificate = stored.current.certified_key();
        let certificate = certificate.map_err(|problem| invalid(&self.secret, problem))?;
        self.ca_bundle.send_replace(Arc::new(stored.ca_bundle()));
        self.certificate.send_replace(Arc::new(certificate));
        Ok(())
    }
}

fn parse(secret: &ManagedSecret, read: &Secret) -> Result<Option<Stored>, SecretError> {
    let data = read.data.clone().unwrap_or_default();
    Stored::parse(&data).map_err(|problem| invalid(secret, problem))
}

fn invalid(secret: &ManagedSecret, problem: String) -> SecretError {
    SecretError::InvalidCertificate {
        secret: secret.to_string(),
        problem,
    }
}
