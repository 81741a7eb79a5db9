//! The user whom a verified front proxy names in headers
//! (`apiserver/pkg/authentication/request/headerrequest/requestheader.go`).

use http::{HeaderMap, HeaderName};

use super::User;
use crate::config::RequestHeader;
use crate::request_info::percent_decode;

/// `None` without a user name: the proxy authenticated nobody.
pub(super) fn user(config: &RequestHeader, headers: &HeaderMap) -> Option<User> {
    let name = first(headers, &config.username_headers)?;
    Some(User {
        name,
        uid: first(headers, &config.uid_headers).unwrap_or_default(),
        groups: config
            .group_headers
            .iter()
            .flat_map(|header| all(headers, header))
            .collect(),
        extra: extra(headers, &config.extra_headers_prefix),
    })
}

fn first(headers: &HeaderMap, names: &[HeaderName]) -> Option<String> {
    names
        .iter()
        .flat_map(|name| all(headers, name))
        .find(|value| !value.is_empty())
}

fn all(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers.get_all(name).iter();
    values
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect()
}

/// Keys are lower case and percent-encoded where a header name can't hold them; what can't be
/// decoded stays as it is.
fn extra(headers: &HeaderMap, prefixes: &[String]) -> Vec<(String, Vec<String>)> {
    let mut extra = Vec::new();
    for prefix in prefixes {
        for name in headers.keys() {
            if let Some(key) = name.as_str().strip_prefix(prefix.as_str()) {
                let key = percent_decode(key).unwrap_or_else(|| key.to_owned());
                extra.push((key, all(headers, name)));
            }
        }
    }
    extra
}
