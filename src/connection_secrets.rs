//! Copies connection Secrets from the control plane to the app cluster, next to their claims.
//!
//! The claim owns its copies, and a label of each copy contains the UID of the claim. Secrets without this label are
//! never changed. If a Secret of a claim changes in either cluster, the controller compares:
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
