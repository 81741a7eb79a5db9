//! Duplicate keys, as strict decoding reports them (`go.yaml.in/yaml/v2`, `UnmarshalStrict`).

use super::decode::{Decoder, Key};
use super::document::{Child, NodeKind};
use super::error::YamlError;
use super::scalar::resolve;

/// Maximum number of messages, because aliases let a short document have very many duplicates.
const MESSAGES_MAX: usize = 1000;

/// Returns a message for each key that is set again, in the order of the document.
pub(super) fn duplicates(root: &Child, depth_max: usize) -> Result<Vec<String>, YamlError> {
    let mut messages = Vec::new();
    walk(&mut Decoder::new(depth_max), root, &mut messages)?;
    Ok(messages)
}

fn walk(decoder: &mut Decoder, child: &Child, messages: &mut Vec<String>) -> Result<(), YamlError> {
    decoder.enter(child)?;
    match &child.node.kind {
        // kube-apiserver resolves scalars even if a later key replaces them, so an invalid one is
        // an error.
        NodeKind::Scalar(scalar) => {
            resolve(scalar)?;
        }
        NodeKind::Sequence(items) => {
            for item in items {
                walk(decoder, item, messages)?;
            }
        }
        NodeKind::Mapping(members) => {
            let mut seen = std::collections::HashSet::new();
            decoder.members(members, &mut |decoder, key, value| {
                walk(decoder, value, messages)?;
                if !seen.insert(name(key)) && messages.len() < MESSAGES_MAX {
                    let line = value.line;
                    messages.push(format!("line {line}: key {} already set in map", name(key)));
                }
                Ok(())
            })?;
        }
    }
    decoder.leave(child);
    Ok(())
}

/// Returns the key as Go prints it with `%#v`.
fn name(key: &Key<'_>) -> String {
    match key {
        Key::Text(text) => quoted(text),
        key => key.text(),
    }
}

/// Quotes printable text as Go does (`strconv.Quote`).
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace('\n', "\\n").replace('\t', "\\t"))
}
