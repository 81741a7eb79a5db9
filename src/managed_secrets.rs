//! Keeps Secrets of the app cluster up to date: the serving certificate of the daemon, and the tokens for the control
//! planes.
//!
//! Each replica reads the Secrets, and renews what must be renewed. A write requires the resourceVersion that was read,
//! so one replica succeeds and the others read its result. The Secrets must exist, so the daemon needs no right to
//! create Secrets.

mod certificate;
mod error;
mod report;
mod secret;
mod token;

pub(crate) use self::certificate::CertificateKeeper;
pub(crate) use self::error::SecretError;
pub(crate) use self::token::TokenKeeper;
