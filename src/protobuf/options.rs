//! `DeleteOptions` in protobuf, read into JSON.

use serde_json::{Map, Value};

use super::{LENGTH_DELIMITED, MAGIC, VARINT};

const FIXED_64: u64 = 1;
const START_GROUP: u64 = 3;
const END_GROUP: u64 = 4;
const FIXED_32: u64 = 5;

/// Groups, which nobody writes, are not read, although Go skips them.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("a group in protobuf is not read")]
pub struct Group;

/// The options of a deletion as JSON. What is broken ends them, as far as they were read: it is
/// refused by whoever reads them to act on them.
///
/// # Errors
/// They have a group in them, behind which there may be more.
pub fn delete_options(document: &[u8]) -> Result<Value, Group> {
    let mut options = Map::new();
    let unknown = document.strip_prefix(MAGIC).unwrap_or_default();
    for field in Fields(unknown) {
        // The last one counts.
        if let (2, Content::Bytes(raw)) = field? {
            options = read(raw)?;
        }
    }
    Ok(Value::Object(options))
}

fn read(raw: &[u8]) -> Result<Map<String, Value>, Group> {
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

enum Content<'a> {
    Integer(u64),
    Bytes(&'a [u8]),
    Skipped,
}

/// The fields of a message, up to where it is broken.
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

    fn field(&mut self) -> Option<Result<(u64, Content<'a>), Group>> {
        let tag = self.varint()?;
        let content = match tag & 7 {
            VARINT => Content::Integer(self.varint()?),
            LENGTH_DELIMITED => {
                let length = usize::try_from(self.varint()?).ok()?;
                Content::Bytes(self.take(length)?)
            }
            FIXED_64 => self.take(8).map(|_| Content::Skipped)?,
            FIXED_32 => self.take(4).map(|_| Content::Skipped)?,
            START_GROUP | END_GROUP => return Some(Err(Group)),
            _ => return None,
        };
        // As Go has it, which numbers fields by 32 bits (gogo/protobuf, generated Unmarshal).
        Some(Ok(((tag >> 3) & u64::from(u32::MAX), content)))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Content<'a>), Group>;

    fn next(&mut self) -> Option<Self::Item> {
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        field
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use serde_json::json;

    use super::*;

    /// As a typed client of Go writes them (`runtime.Encode` with the protobuf serializer).
    fn document(options: &[u8]) -> Vec<u8> {
        let mut document = b"k8s\0\x0a\x13\x0a\x02v1\x12\x0dDeleteOptions\x12".to_vec();
        document.push(u8::try_from(options.len()).unwrap());
        document.extend_from_slice(options);
        document.extend_from_slice(b"\x1a\0\"\0");
        document
    }

    #[test]
    fn options_are_read_as_in_json() {
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
        assert_eq!(delete_options(&all).unwrap(), expected);
        assert_eq!(delete_options(&document(b"")).unwrap(), json!({}));
        let negative = document(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
        assert_eq!(
            delete_options(&negative).unwrap(),
            json!({"gracePeriodSeconds": -1})
        );
    }

    #[test]
    fn what_is_behind_an_unknown_field_is_read_too() {
        for unknown in [
            b"\x78\x01".as_slice(),
            b"\x7a\x02ab",
            b"\x7d1234",
            b"\x7912345678",
        ] {
            let options = document(&[unknown, b"\x22\x06Orphan"].concat());
            let expected = json!({"propagationPolicy": "Orphan"});
            assert_eq!(delete_options(&options).unwrap(), expected);
        }
        let last = document(b"\x22\x0aBackground\x22\x06Orphan");
        let expected = json!({"propagationPolicy": "Orphan"});
        assert_eq!(delete_options(&last).unwrap(), expected);
    }

    #[test]
    fn what_is_cut_anywhere_ends_and_groups_are_refused() {
        let whole = document(b"\x22\x06Orphan\x2a\x03All");
        for end in 0..whole.len() {
            assert!(delete_options(&whole[..end]).is_ok());
        }
        assert_eq!(delete_options(&document(b"\x7b\x7c")), Err(Group));
    }
}
