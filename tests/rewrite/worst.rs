//! Inputs that are slowest for each byte, or that would make something grow; as long as one likes.

#![allow(
    unreachable_pub,
    reason = "of a test here, and of a library where things are measured"
)]

use bytes::Bytes;

/// A document with one part that stands in it again and again.
pub struct Worst {
    pub what: &'static str,
    head: &'static str,
    part: String,
    tail: &'static str,
}

impl Worst {
    /// About so many bytes in chunks of `size`, of which the beginning and the end are others.
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

/// For rules that walk `$.items[*].m` or the like, skip `$.x` and look into the string `$.last`.
pub fn inputs() -> Vec<Worst> {
    let nested = format!("{}{},", "[{\"a\":".repeat(400), "1}]".repeat(400));
    [
        ("empty strings", r#"{"x":["#, "\"\",", "0]}"),
        ("escaped quotes", r#"{"x":""#, "\\\"", "\"}"),
        ("backslashes", r#"{"x":""#, "\\\\", "\"}"),
        ("brackets 800 deep", r#"{"x":["#, &nested, "0]}"),
        ("empty containers", r#"{"x":["#, "{},[],", "0]}"),
        ("one string", r#"{"x":""#, "x", "\"}"),
        ("white space", r#"{"x":1"#, " \n", "}"),
        ("one skipped key", r#"{"x":{""#, "k", "\":1}}"),
        ("numbers that are walked", r#"{"items":["#, "1,", "0]}"),
        ("members that are walked", "{", r#""b":1,"#, r#""a":0}"#),
        (
            "an item's inside",
            r#"{"items":[{"m":{},"x":""#,
            "x",
            "\"}]}",
        ),
        (
            "a string that holds JSON",
            r#"{"last":""#,
            r#"{\"m\":{\"ns\":\"x\"},\"k\":["#,
            "\"}",
        ),
    ]
    .map(|(what, head, part, tail)| Worst {
        what,
        head,
        part: part.to_owned(),
        tail,
    })
    .into()
}
