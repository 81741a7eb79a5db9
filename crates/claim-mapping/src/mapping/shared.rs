//! Shared mapping: all namespaces of an app cluster in one namespace of the control plane.
//!
//! The remote name of an object is `<name>-<hash>`. The hash is the first 64 bits of SHA-256, in hexadecimal, over
//! the app cluster's name and the object's local namespace and name, each after its length. The name before the
//! hash is cut if the result would be too long, so only the hash identifies an object.
//!
//! The mapping is injective up to the hash: the lengths make the hash's input unambiguous, and the hash has a fixed
//! length at a fixed position. So two local objects have the same remote name only if their hashes collide. A user
//! chooses the end of a name that is cut, so a second preimage must be out of reach: it takes 2⁶⁴ attempts.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use super::{ObjectKey, is_dns_label, table::TableError};

/// The limit in bytes of a name that Crossplane sets for claims (`internal/xcrd/crd.go`).
const NAME_BYTES_MAX: usize = 63;

/// The limit in bytes of any name (`apimachinery/pkg/util/validation/validation.go`, `DNS1123SubdomainMaxLength`).
const SUBDOMAIN_BYTES_MAX: usize = 253;

const HASH_DIGITS: usize = 16;

/// The limit of names of one resource on the control plane, in bytes.
///
/// A limit above 63 has no effect, so that a remote name does not change when claimgate gets the right to read the
/// limit. Below 63, names that would have another remote name without the limit cannot have been stored while it held.
/// [`SharedNamespace::is_remote_name`] also recognizes names that were cut by another limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NameLimit(usize);

/// Error: a name limit leaves no room for the hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "names may have {0} bytes, but a shared mapping needs at least {min}; raise the limit of the name in the XRD, or map \
     the API with a table",
    min = SharedNamespace::SUFFIX_BYTES + 1
)]
pub struct NameLimitTooSmall(pub usize);

impl NameLimit {
    /// Creates a limit from `maxLength` of a CRD's schema.
    ///
    /// # Errors
    /// The limit leaves no room for the hash and a character of the name.
    pub fn new(bytes_max: usize) -> Result<Self, NameLimitTooSmall> {
        match bytes_max {
            0..=SharedNamespace::SUFFIX_BYTES => Err(NameLimitTooSmall(bytes_max)),
            _ => Ok(Self(bytes_max.min(NAME_BYTES_MAX))),
        }
    }

    /// Returns the limit in bytes.
    pub fn bytes_max(self) -> usize {
        self.0
    }

    /// Returns the limit of local names for a limit of remote names: what the hash leaves.
    pub(crate) fn of_local_names(remote: usize) -> usize {
        remote.saturating_sub(SharedNamespace::SUFFIX_BYTES)
    }
}

impl Default for NameLimit {
    /// Returns Crossplane's limit, for a resource whose limit is unknown.
    fn default() -> Self {
        Self(NAME_BYTES_MAX)
    }
}

/// The namespace of the control plane that stores all objects of one app cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SharedNamespace {
    cluster: String,
    namespace: String,
}

impl SharedNamespace {
    /// The length of a hyphen and a hash.
    pub(crate) const SUFFIX_BYTES: usize = 1 + HASH_DIGITS;

    /// Creates the mapping of an app cluster's namespaces to one remote namespace.
    ///
    /// # Errors
    /// A name is not a DNS label.
    pub fn new(cluster: &str, namespace: &str) -> Result<Self, TableError> {
        for name in [cluster, namespace] {
            if !is_dns_label(name) {
                return Err(TableError::InvalidName(name.to_owned()));
            }
        }
        Ok(Self {
            cluster: cluster.to_owned(),
            namespace: namespace.to_owned(),
        })
    }

    /// Returns the app cluster's name.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Returns the remote namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns the remote name of a local object.
    ///
    /// Names that the control plane rejects stay invalid for the same reason: a name that is too long is not cut,
    /// and a name with invalid characters keeps all of them.
    pub fn remote_name(&self, local: &ObjectKey, limit: NameLimit) -> String {
        let (begin, end) = around_hash(&local.name, limit);
        let hash = self.hash(&local.namespace, &local.name);
        format!("{begin}-{}{end}", text(&hash))
    }

    /// Returns whether a remote name is that of a local object. The name before the hash may be cut anywhere, because
    /// the limit may have been another one when the object was created.
    pub fn is_remote_name(&self, local: &ObjectKey, remote: &str) -> bool {
        let begin = remote.len().checked_sub(Self::SUFFIX_BYTES);
        let parts = begin.and_then(|begin| remote.split_at_checked(begin));
        // The hash last, because it takes longest.
        parts.is_some_and(|(begin, suffix)| {
            !begin.is_empty()
                && local.name.starts_with(begin)
                && suffix.strip_prefix('-').is_some_and(|hash| {
                    hash.as_bytes() == self.hash(&local.namespace, &local.name).as_slice()
                })
        })
    }

    /// Returns whether a name ends like a remote name, in a hyphen and a hash.
    pub fn ends_in_hash(remote: &str) -> bool {
        let is_digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        let parts = remote.rsplit_once('-');
        parts.is_some_and(|(name, hash)| {
            !name.is_empty() && hash.len() == HASH_DIGITS && hash.bytes().all(is_digit)
        })
    }

    /// Returns the local key of an object in this local namespace. Returns `None` if the remote name is not that of
    /// an object in this namespace, or if it does not contain the whole local name, because the name was cut.
    pub fn local_key(&self, local_namespace: &str, remote: &str) -> Option<ObjectKey> {
        let name = remote.get(..remote.len().checked_sub(Self::SUFFIX_BYTES)?)?;
        let local = ObjectKey::new(local_namespace, name);
        self.is_remote_name(&local, remote).then_some(local)
    }

    /// Returns the remote name of a Secret that an object in this local namespace refers to. The name is never
    /// cut, so it can be mapped back. Returns `None` if the remote name would be too long.
    pub fn remote_secret_name(&self, local: &ObjectKey) -> Option<String> {
        let hash = self.hash(&local.namespace, &local.name);
        let remote = format!("{}-{}", local.name, text(&hash));
        (remote.len() <= SUBDOMAIN_BYTES_MAX).then_some(remote)
    }

    /// Returns the local name of a Secret that an object in this local namespace refers to. Returns `None` if the
    /// remote name is not that of a Secret in this namespace.
    pub fn local_secret_name(&self, local_namespace: &str, remote: &str) -> Option<String> {
        let name = remote.get(..remote.len().checked_sub(Self::SUFFIX_BYTES)?)?;
        let local = ObjectKey::new(local_namespace, name);
        (self.remote_secret_name(&local)?.as_str() == remote).then_some(local.name)
    }

    /// Returns the hash in hexadecimal digits.
    fn hash(&self, namespace: &str, name: &str) -> [u8; HASH_DIGITS] {
        let mut hash = Sha256::new();
        for part in [&self.cluster, namespace, name] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut digits = [0; HASH_DIGITS];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(hash.finalize()) {
            for (digit, value) in pair.iter_mut().zip([byte >> 4, byte & 0xf]) {
                *digit = value + if value < 10 { b'0' } else { b'a' - 10 };
            }
        }
        digits
    }
}

/// Returns hexadecimal digits as text.
fn text(digits: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(digits)
}

/// Returns what stands before and after the hash in the remote name.
fn around_hash(name: &str, NameLimit(limit): NameLimit) -> (&str, &str) {
    if !is_dns_subdomain(name) {
        let last = name.char_indices().next_back();
        let end = last.filter(|(_, last)| !last.is_ascii_alphanumeric());
        let (_, end) = name.split_at(end.map_or(name.len(), |(at, _)| at));
        return (name, end);
    }
    let max = match name.len() <= limit {
        true => limit,
        false => SUBDOMAIN_BYTES_MAX,
    };
    (
        cut(name, max.saturating_sub(SharedNamespace::SUFFIX_BYTES)),
        "",
    )
}

/// Cuts a name, so that a hyphen can follow it in a valid name.
fn cut(name: &str, bytes_max: usize) -> &str {
    match name.get(..bytes_max) {
        Some(begin) => begin.trim_end_matches(['-', '.']),
        None => name,
    }
}

/// Returns whether a name is an RFC 1123 subdomain, as names of custom resources must be
/// (`apimachinery/pkg/util/validation/validation.go`).
pub fn is_dns_subdomain(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        !label.is_empty()
            && label.bytes().all(is_inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= SUBDOMAIN_BYTES_MAX && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn shared() -> SharedNamespace {
        SharedNamespace::new("team-a", "remote").unwrap()
    }

    fn remote(namespace: &str, name: &str) -> String {
        shared().remote_name(&ObjectKey::new(namespace, name), NameLimit::default())
    }

    #[test]
    fn remote_names_are_stable() {
        // Computed with Python's hashlib. A changed name would orphan every stored object.
        assert_eq!(
            remote("default", "my-cluster"),
            "my-cluster-4a0ab21a56d9eeea"
        );
    }

    #[test]
    fn remote_name_depends_on_cluster_namespace_and_name() {
        let key = ObjectKey::new("default", "a");
        let other = SharedNamespace::new("team-b", "remote").unwrap();
        let limit = NameLimit::default();
        assert_ne!(
            shared().remote_name(&key, limit),
            other.remote_name(&key, limit)
        );
        assert_ne!(remote("default", "a"), remote("other", "a"));
        // Without lengths, these would have the same hash.
        assert_ne!(remote("ab", "c"), remote("a", "bc"));
    }

    #[test]
    fn long_names_are_cut_to_valid_names() {
        for (name, begin, length) in [
            ("a".repeat(46), "a".repeat(46), 63),
            ("a".repeat(47), "a".repeat(46), 63),
            ("a".repeat(63), "a".repeat(46), 63),
            ("a".repeat(45) + ".b", "a".repeat(45), 62),
            ("a".repeat(44) + "--b", "a".repeat(44), 61),
            ("a".repeat(64), "a".repeat(64), 81),
            ("a".repeat(253), "a".repeat(236), 253),
            ("a".repeat(254), "a".repeat(254), 271),
        ] {
            let remote = remote("default", &name);
            assert_eq!(remote.len(), length, "{name}");
            assert!(remote.starts_with(&(begin + "-")), "{remote}");
            assert_eq!(is_dns_subdomain(&remote), length <= 253, "{remote}");
        }
    }

    #[test]
    fn names_fit_the_limit_of_the_resource() {
        for bytes_max in [0, 16, 17] {
            assert_eq!(NameLimit::new(bytes_max), Err(NameLimitTooSmall(bytes_max)));
        }
        assert_eq!(NameLimit::new(253), Ok(NameLimit::default()));
        for (bytes_max, length, expected) in [
            (18, 1, 18),
            (18, 18, 18),
            (40, 23, 40),
            (40, 24, 40),
            (40, 40, 40),
            // Above the limit, the control plane rejects the name.
            (40, 41, 58),
        ] {
            let limit = NameLimit::new(bytes_max).unwrap();
            let key = ObjectKey::new("default", "a".repeat(length));
            let remote = shared().remote_name(&key, limit);
            assert_eq!(remote.len(), expected, "{length} of {bytes_max}");
            assert!(shared().is_remote_name(&key, &remote));
        }
    }

    #[test]
    fn invalid_names_stay_invalid() {
        let end = "x".repeat(60) + "Y";
        for name in ["A", "a-", "a.", "-a", "a..b", "a_b", "é", end.as_str()] {
            let remote = remote("default", name);
            assert!(!is_dns_subdomain(&remote), "{remote}");
            assert!(remote.starts_with(name), "{remote}");
        }
    }

    #[test]
    fn names_that_are_not_cut_map_back_with_their_namespace() {
        for (length, is_cut) in [
            (1, false),
            (46, false),
            (47, true),
            (64, false),
            (237, true),
        ] {
            let name = "a".repeat(length);
            let remote = remote("default", &name);
            assert!(SharedNamespace::ends_in_hash(&remote), "{remote}");
            let expected = (!is_cut).then(|| ObjectKey::new("default", name));
            assert_eq!(shared().local_key("default", &remote), expected);
            assert_eq!(shared().local_key("other", &remote), None);
        }
        for other in [
            "",
            "a",
            "-0123456789abcdef",
            "a-0123456789ABCDEF",
            "a-012",
            "é-0123456789abcdé",
        ] {
            assert!(!SharedNamespace::ends_in_hash(other), "{other}");
            assert_eq!(shared().local_key("default", other), None);
        }
    }

    #[test]
    fn secret_names_map_back() {
        for name in ["db", &"a".repeat(236)] {
            let key = ObjectKey::new("default", name);
            let remote = shared().remote_secret_name(&key).unwrap();
            let local = |namespace: &str| shared().local_secret_name(namespace, &remote);
            assert_eq!(local("default").as_deref(), Some(name));
            assert_eq!(local("other"), None);
        }
        let long = ObjectKey::new("default", "a".repeat(237));
        assert_eq!(shared().remote_secret_name(&long), None);
        for other in ["", "db", "db-0123456789abcdef", "é-0123456789abcdé"] {
            assert_eq!(shared().local_secret_name("default", other), None);
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config {
            cases: 2000,
            failure_persistence: None,
            ..Default::default()
        })]

        /// Names that share a long beginning, so that only the hash distinguishes them once they are cut.
        #[test]
        fn no_two_objects_share_a_remote_name(
            keys in proptest::collection::vec(("[ab-]{1,3}", "[ab.-]{0,3}", 0_usize..70), 2..20),
        ) {
            let mut seen: HashMap<String, ObjectKey> = HashMap::new();
            for (namespace, end, filler) in keys {
                let key = ObjectKey::new(namespace, "a".repeat(filler) + &end);
                let remote = shared().remote_name(&key, NameLimit::default());
                let known = seen.insert(remote, key.clone());
                proptest::prop_assert!(known.is_none_or(|known| known == key));
            }
        }
    }
}
