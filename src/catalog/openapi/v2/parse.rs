//! Parses an OpenAPI v2 document while it is received, on a separate thread. Skips everything that is not needed
//! without storing it.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read};

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use crate::catalog::openapi::group_version::ExposedGroupVersion;
use crate::catalog::openapi::references::collect_names;
use crate::upstream::ResponseBody;

pub(super) const DEFINITIONS_PREFIX: &str = "#/definitions/";

/// Definitions that are always kept in the first read, because nearly every other definition refers
/// to them and they precede it. With them, one read is enough for custom resources.
const COMMON_DEFINITIONS_PREFIX: &str = "io.k8s.apimachinery.";

/// Largest size of the kept part, in bytes of JSON.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// Length of the queue between the network and the parser, in chunks.
const CHUNKS_MAX: usize = 4;

#[derive(Debug, Default)]
pub(super) struct ParsedDocument {
    pub(super) paths: Map<String, Value>,
    pub(super) definitions: Map<String, Value>,
    pub(super) parameters: Map<String, Value>,
}

/// Reads a document once. Keeps exposed paths, the definitions that they refer to directly, and
/// those in `needed`.
///
/// # Errors
/// The body was interrupted, is not an OpenAPI document, or has more than [`KEPT_BYTES_MAX`] bytes
/// to keep.
pub(super) async fn parse(
    mut body: ResponseBody,
    exposed: Vec<ExposedGroupVersion>,
    needed: BTreeSet<String>,
) -> Result<ParsedDocument, String> {
    let (sender, chunks) = mpsc::channel::<Result<Bytes, String>>(CHUNKS_MAX);
    let parser = tokio::task::spawn_blocking(move || {
        let reader = io::BufReader::new(ChunkReader {
            chunks,
            current: Bytes::new(),
        });
        let mut json = serde_json::Deserializer::from_reader(reader);
        let document = DocumentSeed { exposed, needed }.deserialize(&mut json)?;
        json.end().map(|()| document)
    });
    while let Some(frame) = body.frame().await {
        let chunk = frame.map_err(|error| error.to_string());
        // Trailers have no data.
        let chunk = chunk.map(|frame| frame.into_data().unwrap_or_default());
        if sender.send(chunk).await.is_err() {
            // The parser failed and returns its error below.
            break;
        }
    }
    drop(sender);
    let parsed = parser.await.map_err(|error| error.to_string())?;
    parsed.map_err(|error| error.to_string())
}

/// Reads chunks on a thread that may block.
struct ChunkReader {
    chunks: mpsc::Receiver<Result<Bytes, String>>,
    current: Bytes,
}

impl Read for ChunkReader {
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

/// Deserializes the whole document.
struct DocumentSeed {
    exposed: Vec<ExposedGroupVersion>,
    needed: BTreeSet<String>,
}

impl<'de> DeserializeSeed<'de> for DocumentSeed {
    type Value = ParsedDocument;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<ParsedDocument, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for DocumentSeed {
    type Value = ParsedDocument;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an OpenAPI v2 document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<ParsedDocument, A::Error> {
        let mut document = ParsedDocument::default();
        while let Some(key) = members.next_key::<String>()? {
            match key.as_str() {
                "paths" => {
                    let exposed = &self.exposed;
                    let is_kept = |path: &str| exposed.iter().any(|one| one.has_path(path));
                    document.paths = members.next_value_seed(FilteredObject(is_kept))?;
                }
                "definitions" => {
                    let mut needed = self.needed.clone();
                    for path in document.paths.values() {
                        collect_names(path, DEFINITIONS_PREFIX, &mut needed);
                    }
                    let is_kept = |name: &str| {
                        name.starts_with(COMMON_DEFINITIONS_PREFIX) || needed.contains(name)
                    };
                    document.definitions = members.next_value_seed(FilteredObject(is_kept))?;
                }
                "parameters" => {
                    document.parameters =
                        members.next_value_seed(FilteredObject(|_: &str| true))?;
                }
                _ => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(document)
    }
}

/// Deserializes the members of an object whose keys pass the filter, and skips the others.
struct FilteredObject<F>(F);

impl<'de, F: Fn(&str) -> bool> DeserializeSeed<'de> for FilteredObject<F> {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, F: Fn(&str) -> bool> Visitor<'de> for FilteredObject<F> {
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
                let error = format!("the exposed part is longer than {KEPT_BYTES_MAX} bytes");
                return Err(serde::de::Error::custom(error));
            }
            kept.insert(key, value);
        }
        Ok(kept)
    }
}
