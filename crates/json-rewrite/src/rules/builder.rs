//! Collects rules by path, and checks them when they are compiled.

use super::{Node, NodeRules, ROOT, RuleError, Rules};
use crate::Tag;
use crate::path::{self, Segment};

/// Collects rules. The methods can be called in any order; errors are returned by [`build`](Self::build).
#[derive(Debug)]
pub struct RulesBuilder {
    nodes: Vec<NodeRules>,
    /// For each node, its path as last written. Empty for nodes without rules of their own.
    paths: Vec<String>,
    problem: Option<RuleError>,
}

impl Default for RulesBuilder {
    fn default() -> Self {
        Self {
            nodes: vec![NodeRules::default()],
            paths: vec![String::new()],
            problem: None,
        }
    }
}

impl RulesBuilder {
    /// Passes a string at `path` to [`Handler::string`](crate::Handler::string). Values of other types stay
    /// unchanged.
    #[must_use]
    pub fn string(self, path: &str, tag: Tag) -> Self {
        self.change(path, true, |rules| {
            rules.embedded_json.is_some() || rules.string.replace(tag).is_some()
        })
    }

    /// Buffers the value at `path`, whatever its type, and passes it to
    /// [`Handler::raw_value`](crate::Handler::raw_value). No other rule may apply to the value or to its parts.
    #[must_use]
    pub fn raw_value(self, path: &str, tag: Tag) -> Self {
        self.change(path, true, |rules| rules.raw_value.replace(tag).is_some())
    }

    /// Calls [`Handler::object_end`](crate::Handler::object_end), which can add members to the object at `path`.
    #[must_use]
    pub fn object_end(self, path: &str, tag: Tag) -> Self {
        self.change(path, false, |rules| rules.object_end.replace(tag).is_some())
    }

    /// Applies `inner` to the JSON in the string at `path`. `inner` may have string rules only.
    #[must_use]
    pub fn embedded_json(mut self, path: &str, inner: Rules) -> Self {
        self.fail_if(!inner.are_string_rules(), || {
            RuleError::EmbeddedRules(path.to_owned())
        });
        self.change(path, false, |rules| {
            rules.string.is_some() || rules.embedded_json.replace(inner).is_some()
        })
    }

    /// Makes the values at `path` items. An item is buffered, its comma included, until the value at
    /// `decided_after` has ended. Then [`Handler::decide_item`](crate::Handler::decide_item) keeps or drops it.
    /// `decided_after` is the path of the item itself or of a value inside it.
    #[must_use]
    pub fn item(mut self, path: &str, decided_after: &str, tag: Tag) -> Self {
        let is_inside = match (path::parse(decided_after), path::parse(path)) {
            (Some(decided_after), Some(path)) => decided_after.starts_with(&path),
            // `at` reports the invalid path below.
            _ => true,
        };
        self.fail_if(!is_inside, || RuleError::DecisionOutsideItem {
            item: path.to_owned(),
            decided_after: decided_after.to_owned(),
        });
        if let Some(rules) = self.at(decided_after, false) {
            rules.decides_item = true;
        }
        self.change(path, true, |rules| rules.item.replace(tag).is_some())
    }

    /// Removes a member or an element at `path`, whatever its value.
    #[must_use]
    pub fn remove(mut self, path: &str) -> Self {
        if let Some(rules) = self.at(path, true) {
            rules.remove = true;
        }
        self.fail_if(path == "$", || RuleError::RemovesDocument(path.to_owned()));
        self
    }

    /// Removes the object at `path`, with its key and comma, if rules have removed all of its members. An object
    /// that is written without members stays.
    ///
    /// The object must be inside an item, because its start has to be buffered until it closes. If the item was
    /// decided and kept before that, for example because a key is repeated after the decision, the stream ends with
    /// [`RewriteError::Rejected`](crate::RewriteError::Rejected). An object that is removed gets no members by
    /// [`object_end`](Self::object_end).
    #[must_use]
    pub fn remove_emptied(mut self, path: &str) -> Self {
        if let Some(rules) = self.at(path, true) {
            rules.remove_emptied = true;
        }
        self.fail_if(path == "$", || RuleError::RemovesDocument(path.to_owned()));
        self
    }

    /// Compiles the rules.
    ///
    /// # Errors
    /// A path is invalid, or rules conflict. Only the first error is returned.
    pub fn build(mut self) -> Result<Rules, RuleError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        self.check(ROOT, false)?;
        for rules in &mut self.nodes {
            rules.keys.sort_by_key(|(key, _)| key.len());
        }
        Ok(Rules(self.nodes.into()))
    }

    fn check(&self, node: Node, is_in_item: bool) -> Result<(), RuleError> {
        let Some(rules) = self.nodes.get(node) else {
            return Ok(());
        };
        let path = || self.paths.get(node).cloned().unwrap_or_default();
        if is_in_item && rules.item.is_some() {
            return Err(RuleError::NestedItem(path()));
        }
        if rules.item.is_some() && rules.remove {
            return Err(RuleError::ConflictingRules(path()));
        }
        if rules.remove_emptied {
            if !is_in_item {
                return Err(RuleError::EmptiedOutsideItem(path()));
            }
            if rules.remove || rules.raw_value.is_some() {
                return Err(RuleError::ConflictingRules(path()));
            }
        }
        if rules.raw_value.is_some() {
            if rules.string.is_some() || rules.embedded_json.is_some() || rules.remove {
                return Err(RuleError::ConflictingRules(path()));
            }
            if !rules.keys.is_empty() || rules.elements.is_some() || rules.object_end.is_some() {
                return Err(RuleError::RulesInsideRawValue(path()));
            }
        }
        let is_in_item = is_in_item || rules.item.is_some();
        let keys = rules.keys.iter().map(|(_, child)| *child);
        keys.chain(rules.elements)
            .try_for_each(|child| self.check(child, is_in_item))
    }

    /// Changes the rules of a path. `add` returns whether the new rule conflicts with an earlier one.
    fn change(
        mut self,
        path: &str,
        removable: bool,
        add: impl FnOnce(&mut NodeRules) -> bool,
    ) -> Self {
        let conflicts = self.at(path, removable).is_some_and(add);
        self.fail_if(conflicts, || RuleError::ConflictingRules(path.to_owned()));
        self
    }

    fn fail_if(&mut self, fails: bool, problem: impl FnOnce() -> RuleError) {
        if fails {
            self.problem.get_or_insert_with(problem);
        }
    }

    /// Returns the node of a path, and creates it if it is missing. `removable` is true if a rule may remove
    /// the value there.
    fn at(&mut self, path: &str, removable: bool) -> Option<&mut NodeRules> {
        let Some(segments) = path::parse(path) else {
            self.problem
                .get_or_insert_with(|| RuleError::InvalidPath(path.to_owned()));
            return None;
        };
        let mut node = ROOT;
        let last = segments.len().wrapping_sub(1);
        for (at, segment) in segments.into_iter().enumerate() {
            let next = self.nodes.len();
            let rules = self.nodes.get_mut(node)?;
            rules.has_removable_members |=
                removable && at == last && matches!(segment, Segment::Key(_));
            node = match segment {
                Segment::Key(key) => match rules.keys.iter().find(|(known, _)| *known == key) {
                    Some((_, child)) => *child,
                    None => {
                        rules.key_lengths.add(key.len());
                        rules.keys.push((key, next));
                        next
                    }
                },
                Segment::Elements => *rules.elements.get_or_insert(next),
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
