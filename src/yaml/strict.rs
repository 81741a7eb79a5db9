//! Keys that are there twice, as a strict reader tells them (`go.yaml.in/yaml/v2`, `UnmarshalStrict`).

use super::Error;
use super::decode::{Decoder, Key};
use super::document::{Child, Kind};
use super::scalar::meaning;

/// Told at most, so that a short document with many aliases makes no long list.
const TOLD_MAX: usize = 1000;

/// A line for each key that is set again, in the order of the document.
pub(super) fn duplicates(root: &Child, depth_max: usize) -> Result<Vec<String>, Error> {
    let mut told = Vec::new();
    walk(&mut Decoder::new(depth_max), root, &mut told)?;
    Ok(told)
}

fn walk(decoder: &mut Decoder, child: &Child, told: &mut Vec<String>) -> Result<(), Error> {
    decoder.enter(child)?;
    match &child.node.kind {
        // Also of what is overwritten, kube-apiserver looks at the meaning.
        Kind::Scalar(scalar) => {
            meaning(scalar)?;
        }
        Kind::Sequence(items) => {
            for item in items {
                walk(decoder, item, told)?;
            }
        }
        Kind::Mapping(members) => {
            let mut seen = std::collections::HashSet::new();
            decoder.members(members, &mut |decoder, key, value| {
                walk(decoder, value, told)?;
                if !seen.insert(name(key)) && told.len() < TOLD_MAX {
                    let line = value.line;
                    told.push(format!("line {line}: key {} already set in map", name(key)));
                }
                Ok(())
            })?;
        }
    }
    decoder.leave(child);
    Ok(())
}

/// As `%#v` prints it in Go.
fn name(key: &Key<'_>) -> String {
    match key {
        Key::Text(text) => quoted(text),
        key => key.text(),
    }
}

/// As Go quotes a string (`strconv`, `Quote`), where it is printable.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace('\n', "\\n").replace('\t', "\\t"))
}
