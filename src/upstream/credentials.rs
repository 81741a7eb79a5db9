//! How claimgate makes itself known to a control plane with each request.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use crate::config;
use crate::tls::watched::{Reload, Watched};

/// A bearer token, or nothing where a client certificate speaks for itself.
#[derive(Clone)]
pub struct Credentials(Source);

#[derive(Clone)]
enum Source {
    Connection,
    Fixed(HeaderValue),
    File(Arc<Watched<HeaderValue>>),
}

impl Credentials {
    /// # Errors
    /// The token can't be read, or can't be sent in a header.
    pub fn load(config: &config::Credentials) -> Result<Self, String> {
        Ok(Self(match config {
            config::Credentials::ClientCertificate { .. } => Source::Connection,
            config::Credentials::Token(token) => Source::Fixed(bearer(token.reveal())?),
            config::Credentials::TokenFile(path) => {
                let watched = Watched::load(vec![path.clone()], |files| {
                    let text = std::str::from_utf8(files.first().map_or(&[], Vec::as_slice));
                    bearer(text.map_err(|error| error.to_string())?)
                });
                Source::File(watched.map_err(|error| error.to_string())?)
            }
        }))
    }

    /// The token's file, to be kept current.
    pub fn watched(&self) -> Option<Arc<dyn Reload>> {
        match &self.0 {
            Source::File(watched) => Some(Arc::clone(watched) as Arc<dyn Reload>),
            Source::Connection | Source::Fixed(_) => None,
        }
    }

    /// Puts the credentials in place of whatever is there.
    pub fn authorize(&self, headers: &mut HeaderMap) {
        match &self.0 {
            Source::Connection => headers.remove(AUTHORIZATION),
            Source::Fixed(value) => headers.insert(AUTHORIZATION, value.clone()),
            Source::File(watched) => headers.insert(AUTHORIZATION, (*watched.current()).clone()),
        };
    }
}

fn bearer(token: &str) -> Result<HeaderValue, String> {
    let token = token.trim();
    if token.is_empty() {
        return Err("the token is empty".into());
    }
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value = value.map_err(|_| "the token has characters that no header can hold")?;
    value.set_sensitive(true);
    Ok(value)
}
