//! `/apis/G/V`: an APIResourceList in every format of kube-apiserver.

use bytes::Bytes;
use serde::Serialize;

use super::groups::{ApiResource, Subresource, Version};
use kube_wire::accept::{self, Serializer};
use kube_wire::status::ResponseFormat;

/// A list in each format; `None` if the format cannot express it.
#[derive(Debug)]
pub(crate) struct RenderedResourceList {
    json: Bytes,
    indented_json: Bytes,
    yaml: Option<Bytes>,
    protobuf: Option<Bytes>,
}

/// The JSON object, with the fields in kube-apiserver's order
/// (`apimachinery/pkg/apis/meta/v1/types.go`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceList<'a> {
    kind: &'static str,
    api_version: &'static str,
    group_version: String,
    resources: Vec<Resource<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource<'a> {
    name: String,
    singular_name: &'a str,
    namespaced: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    kind: &'a str,
    verbs: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    short_names: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    categories: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    storage_version_hash: &'a str,
}

impl RenderedResourceList {
    /// Returns the list of a version without resources.
    pub(crate) fn empty(group: &str, version: &str) -> Self {
        let version = Version {
            version: version.to_owned(),
            resources: Vec::new(),
            freshness: String::new(),
            list_entries: Vec::new(),
        };
        Self::render(group, &version)
    }

    pub(super) fn render(group: &str, version: &Version) -> Self {
        let mut resources: Vec<Resource<'_>> = Vec::new();
        for resource in &version.resources {
            resources.push(Resource::of(resource, version));
            for subresource in &resource.subresources {
                resources.push(Resource::of_subresource(group, resource, subresource));
            }
        }
        // The control plane's order, as far as it is known.
        let position = |entry: &Resource<'_>| {
            version
                .list_entries
                .iter()
                .position(|known| known.name == entry.name)
        };
        resources.sort_by_key(|entry| position(entry).unwrap_or(usize::MAX));
        let list = ResourceList {
            kind: "APIResourceList",
            api_version: "v1",
            group_version: format!("{group}/{}", version.version),
            resources,
        };
        let json = accept::json(&list, false);
        let encode = |serializer: Serializer| {
            let encoded = serializer.encode(json.as_bytes());
            encoded.ok().map(Bytes::from)
        };
        Self {
            indented_json: accept::json(&list, true).into(),
            yaml: encode(Serializer::Yaml),
            protobuf: encode(Serializer::Protobuf),
            json: json.into(),
        }
    }

    pub(crate) fn body(&self, format: ResponseFormat) -> Option<Bytes> {
        match format.serializer {
            Serializer::Json if format.is_indented() => Some(self.indented_json.clone()),
            Serializer::Json => Some(self.json.clone()),
            Serializer::Protobuf => self.protobuf.clone(),
            Serializer::Yaml => self.yaml.clone(),
        }
    }
}

impl<'a> Resource<'a> {
    fn of(resource: &'a ApiResource, version: &'a Version) -> Self {
        let mut entries = version.list_entries.iter();
        let entry = entries.find(|entry| entry.name == resource.resource);
        Self {
            name: resource.resource.clone(),
            singular_name: &resource.singular_resource,
            namespaced: true,
            group: "",
            version: "",
            kind: resource
                .response_kind
                .as_ref()
                .map_or("", |kind| &kind.kind),
            verbs: &resource.verbs,
            short_names: &resource.short_names,
            categories: &resource.categories,
            storage_version_hash: entry.map_or("", |entry| &entry.storage_version_hash),
        }
    }

    fn of_subresource(group: &str, of: &ApiResource, subresource: &'a Subresource) -> Self {
        let kind = subresource.response_kind.as_ref();
        // A kind of another group, for example Scale of autoscaling, is listed with its group.
        let other = kind.filter(|kind| kind.group != group);
        Self {
            name: format!("{}/{}", of.resource, subresource.subresource),
            singular_name: "",
            namespaced: true,
            group: other.map_or("", |kind| &kind.group),
            version: other.map_or("", |kind| &kind.version),
            kind: kind.map_or("", |kind| &kind.kind),
            verbs: &subresource.verbs,
            short_names: &[],
            categories: &[],
            storage_version_hash: "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::groups::ResourceListEntry;
    use super::*;

    fn version() -> Version {
        let mut version: Version = serde_json::from_str(
            r#"{"version":"v1","resources":[
                {"resource":"twos","responseKind":{"group":"a.org","version":"v1","kind":"Two"},"scope":"Namespaced",
                 "singularResource":"two","verbs":["get"],"shortNames":["t"],"categories":["claim"],
                 "subresources":[{"subresource":"scale","responseKind":{"group":"autoscaling","version":"v1","kind":"Scale"},"verbs":["get"]}]},
                {"resource":"ones","responseKind":{"group":"a.org","version":"v1","kind":"One"},"scope":"Namespaced","verbs":["list"]}]}"#,
        )
        .unwrap();
        let entry = |name: &str, hash: &str| ResourceListEntry {
            name: name.to_owned(),
            storage_version_hash: hash.to_owned(),
        };
        version.list_entries = vec![entry("ones", "aGFzaA="), entry("twos", "")];
        version
    }

    fn body(serializer: Serializer) -> Bytes {
        let mut format = ResponseFormat::JSON;
        format.serializer = serializer;
        let list = RenderedResourceList::render("a.org", &version());
        list.body(format).unwrap()
    }

    #[test]
    fn list_matches_kube_apiserver() {
        let json = concat!(
            r#"{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"a.org/v1","resources":["#,
            r#"{"name":"ones","singularName":"","namespaced":true,"kind":"One","verbs":["list"],"storageVersionHash":"aGFzaA="},"#,
            r#"{"name":"twos","singularName":"two","namespaced":true,"kind":"Two","verbs":["get"],"shortNames":["t"],"categories":["claim"]},"#,
            r#"{"name":"twos/scale","singularName":"","namespaced":true,"group":"autoscaling","version":"v1","kind":"Scale","verbs":["get"]}]}"#,
            "\n"
        );
        assert_eq!(body(Serializer::Json), json);
        let yaml = body(Serializer::Yaml);
        assert!(
            yaml.starts_with(b"apiVersion: v1\ngroupVersion: a.org/v1\nkind: APIResourceList\nresources:\n- kind: One\n"),
            "{}",
            yaml.escape_ascii()
        );
        assert!(body(Serializer::Protobuf).starts_with(b"k8s\0"));
    }
}
