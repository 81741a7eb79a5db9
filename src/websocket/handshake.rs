//! The opening handshake as golang.org/x/net/websocket does it for kube-apiserver (`hybi.go`,
//! `server.go`).
//!
//! tungstenite checks handshakes in another order, and rejects them with other codes and texts. Clients
//! can see these differences, so its handshake is not used. Its accept key and its frames are.

use bytes::Bytes;
use http::header::{
    CONNECTION, HeaderName, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The only version of the protocol (RFC 6455, section 4.1).
const VERSION: &str = "13";

/// Returns whether the request asks to switch to another protocol. All `Connection` headers count, and the
/// word `upgrade` may stand anywhere in them (`streaming/pkg/httpstream/httpstream.go`,
/// `IsUpgradeRequest`).
pub fn is_upgrade(parts: &Parts) -> bool {
    let mut values = parts.headers.get_all(CONNECTION).iter();
    parts.version == Version::HTTP_11 && values.any(|value| has_upgrade(value.to_str().ok()))
}

/// Returns the response to a request for a WebSocket, or `None` if the request does not ask for one
/// (`streaming/pkg/httpstream/wsstream/conn.go`, `IsWebSocketRequest`).
pub fn respond(parts: &Parts) -> Option<Response<Bytes>> {
    let is_websocket = is_upgrade(parts)
        && first(&parts.headers, &UPGRADE)
            .is_some_and(|name| name.eq_ignore_ascii_case("websocket"));
    is_websocket.then(|| accept(parts).unwrap_or_else(HandshakeError::response))
}

/// The reason why a handshake is rejected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum HandshakeError {
    Connection,
    Key,
    Method,
    Origin,
    Protocols,
    Version,
}

impl HandshakeError {
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

fn accept(parts: &Parts) -> Result<Response<Bytes>, HandshakeError> {
    let headers = &parts.headers;
    if parts.method != Method::GET {
        return Err(HandshakeError::Method);
    }
    if !has_upgrade(first(headers, &CONNECTION)) {
        return Err(HandshakeError::Connection);
    }
    let key = first(headers, &SEC_WEBSOCKET_KEY).filter(|key| !key.is_empty());
    let key = key.ok_or(HandshakeError::Key)?;
    if first(headers, &SEC_WEBSOCKET_VERSION) != Some(VERSION) {
        return Err(HandshakeError::Version);
    }
    if !first(headers, &ORIGIN).is_some_and(is_origin) {
        return Err(HandshakeError::Origin);
    }
    let protocol = headers.get(SEC_WEBSOCKET_PROTOCOL).map(protocol);
    let protocol = protocol.transpose()?.flatten();
    let accepted = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    let accepted = accepted.map_err(|_| HandshakeError::Key)?;

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

/// Returns the first header of this name, like Go's `Header.Get`.
fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn has_upgrade(value: Option<&str>) -> bool {
    value.is_some_and(|value| value.to_ascii_lowercase().contains("upgrade"))
}

/// Returns whether the value is a URL or an absolute path (`net/url`, `ParseRequestURI`). The origin itself
/// does not matter: the client was authenticated by a certificate or by the app cluster's API server.
fn is_origin(origin: &str) -> bool {
    origin.starts_with('/') || url::Url::parse(origin).is_ok()
}

/// Accepts one subprotocol of any name, because events look the same in all of them. Rejects several:
/// kube-apiserver's handler does not choose between them.
fn protocol(value: &HeaderValue) -> Result<Option<HeaderValue>, HandshakeError> {
    let value = value
        .to_str()
        .map_err(|_| HandshakeError::Protocols)?
        .trim();
    if value.contains(',') {
        return Err(HandshakeError::Protocols);
    }
    let protocol = HeaderValue::from_str(value).map_err(|_| HandshakeError::Protocols)?;
    Ok((!protocol.is_empty()).then_some(protocol))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const VALID_HEADERS: [(&str, &str); 5] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("origin", "https://localhost"),
    ];

    /// Returns the response to a valid request with these headers replaced. An empty value removes a header.
    fn respond_with(other: &[(&'static str, &'static str)]) -> Option<Response<Bytes>> {
        let (mut parts, ()) = Request::get("/").body(()).unwrap().into_parts();
        for (name, value) in VALID_HEADERS {
            parts.headers.insert(name, HeaderValue::from_static(value));
        }
        for (name, _) in other {
            parts.headers.remove(*name);
        }
        for (name, value) in other.iter().filter(|(_, value)| !value.is_empty()) {
            parts.headers.append(*name, HeaderValue::from_static(value));
        }
        respond(&parts)
    }

    #[test]
    fn key_of_rfc_6455_gets_the_accept_value_of_rfc_6455() {
        let response = respond_with(&[]).unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let accepted = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        assert_eq!(response.headers()[SEC_WEBSOCKET_ACCEPT], accepted);
        assert_eq!(response.headers().len(), 3);
    }

    #[test]
    fn other_requests_get_no_handshake() {
        for other in [
            ("connection", ""),
            ("connection", "keep-alive"),
            ("upgrade", ""),
            ("upgrade", "SPDY/3.1"),
        ] {
            assert!(respond_with(&[other]).is_none(), "{other:?}");
        }
    }

    #[test]
    fn one_subprotocol_is_accepted_and_several_are_rejected() {
        for (value, expected) in [
            ("binary.k8s.io", Some("binary.k8s.io")),
            (" base64.binary.k8s.io ", Some("base64.binary.k8s.io")),
            ("whatever", Some("whatever")),
            ("binary.k8s.io, whatever", None),
            ("binary.k8s.io,", None),
        ] {
            let response = respond_with(&[("sec-websocket-protocol", value)]).unwrap();
            let chosen = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
            assert_eq!(chosen.map(|value| value.to_str().unwrap()), expected);
            let code = if expected.is_some() { 101 } else { 400 };
            assert_eq!(response.status(), code, "{value}");
        }
    }

    #[test]
    fn invalid_handshake_gets_the_code_and_text_of_gos_library() {
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
            let response = respond_with(other).unwrap();
            assert_eq!(response.status(), code, "{other:?}");
            assert_eq!(response.body(), text, "{other:?}");
            let version = response.headers().get(SEC_WEBSOCKET_VERSION);
            assert_eq!(version.is_some(), text.contains("Version"), "{other:?}");
        }
    }
}
