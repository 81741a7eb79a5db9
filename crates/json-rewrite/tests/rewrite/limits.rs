//! Limits: exceeding one ends the stream at the same byte, however the input is cut.

use bytes::{Buf, Bytes};
use json_rewrite::*;

use super::embedded::Local;
use super::examples::{filtering, plain};

/// Feeds the input in several ways, checks that the result is the same down to the offset of an error, and returns it.
fn bounded(rules: &Rules, limits: Limits, input: &str) -> Result<String, RewriteError> {
    let input = input.as_bytes();
    let whole = run(rules, limits, [input]);
    for at in 0..input.len() {
        let (first, second) = input.split_at(at);
        assert_eq!(run(rules, limits, [first, second]), whole, "cut at {at}");
    }
    assert_eq!(run(rules, limits, input.chunks(1)), whole, "byte by byte");
    whole
}

/// Replaces strings by `local`. Checks that no output follows an error.
fn run<'a>(
    rules: &Rules,
    limits: Limits,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Result<String, RewriteError> {
    let mut rewriter = Rewriter::new(rules.clone(), Framing::SingleValue, limits, Local);
    let (mut out, mut fed, mut failed) = (Output::default(), Vec::new(), None);
    for chunk in chunks {
        let before = out.len();
        fed.extend_from_slice(chunk);
        let error = rewriter.feed(Bytes::copy_from_slice(chunk), &mut out).err();
        if failed.is_some() {
            assert_eq!((error, out.len()), (Some(RewriteError::Poisoned), before));
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
    assert_eq!(
        (finished, left.len()),
        (Err(RewriteError::Poisoned), before)
    );
    assert!(fed.starts_with(&left));
    Err(error)
}

/// Returns the offset after the first occurrence of `part`.
fn offset_after(input: &str, part: &str) -> u64 {
    (input.find(part).unwrap() + part.len()) as u64
}

#[test]
fn exceeding_a_limit_is_an_error_at_the_first_byte_beyond_it() {
    let limits = Limits {
        buffered_bytes_max: 64,
        string_bytes_max: 16,
        depth_max: 8,
        ..Limits::default()
    };
    let long = "x".repeat(100);

    let string = format!(r#"{{"m":{{"ns":"{long}"}}}}"#);
    let offset = offset_after(&string, r#""ns":""#) + 16;
    let error = RewriteError::StringTooLong { offset, max: 16 };
    assert_eq!(bounded(&plain(), limits, &string), Err(error));

    let ns = Rules::builder().string("$.ns", 0).build().unwrap();
    let value = Rules::builder().raw_value("$.ns", 0).build().unwrap();
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
        let offset = offset_after(&input, before) + 64;
        let error = RewriteError::BufferLimit { offset, max: 64 };
        assert_eq!(bounded(rules, limits, &input), Err(error), "{input}");
    }

    let skipped = format!("{{\"x\":{}{}}}", "[".repeat(8), "]".repeat(8));
    let offset = offset_after(&skipped, "[[[[[[[");
    let error = RewriteError::TooDeep { offset, max: 8 };
    assert_eq!(bounded(&plain(), limits, &skipped), Err(error));

    let path = (0..9).fold("$".to_owned(), |path, _| path + "[*]");
    let walked = Rules::builder().string(&path, 0).build().unwrap();
    let error = RewriteError::TooDeep { offset: 8, max: 8 };
    assert_eq!(bounded(&walked, limits, &"[".repeat(9)), Err(error));

    let fits = format!("{{\"x\":{}{}}}", "[".repeat(7), "]".repeat(7));
    assert_eq!(bounded(&plain(), limits, &fits), Ok(fits));
    let skipped = format!(r#"{{"x":{{"{long}":"{long}"}}}}"#);
    assert_eq!(bounded(&plain(), limits, &skipped), Ok(skipped));
}

/// Buffered bytes and the length of strings have separate limits.
#[test]
fn limit_that_is_exceeded_first_does_not_depend_on_the_chunks() {
    let input = format!(r#"{{"m":{{"ns":"{}"}}}}"#, "x".repeat(100));
    for (buffered_bytes_max, string_bytes_max, hits_buffer_limit) in [
        (50, 90, true),
        (50, 50, true),
        (50, 45, true),
        (50, 44, false),
    ] {
        let limits = Limits {
            buffered_bytes_max,
            string_bytes_max,
            ..Limits::default()
        };
        let error = if hits_buffer_limit {
            let offset = offset_after(&input, r#""m":{"#) + 50;
            let max = buffered_bytes_max;
            RewriteError::BufferLimit { offset, max }
        } else {
            let max = string_bytes_max;
            let offset = offset_after(&input, r#""ns":""#) + max as u64;
            RewriteError::StringTooLong { offset, max }
        };
        assert_eq!(bounded(&plain(), limits, &input), Err(error));
    }
}

#[test]
fn keys_are_limited_in_walked_objects_only() {
    for max in [5, 61, 62, 63, 80] {
        let limits = Limits {
            key_bytes_max: max,
            ..Limits::default()
        };
        let input = |key: &str, ns: &str| format!(r#"{{"m":{{"{key}":1,"ns":"{ns}"}}}}"#);
        for part in ["k", r"\n"] {
            let longest = "k".repeat(max - part.len()) + part;
            let fits = bounded(&plain(), limits, &input(&longest, "remote"));
            assert_eq!(fits, Ok(input(&longest, "local")));
            let long = input(&("k".to_owned() + &longest), "remote");
            let offset = offset_after(&long, r#""m":{""#) + max as u64;
            let error = RewriteError::KeyTooLong { offset, max };
            assert_eq!(bounded(&plain(), limits, &long), Err(error));
        }
        let skipped = format!(r#"{{"x":{{"{}":1}}}}"#, "k".repeat(100));
        assert_eq!(bounded(&plain(), limits, &skipped), Ok(skipped));
    }
}

#[test]
fn limits_of_embedded_json_are_not_errors() {
    let inner = Rules::builder().string("$[*]", 0).string("$.a", 0);
    let inner = inner.build().unwrap();
    let rules = Rules::builder()
        .embedded_json("$.last", inner)
        .string("$.z", 0);
    let rules = rules.build().unwrap();
    let limits = Limits {
        embedded_string_bytes_max: 6,
        embedded_depth_max: 2,
        ..Limits::default()
    };
    let input = |inside: &str, z: &str| {
        let inside = inside.replace('\'', "\\\"");
        format!(r#"{{"last":"{inside}","z":"{z}"}}"#)
    };
    for (inside, left) in [
        ("['x','123456','x']", "['local','local','local']"),
        ("['x','1234567','x']", "['local','1234567','x']"),
        ("{'123456':0,'a':'x'}", "{'123456':0,'a':'local'}"),
        ("{'1234567':0,'a':'x'}", "{'1234567':0,'a':'x'}"),
        (
            "{'b':{'1234567':0},'a':'x'}",
            "{'b':{'1234567':0},'a':'local'}",
        ),
        ("{'b':'1234567','a':'x'}", "{'b':'1234567','a':'local'}"),
        ("{'a':'1234567','a':'x'}", "{'a':'1234567','a':'x'}"),
        (r"['123\\n','x']", "['local','local']"),
        (r"['1234\\n','x']", r"['1234\\n','x']"),
        ("['x',[[]],'x']", "['local',[[]],'x']"),
        ("['x',{'a':{}},'x']", "['local',{'a':{}},'x']"),
        ("['x',[],'x']", "['local',[],'local']"),
        ("['x',{},'x']", "['local',{},'local']"),
    ] {
        let came = bounded(&rules, limits, &input(inside, "x"));
        assert_eq!(came, Ok(input(left, "local")));
    }
}
