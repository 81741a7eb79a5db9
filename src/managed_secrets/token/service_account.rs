//! Tokens of ServiceAccounts: what they say of themselves, and their renewal
//! (`kubernetes/pkg/serviceaccount/claims.go`).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::upstream::{Upstream, post_json};

/// What a token says of itself. Nothing is verified: only the server that issued it trusts it.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct ServiceAccountToken {
    pub(super) namespace: String,
    pub(super) name: String,
    /// Seconds since the epoch.
    pub(super) issued_s: i64,
    /// Seconds since the epoch.
    pub(super) expires_s: i64,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    iat: i64,
    exp: i64,
}

impl ServiceAccountToken {
    /// Reads a token. Returns `None` if it is not one of a ServiceAccount, or does not expire.
    pub(super) fn parse(token: &str) -> Option<Self> {
        let payload = token.split('.').nth(1)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let claims: Claims = serde_json::from_slice(&payload).ok()?;
        let account = claims.sub.strip_prefix("system:serviceaccount:")?;
        let (namespace, name) = account.split_once(':')?;
        Some(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            issued_s: claims.iat,
            expires_s: claims.exp,
        })
    }

    /// Returns when to renew the token, in seconds since the epoch: after two thirds of its lifetime. Anyone who writes the
    /// Secret chooses the numbers, so they can have any value.
    pub(super) fn renewal_time_s(&self) -> i64 {
        let lifetime_s = self.expires_s.saturating_sub(self.issued_s);
        let third_s = lifetime_s / 3;
        self.issued_s.saturating_add(third_s.saturating_mul(2))
    }

    /// Requests a new token for the same ServiceAccount. Servers may grant a shorter lifetime.
    ///
    /// # Errors
    /// The server rejects the request or does not answer.
    pub(super) async fn renew(
        &self,
        upstream: &Upstream,
        lifetime: Duration,
    ) -> Result<String, String> {
        let path = format!(
            "/api/v1/namespaces/{}/serviceaccounts/{}/token",
            self.namespace, self.name
        );
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": lifetime.as_secs()},
        });
        let (status, reply) = post_json(upstream, &path, &body).await?;
        let text = |pointer| reply.pointer(pointer).and_then(Value::as_str);
        match (status, text("/status/token")) {
            (StatusCode::CREATED, Some(token)) => Ok(token.to_owned()),
            (status, _) => Err(format!(
                "POST {path} returned {status}: {}",
                text("/message").unwrap_or("no message")
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &Value) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.signature", part("{}"), part(&claims.to_string()))
    }

    #[test]
    fn token_of_a_service_account_is_renewed_after_two_thirds_of_its_lifetime() {
        let sub = "system:serviceaccount:team-a:claimgate-team-a";
        let parsed =
            ServiceAccountToken::parse(&token(&json!({"sub": sub, "iat": 100, "exp": 400})));
        let parsed = parsed.unwrap();
        assert_eq!(
            (&*parsed.namespace, &*parsed.name),
            ("team-a", "claimgate-team-a")
        );
        assert_eq!(parsed.renewal_time_s(), 300);
        let extreme = json!({"sub": sub, "iat": i64::MIN, "exp": i64::MAX});
        let extreme = ServiceAccountToken::parse(&token(&extreme)).unwrap();
        assert!(extreme.renewal_time_s() < 0);
    }

    #[test]
    fn other_tokens_are_not_renewed() {
        for text in [
            "abc".to_owned(),
            "a.b.c".to_owned(),
            token(&json!({"sub": "jane", "iat": 1, "exp": 2})),
            token(&json!({"sub": "system:serviceaccount:a:b", "iat": 1})),
        ] {
            assert_eq!(ServiceAccountToken::parse(&text), None, "{text}");
        }
    }
}
