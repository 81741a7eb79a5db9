//! The tree of a YAML document, before anything is made of it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{BufReader, Chain, Read};
use std::panic;
use std::rc::Rc;

use libyaml_safer::{
    ErrorKind, Event, EventData, MappingStyle, Mark, Parser, ScalarStyle, SequenceStyle,
};

use super::quote::is_break;
use super::{BYTE_ORDER_MARK, DEPTHS_MAX, Error, NODES_MAX};

/// Bytes that are decoded at a time, as by `go.yaml.in/yaml/v2`; it is also how far ahead of the first
/// error another one is found.
const READ_BYTES: usize = 512;

/// The one that a directive may name.
const YAML_VERSION: (i32, i32) = (1, 1);

const UNKNOWN_PROBLEM: &str = "yaml: unknown problem parsing YAML content";

/// A node where it stands.
pub(super) struct Child {
    pub(super) node: Rc<Node>,
    /// By an alias.
    pub(super) is_alias: bool,
    /// Counted from 1.
    pub(super) line: u64,
}

pub(super) struct Node {
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Scalar(Scalar),
    Sequence(Vec<Child>),
    Mapping(Vec<(Child, Child)>),
}

pub(super) struct Scalar {
    pub(super) value: String,
    /// In full, or empty.
    pub(super) tag: String,
    /// Without quotes, so that what it looks like counts.
    pub(super) is_plain: bool,
}

/// What bytes say, in the encoding that a byte order mark names (`readerc.go`), without the mark.
pub(super) fn text(bytes: &[u8]) -> Result<Cow<'_, str>, Error> {
    let units: fn([u8; 2]) -> u16 = match bytes {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => {
            let text = std::str::from_utf8(bytes);
            let text = text.map_err(|_| Error::refused("yaml: invalid UTF-8"))?;
            return Ok(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).into());
        }
    };
    let (pairs, odd) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(pairs.len());
    let pairs = pairs.iter().skip(1).map(|pair| units(*pair));
    let mut letters = char::decode_utf16(pairs).peekable();
    while let Some(letter) = letters.next() {
        let is_last = letters.peek().is_none();
        text.push(letter.map_err(|error| {
            Error::refused(match error.unpaired_surrogate() {
                0xdc00.. => "yaml: unexpected low surrogate area",
                _ if is_last => "yaml: incomplete UTF-16 surrogate pair",
                _ => "yaml: expected low surrogate area",
            })
        })?);
    }
    if odd.is_empty() {
        Ok(text.into())
    } else {
        Err(Error::refused("yaml: incomplete UTF-16 character"))
    }
}

/// The first document of a stream; what comes after it is not looked at, as `Unmarshal` of
/// `go.yaml.in/yaml/v2` has it.
pub(super) fn read(text: &str, depth_max: usize) -> Result<Option<Child>, Error> {
    // The parser panics on some text that is no YAML, such as a tag of `!,`.
    let parsed = panic::catch_unwind(|| parse(text, depth_max));
    parsed.unwrap_or_else(|_| Err(Error::refused(UNKNOWN_PROBLEM)))
}

fn parse(text: &str, depth_max: usize) -> Result<Option<Child>, Error> {
    let added = if text.contains(['|', '>']) && !text.ends_with(is_break) {
        "\n"
    } else {
        ""
    };
    let mut parser = Parser::new();
    let input = text.as_bytes().chain(added.as_bytes());
    parser.set_input(BufReader::with_capacity(READ_BYTES, input));
    let mut reader = Reader {
        parser,
        anchors: HashMap::new(),
        anchored: 0,
        nodes: 0,
        depth: 0,
        depth_max,
        depths: 0,
        flow_depth: 0,
        text,
        has_added_break: !added.is_empty(),
    };
    reader.next()?;
    let begin = reader.next()?;
    match begin.data {
        EventData::StreamEnd => return Ok(None),
        EventData::DocumentStart {
            version_directive: Some(version),
            ..
        } if (version.major, version.minor) != YAML_VERSION => {
            let line = begin.start_mark.line;
            return Err(refused_at(line, "found incompatible YAML document"));
        }
        _ => {}
    }
    let event = reader.next()?;
    let root = reader.node(event)?;
    reader.next()?;
    Ok(Some(root))
}

/// A node by its anchor, the last one of that name to begin.
struct Anchored {
    number: u64,
    /// `None` while it is being read, for it may not hold itself.
    node: Option<Rc<Node>>,
}

struct Reader<'a> {
    parser: Parser<BufReader<Chain<&'a [u8], &'a [u8]>>>,
    text: &'a str,
    /// A break was added to the text, since the parser panics on a block scalar without one.
    has_added_break: bool,
    anchors: HashMap<String, Anchored>,
    /// Anchors so far.
    anchored: u64,
    nodes: usize,
    depth: usize,
    depth_max: usize,
    /// Of all nodes so far, added up.
    depths: usize,
    /// Braces and brackets around.
    flow_depth: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Result<Event, Error> {
        self.parser.parse().map_err(|error| refused(&error))
    }

    fn node(&mut self, event: Event) -> Result<Child, Error> {
        let line = event.start_mark.line.saturating_add(1);
        self.count()?;
        let anchor = self.anchor(&event.data);
        let kind = match event.data {
            EventData::Alias { anchor } => return self.alias(&anchor, line),
            EventData::Scalar { .. } => Kind::Scalar(self.scalar(event)?),
            EventData::SequenceStart { style, .. } => {
                let is_flow = style == SequenceStyle::Flow;
                self.open(is_flow)?;
                let mut items = Vec::new();
                while let Some(item) = self.child()? {
                    items.push(item);
                }
                self.close(is_flow);
                Kind::Sequence(items)
            }
            EventData::MappingStart { style, .. } => {
                let is_flow = style == MappingStyle::Flow;
                self.open(is_flow)?;
                let mut members = Vec::new();
                while let Some(key) = self.child()? {
                    let Some(value) = self.child()? else { break };
                    members.push((key, value));
                }
                self.close(is_flow);
                Kind::Mapping(members)
            }
            _ => return Err(Error::refused(UNKNOWN_PROBLEM)),
        };
        let node = Rc::new(Node { kind });
        if let Some((name, number)) = anchor
            && let Some(anchored) = self.anchors.get_mut(&name)
            && anchored.number == number
        {
            anchored.node = Some(Rc::clone(&node));
        }
        Ok(Child {
            node,
            is_alias: false,
            line,
        })
    }

    fn count(&mut self) -> Result<(), Error> {
        self.nodes += 1;
        self.depths += self.depth;
        let what = if self.nodes > NODES_MAX {
            NODES_MAX.to_string()
        } else if self.depths > DEPTHS_MAX {
            format!("{DEPTHS_MAX} levels around")
        } else {
            return Ok(());
        };
        Err(Error::Refused(format!(
            "yaml: more than {what} keys and values"
        )))
    }

    fn scalar(&self, event: Event) -> Result<Scalar, Error> {
        let (start, end) = (event.start_mark, event.end_mark);
        let EventData::Scalar {
            tag,
            value,
            plain_implicit,
            style,
            ..
        } = event.data
        else {
            return Err(Error::refused(UNKNOWN_PROBLEM));
        };
        let value = match style {
            // There it would begin a key.
            ScalarStyle::Plain if self.flow_depth > 0 && value.contains('?') => {
                return Err(refused_at(start.line, "did not find expected ',' or ']'"));
            }
            ScalarStyle::DoubleQuoted => {
                self.check_escapes(start, end)?;
                value
            }
            ScalarStyle::Literal | ScalarStyle::Folded => {
                self.without_added_break(value, end.index)?
            }
            _ => value,
        };
        Ok(Scalar {
            value,
            tag: tag.unwrap_or_default(),
            is_plain: plain_implicit,
        })
    }

    /// Refuses an escape of YAML 1.2, which the parser knows and `go.yaml.in/yaml/v2` does not.
    fn check_escapes(&self, start: Mark, end: Mark) -> Result<(), Error> {
        let at = |mark: Mark| usize::try_from(mark.index).unwrap_or(usize::MAX);
        let raw = self.text.get(at(start)..at(end)).unwrap_or_default();
        let mut line = start.line;
        let mut rest = raw.chars();
        while let Some(c) = rest.next() {
            let is_slash = c == '\\' && rest.as_str().starts_with('/');
            if is_slash {
                let line = if line == 0 { 0 } else { line.saturating_add(1) };
                return Err(refused_at(line, "found unknown escape character"));
            }
            if c == '\\' && rest.as_str().starts_with(['\\', '"']) {
                rest.next();
            }
            let is_first_of_two = c == '\r' && rest.as_str().starts_with('\n');
            line += u64::from(is_break(c) && !is_first_of_two);
        }
        Ok(())
    }

    /// Notes where an anchor begins: its name and its number.
    fn anchor(&mut self, event: &EventData) -> Option<(String, u64)> {
        let (EventData::Scalar { anchor, .. }
        | EventData::SequenceStart { anchor, .. }
        | EventData::MappingStart { anchor, .. }) = event
        else {
            return None;
        };
        let name = anchor.clone()?;
        self.anchored += 1;
        let (number, node) = (self.anchored, None);
        self.anchors.insert(name.clone(), Anchored { number, node });
        Some((name, number))
    }

    /// A block scalar's value, as it would be if nothing had been added behind the text.
    fn without_added_break(&self, mut value: String, end: u64) -> Result<String, Error> {
        let is_last = u64::try_from(self.text.len()).is_ok_and(|length| length <= end);
        if !self.has_added_break || !is_last {
            return Ok(value);
        }
        let last_line = self.text.rsplit(is_break).next().unwrap_or_default();
        let is_blank = last_line.trim_matches(' ').is_empty();
        if is_blank && value.ends_with(" \n") {
            // They may be its own or indentation.
            return Err(Error::refused(
                "yaml: a block scalar ends in spaces without a line break",
            ));
        }
        // A line of spaces alone counts only if all breaks at the end are kept.
        let counts = !is_blank || value.ends_with("\n\n") || value == "\n";
        if counts && value.ends_with('\n') {
            value.pop();
        }
        Ok(value)
    }

    fn open(&mut self, is_flow: bool) -> Result<(), Error> {
        if self.depth == self.depth_max {
            return Err(Error::TooDeep {
                max: self.depth_max,
            });
        }
        self.depth += 1;
        self.flow_depth += usize::from(is_flow);
        Ok(())
    }

    fn close(&mut self, is_flow: bool) {
        self.depth -= 1;
        self.flow_depth -= usize::from(is_flow);
    }

    /// The next node of a sequence or mapping; `None` at its end.
    fn child(&mut self) -> Result<Option<Child>, Error> {
        let event = self.next()?;
        match event.data {
            EventData::SequenceEnd | EventData::MappingEnd => Ok(None),
            _ => self.node(event).map(Some),
        }
    }

    fn alias(&self, anchor: &str, line: u64) -> Result<Child, Error> {
        let anchored = self.anchors.get(anchor);
        match anchored.map(|anchored| &anchored.node) {
            Some(Some(node)) => Ok(Child {
                node: Rc::clone(node),
                is_alias: true,
                line,
            }),
            Some(None) => Err(Error::Refused(format!(
                "yaml: anchor '{anchor}' value contains itself"
            ))),
            None => Err(Error::Refused(format!(
                "yaml: unknown anchor '{anchor}' referenced"
            ))),
        }
    }
}

/// The words of `go.yaml.in/yaml/v2` (`decode.go`, `parser.fail`), which counts lines from 0 but for
/// the scanner's errors, and names none for the first.
fn refused(error: &libyaml_safer::Error) -> Error {
    let line = |mark: Option<Mark>| mark.map_or(0, |mark| mark.line);
    let line = match (line(error.problem_mark()), line(error.context_mark())) {
        (0, context) => context,
        (problem, _) if error.kind() == ErrorKind::Scanner => problem.saturating_add(1),
        (problem, _) => problem,
    };
    refused_at(line, error.problem())
}

fn refused_at(line: u64, problem: &str) -> Error {
    Error::Refused(match line {
        0 => format!("yaml: {problem}"),
        line => format!("yaml: line {line}: {problem}"),
    })
}
