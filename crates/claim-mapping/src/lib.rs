//! Maps names and bodies of Kubernetes objects between an app cluster ("local") and a control plane ("remote").
//!
//! ```text
//!            RequestScope: covered namespaces, target namespace, selectors, continue token
//!                 │
//! client's body ──┼─▶ request    OBJECT_FIELDS as rules, namespaces to remote,   ──▶ control plane
//!                 │              hidden metadata added
//!                 │
//! client       ◀──┴── response   OBJECT_FIELDS as rules, namespaces to local,    ◀── its reply
//!                                hidden metadata removed, foreign items dropped,
//!                                Table cells, messages, continue tokens
//! ```
//!
//! A [`mapping::Mapping`] maps names. `object_fields` is the only list of the fields that contain them in all APIs, and
//! [`ReferencePaths`] are the fields of one API group that name Secrets. The rewriter (`json-rewrite`) finds these fields
//! in a stream of bytes, and the handlers in [`request`] and [`response`] decide how they change. If something cannot be read well enough to be mapped, the stream ends
//! with an error, because failing is better than showing remote names.
//!
//! Every function is pure. There is no I/O, no HTTP, no async code and no configuration.

pub mod mapping;

mod request_scope;

mod continue_token;
mod field_selector;
mod label_selector;
pub mod origin;

mod reference_path;

mod object_fields;

mod json_members;
mod json_pointer;
mod tags;

mod object_names;

mod last_applied;
mod managed_fields;

pub mod request;

pub mod hidden_metadata;

pub mod response;

pub mod messages;
pub mod quoted_prefix;

#[cfg(test)]
mod test_scopes;

pub use self::continue_token::{ForeignToken, NextPage};
pub use self::object_fields::LAST_APPLIED;
pub use self::reference_path::{
    ReferencePath, ReferencePathError, ReferencePaths, ReferencePathsError,
};
pub use self::request_scope::{RequestScope, Selectors};
