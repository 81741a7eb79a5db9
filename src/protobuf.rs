//! Kubernetes' protobuf, written from JSON: a Status, and the metadata of objects, which is all that
//! there is of custom resources in it, by itself or in a watch's event; and read, of the options of a
//! deletion.
//!
//! A document is a `runtime.Unknown` behind a magic number (`apimachinery/pkg/runtime/serializer/
//! protobuf/protobuf.go`). The messages are those of `apimachinery/pkg/apis/meta/v1/generated.proto`, to
//! the byte as gogo/protobuf's generated code writes them: in the order of their numbers, and with
//! what is empty or 0 where Go has a value and no pointer. Bytes in, bytes out; no HTTP.

mod meta;
mod options;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use self::options::delete_options;

const MAGIC: &[u8] = b"k8s\0";

/// The wire types that are used (protobuf.dev/programming-guides/encoding).
const VARINT: u64 = 0;
const LENGTH_DELIMITED: u64 = 2;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{api_version} {kind} is not written in protobuf")]
    Kind { api_version: String, kind: String },
    #[error("not what is to be written in protobuf: {0}")]
    Json(#[from] serde_json::Error),
    #[error("not a time: {0}")]
    Time(#[from] time::error::Parse),
}

/// A member of a message.
struct Field {
    number: u64,
    /// In JSON.
    name: &'static str,
    kind: Kind,
    /// Go has a value and no pointer, which is written in any case.
    is_always: bool,
}

enum Kind {
    Text,
    Integer,
    Boolean,
    /// Seconds, since JSON has no more.
    Time,
    /// JSON within protobuf.
    Raw,
    Message(&'static [Field]),
    Texts,
    /// The same in a message of their own.
    WrappedTexts,
    Messages(&'static [Field]),
    /// From text to text.
    Map,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TypeMeta {
    api_version: String,
    kind: String,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// A JSON document in protobuf.
///
/// # Errors
/// It is of a kind that is not known here, or not as Kubernetes writes it.
pub fn from_json(json: &[u8]) -> Result<Vec<u8>, Error> {
    document(serde_json::from_slice(json)?)
}

/// A watch's event in JSON in protobuf, where it is no document itself; its object is one.
///
/// # Errors
/// As of [`from_json`].
pub fn event_from_json(json: &[u8]) -> Result<Vec<u8>, Error> {
    let Event { kind, object } = serde_json::from_slice(json)?;
    let mut raw = Vec::new();
    bytes(&mut raw, 1, &document(object)?);
    let mut out = Vec::new();
    bytes(&mut out, 1, kind.as_bytes());
    bytes(&mut out, 2, &raw);
    Ok(out)
}

fn document(document: &RawValue) -> Result<Vec<u8>, Error> {
    let TypeMeta { api_version, kind } = serde_json::from_str(document.get())?;
    let fields = match (api_version.as_str(), kind.as_str()) {
        ("v1", "Status") => meta::STATUS,
        ("v1", "APIResourceList") => meta::API_RESOURCE_LIST,
        ("meta.k8s.io/v1" | "meta.k8s.io/v1beta1", "PartialObjectMetadata") => {
            meta::PARTIAL_OBJECT_METADATA
        }
        ("meta.k8s.io/v1", "PartialObjectMetadataList") => meta::PARTIAL_OBJECT_METADATA_LIST,
        ("meta.k8s.io/v1beta1", "PartialObjectMetadataList") => {
            meta::PARTIAL_OBJECT_METADATA_LIST_V1BETA1
        }
        _ => return Err(Error::Kind { api_version, kind }),
    };
    let mut type_meta = Vec::new();
    bytes(&mut type_meta, 1, api_version.as_bytes());
    bytes(&mut type_meta, 2, kind.as_bytes());
    let mut out = MAGIC.to_vec();
    bytes(&mut out, 1, &type_meta);
    bytes(&mut out, 2, &message(fields, document)?);
    // Its contentEncoding and contentType.
    bytes(&mut out, 3, b"");
    bytes(&mut out, 4, b"");
    Ok(out)
}

fn message(fields: &[Field], json: &RawValue) -> Result<Vec<u8>, Error> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(json.get())?;
    let mut out = Vec::new();
    for field in fields {
        let value = members
            .get(field.name)
            .filter(|value| value.get() != "null");
        match value {
            Some(value) => field.write(value, &mut out)?,
            None if field.is_always => field.write_empty(&mut out)?,
            None => {}
        }
    }
    Ok(out)
}

impl Field {
    fn write(&self, json: &RawValue, out: &mut Vec<u8>) -> Result<(), Error> {
        let (number, json) = (self.number, json);
        match self.kind {
            Kind::Text => bytes(out, number, parse::<String>(json)?.as_bytes()),
            // Two's complement, as protobuf has it.
            Kind::Integer => varint(out, number, parse::<i64>(json)?.cast_unsigned()),
            Kind::Boolean => varint(out, number, parse::<bool>(json)?.into()),
            Kind::Time => bytes(out, number, &timestamp(&parse::<String>(json)?)?),
            Kind::Raw => {
                let mut raw = Vec::new();
                bytes(&mut raw, 1, json.get().as_bytes());
                bytes(out, number, &raw);
            }
            Kind::Message(fields) => bytes(out, number, &message(fields, json)?),
            Kind::Texts => {
                for text in parse::<Vec<String>>(json)? {
                    bytes(out, number, text.as_bytes());
                }
            }
            Kind::WrappedTexts => {
                let mut texts = Vec::new();
                for text in parse::<Vec<String>>(json)? {
                    bytes(&mut texts, 1, text.as_bytes());
                }
                bytes(out, number, &texts);
            }
            Kind::Messages(fields) => {
                for item in parse::<Vec<&RawValue>>(json)? {
                    bytes(out, number, &message(fields, item)?);
                }
            }
            Kind::Map => {
                for (key, value) in parse::<BTreeMap<String, String>>(json)? {
                    let mut entry = Vec::new();
                    bytes(&mut entry, 1, key.as_bytes());
                    bytes(&mut entry, 2, value.as_bytes());
                    bytes(out, number, &entry);
                }
            }
        }
        Ok(())
    }

    fn write_empty(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        match self.kind {
            Kind::Integer | Kind::Boolean => varint(out, self.number, 0),
            // What is in it may have to be written all the same.
            Kind::Message(fields) => {
                let empty: &RawValue = serde_json::from_str("{}")?;
                bytes(out, self.number, &message(fields, empty)?);
            }
            _ => bytes(out, self.number, b""),
        }
        Ok(())
    }
}

fn parse<'a, T: Deserialize<'a>>(json: &'a RawValue) -> Result<T, Error> {
    Ok(serde_json::from_str(json.get())?)
}

/// `Timestamp`, of which the nanoseconds are 0 (`apimachinery/pkg/apis/meta/v1/time_proto.go`).
fn timestamp(text: &str) -> Result<Vec<u8>, Error> {
    let seconds = OffsetDateTime::parse(text, &Rfc3339)?.unix_timestamp();
    let mut out = Vec::new();
    varint(&mut out, 1, seconds.cast_unsigned());
    varint(&mut out, 2, 0);
    Ok(out)
}

fn varint(out: &mut Vec<u8>, number: u64, value: u64) {
    base_128(out, number << 3 | VARINT);
    base_128(out, value);
}

fn bytes(out: &mut Vec<u8>, number: u64, value: &[u8]) {
    base_128(out, number << 3 | LENGTH_DELIMITED);
    base_128(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Seven bits a byte, the lowest first.
fn base_128(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_is_written_all_the_same() {
        let status = br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no","code":406}"#;
        let expected = [
            b"k8s\0\n\x0c\n\x02v1\x12\x06Status".as_slice(),
            b"\x12\x1a\n\x06\n\0\x12\0\x1a\0\x12\x07Failure\x1a\x02no\x22\0\x30\x96\x03",
            b"\x1a\0\x22\0",
        ];
        let written = from_json(status).unwrap();
        assert_eq!(written, expected.concat(), "{written:?}");
    }

    /// All fields, with something in them and without, as `k8s.io/apimachinery` 0.37 writes the same.
    #[test]
    fn every_field_is_as_kubernetes_writes_it() {
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

    /// As `k8s.io/apimachinery` 0.37 writes the same, without the length before it.
    #[test]
    fn events_are_as_kubernetes_writes_them() {
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
    fn a_list_of_v1beta1_has_its_fields_the_other_way_round() {
        let list = br#"{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1beta1","metadata":{"resourceVersion":"9"},"items":[{}]}"#;
        let expected = b"k8s\0\n0\n\x13meta.k8s.io/v1beta1\x12\x19PartialObjectMetadataList\
              \x12\x1d\n\x12\n\x10\n\0\x12\0\x1a\0\"\0*\x002\x008\0B\0\
              \x12\x07\n\0\x12\x019\x1a\0\x1a\0\"\0";
        let written = from_json(list).unwrap();
        assert_eq!(written, expected, "{}", written.escape_ascii());
    }

    #[test]
    fn other_kinds_are_refused() {
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
}
