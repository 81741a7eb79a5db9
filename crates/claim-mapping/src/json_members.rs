//! The members of a JSON object in their order, as written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::Deserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Capacity for the members of a compact object, so that it rarely grows.
const COMPACT_MEMBERS: usize = 8;

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
    value: &'a str,
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
            members.push(Member {
                key,
                before,
                value: value.get(),
            });
        }
        Self {
            members,
            end: rest.strip_suffix('}').unwrap_or(rest),
        }
    }

    /// Reads an object of objects that has neither white space nor escapes in its keys, as kube-apiserver writes managed
    /// fields. Returns it with the text after it, or `None` for other texts. This takes a fraction of the time of
    /// [`read`](Self::read). Only brackets and strings inside of the values are checked.
    pub(crate) fn read_compact(text: &'a str) -> Option<(Self, &'a str)> {
        let mut members = Vec::with_capacity(COMPACT_MEMBERS);
        let mut rest = text.strip_prefix('{')?;
        while !rest.starts_with('}') {
            let key_end = string_end(rest.as_bytes(), 0)?;
            let (before, value) = rest.split_at_checked(key_end + 1)?;
            let key = before.strip_prefix('"')?.strip_suffix("\":")?;
            let (value, after) = value.split_at_checked(object_end(value.as_bytes())?)?;
            if key.contains('\\') {
                return None;
            }
            members.push(Member {
                key: Cow::Borrowed(key),
                before,
                value,
            });
            rest = match after.strip_prefix(',') {
                Some(next) if next.starts_with('"') => next,
                Some(_) => return None,
                None if after.starts_with('}') => after,
                None => return None,
            };
        }
        Some((Self { members, end: "" }, rest.strip_prefix('}')?))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        let members = self.members.iter();
        members.map(|member| (&*member.key, member.value))
    }

    /// Returns the last value of a key, which counts in Go.
    pub(crate) fn get(&self, key: &str) -> Option<&'a str> {
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
            let end = begin_of(member.value) + member.value.len();
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
        self.to_json_with(|_, value| Some(Cow::Borrowed(value)))
    }

    /// Writes the object with other members added or replaced, sorted by key and without white space between members,
    /// as Go writes maps.
    pub(crate) fn with_sorted(&self, others: impl Iterator<Item = (String, String)>) -> String {
        let own = self.iter();
        let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let all: BTreeMap<String, String> = own.chain(others).collect();
        let members = all.iter().map(|(key, json)| member(key, json));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }

    /// Writes the object with the values that `write` returns, and without the members for which it returns `None`.
    pub(crate) fn to_json_with<'b>(
        &self,
        write: impl Fn(&str, &'a str) -> Option<Cow<'b, str>>,
    ) -> String {
        let members = self.members.iter().filter_map(|member| {
            let value = write(&member.key, member.value)?;
            Some(format!("{}{value}", member.before))
        });
        let members = members.collect::<Vec<_>>().join(",");
        format!("{{{members}{}}}", self.end)
    }
}

/// Returns the position after the object of objects that begins a text without white space.
fn object_end(text: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'{' => depth += 1,
            b'}' if depth <= 1 => return (depth == 1).then_some(at + 1),
            b'}' => depth -= 1,
            b'"' => at = string_end(text, at)? - 1,
            b':' | b',' if depth > 0 => {}
            _ => return None,
        }
        at += 1;
    }
}

/// Returns the position after the string whose quote is at `begin`.
fn string_end(text: &[u8], begin: usize) -> Option<usize> {
    let mut at = begin + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        match text.get(at)? {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
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
    fn compact_objects_are_read_like_others() {
        for json in [
            "{}",
            r#"{"a":{}}"#,
            r#"{".":{},"f:b":{"k:{\"c\":\"}\"}":{},"v:\"\\\"":{}},"é":{}}"#,
        ] {
            let (compact, after) = JsonMembers::read_compact(json).unwrap();
            let members = JsonMembers::read(json.as_bytes()).unwrap().unwrap();
            assert_eq!((compact.to_json(), after), (members.to_json(), ""));
            assert!(compact.iter().eq(members.iter()), "{json}");
        }
        let (_, after) = JsonMembers::read_compact(r#"{"a":{}},"b":{}}"#).unwrap();
        assert_eq!(after, r#","b":{}}"#);
        for other in [
            "",
            "{",
            r#"{"a"#,
            r#"{"a":"#,
            r#"{"a":{"#,
            r#"{"a":{}"#,
            r#"{"a":{},"#,
            r#"{"a":{},}"#,
            r#"{,}"#,
            r#"{"a":}"#,
            r#"{"a"}"#,
            r#"{"a":1}"#,
            r#"{"a":[]}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"a": {}}"#,
            r#"{ "a":{}}"#,
            r#"{"\u0061":{}}"#,
            r#"{"a":{}"b":{}}"#,
            "null",
            "[]",
        ] {
            assert!(JsonMembers::read_compact(other).is_none(), "{other}");
        }
    }

    #[test]
    fn members_keep_their_order_and_their_text() {
        let json = br#" {"b":1.0,"\u0061":"\u0062", "b":[1, 2]} "#;
        let mut members = JsonMembers::read(json).unwrap().unwrap();
        let text = r#"{"b":1.0,"\u0061":"\u0062", "b":[1, 2]}"#;
        assert_eq!(members.to_json(), text);
        assert_eq!(members.get("b").unwrap(), "[1, 2]");
        assert!(members.retain(|key| key != "b") && !members.is_empty());
        assert_eq!(members.to_json(), r#"{"\u0061":"\u0062"}"#);
        assert!(JsonMembers::read(b"null").unwrap().is_none());
        for invalid in [&b"[]"[..], b"5", b"{} x", b"{"] {
            assert!(JsonMembers::read(invalid).is_err());
        }
    }
}
