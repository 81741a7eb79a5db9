//! The verb watch: initial events, events from the log, bookmarks, and the timeout
//! (apiserver pkg/storage/cacher, pkg/endpoints/handlers/{get,watch}.go).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use super::api_server::ApiServer;
use super::body::{self, Body};
use super::error::{Cause, StatusError, to_json};
use super::negotiate::{self, Form};
use super::object;
use super::partial_metadata::PartialMetadata;
use super::read;
use super::reply;
use super::request::{RecordedRequest, is_true};
use super::resource::Resource;
use super::selectors::Selectors;
use super::storage::{State, prefix};
use super::stored_object::StoredObject;
use super::table::Table;
use super::watch_log::{Change, Event};

/// Number of events that a slow client can leave unread. Beyond it, the watch pauses, and ends with an error if
/// its position is compacted.
const EVENTS_IN_FLIGHT_MAX: usize = 16;

/// The duration of a watch without `timeoutSeconds` (apiserver min-request-timeout).
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(1800);

/// The annotation of the bookmark after the initial events (KEP-3157).
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// The options of a watch and its position in the log.
struct Watch {
    resource: Arc<Resource>,
    prefix: String,
    selectors: Selectors,
    form: Form,
    bookmarks: bool,
    position: u64,
    /// The column definitions have been sent.
    columns_sent: bool,
    out: mpsc::Sender<Bytes>,
}

/// Error: the client closed the watch.
struct ClientGone;

/// The initial state of a watch.
struct Start {
    initial: Vec<Arc<StoredObject>>,
    position: u64,
    end_of_initial: bool,
}

pub(crate) fn watch(
    server: &Arc<ApiServer>,
    request: &RecordedRequest,
    resource: &Arc<Resource>,
    namespace: Option<&str>,
) -> Result<Response<Body>, StatusError> {
    let selectors = read::selectors(request)?;
    let form = negotiate::form(request, false)?;
    let prefix = prefix(namespace);
    let flag = |name| request.parameter(name).is_some_and(|value| is_true(&value));
    let start = server
        .store
        .read(|state| start(state, request, resource, &prefix))?;
    let timeout = negotiate::number(request, "timeoutSeconds")?.filter(|seconds| *seconds > 0);
    let timeout = timeout.map_or(TIMEOUT_DEFAULT, Duration::from_secs);
    let (out, receiver) = mpsc::channel(EVENTS_IN_FLIGHT_MAX);
    let watch = Watch {
        resource: Arc::clone(resource),
        prefix,
        selectors,
        form,
        bookmarks: flag("allowWatchBookmarks"),
        position: start.position,
        columns_sent: false,
        out,
    };
    let deadline = Instant::now() + timeout;
    // The task ends when the response body is dropped.
    tokio::spawn(watch.run(Arc::clone(server), start, deadline));
    Ok(reply::response(
        StatusCode::OK,
        "application/json",
        body::stream(receiver),
    ))
}

fn start(
    state: &State,
    request: &RecordedRequest,
    resource: &Resource,
    prefix: &str,
) -> Result<Start, StatusError> {
    let requested = negotiate::number(request, "resourceVersion")?.filter(|version| *version > 0);
    let current = state.log.latest();
    let stream_initial = request.parameter("sendInitialEvents");
    if let Some(requested) = requested.filter(|version| *version > current) {
        return Err(StatusError::too_large_resource_version(requested, current));
    }
    if stream_initial.is_some()
        && request.parameter("resourceVersionMatch").as_deref() != Some("NotOlderThan")
    {
        let message = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to \
                       NotOlderThan"
            .to_owned();
        let field = "resourceVersionMatch".to_owned();
        let cause = Cause {
            field,
            reason: "FieldValueForbidden",
            message,
        };
        return Err(StatusError::invalid(resource, "", &[cause]));
    }
    let stream_initial = stream_initial.map(|value| is_true(&value));
    let send_initial = stream_initial.unwrap_or_else(|| requested.is_none());
    let initial = if send_initial {
        let snapshot = state
            .snapshot(resource, prefix, None)
            .map_err(|gone| too_old(0, gone.oldest))?;
        snapshot
            .objects
            .into_iter()
            .map(|(_, stored)| stored)
            .collect()
    } else {
        Vec::new()
    };
    let position = if send_initial {
        current
    } else {
        requested.unwrap_or(current)
    };
    Ok(Start {
        initial,
        position,
        end_of_initial: stream_initial == Some(true),
    })
}

impl Watch {
    async fn run(mut self, server: Arc<ApiServer>, start: Start, deadline: Instant) {
        let mut changed = server.store.subscribe();
        if self.begin(start).await.is_err() {
            return;
        }
        let every = server.bookmark_interval;
        let mut bookmark = interval_at(Instant::now() + every, every);
        bookmark.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            changed.mark_unchanged();
            match server.store.read(|state| state.log.since(self.position)) {
                Ok(events) => {
                    if self.send_events(&events).await.is_err() {
                        return;
                    }
                }
                Err(gone) => {
                    let status = too_old(self.position, gone.oldest).to_status();
                    let _ = self.send("ERROR", &status).await;
                    return;
                }
            }
            tokio::select! {
                biased;
                () = self.out.closed() => return,
                changed = changed.changed() => if changed.is_err() { return },
                _ = bookmark.tick(), if self.bookmarks => {
                    if self.send_bookmark(false).await.is_err() {
                        return;
                    }
                }
                () = sleep_until(deadline) => {
                    if self.bookmarks {
                        let _ = self.send_bookmark(false).await;
                    }
                    return;
                }
            }
        }
    }

    async fn begin(&mut self, start: Start) -> Result<(), ClientGone> {
        for stored in start.initial {
            if self.selectors.matches(&stored.value) {
                self.send_object("ADDED", &stored).await?;
            }
        }
        if start.end_of_initial && self.bookmarks {
            self.send_bookmark(true).await?;
        }
        Ok(())
    }

    async fn send_events(&mut self, events: &[Arc<Event>]) -> Result<(), ClientGone> {
        let resource = self.resource.group_resource();
        for event in events {
            self.position = event.resource_version;
            if event.resource != resource || !event.key.starts_with(&self.prefix) {
                continue;
            }
            if let Some((kind, stored)) = self.visible(event) {
                self.send_object(kind, &stored.in_version(&self.resource))
                    .await?;
            }
        }
        Ok(())
    }

    /// Returns the type and the object of the event for this watch. An object that starts or stops matching the
    /// selectors appears as added or deleted.
    fn visible(&self, event: &Event) -> Option<(&'static str, Arc<StoredObject>)> {
        let matches = |stored: &StoredObject| self.selectors.matches(&stored.value);
        match &event.change {
            Change::Added { object } => matches(object).then(|| ("ADDED", Arc::clone(object))),
            Change::Deleted { previous, last } => {
                matches(previous).then(|| ("DELETED", Arc::clone(last)))
            }
            Change::Modified { previous, object } => match (matches(previous), matches(object)) {
                (true, true) => Some(("MODIFIED", Arc::clone(object))),
                (false, true) => Some(("ADDED", Arc::clone(object))),
                (true, false) => {
                    let mut last = previous.value.clone();
                    let version = event.resource_version.to_string();
                    object::set_meta(&mut last, "resourceVersion", version);
                    Some(("DELETED", Arc::new(StoredObject::new(last))))
                }
                (false, false) => None,
            },
        }
    }

    async fn send_bookmark(&mut self, end_of_initial: bool) -> Result<(), ClientGone> {
        let mut metadata = json!({"resourceVersion": self.position.to_string()});
        if let (true, Some(map)) = (end_of_initial, metadata.as_object_mut()) {
            map.insert(
                "annotations".to_owned(),
                json!({INITIAL_EVENTS_END: "true"}),
            );
        }
        let bookmark = json!({
            "apiVersion": self.resource.api_version(),
            "kind": self.resource.kind,
            "metadata": metadata,
        });
        self.send_object("BOOKMARK", &StoredObject::new(bookmark))
            .await
    }

    async fn send_object(&mut self, kind: &str, stored: &StoredObject) -> Result<(), ClientGone> {
        let converted = self.convert(&stored.value);
        let json = converted.as_deref().unwrap_or(&stored.json);
        self.send(kind, json).await
    }

    /// Returns the object in the negotiated form, or `None` if that is the object itself.
    fn convert(&mut self, value: &Value) -> Option<Vec<u8>> {
        match self.form {
            Form::Object => None,
            Form::Partial { version } => Some(to_json(&PartialMetadata::of(value, version))),
            Form::Table { version, include } => {
                let resource_version = object::meta(value, "resourceVersion");
                let metadata = json!({"resourceVersion": resource_version});
                let objects = std::iter::once(value);
                let mut table = Table::of(&self.resource, objects, metadata, version, include);
                if self.columns_sent {
                    table = table.without_columns();
                }
                self.columns_sent = true;
                Some(to_json(&table))
            }
        }
    }

    async fn send(&self, kind: &str, object: &[u8]) -> Result<(), ClientGone> {
        let mut event = Vec::with_capacity(object.len() + 40);
        event.extend_from_slice(format!("{{\"type\":\"{kind}\",\"object\":").as_bytes());
        event.extend_from_slice(object);
        event.extend_from_slice(b"}\n");
        self.out
            .send(Bytes::from(event))
            .await
            .map_err(|_| ClientGone)
    }
}

fn too_old(requested: u64, oldest: u64) -> StatusError {
    StatusError::expired(format!("too old resource version: {requested} ({oldest})"))
}
