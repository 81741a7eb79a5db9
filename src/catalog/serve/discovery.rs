//! `/apis`, `/apis/G` and `/apis/G/V`.

use http::{HeaderMap, StatusCode, header};

use crate::catalog::discovery::RenderedResourceList;
use crate::catalog::document::{DocumentReply, DocumentRequest};
use crate::catalog::negotiate::{DocumentMedia, negotiate};
use crate::catalog::store::Catalog;
use claim_mapping::mapping::is_dns_label;
use kube_wire::accept::SUPPORTED_MEDIA_TYPES;

pub(super) fn serve(catalog: &Catalog, request: &DocumentRequest<'_>) -> DocumentReply {
    let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    match *parts.as_slice() {
        ["apis"] => groups(catalog, request),
        ["apis", name] => group(catalog, name, request),
        ["apis", group, version] => resource_list(catalog, group, version, request),
        _ => DocumentReply::NotFound,
    }
}

fn groups(catalog: &Catalog, request: &DocumentRequest<'_>) -> DocumentReply {
    let available = [
        DocumentMedia::AggregatedV2,
        DocumentMedia::AggregatedV2Beta1,
        DocumentMedia::Json,
    ];
    let Some(media) = negotiate(request.accept, &available) else {
        return DocumentReply::NotAcceptable("application/json");
    };
    if let Some(control_plane) = catalog.not_synced() {
        return DocumentReply::NotSynced(control_plane);
    }
    let documents = catalog.documents();
    let document = match media {
        DocumentMedia::AggregatedV2 => &documents.discovery.aggregated_v2,
        DocumentMedia::AggregatedV2Beta1 => &documents.discovery.aggregated_v2beta1,
        DocumentMedia::Json => &documents.discovery.group_list,
    };
    document.reply(media.content_type(), request)
}

fn group(catalog: &Catalog, name: &str, request: &DocumentRequest<'_>) -> DocumentReply {
    let Some(media) = negotiate(request.accept, &[DocumentMedia::Json]) else {
        return DocumentReply::NotAcceptable("application/json");
    };
    match catalog.documents().discovery.groups.get(name) {
        Some(document) => document.reply(media.content_type(), request),
        None => not_found(catalog, name, None),
    }
}

/// Replies with an APIResourceList, which has no ETag
/// (`apiserver/pkg/endpoints/discovery/version.go`).
///
/// The list of an exposed version without resources is empty. The aggregator requests it for each
/// APIService. After a 404, the APIService is unavailable, and discovery fails for clients that read all
/// resource lists. For an entry of `apis` without versions, every version is exposed: whether the control
/// plane served it before a restart is not known.
fn resource_list(
    catalog: &Catalog,
    group: &str,
    version: &str,
    request: &DocumentRequest<'_>,
) -> DocumentReply {
    let documents = catalog.documents();
    let key = (group.to_owned(), version.to_owned());
    let empty;
    let list = match documents.discovery.versions.get(&key) {
        Some(list) => list,
        None => match not_found(catalog, group, Some(version)) {
            DocumentReply::NotFound if catalog.exposes(group, version) && is_dns_label(version) => {
                empty = RenderedResourceList::empty(group, version);
                &empty
            }
            reply => return reply,
        },
    };
    let body = request
        .format
        .and_then(|format| Some((format, list.body(format)?)));
    let Some((format, body)) = body else {
        return DocumentReply::NotAcceptable(SUPPORTED_MEDIA_TYPES);
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, format.serializer.content_type());
    DocumentReply::Response {
        status: StatusCode::OK,
        headers,
        body,
    }
}

/// Replies that a group or version does not exist, or that this is not known yet.
pub(super) fn not_found(catalog: &Catalog, group: &str, version: Option<&str>) -> DocumentReply {
    match catalog.group_not_synced(group, version) {
        Some(control_plane) => DocumentReply::NotSynced(control_plane),
        None => DocumentReply::NotFound,
    }
}
