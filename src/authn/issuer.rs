//! Whether a CA vouches for a client's certificate.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_rustls::rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::tls::pem;
use crate::tls::watched::{LoadError, Reload, Watched};

/// How long a verdict on a connection's certificate is believed. A certificate that expires in the
/// middle of a connection is refused this much later at most.
const VERDICT_AGE_MAX: Duration = Duration::from_secs(30);

type Anchors = Vec<TrustAnchor<'static>>;

/// The certificates of a CA file.
pub struct Issuer(Arc<Watched<Anchors>>);

/// The last verdict on one connection, and the CA that it was passed under.
#[derive(Default)]
pub(super) struct Remembered(Mutex<Option<(Arc<Anchors>, Instant, bool)>>);

impl Issuer {
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        Watched::load(vec![path.to_owned()], |files| {
            let pem: Vec<u8> = files.concat();
            let certificates = pem::certificates(&pem).map_err(|e| e.to_string())?;
            certificates
                .iter()
                .map(|der| {
                    anchor_from_trusted_cert(der)
                        .map(|anchor| anchor.to_owned())
                        .map_err(|error| format!("a CA certificate cannot be used: {error}"))
                })
                .collect()
        })
        .map(Self)
    }

    pub(super) fn watched(&self) -> Arc<dyn Reload> {
        Arc::clone(&self.0) as Arc<dyn Reload>
    }

    /// Verifies the chain for use as a client certificate, at most once in [`VERDICT_AGE_MAX`] for
    /// each connection and CA.
    pub(super) fn vouches_for(
        &self,
        chain: &[CertificateDer<'static>],
        remembered: &Remembered,
    ) -> bool {
        let anchors = self.0.current();
        let mut last = remembered.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((under, at, verdict)) = last.as_ref()
            && Arc::ptr_eq(under, &anchors)
            && at.elapsed() < VERDICT_AGE_MAX
        {
            return *verdict;
        }
        let verdict = verify(chain, &anchors);
        *last = Some((anchors, Instant::now(), verdict));
        verdict
    }
}

fn verify(chain: &[CertificateDer<'static>], anchors: &Anchors) -> bool {
    let Some((leaf, intermediates)) = chain.split_first() else {
        return false;
    };
    let Ok(leaf) = EndEntityCert::try_from(leaf) else {
        return false;
    };
    leaf.verify_for_usage(
        ALL_VERIFICATION_ALGS,
        anchors,
        intermediates,
        UnixTime::now(),
        KeyUsage::client_auth(),
        None,
        None,
    )
    .is_ok()
}
