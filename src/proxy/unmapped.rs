//! Answers for a local namespace that has no remote one.
//!
//! The namespace controller lists and deletes in every namespace and asks every group-version; what
//! is neither 200 nor 404 nor 405 there would block the namespace's deletion. Informers on such a
//! namespace have to sync, so a watch carries the bookmarks asked for and nothing else.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use serde_json::{Value, json};
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::accept::Form;
use crate::body::Broken;
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

/// An empty list in the form asked for.
pub(super) fn list(kind: &Kind, form: Form) -> Bytes {
    let metadata = json!({"resourceVersion": RESOURCE_VERSION});
    let list = match form {
        Form::Object => json!({
            "apiVersion": kind.api_version, "items": [], "kind": kind.list_kind,
            "metadata": metadata,
        }),
        Form::Table(version) => json!({
            "kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": metadata,
            "columnDefinitions": [{"name": "Name", "type": "string", "format": "name",
                "description": "Name must be unique within a namespace.", "priority": 0}],
            "rows": [],
        }),
        Form::Metadata(version) => json!({
            "kind": "PartialObjectMetadataList", "apiVersion": format!("meta.k8s.io/{version}"),
            "metadata": metadata, "items": [],
        }),
    };
    line(&list)
}

fn line(value: &Value) -> Bytes {
    let mut text = value.to_string();
    text.push('\n');
    text.into()
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
        let truth = |key: &str| query.get(key).is_some_and(|v| v != "0" && v != "false");
        let seconds = query
            .get("timeoutSeconds")
            .and_then(|s| s.parse().ok())
            .unwrap_or(WATCH_S);
        let bookmarks = truth("allowWatchBookmarks");
        let initial = bookmarks && truth("sendInitialEvents");
        Self {
            first: initial.then(|| bookmark(kind, form, true)),
            bookmark: bookmarks.then(|| bookmark(kind, form, false)),
            next: Box::pin(tokio::time::sleep(BOOKMARK_EVERY)),
            end: Box::pin(tokio::time::sleep(Duration::from_secs(seconds))),
            draining: Box::pin(draining.cancelled_owned()),
        }
    }
}

fn bookmark(kind: &Kind, form: Form, ends_initial_events: bool) -> Bytes {
    let mut metadata = json!({"resourceVersion": RESOURCE_VERSION, "creationTimestamp": null});
    if ends_initial_events && let Some(metadata) = metadata.as_object_mut() {
        let annotations = json!({"k8s.io/initial-events-end": "true"});
        metadata.insert("annotations".to_owned(), annotations);
    }
    let partial = |version: &str| {
        json!({"kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{version}"),
            "metadata": metadata})
    };
    let object = match form {
        Form::Object => {
            json!({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata})
        }
        Form::Metadata(version) => partial(version),
        Form::Table(version) => json!({
            "kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"),
            "metadata": {"resourceVersion": RESOURCE_VERSION}, "columnDefinitions": [],
            "rows": [{"cells": [], "object": partial(version)}],
        }),
    };
    line(&json!({"type": "BOOKMARK", "object": object}))
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
