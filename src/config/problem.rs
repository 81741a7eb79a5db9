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

/// The line on which a key stands: that of its last segment, after those of its parents. Good for
/// block YAML, TOML and indented JSON; `None` where a segment is not found.
pub(super) fn line_of(text: &str, key: &str) -> Option<usize> {
    let mut lines = text.lines().enumerate();
    let mut found = None;
    for segment in key.split('.') {
        let name = segment.split('[').next().unwrap_or(segment);
        let nth: usize = segment
            .split_once('[')
            .and_then(|(_, rest)| rest.trim_end_matches(']').parse().ok())
            .unwrap_or(0);
        found = lines
            .by_ref()
            .find(|(_, line)| names_key(line, name))
            .map(|(at, _)| at + 1);
        let item = |line: &str| line.trim_start().starts_with("- ") || line.trim() == "-";
        if segment.contains('[') {
            found = lines
                .by_ref()
                .filter(|(_, line)| item(line))
                .nth(nth)
                .map(|(at, _)| at + 1);
            // The item's first key stands on the line of its dash.
            let rest = found?;
            lines = text.lines().enumerate();
            if rest > 1 {
                lines.nth(rest - 2);
            }
        }
        found?;
    }
    found
}

fn names_key(line: &str, name: &str) -> bool {
    let line = line
        .trim_start()
        .trim_start_matches("- ")
        .trim_start_matches(['"', '[', '{', ' ']);
    line.strip_prefix(name).is_some_and(|rest| {
        rest.trim_start_matches(['"', ' '])
            .starts_with([':', '=', ']', '.'])
    }) || line.contains(&format!(" {name}:"))
        || line.contains(&format!("{{{name}:"))
        || line.ends_with(&format!(".{name}]"))
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
