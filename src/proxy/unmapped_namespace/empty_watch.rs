//! A watch of a namespace that is not mapped.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::documents;
use crate::body::{BrokenBody, ChunkSource};
use crate::proxy::context::ResourceKind;
use json_rewrite::Output;
use kube_wire::accept::Form;
use kube_wire::request_info::Query;

/// Length in seconds of a watch without `timeoutSeconds`: the minimum of kube-apiserver's range
/// (`--min-request-timeout`).
const WATCH_LENGTH_S: u64 = 1800;

/// The interval of bookmarks, as for kube-apiserver's watch cache.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);

/// A watch without events other than bookmarks.
pub(super) struct EmptyWatch {
    /// A bookmark that is sent at once, together with the headers.
    first: Option<Bytes>,
    /// The bookmark that is sent at every interval.
    bookmark: Option<Bytes>,
    next_bookmark: Pin<Box<Sleep>>,
    end: Pin<Box<Sleep>>,
    draining: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl EmptyWatch {
    pub(super) fn new(
        kind: &ResourceKind,
        form: Form,
        query: &Query,
        draining: CancellationToken,
    ) -> Self {
        let wants_bookmarks = query.is_true("allowWatchBookmarks");
        let wants_initial = wants_bookmarks && query.is_true("sendInitialEvents");
        Self {
            first: wants_initial.then(|| documents::bookmark(kind, form, true)),
            bookmark: wants_bookmarks.then(|| documents::bookmark(kind, form, false)),
            next_bookmark: Box::pin(tokio::time::sleep(BOOKMARK_INTERVAL)),
            end: Box::pin(tokio::time::sleep(Duration::from_secs(length_s(query)))),
            draining: Box::pin(draining.cancelled_owned()),
        }
    }
}

/// Returns the length of a watch; 0 counts as not set (`apiserver/pkg/endpoints/handlers/get.go`).
fn length_s(query: &Query) -> u64 {
    let given = query.get("timeoutSeconds").and_then(|s| s.parse().ok());
    given
        .filter(|seconds| *seconds > 0)
        .unwrap_or(WATCH_LENGTH_S)
}

impl ChunkSource for EmptyWatch {
    fn poll_chunk(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Output, BrokenBody>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first.into())));
        }
        if self.draining.as_mut().poll(context).is_ready()
            || self.end.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(None);
        }
        if let Some(bookmark) = self.bookmark.clone()
            && self.next_bookmark.as_mut().poll(context).is_ready()
        {
            let next = tokio::time::Instant::now() + BOOKMARK_INTERVAL;
            self.next_bookmark.as_mut().reset(next);
            return Poll::Ready(Some(Ok(bookmark.into())));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watch_without_timeout_has_default_length() {
        for (query, length) in [
            ("", WATCH_LENGTH_S),
            ("timeoutSeconds=0", WATCH_LENGTH_S),
            ("timeoutSeconds=-1", WATCH_LENGTH_S),
            ("timeoutSeconds=5", 5),
        ] {
            assert_eq!(length_s(&Query::parse(query)), length, "{query}");
        }
    }
}
