//! Which cryptography is used, everywhere.

use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};

/// ring: on AMD machines without AVX-512 its AES-GCM takes less of the profile than aws-lc-rs's, and
/// it builds without a C toolchain beyond cc. The choice is here alone.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
