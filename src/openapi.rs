//! OpenAPI v2 and v3 of the exposed resources, with the definitions that they reach and no others.
//!
//! v3 is fetched for each exposed group-version alone. v2 is one document for everything that a
//! control plane serves, so it is cut down while it streams in. Both are read again only when they
//! change.

mod refs;
mod v2;
mod v3;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use crate::discovery::{Answer, Asked, Catalog, Document, Media, Rendered, negotiate};
use crate::upstream::source::Source;

/// A group-version and what is exposed of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Exposed {
    /// `apis/G/V`.
    pub(crate) prefix: String,
    pub(crate) resources: BTreeSet<String>,
}

/// What is known of one control plane's OpenAPI.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenApi {
    /// What it was cut down to.
    exposed: Vec<Exposed>,
    v2: Option<V2>,
    /// By prefix, with the hash in the index.
    v3: BTreeMap<String, (String, Arc<Value>)>,
    v3_seen: bool,
}

/// Paths of OpenAPI v2, and the definitions and shared parameters that they refer to.
#[derive(Clone, Debug)]
struct V2 {
    etag: Option<String>,
    paths: Arc<Map<String, Value>>,
    definitions: Arc<Map<String, Value>>,
    parameters: Arc<Map<String, Value>>,
}

impl Exposed {
    /// Whether a path such as `/apis/G/V/namespaces/{namespace}/R/{name}` is one of an exposed
    /// resource.
    fn takes(&self, path: &str) -> bool {
        let path = path.trim_start_matches('/');
        let Some(rest) = path.strip_prefix(self.prefix.as_str()) else {
            return false;
        };
        let Some(rest) = rest.strip_prefix('/') else {
            return rest.is_empty();
        };
        let rest = rest.strip_prefix("watch/").unwrap_or(rest);
        let rest = rest.strip_prefix("namespaces/{namespace}/").unwrap_or(rest);
        let resource = rest.split('/').next().unwrap_or_default();
        resource.is_empty() || self.resources.contains(resource)
    }
}

/// Reads what has changed; `None` if nothing has.
pub(crate) async fn fetch(
    source: &Source,
    exposed: &[Exposed],
    mut known: OpenApi,
) -> Result<Option<OpenApi>, String> {
    let anew = known.exposed != exposed;
    let mut changed = anew;
    if let Some((etag, found)) =
        v2::fetch(source, exposed, known.v2.as_ref().filter(|_| !anew)).await?
    {
        known.v2 = Some(V2 {
            etag,
            paths: Arc::new(found.paths),
            definitions: Arc::new(found.definitions),
            parameters: Arc::new(found.parameters),
        });
        changed = true;
    }
    changed |= v3::fetch(source, exposed, &mut known.v3, anew).await?;
    changed |= !known.v3_seen;
    known.v3_seen = true;
    known.exposed = exposed.to_vec();
    Ok(changed.then_some(known))
}

impl OpenApi {
    pub(crate) fn is_seen(&self) -> bool {
        self.v2.is_some() && self.v3_seen
    }

    /// The documents of all control planes together.
    pub(crate) fn render(all: &[&Self], rendered: &mut Rendered) {
        let (mut paths, mut definitions) = (Map::new(), Map::new());
        let mut parameters = Map::new();
        let mut index = Map::new();
        for openapi in all {
            if let Some(v2) = &openapi.v2 {
                add(&mut paths, &v2.paths);
                add(&mut definitions, &v2.definitions);
                add(&mut parameters, &v2.parameters);
            }
            for (prefix, (_, value)) in &openapi.v3 {
                let document = Document::json(&**value);
                let hash = document
                    .etag
                    .to_str()
                    .unwrap_or_default()
                    .trim_matches('"')
                    .to_owned();
                let url = format!("/openapi/v3/{prefix}?hash={hash}");
                index.insert(prefix.clone(), json!({"serverRelativeURL": url}));
                rendered.openapi_v3_of.insert(prefix.clone(), document);
            }
        }
        rendered.openapi_v2 = Document::json(&json!({
            "swagger": "2.0",
            "info": {"title": "claimgate", "version": env!("CARGO_PKG_VERSION")},
            "paths": paths,
            "definitions": definitions,
            "parameters": parameters,
        }));
        rendered.openapi_v3 = Document::json(&json!({"paths": index}));
    }
}

/// What two control planes both have is of Kubernetes' own; the first's is as good.
fn add(to: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (key, value) in from {
        to.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

/// Answers `/openapi/v2`, `/openapi/v3` and `/openapi/v3/apis/G/V`.
pub fn answer(catalog: &Catalog, asked: &Asked<'_>) -> Answer {
    let rendered = catalog.rendered();
    if negotiate(asked.accept, &[Media::Json]).is_none() {
        return unacceptable();
    }
    let below = asked
        .path
        .trim_end_matches('/')
        .strip_prefix("/openapi/v3/");
    if let Some(prefix) = below {
        if let Some(document) = rendered.openapi_v3_of.get(prefix) {
            return immutable(
                Answer::document(document, "application/json", asked),
                document,
                asked,
            );
        }
        let parts: Vec<&str> = prefix.split('/').collect();
        return match parts.as_slice() {
            ["apis", group, version] => match catalog.unseen_of(group, Some(version)) {
                Some(unseen) => Answer::Unseen(unseen),
                None => Answer::NotFound,
            },
            _ => Answer::NotFound,
        };
    }
    if let Some(unseen) = catalog.unseen_openapi() {
        return Answer::Unseen(unseen);
    }
    match asked.path.trim_end_matches('/') {
        "/openapi/v2" => Answer::document(&rendered.openapi_v2, "application/json", asked),
        "/openapi/v3" => Answer::document(&rendered.openapi_v3, "application/json", asked),
        _ => Answer::NotFound,
    }
}

/// Without a Status, as kube-openapi's own handler says it (`pkg/handler3/handler.go`).
fn unacceptable() -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    Answer::Document {
        status: StatusCode::NOT_ACCEPTABLE,
        headers,
        body: bytes::Bytes::new(),
    }
}

/// A document asked for by its hash may be kept for good. One asked for by another hash is served
/// all the same: kube-openapi's own handler redirects, which the aggregator turns into a 502.
fn immutable(mut answer: Answer, document: &Document, asked: &Asked<'_>) -> Answer {
    let hash = document.etag.to_str().unwrap_or_default().trim_matches('"');
    let matches = url::form_urlencoded::parse(asked.query.as_bytes())
        .any(|(key, value)| key == "hash" && value == hash);
    if let Answer::Document { headers, .. } = &mut answer {
        let control = if matches {
            headers.extend(in_a_year().map(|date| (header::EXPIRES, date)));
            "public, immutable"
        } else {
            "no-cache, private"
        };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(control));
    }
    answer
}

/// What kube-openapi takes for never. Without it client-go's cache asks again each time, for it takes no
/// notice of `immutable`.
fn in_a_year() -> Option<HeaderValue> {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let date = (OffsetDateTime::now_utc() + Duration::days(365)).format(format);
    HeaderValue::from_str(&date.ok()?).ok()
}
