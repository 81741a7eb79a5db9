//! The problems of a configuration, with the lines that cause them.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// One problem in a configuration.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Problem {
    pub file: PathBuf,
    /// The line in the file, if it is known. Lines start at 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The key with its parents, `limits.maxWatches`. Empty for the file as a whole.
    pub key: String,
    pub problem: String,
    /// The action that solves the problem.
    pub cure: String,
}

/// All problems of a configuration. Never empty.
#[derive(Clone, Debug, Serialize, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}\n    {}", self.problem, self.cure)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{problem}")?;
        }
        let s = if self.0.len() == 1 { "" } else { "s" };
        write!(f, "{} problem{s}", self.0.len())
    }
}

/// Returns the line of a key, or of its nearest parent in the file. Searches by name and indentation,
/// which works for YAML, indented JSON and TOML.
pub(super) fn line_of(text: &str, key: &str) -> Option<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let mut position: Option<Position> = None;
    for segment in key.split('.').filter(|segment| !segment.is_empty()) {
        let (name, nth) = match segment.split_once('[') {
            Some((name, nth)) => (name, nth.trim_end_matches(']').parse().ok()),
            None => (segment, None),
        };
        let Some(mut found) = member(&lines, position, name) else {
            break;
        };
        if let Some(item) = nth.and_then(|nth| item(&lines, found, nth)) {
            found = item;
        }
        position = Some(found);
    }
    position.map(|position| position.line + 1)
}

/// The position of a key or a list item.
#[derive(Clone, Copy)]
struct Position {
    line: usize,
    indent: usize,
    /// The column after the key, where its value may start.
    value_column: usize,
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn has_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#') && !line.starts_with("//")
}

/// Finds a key below its parent, or anywhere if it has no parent.
fn member(lines: &[&str], parent: Option<Position>, name: &str) -> Option<Position> {
    let start = parent.map_or(0, |parent| parent.line);
    for (at, whole) in lines.iter().enumerate().skip(start) {
        let column = match parent {
            Some(parent) if parent.line == at => parent.value_column,
            _ => 0,
        };
        let line = whole.get(column..).unwrap_or_default();
        let is_table = whole.trim_start().starts_with('[');
        if let Some(parent) = parent
            && at > parent.line
            && has_content(whole)
            && indent(whole) <= parent.indent
            && !is_table
            && lines
                .get(parent.line)
                .is_some_and(|line| !line.trim_start().starts_with('['))
            && !matches!(whole.trim_start().chars().next(), Some('-' | '}' | ']'))
        {
            return None;
        }
        if let Some(end) = key_end(line, name).filter(|_| has_content(whole)) {
            return Some(Position {
                line: at,
                indent: indent(whole),
                value_column: column + end,
            });
        }
    }
    None
}

/// Returns the column after a key: after `name` in `name:`, `"name":`, `name =` or `[parent.name]`.
fn key_end(line: &str, name: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = line.get(from..)?.find(name) {
        let (start, end) = (from + at, from + at + name.len());
        let before = line.get(..start)?.chars().next_back();
        let after = line.get(end..)?.trim_start_matches(['"', '\'', ' ']);
        let begins = before.is_none_or(|c| " \t{[,.\"'-".contains(c));
        if begins && after.starts_with([':', '=', ']', '.']) {
            return Some(end);
        }
        from = end;
    }
    None
}

/// Finds an item of a YAML list: the nth dash with the indentation of the first dash.
fn item(lines: &[&str], list: Position, nth: usize) -> Option<Position> {
    let dashes = lines.iter().enumerate().skip(list.line + 1);
    let dashes = dashes.filter(|(_, line)| line.trim_start().starts_with('-'));
    let mut first = None;
    let (line, text) = dashes
        .filter(|(_, line)| *first.get_or_insert_with(|| indent(line)) == indent(line))
        .nth(nth)?;
    Some(Position {
        line,
        indent: indent(text),
        value_column: 0,
    })
}

/// Collects the problems of a file.
pub(super) struct ProblemLog {
    pub(super) file: PathBuf,
    pub(super) text: String,
    pub(super) problems: Vec<Problem>,
}

impl ProblemLog {
    pub(super) fn new(file: &Path, text: String) -> Self {
        Self {
            file: file.to_owned(),
            text,
            problems: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, key: &str, problem: impl Into<String>, cure: impl Into<String>) {
        self.problems.push(Problem {
            file: self.file.clone(),
            line: line_of(&self.text, key),
            key: key.to_owned(),
            problem: problem.into(),
            cure: cure.into(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_that_of_key_or_nearest_parent() {
        let yaml = "cluster: a\nlisten: {adress: x}\ncontrolPlanes:\n  one:\n    # key: no\n    \
            mapping:\n      namespaces: {default: a}\n  two:\n    key: k\napis:\n- group: a\n  \
            controlPlane: one\n- group: b\n  versions: [v1]\n";
        let toml = "cluster = \"a\"\n[listen]\nadress = \"x\"\n[controlPlanes.one]\nkey = \"k\"\n";
        let json = "{\n  \"cluster\": \"a\",\n  \"listen\": {\n    \"adress\": \"x\"\n  }\n}\n";
        for (text, key, line) in [
            (yaml, "listen.adress", Some(2)),
            (yaml, "listen.key", Some(2)),
            (yaml, "controlPlanes.one.key", Some(4)),
            (yaml, "controlPlanes.two.key", Some(9)),
            (
                yaml,
                "controlPlanes.one.mapping.namespaces.default",
                Some(7),
            ),
            (yaml, "apis[0].group", Some(11)),
            (yaml, "apis[1].versions", Some(14)),
            (yaml, "apis[1].readOnly", Some(13)),
            (yaml, "admin.address", None),
            (yaml, "", None),
            (toml, "listen.adress", Some(3)),
            (toml, "controlPlanes.one.key", Some(5)),
            (json, "listen.adress", Some(4)),
            (json, "listen.key", Some(3)),
        ] {
            assert_eq!(line_of(text, key), line, "{key} in\n{text}");
        }
    }
}
