//! Continue tokens of lists over all namespaces.
//!
//! The control plane's token names the key at which the next page starts, and so a remote namespace
//! (`apiserver/pkg/storage/continue.go`). What we hand out is the same in local terms behind a
//! marker of ours; nothing else is taken back.

use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::Scope;

/// Begins each token of ours; not in base64's alphabet, so no token of the control plane has it.
const MARKER: &str = "claimgate.1.";

#[derive(Deserialize, Serialize)]
struct Token {
    v: String,
    rv: i64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    start: String,
}

/// A token that is not ours, or that the control plane wrote in a form which is not known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Foreign;

/// A start is `<namespace>/<name>\0`; newer API servers put a slash before it.
fn split(start: &str) -> Option<(&str, &str, &str)> {
    let rest = start.strip_prefix('/').unwrap_or(start);
    let (slash, _) = start.split_at(start.len() - rest.len());
    let (namespace, rest) = rest.split_once('/')?;
    Some((slash, namespace, rest))
}

/// What is left of the control plane's token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Next {
    /// The token to hand out.
    Token(String),
    /// All that follows is foreign: the list ends here.
    End,
}

fn decode(text: &str) -> Option<Token> {
    let json = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&json).ok()
}

fn encode(token: &Token) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(token).unwrap_or_default())
}

/// Turns the control plane's token into one to hand out.
pub fn to_local(text: &str, scope: &Scope) -> Result<Next, Foreign> {
    let mut token = decode(text).ok_or(Foreign)?;
    if let Scope::Mapped(namespaces) = scope {
        let (slash, namespace, rest) = split(&token.start).ok_or(Foreign)?;
        token.start = if let Some(local) = namespaces.to_local(namespace) {
            format!("{slash}{local}/{rest}")
        } else {
            let following = namespaces
                .iter_remote_sorted()
                .filter(|remote| key_order(remote, namespace) == Ordering::Greater)
                .min_by(|a, b| key_order(a, b));
            match following.and_then(|remote| namespaces.to_local(remote)) {
                Some(local) => format!("{slash}{local}/\0"),
                None => return Ok(Next::End),
            }
        };
    }
    Ok(Next::Token(format!("{MARKER}{}", encode(&token))))
}

/// Whether a text is surely no token, so that the control plane refuses it in words of its own. Where
/// Go could read what this crate does not, it is none the less foreign.
fn is_junk(text: &str) -> bool {
    // Line breaks in base64 are nothing to Go.
    if text.contains(['\r', '\n']) {
        return false;
    }
    let is_base64 = |c: u8| c.is_ascii_alphanumeric() || b"-_".contains(&c);
    let json = URL_SAFE_NO_PAD.decode(text).ok();
    text.len() % 4 == 1
        || !text.bytes().all(is_base64)
        || json.is_some_and(|json| json.trim_ascii_start().first() != Some(&b'{'))
}

/// Turns a token that a client brought back into the control plane's.
pub fn to_remote(text: &str, scope: &Scope) -> Result<String, Foreign> {
    if !text.starts_with(MARKER) && is_junk(text) {
        return Ok(text.to_owned());
    }
    let mut token = text.strip_prefix(MARKER).and_then(decode).ok_or(Foreign)?;
    match scope {
        Scope::Mapped(namespaces) => {
            let (slash, namespace, rest) = split(&token.start).ok_or(Foreign)?;
            let remote = namespaces.to_remote(namespace).ok_or(Foreign)?;
            token.start = format!("{slash}{remote}/{rest}");
        }
        // Within one namespace a start holds a name alone.
        Scope::One { .. } | Scope::Only { .. } if split(&token.start).is_some() => {
            return Err(Foreign);
        }
        Scope::One { .. } | Scope::Only { .. } => {}
    }
    Ok(encode(&token))
}

/// The order of etcd's keys, in which a slash follows the namespace: `a-b/` is before `a/`.
fn key_order(a: &str, b: &str) -> Ordering {
    a.bytes().chain([b'/']).cmp(b.bytes().chain([b'/']))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::mapping::Namespaces;

    fn mapped(pairs: &[(&str, &str)]) -> Scope {
        let table = pairs
            .iter()
            .map(|(l, r)| ((*l).to_owned(), (*r).to_owned()))
            .collect();
        Scope::Mapped(Arc::new(Namespaces::table(table).unwrap()))
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
    fn a_token_goes_out_in_local_terms_and_comes_back() {
        let scope = mapped(&[("default", "app-ns-1"), ("team-a", "app-ns-2")]);
        let Ok(Next::Token(ours)) = to_local(&remote_token("app-ns-2/x\0"), &scope) else {
            panic!("no token")
        };
        assert_eq!(start_of(ours.strip_prefix(MARKER).unwrap()), "team-a/x\0");
        assert_eq!(to_remote(&ours, &scope), Ok(remote_token("app-ns-2/x\0")));
    }

    #[test]
    fn a_foreign_start_moves_to_the_next_mapped_namespace_or_ends_the_list() {
        let scope = mapped(&[("default", "b"), ("team-a", "d")]);
        let next = |start: &str| match to_local(&remote_token(start), &scope).unwrap() {
            Next::Token(ours) => start_of(&to_remote(&ours, &scope).unwrap()),
            Next::End => "end".into(),
        };
        assert_eq!(next("a/x\0"), "b/\0");
        assert_eq!(next("/a/x\0"), "/b/\0", "as Kubernetes 1.37 writes it");
        assert_eq!(next("/d/x\0"), "/d/x\0");
        assert_eq!(next("c/x\0"), "d/\0");
        assert_eq!(next("b-c/x\0"), "b/\0", "b-c/ is before b/ in etcd's order");
        assert_eq!(next("e/x\0"), "end");
    }

    #[test]
    fn tokens_of_others_are_refused() {
        let scope = mapped(&[("default", "app-ns-1"), ("team-a", "app-ns-2")]);
        assert_eq!(
            to_remote(&remote_token("app-ns-1/x\0"), &scope),
            Err(Foreign)
        );
        assert_eq!(to_remote("claimgate.1.garbage", &scope), Err(Foreign));
        let stranger = format!("{MARKER}{}", remote_token("app-ns-9/x\0"));
        assert_eq!(to_remote(&stranger, &scope), Err(Foreign));
        assert_eq!(to_local("?", &scope), Err(Foreign));
        let broken = remote_token("app-ns-1/x\0");
        let (begin, end) = broken.split_at(9);
        let capitals = r#"{"V":"meta.k8s.io/v1","RV":7,"START":"app-ns-9/x"}"#;
        for foreign in [
            format!("{begin}\n{end}"),
            URL_SAFE_NO_PAD.encode(capitals),
            "\n".into(),
        ] {
            assert_eq!(to_remote(&foreign, &scope), Err(Foreign), "{foreign:?}");
        }
    }

    #[test]
    fn what_is_surely_no_token_is_left_to_the_control_plane() {
        let scope = mapped(&[("default", "app-ns-1"), ("team-a", "app-ns-2")]);
        let with = |sign: &str| remote_token("app-ns-1/x\0") + sign;
        for junk in [
            "?".to_owned(),
            with("="),
            with("."),
            "bnVsbA".into(),
            "x".into(),
        ] {
            assert_eq!(to_remote(&junk, &scope), Ok(junk.clone()), "{junk:?}");
        }
    }
}
