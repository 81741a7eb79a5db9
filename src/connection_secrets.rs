//! Copies connection Secrets from the control plane to the app cluster, next to their claims.
//!
//! A copy belongs to its claim: the claim is its owner, and a label has the UID of the claim. Secrets without that label
//! are never changed. The controller compares, for each claim whose Secrets change on either side:
//!
//! ```text
//! claim ── spec.writeConnectionSecretToRef ─▶ Secret on the control plane ─▶ copy in the app cluster
//! ```
//!
//! Only metadata is watched. The data of a Secret is read when its resourceVersion changes.

mod controller;
mod copy;
mod error;

pub(crate) use self::controller::{ConnectionSecrets, CopiedApi};
pub(crate) use self::copy::selector;
