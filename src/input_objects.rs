//! Copies Secrets and ConfigMaps that claims need from the app cluster to the control plane.
//!
//! ```text
//! claim ── field that apis[].secrets.input declares ─▶ Secret in the app cluster ─▶ copy on the control plane
//! ```
//!
//! Only objects with the label [`OPT_IN`] are copied. Otherwise, everyone who may create claims could read all objects
//! through a composition. All claims that need a copy own it, so the garbage collector of the control plane deletes it
//! after the last of them. Objects without the labels of this app cluster are never changed.

mod controller;
mod copy;
mod error;
mod input_kind;

pub(crate) use self::controller::InputObjects;
pub(crate) use self::input_kind::{InputApi, InputObject, InputRule};
