//! Copies Secrets and ConfigMaps that claims need from the app cluster to the control plane.
//!
//! ```text
//! claim ── field that apis[].secrets.input declares ─▶ Secret in the app cluster ─▶ copy on the control plane
//! ```
//!
//! Only objects with the label [`OPT_IN`] are copied, because whoever may create claims could otherwise read the others
//! through a composition. The claims on the control plane own a copy, so its garbage collector deletes it with the last
//! of them. Objects without the labels of this app cluster are never changed.

mod controller;
mod copy;
mod error;
mod input_kind;

pub(crate) use self::controller::InputObjects;
pub(crate) use self::input_kind::{InputApi, InputObject, InputRule};
