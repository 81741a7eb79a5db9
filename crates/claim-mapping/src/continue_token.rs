//! Continue tokens of lists across namespaces.
//!
//! The control plane's token contains the key at which the next page starts, including a remote namespace
//! (`apiserver/pkg/storage/continue.go`). The client gets the same token with the local namespace, behind a
//! marker. Claimgate accepts only tokens with the marker.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use crate::mapping::NamespaceTable;

/// Prefix of every token that claimgate issues. Its dots are outside of base64's alphabet, so no token of the
/// control plane starts with it.
const MARKER: &str = "claimgate.1.";

#[derive(Deserialize)]
struct Token {
    v: String,
    rv: i64,
    #[serde(default)]
    start: String,
}

/// Format of the `start` field of a token.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a> {
    /// The name of an object in the one namespace that is listed.
    Name,
    /// A namespace and the name of an object in it.
    NamespaceAndName(&'a NamespaceTable),
}

/// Error: the token was not issued by claimgate, or the control plane's token has an unknown form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ForeignToken;

/// How a list continues after the current page.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NextPage {
    /// The list has another page; the client gets this token.
    Token(String),
    /// The list ends here, because every remaining object is in a foreign namespace.
    End,
}

/// Maps a token of the control plane to the token that the client gets.
///
/// # Errors
/// The control plane's token has an unknown form.
pub(crate) fn to_local(text: &str, start: Start<'_>) -> Result<NextPage, ForeignToken> {
    let mut token = decode(text).ok_or(ForeignToken)?;
    if let Start::NamespaceAndName(table) = start {
        let (slash, namespace, rest) = split_start(&token.start).ok_or(ForeignToken)?;
        token.start = if let Some(local) = table.to_local(namespace) {
            format!("{slash}{local}/{rest}")
        } else if let Some(next) = table.next_row(namespace) {
            format!("{slash}{}/\0", next.local)
        } else {
            return Ok(NextPage::End);
        };
    }
    Ok(NextPage::Token(format!("{MARKER}{}", encode(&token))))
}

/// Maps a token that a client sends to the control plane's token.
///
/// # Errors
/// Claimgate did not issue the token for such a list.
pub(crate) fn to_remote(text: &str, start: Start<'_>) -> Result<String, ForeignToken> {
    if !text.starts_with(MARKER) && is_certainly_not_a_token(text) {
        return Ok(text.to_owned());
    }
    let token = text.strip_prefix(MARKER).and_then(decode);
    let mut token = token.ok_or(ForeignToken)?;
    match (start, split_start(&token.start)) {
        (Start::NamespaceAndName(table), Some((slash, namespace, rest))) => {
            let remote = table.to_remote(namespace).ok_or(ForeignToken)?;
            token.start = format!("{slash}{remote}/{rest}");
        }
        (Start::Name, None) => {}
        (Start::NamespaceAndName(_), None) | (Start::Name, Some(_)) => return Err(ForeignToken),
    }
    Ok(encode(&token))
}

/// Splits a start, `<namespace>/<name>\0`, into an optional leading slash, the namespace, and the rest. Newer
/// API servers write the slash.
fn split_start(start: &str) -> Option<(&str, &str, &str)> {
    let rest = start.strip_prefix('/').unwrap_or(start);
    let (slash, _) = start.split_at(start.len() - rest.len());
    let (namespace, rest) = rest.split_once('/')?;
    Some((slash, namespace, rest))
}

fn decode(text: &str) -> Option<Token> {
    let json = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&json).ok()
}

/// Encodes a token with its members in the order in which kube-apiserver writes them.
fn encode(token: &Token) -> String {
    let [version, start] = [&token.v, &token.start].map(|text| Value::from(text.as_str()));
    let mut json = format!("{{\"v\":{version},\"rv\":{}", token.rv);
    if !token.start.is_empty() {
        json += &format!(",\"start\":{start}");
    }
    URL_SAFE_NO_PAD.encode(json + "}")
}

/// Returns whether the control plane certainly cannot decode a text as a token, so that it rejects the text
/// itself. Returns false for a text that Go may decode although this crate cannot.
fn is_certainly_not_a_token(text: &str) -> bool {
    // Go's base64 decoder skips line breaks.
    if text.contains(['\r', '\n']) {
        return false;
    }
    let is_base64 = |c: u8| c.is_ascii_alphanumeric() || b"-_".contains(&c);
    let json = URL_SAFE_NO_PAD.decode(text).ok();
    text.len() % 4 == 1
        || !text.bytes().all(is_base64)
        || json.is_some_and(|json| json.trim_ascii_start().first() != Some(&b'{'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(pairs: &[(&str, &str)]) -> NamespaceTable {
        let rows = pairs
            .iter()
            .map(|(local, remote)| ((*local).to_owned(), (*remote).to_owned()));
        NamespaceTable::new(rows.collect()).unwrap()
    }

    fn remote_token(start: &str) -> String {
        encode(&Token {
            v: "meta.k8s.io/v1".into(),
            rv: 7,
            start: start.into(),
        })
    }

    fn start_of(token: &str) -> String {
        decode(token).unwrap().start
    }

    #[test]
    fn token_has_local_names_and_maps_back() {
        let table = table(&[("default", "app-ns-1"), ("team-a", "app-ns-2")]);
        let Ok(NextPage::Token(ours)) = to_local(
            &remote_token("app-ns-2/x\0"),
            Start::NamespaceAndName(&table),
        ) else {
            panic!("the list ends")
        };
        assert_eq!(start_of(ours.strip_prefix(MARKER).unwrap()), "team-a/x\0");
        assert_eq!(
            to_remote(&ours, Start::NamespaceAndName(&table)),
            Ok(remote_token("app-ns-2/x\0"))
        );
    }

    #[test]
    fn foreign_start_moves_to_next_mapped_namespace_or_ends_list() {
        let table = table(&[("default", "b"), ("team-a", "d")]);
        let next =
            |start: &str| match to_local(&remote_token(start), Start::NamespaceAndName(&table))
                .unwrap()
            {
                NextPage::Token(ours) => {
                    start_of(&to_remote(&ours, Start::NamespaceAndName(&table)).unwrap())
                }
                NextPage::End => "end".into(),
            };
        assert_eq!(next("a/x\0"), "b/\0");
        assert_eq!(next("/a/x\0"), "/b/\0", "as Kubernetes 1.37 writes it");
        assert_eq!(next("/d/x\0"), "/d/x\0");
        assert_eq!(next("c/x\0"), "d/\0");
        assert_eq!(next("b-c/x\0"), "b/\0", "b-c/ sorts before b/ in etcd");
        assert_eq!(next("e/x\0"), "end");
    }

    #[test]
    fn tokens_not_issued_by_claimgate_are_rejected() {
        let table = table(&[("default", "app-ns-1"), ("team-a", "app-ns-2")]);
        assert_eq!(
            to_remote(
                &remote_token("app-ns-1/x\0"),
                Start::NamespaceAndName(&table)
            ),
            Err(ForeignToken)
        );
        assert_eq!(
            to_remote("claimgate.1.garbage", Start::NamespaceAndName(&table)),
            Err(ForeignToken)
        );
        let stranger = format!("{MARKER}{}", remote_token("app-ns-9/x\0"));
        assert_eq!(
            to_remote(&stranger, Start::NamespaceAndName(&table)),
            Err(ForeignToken)
        );
        assert_eq!(
            to_local("?", Start::NamespaceAndName(&table)),
            Err(ForeignToken)
        );
        let broken = remote_token("app-ns-1/x\0");
        let (begin, end) = broken.split_at(9);
        let capitals = r#"{"V":"meta.k8s.io/v1","RV":7,"START":"app-ns-9/x"}"#;
        for foreign in [
            format!("{begin}\n{end}"),
            URL_SAFE_NO_PAD.encode(capitals),
            "\n".into(),
        ] {
            assert_eq!(
                to_remote(&foreign, Start::NamespaceAndName(&table)),
                Err(ForeignToken),
                "{foreign:?}"
            );
        }
    }

    #[test]
    fn text_that_cannot_be_a_token_is_sent_unchanged() {
        let table = table(&[("default", "app-ns-1"), ("team-a", "app-ns-2")]);
        let with = |sign: &str| remote_token("app-ns-1/x\0") + sign;
        for junk in [
            "?".to_owned(),
            with("="),
            with("."),
            "bnVsbA".into(),
            "x".into(),
        ] {
            assert_eq!(
                to_remote(&junk, Start::NamespaceAndName(&table)),
                Ok(junk.clone()),
                "{junk:?}"
            );
        }
    }
}
