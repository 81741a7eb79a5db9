//! What of a Kubernetes body is mapped between app cluster and control plane, and how.
//!
//! Joins the mapping of namespaces with the rewriter: [`request`] and [`response`] hold the rules
//! (paths) and the handlers (what happens there), [`token`] the continue tokens of lists over all
//! namespaces, [`text`] the known forms in messages, [`selector`] the field selectors, [`hidden`] what
//! is not shown at all, `columns` the cells of Tables. Bytes and values only; no HTTP.

pub mod beginning;
mod columns;
pub mod hidden;
pub mod request;
pub mod response;
pub mod selector;
pub mod text;
pub mod token;

use std::sync::Arc;

use crate::mapping::Namespaces;
use crate::rewrite::{RuleError, Rules, RulesBuilder, Tag};

/// The annotation in which `kubectl apply` keeps what was applied last, as JSON in a string.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Which objects of a resource a request is about.
#[derive(Clone, Debug)]
pub enum Scope {
    /// One namespace, under both of its names.
    One { local: String, remote: String },
    /// All local namespaces, of which there is one: a read of its remote namespace. Continue tokens
    /// are ours, as for [`Scope::Mapped`], lest one outlive a change of the mapping.
    Only { local: String, remote: String },
    /// All local namespaces: a read of the whole control plane, less what is not mapped.
    Mapped(Arc<Namespaces>),
}

impl Scope {
    /// The remote namespace to ask for; `None` for all of them.
    pub fn remote(&self) -> Option<&str> {
        match self {
            Self::One { remote, .. } | Self::Only { remote, .. } => Some(remote),
            Self::Mapped(_) => None,
        }
    }

    pub fn is_all(&self) -> bool {
        !matches!(self, Self::One { .. })
    }

    pub fn to_local(&self, name: &str) -> Option<&str> {
        match self {
            Self::One { local, remote } | Self::Only { local, remote } => {
                (name == remote).then_some(local)
            }
            Self::Mapped(namespaces) => namespaces.to_local(name),
        }
    }

    pub fn to_remote(&self, name: &str) -> Option<&str> {
        match self {
            Self::One { local, remote } | Self::Only { local, remote } => {
                (name == local).then_some(remote)
            }
            Self::Mapped(namespaces) => namespaces.to_remote(name),
        }
    }

    /// Whether an answer may hold what belongs to namespaces that are not mapped.
    pub fn may_see_foreign(&self) -> bool {
        matches!(self, Self::Mapped(_))
    }
}

/// The tags for what is mapped or hidden of an object.
#[derive(Clone, Copy)]
struct ObjectTags {
    namespace: Tag,
    /// The first of those for what is hidden.
    hidden: Tag,
}

/// The rules for an object at `path`, with those for what was applied last to it.
fn object_rules(
    rules: RulesBuilder,
    path: &str,
    tags: ObjectTags,
    applied: &Rules,
) -> RulesBuilder {
    let annotation = format!("{path}.metadata.annotations[{LAST_APPLIED:?}]");
    hidden::rules(rules, path, tags.hidden)
        .string(&format!("{path}.metadata.namespace"), tags.namespace)
        .inside(&annotation, applied.clone())
}

/// The rules for what was applied last.
fn applied_rules(namespace: Tag) -> Result<Rules, RuleError> {
    Rules::builder()
        .string("$.metadata.namespace", namespace)
        .build()
}
