//! The credentials of the client for an API server.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use super::endpoint::PemSource;
use crate::tls::watched::{Reload, Watched};

/// A client certificate, or a bearer token that is sent with each request.
#[derive(Clone)]
pub struct Credentials(CredentialKind);

#[derive(Clone)]
enum CredentialKind {
    ClientCertificate(ClientCertificate),
    Token(HeaderValue),
    TokenFile(Arc<Watched<HeaderValue>>),
    TokenCell(Arc<TokenCell>),
}

/// A token that can be replaced while it is in use.
pub struct TokenCell(RwLock<HeaderValue>);

impl TokenCell {
    /// # Errors
    /// The token is empty or not valid in a header.
    pub fn new(token: &str) -> Result<Arc<Self>, String> {
        Ok(Arc::new(Self(RwLock::new(bearer(token)?))))
    }

    /// # Errors
    /// The token is empty or not valid in a header. The previous one stays.
    pub fn set(&self, token: &str) -> Result<(), String> {
        let value = bearer(token)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = value;
        Ok(())
    }

    fn get(&self) -> HeaderValue {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// A certificate chain and its private key.
#[derive(Clone)]
pub(super) struct ClientCertificate {
    pub(super) chain: PemSource,
    pub(super) key: PemSource,
}

impl Credentials {
    pub fn client_certificate(chain: PemSource, key: PemSource) -> Self {
        Self(CredentialKind::ClientCertificate(ClientCertificate {
            chain,
            key,
        }))
    }

    /// # Errors
    /// The token is empty or not valid in a header.
    pub fn token(token: &str) -> Result<Self, String> {
        Ok(Self(CredentialKind::Token(bearer(token)?)))
    }

    /// Reads the token from a file. [`Self::watched`] keeps it current.
    ///
    /// # Errors
    /// The file cannot be read, or its token is empty or not valid in a header.
    pub fn token_file(path: PathBuf) -> Result<Self, String> {
        let watched = Watched::load(vec![path], |files| {
            let text = std::str::from_utf8(files.first().map_or(&[], Vec::as_slice));
            bearer(text.map_err(|error| error.to_string())?)
        });
        let watched = watched.map_err(|error| error.to_string())?;
        Ok(Self(CredentialKind::TokenFile(watched)))
    }

    pub fn token_cell(cell: Arc<TokenCell>) -> Self {
        Self(CredentialKind::TokenCell(cell))
    }

    /// The token file, to be reloaded when it changes.
    pub fn watched(&self) -> Option<Arc<dyn Reload>> {
        match &self.0 {
            CredentialKind::TokenFile(watched) => Some(Arc::clone(watched) as Arc<dyn Reload>),
            CredentialKind::ClientCertificate(_)
            | CredentialKind::Token(_)
            | CredentialKind::TokenCell(_) => None,
        }
    }

    pub(super) fn certificate(&self) -> Option<&ClientCertificate> {
        match &self.0 {
            CredentialKind::ClientCertificate(certificate) => Some(certificate),
            CredentialKind::Token(_)
            | CredentialKind::TokenFile(_)
            | CredentialKind::TokenCell(_) => None,
        }
    }

    /// Replaces the header Authorization of a request.
    pub(super) fn authorize(&self, headers: &mut HeaderMap) {
        match &self.0 {
            CredentialKind::ClientCertificate(_) => headers.remove(AUTHORIZATION),
            CredentialKind::Token(value) => headers.insert(AUTHORIZATION, value.clone()),
            CredentialKind::TokenFile(watched) => {
                headers.insert(AUTHORIZATION, (*watched.current()).clone())
            }
            CredentialKind::TokenCell(cell) => headers.insert(AUTHORIZATION, cell.get()),
        };
    }
}

fn bearer(token: &str) -> Result<HeaderValue, String> {
    let token = token.trim();
    if token.is_empty() {
        return Err("the token is empty".into());
    }
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value = value.map_err(|_| "the token has characters that are not valid in a header")?;
    value.set_sensitive(true);
    Ok(value)
}
