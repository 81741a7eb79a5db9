//! Response headers for the client.

use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderName, LOCATION, TRAILER,
    TRANSFER_ENCODING, UPGRADE, WARNING,
};
use http::{HeaderMap, HeaderValue};

use crate::proxy::response_mapper::ResponseMapper;
use claim_mapping::RequestScope;

/// Headers that belong to one hop, that the aggregator adds itself, or that the serving side sets.
const DROPPED: [HeaderName; 14] = [
    CACHE_CONTROL,
    CONNECTION,
    CONTENT_LENGTH,
    DATE,
    LOCATION,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    WARNING,
    HeaderName::from_static("audit-id"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("x-kubernetes-pf-flowschema-uid"),
    HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid"),
];

/// Returns the headers of a reply for the client, with warnings in local names.
///
/// A warning that cannot be mapped is left out.
pub(super) fn to_client(
    upstream: &HeaderMap,
    scope: &RequestScope,
    mapper: &ResponseMapper,
) -> HeaderMap {
    let mut headers = upstream.clone();
    for name in DROPPED {
        headers.remove(name);
    }
    for warning in upstream.get_all(WARNING) {
        let mapped = match mapper.map_warning(scope, warning.as_bytes()) {
            Some(mapped) => HeaderValue::from_bytes(mapped.as_bytes()).ok(),
            None => Some(warning.clone()),
        };
        headers.extend(mapped.map(|warning| (WARNING, warning)));
    }
    headers
}

/// Adds warnings in front of the existing ones.
pub(super) fn prepend_warnings(headers: &mut HeaderMap, mut warnings: Vec<HeaderValue>) {
    warnings.extend(headers.get_all(WARNING).iter().cloned());
    headers.remove(WARNING);
    for warning in warnings {
        headers.append(WARNING, warning);
    }
}

/// Returns whether the body is JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            let media_type = value.split(';').next().unwrap_or_default().trim();
            media_type.eq_ignore_ascii_case("application/json")
        })
}

#[cfg(test)]
mod tests {

    use claim_mapping::ReferencePaths;
    use claim_mapping::mapping::{Mapping, NameLimit};

    use super::*;

    fn warnings(headers: &HeaderMap) -> Vec<&HeaderValue> {
        headers.get_all(WARNING).iter().collect()
    }

    #[test]
    fn headers_of_one_hop_are_dropped_and_warnings_are_mapped() {
        let mut upstream = HeaderMap::new();
        upstream.insert(CONNECTION, HeaderValue::from_static("close"));
        upstream.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        upstream.append(WARNING, HeaderValue::from_static("299 - \"careful\""));
        let rows = [("team-a".to_owned(), "remote-a".to_owned())];
        let mapping = Mapping::table(rows.into()).unwrap();
        let scope =
            RequestScope::namespace(&mapping, "team-a", None, NameLimit::default()).unwrap();
        let mapper = ResponseMapper::compile(&ReferencePaths::default(), 1 << 20).unwrap();
        let mut headers = to_client(&upstream, &scope, &mapper);
        assert!(!headers.contains_key(CONNECTION) && is_json(&headers));
        assert_eq!(warnings(&headers), ["299 - \"careful\""]);
        prepend_warnings(
            &mut headers,
            vec![HeaderValue::from_static("299 - \"own\"")],
        );
        assert_eq!(warnings(&headers), ["299 - \"own\"", "299 - \"careful\""]);
    }
}
