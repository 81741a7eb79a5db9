//! Builds the copy of an event. Does no I/O.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::claims::{Claim, local_reference};
use claim_mapping::mapping::Mapping;
use claim_mapping::messages::{ClaimNames, event_to_local};

/// The label of each copy with the name of the control plane.
const CONTROL_PLANE: &str = "claimgate.dev/control-plane";

/// The component of events that claimgate writes.
pub(super) const COMPONENT: &str = "claimgate";

/// Maximum age of an event that is copied. By default, API servers delete events after this time (`--event-ttl`).
const AGE_MAX: Duration = Duration::from_secs(3600);

/// Maximum size in bytes of the part of a copy's name before the hash. The whole name then fits in the name of an
/// object.
const NAME_BYTES_MAX: usize = 253 - 1 - 2 * HASH_BYTES;

const HASH_BYTES: usize = 8;

/// The limit of messages (`kubernetes/pkg/apis/core/validation/events.go`, `NoteLengthLimit`).
const MESSAGE_BYTES_MAX: usize = 1024;

/// The origin of copies, and what they may show.
pub(super) struct CopyOptions<'a> {
    /// The name of the control plane.
    pub(super) control_plane: &'a str,
    pub(super) mapping: &'a Mapping,
    pub(super) hide_composite_names: bool,
}

/// Returns the name of the copy of an event.
pub(super) fn local_name(claim: &Claim, source: &Event) -> String {
    let uid = source.metadata.uid.as_deref().unwrap_or_default();
    let hash = Sha256::digest(uid);
    let hash = hash.iter().take(HASH_BYTES);
    let hash: String = hash.map(|byte| format!("{byte:02x}")).collect();
    let name = &*claim.local.name;
    let name = name.get(..NAME_BYTES_MAX).unwrap_or(name);
    format!("{}.{hash}", name.trim_end_matches(['-', '.']))
}

/// Returns the copy of an event about a claim or its composite resource.
pub(super) fn copy(source: &Event, claim: &Claim, options: &CopyOptions<'_>) -> Event {
    let object = &source.involved_object;
    let text = source.message.as_deref().unwrap_or_default();
    let is_own = object.uid.as_ref() == Some(&claim.uid);
    let text = match (&object.kind, &object.name) {
        (Some(kind), Some(name)) if !is_own => format!("{kind} {name}: {text}"),
        _ => text.to_owned(),
    };
    let composite = claim.composite.as_ref();
    let names = ClaimNames {
        local: &claim.local,
        remote: &claim.remote,
        hidden: composite
            .filter(|_| options.hide_composite_names)
            .map(|composite| &*composite.name),
    };
    let labels = (CONTROL_PLANE.to_owned(), options.control_plane.to_owned());
    Event {
        metadata: ObjectMeta {
            namespace: Some(claim.local.namespace.clone()),
            name: Some(local_name(claim, source)),
            labels: Some(BTreeMap::from([labels])),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            field_path: object.field_path.clone().filter(|_| is_own),
            ..local_reference(claim)
        },
        message: Some(truncated(event_to_local(&text, options.mapping, &names))),
        related: None,
        ..source.clone()
    }
}

fn truncated(mut text: String) -> String {
    let mut ends = (0..=MESSAGE_BYTES_MAX).rev();
    if text.len() > MESSAGE_BYTES_MAX
        && let Some(end) = ends.find(|end| text.is_char_boundary(*end))
    {
        text.truncate(end);
    }
    text
}

/// Returns whether claimgate wrote an event, in either cluster.
pub(super) fn is_own(event: &Event) -> bool {
    let source = event.source.as_ref();
    let component = source.and_then(|source| source.component.as_deref());
    is_copy(event)
        || component == Some(COMPONENT)
        || event.reporting_component.as_deref() == Some(COMPONENT)
}

/// Returns whether an event in the app cluster is a copy.
pub(super) fn is_copy(event: &Event) -> bool {
    let labels = event.metadata.labels.as_ref();
    labels.is_some_and(|labels| labels.contains_key(CONTROL_PLANE))
}

/// Returns whether an existing copy needs no update.
pub(super) fn is_same(existing: &Event, copy: &Event) -> bool {
    let existing = Event {
        metadata: copy.metadata.clone(),
        ..existing.clone()
    };
    existing == *copy
}

/// Returns whether an event is recent enough to be copied.
pub(super) fn is_recent(event: &Event, now: Timestamp) -> bool {
    let series = event.series.as_ref();
    let observed = series.and_then(|series| series.last_observed_time.as_ref());
    let times = [
        observed.map(|time| time.0),
        event.last_timestamp.as_ref().map(|time| time.0),
        event.event_time.as_ref().map(|time| time.0),
        event
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0),
    ];
    let last = times.into_iter().flatten().max();
    let age_max = SignedDuration::try_from(AGE_MAX).unwrap_or(SignedDuration::MAX);
    last.is_none_or(|last| now.duration_since(last) < age_max)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kube::api::GroupVersionKind;
    use serde_json::{Value, json};

    use super::*;
    use crate::catalog::ClaimResource;
    use crate::claims::CompositeReference;
    use claim_mapping::mapping::ObjectKey;

    fn event(value: Value) -> Event {
        serde_json::from_value(value).unwrap()
    }

    fn claim(mapping: &Mapping) -> Claim {
        let local = ObjectKey::new("default", "a");
        let remote = mapping.to_remote(&local).unwrap();
        Claim {
            uid: "claim".to_owned(),
            resource: Arc::new(ClaimResource {
                group: "k8s.starter.org".to_owned(),
                version: "v1".to_owned(),
                kind: "Db".to_owned(),
                plural: "dbs".to_owned(),
            }),
            connection_secret: None,
            references: Vec::new(),
            false_conditions: Vec::new(),
            composite: Some(CompositeReference {
                kind: GroupVersionKind::gvk("k8s.starter.org", "v1", "XDb"),
                name: format!("{}-x", remote.name),
            }),
            local,
            remote,
        }
    }

    #[test]
    fn copy_is_about_the_local_claim() {
        let mapping = Mapping::shared("team-a", "remote").unwrap();
        let claim = claim(&mapping);
        let options = CopyOptions {
            control_plane: "platform",
            mapping: &mapping,
            hide_composite_names: false,
        };
        let source = event(json!({
            "metadata": {"namespace": "remote", "name": "x.1", "uid": "event", "resourceVersion": "7"},
            "involvedObject": {"kind": "Db", "namespace": "remote", "name": claim.remote.name, "uid": "claim", "resourceVersion": "3"},
            "related": {"kind": "Secret", "name": "y"},
            "type": "Warning", "reason": "Bind", "message": format!("bind {}", claim.remote.name), "count": 3,
            "source": {"component": "crossplane"},
        }));
        let copied = copy(&source, &claim, &options);
        let expected = event(json!({
            "metadata": {
                "namespace": "default", "name": "a",
                "labels": {"claimgate.dev/control-plane": "platform"},
            },
            "involvedObject": {"apiVersion": "k8s.starter.org/v1", "kind": "Db", "namespace": "default", "name": "a", "uid": "claim"},
            "type": "Warning", "reason": "Bind", "message": "bind a", "count": 3,
            "source": {"component": "crossplane"},
        }));
        let name = copied.metadata.name.clone().unwrap();
        let hash = name.strip_prefix("a.").unwrap();
        assert_eq!(hash.len(), 2 * HASH_BYTES);
        assert!(is_same(&expected, &copied), "{copied:?}");
        assert!(is_copy(&copied) && is_own(&copied));
        assert!(!is_copy(&source) && !is_own(&source));
        let mut later = source;
        later.count = Some(4);
        let later = copy(&later, &claim, &options);
        assert_eq!(later.metadata.name, copied.metadata.name);
        assert!(!is_same(&copied, &later));
    }

    #[test]
    fn message_about_a_composite_names_it_unless_that_is_hidden() {
        let mapping = Mapping::shared("team-a", "remote").unwrap();
        let claim = claim(&mapping);
        let name = &claim.composite.as_ref().unwrap().name;
        let source = event(json!({
            "metadata": {},
            "involvedObject": {"kind": "XDb", "name": name, "uid": "composite"},
            "message": format!("cannot compose {name}"),
        }));
        for (hide_composite_names, expected) in [
            (false, "XDb a-x: cannot compose a-x"),
            (
                true,
                "XDb (name not shown): cannot compose (name not shown)",
            ),
        ] {
            let options = CopyOptions {
                control_plane: "platform",
                mapping: &mapping,
                hide_composite_names,
            };
            let copied = copy(&source, &claim, &options);
            assert_eq!(copied.message.as_deref(), Some(expected));
        }
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let text = "é".repeat(600) + "x";
        let text = format!("x{text}");
        let cut = truncated(text.clone());
        assert_eq!(cut.len(), 1023);
        assert!(text.starts_with(&cut));
        assert_eq!(truncated("é".to_owned()), "é");
    }

    #[test]
    fn events_of_the_last_hour_are_recent() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        for (last, expected) in [("11:00:01", true), ("10:59:59", false)] {
            let last = format!("2026-01-01T{last}Z");
            let dated = event(json!({
                "metadata": {"creationTimestamp": "2026-01-01T08:00:00Z"}, "involvedObject": {}, "lastTimestamp": last,
            }));
            assert_eq!(is_recent(&dated, now), expected);
        }
        assert!(is_recent(&Event::default(), now));
    }
}
