//! The members of a JSON object in their order, as written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::Deserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object. A repeated key is several members. White space stays, so that an indented object without
/// some members is still indented.
#[derive(Debug, Default)]
pub(crate) struct JsonMembers<'a> {
    members: Vec<Member<'a>>,
    /// The white space before the closing bracket.
    end: &'a str,
}

#[derive(Debug)]
struct Member<'a> {
    key: Cow<'a, str>,
    /// The text before the value: white space, the key and the colon.
    before: &'a str,
    value: &'a RawValue,
}

impl<'a> JsonMembers<'a> {
    /// Reads an object. Returns `None` for null.
    ///
    /// # Errors
    /// The text is not an object in JSON.
    pub(crate) fn read(json: &'a [u8]) -> Result<Option<Self>, serde_json::Error> {
        let text = std::str::from_utf8(json).map_err(serde_json::Error::custom)?;
        let mut json = serde_json::Deserializer::from_str(text);
        let pairs = json.deserialize_any(PairsVisitor)?;
        json.end()?;
        Ok(pairs.map(|pairs| Self::with_text(text, pairs)))
    }

    /// Finds the text around each value. The values are parts of `text`, in order.
    fn with_text(text: &'a str, pairs: Vec<(Key<'a>, &'a RawValue)>) -> Self {
        let object = text.trim_ascii();
        let mut rest = object.strip_prefix('{').unwrap_or(object);
        let mut members = Vec::with_capacity(pairs.len());
        for (Key(key), value) in pairs {
            let begin = value.get().as_ptr().addr() - rest.as_ptr().addr();
            let (before, after) = rest.split_at_checked(begin).unwrap_or_default();
            rest = after.get(value.get().len()..).unwrap_or_default();
            // White space before a comma is of no interest.
            rest = rest.trim_ascii_start().strip_prefix(',').unwrap_or(rest);
            members.push(Member { key, before, value });
        }
        Self {
            members,
            end: rest.strip_suffix('}').unwrap_or(rest),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        let members = self.members.iter();
        members.map(|member| (&*member.key, member.value))
    }

    /// Returns the last value of a key, which counts in Go.
    pub(crate) fn get(&self, key: &str) -> Option<&'a RawValue> {
        let mut members = self.members.iter().rev();
        members
            .find(|member| member.key == key)
            .map(|member| member.value)
    }

    /// Removes the members for whose key `keeps` returns false. Returns whether it removed any.
    pub(crate) fn retain(&mut self, keeps: impl Fn(&str) -> bool) -> bool {
        let before = self.members.len();
        self.members.retain(|member| keeps(&member.key));
        self.members.len() < before
    }

    /// Returns which parts of `text` contain the members for whose key `is_removed` returns true, each with one comma.
    /// This object was read from a part of `text`.
    pub(crate) fn parts(&self, text: &str, is_removed: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
        let begin_of = |part: &str| part.as_ptr().addr() - text.as_ptr().addr();
        let mut parts: Vec<Range<usize>> = Vec::new();
        let mut last_kept = None;
        let mut members = self.members.iter().peekable();
        while let Some(member) = members.next() {
            let value = member.value.get();
            let end = begin_of(value) + value.len();
            if !is_removed(&member.key) {
                last_kept = Some(end);
                continue;
            }
            let part = match (last_kept, members.peek()) {
                (Some(before), _) => before..end,
                (None, Some(next)) => begin_of(member.before)..begin_of(next.before),
                (None, None) => begin_of(member.before)..end,
            };
            match parts.last_mut() {
                Some(last) if part.start <= last.end => last.end = part.end,
                _ => parts.push(part),
            }
        }
        parts
    }

    /// Writes the object.
    pub(crate) fn to_json(&self) -> String {
        self.to_json_with(|_, value| Some(Cow::Borrowed(value.get())))
    }

    /// Writes the object with other members added or replaced, sorted by key and without white space between members,
    /// as Go writes maps.
    pub(crate) fn with_sorted(&self, others: impl Iterator<Item = (String, String)>) -> String {
        let own = self.iter();
        let own = own.map(|(key, value)| (key.to_owned(), value.get().to_owned()));
        let all: BTreeMap<String, String> = own.chain(others).collect();
        let members = all.iter().map(|(key, json)| member(key, json));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }

    /// Writes the object with the values that `write` returns, and without the members for which it returns `None`.
    pub(crate) fn to_json_with<'b>(
        &self,
        write: impl Fn(&str, &'a RawValue) -> Option<Cow<'b, str>>,
    ) -> String {
        let members = self.members.iter().filter_map(|member| {
            let value = write(&member.key, member.value)?;
            Some(format!("{}{value}", member.before))
        });
        let members = members.collect::<Vec<_>>().join(",");
        format!("{{{members}{}}}", self.end)
    }
}

/// Writes a member whose value is JSON.
pub(crate) fn member(key: &str, json: &str) -> String {
    format!("{}:{json}", serde_json::Value::from(key))
}

/// Writes a member whose value is a string.
pub(crate) fn string_member(key: &str, value: &str) -> String {
    member(key, &serde_json::Value::from(value).to_string())
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Option<Vec<(Key<'de>, &'de RawValue)>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object or null")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Some(pairs))
    }
}

/// A key, borrowed if it has no escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indented_object_stays_indented() {
        let json = "{\n  \"a\": 1,\n  \"b\" : {} ,\n  \"c\": 3\n}";
        let without = |key: &str| {
            let mut members = JsonMembers::read(json.as_bytes()).unwrap().unwrap();
            members.retain(|known| known != key);
            members.to_json()
        };
        assert_eq!(without("a"), "{\n  \"b\" : {},\n  \"c\": 3\n}");
        assert_eq!(without("b"), "{\n  \"a\": 1,\n  \"c\": 3\n}");
        assert_eq!(without("c"), "{\n  \"a\": 1,\n  \"b\" : {}\n}");
        assert_eq!(without("d"), "{\n  \"a\": 1,\n  \"b\" : {},\n  \"c\": 3\n}");
    }

    #[test]
    fn members_keep_their_order_and_their_text() {
        let json = br#" {"b":1.0,"\u0061":"\u0062", "b":[1, 2]} "#;
        let mut members = JsonMembers::read(json).unwrap().unwrap();
        let text = r#"{"b":1.0,"\u0061":"\u0062", "b":[1, 2]}"#;
        assert_eq!(members.to_json(), text);
        assert_eq!(members.get("b").unwrap().get(), "[1, 2]");
        assert!(members.retain(|key| key != "b") && !members.is_empty());
        assert_eq!(members.to_json(), r#"{"\u0061":"\u0062"}"#);
        assert!(JsonMembers::read(b"null").unwrap().is_none());
        for invalid in [&b"[]"[..], b"5", b"{} x", b"{"] {
            assert!(JsonMembers::read(invalid).is_err());
        }
    }
}
