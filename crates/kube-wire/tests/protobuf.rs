//! Protobuf encoding, compared with what `k8s.io/apimachinery` encodes.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use kube_wire::protobuf::{event_from_json, from_json};

#[test]
fn empty_values_are_encoded() {
    let status = br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no","code":406}"#;
    let expected = [
        b"k8s\0\n\x0c\n\x02v1\x12\x06Status".as_slice(),
        b"\x12\x1a\n\x06\n\0\x12\0\x1a\0\x12\x07Failure\x1a\x02no\x22\0\x30\x96\x03",
        b"\x1a\0\x22\0",
    ];
    let written = from_json(status).unwrap();
    assert_eq!(written, expected.concat(), "{written:?}");
}

/// Checks all fields, set and empty. The expected bytes are those of `k8s.io/apimachinery` 0.37.
#[test]
fn fields_match_apimachinery() {
    for (json, expected) in [
        (
            concat!(
                r#"{"kind":"Status","apiVersion":"v1","#,
                r#""metadata":{"selfLink":"/l","resourceVersion":"7","continue":"c","remainingItemCount":300,"shardInfo":{"selector":"s"}},"#,
                r#""status":"Failure","message":"no","reason":"Invalid","#,
                r#""details":{"name":"n","group":"g","kind":"k","uid":"u","#,
                r#""causes":[{"reason":"r","message":"m","field":"f"}],"retryAfterSeconds":1},"code":422}"#
            ),
            b"k8s\0\n\x0c\n\x02v1\x12\x06Status\
              \x12H\n\x12\n\x02/l\x12\x017\x1a\x01c \xac\x02*\x03\n\x01s\
              \x12\x07Failure\x1a\x02no\"\x07Invalid\
              *\x19\n\x01n\x12\x01g\x1a\x01k\"\t\n\x01r\x12\x01m\x1a\x01f(\x012\x01u\
              0\xa6\x03\x1a\0\"\0".as_slice(),
        ),
        (
            r#"{"kind":"Status","apiVersion":"v1","metadata":{"shardInfo":{}},"details":{"causes":[{}]}}"#,
            b"k8s\0\n\x0c\n\x02v1\x12\x06Status\
              \x12(\n\n\n\0\x12\0\x1a\0*\x02\n\0\x12\0\x1a\0\"\0\
              *\x12\n\0\x12\0\x1a\0\"\x06\n\0\x12\0\x1a\0(\x002\x000\0\x1a\0\"\0".as_slice(),
        ),
        (
            r#"{"kind":"Status","apiVersion":"v1","details":{}}"#,
            b"k8s\0\n\x0c\n\x02v1\x12\x06Status\
              \x12\x1c\n\x06\n\0\x12\0\x1a\0\x12\0\x1a\0\"\0*\n\n\0\x12\0\x1a\0(\x002\x000\0\x1a\0\"\0".as_slice(),
        ),
        (
            concat!(
                r#"{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","#,
                r#""metadata":{"resourceVersion":"9"},"#,
                r#""items":[{"metadata":{"name":"n","generateName":"g","namespace":"default","selfLink":"/s","#,
                r#""uid":"u","resourceVersion":"8","generation":2,"creationTimestamp":"2026-01-02T03:04:05Z","#,
                r#""deletionTimestamp":"2026-01-02T03:04:06Z","deletionGracePeriodSeconds":0,"#,
                r#""labels":{"b":"2","a":"1"},"annotations":{"x":"y"},"#,
                r#""ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"p","uid":"o","#,
                r#""controller":true,"blockOwnerDeletion":false}],"finalizers":["one","two"],"#,
                r#""managedFields":[{"manager":"m","operation":"Apply","apiVersion":"v1","#,
                r#""time":"2026-01-02T03:04:07Z","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{}},"subresource":"status"}]}}]}"#
            ),
            b"k8s\0\n+\n\x0emeta.k8s.io/v1\x12\x19PartialObjectMetadataList\
              \x12\xb5\x01\n\x07\n\0\x12\x019\x1a\0\
              \x12\xa9\x01\n\xa6\x01\n\x01n\x12\x01g\x1a\x07default\"\x02/s*\x01u2\x0188\x02\
              B\x08\x08\xa5\xeb\xdc\xca\x06\x10\0J\x08\x08\xa6\xeb\xdc\xca\x06\x10\0P\0\
              Z\x06\n\x01a\x12\x011Z\x06\n\x01b\x12\x012b\x06\n\x01x\x12\x01y\
              j\x13\n\x03Pod\x1a\x01p\"\x01o*\x02v10\x018\0r\x03oner\x03two\
              \x8a\x01;\n\x01m\x12\x05Apply\x1a\x02v1\"\x08\x08\xa7\xeb\xdc\xca\x06\x10\0\
              2\x08FieldsV1:\x0f\n\r{\"f:spec\":{}}B\x06status\
              \x1a\0\"\0".as_slice(),
        ),
        (
            concat!(
                r#"{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","#,
                r#""items":[{"metadata":{"ownerReferences":[{}],"managedFields":[{}]}},{}]}"#
            ),
            b"k8s\0\n+\n\x0emeta.k8s.io/v1\x12\x19PartialObjectMetadataList\
              \x12G\n\x06\n\0\x12\0\x1a\0\
              \x12)\n'\n\0\x12\0\x1a\0\"\0*\x002\x008\0B\0\
              j\x08\n\0\x1a\0\"\0*\0\x8a\x01\n\n\0\x12\0\x1a\x002\0B\0\
              \x12\x12\n\x10\n\0\x12\0\x1a\0\"\0*\x002\x008\0B\0\x1a\0\"\0".as_slice(),
        ),
        (
            r#"{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1"}"#,
            b"k8s\0\n+\n\x0emeta.k8s.io/v1\x12\x19PartialObjectMetadataList\
              \x12\x08\n\x06\n\0\x12\0\x1a\0\x1a\0\"\0".as_slice(),
        ),
    ] {
        let written = from_json(json.as_bytes()).unwrap();
        assert_eq!(written, expected, "{json}: {}", written.escape_ascii());
    }
}

/// The expected bytes are those of `k8s.io/apimachinery` 0.37, without the length prefix of the
/// stream.
#[test]
fn watch_events_match_apimachinery() {
    for (json, expected) in [
        (
            concat!(
                r#"{"type":"ADDED","object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","#,
                r#""metadata":{"name":"n","resourceVersion":"8"}}}"#,
                "\n"
            ),
            b"\n\x05ADDED\x12I\nGk8s\0\n'\n\x0emeta.k8s.io/v1\x12\x15PartialObjectMetadata\
              \x12\x14\n\x12\n\x01n\x12\0\x1a\0\"\0*\x002\x0188\0B\0\x1a\0\"\0"
                .as_slice(),
        ),
        (
            concat!(
                r#"{"type":"BOOKMARK","object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","#,
                r#""metadata":{"resourceVersion":"9","creationTimestamp":null,"annotations":{"k8s.io/initial-events-end":"true"}}}}"#
            ),
            b"\n\x08BOOKMARK\x12k\nik8s\0\n'\n\x0emeta.k8s.io/v1\x12\x15PartialObjectMetadata\
              \x126\n4\n\0\x12\0\x1a\0\"\0*\x002\x0198\0B\0\
              b!\n\x19k8s.io/initial-events-end\x12\x04true\x1a\0\"\0"
                .as_slice(),
        ),
        (
            concat!(
                r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"#,
                r#""status":"Failure","message":"gone","reason":"Expired","code":410}}"#
            ),
            b"\n\x05ERROR\x12=\n;k8s\0\n\x0c\n\x02v1\x12\x06Status\
              \x12#\n\x06\n\0\x12\0\x1a\0\x12\x07Failure\x1a\x04gone\"\x07Expired0\x9a\x03\
              \x1a\0\"\0"
                .as_slice(),
        ),
    ] {
        let written = event_from_json(json.as_bytes()).unwrap();
        assert_eq!(written, expected, "{json}: {}", written.escape_ascii());
    }
    for json in [
        "",
        "{}",
        r#"{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1"}}"#,
    ] {
        assert!(event_from_json(json.as_bytes()).is_err(), "{json}");
    }
}

#[test]
fn v1beta1_list_swaps_field_numbers() {
    let list = br#"{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1beta1","metadata":{"resourceVersion":"9"},"items":[{}]}"#;
    let expected = b"k8s\0\n0\n\x13meta.k8s.io/v1beta1\x12\x19PartialObjectMetadataList\
          \x12\x1d\n\x12\n\x10\n\0\x12\0\x1a\0\"\0*\x002\x008\0B\0\
          \x12\x07\n\0\x12\x019\x1a\0\x1a\0\"\0";
    let written = from_json(list).unwrap();
    assert_eq!(written, expected, "{}", written.escape_ascii());
}

#[test]
fn other_kinds_and_malformed_documents_are_errors() {
    for json in [
        r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1"}"#,
        r#"{"kind":"Status","apiVersion":"v2"}"#,
        "{}",
        "[]",
        r#"{"kind":"Status","apiVersion":"v1","code":"x"}"#,
        r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"creationTimestamp":"noon"}}"#,
    ] {
        assert!(from_json(json.as_bytes()).is_err(), "{json}");
    }
}
