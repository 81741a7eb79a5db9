//! YAML as Kubernetes reads and writes it, to JSON and back.
//!
//! kube-apiserver turns YAML into JSON and JSON into YAML (`sigs.k8s.io/yaml`, on `go.yaml.in/yaml/v2`),
//! with the rules of YAML 1.1 and some of its own. Here the same is done: [`to_json`] for request
//! bodies, [`from_json`] for answers. `document` is the tree of what was read, `scalar` says what a
//! scalar means, `decode` what a mapping holds. Bytes in, bytes out; no HTTP.
//!
//! What would have another meaning here than there is refused. Of what kube-apiserver leaves to chance
//! one way is taken.

mod decode;
mod document;
mod emit;
mod json;
mod number;
mod order;
mod quote;
mod scalar;
mod strict;
mod timestamp;

use std::thread;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Depth of nesting, with what aliases stand for, as `go.yaml.in/yaml/v2` bounds it.
const DEPTH_MAX: usize = 10_000;

/// Depth that the stack of any thread has room for.
const SHALLOW_DEPTH_MAX: usize = 200;

/// Room for the deepest, some 4 KiB a level in a development build. It is touched as far as it is used,
/// and given back at once.
const STACK_BYTES: usize = 96 << 20;

/// Keys and values of a document, each of which takes some hundred bytes.
const NODES_MAX: usize = 500_000;

/// Depths of all keys and values, added up: for each the parser looks at all levels around it.
const DEPTHS_MAX: usize = 250_000_000;

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// In the words of `go.yaml.in/yaml/v2`, where it refuses the same.
    #[error("{0}")]
    Refused(String),
    #[error("yaml: exceeded max depth of {max}")]
    TooDeep { max: usize },
    #[error("the document is longer than {max} bytes once it is converted")]
    TooLong { max: usize },
}

impl Error {
    fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }
}

/// A document in JSON.
#[derive(Debug, Eq, PartialEq)]
pub struct Converted {
    pub json: Vec<u8>,
    /// What a strict reader says of keys that are there twice, a line each.
    pub duplicates: Vec<String>,
}

/// The first document of a stream as JSON, in at most `bytes_max` bytes.
///
/// # Errors
/// It is no YAML, can't be said in JSON, or could be read in two ways.
pub fn to_json(yaml: &[u8], bytes_max: usize) -> Result<Converted, Error> {
    let text = document::text(yaml)?;
    // Elsewhere than at the beginning it is a letter to some readers and nothing to others.
    if text.contains(BYTE_ORDER_MARK) {
        return Err(Error::refused(
            "yaml: a byte order mark stands within the text",
        ));
    }
    at_any_depth(|depth_max| {
        let Some(root) = document::read(&text, depth_max)? else {
            return Ok(Converted {
                json: b"null".to_vec(),
                duplicates: Vec::new(),
            });
        };
        Ok(Converted {
            json: json::write(&root, depth_max, bytes_max)?,
            duplicates: strict::duplicates(&root, depth_max)?,
        })
    })
}

/// A JSON document as YAML, to the byte as kube-apiserver would write it, in little more than
/// `bytes_max` bytes at most.
///
/// # Errors
/// kube-apiserver could not write it either, since it reads the JSON as YAML for that; or it would be
/// longer, for indentation grows with the square of depth.
pub fn from_json(json: &[u8], bytes_max: usize) -> Result<String, Error> {
    let text = document::text(json)?;
    at_any_depth(|depth_max| match document::read(&text, depth_max)? {
        Some(root) => emit::write(&root, depth_max, bytes_max),
        None => Ok("null\n".to_owned()),
    })
}

/// Converts here what is shallow, as nearly everything is, and the rest where there is room for it.
fn at_any_depth<T: Send>(convert: impl Fn(usize) -> Result<T, Error> + Sync) -> Result<T, Error> {
    let converted = convert(SHALLOW_DEPTH_MAX);
    if !matches!(converted, Err(Error::TooDeep { .. })) {
        return converted;
    }
    thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(STACK_BYTES);
        let deep = builder.spawn_scoped(scope, || convert(DEPTH_MAX));
        let converted = deep.ok().and_then(|thread| thread.join().ok());
        converted.unwrap_or_else(|| Err(Error::refused("yaml: no room for a deep document")))
    })
}
