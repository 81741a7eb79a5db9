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

/// For rules by which an item `$.items[*]` is held until its `m` has ended, `$.x` is skipped and the
/// string `$.last` is looked into.
pub fn inputs() -> Vec<Worst> {
    // As deep as may be by default, with what it stands in.
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
        ("numbers that are walked", r#"{"items":["#, "1,", "0]}"),
        ("members that are walked", "{", r#""b":1,"#, r#""a":0}"#),
        (
            "the inside of an item that was let go",
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
    .map(worst)
    .into()
}

/// What makes work of an item, for rules by which strings `k` wait until it is judged and `gone` goes:
/// each is one item `$.items[*]`, but in the first, where every item goes.
#[allow(dead_code, reason = "measured alone")]
pub fn held() -> Vec<Worst> {
    [
        (
            "items that all go",
            r#"{"items":["#,
            r#"{"k":"foreign"},"#,
            "0]}",
        ),
        (
            "strings that wait",
            r#"{"items":[{"#,
            r#""k":"remote","#,
            r#""z":0}]}"#,
        ),
        (
            "escaped strings that wait",
            r#"{"items":[{"#,
            r#""k":"\n","#,
            r#""z":0}]}"#,
        ),
        (
            "members that go",
            r#"{"items":[{"#,
            r#""gone":0,"#,
            r#""z":0}]}"#,
        ),
    ]
    .map(worst)
    .into()
}

fn worst((what, head, part, tail): (&'static str, &'static str, &str, &'static str)) -> Worst {
    Worst {
        what,
        head,
        part: part.to_owned(),
        tail,
    }
}
