//! The names of one object, if objects have other names on the control plane.

use json_rewrite::Edit;

use crate::mapping::ObjectKey;
use crate::request_scope::SharedScope;

/// The names of an object on both sides.
#[derive(Clone, Debug, Default)]
pub(crate) struct ObjectNames {
    pub(crate) local: ObjectKey,
    pub(crate) remote: ObjectKey,
}

impl ObjectNames {
    /// Returns the local name for the object's own name. Other names, which are not the object's, stay.
    pub(crate) fn name(&self, value: &[u8]) -> Edit<'_> {
        match value == self.remote.name.as_bytes() {
            true => Edit::Replace(self.local.name.as_str().into()),
            false => Edit::Keep,
        }
    }

    /// Returns the local name for the object's own namespace.
    pub(crate) fn namespace(&self, value: &[u8]) -> Edit<'_> {
        match value == self.remote.namespace.as_bytes() {
            true => Edit::Replace(self.local.namespace.as_str().into()),
            false => Edit::Keep,
        }
    }

    /// Returns the local name of a Secret. A name that was not mapped on the way up stays.
    pub(crate) fn secret_name(&self, scope: &SharedScope, value: &[u8]) -> Edit<'static> {
        let remote = std::str::from_utf8(value).ok();
        let namespace = &self.local.namespace;
        let local = remote.and_then(|it| scope.mapping().local_secret_name(namespace, it));
        local.map_or(Edit::Keep, |local| Edit::Replace(local.into()))
    }
}
