//! Parses a YAML document into a tree, with libyaml's parser and the limits of
//! `go.yaml.in/yaml/v2`.

use std::collections::HashMap;
use std::io::{BufReader, Chain, Read};
use std::panic;
use std::rc::Rc;

use libyaml_safer::{
    ErrorKind, Event, EventData, MappingStyle, Mark, Parser, ScalarStyle, SequenceStyle,
};

use super::document::{Child, Node, NodeKind, Scalar};
use super::error::YamlError;
use super::quote::is_break;

/// Bytes that the parser decodes at a time, the same as in `go.yaml.in/yaml/v2`. If a document has
/// two errors, this decides which one is found first.
const READ_BYTES: usize = 512;

/// Maximum number of keys and values in a document. Each uses a few hundred bytes of memory.
const NODES_MAX: usize = 500_000;

/// Maximum sum of the depths of all keys and values. The parser's time grows with it, because it visits all
/// levels around each node.
const DEPTH_SUM_MAX: usize = 250_000_000;

/// The only version that a `%YAML` directive may name.
const YAML_VERSION: (i32, i32) = (1, 1);

const UNKNOWN_PROBLEM: &str = "yaml: unknown problem parsing YAML content";

/// Parses the first document of a stream and ignores the rest, as `Unmarshal` of
/// `go.yaml.in/yaml/v2` does. Returns `None` if the stream is empty.
pub(super) fn parse(text: &str, depth_max: usize) -> Result<Option<Child>, YamlError> {
    // The parser panics on some invalid documents, for example on the tag `!,`.
    let parsed = panic::catch_unwind(|| parse_tree(text, depth_max));
    parsed.unwrap_or_else(|_| Err(YamlError::invalid(UNKNOWN_PROBLEM)))
}

fn parse_tree(text: &str, depth_max: usize) -> Result<Option<Child>, YamlError> {
    let added = if text.contains(['|', '>']) && !text.ends_with(is_break) {
        "\n"
    } else {
        ""
    };
    let mut parser = Parser::new();
    let input = text.as_bytes().chain(added.as_bytes());
    parser.set_input(BufReader::with_capacity(READ_BYTES, input));
    let mut builder = TreeBuilder {
        parser,
        anchors: HashMap::new(),
        anchor_count: 0,
        nodes: 0,
        depth: 0,
        depth_max,
        depth_sum: 0,
        flow_depth: 0,
        text,
        has_added_break: !added.is_empty(),
    };
    builder.next()?;
    let begin = builder.next()?;
    match begin.data {
        EventData::StreamEnd => return Ok(None),
        EventData::DocumentStart {
            version_directive: Some(version),
            ..
        } if (version.major, version.minor) != YAML_VERSION => {
            let line = begin.start_mark.line;
            return Err(invalid_at(line, "found incompatible YAML document"));
        }
        _ => {}
    }
    let event = builder.next()?;
    let root = builder.node(event)?;
    builder.next()?;
    Ok(Some(root))
}

/// The node of an anchor. If a name is reused, the node that started last counts.
struct AnchoredNode {
    number: u64,
    /// `None` while the node is parsed, because a node may not contain itself.
    node: Option<Rc<Node>>,
}

struct TreeBuilder<'a> {
    parser: Parser<BufReader<Chain<&'a [u8], &'a [u8]>>>,
    text: &'a str,
    /// A line break was appended to the text, because the parser panics on a block scalar without
    /// one.
    has_added_break: bool,
    anchors: HashMap<String, AnchoredNode>,
    /// Number of anchors so far.
    anchor_count: u64,
    nodes: usize,
    depth: usize,
    depth_max: usize,
    /// Sum of the depths of all nodes so far.
    depth_sum: usize,
    /// Depth of flow collections: braces and brackets.
    flow_depth: usize,
}

impl TreeBuilder<'_> {
    fn next(&mut self) -> Result<Event, YamlError> {
        self.parser.parse().map_err(|error| parser_error(&error))
    }

    fn node(&mut self, event: Event) -> Result<Child, YamlError> {
        let line = event.start_mark.line.saturating_add(1);
        self.count()?;
        let anchor = self.anchor(&event.data);
        let kind = match event.data {
            EventData::Alias { anchor } => return self.alias(&anchor, line),
            EventData::Scalar { .. } => NodeKind::Scalar(self.scalar(event)?),
            EventData::SequenceStart { style, .. } => {
                let is_flow = style == SequenceStyle::Flow;
                self.enter(is_flow)?;
                let mut items = Vec::new();
                while let Some(item) = self.child()? {
                    items.push(item);
                }
                self.leave(is_flow);
                NodeKind::Sequence(items)
            }
            EventData::MappingStart { style, .. } => {
                let is_flow = style == MappingStyle::Flow;
                self.enter(is_flow)?;
                let mut members = Vec::new();
                while let Some(key) = self.child()? {
                    let Some(value) = self.child()? else { break };
                    members.push((key, value));
                }
                self.leave(is_flow);
                NodeKind::Mapping(members)
            }
            _ => return Err(YamlError::invalid(UNKNOWN_PROBLEM)),
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

    fn count(&mut self) -> Result<(), YamlError> {
        self.nodes += 1;
        self.depth_sum += self.depth;
        let what = if self.nodes > NODES_MAX {
            NODES_MAX.to_string()
        } else if self.depth_sum > DEPTH_SUM_MAX {
            format!("{DEPTH_SUM_MAX} levels of nesting around")
        } else {
            return Ok(());
        };
        Err(YamlError::Invalid(format!(
            "yaml: more than {what} keys and values"
        )))
    }

    fn scalar(&self, event: Event) -> Result<Scalar, YamlError> {
        let (start, end) = (event.start_mark, event.end_mark);
        let EventData::Scalar {
            tag,
            value,
            plain_implicit,
            style,
            ..
        } = event.data
        else {
            return Err(YamlError::invalid(UNKNOWN_PROBLEM));
        };
        let value = match style {
            // libyaml reads `?` as text here; go-yaml begins a key.
            ScalarStyle::Plain if self.flow_depth > 0 && value.contains('?') => {
                return Err(invalid_at(start.line, "did not find expected ',' or ']'"));
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

    /// Rejects the escape `\/` of YAML 1.2, which the parser accepts but `go.yaml.in/yaml/v2` does not.
    fn check_escapes(&self, start: Mark, end: Mark) -> Result<(), YamlError> {
        let at = |mark: Mark| usize::try_from(mark.index).unwrap_or(usize::MAX);
        let Some(raw) = self.text.get(at(start)..at(end)) else {
            return Err(YamlError::invalid(UNKNOWN_PROBLEM));
        };
        let mut line = start.line;
        let mut rest = raw.chars();
        while let Some(c) = rest.next() {
            let is_slash = c == '\\' && rest.as_str().starts_with('/');
            if is_slash {
                let line = if line == 0 { 0 } else { line.saturating_add(1) };
                return Err(invalid_at(line, "found unknown escape character"));
            }
            if c == '\\' && rest.as_str().starts_with(['\\', '"']) {
                rest.next();
            }
            let is_first_of_two = c == '\r' && rest.as_str().starts_with('\n');
            line += u64::from(is_break(c) && !is_first_of_two);
        }
        Ok(())
    }

    /// Registers the anchor of a node that begins. Returns its name and number.
    fn anchor(&mut self, event: &EventData) -> Option<(String, u64)> {
        let (EventData::Scalar { anchor, .. }
        | EventData::SequenceStart { anchor, .. }
        | EventData::MappingStart { anchor, .. }) = event
        else {
            return None;
        };
        let name = anchor.clone()?;
        self.anchor_count += 1;
        let (number, node) = (self.anchor_count, None);
        self.anchors
            .insert(name.clone(), AnchoredNode { number, node });
        Some((name, number))
    }

    /// Returns the value of a block scalar without the effect of the appended line break.
    fn without_added_break(&self, mut value: String, end: u64) -> Result<String, YamlError> {
        let is_last = u64::try_from(self.text.len()).is_ok_and(|length| length <= end);
        if !self.has_added_break || !is_last {
            return Ok(value);
        }
        let last_line = self.text.rsplit(is_break).next().unwrap_or_default();
        let is_blank = last_line.trim_matches(' ').is_empty();
        if is_blank && value.ends_with(" \n") {
            // The spaces are either text or indentation, and the parser does not show which.
            return Err(YamlError::invalid(
                "yaml: a block scalar ends in spaces without a line break",
            ));
        }
        // A blank last line is part of the value only if the scalar keeps all its trailing breaks.
        let counts = !is_blank || value.ends_with("\n\n") || value == "\n";
        if counts && value.ends_with('\n') {
            value.pop();
        }
        Ok(value)
    }

    fn enter(&mut self, is_flow: bool) -> Result<(), YamlError> {
        if self.depth == self.depth_max {
            return Err(YamlError::TooDeep {
                max: self.depth_max,
            });
        }
        self.depth += 1;
        self.flow_depth += usize::from(is_flow);
        Ok(())
    }

    fn leave(&mut self, is_flow: bool) {
        self.depth -= 1;
        self.flow_depth -= usize::from(is_flow);
    }

    /// Returns the next node of a sequence or mapping, or `None` at its end.
    fn child(&mut self) -> Result<Option<Child>, YamlError> {
        let event = self.next()?;
        match event.data {
            EventData::SequenceEnd | EventData::MappingEnd => Ok(None),
            _ => self.node(event).map(Some),
        }
    }

    fn alias(&self, anchor: &str, line: u64) -> Result<Child, YamlError> {
        let anchored = self.anchors.get(anchor);
        match anchored.map(|anchored| &anchored.node) {
            Some(Some(node)) => Ok(Child {
                node: Rc::clone(node),
                is_alias: true,
                line,
            }),
            Some(None) => Err(YamlError::Invalid(format!(
                "yaml: anchor '{anchor}' value contains itself"
            ))),
            None => Err(YamlError::Invalid(format!(
                "yaml: unknown anchor '{anchor}' referenced"
            ))),
        }
    }
}

/// Returns the message of `go.yaml.in/yaml/v2` (`decode.go`, `parser.fail`). It counts lines from
/// 0, except in the scanner's errors, and leaves out line 0.
fn parser_error(error: &libyaml_safer::Error) -> YamlError {
    let line = |mark: Option<Mark>| mark.map_or(0, |mark| mark.line);
    let line = match (line(error.problem_mark()), line(error.context_mark())) {
        (0, context) => context,
        (problem, _) if error.kind() == ErrorKind::Scanner => problem.saturating_add(1),
        (problem, _) => problem,
    };
    invalid_at(line, error.problem())
}

fn invalid_at(line: u64, problem: &str) -> YamlError {
    YamlError::Invalid(match line {
        0 => format!("yaml: {problem}"),
        line => format!("yaml: line {line}: {problem}"),
    })
}
