//! `/apis/G/V`: an APIResourceList, in all that kube-apiserver writes one in.

use bytes::Bytes;
use serde::Serialize;

use super::document::{ApiResource, Subresource, Version};
use crate::accept::{self, Serializer};
use crate::status::Media;

/// A list in each of its forms; `None` if it can't be written so.
#[derive(Debug)]
pub(super) struct Listing {
    json: Bytes,
    indented: Bytes,
    yaml: Option<Bytes>,
    protobuf: Option<Bytes>,
}

/// The fields in the order in which kube-apiserver writes them
/// (`apimachinery/pkg/apis/meta/v1/types.go`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    kind: &'static str,
    api_version: &'static str,
    group_version: String,
    resources: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
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

impl Listing {
    pub(super) fn of(group: &str, version: &Version) -> Self {
        let mut resources: Vec<Entry<'_>> = Vec::new();
        for resource in &version.resources {
            resources.push(Entry::of(resource, version));
            for subresource in &resource.subresources {
                resources.push(Entry::of_subresource(group, resource, subresource));
            }
        }
        // The control plane's own order, as far as it is known.
        let place = |entry: &Entry<'_>| version.listed.iter().position(|l| l.name == entry.name);
        resources.sort_by_key(|entry| place(entry).unwrap_or(usize::MAX));
        let list = List {
            kind: "APIResourceList",
            api_version: "v1",
            group_version: format!("{group}/{}", version.version),
            resources,
        };
        let json = accept::json(&list, false);
        let written = |serializer: Serializer| {
            let written = serializer.write(json.as_bytes());
            written.ok().map(Bytes::from)
        };
        Self {
            indented: accept::json(&list, true).into(),
            yaml: written(Serializer::Yaml),
            protobuf: written(Serializer::Protobuf),
            json: json.into(),
        }
    }

    pub(super) fn written(&self, media: Media) -> Option<Bytes> {
        match media.serializer {
            Serializer::Json if media.is_indented() => Some(self.indented.clone()),
            Serializer::Json => Some(self.json.clone()),
            Serializer::Protobuf => self.protobuf.clone(),
            Serializer::Yaml => self.yaml.clone(),
        }
    }
}

impl<'a> Entry<'a> {
    fn of(resource: &'a ApiResource, version: &'a Version) -> Self {
        let mut listed = version.listed.iter();
        let listed = listed.find(|listed| listed.name == resource.resource);
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
            storage_version_hash: listed.map_or("", |listed| &listed.storage_version_hash),
        }
    }

    fn of_subresource(group: &str, of: &ApiResource, subresource: &'a Subresource) -> Self {
        let kind = subresource.response_kind.as_ref();
        // A kind of another group, such as Scale of autoscaling, is named with it.
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
    use super::super::document::Listed;
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
        let listed = |name: &str, hash: &str| Listed {
            name: name.to_owned(),
            storage_version_hash: hash.to_owned(),
        };
        version.listed = vec![listed("ones", "aGFzaA="), listed("twos", "")];
        version
    }

    fn written(serializer: Serializer) -> Bytes {
        let mut media = Media::JSON;
        media.serializer = serializer;
        Listing::of("a.org", &version()).written(media).unwrap()
    }

    #[test]
    fn a_list_is_as_kubernetes_writes_it() {
        let json = concat!(
            r#"{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"a.org/v1","resources":["#,
            r#"{"name":"ones","singularName":"","namespaced":true,"kind":"One","verbs":["list"],"storageVersionHash":"aGFzaA="},"#,
            r#"{"name":"twos","singularName":"two","namespaced":true,"kind":"Two","verbs":["get"],"shortNames":["t"],"categories":["claim"]},"#,
            r#"{"name":"twos/scale","singularName":"","namespaced":true,"group":"autoscaling","version":"v1","kind":"Scale","verbs":["get"]}]}"#,
            "\n"
        );
        assert_eq!(written(Serializer::Json), json);
        let yaml = written(Serializer::Yaml);
        assert!(
            yaml.starts_with(b"apiVersion: v1\ngroupVersion: a.org/v1\nkind: APIResourceList\nresources:\n- kind: One\n"),
            "{}",
            yaml.escape_ascii()
        );
        assert!(written(Serializer::Protobuf).starts_with(b"k8s\0"));
    }
}
