//! Metadata that the app cluster does not see: owner references, and finalizers of the control plane's garbage
//! collector.
//!
//! A garbage collector deletes objects whose owners it cannot find. It also removes the finalizers `orphan` and
//! `foregroundDeletion` (`pkg/controller/garbagecollector/garbagecollector.go`). To the app cluster's
//! collector, the control plane's owner references and finalizers would look like its own. So claimgate removes
//! them from every response, and shows them to people in an annotation (`ResponseMetadata`).
//!
//! The annotation is never read from requests, because it could come from another object. If a write would lose
//! hidden metadata, claimgate adds it from the control plane's current object ([`CurrentMetadata`],
//! `RequestMetadata`).
//!
//! The app cluster's garbage collector uses the same two finalizers. The control plane stores those under other
//! names (`finalizers`).

mod current;
mod finalizers;
mod json_patch;
mod request;
mod response;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

pub use self::current::CurrentMetadata;
pub use self::finalizers::PropagationPolicy;
pub(crate) use self::finalizers::stored;
pub use self::json_patch::{Restore, complete_json_patch, require_uid};
pub(crate) use self::json_patch::{depends_on_hidden, sets_resource_version};
pub(crate) use self::request::RequestMetadata;
pub use self::request::WriteEffect;
pub(crate) use self::response::ResponseMetadata;
pub use crate::object_fields::HIDDEN_METADATA as ANNOTATION;

/// Error message for a request whose object has owner references.
pub const OWNER_REFERENCES_REJECTED: &str = "owner references to objects of this cluster cannot be stored: the garbage collector \
     of the control plane would not find the owner, and would delete the claim; remove metadata.ownerReferences, and \
     let the claim own the object instead, or delete the claim yourself";

/// The hidden metadata of one object, as the annotation shows it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HiddenMetadata {
    owner_references: Option<Box<RawValue>>,
    #[serde(default)]
    finalizers: Vec<String>,
}

impl HiddenMetadata {
    fn is_empty(&self) -> bool {
        self.owner_references.is_none() && self.finalizers.is_empty()
    }

    /// Returns the annotation's value, a JSON object.
    fn json(&self) -> String {
        let mut members = Vec::new();
        if let Some(owners) = &self.owner_references {
            members.push(format!("\"ownerReferences\":{}", owners.get()));
        }
        if !self.finalizers.is_empty() {
            members.push(format!("\"finalizers\":{}", json_list(&self.finalizers)));
        }
        format!("{{{}}}", members.join(","))
    }
}

/// Quotes a text as a JSON string.
fn json_string(text: &str) -> String {
    Value::from(text).to_string()
}

/// Writes texts as a JSON list of strings.
fn json_list(texts: &[String]) -> String {
    Value::from(texts).to_string()
}

/// Returns whether a value is null or an empty list. Kubernetes treats both like a missing list.
pub(crate) fn is_null_or_empty_list(raw: &[u8]) -> bool {
    let list = serde_json::from_slice::<Option<Vec<IgnoredAny>>>(raw);
    list.is_ok_and(|list| list.is_none_or(|list| list.is_empty()))
}
