//! Secrets of the app cluster that the daemon keeps up to date: its serving certificate, and the tokens for the
//! control planes.
//!
//! Each replica reads the Secrets and writes what is due. A write names the resourceVersion that was read, so one
//! replica succeeds and the others read its result. The Secrets must exist, so that the daemon needs no right to create
//! any.

mod certificate;
mod error;
mod report;
mod secret;
mod token;

pub(crate) use self::certificate::CertificateKeeper;
pub(crate) use self::error::SecretError;
pub(crate) use self::token::TokenKeeper;
