//! The cryptography of all TLS connections and certificates.

use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};

/// Returns ring's provider. On AMD machines without AVX-512, its AES-GCM uses less CPU time than that of
/// aws-lc-rs. Its build needs only a C compiler.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Makes [`provider`] the default of the process, which the development control plane and the client of Kubernetes use. Without effect
/// after the first call.
#[cfg(any(feature = "app-cluster", feature = "dev"))]
pub(crate) fn install() {
    // The error is the provider that is installed already.
    let _ = Arc::unwrap_or_clone(provider()).install_default();
}
