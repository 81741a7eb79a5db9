//! Inputs with the highest cost per byte, or that would make a bounded buffer grow. They can have any length.

use bytes::Bytes;

/// A document that repeats one part.
pub struct WorstCase {
    pub name: &'static str,
    head: &'static str,
    part: String,
    tail: &'static str,
}

impl WorstCase {
    /// Returns about `bytes` bytes in chunks of `size`. The beginning and the end are chunks of their own.
    pub fn chunks(&self, bytes: usize, size: usize) -> impl Iterator<Item = Bytes> {
        let whole = self.part.len();
        let length = bytes - bytes % whole;
        let parts = Bytes::from(self.part.repeat(size / whole + 2));
        let starts = (0..length).step_by(size);
        let middle = starts.map(move |at| {
            let from = at % whole;
            parts.slice(from..from + size.min(length - at))
        });
        let ends = [self.head, self.tail].map(|text| Bytes::from_static(text.as_bytes()));
        let [head, tail] = ends;
        [head].into_iter().chain(middle).chain([tail])
    }
}

/// Returns inputs for these rules: items `$.items[*]` are decided by their `m`, `$.x` is skipped, and the string
/// `$.last` has embedded JSON.
pub fn inputs() -> Vec<WorstCase> {
    // As deep as the default limit allows, including the containers around it.
    let nested = format!("{}{},", "[{\"a\":".repeat(4_999), "1}]".repeat(4_999));
    [
        ("empty strings", r#"{"x":["#, "\"\",", "0]}"),
        ("escaped quotes", r#"{"x":""#, "\\\"", "\"}"),
        ("backslashes", r#"{"x":""#, "\\\\", "\"}"),
        ("brackets 10,000 deep", r#"{"x":["#, &nested, "0]}"),
        ("empty containers", r#"{"x":["#, "{},[],", "0]}"),
        ("one string", r#"{"x":""#, "x", "\"}"),
        ("white space", r#"{"x":1"#, " \n", "}"),
        ("one skipped key", r#"{"x":{""#, "k", "\":1}}"),
        ("walked numbers", r#"{"items":["#, "1,", "0]}"),
        ("walked members", "{", r#""b":1,"#, r#""a":0}"#),
        (
            "the rest of a kept item",
            r#"{"items":[{"m":{},"x":""#,
            "x",
            "\"}]}",
        ),
        (
            "embedded JSON",
            r#"{"last":""#,
            r#"{\"m\":{\"ns\":\"x\"},\"k\":["#,
            "\"}",
        ),
    ]
    .map(worst_case)
    .into()
}

/// Returns inputs for these rules: `$.items[*]` are items, their strings `k` are deferred, their `gone` is removed, and
/// their `m` is removed if its member `gone` was the only one. Each input is one item, except that the first has many
/// items, which are all dropped.
pub fn item_inputs() -> Vec<WorstCase> {
    [
        (
            "dropped items",
            r#"{"items":["#,
            r#"{"k":"foreign"},"#,
            "0]}",
        ),
        (
            "deferred strings",
            r#"{"items":[{"#,
            r#""k":"remote","#,
            r#""z":0}]}"#,
        ),
        (
            "escaped deferred strings",
            r#"{"items":[{"#,
            r#""k":"\n","#,
            r#""z":0}]}"#,
        ),
        (
            "removed members",
            r#"{"items":[{"#,
            r#""gone":0,"#,
            r#""z":0}]}"#,
        ),
        (
            "emptied objects",
            r#"{"items":[{"#,
            r#""m":{"gone":0},"#,
            r#""z":0}]}"#,
        ),
    ]
    .map(worst_case)
    .into()
}

fn worst_case(
    (name, head, part, tail): (&'static str, &'static str, &str, &'static str),
) -> WorstCase {
    WorstCase {
        name,
        head,
        part: part.to_owned(),
        tail,
    }
}
