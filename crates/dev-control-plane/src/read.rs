//! The verbs get and list.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};
use std::sync::Arc;

use super::body::Body;
use super::continue_token::ContinueToken;
use super::error::{StatusError, to_json};
use super::negotiate::{self, Form};
use super::partial_metadata::PartialMetadataList;
use super::reply;
use super::request::RecordedRequest;
use super::resource::Resource;
use super::selectors::Selectors;
use super::storage::{State, Store, key, prefix};
use super::stored_object::StoredObject;
use super::table::Table;
use super::watch_log::Compacted;

/// One page of a list.
struct Page {
    items: Vec<Arc<StoredObject>>,
    resource_version: u64,
    continue_token: Option<ContinueToken>,
    remaining: Option<usize>,
}

pub(crate) fn get(
    store: &Store,
    request: &RecordedRequest,
    resource: &Resource,
    (namespace, name): (&str, &str),
) -> Result<Response<Body>, StatusError> {
    let stored = store.read(|state| state.get(resource, &key(namespace, name)));
    let stored = stored.ok_or_else(|| StatusError::not_found(resource, name))?;
    reply::object(
        request,
        StatusCode::OK,
        resource,
        &stored.in_version(resource),
    )
}

pub(crate) fn list(
    store: &Store,
    request: &RecordedRequest,
    resource: &Resource,
    namespace: Option<&str>,
) -> Result<Response<Body>, StatusError> {
    let form = negotiate::form(request, true)?;
    let page = store.read(|state| page(state, request, resource, namespace))?;
    let metadata = page.metadata();
    let values = page.items.iter().map(|stored| &stored.value);
    let body = match form {
        Form::Object => {
            return Ok(reply::pieces(
                request,
                pieces(resource, &page.items, metadata),
            ));
        }
        Form::Partial { version } => to_json(&PartialMetadataList::of(values, metadata, version)),
        Form::Table { version, include } => {
            to_json(&Table::of(resource, values, metadata, version, include))
        }
    };
    Ok(reply::json(request, StatusCode::OK, body))
}

/// Returns a list in the form of custom resources: keys are sorted, so `kind` follows `items`.
pub(crate) fn pieces(
    resource: &Resource,
    items: &[Arc<StoredObject>],
    metadata: Value,
) -> Vec<Bytes> {
    let mut pieces = Vec::with_capacity(items.len() * 2 + 2);
    let head = format!(
        "{{\"apiVersion\":{},\"items\":[",
        json!(resource.api_version())
    );
    pieces.push(Bytes::from(head));
    for (index, stored) in items.iter().enumerate() {
        if index > 0 {
            pieces.push(Bytes::from_static(b","));
        }
        pieces.push(stored.json.clone());
    }
    let tail = format!(
        "],\"kind\":{},\"metadata\":{metadata}}}\n",
        json!(resource.list_kind())
    );
    pieces.push(Bytes::from(tail));
    pieces
}

pub(crate) fn selectors(request: &RecordedRequest) -> Result<Selectors, StatusError> {
    let parameter = |name| request.parameter(name).unwrap_or_default();
    Selectors::parse(&parameter("labelSelector"), &parameter("fieldSelector"))
}

fn page(
    state: &State,
    request: &RecordedRequest,
    resource: &Resource,
    namespace: Option<&str>,
) -> Result<Page, StatusError> {
    let selectors = selectors(request)?;
    let limit = negotiate::number(request, "limit")?.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let prefix = prefix(namespace);
    let token = request
        .parameter("continue")
        .filter(|token| !token.is_empty());
    let token = token.as_deref().map(ContinueToken::decode).transpose()?;
    let at = match &token {
        Some(token) => u64::try_from(token.rv).ok(),
        None => list_version(state, request)?,
    };
    let snapshot = state
        .snapshot(resource, &prefix, at)
        .map_err(|compacted| expired(compacted, token.as_ref(), at))?;
    let start = token
        .map(|token| format!("{prefix}{}", token.start))
        .unwrap_or_default();
    let mut rest = snapshot
        .objects
        .into_iter()
        .filter(|(key, _)| *key >= start);
    let mut items = Vec::new();
    let mut last = String::new();
    while items.len() < limit {
        let Some((key, stored)) = rest.next() else {
            break;
        };
        if selectors.matches(&stored.value) {
            items.push(stored);
        }
        last = key;
    }
    let remaining = rest.count();
    let resource_version = snapshot.resource_version;
    let relative = last.strip_prefix(&prefix).unwrap_or(&last);
    let continue_token = (remaining > 0).then(|| {
        ContinueToken::after(
            relative,
            i64::try_from(resource_version).unwrap_or(i64::MAX),
        )
    });
    // With a selector, the number is unknown (apiserver pkg/storage/etcd3/store.go).
    let remaining = Some(remaining).filter(|count| *count > 0 && selectors.is_empty());
    Ok(Page {
        items,
        resource_version,
        continue_token,
        remaining,
    })
}

/// Returns the resourceVersion of a first page, or `None` for the newest.
fn list_version(state: &State, request: &RecordedRequest) -> Result<Option<u64>, StatusError> {
    let Some(requested) = negotiate::number(request, "resourceVersion")? else {
        return Ok(None);
    };
    let current = state.log.latest();
    if requested > current {
        return Err(StatusError::too_large_resource_version(requested, current));
    }
    let exact = request.parameter("resourceVersionMatch").as_deref() == Some("Exact");
    Ok(exact.then_some(requested))
}

/// Returns a 410 for a compacted resourceVersion. For an expired token, it contains a new one that continues
/// with the newest state (storage/etcd3/errors.go).
fn expired(compacted: Compacted, token: Option<&ContinueToken>, at: Option<u64>) -> StatusError {
    let Some(token) = token else {
        let requested = at.unwrap_or_default();
        return StatusError::expired(format!(
            "too old resource version: {requested} ({})",
            compacted.oldest
        ));
    };
    let mut error = StatusError::expired(
        "The provided continue parameter is too old to display a consistent list result. You can \
         start a new list without the continue parameter, or use the continue token in this \
         response to retrieve the remainder of the results. Continuing with the provided token \
         results in an inconsistent list - objects that were created, modified, or deleted between \
         the time the first chunk was returned and now may show up in the list.",
    );
    error
        .metadata
        .insert("continue".to_owned(), json!(token.at_newest().encode()));
    error
}

impl Page {
    fn metadata(&self) -> Value {
        let mut metadata = Map::new();
        if let Some(token) = &self.continue_token {
            metadata.insert("continue".to_owned(), json!(token.encode()));
        }
        if let Some(remaining) = self.remaining {
            metadata.insert("remainingItemCount".to_owned(), json!(remaining));
        }
        metadata.insert(
            "resourceVersion".to_owned(),
            json!(self.resource_version.to_string()),
        );
        Value::Object(metadata)
    }
}
