//! Bounds: what is beyond them ends the stream, at the same byte however it came.

use bytes::{Buf, Bytes};
use claimgate::rewrite::*;

use super::behaviour::{filtering, plain};
use super::inside::Local;

/// What comes of an input, which is the same however it is cut, down to the offset of an error.
fn bounded(rules: &Rules, limits: Limits, input: &str) -> Result<String, Error> {
    let input = input.as_bytes();
    let whole = run(rules, limits, [input]);
    for at in 0..input.len() {
        let (first, second) = input.split_at(at);
        assert_eq!(run(rules, limits, [first, second]), whole, "cut at {at}");
    }
    assert_eq!(run(rules, limits, input.chunks(1)), whole, "byte by byte");
    whole
}

/// Replaces strings by `local`. Behind an error nothing more leaves.
fn run<'a>(
    rules: &Rules,
    limits: Limits,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Result<String, Error> {
    let mut rewriter = Rewriter::new(rules.clone(), Framing::One, limits, Local);
    let (mut out, mut fed, mut failed) = (Output::default(), Vec::new(), None);
    for chunk in chunks {
        let before = out.len();
        fed.extend_from_slice(chunk);
        let error = rewriter.feed(Bytes::copy_from_slice(chunk), &mut out).err();
        if failed.is_some() {
            assert_eq!((error, out.len()), (Some(Error::Poisoned), before));
        } else {
            failed = error;
        }
    }
    let before = out.len();
    let finished = rewriter.finish(&mut out);
    let left = out.copy_to_bytes(out.len());
    let Some(error) = failed else {
        return finished.map(|()| String::from_utf8(left.into()).unwrap());
    };
    assert_eq!((finished, left.len()), (Err(Error::Poisoned), before));
    assert!(fed.starts_with(&left));
    Err(error)
}

/// How many bytes an input has up to the end of a part.
fn up_to(input: &str, part: &str) -> u64 {
    (input.find(part).unwrap() + part.len()) as u64
}

#[test]
fn bounds_end_the_stream_at_the_first_byte_beyond_them() {
    let limits = Limits {
        held_bytes_max: 64,
        string_bytes_max: 16,
        depth_max: 8,
    };
    let long = "x".repeat(100);

    let string = format!(r#"{{"m":{{"ns":"{long}"}}}}"#);
    let offset = up_to(&string, r#""ns":""#) + 16;
    let error = Error::ValueTooLong { offset, max: 16 };
    assert_eq!(bounded(&plain(), limits, &string), Err(error));

    let ns = Rules::builder().string("$.ns", 0).build().unwrap();
    let value = Rules::builder().value("$.ns", 0).build().unwrap();
    for (rules, input, before) in [
        (&filtering(), r#"{"items":[{"a":"L","m":{}}]}"#, "["),
        (&filtering(), r#"{"items":[{"m":{"x":"L"}}]}"#, "["),
        (&ns, r#"{"b":1, LL"ns":"y"}"#, "1"),
        (&value, r#"{"b":1 ,"ns":["L"]}"#, "1 "),
    ] {
        let filler = if input.contains("LL") {
            ("LL", " ")
        } else {
            ("L", "x")
        };
        let input = input.replace(filler.0, &filler.1.repeat(100));
        let offset = up_to(&input, before) + 64;
        let error = Error::HeldTooLarge { offset, max: 64 };
        assert_eq!(bounded(rules, limits, &input), Err(error), "{input}");
    }

    let skipped = format!("{{\"x\":{}{}}}", "[".repeat(8), "]".repeat(8));
    let offset = up_to(&skipped, "[[[[[[[");
    let error = Error::Depth { offset, max: 8 };
    assert_eq!(bounded(&plain(), limits, &skipped), Err(error));

    let path = (0..9).fold("$".to_owned(), |path, _| path + "[*]");
    let walked = Rules::builder().string(&path, 0).build().unwrap();
    let error = Error::Depth { offset: 8, max: 8 };
    assert_eq!(bounded(&walked, limits, &"[".repeat(9)), Err(error));

    let fits = format!("{{\"x\":{}{}}}", "[".repeat(7), "]".repeat(7));
    assert_eq!(bounded(&plain(), limits, &fits), Ok(fits));
    let skipped = format!(r#"{{"x":{{"{long}":"{long}"}}}}"#);
    assert_eq!(bounded(&plain(), limits, &skipped), Ok(skipped));
}

/// Bytes that wait and strings that are shown are each bounded; of the two the one counts that is met
/// first.
#[test]
fn which_bound_is_met_first_does_not_depend_on_the_chunks() {
    let input = format!(r#"{{"m":{{"ns":"{}"}}}}"#, "x".repeat(100));
    for (held_bytes_max, string_bytes_max, is_held) in [
        (50, 90, true),
        (50, 50, true),
        (50, 45, true),
        (50, 44, false),
    ] {
        let limits = Limits {
            held_bytes_max,
            string_bytes_max,
            ..Limits::default()
        };
        let error = if is_held {
            let offset = up_to(&input, r#""m":{"#) + 50;
            let max = held_bytes_max;
            Error::HeldTooLarge { offset, max }
        } else {
            let max = string_bytes_max;
            let offset = up_to(&input, r#""ns":""#) + max as u64;
            Error::ValueTooLong { offset, max }
        };
        assert_eq!(bounded(&plain(), limits, &input), Err(error));
    }
}
