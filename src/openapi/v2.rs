//! OpenAPI v2, cut down while it streams.
//!
//! With a thousand CRDs the document has tens of MB, of which a few KB are wanted. It is parsed as it
//! comes, on a thread of its own, and only exposed paths and the definitions that they reach are
//! kept. A definition may come before the one that refers to it; then the document is read again.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read};

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::{Exposed, V2, refs};
use crate::upstream::ResponseBody;
use crate::upstream::source::{Fetched, Source};

const PREFIX: &str = "#/definitions/";

/// Parameters that paths share, named by a hash of what they say.
const PARAMETERS_PREFIX: &str = "#/parameters/";

/// The kinds that a definition is of.
const KINDS: &str = "x-kubernetes-group-version-kind";

/// Kept in the first pass whether anything refers to them or not, since everything does and they
/// come first: with them one pass is enough for custom resources.
const LIKELY: &str = "io.k8s.apimachinery.";

/// Passes over the document until nothing is missing.
const PASSES_MAX: usize = 8;

/// Bytes of what is kept, as JSON.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// Chunks between the network and the parser.
const CHUNKS_MAX: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) paths: Map<String, Value>,
    pub(super) definitions: Map<String, Value>,
    pub(super) parameters: Map<String, Value>,
}

impl Found {
    fn named_by_paths(&self, prefix: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for item in self.paths.values() {
            refs::names(item, prefix, &mut names);
        }
        names
    }
}

/// The document as it is now, unless it is the known one.
pub(super) async fn fetch(
    source: &Source,
    exposed: &[Exposed],
    known: Option<&V2>,
) -> Result<Option<(Option<String>, Found)>, String> {
    let mut wanted = BTreeSet::new();
    for _ in 0..PASSES_MAX {
        let etag = known.and_then(|known| known.etag.as_deref());
        let fetched = source.open("/openapi/v2", "application/json", etag).await?;
        let Fetched::Document { etag, body, .. } = fetched else {
            return Ok(None);
        };
        let mut found = pass(body, exposed.to_vec(), wanted).await?;
        let shared = found.named_by_paths(PARAMETERS_PREFIX);
        found.parameters.retain(|name, _| shared.contains(name));
        let from = found.named_by_paths(PREFIX);
        let (reached, missing) = refs::reached(from, &found.definitions, PREFIX);
        if missing.is_empty() {
            found.definitions.retain(|name, _| reached.contains(name));
            leave_exposed_kinds(&mut found.definitions, exposed);
            return Ok(Some((etag, found)));
        }
        wanted = reached;
        wanted.extend(missing);
    }
    Err(format!(
        "/openapi/v2 refers to definitions that it does not have after {PASSES_MAX} reads"
    ))
}

/// Says of definitions only that they are of exposed kinds.
///
/// The app cluster defines Kubernetes' own, such as Scale. Where its version has other words for one,
/// the aggregator keeps ours beside it by another name (kube-openapi's `pkg/aggregator`, which doesn't
/// compare kinds), and a kind with two definitions is one that no parser takes (apimachinery's
/// `pkg/util/managedfields/gvkparser.go`).
fn leave_exposed_kinds(definitions: &mut Map<String, Value>, exposed: &[Exposed]) {
    let is_exposed = |kind: &Value| {
        let part = |name| kind.get(name).and_then(Value::as_str).unwrap_or_default();
        let prefix = format!("apis/{}/{}", part("group"), part("version"));
        exposed.iter().any(|one| one.prefix == prefix)
    };
    for definition in definitions.values_mut().filter_map(Value::as_object_mut) {
        let Some(kinds) = definition.get_mut(KINDS).and_then(Value::as_array_mut) else {
            continue;
        };
        kinds.retain(is_exposed);
        if kinds.is_empty() {
            definition.remove(KINDS);
        }
    }
}

async fn pass(
    mut body: ResponseBody,
    exposed: Vec<Exposed>,
    wanted: BTreeSet<String>,
) -> Result<Found, String> {
    let (sender, chunks) = mpsc::channel::<Result<Bytes, String>>(CHUNKS_MAX);
    let parser = tokio::task::spawn_blocking(move || {
        let reader = io::BufReader::new(Chunks {
            chunks,
            current: Bytes::new(),
        });
        let mut json = serde_json::Deserializer::from_reader(reader);
        let found = DocumentSeed { exposed, wanted }.deserialize(&mut json)?;
        json.end().map(|()| found)
    });
    while let Some(frame) = body.frame().await {
        let chunk = frame.map_err(|error| error.to_string());
        let chunk = chunk.map(|frame| frame.into_data().unwrap_or_default());
        // A parser that has given up says why below.
        if sender.send(chunk).await.is_err() {
            break;
        }
    }
    drop(sender);
    let parsed = parser.await.map_err(|error| error.to_string())?;
    parsed.map_err(|error| format!("/openapi/v2: {error}"))
}

/// Chunks as a reader, for a thread that may wait.
struct Chunks {
    chunks: mpsc::Receiver<Result<Bytes, String>>,
    current: Bytes,
}

impl Read for Chunks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.current = chunk.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        let count = into.len().min(self.current.len());
        self.current
            .copy_to_slice(into.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

/// The whole document.
struct DocumentSeed {
    exposed: Vec<Exposed>,
    wanted: BTreeSet<String>,
}

impl<'de> DeserializeSeed<'de> for DocumentSeed {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Found, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for DocumentSeed {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an OpenAPI v2 document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Found, A::Error> {
        let mut found = Found::default();
        while let Some(key) = members.next_key::<String>()? {
            match key.as_str() {
                "paths" => {
                    let exposed = &self.exposed;
                    let keep = |path: &str| exposed.iter().any(|one| one.takes(path));
                    found.paths = members.next_value_seed(Keep(keep))?;
                }
                "definitions" => {
                    let mut wanted = found.named_by_paths(PREFIX);
                    wanted.extend(self.wanted.iter().cloned());
                    let keep = |name: &str| name.starts_with(LIKELY) || wanted.contains(name);
                    found.definitions = members.next_value_seed(Keep(keep))?;
                }
                "parameters" => found.parameters = members.next_value_seed(Keep(|_: &str| true))?,
                _ => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

/// Members of an object whose keys pass; the others are skipped.
struct Keep<F>(F);

impl<'de, F: Fn(&str) -> bool> DeserializeSeed<'de> for Keep<F> {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, F: Fn(&str) -> bool> Visitor<'de> for Keep<F> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let (mut kept, mut bytes) = (Map::new(), 0);
        while let Some(key) = members.next_key::<String>()? {
            if !self.0(&key) {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            let value: Value = members.next_value()?;
            bytes += key.len() + value.to_string().len();
            if bytes > KEPT_BYTES_MAX {
                let error = format!("more than {KEPT_BYTES_MAX} bytes of it are exposed");
                return Err(serde::de::Error::custom(error));
            }
            kept.insert(key, value);
        }
        Ok(kept)
    }
}
