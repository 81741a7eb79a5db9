//! `/openapi/v2`, `/openapi/v3` and `/openapi/v3/apis/G/V`.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use super::discovery::not_found;
use crate::catalog::document::{Document, DocumentReply, DocumentRequest};
use crate::catalog::negotiate::{DocumentMedia, negotiate};
use crate::catalog::store::Catalog;

const JSON: &str = "application/json";

pub(super) fn serve(catalog: &Catalog, request: &DocumentRequest<'_>) -> DocumentReply {
    if negotiate(request.accept, &[DocumentMedia::Json]).is_none() {
        return not_acceptable();
    }
    let path = request.path.trim_end_matches('/');
    if let Some(prefix) = path.strip_prefix("/openapi/v3/") {
        return group_version(catalog, prefix, request);
    }
    if let Some(control_plane) = catalog.openapi_not_synced() {
        return DocumentReply::NotSynced(control_plane);
    }
    let documents = catalog.documents();
    match path {
        "/openapi/v2" => documents.openapi.v2.reply(JSON, request),
        "/openapi/v3" => documents.openapi.v3_index.reply(JSON, request),
        _ => DocumentReply::NotFound,
    }
}

fn group_version(catalog: &Catalog, prefix: &str, request: &DocumentRequest<'_>) -> DocumentReply {
    if let Some(document) = catalog.documents().openapi.v3.get(prefix) {
        return with_cache_control(document.reply(JSON, request), document, request);
    }
    let parts: Vec<&str> = prefix.split('/').collect();
    match *parts.as_slice() {
        ["apis", group, version] => not_found(catalog, group, Some(version)),
        _ => DocumentReply::NotFound,
    }
}

/// Replies 406 without a Status, as kube-openapi's handler does (`pkg/handler3/handler.go`).
fn not_acceptable() -> DocumentReply {
    let mut headers = HeaderMap::new();
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    DocumentReply::Response {
        status: StatusCode::NOT_ACCEPTABLE,
        headers,
        body: Bytes::new(),
    }
}

/// Lets clients cache a document for one year if they request it by its hash.
///
/// A request with another hash gets the document too. kube-openapi's handler redirects instead, and
/// the aggregator turns the redirect into a 502.
fn with_cache_control(
    mut reply: DocumentReply,
    document: &Document,
    request: &DocumentRequest<'_>,
) -> DocumentReply {
    let has_hash = url::form_urlencoded::parse(request.query.as_bytes())
        .any(|(key, value)| key == "hash" && value == document.hash());
    if let DocumentReply::Response { headers, .. } = &mut reply {
        let cache_control = if has_hash {
            headers.extend(in_one_year().map(|date| (header::EXPIRES, date)));
            "public, immutable"
        } else {
            "no-cache, private"
        };
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static(cache_control),
        );
    }
    reply
}

/// Returns the value of Expires that kube-openapi uses for "never". client-go's cache ignores
/// `immutable` and would revalidate the document with each use.
fn in_one_year() -> Option<HeaderValue> {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let date = (OffsetDateTime::now_utc() + Duration::days(365)).format(format);
    HeaderValue::from_str(&date.ok()?).ok()
}
