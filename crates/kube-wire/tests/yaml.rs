//! YAML conversion, compared with the results of `sigs.k8s.io/yaml`.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use kube_wire::yaml::{self, YamlError};

/// A limit that no document in these tests reaches, in bytes.
const BYTES_MAX: usize = 1 << 20;

fn read(text: &str) -> Result<String, YamlError> {
    let converted = yaml::to_json(text.as_bytes(), BYTES_MAX)?;
    Ok(String::from_utf8(converted.json).unwrap())
}

fn error_message(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn documents_convert_to_the_json_of_kube_apiserver() {
    for (text, json) in [
        (
            "a: [yes, No, on, 'yes', yEs]",
            r#"{"a":[true,false,true,"yes","yEs"]}"#,
        ),
        (
            "a: [010, 0o17, 0x1F, 0b11, 1_000, 08, -0, 18446744073709551615]",
            r#"{"a":[8,15,31,3,1000,8,0,18446744073709551615]}"#,
        ),
        (
            "a: [1.0, 1e3, .5, 6.02e+23, 1e-7, 12345678901234567890123]",
            r#"{"a":[1,1000,0.5,6.02e+23,1e-7,1.2345678901234568e+22]}"#,
        ),
        (
            "a: [~, null, '', 2001-01-01, 1:30]",
            r#"{"a":[null,null,"","2001-01-01","1:30"]}"#,
        ),
        (
            "1: a\n1.5: b\ntrue: c\n2001-01-01: d",
            r#"{"1":"a","1.5":"b","2001-01-01":"d","true":"c"}"#,
        ),
        (
            "a: |\n  one\n    two\n\nb: >-\n  one\n  two\nc: |+\n  x\n\n",
            r#"{"a":"one\n  two\n","b":"one two","c":"x\n\n"}"#,
        ),
        (
            "x: &x {a: 1, b: 2}\nu:\n  a: 0\n  <<: *x\n  b: 3\nz:\n  <<: [*x, {a: 5, c: 6}]",
            r#"{"u":{"a":1,"b":3},"x":{"a":1,"b":2},"z":{"a":1,"b":2,"c":6}}"#,
        ),
        ("1: a\n'1': b", r#"{"1":"b"}"#),
        (r#"a: "b\\/c""#, r#"{"a":"b\\/c"}"#),
        (r"a: 'b\/c'", r#"{"a":"b\\/c"}"#),
        ("a: &x\n  b: &x 1\nc: *x", r#"{"a":{"b":1},"c":1}"#),
        (
            "a: <&>\nb: \"\\x41\\u00e9\\n\"",
            "{\"a\":\"\\u003c\\u0026\\u003e\",\"b\":\"Aé\\n\"}",
        ),
        (
            "a: [!!str 1, !!float 1, !x y, ! 5]",
            r#"{"a":["1",1,"y","5"]}"#,
        ),
        ("a: 1\n---\na: 2", r#"{"a":1}"#),
        ("a: 1\na: 2", r#"{"a":2}"#),
        // kube-apiserver keeps a random one of the two.
        ("1: a\n'1': b", r#"{"1":"b"}"#),
        (r#"a: "b\\/c\"/""#, r#"{"a":"b\\/c\"/"}"#),
        ("", "null"),
        ("# only a comment\n", "null"),
    ] {
        assert_eq!(read(text).unwrap(), json, "{text}");
    }
}

#[test]
fn block_scalar_at_the_end_needs_no_line_break() {
    for (text, value) in [
        ("|\n  one", "one"),
        ("|-\n  one", "one"),
        ("|+\n  one", "one"),
        ("|\n  one\n  ", "one\\n"),
        ("|+\n  one\n\n  ", "one\\n\\n"),
        (">\n  one\n  two", "one two"),
        ("|\n  one\n# comment", "one\\n"),
    ] {
        assert_eq!(read(text).unwrap(), format!("\"{value}\""), "{text:?}");
    }
}

#[test]
fn errors_have_the_messages_of_kube_apiserver() {
    for (text, why) in [
        (
            "a: b: c: {",
            "yaml: mapping values are not allowed in this context",
        ),
        ("a: {", "yaml: line 1: did not find expected node content"),
        ("a: *none", "yaml: unknown anchor 'none' referenced"),
        ("a: &a [*a]", "yaml: anchor 'a' value contains itself"),
        (
            "a: 1\n\tb: 2",
            "yaml: line 2: found a tab character that violates indentation",
        ),
        ("a: .nan", "json: unsupported value: NaN"),
        (
            "%YAML 1.2\n---\na: 1",
            "yaml: found incompatible YAML document",
        ),
        ("!!int x", "yaml: cannot decode !!str `x` as a !!int"),
        (r#"a: "b\/c""#, "yaml: found unknown escape character"),
        (
            "a: é\nb: \"c\n  d\\/\"",
            "yaml: line 3: found unknown escape character",
        ),
        (
            "a: éééééééé😀\nb: \"\\/\"",
            "yaml: line 2: found unknown escape character",
        ),
        ("a: \u{1}", "yaml: control characters are not allowed"),
    ] {
        assert_eq!(error_message(text), why, "{text}");
    }
}

#[test]
fn utf_16_with_byte_order_mark_is_decoded() {
    let units: Vec<u16> = "\u{feff}a: é😀".encode_utf16().collect();
    for in_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
        let wide: Vec<u8> = units.iter().flat_map(|unit| in_bytes(*unit)).collect();
        let read = |bytes: &[u8]| yaml::to_json(bytes, 1 << 20).map(|converted| converted.json);
        assert_eq!(read(&wide).unwrap(), r#"{"a":"é😀"}"#.as_bytes());
        for (cut, why) in [
            (1, "yaml: incomplete UTF-16 surrogate pair"),
            (2, "yaml: incomplete UTF-16 surrogate pair"),
            (3, "yaml: incomplete UTF-16 character"),
        ] {
            let error = read(&wide[..wide.len() - cut]).unwrap_err();
            assert_eq!(error.to_string(), why, "{cut}");
        }
    }
}

#[test]
fn documents_with_another_meaning_are_errors() {
    for text in [
        "{~: a}",
        "? [a]\n: b",
        "[a, b? c]",
        "a: !!binary aGk=",
        "a: 1\n\u{feff}b: 2",
        // The parser knows escapes of YAML 1.2.
        r#"a: "b\/c""#,
        r#""a\\\/c": b"#,
        // The parser panics on these.
        "[!,",
        "\"a\\",
    ] {
        assert!(matches!(read(text), Err(YamlError::Invalid(_))), "{text}");
    }
}

#[test]
fn aliases_depth_and_length_are_bounded() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    let mut merges = "a0: &a0 {k: v}\n".to_owned();
    for level in 1..12 {
        let aliases = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        merges.push_str(&format!("a{level}: &a{level} {{<<: [{aliases}]}}\n"));
    }
    for text in [&bomb, &merges] {
        assert_eq!(
            error_message(text),
            "yaml: document contains excessive aliasing"
        );
    }
    let deep = |depth| "[".repeat(depth) + &"]".repeat(depth);
    let blocks = |depth| "- ".repeat(depth) + "[]";
    assert!(error_message(&blocks(10_000)).contains("max depth of 10000"));
    for depth in [200, 201, 9_999] {
        assert_eq!(read(&blocks(depth)).unwrap(), deep(depth + 1));
    }
    let written = yaml::from_json(deep(1500).as_bytes(), BYTES_MAX);
    assert_eq!(written.unwrap(), format!("{}\n", blocks(1499)));
    let wide = format!("{}[{}]", "- ".repeat(9_000), "1,".repeat(30_000));
    assert!(error_message(&wide).contains("levels of nesting around"));
    // Each list contains the previous one at its deepest level.
    let anchored = |at: usize| format!("&a{at} {}*a{}{}", "[".repeat(300), at - 1, "]".repeat(300));
    let lists: Vec<_> = (1..40).map(anchored).collect();
    let deep = format!("[&a0 1, {}]", lists.join(", "));
    assert!(error_message(&deep).contains("depth"));
    assert!(error_message(&"- \n".repeat(500_001)).contains("more than"));
    let long = yaml::to_json(b"[a, b, c, d]", 4);
    assert_eq!(long, Err(YamlError::TooLong { max: 4 }));
}

#[test]
fn byte_order_mark_decides_the_encoding() {
    let text = "\u{feff}a: 'é😀'\n";
    let little: Vec<_> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<_> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for bytes in [text.as_bytes(), &little, &big] {
        let converted = yaml::to_json(bytes, BYTES_MAX).unwrap();
        assert_eq!(converted.json, r#"{"a":"é😀"}"#.as_bytes(), "{bytes:?}");
    }
    for (bytes, why) in [
        (&little[..little.len() - 1], "incomplete UTF-16 character"),
        (&[0xff, 0xfe, 0, 0xdc], "unexpected low surrogate area"),
        (
            &[0xfe, 0xff, 0xd8, 0, 0, 0x61],
            "expected low surrogate area",
        ),
    ] {
        let error = yaml::to_json(bytes, BYTES_MAX).unwrap_err();
        assert_eq!(error.to_string(), format!("yaml: {why}"));
    }
}

#[test]
fn output_length_is_bounded() {
    let json = "{\"a\":".repeat(1000) + "1" + &"}".repeat(1000);
    assert!(yaml::from_json(json.as_bytes(), BYTES_MAX).is_ok());
    let long = yaml::from_json(json.as_bytes(), 500_000);
    assert_eq!(long, Err(YamlError::TooLong { max: 500_000 }));
}

#[test]
fn duplicate_keys_are_reported() {
    for (text, lines) in [
        (
            "a: 1\nb: 2\na: 3\nc: {d: 1, d: 2}\n",
            [
                "line 3: key \"a\" already set in map",
                "line 4: key \"d\" already set in map",
            ],
        ),
        (
            "x: &x {a: 1}\nu:\n  a: 0\n  <<: *x\n1: a\n1: b\n",
            [
                "line 1: key \"a\" already set in map",
                "line 6: key 1 already set in map",
            ],
        ),
    ] {
        let converted = yaml::to_json(text.as_bytes(), BYTES_MAX).unwrap();
        assert_eq!(converted.duplicates, lines);
    }
}

#[test]
fn json_converts_to_the_yaml_of_kube_apiserver() {
    let json = r#"{"b10":1,"b9":[],"B":{},"a":{"list":[1,"1",[2,[3]],{"x":null,"y":["z"]}],
        "text":["yes","2001-01-01T00:00:00Z","1:30","a: b","- a","it's # x"," a","","a\tb","é","😀","<<"]},
        "lines":"one\n two\n","kept":"a\n\n","cut":"a\nb","$\n":0,
        "long":"many words many words many words many words many words many words many words many words end",
        "numbers":[1.0,1e3,1000000.0,0.00001,12345678901234567890,1e21]}"#;
    let yaml = r##"? |
  $
: 0
B: {}
a:
  list:
  - 1
  - "1"
  - - 2
    - - 3
  - x: null
    "y":
    - z
  text:
  - "yes"
  - "2001-01-01T00:00:00Z"
  - "1:30"
  - 'a: b'
  - '- a'
  - 'it''s # x'
  - ' a'
  - ""
  - "a\tb"
  - é
  - "\U0001F600"
  - <<
b9: []
b10: 1
cut: |-
  a
  b
kept: |+
  a

lines: |
  one
   two
long: many words many words many words many words many words many words many words
  many words end
numbers:
- 1
- 1000
- 1e+06
- 1e-05
- 12345678901234567890
- 1e+21
"##;
    assert_eq!(yaml::from_json(json.as_bytes(), BYTES_MAX).unwrap(), yaml);
    assert_eq!(read(yaml).unwrap(), read(json).unwrap());
}

#[test]
fn keys_with_cyclic_order_are_emitted() {
    let keys = ["a11", "a100", "a10b"].map(|key| format!("\"{key}\":1"));
    let yaml = yaml::from_json(format!("{{{}}}", keys.join(",")).as_bytes(), BYTES_MAX).unwrap();
    assert_eq!(yaml.lines().count(), 3);
}
