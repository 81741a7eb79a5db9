//! Limits of requests that several modules enforce.

/// Largest number of header fields in a request. An HTTP/1.1 connection stops reading at this limit. For
/// HTTP/2, the router returns 431.
pub(crate) const HEADER_FIELDS_MAX: usize = 1000;
