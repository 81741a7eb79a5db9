//! Limits of requests that several modules enforce.

use http::HeaderMap;

/// Size in bytes that HTTP/2 counts for each header field, in addition to name and value (RFC 9113, section 6.5.2).
const FIELD_OVERHEAD_BYTES: usize = 32;

/// Limits of the header fields of a request.
///
/// The router returns 431 with the reason. A connection accepts twice as much, so that such a request reaches the router.
/// Above that, hyper and h2 return 431 without a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct HeaderLimits {
    pub(crate) fields_max: usize,
    /// Bytes of all fields, as HTTP/2 counts them.
    pub(crate) bytes_max: usize,
}

/// Limits of the front proxy. kube-apiserver accepts headers of this size (`net/http`, `DefaultMaxHeaderBytes`) and
/// forwards all of them, and one field for each group of the user.
pub(crate) const FRONT_PROXY: HeaderLimits = HeaderLimits {
    fields_max: 20_000,
    bytes_max: 1 << 20,
};

/// Limits of all other clients.
pub(crate) const ANY_CLIENT: HeaderLimits = HeaderLimits {
    fields_max: 1000,
    bytes_max: 16 << 10,
};

impl HeaderLimits {
    pub(crate) fn connection_fields_max(&self) -> usize {
        2 * self.fields_max
    }

    pub(crate) fn connection_bytes_max(&self) -> usize {
        2 * self.bytes_max
    }

    pub(crate) fn are_exceeded_by(&self, headers: &HeaderMap) -> bool {
        headers.len() > self.fields_max || bytes(headers.iter()) > self.bytes_max
    }
}

/// Returns the size of header fields, as HTTP/2 counts them.
pub(crate) fn bytes<'a>(
    fields: impl Iterator<Item = (&'a http::HeaderName, &'a http::HeaderValue)>,
) -> usize {
    fields
        .map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD_BYTES)
        .sum()
}
