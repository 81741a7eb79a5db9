//! Verifies whether a CA has signed a client's certificate.
//!
//! Uses webpki directly, because rustls' verifiers run once in the handshake and accept any of several
//! CAs. Here each CA is verified separately, so a user's certificate is never accepted as the front
//! proxy's. A changed CA file also applies to open connections.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_rustls::rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::tls::watched::{LoadError, Reload, Watched};
use crate::tls::{pem, provider};

/// How long a verification of a connection's certificate stays valid. A certificate that expires during
/// a connection is rejected at most this much later.
const CACHED_FOR: Duration = Duration::from_secs(30);

type Anchors = Vec<TrustAnchor<'static>>;

/// The certificates of a CA.
pub(super) enum ClientCa {
    /// Of a file that is read again when it changes.
    File(Arc<Watched<Anchors>>),
    Fixed(Arc<Anchors>),
}

/// The last verification of one connection's certificates.
#[derive(Default)]
pub(super) struct CachedVerification(Mutex<Option<Verification>>);

struct Verification {
    /// The CA certificates that it was made with.
    anchors: Arc<Anchors>,
    at: Instant,
    is_signed: bool,
}

impl ClientCa {
    /// Reads a PEM file. Also returns what reads it again.
    pub(super) fn load(path: &Path) -> Result<(Self, Arc<dyn Reload>), LoadError> {
        let watched = Watched::load(vec![path.to_owned()], |files| anchors(&files.concat()))?;
        let reload = Arc::clone(&watched) as Arc<dyn Reload>;
        Ok((Self::File(watched), reload))
    }

    /// Reads PEM.
    pub(super) fn parse(pem: &[u8]) -> Result<Self, String> {
        Ok(Self::Fixed(Arc::new(anchors(pem)?)))
    }

    fn anchors(&self) -> Arc<Anchors> {
        match self {
            Self::File(watched) => watched.current(),
            Self::Fixed(anchors) => Arc::clone(anchors),
        }
    }

    /// Returns whether the chain leads to this CA and is valid now for a TLS client. Verifies each
    /// connection and CA at most once per [`CACHED_FOR`].
    pub(super) fn has_signed(
        &self,
        chain: &[CertificateDer<'static>],
        cached: &CachedVerification,
    ) -> bool {
        let anchors = self.anchors();
        let mut last = cached.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_ref()
            && Arc::ptr_eq(&last.anchors, &anchors)
            && last.at.elapsed() < CACHED_FOR
        {
            return last.is_signed;
        }
        let is_signed = verify(chain, &anchors);
        *last = Some(Verification {
            anchors,
            at: Instant::now(),
            is_signed,
        });
        is_signed
    }
}

fn anchors(pem: &[u8]) -> Result<Anchors, String> {
    let certificates = pem::certificates(pem).map_err(|error| error.to_string())?;
    let anchors = certificates.iter().map(|der| {
        anchor_from_trusted_cert(der)
            .map(|anchor| anchor.to_owned())
            .map_err(|error| format!("a CA certificate is invalid: {error}"))
    });
    anchors.collect()
}

fn verify(chain: &[CertificateDer<'static>], anchors: &Anchors) -> bool {
    let Some((leaf, intermediates)) = chain.split_first() else {
        return false;
    };
    let Ok(leaf) = EndEntityCert::try_from(leaf) else {
        return false;
    };
    leaf.verify_for_usage(
        provider::provider().signature_verification_algorithms.all,
        anchors,
        intermediates,
        UnixTime::now(),
        KeyUsage::client_auth(),
        None,
        None,
    )
    .is_ok()
}
