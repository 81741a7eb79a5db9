//! The scope of a request if all namespaces are mapped to one.

use std::sync::Arc;

use super::Selectors;
use crate::continue_token::Start;
use crate::mapping::{NameLimit, ObjectKey, SharedNamespace};
use crate::origin::Origin;
use crate::{field_selector, label_selector};

/// The objects that one request covers.
#[derive(Clone, Debug)]
pub(crate) struct SharedScope {
    mapping: Arc<SharedNamespace>,
    name_limit: NameLimit,
    coverage: Coverage,
}

#[derive(Clone, Debug)]
enum Coverage {
    /// The object that the request names.
    Object(NamedObject),
    /// One local namespace, named by the request.
    Namespace(String),
    /// All local namespaces, only one of which can have matching objects, because a field selector requires it.
    OneOfAll(String),
    All,
}

/// The object that a request names.
#[derive(Clone, Debug)]
pub(crate) struct NamedObject {
    pub(crate) local: ObjectKey,
    pub(crate) remote_name: String,
    /// The uid that a patch of the object requires.
    pub(crate) uid: Option<String>,
}

impl SharedScope {
    pub(super) fn namespace(
        mapping: &Arc<SharedNamespace>,
        local: &str,
        name_limit: NameLimit,
    ) -> Self {
        Self {
            mapping: Arc::clone(mapping),
            name_limit,
            coverage: Coverage::Namespace(local.to_owned()),
        }
    }

    pub(super) fn all_namespaces(
        mapping: &Arc<SharedNamespace>,
        selected: Option<&str>,
        name_limit: NameLimit,
    ) -> Self {
        let selected = selected.map(|local| Coverage::OneOfAll(local.to_owned()));
        Self {
            mapping: Arc::clone(mapping),
            name_limit,
            coverage: selected.unwrap_or(Coverage::All),
        }
    }

    /// Returns the scope of an object in the namespace that the request names.
    pub(super) fn with_object(&self, name: &str) -> Self {
        let Some(namespace) = self.local_namespace() else {
            return self.clone();
        };
        let local = ObjectKey::new(namespace, name);
        let remote_name = self.mapping.remote_name(&local, self.name_limit);
        let object = NamedObject {
            local,
            remote_name,
            uid: None,
        };
        Self {
            coverage: Coverage::Object(object),
            ..self.clone()
        }
    }

    /// Returns the same scope for the object with this uid only.
    pub(super) fn with_uid(mut self, uid: &str) -> Self {
        if let Coverage::Object(object) = &mut self.coverage {
            object.uid = Some(uid.to_owned());
        }
        self
    }

    pub(crate) fn mapping(&self) -> &SharedNamespace {
        &self.mapping
    }

    /// Returns the object that the request names.
    pub(crate) fn object(&self) -> Option<&NamedObject> {
        match &self.coverage {
            Coverage::Object(object) => Some(object),
            Coverage::Namespace(_) | Coverage::OneOfAll(_) | Coverage::All => None,
        }
    }

    /// Returns the local namespace, or `None` for a read across namespaces.
    pub(crate) fn local_namespace(&self) -> Option<&str> {
        match &self.coverage {
            Coverage::Object(object) => Some(&object.local.namespace),
            Coverage::Namespace(local) | Coverage::OneOfAll(local) => Some(local),
            Coverage::All => None,
        }
    }

    /// Returns the local name for the remote name of the object that the request names, or of any other object or
    /// Secret in its namespace. Returns `None` for a name that is foreign, or was cut.
    pub(crate) fn local_name(&self, remote: &str) -> Option<String> {
        let object = self.object().filter(|object| object.remote_name == remote);
        let other = || {
            let namespace = self.local_namespace()?;
            self.mapping.local_secret_name(namespace, remote)
        };
        object
            .map(|object| object.local.name.clone())
            .or_else(other)
    }

    /// Finds the local key of an object in a reply, and writes it to `local`. Returns false if the request does not
    /// cover the object.
    ///
    /// An object is one of this app cluster if its name is the remote name of the local key that its annotations
    /// or labels contain. The object that the request names may have lost them. So labels that someone forged
    /// never show an object, and labels that someone removed never hide it from a request by name.
    pub(crate) fn find_local(
        &self,
        namespace: &str,
        name: &str,
        origin: &Origin,
        local: &mut ObjectKey,
    ) -> bool {
        if namespace != self.mapping.namespace() {
            return false;
        }
        if let Some(object) = self.object().filter(|object| object.remote_name == name)
            && origin.may_be(self.mapping.cluster(), &object.local)
        {
            local.clone_from(&object.local);
            return true;
        }
        origin.keys(self.mapping.cluster()).any(|(namespace, key)| {
            namespace.clone_into(&mut local.namespace);
            key.clone_into(&mut local.name);
            self.covers(local) && self.mapping.is_remote_name(local, name)
        })
    }

    fn covers(&self, local: &ObjectKey) -> bool {
        match &self.coverage {
            Coverage::Object(object) => *local == object.local,
            Coverage::Namespace(namespace) | Coverage::OneOfAll(namespace) => {
                local.namespace == *namespace
            }
            Coverage::All => true,
        }
    }

    /// Maps a client's selectors, and limits them to the objects that the request covers.
    pub(super) fn remote_selectors(&self, local: &Selectors) -> Selectors {
        let field = local.field.as_deref().unwrap_or_default();
        let namespace = self.local_namespace();
        let field = field_selector::to_shared(field, namespace, |name| {
            let key = ObjectKey::new(namespace?, name);
            Some(self.mapping.remote_name(&key, self.name_limit))
        });
        let cluster = self.mapping.cluster();
        let label = local.label.as_deref().unwrap_or_default();
        let own = label_selector::own_terms(cluster, namespace).chain(field.label_terms);
        Selectors {
            // Empty, so that it replaces the client's.
            field: local.field.as_ref().map(|_| field.selector),
            label: Some(label_selector::to_remote(label, own)),
        }
    }

    /// Returns the format of claimgate's own tokens, or `None` if the client gets the control plane's token
    /// unchanged.
    pub(super) fn token_start(&self) -> Option<Start<'_>> {
        match self.coverage {
            Coverage::Object(_) | Coverage::Namespace(_) => None,
            Coverage::OneOfAll(_) | Coverage::All => Some(Start::Name),
        }
    }
}
