//! Bounds: what is beyond them ends the stream, at the same place however it came.

use claimgate::rewrite::*;

use super::behaviour::{every_way, filtering, plain, run};

#[test]
fn bounds_end_the_stream() {
    let limits = Limits {
        held_bytes_max: 64,
        string_bytes_max: 16,
        depth_max: 8,
    };
    let by_bytes = |rules: &Rules, input: String| {
        let chunks: Vec<&[u8]> = input.as_bytes().chunks(1).collect();
        run(rules, Framing::One, limits, &chunks)
    };
    let long = "x".repeat(100);
    let item = format!(r#"{{"items":[{{"a":"{long}","m":{{"ns":"remote"}}}}]}}"#);
    assert!(matches!(
        by_bytes(&filtering(), item),
        Err(Error::HeldTooLarge { .. })
    ));
    let string = format!(r#"{{"m":{{"ns":"{long}"}}}}"#);
    assert!(matches!(
        by_bytes(&plain(), string),
        Err(Error::ValueTooLong { .. })
    ));
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(8), "]".repeat(8));
    assert!(matches!(by_bytes(&plain(), deep), Err(Error::Depth { .. })));
    let key = format!(r#"{{"{}":1}}"#, "k".repeat(KEY_BYTES_MAX + 1));
    let long_key = every_way(&plain(), Framing::One, key.as_bytes());
    assert!(matches!(long_key, Err(Error::KeyTooLong { .. })));
    let skipped = format!(r#"{{"x":{{"{long}":"{long}"}}}}"#);
    assert_eq!(
        by_bytes(&plain(), skipped.clone()).unwrap(),
        skipped.as_bytes()
    );
}
