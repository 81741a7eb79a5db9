//! Generates documents, rules and chunk sizes from arbitrary bytes.

use arbitrary::{Arbitrary, Result, Unstructured};
use json_rewrite::{Framing, Limits};

use crate::plan::{KEYS, Path, Plan, Step};
use crate::renamer::{DEFERRED, IMMEDIATE, MEMBER};
use crate::tree::{Text, Tree};

const VALUES: [&str; 6] = ["remote", "foreign", "gone", "bad", "", "{]"];

const SPACES: [&str; 4] = ["", "", " ", "\r\n\t"];

const LINE_ENDS: [&str; 3] = ["\n", "\r\n", "\r"];

const SCALARS: [&str; 8] = [
    "0",
    "-0",
    "1e400",
    "-12.50E+07",
    "340282366920938463463374607431768211456",
    "true",
    "false",
    "null",
];

/// Strings as written, with their unescaped bytes.
const UNUSUAL: [(&[u8], &[u8]); 5] = [
    (b"\xff\xc3", b"\xff\xc3"),
    (b"\\ud83d\\ude00", "\u{1f600}".as_bytes()),
    (b"\\ud83d", b"\xed\xa0\xbd"),
    (b"\\ude00\\u0041", b"\xed\xb8\x80A"),
    (b"\\/\\b\\f\\n\\r\\t\\\"\\\\", b"/\x08\x0c\n\r\t\"\\"),
];

const DEPTH_MAX: usize = 6;

/// Rules compare the lengths of keys exactly up to 62 bytes, so some generated keys are longer.
const LONG_KEY_BYTES_MAX: usize = 80;

/// A stream with its rules.
#[derive(Clone, Debug)]
pub struct Case {
    pub plan: Plan,
    pub framing: Framing,
    pub limits: Limits,
    pub documents: Vec<Tree>,
    pub space: &'static str,
    /// The line end after each document of a sequence.
    pub line_end: &'static str,
    /// The sizes of the chunks in bytes, used in turn.
    pub sizes: Vec<usize>,
}

impl Case {
    /// Returns the text of the documents, one per line.
    pub fn write(&self, documents: &[Tree]) -> Vec<u8> {
        let mut text = Vec::new();
        for document in documents {
            document.write(self.space, &mut text);
            if self.framing == Framing::Sequence {
                text.extend_from_slice(self.line_end.as_bytes());
            }
        }
        text
    }
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(from: &mut Unstructured<'a>) -> Result<Self> {
        let plan = plan(from)?;
        let limits = limits(from)?;
        let many = from.ratio(1, 4)?;
        let count = if many { from.int_in_range(0..=4)? } else { 1 };
        let documents = Documents::of(&plan);
        let documents = (0..count).map(|_| documents.tree(from, &documents.paths, 0));
        let documents = documents.collect::<Result<_>>()?;
        let sizes = (0..4)
            .map(|_| from.int_in_range(1..=40))
            .collect::<Result<_>>()?;
        Ok(Self {
            plan,
            framing: if many {
                Framing::Sequence
            } else {
                Framing::SingleValue
            },
            limits,
            documents,
            space: from.choose(&SPACES)?,
            sizes,
            line_end: from.choose(&LINE_ENDS)?,
        })
    }
}

/// Generates limits. Most of them are too large to be exceeded.
fn limits(from: &mut Unstructured<'_>) -> Result<Limits> {
    let mut limits = Limits::default();
    // If the entropy is used up, `ratio` returns true.
    if from.ratio(1, 2)? {
        return Ok(limits);
    }
    for (limit, small) in [
        (&mut limits.embedded_string_bytes_max, 0..=20),
        (&mut limits.embedded_depth_max, 0..=4),
        (&mut limits.key_bytes_max, 0..=LONG_KEY_BYTES_MAX),
        (&mut limits.string_bytes_max, 0..=20),
        (&mut limits.depth_max, 0..=DEPTH_MAX),
    ] {
        if !from.ratio(2, 3)? {
            *limit = from.int_in_range(small)?;
        }
    }
    Ok(limits)
}

/// Generates rules, which may conflict.
pub fn plan(from: &mut Unstructured<'_>) -> Result<Plan> {
    let mut plan = Plan::default();
    for _ in 0..from.int_in_range(0..=4)? {
        let path = path(from, 4)?;
        let tags: &[_] = if path.is_empty() {
            &[IMMEDIATE, DEFERRED]
        } else {
            &[IMMEDIATE, DEFERRED, MEMBER]
        };
        plan.strings.push((path, *from.choose(tags)?));
    }
    if from.ratio(1, 3)? {
        plan.removed.push(member(from, 3)?);
    }
    if from.ratio(1, 3)? {
        plan.raw_values.push((member(from, 2)?, MEMBER));
    }
    for _ in 0..from.int_in_range(0..=2)? {
        plan.object_ends
            .push((path(from, 3)?, *from.choose(&[IMMEDIATE, DEFERRED])?));
    }
    if from.ratio(1, 3)? {
        let mut inner = Vec::new();
        for _ in 0..from.int_in_range(1..=2)? {
            inner.push((path(from, 3)?, *from.choose(&[IMMEDIATE, DEFERRED])?));
        }
        plan.embedded.push((path(from, 3)?, inner));
    }
    if from.ratio(1, 2)? {
        let item = if from.ratio(1, 4)? {
            Vec::new()
        } else {
            member(from, 2)?
        };
        let decided_after = [item.clone(), path(from, 2)?].concat();
        plan.item = Some((item, decided_after));
    }
    for (_, tag) in &mut plan.raw_values {
        if !from.ratio(1, 2)? {
            *tag = DEFERRED;
        }
    }
    if let Some((item, _)) = plan.item.clone() {
        for _ in 0..from.int_in_range(0..=2)? {
            emptied(from, &mut plan, &item)?;
        }
    }
    Ok(plan)
}

/// Adds a rule that removes an emptied object in an item, and sometimes a rule that can remove members of the object.
fn emptied(from: &mut Unstructured<'_>, plan: &mut Plan, item: &[Step]) -> Result<()> {
    // An object in another emptied object is more interesting than one beside it.
    let around = match plan.emptied.last() {
        Some(around) if from.ratio(1, 2)? => around.clone(),
        _ => item.to_vec(),
    };
    let path = [around, member(from, 1)?].concat();
    let inside = [path.clone(), vec![Step::Key(from.choose(&KEYS)?)]].concat();
    match from.int_in_range(0..=3)? {
        0 => {}
        1 => plan.removed.push(inside),
        2 => plan.raw_values.push((inside, MEMBER)),
        _ => plan.strings.push((inside, MEMBER)),
    }
    plan.emptied.push(path);
    Ok(())
}

/// Generates a path that is not the document itself.
fn member(from: &mut Unstructured<'_>, steps_max: usize) -> Result<Path> {
    let mut path = path(from, steps_max)?;
    path.push(match from.ratio(1, 3)? {
        true => Step::Each,
        false => Step::Key(from.choose(&KEYS)?),
    });
    Ok(path)
}

fn path(from: &mut Unstructured<'_>, steps_max: usize) -> Result<Path> {
    let steps = from.int_in_range(0..=steps_max)?;
    (0..steps)
        .map(|_| {
            Ok(match from.ratio(1, 3)? {
                true => Step::Each,
                false => Step::Key(from.choose(&KEYS)?),
            })
        })
        .collect()
}

/// Generates documents in which the paths of a plan often exist.
struct Documents<'a> {
    paths: Vec<&'a [Step]>,
    /// The paths in embedded JSON.
    inner: Vec<&'a [Step]>,
    in_string: bool,
}

impl<'a> Documents<'a> {
    fn of(plan: &'a Plan) -> Self {
        let strings = plan.strings.iter().map(|(path, _)| path);
        let embedded = plan.embedded.iter().map(|(path, _)| path);
        let whole = plan
            .raw_values
            .iter()
            .chain(&plan.object_ends)
            .map(|(path, _)| path);
        let items = plan.item.iter().flat_map(|(item, after)| [after, item]);
        let removed = plan.removed.iter().chain(&plan.emptied);
        let paths = strings.chain(removed).chain(embedded).chain(whole);
        let paths = paths.chain(items);
        let inner = plan.embedded.iter().flat_map(|(_, strings)| strings);
        Self {
            paths: paths.map(Vec::as_slice).collect(),
            inner: inner.map(|(path, _)| path.as_slice()).collect(),
            in_string: false,
        }
    }

    fn tree(
        &self,
        from: &mut Unstructured<'_>,
        paths: &[&'a [Step]],
        depth: usize,
    ) -> Result<Tree> {
        let kind = match paths.first() {
            Some([]) if from.ratio(3, 4)? => from.int_in_range(1..=4)?,
            Some([Step::Each, ..]) if from.ratio(7, 8)? => 5,
            Some([Step::Key(_), ..]) if from.ratio(7, 8)? => 6,
            _ => from.int_in_range(0..=if depth < DEPTH_MAX { 6 } else { 3 })?,
        };
        Ok(match kind {
            0 => Tree::Scalar((*from.choose(&SCALARS)?).to_owned()),
            4 if !self.in_string => {
                let inner = Self {
                    paths: Vec::new(),
                    inner: Vec::new(),
                    in_string: true,
                };
                Tree::Json(Box::new(inner.tree(from, &self.inner, depth + 1)?))
            }
            1..=4 => Tree::Text(text(from, self.in_string)?),
            5 => {
                let paths = below(paths, Step::Each);
                let items =
                    (0..from.int_in_range(0..=4)?).map(|_| self.tree(from, &paths, depth + 1));
                Tree::Array(items.collect::<Result<_>>()?)
            }
            _ => {
                let members =
                    (0..from.int_in_range(0..=5)?).map(|_| self.member(from, paths, depth + 1));
                Tree::Object(members.collect::<Result<_>>()?)
            }
        })
    }

    fn member(
        &self,
        from: &mut Unstructured<'_>,
        paths: &[&'a [Step]],
        depth: usize,
    ) -> Result<(Text, Tree)> {
        let wanted = paths.get(from.int_in_range(0..=paths.len())?);
        let key = match wanted.and_then(|path| path.first()) {
            Some(Step::Key(key)) => written(from, key)?,
            _ => key(from, self.in_string)?,
        };
        let known = KEYS.iter().find(|known| known.as_bytes() == key.value);
        let paths = known.map_or_else(Vec::new, |known| below(paths, Step::Key(known)));
        Ok((key, self.tree(from, &paths, depth)?))
    }
}

/// Returns the rests of the paths that begin with `step`.
fn below<'a>(paths: &[&'a [Step]], step: Step) -> Vec<&'a [Step]> {
    let is_below = |path: &&&[Step]| path.first() == Some(&step);
    paths
        .iter()
        .filter(is_below)
        .map(|path| &path[1..])
        .collect()
}

fn key(from: &mut Unstructured<'_>, in_string: bool) -> Result<Text> {
    if from.ratio(1, 8)? {
        if !from.ratio(3, 4)? {
            let length = from.int_in_range(0..=LONG_KEY_BYTES_MAX)?;
            return written(from, &"k".repeat(length));
        }
        return text(from, in_string);
    }
    let key = *from.choose(&KEYS)?;
    written(from, key)
}

fn text(from: &mut Unstructured<'_>, in_string: bool) -> Result<Text> {
    if from.ratio(1, 8)? {
        // Embedded JSON has no invalid UTF-8.
        let unusual = if in_string { &UNUSUAL[1..] } else { &UNUSUAL };
        let (raw, value) = *from.choose(unusual)?;
        let (raw, value) = (raw.to_vec(), value.to_vec());
        return Ok(Text { raw, value });
    }
    if from.ratio(3, 4)? {
        let value = *from.choose(&VALUES)?;
        return written(from, value);
    }
    // Without quotes, because embedded JSON is generated as a tree of its own.
    let value = from.arbitrary::<&str>()?.replace('"', "'");
    written(from, &value)
}

/// Writes a string. Sometimes escapes characters that need no escape.
fn written(from: &mut Unstructured<'_>, value: &str) -> Result<Text> {
    let mut text = Text::plain(value);
    if from.ratio(1, 6)? {
        text.raw = value
            .encode_utf16()
            .flat_map(|unit| format!("\\u{unit:04x}").into_bytes())
            .collect();
    }
    Ok(text)
}
