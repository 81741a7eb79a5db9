//! Paths of rules: `$`, followed by any number of `.key`, `["any key"]` and `[*]`.

use super::escape;

/// One step of a path.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Segment {
    /// `.key` or `["any key"]`, unescaped.
    Key(Box<[u8]>),
    /// `[*]`, every element of an array.
    Elements,
}

/// Parses a path. Returns `None` if it is invalid.
pub(super) fn parse(path: &str) -> Option<Vec<Segment>> {
    let mut rest = path.strip_prefix('$')?;
    let mut segments = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("[*]") {
            segments.push(Segment::Elements);
            rest = after;
        } else if let Some(after) = rest.strip_prefix("[\"") {
            let (key, after) = quoted(after)?;
            segments.push(Segment::Key(key));
            rest = after.strip_prefix(']')?;
        } else {
            let after = rest.strip_prefix('.')?;
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (key, after) = after.split_at(end);
            if key.is_empty() {
                return None;
            }
            segments.push(Segment::Key(key.as_bytes().into()));
            rest = after;
        }
    }
    Some(segments)
}

/// Parses the JSON string in `["any key"]`. Returns the key and the rest of the path after the closing quote.
fn quoted(path: &str) -> Option<(Box<[u8]>, &str)> {
    let mut escaped = false;
    let end = path.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    let (raw, after) = path.split_at_checked(end)?;
    let mut key = Vec::new();
    escape::unescape(raw.as_bytes(), &mut key)?;
    // A lone surrogate equals no key.
    std::str::from_utf8(&key).ok()?;
    Some((key.into(), after.strip_prefix('"')?))
}
