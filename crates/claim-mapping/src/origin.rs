//! The labels and annotations in which a remote object keeps its local names.
//!
//! In a shared mapping, the local names cannot be computed from the remote one. Labels are for selectors, and for
//! compositions; a value that does not fit in a label is in the annotation only. The annotations always have all
//! three values. None of them is visible in the app cluster.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use memchr::memmem;

use crate::mapping::{Mapping, ObjectKey};

/// The label and annotation with the app cluster's name.
pub const CLUSTER: &str = "claimgate.dev/cluster";
/// The label and annotation with the local namespace.
pub const NAMESPACE: &str = "claimgate.dev/namespace";
/// The label and annotation with the local name.
pub const NAME: &str = "claimgate.dev/name";

pub(crate) const KEYS: [&str; 3] = [CLUSTER, NAMESPACE, NAME];

/// Finds the beginning of each key.
static FINDER: LazyLock<memmem::Finder<'static>> =
    LazyLock::new(|| memmem::Finder::new(b"claimgate.dev/"));

/// Returns whether a text may contain a part of an origin.
pub(crate) fn may_contain(text: &[u8]) -> bool {
    find(text).is_some()
}

/// Returns the position of the first text that may be a part of an origin.
pub(crate) fn find(text: &[u8]) -> Option<usize> {
    FINDER.find(text)
}

/// The limit in bytes of a label's value (`apimachinery/pkg/util/validation/validation.go`).
const LABEL_VALUE_BYTES_MAX: usize = 63;

/// A label or annotation of an object's origin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OriginKey {
    Cluster,
    Namespace,
    Name,
}

impl OriginKey {
    pub(crate) fn parse(key: &str) -> Option<Self> {
        match key {
            CLUSTER => Some(Self::Cluster),
            NAMESPACE => Some(Self::Namespace),
            NAME => Some(Self::Name),
            _ => None,
        }
    }
}

/// The values of one set, labels or annotations.
#[derive(Clone, Debug, Default)]
pub(crate) struct OriginValues {
    cluster: Value,
    namespace: Value,
    name: Value,
}

/// A value that may be missing. Its memory is used again for the next object of a list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Value {
    text: String,
    is_set: bool,
}

impl Value {
    /// Sets the value. Bytes that are not UTF-8 become U+FFFD.
    pub(crate) fn set(&mut self, value: &[u8]) {
        self.is_set = true;
        // Most values are those of the object before, and comparing them takes less time than decoding them.
        if self.text.as_bytes() != value {
            self.text.clear();
            self.text.push_str(&decode(value));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.is_set = false;
    }

    pub(crate) fn get(&self) -> Option<&str> {
        self.is_set.then_some(&self.text)
    }

    /// Returns whether the value is missing or this one.
    fn may_be(&self, expected: &str) -> bool {
        self.get().is_none_or(|value| value == expected)
    }
}

impl OriginValues {
    pub(crate) fn set(&mut self, key: OriginKey, value: &[u8]) {
        match key {
            OriginKey::Cluster => self.cluster.set(value),
            OriginKey::Namespace => self.namespace.set(value),
            OriginKey::Name => self.name.set(value),
        }
    }

    fn from_map(map: &BTreeMap<String, String>) -> Self {
        let mut values = Self::default();
        for key in KEYS {
            if let (Some(key), Some(value)) = (OriginKey::parse(key), map.get(key)) {
                values.set(key, value.as_bytes());
            }
        }
        values
    }

    fn clear(&mut self) {
        self.cluster.clear();
        self.namespace.clear();
        self.name.clear();
    }

    fn key(&self) -> Option<(&str, &str)> {
        Some((self.namespace.get()?, self.name.get()?))
    }

    /// Returns whether no value names another object.
    fn may_be(&self, cluster: &str, local: &ObjectKey) -> bool {
        self.cluster.may_be(cluster)
            && self.namespace.may_be(&local.namespace)
            && self.name.may_be(&local.name)
    }

    fn is(&self, cluster: &str, local: &ObjectKey) -> bool {
        self.cluster.get() == Some(cluster) && self.key() == Some((&local.namespace, &local.name))
    }
}

/// Decodes a text. Names are valid nearly always, and checking them takes less time than decoding.
fn decode(value: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(value) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(value),
    }
}

/// The local names in an object's labels and annotations. Anyone on the control plane can change them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) labels: OriginValues,
    pub(crate) annotations: OriginValues,
}

impl Origin {
    pub(crate) fn clear(&mut self) {
        self.labels.clear();
        self.annotations.clear();
    }

    /// Returns the local keys that the object may have in this app cluster, as namespace and name. Its remote name
    /// decides whether one of them is right. There are none if the object names another app cluster.
    pub(crate) fn keys(&self, cluster: &str) -> impl Iterator<Item = (&str, &str)> {
        let annotated = self.annotations.cluster.get();
        let named = annotated.or_else(|| self.labels.cluster.get());
        let is_own = named.is_none_or(|named| named == cluster);
        let keys = [self.annotations.key(), self.labels.key()];
        keys.into_iter().flatten().filter(move |_| is_own)
    }

    /// Returns whether an object with the right remote name is this one. It is another if its annotations say so,
    /// or its labels while the annotations are incomplete.
    pub(crate) fn may_be(&self, cluster: &str, local: &ObjectKey) -> bool {
        self.annotations.is(cluster, local)
            || (self.annotations.may_be(cluster, local) && self.labels.may_be(cluster, local))
    }

    /// Returns whether the labels and annotations are those that claimgate writes.
    pub(crate) fn is_intact(&self, cluster: &str, local: &ObjectKey) -> bool {
        let OriginValues {
            cluster: cluster_label,
            namespace,
            name,
        } = &self.labels;
        let has_label = |label: &Value, value: &str| {
            label.get() == Some(value) || (!is_label_value(value) && label.get().is_none())
        };
        self.annotations.is(cluster, local)
            && has_label(cluster_label, cluster)
            && has_label(namespace, &local.namespace)
            && has_label(name, &local.name)
    }
}

/// Returns the local key of an object on the control plane, or `None` if it is not an object of this app cluster.
pub fn local_key(
    mapping: &Mapping,
    remote: &ObjectKey,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
) -> Option<ObjectKey> {
    let shared = match mapping {
        Mapping::Table(table) => {
            let namespace = table.to_local(&remote.namespace)?;
            return Some(ObjectKey::new(namespace, &*remote.name));
        }
        Mapping::Shared(shared) => shared,
    };
    let origin = Origin {
        labels: OriginValues::from_map(labels),
        annotations: OriginValues::from_map(annotations),
    };
    let mut keys = origin
        .keys(shared.cluster())
        .map(|(namespace, name)| ObjectKey::new(namespace, name));
    (remote.namespace == shared.namespace())
        .then(|| keys.find(|local| shared.is_remote_name(local, &remote.name)))?
}

/// Returns the annotations of a local object.
pub(crate) fn annotations<'a>(
    cluster: &'a str,
    local: &'a ObjectKey,
) -> [(&'static str, &'a str); 3] {
    [
        (CLUSTER, cluster),
        (NAMESPACE, &local.namespace),
        (NAME, &local.name),
    ]
}

/// Returns the labels of a local object, for the values that fit.
pub(crate) fn labels<'a>(cluster: &'a str, local: &'a ObjectKey) -> Vec<(&'static str, &'a str)> {
    let mut labels = annotations(cluster, local).to_vec();
    labels.retain(|(_, value)| is_label_value(value));
    labels
}

/// Returns whether a text is valid as a label's value (`IsValidLabelValue`).
pub(crate) fn is_label_value(text: &str) -> bool {
    let is_inner = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    let is_end = |c: Option<&u8>| c.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= LABEL_VALUE_BYTES_MAX
        && bytes.iter().all(|c| is_inner(*c))
        && is_end(bytes.first())
        && is_end(bytes.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Origin {
        let values = |pairs: &[(&str, &str)]| {
            let mut values = OriginValues::default();
            for (key, value) in pairs {
                values.set(OriginKey::parse(key).unwrap(), value.as_bytes());
            }
            values
        };
        Origin {
            labels: values(labels),
            annotations: values(annotations),
        }
    }

    #[test]
    fn labels_that_name_another_object_count_only_without_annotations() {
        let local = ObjectKey::new("default", "a");
        let ours = annotations("team-a", &local);
        let other = [(NAME, "b")];
        for (labels, annotations, expected) in [
            (&ours[..], &ours[..], true),
            (&[], &[], true),
            (&ours, &[], true),
            (&other, &ours, true),
            (&other, &[], false),
            (&ours, &other, false),
            (&[(CLUSTER, "team-b")], &[], false),
            (&[], &[(NAMESPACE, "elsewhere")], false),
        ] {
            let origin = origin(labels, annotations);
            assert_eq!(origin.may_be("team-a", &local), expected, "{origin:?}");
        }
        assert!(origin(&ours, &ours).is_intact("team-a", &local));
        assert!(!origin(&other, &ours).is_intact("team-a", &local));
        assert!(!origin(&ours, &[]).is_intact("team-a", &local));
    }

    #[test]
    fn local_key_needs_a_name_that_fits_the_labels() {
        let shared = Mapping::shared("team-a", "remote").unwrap();
        let local = ObjectKey::new("default", "a");
        let remote = shared.to_remote(&local).unwrap();
        let map = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<String, String>>()
        };
        let ours = map(&annotations("team-a", &local));
        let (none, other) = (map(&[]), map(&annotations("team-b", &local)));
        let renamed = ObjectKey::new("remote", "b-0123456789abcdef");
        let elsewhere = ObjectKey::new("elsewhere", &*remote.name);
        for (remote, labels, annotations, expected) in [
            (&remote, &ours, &ours, Some(&local)),
            (&remote, &ours, &none, Some(&local)),
            (&remote, &none, &none, None),
            (&remote, &ours, &other, None),
            (&renamed, &ours, &ours, None),
            (&elsewhere, &ours, &ours, None),
        ] {
            let found = local_key(&shared, remote, labels, annotations);
            assert_eq!(found.as_ref(), expected, "{remote:?}");
        }
        let rows = [("default".to_owned(), "remote".to_owned())];
        let table = Mapping::table(rows.into()).unwrap();
        let found = local_key(&table, &renamed, &none, &none);
        assert_eq!(found, Some(ObjectKey::new("default", &*renamed.name)));
        assert_eq!(local_key(&table, &elsewhere, &none, &none), None);
    }

    #[test]
    fn values_that_do_not_fit_are_no_labels() {
        let long = ObjectKey::new("default", "a".repeat(64));
        let keys: Vec<_> = labels("team-a", &long)
            .iter()
            .map(|(key, _)| *key)
            .collect();
        assert_eq!(keys, [CLUSTER, NAMESPACE]);
        for (text, is_value) in [("", true), ("a.B_c-1", true), ("a-", false), ("é", false)] {
            assert_eq!(is_label_value(text), is_value, "{text}");
        }
    }
}
