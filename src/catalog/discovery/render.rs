//! Renders discovery documents.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::groups::{Group, Version};
use super::resource_list::RenderedResourceList;
use crate::catalog::document::Document;

/// The discovery documents of all control planes together.
#[derive(Debug, Default)]
pub(crate) struct DiscoveryDocuments {
    /// `/apis`, aggregated.
    pub(crate) aggregated_v2: Document,
    pub(crate) aggregated_v2beta1: Document,
    /// `/apis` as an APIGroupList.
    pub(crate) group_list: Document,
    /// `/apis/G` by group.
    pub(crate) groups: BTreeMap<String, Document>,
    /// `/apis/G/V` by group and version.
    pub(crate) versions: BTreeMap<(String, String), RenderedResourceList>,
}

impl DiscoveryDocuments {
    /// Renders the groups of each control plane.
    pub(crate) fn render(control_planes: &[&[Group]]) -> Self {
        let groups = merged(control_planes);
        let aggregated = |version: &str| {
            Document::json(&json!({
                "kind": "APIGroupDiscoveryList",
                "apiVersion": format!("apidiscovery.k8s.io/{version}"),
                "metadata": {},
                "items": groups,
            }))
        };
        let list: Vec<Value> = groups.iter().map(api_group).collect();
        let mut documents = Self {
            aggregated_v2: aggregated("v2"),
            aggregated_v2beta1: aggregated("v2beta1"),
            group_list: Document::json(&json!({
                "kind": "APIGroupList", "apiVersion": "v1", "groups": list,
            })),
            ..Self::default()
        };
        for group in &groups {
            let name = &group.metadata.name;
            let document = Document::json(&with_type(api_group(group)));
            documents.groups.insert(name.clone(), document);
            for version in &group.versions {
                let key = (name.clone(), version.version.clone());
                let list = RenderedResourceList::render(name, version);
                documents.versions.insert(key, list);
            }
        }
        documents
    }
}

/// Merges the versions of a group that several control planes serve.
fn merged(control_planes: &[&[Group]]) -> Vec<Group> {
    let mut all: Vec<Group> = Vec::new();
    for group in control_planes.iter().copied().flatten() {
        match all
            .iter_mut()
            .find(|known| known.metadata == group.metadata)
        {
            Some(known) => known.versions.extend(group.versions.iter().cloned()),
            None => all.push(group.clone()),
        }
    }
    all
}

/// Returns an APIGroup as an item of a list.
fn api_group(group: &Group) -> Value {
    let name = &group.metadata.name;
    let version = |version: &Version| {
        let version = &version.version;
        json!({"groupVersion": format!("{name}/{version}"), "version": version})
    };
    let versions: Vec<Value> = group.versions.iter().map(version).collect();
    json!({
        "name": name, "versions": versions, "preferredVersion": versions.first(),
    })
}

/// Adds the fields of an APIGroup outside of a list.
fn with_type(mut group: Value) -> Value {
    if let Some(group) = group.as_object_mut() {
        group.insert("kind".to_owned(), "APIGroup".into());
        group.insert("apiVersion".to_owned(), "v1".into());
    }
    group
}
