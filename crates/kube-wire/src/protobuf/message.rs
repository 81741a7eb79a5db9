//! Encodes a JSON object as a message, by a description of its fields.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::ProtobufError;
use super::wire::{put_bytes, put_varint};

/// A field of a message.
pub(super) struct Field {
    pub(super) number: u64,
    /// The name in JSON.
    pub(super) name: &'static str,
    pub(super) field_type: FieldType,
    /// The field is a value in Go, not a pointer, so it is encoded even if the JSON lacks it.
    pub(super) is_required: bool,
}

pub(super) enum FieldType {
    Text,
    Integer,
    Boolean,
    /// A `Timestamp` in whole seconds, since JSON has no fractions.
    Time,
    /// JSON in a bytes field.
    RawJson,
    Message(&'static [Field]),
    Texts,
    /// A list of texts inside another message.
    WrappedTexts,
    Messages(&'static [Field]),
    /// A map from text to text.
    Map,
}

/// Encodes the fields of a JSON object in the order of the description. Unknown members are
/// ignored, and `null` counts as absent.
pub(super) fn message(fields: &[Field], json: &RawValue) -> Result<Vec<u8>, ProtobufError> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(json.get())?;
    let mut out = Vec::new();
    for field in fields {
        let value = members
            .get(field.name)
            .filter(|value| value.get() != "null");
        match value {
            Some(value) => field.put(value, &mut out)?,
            None if field.is_required => field.put_empty(&mut out)?,
            None => {}
        }
    }
    Ok(out)
}

impl Field {
    fn put(&self, json: &RawValue, out: &mut Vec<u8>) -> Result<(), ProtobufError> {
        let number = self.number;
        match self.field_type {
            FieldType::Text => put_bytes(out, number, parse::<String>(json)?.as_bytes()),
            // Protobuf encodes negative integers in two's complement.
            FieldType::Integer => put_varint(out, number, parse::<i64>(json)?.cast_unsigned()),
            FieldType::Boolean => put_varint(out, number, parse::<bool>(json)?.into()),
            FieldType::Time => put_bytes(out, number, &timestamp(&parse::<String>(json)?)?),
            FieldType::RawJson => {
                let mut raw = Vec::new();
                put_bytes(&mut raw, 1, json.get().as_bytes());
                put_bytes(out, number, &raw);
            }
            FieldType::Message(fields) => put_bytes(out, number, &message(fields, json)?),
            FieldType::Texts => {
                for text in parse::<Vec<String>>(json)? {
                    put_bytes(out, number, text.as_bytes());
                }
            }
            FieldType::WrappedTexts => {
                let mut texts = Vec::new();
                for text in parse::<Vec<String>>(json)? {
                    put_bytes(&mut texts, 1, text.as_bytes());
                }
                put_bytes(out, number, &texts);
            }
            FieldType::Messages(fields) => {
                for item in parse::<Vec<&RawValue>>(json)? {
                    put_bytes(out, number, &message(fields, item)?);
                }
            }
            FieldType::Map => {
                for (key, value) in parse::<BTreeMap<String, String>>(json)? {
                    let mut entry = Vec::new();
                    put_bytes(&mut entry, 1, key.as_bytes());
                    put_bytes(&mut entry, 2, value.as_bytes());
                    put_bytes(out, number, &entry);
                }
            }
        }
        Ok(())
    }

    fn put_empty(&self, out: &mut Vec<u8>) -> Result<(), ProtobufError> {
        match self.field_type {
            FieldType::Integer | FieldType::Boolean => put_varint(out, self.number, 0),
            // An empty message may have required fields.
            FieldType::Message(fields) => {
                let empty: &RawValue = serde_json::from_str("{}")?;
                put_bytes(out, self.number, &message(fields, empty)?);
            }
            _ => put_bytes(out, self.number, b""),
        }
        Ok(())
    }
}

fn parse<'a, T: Deserialize<'a>>(json: &'a RawValue) -> Result<T, ProtobufError> {
    Ok(serde_json::from_str(json.get())?)
}

/// Encodes a `Timestamp` with 0 nanoseconds (`apimachinery/pkg/apis/meta/v1/time_proto.go`).
fn timestamp(text: &str) -> Result<Vec<u8>, ProtobufError> {
    let seconds = OffsetDateTime::parse(text, &Rfc3339)?.unix_timestamp();
    let mut out = Vec::new();
    put_varint(&mut out, 1, seconds.cast_unsigned());
    put_varint(&mut out, 2, 0);
    Ok(out)
}
