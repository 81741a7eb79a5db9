//! Request scopes, and rules for them, for the unit tests of several modules.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use crate::mapping::{Mapping, NameLimit};
use crate::messages::MessageRules;
use crate::object_fields::OBJECT_FIELDS;
use crate::{RequestScope, Selectors};

/// A scope of one namespace, `default`, which maps to `app-ns-1`.
pub(crate) fn one() -> RequestScope {
    let rows = [("default".to_owned(), "app-ns-1".to_owned())];
    let mapping = Mapping::table(rows.into()).unwrap();
    RequestScope::namespace(&mapping, "default", None, NameLimit::default()).unwrap()
}

/// A scope of two namespaces. The local name of one equals the remote name of the other.
pub(crate) fn two() -> RequestScope {
    let rows = [("default", "app-ns-1"), ("team", "default")];
    let rows = rows.map(|(local, remote)| (local.to_owned(), remote.to_owned()));
    let mapping = Mapping::table(rows.into()).unwrap();
    RequestScope::all_namespaces(&mapping, &Selectors::default(), NameLimit::default())
}

/// A scope of the shared mapping: the object `a` in the namespace `default`.
pub(crate) fn shared_object() -> RequestScope {
    let mapping = Mapping::shared("team-a", "remote").unwrap();
    RequestScope::namespace(&mapping, "default", Some("a"), NameLimit::default()).unwrap()
}

/// A scope of the shared mapping: all objects of the app cluster.
pub(crate) fn shared_everything() -> RequestScope {
    let mapping = Mapping::shared("team-a", "remote").unwrap();
    RequestScope::all_namespaces(&mapping, &Selectors::default(), NameLimit::default())
}

/// The rules for messages in a scope, without declared references.
pub(crate) fn message_rules(scope: &RequestScope) -> MessageRules {
    MessageRules::compile(OBJECT_FIELDS, scope.names()).unwrap()
}
