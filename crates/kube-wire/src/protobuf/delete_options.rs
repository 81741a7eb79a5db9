//! Decodes `DeleteOptions` into JSON.

use serde_json::{Map, Value};

use super::wire::{END_GROUP, FIXED_32, FIXED_64, LENGTH_DELIMITED, MAGIC, START_GROUP, VARINT};

/// The document contains a group, a deprecated construct of protobuf. Go skips groups; this decoder
/// does not.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("groups in protobuf are not supported")]
pub struct GroupNotSupported;

/// Why a message cannot be decoded.
enum DecodeError {
    /// Go rejects the message too.
    Malformed,
    Group,
}

/// Returns the options of a deletion as JSON, or `None` if the document is malformed, so that
/// kube-apiserver rejects it.
///
/// # Errors
/// The document contains a group, which kube-apiserver would skip.
pub fn delete_options(document: &[u8]) -> Result<Option<Value>, GroupNotSupported> {
    match decode(document) {
        Ok(options) => Ok(Some(Value::Object(options))),
        Err(DecodeError::Malformed) => Ok(None),
        Err(DecodeError::Group) => Err(GroupNotSupported),
    }
}

fn decode(document: &[u8]) -> Result<Map<String, Value>, DecodeError> {
    let mut options = Map::new();
    let unknown = document.strip_prefix(MAGIC).ok_or(DecodeError::Malformed)?;
    for field in Fields(unknown) {
        // If the object is repeated, the last one counts.
        if let (2, Content::Bytes(raw)) = field? {
            options = decode_options(raw)?;
        }
    }
    Ok(options)
}

fn decode_options(raw: &[u8]) -> Result<Map<String, Value>, DecodeError> {
    let mut options = Map::new();
    let mut preconditions = Map::new();
    let mut dry_run = Vec::new();
    for field in Fields(raw) {
        let (name, value) = match field? {
            (1, Content::Integer(value)) => ("gracePeriodSeconds", value.cast_signed().into()),
            (2, Content::Bytes(conditions)) => {
                for field in Fields(conditions) {
                    match field? {
                        (1, Content::Bytes(uid)) => {
                            preconditions.insert("uid".into(), text(uid));
                        }
                        (2, Content::Bytes(version)) => {
                            preconditions.insert("resourceVersion".into(), text(version));
                        }
                        _ => {}
                    }
                }
                continue;
            }
            (3, Content::Integer(value)) => ("orphanDependents", (value != 0).into()),
            (4, Content::Bytes(policy)) => ("propagationPolicy", text(policy)),
            (5, Content::Bytes(stage)) => {
                dry_run.push(text(stage));
                continue;
            }
            (6, Content::Integer(value)) => (
                "ignoreStoreReadErrorWithClusterBreakingPotential",
                (value != 0).into(),
            ),
            _ => continue,
        };
        options.insert(name.into(), value);
    }
    if !preconditions.is_empty() {
        options.insert("preconditions".into(), preconditions.into());
    }
    if !dry_run.is_empty() {
        options.insert("dryRun".into(), dry_run.into());
    }
    Ok(options)
}

fn text(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).into()
}

/// The value of a field.
enum Content<'a> {
    Integer(u64),
    Bytes(&'a [u8]),
    /// A fixed-size value; `DeleteOptions` has none.
    Skipped,
}

/// The fields of a message, by number. The first error ends the iteration.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn field(&mut self) -> Result<(u64, Content<'a>), DecodeError> {
        let tag = self.varint().ok_or(DecodeError::Malformed)?;
        let content = match tag & 7 {
            VARINT => self.varint().map(Content::Integer),
            LENGTH_DELIMITED => {
                let length = self
                    .varint()
                    .and_then(|length| usize::try_from(length).ok());
                length
                    .and_then(|length| self.take(length))
                    .map(Content::Bytes)
            }
            FIXED_64 => self.take(8).map(|_| Content::Skipped),
            FIXED_32 => self.take(4).map(|_| Content::Skipped),
            START_GROUP | END_GROUP => return Err(DecodeError::Group),
            _ => None,
        };
        // gogo/protobuf's generated `Unmarshal` reads the number as 32 bits.
        let number = (tag >> 3) & u64::from(u32::MAX);
        Ok((number, content.ok_or(DecodeError::Malformed)?))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Content<'a>), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use serde_json::json;

    use super::*;

    /// Encodes options like a typed Go client (`runtime.Encode` with the protobuf serializer).
    fn document(options: &[u8]) -> Vec<u8> {
        let mut document = b"k8s\0\x0a\x13\x0a\x02v1\x12\x0dDeleteOptions\x12".to_vec();
        document.push(u8::try_from(options.len()).unwrap());
        document.extend_from_slice(options);
        document.extend_from_slice(b"\x1a\0\"\0");
        document
    }

    #[test]
    fn options_are_decoded_as_json() {
        let all = document(
            b"\x08\x05\x12\x08\x0a\x02u1\x12\x0242\x18\x01\x22\x06Orphan\x2a\x03All\x30\0",
        );
        let expected = json!({
            "gracePeriodSeconds": 5,
            "preconditions": {"uid": "u1", "resourceVersion": "42"},
            "orphanDependents": true,
            "propagationPolicy": "Orphan",
            "dryRun": ["All"],
            "ignoreStoreReadErrorWithClusterBreakingPotential": false,
        });
        assert_eq!(delete_options(&all).unwrap(), Some(expected));
        assert_eq!(delete_options(&document(b"")).unwrap(), Some(json!({})));
        let negative = document(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
        assert_eq!(
            delete_options(&negative).unwrap(),
            Some(json!({"gracePeriodSeconds": -1}))
        );
    }

    #[test]
    fn unknown_fields_are_skipped() {
        for unknown in [
            b"\x78\x01".as_slice(),
            b"\x7a\x02ab",
            b"\x7d1234",
            b"\x7912345678",
        ] {
            let options = document(&[unknown, b"\x22\x06Orphan"].concat());
            let expected = json!({"propagationPolicy": "Orphan"});
            assert_eq!(delete_options(&options).unwrap(), Some(expected));
        }
        let last = document(b"\x22\x0aBackground\x22\x06Orphan");
        let expected = json!({"propagationPolicy": "Orphan"});
        assert_eq!(delete_options(&last).unwrap(), Some(expected));
    }

    #[test]
    fn truncated_documents_are_malformed() {
        let whole = document(b"\x22\x06Orphan\x2a\x03All");
        // Between two fields of the outermost message, a cut cannot be recognized.
        let boundaries = [4, 25, 40, 42];
        for end in 0..whole.len() {
            let options = delete_options(&whole[..end]).unwrap();
            assert_eq!(options.is_some(), boundaries.contains(&end), "{end}");
        }
    }

    #[test]
    fn groups_are_errors() {
        let grouped = document(b"\x7b\x7c");
        assert_eq!(delete_options(&grouped), Err(GroupNotSupported));
    }
}
