//! Runs conversions from and to YAML and protobuf, which can use a CPU core for seconds.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::error::RequestError;

/// Number of concurrent conversions. One conversion uses a whole CPU core. A body with many short values
/// needs about 25 times its size in memory.
const CONVERSIONS_MAX: usize = 2;

/// Runs conversions on blocking threads, where they do not delay other requests.
#[derive(Clone)]
pub(super) struct Conversions(Arc<Semaphore>);

impl Conversions {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(CONVERSIONS_MAX)))
    }

    /// Runs one conversion.
    ///
    /// # Errors
    /// [`RequestError::Internal`] if the conversion panics.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        conversion: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, RequestError> {
        let failed = |why: &dyn fmt::Display| RequestError::Internal(format!("conversion: {why}"));
        let _permit = self.0.acquire().await.map_err(|error| failed(&error))?;
        let converted = tokio::task::spawn_blocking(conversion).await;
        converted.map_err(|error| failed(&error))
    }
}
