//! Paths and what is to be done there, compiled into a tree that is walked key by key.

use std::sync::Arc;

use super::{Tag, text};

/// A node of the tree; 0 is the root, `$`.
pub(super) type Node = usize;

#[derive(Debug, Default)]
pub(super) struct NodeRules {
    keys: Vec<(Box<[u8]>, Node)>,
    key_lengths: Lengths,
    each: Option<Node>,
    pub(super) string: Option<Tag>,
    pub(super) inside: Option<Rules>,
    /// The value is an item.
    pub(super) item: Option<Tag>,
    /// The end of the value decides over the item around it.
    pub(super) judges: bool,
    pub(super) remove: bool,
    /// The handler sees the value, whatever its kind.
    pub(super) value: Option<Tag>,
    /// The handler may add members at the object's end.
    pub(super) end: Option<Tag>,
    /// A member below may go, so that its comma matters.
    pub(super) members_may_go: bool,
}

impl NodeRules {
    /// A value there may leave its object or array.
    pub(super) fn may_go(&self) -> bool {
        self.remove || self.string.is_some() || self.value.is_some() || self.item.is_some()
    }

    /// What begins or ends there is more than a value to be passed.
    pub(super) fn is_more_than_a_value(&self) -> bool {
        self.item.is_some() || self.judges || self.remove || self.value.is_some()
    }
}

/// Lengths of keys, a bit for each below 63 and one for all beyond. Most keys are no rule's, and
/// differ in their length already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lengths(u64);

impl Lengths {
    /// All that are longer than this, and perhaps some that are not.
    pub(super) fn beyond(bytes: usize) -> Self {
        Self(u64::MAX << bytes.saturating_add(1).min(63))
    }

    fn add(&mut self, length: usize) {
        self.0 |= 1 << length.min(63);
    }

    /// Whether no key is as long.
    pub(super) fn exclude(self, length: usize) -> bool {
        self.0 >> length.min(63) & 1 == 0
    }
}

/// Compiled rules; clones are the same ones.
#[derive(Clone, Debug)]
pub struct Rules(Arc<[NodeRules]>);

/// A path or a combination of rules that can't be; each names the path as it was written.
#[allow(missing_docs, reason = "each says what it is")]
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RuleError {
    #[error("{0} is no path: it starts with $, followed by .key, [\"any key\"] or [*]")]
    Path(String),
    #[error("{0} holds JSON in which only strings can have rules")]
    Inside(String),
    #[error("{0} lies within another item")]
    NestedItem(String),
    #[error("{judged_after} does not lie within the item {item}")]
    JudgedOutside { item: String, judged_after: String },
    #[error("{0} is the document, and only members and elements can be removed")]
    NoMember(String),
    #[error("{0} has two rules that would both say what becomes of its value")]
    TwoFates(String),
    #[error("{0} is seen as a whole, and so can have no rules for its parts")]
    WithinValue(String),
}

/// Collects rules.
#[derive(Debug)]
pub struct RulesBuilder {
    nodes: Vec<NodeRules>,
    /// How the paths of nodes were last written; empty where only longer ones lead through.
    paths: Vec<String>,
    problem: Option<RuleError>,
}

#[derive(Debug, Eq, PartialEq)]
enum Segment {
    Key(Box<[u8]>),
    Each,
}

impl Rules {
    /// No rules yet.
    pub fn builder() -> RulesBuilder {
        RulesBuilder {
            nodes: vec![NodeRules::default()],
            paths: vec![String::new()],
            problem: None,
        }
    }

    /// Whether both are clones of the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn node(&self, node: Node) -> Option<&NodeRules> {
        self.0.get(node)
    }

    pub(super) fn key(&self, node: Node, key: &[u8]) -> Option<Node> {
        let rules = self.0.get(node)?;
        if rules.key_lengths.exclude(key.len()) {
            return None;
        }
        rules
            .keys
            .iter()
            .find(|(known, _)| **known == *key)
            .map(|(_, child)| *child)
    }

    /// Whether no rule is for anything but strings, as must be within a string.
    pub(super) fn are_for_strings(&self) -> bool {
        self.0.iter().all(|rules| {
            let others = rules.is_more_than_a_value() || rules.inside.is_some();
            !others && rules.end.is_none()
        })
    }

    /// The tag of a string for which there is no other rule.
    pub(super) fn only_string(&self, node: Node) -> Option<Tag> {
        let rules = self.0.get(node)?;
        rules.string.filter(|_| !rules.is_more_than_a_value())
    }

    pub(super) fn members_may_go(&self, node: Node) -> bool {
        let rules = self.0.get(node);
        rules.is_some_and(|rules| rules.members_may_go)
    }

    /// Whether members at a node may go, and how long the keys are that have to be looked at there: those of
    /// rules, and those that are `too_long`.
    pub(super) fn members(&self, node: Node, too_long: Lengths) -> (bool, Lengths) {
        let rules = self.0.get(node);
        rules.map_or_else(Default::default, |rules| {
            let Lengths(known) = rules.key_lengths;
            (rules.members_may_go, Lengths(known | too_long.0))
        })
    }

    pub(super) fn each(&self, node: Node) -> Option<Node> {
        self.0.get(node)?.each
    }

    /// Whether an object at the node has to be walked.
    pub(super) fn walks_object(&self, node: Node) -> bool {
        let rules = self.0.get(node);
        rules.is_some_and(|rules| !rules.keys.is_empty() || rules.end.is_some())
    }
}

impl RulesBuilder {
    /// A string at `path` is shown to the handler.
    #[must_use]
    pub fn string(mut self, path: &str, tag: Tag) -> Self {
        if let Some(rules) = self.at(path, true) {
            let twice = rules.inside.is_some() || rules.string.is_some();
            rules.string = Some(tag);
            self.refuse_if(twice, || RuleError::TwoFates(path.to_owned()));
        }
        self
    }

    /// The value at `path`, whatever its kind, is held, as an item is, and shown to the handler as it
    /// is written. No other rule may apply to it or to what lies within.
    #[must_use]
    pub fn value(mut self, path: &str, tag: Tag) -> Self {
        if let Some(rules) = self.at(path, true) {
            let twice = rules.value.is_some();
            rules.value = Some(tag);
            self.refuse_if(twice, || RuleError::TwoFates(path.to_owned()));
        }
        self
    }

    /// The handler may add members to an object at `path`, at its end.
    #[must_use]
    pub fn end(mut self, path: &str, tag: Tag) -> Self {
        if let Some(rules) = self.at(path, false) {
            let twice = rules.end.is_some();
            rules.end = Some(tag);
            self.refuse_if(twice, || RuleError::TwoFates(path.to_owned()));
        }
        self
    }

    /// A string at `path` holds JSON, to which `inner` applies.
    #[must_use]
    pub fn inside(mut self, path: &str, inner: Rules) -> Self {
        self.refuse_if(!inner.are_for_strings(), || {
            RuleError::Inside(path.to_owned())
        });
        if let Some(rules) = self.at(path, false) {
            let twice = rules.inside.is_some() || rules.string.is_some();
            rules.inside = Some(inner);
            self.refuse_if(twice, || RuleError::TwoFates(path.to_owned()));
        }
        self
    }

    /// The values at `path` are items: held from their first byte, comma included, until the value
    /// at `judged_after`, which lies within or is the item itself, has ended.
    #[must_use]
    pub fn item(mut self, path: &str, judged_after: &str, tag: Tag) -> Self {
        let lies_within = match (segments(judged_after), segments(path)) {
            (Some(judged_after), Some(path)) => judged_after.starts_with(&path),
            // Which of them is no path is found below.
            _ => true,
        };
        if !lies_within {
            self.problem
                .get_or_insert_with(|| RuleError::JudgedOutside {
                    item: path.to_owned(),
                    judged_after: judged_after.to_owned(),
                });
        }
        if let Some(rules) = self.at(judged_after, false) {
            rules.judges = true;
        }
        let twice = self
            .at(path, true)
            .is_some_and(|rules| rules.item.replace(tag).is_some());
        self.refuse_if(twice, || RuleError::TwoFates(path.to_owned()));
        self
    }

    /// A member or element at `path` goes, whatever its value.
    #[must_use]
    pub fn remove(mut self, path: &str) -> Self {
        if let Some(rules) = self.at(path, true) {
            rules.remove = true;
        }
        self.refuse_if(path == "$", || RuleError::NoMember(path.to_owned()));
        self
    }

    /// # Errors
    /// The first path that is none, or rules that contradict each other.
    pub fn build(self) -> Result<Rules, RuleError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        self.check(0, false)?;
        Ok(Rules(self.nodes.into()))
    }

    fn check(&self, node: Node, within: bool) -> Result<(), RuleError> {
        let Some(rules) = self.nodes.get(node) else {
            return Ok(());
        };
        let path = || self.paths.get(node).cloned().unwrap_or_default();
        if within && rules.item.is_some() {
            return Err(RuleError::NestedItem(path()));
        }
        if rules.item.is_some() && rules.remove {
            return Err(RuleError::TwoFates(path()));
        }
        if rules.value.is_some() {
            if rules.string.is_some() || rules.inside.is_some() || rules.remove {
                return Err(RuleError::TwoFates(path()));
            }
            if !rules.keys.is_empty() || rules.each.is_some() || rules.end.is_some() {
                return Err(RuleError::WithinValue(path()));
            }
        }
        let within = within || rules.item.is_some();
        let keys = rules.keys.iter().map(|(_, child)| *child);
        keys.chain(rules.each)
            .try_for_each(|child| self.check(child, within))
    }

    fn refuse_if(&mut self, refused: bool, problem: impl FnOnce() -> RuleError) {
        if refused {
            self.problem.get_or_insert_with(problem);
        }
    }

    /// The node of a path, made if need be; `may_go` says that it may leave what it lies in.
    fn at(&mut self, path: &str, may_go: bool) -> Option<&mut NodeRules> {
        let Some(segments) = segments(path) else {
            self.problem
                .get_or_insert_with(|| RuleError::Path(path.to_owned()));
            return None;
        };
        let mut node = 0;
        let last = segments.len().wrapping_sub(1);
        for (at, segment) in segments.into_iter().enumerate() {
            let next = self.nodes.len();
            let rules = self.nodes.get_mut(node)?;
            rules.members_may_go |= may_go && at == last && matches!(segment, Segment::Key(_));
            node = match segment {
                Segment::Key(key) => match rules.keys.iter().find(|(known, _)| *known == key) {
                    Some((_, child)) => *child,
                    None => {
                        rules.key_lengths.add(key.len());
                        rules.keys.push((key, next));
                        next
                    }
                },
                Segment::Each => *rules.each.get_or_insert(next),
            };
            if node == next {
                self.nodes.push(NodeRules::default());
                self.paths.push(String::new());
            }
        }
        path.clone_into(self.paths.get_mut(node)?);
        self.nodes.get_mut(node)
    }
}

fn segments(path: &str) -> Option<Vec<Segment>> {
    let mut rest = path.strip_prefix('$')?;
    let mut segments = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("[*]") {
            segments.push(Segment::Each);
            rest = after;
        } else if let Some(after) = rest.strip_prefix("[\"") {
            let (key, after) = quoted(after)?;
            segments.push(Segment::Key(key));
            rest = after.strip_prefix(']')?;
        } else {
            let after = rest.strip_prefix('.')?;
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (key, after) = after.split_at(end);
            if key.is_empty() {
                return None;
            }
            segments.push(Segment::Key(key.as_bytes().into()));
            rest = after;
        }
    }
    Some(segments)
}

/// The key of a bracket's string, escaped as JSON has it, and what follows its closing quote.
fn quoted(path: &str) -> Option<(Box<[u8]>, &str)> {
    let mut escaped = false;
    let end = path.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    let (raw, after) = path.split_at_checked(end)?;
    let mut key = Vec::new();
    text::unescape(raw.as_bytes(), &mut key)?;
    // Lone surrogates are equal to nothing.
    std::str::from_utf8(&key).ok()?;
    Some((key.into(), after.strip_prefix('"')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_checked() {
        for path in [
            "",
            "a",
            "$a",
            "$.",
            "$..a",
            "$[0]",
            "$[\"a",
            "$[\"a\"",
            "$[\"a\\\"]",
            "$[\"\\x\"]",
            "$[\"\\ud800\"]",
        ] {
            let error = Rules::builder().string(path, 1).build().unwrap_err();
            assert_eq!(error, RuleError::Path(path.to_owned()));
        }
    }

    #[test]
    fn any_key_can_be_written() {
        for (path, key) in [
            (r#"$["a.b"]"#, "a.b"),
            (r#"$["]"]"#, "]"),
            (r#"$["a\"]b"]"#, "a\"]b"),
            (r#"$["\\"]"#, "\\"),
            (r#"$["\u00e9\n"]"#, "é\n"),
            (r#"$[""]"#, ""),
        ] {
            let rules = Rules::builder().string(path, 1).build().unwrap();
            let node = rules.key(0, key.as_bytes()).unwrap();
            assert_eq!(rules.node(node).unwrap().string, Some(1), "{path}");
        }
    }

    #[test]
    fn errors_name_paths_as_they_were_written() {
        let path = r#"$["a"].b["c\"]"][*]"#;
        for refused in [
            Rules::builder().item("$.a", "$.a", 0).item(path, path, 1),
            Rules::builder()
                .item("$.a", "$.a", 0)
                .item(path, "$.a.b[\"c\\\"]\"][*]", 1),
            Rules::builder().value(path, 0).string(path, 1),
            Rules::builder()
                .string(r#"$.a.b["c\u0022]"][*]"#, 0)
                .value(path, 1),
            Rules::builder()
                .value(path, 0)
                .string(&format!("{path}.b"), 1),
            Rules::builder().string(path, 0).string(path, 1),
        ] {
            let error = refused.build().unwrap_err().to_string();
            assert!(error.starts_with(path), "{error}");
        }
    }

    #[test]
    fn items_do_not_nest_and_are_judged_within() {
        let nested = Rules::builder()
            .item("$", "$", 0)
            .item("$.a[*]", "$.a[*]", 1)
            .build();
        assert_eq!(nested.unwrap_err(), RuleError::NestedItem("$.a[*]".into()));
        let outside = Rules::builder().item("$.a[*]", "$.b", 0).build();
        assert!(matches!(outside, Err(RuleError::JudgedOutside { .. })));
        let beside = Rules::builder().item("$.a", "$.ab", 0).build();
        assert!(matches!(beside, Err(RuleError::JudgedOutside { .. })));
    }

    #[test]
    fn rules_that_contradict_each_other_are_refused() {
        let removed = Rules::builder().remove("$").build();
        assert_eq!(removed.unwrap_err(), RuleError::NoMember("$".into()));
        assert!(Rules::builder().remove("$[\"a]\"]").build().is_ok());
        assert!(Rules::builder().remove("$.a[*]").build().is_ok());
        for twice in [
            Rules::builder().string("$.a", 0).string("$.a", 1),
            Rules::builder().value("$.a", 0).value("$.a", 1),
            Rules::builder().value("$.a", 0).string("$.a", 1),
            Rules::builder().value("$.a", 0).remove("$.a"),
            Rules::builder().item("$.a", "$.a", 0).remove("$.a"),
            Rules::builder().end("$.a", 0).end("$.a", 1),
            Rules::builder()
                .item("$.a", "$.a", 0)
                .item("$.a", "$.a.b", 1),
        ] {
            let error = twice.build().unwrap_err();
            assert_eq!(error, RuleError::TwoFates("$.a".into()));
        }
        for within in [
            Rules::builder().value("$.a", 0).string("$.a.b", 1),
            Rules::builder().remove("$.a[*]").value("$.a", 0),
            Rules::builder().value("$.a", 0).end("$.a", 1),
        ] {
            let error = within.build().unwrap_err();
            assert_eq!(error, RuleError::WithinValue("$.a".into()));
        }
        let inner = Rules::builder().value("$.a", 0).build().unwrap();
        let inside = Rules::builder().inside("$.b", inner).build();
        assert_eq!(inside.unwrap_err(), RuleError::Inside("$.b".into()));
    }
}
