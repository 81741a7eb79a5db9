//! The encoding of response bodies.

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, VARY};
use http::{HeaderMap, HeaderValue};

use super::gunzip::Gunzip;

/// How a received body is decoded.
pub(super) enum ContentEncoding {
    Identity,
    Gzip(Box<Gunzip>),
    /// Any other encoding, as the header names it.
    Unknown(String),
}

impl ContentEncoding {
    /// Reads the encoding from the headers, and removes headers that do not apply to the decoded body.
    pub(super) fn take(headers: &mut HeaderMap) -> Self {
        let encoding = Self::from_headers(headers);
        headers.remove(CONTENT_ENCODING);
        if matches!(encoding, Self::Gzip(_)) {
            headers.remove(CONTENT_LENGTH);
        }
        remove_accept_encoding_from_vary(headers);
        encoding
    }

    /// Reads Content-Encoding. It applies even if the request did not accept it, because a proxy in
    /// between may compress or not decompress. `x-gzip` means gzip (RFC 9110, section 8.4.1.3).
    fn from_headers(headers: &HeaderMap) -> Self {
        let values = headers.get_all(CONTENT_ENCODING).iter();
        let texts: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        let text = texts.join(", ");
        match text.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Self::Identity,
            "gzip" | "x-gzip" => Self::Gzip(Box::new(Gunzip::new())),
            _ => Self::Unknown(text),
        }
    }
}

/// Removes Accept-Encoding from Vary: this client sets that header itself, and its users have no
/// influence on it.
fn remove_accept_encoding_from_vary(headers: &mut HeaderMap) {
    let is_accept_encoding = |name: &&str| name.eq_ignore_ascii_case(ACCEPT_ENCODING.as_str());
    let texts: Vec<String> = headers
        .get_all(VARY)
        .iter()
        .filter_map(|value| value.to_str().ok().map(str::to_owned))
        .collect();
    let names = || texts.iter().flat_map(|text| text.split(',')).map(str::trim);
    if !names().any(|name| is_accept_encoding(&name)) {
        return;
    }
    let others: Vec<&str> = names().filter(|name| !is_accept_encoding(name)).collect();
    headers.remove(VARY);
    if let Ok(value) = HeaderValue::try_from(others.join(", "))
        && !value.is_empty()
    {
        headers.insert(VARY, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_encoding_is_recognized_by_all_its_names() {
        let encoding = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            match ContentEncoding::from_headers(&headers) {
                ContentEncoding::Identity => "identity".to_owned(),
                ContentEncoding::Gzip(_) => "gzip".to_owned(),
                ContentEncoding::Unknown(name) => format!("not {name}"),
            }
        };
        for (values, wanted) in [
            (&[] as &[_], "identity"),
            (&["identity"], "identity"),
            (&["gzip"], "gzip"),
            (&["X-GZip"], "gzip"),
            (&["br"], "not br"),
            (&["gzip, gzip"], "not gzip, gzip"),
            (&["gzip", "br"], "not gzip, br"),
        ] {
            assert_eq!(encoding(values), wanted, "{values:?}");
        }
    }

    #[test]
    fn vary_loses_only_accept_encoding() {
        for (before, after) in [
            (&["Accept-Encoding"] as &[_], None),
            (&["Origin"], Some("Origin")),
            (&["accept-encoding, Origin"], Some("Origin")),
            (
                &["Origin", "Accept-Encoding,Accept"],
                Some("Origin, Accept"),
            ),
        ] {
            let mut headers = HeaderMap::new();
            for value in before {
                headers.append(VARY, HeaderValue::from_static(value));
            }
            remove_accept_encoding_from_vary(&mut headers);
            let mut left = headers.get_all(VARY).iter();
            assert_eq!(left.next().map(|value| value.to_str().unwrap()), after);
            assert_eq!(left.next(), None);
        }
    }
}
