//! Converts YAML to JSON and back, as Kubernetes does.
//!
//! kube-apiserver converts between YAML and JSON with `sigs.k8s.io/yaml`, which is based on
//! `go.yaml.in/yaml/v2`: YAML 1.1 with exceptions. [`to_json`] does the same for request bodies, [`from_json`]
//! for responses.
//!
//! If this module would read a document differently from kube-apiserver, it returns an error. Where
//! kube-apiserver's result is random, because it depends on the order of a Go map, this module always chooses
//! the same result.
//!
//! Stages: `text` decodes bytes, `parse` builds the tree of `document`, `decode` applies merge keys, and
//! `scalar` resolves the types of scalars. `json` and `emit` write the result. `strict` finds duplicate keys.

mod decode;
mod document;
mod emit;
mod error;
mod json;
mod number;
mod order;
mod parse;
mod quote;
mod scalar;
mod strict;
mod text;
mod timestamp;

use std::thread;

pub use self::error::YamlError;
use self::text::BYTE_ORDER_MARK;

/// Maximum depth of nesting, including the nodes behind aliases. `go.yaml.in/yaml/v2` has the same limit.
const DEPTH_MAX: usize = 10_000;

/// Depth of nesting that fits the stack of any thread.
const SHALLOW_DEPTH_MAX: usize = 200;

/// Stack size for a document of [`DEPTH_MAX`], in bytes: about 4 KiB per level in a development build. Only the
/// used part becomes resident, and the thread frees it when it ends.
const STACK_BYTES: usize = 96 << 20;

/// A document converted to JSON.
#[derive(Debug, Eq, PartialEq)]
pub struct Converted {
    pub json: Vec<u8>,
    /// One message for each duplicate key, as strict decoding reports it.
    pub duplicates: Vec<String>,
}

/// Converts the first document of a stream to JSON of at most `bytes_max` bytes.
///
/// # Errors
/// The document is not YAML, has no equivalent in JSON, is ambiguous, or exceeds a limit.
pub fn to_json(yaml: &[u8], bytes_max: usize) -> Result<Converted, YamlError> {
    let text = text::decode_text(yaml)?;
    // Some parsers ignore a byte order mark inside the text. Others read it as a letter.
    if text.contains(BYTE_ORDER_MARK) {
        return Err(YamlError::invalid(
            "yaml: a byte order mark is inside the text",
        ));
    }
    with_enough_stack(|depth_max| {
        let Some(root) = parse::parse(&text, depth_max)? else {
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

/// Converts a JSON document to YAML. The result equals kube-apiserver's to the byte. It can exceed `bytes_max`
/// by the length of one value.
///
/// # Errors
/// The result is too long, because indentation grows with the square of the depth. Or kube-apiserver fails too,
/// because it parses the JSON as YAML for the conversion.
pub fn from_json(json: &[u8], bytes_max: usize) -> Result<String, YamlError> {
    let text = text::decode_text(json)?;
    with_enough_stack(|depth_max| match parse::parse(&text, depth_max)? {
        Some(root) => emit::write(&root, depth_max, bytes_max),
        None => Ok("null\n".to_owned()),
    })
}

/// Runs a conversion on this thread. If the document is too deep for it, runs it again on a thread
/// with a larger stack. Nearly all documents are shallow.
fn with_enough_stack<T: Send>(
    convert: impl Fn(usize) -> Result<T, YamlError> + Sync,
) -> Result<T, YamlError> {
    let converted = convert(SHALLOW_DEPTH_MAX);
    if !matches!(converted, Err(YamlError::TooDeep { .. })) {
        return converted;
    }
    thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(STACK_BYTES);
        let deep = builder.spawn_scoped(scope, || convert(DEPTH_MAX));
        let converted = deep.ok().and_then(|thread| thread.join().ok());
        converted.unwrap_or_else(|| {
            Err(YamlError::invalid(
                "yaml: no memory to convert a deeply nested document",
            ))
        })
    })
}
