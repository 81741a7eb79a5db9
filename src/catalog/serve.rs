//! Answers requests for discovery and OpenAPI documents from the catalog.

mod discovery;
mod openapi;

use super::document::{DocumentReply, DocumentRequest};
use super::store::Catalog;

/// Answers a request for a path below `/apis` or `/openapi/`.
pub fn serve(catalog: &Catalog, request: &DocumentRequest<'_>) -> DocumentReply {
    if request.path.starts_with("/openapi/") {
        openapi::serve(catalog, request)
    } else {
        discovery::serve(catalog, request)
    }
}
