//! The opening handshake, as kube-apiserver has it from golang.org/x/net/websocket (`hybi.go`,
//! `server.go`): what is refused, in which words and in which order.

use bytes::Bytes;
use http::header::{
    CONNECTION, HeaderName, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The only version there is (RFC 6455, section 4.1).
const VERSION: &str = "13";

/// Whether the request wants another protocol, of any name. It looks through all the headers for a
/// word, wherever it stands (`streaming/pkg/httpstream/httpstream.go`, `IsUpgradeRequest`).
pub fn is_upgrade(parts: &Parts) -> bool {
    let mut values = parts.headers.get_all(CONNECTION).iter();
    parts.version == Version::HTTP_11 && values.any(|value| says_upgrade(value.to_str().ok()))
}

/// What a request for a WebSocket is answered with in place of 200, `None` if it is not one
/// (`streaming/pkg/httpstream/wsstream/conn.go`, `IsWebSocketRequest`).
pub fn answer(parts: &Parts) -> Option<Response<Bytes>> {
    let is_asked_for = is_upgrade(parts)
        && first(&parts.headers, &UPGRADE)
            .is_some_and(|name| name.eq_ignore_ascii_case("websocket"));
    is_asked_for.then(|| accept(parts).unwrap_or_else(Refused::response))
}

/// Why there is no WebSocket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Refused {
    Connection,
    Key,
    Method,
    Origin,
    Protocols,
    Version,
}

impl Refused {
    fn code_and_text(self) -> (StatusCode, &'static str) {
        match self {
            Self::Connection => (StatusCode::BAD_REQUEST, "not websocket protocol"),
            Self::Key => (StatusCode::BAD_REQUEST, "mismatch challenge/response"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "bad method"),
            Self::Origin => (StatusCode::FORBIDDEN, ""),
            Self::Protocols => (StatusCode::BAD_REQUEST, ""),
            Self::Version => (StatusCode::BAD_REQUEST, "missing or bad WebSocket Version"),
        }
    }

    fn response(self) -> Response<Bytes> {
        let (code, text) = self.code_and_text();
        let mut response = Response::new(Bytes::from_static(text.as_bytes()));
        *response.status_mut() = code;
        if self == Self::Version {
            let version = HeaderValue::from_static(VERSION);
            response
                .headers_mut()
                .insert(SEC_WEBSOCKET_VERSION, version);
        }
        response
    }
}

fn accept(parts: &Parts) -> Result<Response<Bytes>, Refused> {
    let headers = &parts.headers;
    if parts.method != Method::GET {
        return Err(Refused::Method);
    }
    if !says_upgrade(first(headers, &CONNECTION)) {
        return Err(Refused::Connection);
    }
    let key = first(headers, &SEC_WEBSOCKET_KEY).filter(|key| !key.is_empty());
    let key = key.ok_or(Refused::Key)?;
    if first(headers, &SEC_WEBSOCKET_VERSION) != Some(VERSION) {
        return Err(Refused::Version);
    }
    if !first(headers, &ORIGIN).is_some_and(is_origin) {
        return Err(Refused::Origin);
    }
    let protocol = headers.get(SEC_WEBSOCKET_PROTOCOL).map(protocol);
    let protocol = protocol.transpose()?.flatten();
    let accepted = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    let accepted = accepted.map_err(|_| Refused::Key)?;

    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accepted);
    if let Some(protocol) = protocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(response)
}

/// Of several headers the first counts, as with Go's `Header.Get`.
fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn says_upgrade(value: Option<&str>) -> bool {
    value.is_some_and(|value| value.to_ascii_lowercase().contains("upgrade"))
}

/// There has to be one, but whose it is does not matter: who asks was authenticated by a certificate
/// or by the app cluster's API server. A URL, or an absolute path (`net/url`, `ParseRequestURI`).
fn is_origin(origin: &str) -> bool {
    origin.starts_with('/') || url::Url::parse(origin).is_ok()
}

/// One protocol is taken, whatever its name, for events look the same in all of them; among several
/// kube-apiserver's handler would have to choose, and does not.
fn protocol(value: &HeaderValue) -> Result<Option<HeaderValue>, Refused> {
    let value = value.to_str().map_err(|_| Refused::Protocols)?.trim();
    if value.contains(',') {
        return Err(Refused::Protocols);
    }
    let protocol = HeaderValue::from_str(value).map_err(|_| Refused::Protocols)?;
    Ok((!protocol.is_empty()).then_some(protocol))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const ASKED: [(&str, &str); 5] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("origin", "https://localhost"),
    ];

    /// The answer to a request with these headers in place of the usual ones; an empty one is left
    /// out.
    fn with(other: &[(&'static str, &'static str)]) -> Option<Response<Bytes>> {
        let (mut parts, ()) = Request::get("/").body(()).unwrap().into_parts();
        for (name, value) in ASKED {
            parts.headers.insert(name, HeaderValue::from_static(value));
        }
        for (name, _) in other {
            parts.headers.remove(*name);
        }
        for (name, value) in other.iter().filter(|(_, value)| !value.is_empty()) {
            parts.headers.append(*name, HeaderValue::from_static(value));
        }
        answer(&parts)
    }

    #[test]
    fn the_key_of_rfc_6455_gets_its_answer() {
        let response = with(&[]).unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let accepted = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        assert_eq!(response.headers()[SEC_WEBSOCKET_ACCEPT], accepted);
        assert_eq!(response.headers().len(), 3);
    }

    #[test]
    fn who_does_not_ask_for_a_websocket_gets_none() {
        for other in [
            ("connection", ""),
            ("connection", "keep-alive"),
            ("upgrade", ""),
            ("upgrade", "SPDY/3.1"),
        ] {
            assert!(with(&[other]).is_none(), "{other:?}");
        }
    }

    #[test]
    fn one_protocol_is_taken_and_several_are_refused() {
        for (value, expected) in [
            ("binary.k8s.io", Some("binary.k8s.io")),
            (" base64.binary.k8s.io ", Some("base64.binary.k8s.io")),
            ("whatever", Some("whatever")),
            ("binary.k8s.io, whatever", None),
            ("binary.k8s.io,", None),
        ] {
            let response = with(&[("sec-websocket-protocol", value)]).unwrap();
            let chosen = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
            assert_eq!(chosen.map(|value| value.to_str().unwrap()), expected);
            let code = if expected.is_some() { 101 } else { 400 };
            assert_eq!(response.status(), code, "{value}");
        }
    }

    #[test]
    fn a_bad_handshake_is_refused_in_the_words_of_gos_library() {
        for (other, code, text) in [
            (
                &[("connection", "close"), ("connection", "upgrade")][..],
                400,
                "not websocket protocol",
            ),
            (
                &[("sec-websocket-key", "")],
                400,
                "mismatch challenge/response",
            ),
            (
                &[("sec-websocket-version", "")],
                400,
                "missing or bad WebSocket Version",
            ),
            (
                &[("sec-websocket-version", "8")],
                400,
                "missing or bad WebSocket Version",
            ),
            (&[("origin", "")], 403, ""),
            (&[("origin", "null")], 403, ""),
            (&[("origin", "/")], 101, ""),
        ] {
            let response = with(other).unwrap();
            assert_eq!(response.status(), code, "{other:?}");
            assert_eq!(response.body(), text, "{other:?}");
            let version = response.headers().get(SEC_WEBSOCKET_VERSION);
            assert_eq!(version.is_some(), text.contains("Version"), "{other:?}");
        }
    }
}
