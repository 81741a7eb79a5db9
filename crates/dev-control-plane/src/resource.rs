//! Declared resources: the supported parts of a CustomResourceDefinition. Independent of stored objects and of
//! HTTP.

use serde_json::{Value, json};

/// One version of a custom resource. Versions with the same `group` and `plural` share their objects,
/// like the versions of one CRD.
#[derive(Clone, Debug)]
pub struct Resource {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    /// The printer columns after Name. Age must be listed.
    pub columns: Vec<Column>,
    /// The `openAPIV3Schema` of the whole object.
    pub schema: Value,
    /// The resource has a status subresource.
    pub status: bool,
    pub scale: Option<Scale>,
}

/// A printer column, as in `additionalPrinterColumns`.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    /// The type: `string`, `integer`, `boolean`, `number` or `date`.
    pub kind: String,
    pub description: String,
    /// The path of the value: `.a.b`, with `[?(@.key=='value')]` and `[0]` as steps.
    pub json_path: String,
    /// Columns with a priority above 0 are shown with `-o wide` only.
    pub priority: i32,
}

/// The scale subresource's paths, each of the form `.spec.replicas`.
#[derive(Clone, Debug)]
pub struct Scale {
    pub spec_replicas_path: String,
    pub status_replicas_path: String,
    pub label_selector_path: Option<String>,
}

/// The identity of a resource in storage, which its versions share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GroupResource {
    pub(crate) group: String,
    pub(crate) plural: String,
}

impl Resource {
    /// Returns a namespaced resource with a status, an Age column and a schema that allows any field.
    pub fn new(group: &str, version: &str, kind: &str) -> Self {
        let singular = kind.to_lowercase();
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            plural: format!("{singular}s"),
            singular,
            short_names: Vec::new(),
            categories: Vec::new(),
            namespaced: true,
            columns: vec![Column::age()],
            schema: json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
            status: true,
            scale: None,
        }
    }

    /// Returns `group/version`, or only the version in the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    pub fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }

    /// Returns `plural.group`, which names the CRD and appears in error messages.
    pub fn qualified_name(&self) -> String {
        qualified(&self.plural, &self.group)
    }

    pub(crate) fn qualified_kind(&self) -> String {
        qualified(&self.kind, &self.group)
    }

    pub(crate) fn group_resource(&self) -> GroupResource {
        GroupResource {
            group: self.group.clone(),
            plural: self.plural.clone(),
        }
    }

    /// Returns the core resource `namespaces`, which the control plane always serves.
    pub(crate) fn namespaces() -> Self {
        let mut resource = Self::new("", "v1", "Namespace");
        resource.short_names = vec!["ns".to_owned()];
        resource.namespaced = false;
        let status = Column::new("Status", "string", ".status.phase");
        resource.columns.insert(0, status);
        resource
    }
}

fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() {
        name.to_owned()
    } else {
        format!("{name}.{group}")
    }
}

impl Column {
    pub fn new(name: &str, kind: &str, json_path: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            description: String::new(),
            json_path: json_path.to_owned(),
            priority: 0,
        }
    }

    pub fn age() -> Self {
        Self::new("Age", "date", ".metadata.creationTimestamp")
    }

    /// Makes the column visible with `-o wide` only.
    #[must_use]
    pub fn wide(mut self) -> Self {
        self.priority = 1;
        self
    }
}
