//! The scope of a request if namespaces are mapped by a table.

use std::borrow::Cow;
use std::sync::Arc;

use super::Selectors;
use crate::continue_token::Start;
use crate::field_selector;
use crate::mapping::{NamespacePair, NamespaceTable};

/// The objects that one request covers.
#[derive(Clone, Debug)]
pub(super) struct TableScope {
    table: Arc<NamespaceTable>,
    coverage: Coverage,
}

#[derive(Clone, Debug)]
enum Coverage {
    /// One local namespace, named by the request.
    Namespace(NamespacePair),
    /// All local namespaces, only one of which can have matching objects: the only mapped one, or the one that
    /// a field selector requires.
    OneOfAll(NamespacePair),
    /// All local namespaces, read from the whole control plane.
    ControlPlane,
}

impl TableScope {
    /// Returns `None` if the namespace is not mapped.
    pub(super) fn namespace(table: &Arc<NamespaceTable>, local: &str) -> Option<Self> {
        let pair = NamespacePair::from((local, table.to_remote(local)?));
        Some(Self {
            table: Arc::clone(table),
            coverage: Coverage::Namespace(pair),
        })
    }

    pub(super) fn all_namespaces(table: &Arc<NamespaceTable>, selected: Option<&str>) -> Self {
        // An unmapped namespace matches nothing in any scope, because `remote_selectors` replaces it.
        let selected =
            selected.and_then(|local| Some(NamespacePair::from((local, table.to_remote(local)?))));
        Self {
            table: Arc::clone(table),
            coverage: selected
                .or_else(|| table.only_row())
                .map_or(Coverage::ControlPlane, Coverage::OneOfAll),
        }
    }

    pub(super) fn request_namespace(&self) -> Option<&str> {
        match &self.coverage {
            Coverage::Namespace(one) | Coverage::OneOfAll(one) => Some(&one.remote),
            Coverage::ControlPlane => None,
        }
    }

    pub(super) fn remote_selectors(&self, local: &Selectors) -> Selectors {
        let to_remote = |local: &str| self.table.to_remote(local).map(Cow::Borrowed);
        let field = local.field.as_deref();
        Selectors {
            field: field.map(|selector| field_selector::to_remote(selector, to_remote)),
            label: local.label.clone(),
        }
    }

    pub(super) fn includes_foreign(&self) -> bool {
        matches!(self.coverage, Coverage::ControlPlane)
    }

    pub(super) fn local_namespace(&self, remote: &str) -> Option<&str> {
        match &self.coverage {
            Coverage::Namespace(one) | Coverage::OneOfAll(one) => {
                (remote == one.remote).then_some(&one.local)
            }
            Coverage::ControlPlane => self.table.to_local(remote),
        }
    }

    pub(super) fn remote_namespace(&self, local: &str) -> Option<&str> {
        match &self.coverage {
            Coverage::Namespace(one) | Coverage::OneOfAll(one) => {
                (local == one.local).then_some(&one.remote)
            }
            Coverage::ControlPlane => self.table.to_remote(local),
        }
    }

    /// Returns the format of claimgate's own tokens, or `None` if the client gets the control plane's token
    /// unchanged.
    ///
    /// All reads across namespaces have tokens of claimgate, even if only one namespace is mapped. So a token
    /// stops working when a new mapping adds namespaces to the list.
    pub(super) fn token_start(&self) -> Option<Start<'_>> {
        match self.coverage {
            Coverage::Namespace(_) => None,
            Coverage::OneOfAll(_) => Some(Start::Name),
            Coverage::ControlPlane => Some(Start::NamespaceAndName(&self.table)),
        }
    }
}
