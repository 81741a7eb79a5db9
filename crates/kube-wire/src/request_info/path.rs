//! Segments of a URL path.

/// Returns the decoded segments of a path without trailing slashes, or `None` if a decoded segment contains a
/// slash.
pub(super) fn segments(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix('/')?.trim_end_matches('/');
    path.split('/')
        .map(|raw| percent_decode(raw).filter(|segment| !segment.contains('/')))
        .collect()
}

/// Returns whether every server resolves a path with this segment in the same way.
pub(super) fn is_unambiguous(segment: &str) -> bool {
    path_segment_error(segment).is_none()
        && !segment.is_empty()
        && !segment.contains(char::is_control)
}

/// Returns why kube-apiserver rejects a name as a segment of a path, or `None` if it accepts it
/// (`apimachinery/pkg/api/validation/path/name.go`, `IsValidPathSegmentName`).
pub fn path_segment_error(name: &str) -> Option<&'static str> {
    match name {
        "." => Some("may not be '.'"),
        ".." => Some("may not be '..'"),
        name => name.contains('%').then_some("may not contain '%'"),
    }
}

/// Decodes `%XX` escapes. Returns `None` if an escape is malformed or the result is not UTF-8.
pub fn percent_decode(raw: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
