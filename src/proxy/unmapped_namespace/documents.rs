//! Empty lists and bookmarks, with the fields in kube-apiserver's order.

use bytes::Bytes;
use serde::Serialize;

use crate::proxy::context::ResourceKind;
use kube_wire::accept::{self, Form};

/// The version of empty lists and bookmarks.
///
/// The history of a control plane does not reach back to version 1. So if the namespace becomes mapped, a
/// watch that starts from this version fails with 410 and the client lists the claims. A watch from a
/// newer version would not contain the claims that are older. client-go rejects version 0
/// (`client-go/tools/watch/retrywatcher.go`, `apimachinery/pkg/util/resourceversion`).
const RESOURCE_VERSION: &str = "1";

/// The description of the name column, which every Table has
/// (`apiextensions-apiserver/pkg/registry/customresource/tableconvertor`).
const NAME_DESCRIPTION: &str = "Name must be unique within a namespace. Is required when creating resources, \
    although some resources may allow a client to request the generation of an appropriate name automatically. \
    Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. \
    More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// Returns an empty list in the requested form.
pub(super) fn list(kind: &ResourceKind, form: Form, is_indented: bool) -> Bytes {
    match form {
        Form::Object => to_json(
            &List {
                api_version: &kind.api_version,
                items: [],
                kind: &kind.list_kind,
                metadata: ListMeta {
                    r#continue: "",
                    resource_version: RESOURCE_VERSION,
                },
            },
            is_indented,
        ),
        Form::Table(version) => to_json(&Table::new(version, Vec::new()), is_indented),
        Form::Metadata(version) => to_json(
            &PartialObject {
                kind: "PartialObjectMetadataList",
                api_version: meta_version(version),
                metadata: Meta::default(),
                items: Some(()),
            },
            is_indented,
        ),
    }
}

fn to_json(value: &impl Serialize, is_indented: bool) -> Bytes {
    accept::json(value, is_indented).into()
}

fn meta_version(version: &str) -> String {
    format!("meta.k8s.io/{version}")
}

/// A list of custom resources. Their lists and bookmarks have fields in alphabetical order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    api_version: &'a str,
    items: [(); 0],
    kind: &'a str,
    metadata: ListMeta,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    r#continue: &'static str,
    resource_version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Table {
    kind: &'static str,
    api_version: String,
    metadata: Meta,
    column_definitions: [Column; 1],
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Column {
    name: &'static str,
    r#type: &'static str,
    format: &'static str,
    description: &'static str,
    priority: u8,
}

#[derive(Serialize)]
struct Row {
    cells: [&'static str; 1],
    object: PartialObject,
}

/// PartialObjectMetadata, or with `items` its list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PartialObject {
    kind: &'static str,
    api_version: String,
    metadata: Meta,
    /// `Some` is Go's nil slice, which is `null` in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<()>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    resource_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<InitialEvents>,
}

#[derive(Clone, Copy, Serialize)]
struct InitialEvents {
    #[serde(rename = "k8s.io/initial-events-end")]
    end: &'static str,
}

impl Default for Meta {
    fn default() -> Self {
        Self {
            resource_version: RESOURCE_VERSION,
            annotations: None,
        }
    }
}

impl Table {
    fn new(version: &str, rows: Vec<Row>) -> Self {
        Self {
            kind: "Table",
            api_version: meta_version(version),
            metadata: Meta::default(),
            column_definitions: [Column {
                name: "Name",
                r#type: "string",
                format: "name",
                description: NAME_DESCRIPTION,
                priority: 0,
            }],
            rows,
        }
    }
}

/// Returns a bookmark event in the requested form, with a newline at its end.
pub(super) fn bookmark(kind: &ResourceKind, form: Form, ends_initial_events: bool) -> Bytes {
    let annotations = ends_initial_events.then_some(InitialEvents { end: "true" });
    let partial = |version: &str| PartialObject {
        kind: "PartialObjectMetadata",
        api_version: meta_version(version),
        metadata: Meta {
            annotations,
            ..Meta::default()
        },
        items: None,
    };
    match form {
        Form::Object => event(&BareObject {
            api_version: &kind.api_version,
            kind: &kind.kind,
            metadata: BareObjectMeta {
                annotations,
                resource_version: RESOURCE_VERSION,
            },
        }),
        Form::Metadata(version) => event(&partial(version)),
        Form::Table(version) => {
            let row = Row {
                cells: [""],
                object: partial(version),
            };
            event(&Table::new(version, vec![row]))
        }
    }
}

fn event(object: &impl Serialize) -> Bytes {
    to_json(
        &Event {
            r#type: "BOOKMARK",
            object,
        },
        false,
    )
}

#[derive(Serialize)]
struct Event<'a, T> {
    r#type: &'static str,
    object: &'a T,
}

/// A custom resource with only the fields of a bookmark.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BareObject<'a> {
    api_version: &'a str,
    kind: &'a str,
    metadata: BareObjectMeta,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BareObjectMeta {
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<InitialEvents>,
    resource_version: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind() -> ResourceKind {
        ResourceKind {
            api_version: "a.org/v1".to_owned(),
            kind: "One".to_owned(),
            list_kind: "OneList".to_owned(),
            name_limit: claim_mapping::mapping::NameLimit::default(),
        }
    }

    #[test]
    fn lists_and_bookmarks_are_written_like_kube_apiserver() {
        for (form, expected) in [
            (
                Form::Object,
                r#"{"apiVersion":"a.org/v1","items":[],"kind":"OneList","metadata":{"continue":"","resourceVersion":"1"}}"#,
            ),
            (
                Form::Metadata("v1"),
                r#"{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"1"},"items":null}"#,
            ),
        ] {
            assert_eq!(list(&kind(), form, false), format!("{expected}\n"));
        }
        let indented = list(&kind(), Form::Object, true);
        assert!(indented.starts_with(b"{\n  \"apiVersion\": ") && indented.ends_with(b"}"));
        assert_eq!(
            bookmark(&kind(), Form::Object, true),
            concat!(
                r#"{"type":"BOOKMARK","object":{"apiVersion":"a.org/v1","kind":"One","metadata":"#,
                r#"{"annotations":{"k8s.io/initial-events-end":"true"},"resourceVersion":"1"}}}"#,
                "\n"
            )
        );
        let table = bookmark(&kind(), Form::Table("v1"), false);
        assert!(
            table.starts_with(br#"{"type":"BOOKMARK","object":{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"1"},"columnDefinitions":[{"name":"Name","type":"string","format":"name","description":"Name must "#),
            "{}",
            table.escape_ascii()
        );
    }
}
