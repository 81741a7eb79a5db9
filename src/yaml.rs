//! YAML as Kubernetes reads and writes it, to JSON and back.
//!
//! kube-apiserver turns YAML into JSON and JSON into YAML (`sigs.k8s.io/yaml`, on `go.yaml.in/yaml/v2`),
//! with the rules of YAML 1.1 and some of its own. Here the same is done: [`to_json`] for request
//! bodies, [`from_json`] for answers. `document` is the tree of what was read, `scalar` says what a
//! scalar means, `decode` what a mapping holds. Bytes in, bytes out; no HTTP.
//!
//! What would have another meaning here than there is refused.

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
mod wide;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Depth of nesting that is read; more would be at the stack's cost. kube-apiserver allows 10,000.
const DEPTH_MAX: usize = 500;

/// Keys and values of a document, each of which takes some hundred bytes.
const NODES_MAX: usize = 500_000;

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// In the words of `go.yaml.in/yaml/v2`, where it refuses the same.
    #[error("{0}")]
    Refused(String),
    #[error("the document is longer than {max} bytes as JSON")]
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
    let yaml = &*wide::to_utf8(yaml)?;
    // Elsewhere than at the beginning it is a letter to some readers and nothing to others.
    let holds_mark = |yaml: &[u8]| {
        yaml.windows(BYTE_ORDER_MARK.len())
            .any(|w| w == BYTE_ORDER_MARK)
    };
    if yaml.get(1..).is_some_and(holds_mark) {
        return Err(Error::refused(
            "yaml: a byte order mark stands within the text",
        ));
    }
    let Some(root) = document::read(yaml)? else {
        return Ok(Converted {
            json: b"null".to_vec(),
            duplicates: Vec::new(),
        });
    };
    Ok(Converted {
        json: json::write(&root, bytes_max)?,
        duplicates: strict::duplicates(&root)?,
    })
}

/// A JSON document as YAML, to the byte as kube-apiserver would write it.
///
/// # Errors
/// kube-apiserver could not write it either, since it reads the JSON as YAML for that.
pub fn from_json(json: &[u8]) -> Result<String, Error> {
    match document::read(json)? {
        Some(root) => emit::write(&root),
        None => Ok("null\n".to_owned()),
    }
}
