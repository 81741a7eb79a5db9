//! Continue tokens in the control plane's own form (apiserver pkg/storage/continue.go).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::error::{ApiError, to_json};

/// Where a list goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContinueToken {
    v: String,
    /// The list's resourceVersion; -1 goes on from the newest state.
    pub(crate) rv: i64,
    /// `<namespace>/<name>\0` in all namespaces, `<name>\0` in one.
    pub(crate) start: String,
}

const VERSION: &str = "meta.k8s.io/v1";

impl ContinueToken {
    /// The token that goes on after `last`, a key relative to what is listed.
    pub(crate) fn after(last: &str, rv: i64) -> Self {
        Self {
            v: VERSION.to_owned(),
            rv,
            start: format!("{last}\0"),
        }
    }

    /// The token that goes on from the newest state.
    pub(crate) fn regardless(&self) -> Self {
        Self {
            rv: -1,
            ..self.clone()
        }
    }

    pub(crate) fn decode(text: &str) -> Result<Self, ApiError> {
        let invalid =
            |why: &str| ApiError::bad_request(format!("continue key is not valid: {why}"));
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
    fn tokens_have_the_shape_of_kubernetes() {
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
