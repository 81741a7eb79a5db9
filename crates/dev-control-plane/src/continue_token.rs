//! Continue tokens of chunked lists (apiserver pkg/storage/continue.go).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::error::{StatusError, to_json};

/// The position of the next page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContinueToken {
    v: String,
    /// The resourceVersion of the list, or -1 to continue with the newest state.
    pub(crate) rv: i64,
    /// `<namespace>/<name>\0` for all namespaces, `<name>\0` for one.
    pub(crate) start: String,
}

const VERSION: &str = "meta.k8s.io/v1";

impl ContinueToken {
    /// Returns the token for the page after `last`, a key relative to the listed collection.
    pub(crate) fn after(last: &str, rv: i64) -> Self {
        Self {
            v: VERSION.to_owned(),
            rv,
            start: format!("{last}\0"),
        }
    }

    /// Returns the token that continues with the newest state.
    pub(crate) fn at_newest(&self) -> Self {
        Self {
            rv: -1,
            ..self.clone()
        }
    }

    pub(crate) fn decode(text: &str) -> Result<Self, StatusError> {
        let invalid =
            |why: &str| StatusError::bad_request(format!("continue key is not valid: {why}"));
        let json = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|error| invalid(&error.to_string()))?;
        let token: Self =
            serde_json::from_slice(&json).map_err(|error| invalid(&error.to_string()))?;
        if token.v != VERSION {
            return Err(invalid(&format!(
                "server does not recognize this encoded version \"{}\"",
                token.v
            )));
        }
        if token.rv == 0 || token.start.is_empty() {
            return Err(invalid(
                "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            ));
        }
        Ok(token)
    }

    pub(crate) fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(to_json(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continue_tokens_match_kubernetes() {
        let token = ContinueToken::after("ns/name", 7);
        let json = URL_SAFE_NO_PAD.decode(token.encode()).unwrap();
        assert_eq!(
            json,
            br#"{"v":"meta.k8s.io/v1","rv":7,"start":"ns/name\u0000"}"#
        );
        assert_eq!(ContinueToken::decode(&token.encode()).unwrap(), token);
        assert_eq!(ContinueToken::decode("nonsense!").unwrap_err().code, 400);
    }
}
