//! JSON pointers (RFC 6901) in JSON patches, as kube-apiserver's patch library reads them.

/// The pointer to the whole object.
pub(crate) const ROOT: &str = "";
pub(crate) const METADATA: &str = "/metadata";
pub(crate) const ANNOTATIONS: &str = "/metadata/annotations";
pub(crate) const LABELS: &str = "/metadata/labels";
pub(crate) const FINALIZERS: &str = "/metadata/finalizers";
pub(crate) const OWNER_REFERENCES: &str = "/metadata/ownerReferences";
pub(crate) const RESOURCE_VERSION: &str = "/metadata/resourceVersion";
pub(crate) const UID: &str = "/metadata/uid";

/// Removes the text before a pointer's first slash, which the library ignores
/// (`gopkg.in/evanphx/json-patch.v4`, `findObject`).
pub(crate) fn normalized(text: &str) -> &str {
    text.find('/').map_or(ROOT, |slash| text.split_at(slash).1)
}

/// Returns the pointer to the member below these keys.
pub(crate) fn to_member(keys: &[&str]) -> String {
    let key = |key: &&str| format!("/{}", key.replace('~', "~0").replace('/', "~1"));
    keys.iter().map(key).collect()
}

/// Returns whether a pointer leads to a member or to something inside it.
pub(crate) fn is_within(pointer: &str, member: &str) -> bool {
    let below = pointer.strip_prefix(member);
    below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_compared_by_whole_segments() {
        assert!(is_within("/metadata", ROOT));
        assert!(is_within("/metadata/labels", METADATA));
        assert!(!is_within("/metadatas", METADATA));
        assert!(!is_within(ROOT, METADATA));
    }

    #[test]
    fn text_before_first_slash_is_ignored() {
        for (text, pointer) in [("x/a/b", "/a/b"), ("/a", "/a"), ("x", ROOT), ("", ROOT)] {
            assert_eq!(normalized(text), pointer, "{text}");
        }
        assert_eq!(to_member(&["a", "b~c/d"]), "/a/b~0c~1d");
    }
}
