//! What is wrong with a configuration, and the cure.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Problem {
    pub file: PathBuf,
    /// Where in the file, if that is known; counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The key with its parents, `limits.bodyMax`; empty for the file as a whole.
    pub key: String,
    pub problem: String,
    pub cure: String,
}

/// All that is wrong, found in one pass. Never empty.
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

/// The line on which a key stands, or the nearest of its parents that does; found by its name and
/// by indentation, which is good for YAML, indented JSON and TOML.
pub(super) fn line_of(text: &str, key: &str) -> Option<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let mut place: Option<Place> = None;
    for segment in key.split('.').filter(|segment| !segment.is_empty()) {
        let (name, nth) = match segment.split_once('[') {
            Some((name, nth)) => (name, nth.trim_end_matches(']').parse().ok()),
            None => (segment, None),
        };
        let Some(mut found) = member(&lines, place, name) else {
            break;
        };
        if let Some(item) = nth.and_then(|nth| item(&lines, found, nth)) {
            found = item;
        }
        place = Some(found);
    }
    place.map(|place| place.line + 1)
}

/// Where a key or an item begins, and where what it holds may begin on the same line.
#[derive(Clone, Copy)]
struct Place {
    line: usize,
    indent: usize,
    behind: usize,
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn has_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#') && !line.starts_with("//")
}

fn member(lines: &[&str], parent: Option<Place>, name: &str) -> Option<Place> {
    let start = parent.map_or(0, |parent| parent.line);
    for (at, whole) in lines.iter().enumerate().skip(start) {
        let behind = match parent {
            Some(parent) if parent.line == at => parent.behind,
            _ => 0,
        };
        let line = whole.get(behind..).unwrap_or_default();
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
            return Some(Place {
                line: at,
                indent: indent(whole),
                behind: behind + end,
            });
        }
    }
    None
}

/// Behind a key of that name: `name:`, `"name":`, `name =` or the end of `[parent.name]`.
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

/// The item of a list, by the dashes that stand where the first one does.
fn item(lines: &[&str], list: Place, nth: usize) -> Option<Place> {
    let dashes = lines.iter().enumerate().skip(list.line + 1);
    let dashes = dashes.filter(|(_, line)| line.trim_start().starts_with('-'));
    let mut first = None;
    let (line, text) = dashes
        .filter(|(_, line)| *first.get_or_insert_with(|| indent(line)) == indent(line))
        .nth(nth)?;
    Some(Place {
        line,
        indent: indent(text),
        behind: 0,
    })
}

/// The file's problems as they are found.
pub(super) struct Found {
    pub(super) file: PathBuf,
    pub(super) text: String,
    pub(super) problems: Vec<Problem>,
}

impl Found {
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
    fn lines_are_those_of_the_key_or_of_its_nearest_parent() {
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
