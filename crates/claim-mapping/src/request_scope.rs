//! The part of the control plane that a request covers.
//!
//! A request covers one local namespace, or all of them. The mapping decides what claimgate requests: one
//! remote namespace, or the whole control plane, and what it drops from the reply. Callers do not distinguish
//! these cases. A [`RequestScope`] returns where to send the request, what to keep of a reply, and how names
//! map.

mod shared;
mod table;

use std::borrow::Cow;

pub(crate) use self::shared::{NamedObject, SharedScope};
use self::table::TableScope;
use crate::continue_token::{self, ForeignToken, NextPage, Start};
use crate::field_selector;
use crate::mapping::{Mapping, MappingError, NameLimit, is_dns_label};
use crate::object_fields::Names;

/// The objects that one request covers.
#[derive(Clone, Debug)]
pub struct RequestScope(Scope);

#[derive(Clone, Debug)]
enum Scope {
    Table(TableScope),
    Shared(SharedScope),
}

/// Selectors of a list or a watch, as in its query.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Selectors {
    pub field: Option<String>,
    pub label: Option<String>,
}

impl RequestScope {
    /// Creates the scope of a request in one local namespace. `object` is the local name of the object, if the
    /// request names one, and `name_limit` the limit of the resource's names.
    ///
    /// # Errors
    /// The namespace is not mapped.
    pub fn namespace(
        mapping: &Mapping,
        local: &str,
        object: Option<&str>,
        name_limit: NameLimit,
    ) -> Result<Self, MappingError> {
        let scope = match mapping {
            Mapping::Table(table) => TableScope::namespace(table, local).map(Scope::Table),
            Mapping::Shared(shared) => {
                let scope =
                    is_dns_label(local).then(|| SharedScope::namespace(shared, local, name_limit));
                scope.map(Scope::Shared)
            }
        };
        let scope = Self(scope.ok_or(MappingError::NamespaceNotMapped)?);
        Ok(match object {
            Some(name) => scope.with_object(name),
            None => scope,
        })
    }

    /// Creates the scope of a read across all local namespaces.
    ///
    /// If a field selector requires one namespace, kube-apiserver reads only that one, and its continue tokens
    /// do not contain a namespace (`apiserver/pkg/registry/generic/registry/store.go`, `ListPredicate`).
    pub fn all_namespaces(mapping: &Mapping, selectors: &Selectors, name_limit: NameLimit) -> Self {
        let selected = selectors.field.as_deref();
        let selected = selected.and_then(field_selector::only_namespace);
        Self(match mapping {
            Mapping::Table(table) => Scope::Table(TableScope::all_namespaces(table, selected)),
            Mapping::Shared(shared) => {
                Scope::Shared(SharedScope::all_namespaces(shared, selected, name_limit))
            }
        })
    }

    /// Returns the scope of an object in the same namespace. A request that creates an object has its name in the
    /// body.
    #[must_use]
    pub fn with_object(self, name: &str) -> Self {
        match self.0 {
            Scope::Table(_) => self,
            Scope::Shared(scope) => Self(Scope::Shared(scope.with_object(name))),
        }
    }

    /// Returns the same scope for the object with this uid only. Patches in this scope require the uid, so that they do
    /// not change another object that replaced it. Without translated names, the scope stays as it is.
    #[must_use]
    pub fn with_uid(self, uid: &str) -> Self {
        match self.0 {
            Scope::Table(_) => self,
            Scope::Shared(scope) => Self(Scope::Shared(scope.with_uid(uid))),
        }
    }

    /// Returns the uid of the only object in the scope, if patches require it.
    pub fn required_uid(&self) -> Option<&str> {
        self.shared()?.object()?.uid.as_deref()
    }

    /// Returns whether objects have other names on the control plane.
    pub fn translates_names(&self) -> bool {
        self.names() == Names::Translated
    }

    pub(crate) fn names(&self) -> Names {
        match self.0 {
            Scope::Table(_) => Names::Kept,
            Scope::Shared(_) => Names::Translated,
        }
    }

    pub(crate) fn shared(&self) -> Option<&SharedScope> {
        match &self.0 {
            Scope::Table(_) => None,
            Scope::Shared(scope) => Some(scope),
        }
    }

    /// Returns the remote namespace to which the request goes, or `None` for a read across all of them.
    pub fn request_namespace(&self) -> Option<&str> {
        match &self.0 {
            Scope::Table(scope) => scope.request_namespace(),
            Scope::Shared(scope) => Some(scope.mapping().namespace()),
        }
    }

    /// Returns the name under which the control plane stores an object that the request names.
    pub fn remote_name<'a>(&'a self, local: &'a str) -> &'a str {
        let object = self.shared().and_then(SharedScope::object);
        match object {
            Some(object) if object.local.name == local => &object.remote_name,
            // In a shared mapping, only a watch by its legacy path has a name but no namespace. The control plane
            // rejects it.
            _ => local,
        }
    }

    /// Maps the client's selectors, and limits them to what the request covers.
    pub fn remote_selectors(&self, local: &Selectors) -> Selectors {
        match &self.0 {
            Scope::Table(scope) => scope.remote_selectors(local),
            Scope::Shared(scope) => scope.remote_selectors(local),
        }
    }

    /// Returns whether objects of a list or a watch may have to be dropped, because the request does not cover
    /// them.
    pub fn drops_items(&self) -> bool {
        self.includes_foreign() || self.translates_names()
    }

    /// Returns whether a reply can contain names outside of the request's scope.
    pub(crate) fn includes_foreign(&self) -> bool {
        match &self.0 {
            Scope::Table(scope) => scope.includes_foreign(),
            Scope::Shared(scope) => scope.local_namespace().is_none(),
        }
    }

    /// Returns the local name of a remote namespace, or `None` if the request does not cover it, or covers more
    /// than one that is stored there.
    pub fn local_namespace(&self, remote: &str) -> Option<Cow<'_, str>> {
        let local = match &self.0 {
            Scope::Table(scope) => scope.local_namespace(remote),
            Scope::Shared(scope) => scope
                .local_namespace()
                .filter(|_| remote == scope.mapping().namespace()),
        };
        local.map(Cow::Borrowed)
    }

    /// Returns the remote name of a local namespace, or `None` if the request does not cover it.
    pub fn remote_namespace(&self, local: &str) -> Option<Cow<'_, str>> {
        let remote = match &self.0 {
            Scope::Table(scope) => scope.remote_namespace(local),
            Scope::Shared(scope) => {
                let is_covered = scope.local_namespace().is_none_or(|own| own == local);
                is_covered.then(|| scope.mapping().namespace())
            }
        };
        remote.map(Cow::Borrowed)
    }

    /// Maps a continue token of the control plane to the one that the client gets.
    ///
    /// # Errors
    /// The control plane's token has an unknown form.
    pub fn token_to_local(&self, token: &str) -> Result<NextPage, ForeignToken> {
        match self.token_start() {
            Some(start) => continue_token::to_local(token, start),
            None => Ok(NextPage::Token(token.to_owned())),
        }
    }

    /// Maps a continue token that a client sends to the control plane's.
    ///
    /// # Errors
    /// Claimgate did not issue the token for such a list.
    pub fn token_to_remote(&self, token: &str) -> Result<String, ForeignToken> {
        match self.token_start() {
            Some(start) => continue_token::to_remote(token, start),
            None => Ok(token.to_owned()),
        }
    }

    fn token_start(&self) -> Option<Start<'_>> {
        match &self.0 {
            Scope::Table(scope) => scope.token_start(),
            Scope::Shared(scope) => scope.token_start(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(rows: &[(&str, &str)]) -> Mapping {
        let rows = rows
            .iter()
            .map(|(local, remote)| ((*local).to_owned(), (*remote).to_owned()));
        Mapping::table(rows.collect()).unwrap()
    }

    fn two() -> Mapping {
        mapping(&[("default", "app-ns-1"), ("team", "app-ns-2")])
    }

    fn fields(field: &str) -> Selectors {
        Selectors {
            field: Some(field.to_owned()),
            label: None,
        }
    }

    #[test]
    fn namespace_scope_maps_that_namespace_only() {
        let scope = RequestScope::namespace(&two(), "default", None, NameLimit::default()).unwrap();
        assert_eq!(scope.request_namespace(), Some("app-ns-1"));
        assert_eq!(
            scope.local_namespace("app-ns-1").as_deref(),
            Some("default")
        );
        assert_eq!(scope.local_namespace("app-ns-2"), None);
        assert_eq!(scope.remote_namespace("team"), None);
        assert!(!scope.includes_foreign());
        let error =
            RequestScope::namespace(&two(), "elsewhere", None, NameLimit::default()).unwrap_err();
        assert_eq!(error, MappingError::NamespaceNotMapped);
    }

    #[test]
    fn read_across_namespaces_is_limited_to_one_where_only_one_can_match() {
        let everything = Selectors::default();
        let scope = RequestScope::all_namespaces(&two(), &everything, NameLimit::default());
        assert_eq!(scope.request_namespace(), None);
        assert!(scope.includes_foreign());
        let one = mapping(&[("default", "app-ns-1")]);
        let scope = RequestScope::all_namespaces(&one, &everything, NameLimit::default());
        assert_eq!(scope.request_namespace(), Some("app-ns-1"));
        let scope = RequestScope::all_namespaces(
            &two(),
            &fields("metadata.namespace=team"),
            NameLimit::default(),
        );
        assert_eq!(scope.request_namespace(), Some("app-ns-2"));
        let scope = RequestScope::all_namespaces(
            &two(),
            &fields("metadata.namespace=none"),
            NameLimit::default(),
        );
        assert_eq!(scope.request_namespace(), None);
    }

    #[test]
    fn only_reads_across_namespaces_have_own_tokens() {
        let scope = RequestScope::namespace(&two(), "default", None, NameLimit::default()).unwrap();
        assert_eq!(
            scope.token_to_local("x"),
            Ok(NextPage::Token("x".to_owned()))
        );
        assert_eq!(scope.token_to_remote("x"), Ok("x".to_owned()));
        let scope =
            RequestScope::all_namespaces(&two(), &Selectors::default(), NameLimit::default());
        assert_eq!(scope.token_to_local("x"), Err(ForeignToken));
    }

    #[test]
    fn field_selectors_are_mapped_and_label_selectors_are_not() {
        let scope =
            RequestScope::all_namespaces(&two(), &Selectors::default(), NameLimit::default());
        let local = Selectors {
            field: Some("metadata.namespace=team".to_owned()),
            label: Some("a=team".to_owned()),
        };
        let remote = Selectors {
            field: Some("metadata.namespace=app-ns-2".to_owned()),
            ..local.clone()
        };
        assert_eq!(scope.remote_selectors(&local), remote);
    }
}
