//! Answers for a local namespace that has no remote one.
//!
//! The namespace controller lists and deletes in every namespace and asks every group-version; what
//! is neither 200 nor 404 nor 405 there would block the namespace's deletion. Informers on such a
//! namespace have to sync, so a watch carries the bookmarks asked for and nothing else.

use std::num::{IntErrorKind, ParseIntError};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use serde::Serialize;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::accept::{self, Form};
use crate::body::Broken;
use crate::error::Error;
use crate::request_info::Query;
use crate::rewrite::Output;

/// What lists and bookmarks of nothing carry: a version that any later watch may start from.
const RESOURCE_VERSION: &str = "0";

/// Length of a watch whose client names none, the least of kube-apiserver's range
/// (`--min-request-timeout`).
const WATCH_S: u64 = 1800;

/// How often a watch that asked for bookmarks gets one, as from the watch cache.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// An object's group-version and kind, as lists and bookmarks name it.
#[derive(Clone, Debug)]
pub struct Kind {
    pub api_version: String,
    pub kind: String,
    pub list_kind: String,
}

/// The description of the column of names, which each Table has
/// (`apiextensions-apiserver/pkg/registry/customresource/tableconvertor`).
const NAME_DESCRIPTION: &str = "Name must be unique within a namespace. Is required when creating resources, \
    although some resources may allow a client to request the generation of an appropriate name automatically. \
    Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. \
    More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// An empty list in the form asked for, in the order of kube-apiserver's fields.
pub(super) fn list(kind: &Kind, form: Form, is_indented: bool) -> Bytes {
    match form {
        Form::Object => written(
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
        Form::Table(version) => written(&Table::of(version, Vec::new()), is_indented),
        Form::Metadata(version) => written(
            &Partial {
                kind: "PartialObjectMetadataList",
                api_version: meta_version(version),
                metadata: Meta::default(),
                items: Some(()),
            },
            is_indented,
        ),
    }
}

fn written(value: &impl Serialize, is_indented: bool) -> Bytes {
    accept::json(value, is_indented).into()
}

fn meta_version(version: &str) -> String {
    format!("meta.k8s.io/{version}")
}

/// Of custom resources, whose lists and bookmarks have their members in the order of the alphabet.
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
    object: Partial,
}

/// Metadata of an object, or with items of a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Partial {
    kind: &'static str,
    api_version: String,
    metadata: Meta,
    /// Go's nil.
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
    fn of(version: &str, rows: Vec<Row>) -> Self {
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

/// Refuses what kube-apiserver refuses of any list, as far as it can be seen without a parser of selectors
/// (`apimachinery/pkg/apis/meta/internalversion/validation`).
pub(super) fn validate(query: &Query, is_watch: bool) -> Result<(), Error> {
    let given = |key: &str| query.get(key).filter(|value| !value.is_empty());
    for key in ["timeoutSeconds", "limit"] {
        if let Some(text) = given(key) {
            text.parse::<i64>().map_err(|error| {
                Error::BadRequest(format!(
                    "strconv.ParseInt: parsing {text:?}: {}",
                    in_go(&error)
                ))
            })?;
        }
    }
    let matching = given("resourceVersionMatch");
    let refused = |field, why| Err(Error::ListOptions { field, why });
    match (is_watch, given("sendInitialEvents")) {
        (false, Some(_)) => {
            return refused(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for list",
            );
        }
        (true, Some(_)) if matching.is_none_or(|matching| matching != "NotOlderThan") => {
            return refused(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            );
        }
        (false, None) if matching.is_some() && given("resourceVersion").is_none() => {
            return refused(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            );
        }
        (true, None) if matching.is_some() => {
            return refused(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            );
        }
        _ => {}
    }
    if let Some(text) = given("resourceVersion")
        && let Err(error) = text.parse::<u64>()
    {
        let list = if is_watch {
            ""
        } else {
            "invalid resource version: "
        };
        return Err(Error::BadRequest(format!(
            "{list}resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: {}",
            in_go(&error)
        )));
    }
    Ok(())
}

fn in_go(error: &ParseIntError) -> &'static str {
    match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    }
}

/// A watch on nothing.
pub(super) struct EmptyWatch {
    /// Goes out first, with the headers.
    first: Option<Bytes>,
    /// Goes out again and again.
    bookmark: Option<Bytes>,
    next: Pin<Box<Sleep>>,
    end: Pin<Box<Sleep>>,
    draining: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl EmptyWatch {
    pub(super) fn new(kind: &Kind, form: Form, query: &Query, draining: CancellationToken) -> Self {
        let bookmarks = query.is_true("allowWatchBookmarks");
        let initial = bookmarks && query.is_true("sendInitialEvents");
        Self {
            first: initial.then(|| bookmark(kind, form, true)),
            bookmark: bookmarks.then(|| bookmark(kind, form, false)),
            next: Box::pin(tokio::time::sleep(BOOKMARK_EVERY)),
            end: Box::pin(tokio::time::sleep(Duration::from_secs(seconds(query)))),
            draining: Box::pin(draining.cancelled_owned()),
        }
    }
}

/// The length of a watch; 0 is as none (`apiserver/pkg/endpoints/handlers/get.go`).
fn seconds(query: &Query) -> u64 {
    let given = query.get("timeoutSeconds").and_then(|s| s.parse().ok());
    given.filter(|seconds| *seconds > 0).unwrap_or(WATCH_S)
}

fn bookmark(kind: &Kind, form: Form, ends_initial_events: bool) -> Bytes {
    let annotations = ends_initial_events.then_some(InitialEvents { end: "true" });
    let partial = |version: &str| Partial {
        kind: "PartialObjectMetadata",
        api_version: meta_version(version),
        metadata: Meta {
            annotations,
            ..Meta::default()
        },
        items: None,
    };
    match form {
        Form::Object => event(&Bare {
            api_version: &kind.api_version,
            kind: &kind.kind,
            metadata: BareMeta {
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
            event(&Table::of(version, vec![row]))
        }
    }
}

fn event(object: &impl Serialize) -> Bytes {
    written(
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

/// A custom resource of which there is nothing but what a bookmark tells.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bare<'a> {
    api_version: &'a str,
    kind: &'a str,
    metadata: BareMeta,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BareMeta {
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<InitialEvents>,
    resource_version: &'static str,
}

impl Body for EmptyWatch {
    type Data = Output;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Output>, Broken>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first.into()))));
        }
        if self.draining.as_mut().poll(context).is_ready()
            || self.end.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(None);
        }
        if let Some(bookmark) = self.bookmark.clone()
            && self.next.as_mut().poll(context).is_ready()
        {
            let next = tokio::time::Instant::now() + BOOKMARK_EVERY;
            self.next.as_mut().reset(next);
            return Poll::Ready(Some(Ok(Frame::data(bookmark.into()))));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind() -> Kind {
        Kind {
            api_version: "a.org/v1".to_owned(),
            kind: "One".to_owned(),
            list_kind: "OneList".to_owned(),
        }
    }

    #[test]
    fn a_watch_of_no_length_is_as_long_as_others() {
        for (query, length) in [
            ("", WATCH_S),
            ("timeoutSeconds=0", WATCH_S),
            ("timeoutSeconds=-1", WATCH_S),
            ("timeoutSeconds=5", 5),
        ] {
            assert_eq!(seconds(&Query::parse(query)), length, "{query}");
        }
    }

    #[test]
    fn lists_and_bookmarks_are_as_kubernetes_writes_them() {
        for (form, expected) in [
            (
                Form::Object,
                r#"{"apiVersion":"a.org/v1","items":[],"kind":"OneList","metadata":{"continue":"","resourceVersion":"0"}}"#,
            ),
            (
                Form::Metadata("v1"),
                r#"{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"0"},"items":null}"#,
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
                r#"{"annotations":{"k8s.io/initial-events-end":"true"},"resourceVersion":"0"}}}"#,
                "\n"
            )
        );
        let table = bookmark(&kind(), Form::Table("v1"), false);
        assert!(
            table.starts_with(br#"{"type":"BOOKMARK","object":{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"0"},"columnDefinitions":[{"name":"Name","type":"string","format":"name","description":"Name must "#),
            "{}",
            table.escape_ascii()
        );
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (query, is_watch, message) in [
            ("limit=5&timeoutSeconds=7&resourceVersion=8", false, ""),
            ("limit=&resourceVersion=", false, ""),
            (
                "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
                true,
                "",
            ),
            (
                "limit=x",
                false,
                r#"strconv.ParseInt: parsing "x": invalid syntax"#,
            ),
            (
                "timeoutSeconds=99999999999999999999",
                true,
                r#"strconv.ParseInt: parsing "99999999999999999999": value out of range"#,
            ),
            (
                "resourceVersion=abc",
                false,
                r#"invalid resource version: resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax"#,
            ),
            (
                "sendInitialEvents=true",
                false,
                r#"ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"#,
            ),
            (
                "sendInitialEvents=true",
                true,
                r#"ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"#,
            ),
            (
                "resourceVersionMatch=Exact",
                false,
                r#"ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"#,
            ),
        ] {
            let validated = validate(&Query::parse(query), is_watch);
            let told = validated.err().map(|error| error.to_string());
            assert_eq!(told.unwrap_or_default(), message, "{query}");
        }
    }
}
