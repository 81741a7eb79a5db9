//! Rules: paths and their actions, compiled into a tree that the walk follows key by key.

mod builder;

use std::sync::Arc;

pub use self::builder::RulesBuilder;
use super::Tag;

/// The index of a node in the tree.
pub(super) type Node = usize;

/// The node of the document, `$`.
pub(super) const ROOT: Node = 0;

/// The rules for one path, and the paths below it.
#[derive(Debug, Default)]
pub(super) struct NodeRules {
    /// The keys with rules, sorted by length.
    keys: Vec<(Box<[u8]>, Node)>,
    key_lengths: KeyLengths,
    /// The node of every element, `[*]`.
    elements: Option<Node>,
    pub(super) string: Option<Tag>,
    pub(super) embedded_json: Option<Rules>,
    /// The value is an item.
    pub(super) item: Option<Tag>,
    /// The handler keeps or drops the surrounding item when the value ends.
    pub(super) decides_item: bool,
    pub(super) remove: bool,
    /// The object is removed if rules have removed all of its members.
    pub(super) remove_emptied: bool,
    pub(super) raw_value: Option<Tag>,
    pub(super) object_end: Option<Tag>,
    /// A member may be removed, so the walk must track where each member starts.
    pub(super) has_removable_members: bool,
}

impl NodeRules {
    /// Returns whether the value may be removed from its object or array.
    #[inline]
    pub(super) fn may_be_removed(&self) -> bool {
        self.remove
            || self.remove_emptied
            || self.string.is_some()
            || self.raw_value.is_some()
            || self.item.is_some()
    }

    /// Returns whether a rule applies to the value whatever its type.
    #[inline]
    pub(super) fn applies_to_any_type(&self) -> bool {
        self.item.is_some() || self.decides_item || self.remove || self.raw_value.is_some()
    }
}

/// A set of key lengths: one bit for each length below 63, and one for all others. Most keys match no rule, and
/// most of those already differ in length.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeyLengths(u64);

impl KeyLengths {
    /// Returns the set of all lengths above `bytes`. It may include shorter ones.
    pub(super) fn above(bytes: usize) -> Self {
        Self(u64::MAX << bytes.saturating_add(1).min(63))
    }

    fn add(&mut self, length: usize) {
        self.0 |= 1 << length.min(63);
    }

    /// Returns whether no key has this length.
    #[inline]
    pub(super) fn exclude(self, length: usize) -> bool {
        self.0 >> length.min(63) & 1 == 0
    }

    /// Returns the number of lengths in the set that are below this one.
    #[inline]
    fn shorter(self, length: usize) -> usize {
        let shorter = self.0 & ((1 << length.min(63)) - 1);
        shorter.count_ones() as usize
    }
}

/// A compiled, immutable set of rules. Clones share it.
#[derive(Clone, Debug)]
pub struct Rules(Arc<[NodeRules]>);

/// Error: a path is invalid, or rules conflict. Each error contains the path as it was written.
#[allow(missing_docs, reason = "each message says what it means")]
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RuleError {
    #[error("{0} is not a path; write $, followed by any number of .key, [\"any key\"] and [*]")]
    InvalidPath(String),
    #[error("{0} contains JSON, in which only string rules are allowed")]
    EmbeddedRules(String),
    #[error("{0} is inside another item")]
    NestedItem(String),
    #[error("{decided_after} is not inside the item {item}")]
    DecisionOutsideItem { item: String, decided_after: String },
    #[error("{0} is the document; only members and elements can be removed")]
    RemovesDocument(String),
    #[error(
        "{0} is not inside an item; an object is removed after its members only if its item is buffered until then"
    )]
    EmptiedOutsideItem(String),
    #[error("{0} has two rules for the same value")]
    ConflictingRules(String),
    #[error("{0} has a rule for its raw value, so its parts cannot have rules")]
    RulesInsideRawValue(String),
}

impl Rules {
    /// Returns a builder without rules.
    pub fn builder() -> RulesBuilder {
        RulesBuilder::default()
    }

    /// Returns whether both are clones of one set.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    #[inline]
    pub(super) fn node(&self, node: Node) -> Option<&NodeRules> {
        self.0.get(node)
    }

    /// Returns the node of a member of `node`, by its unescaped key.
    #[inline]
    pub(super) fn key(&self, node: Node, key: &[u8]) -> Option<Node> {
        let rules = self.0.get(node)?;
        if rules.key_lengths.exclude(key.len()) {
            return None;
        }
        // At least one key has each of the shorter lengths.
        let keys = rules.keys.get(rules.key_lengths.shorter(key.len())..)?;
        keys.iter()
            .find(|(known, _)| **known == *key)
            .map(|(_, child)| *child)
    }

    /// Returns whether all rules are string rules. Embedded JSON can have no others.
    pub(super) fn are_string_rules(&self) -> bool {
        self.0.iter().all(|rules| {
            let others = rules.applies_to_any_type() || rules.embedded_json.is_some();
            !others && rules.object_end.is_none()
        })
    }

    /// Returns the tag of a node's string rule, if the node has no other rule.
    #[inline]
    pub(super) fn string_only(&self, node: Node) -> Option<Tag> {
        let rules = self.0.get(node)?;
        rules.string.filter(|_| !rules.applies_to_any_type())
    }

    #[inline]
    pub(super) fn has_removable_members(&self, node: Node) -> bool {
        let rules = self.0.get(node);
        rules.is_some_and(|rules| rules.has_removable_members)
    }

    /// Returns whether members of a node may be removed, and the lengths of the keys that must be read there:
    /// the keys of rules, and those in `too_long`.
    #[inline]
    pub(super) fn members(&self, node: Node, too_long: KeyLengths) -> (bool, KeyLengths) {
        let rules = self.0.get(node);
        rules.map_or_else(Default::default, |rules| {
            let KeyLengths(known) = rules.key_lengths;
            (rules.has_removable_members, KeyLengths(known | too_long.0))
        })
    }

    /// Returns whether an object at the node is removed once rules have removed all of its members.
    #[inline]
    pub(super) fn removes_emptied(&self, node: Node) -> bool {
        let rules = self.0.get(node);
        rules.is_some_and(|rules| rules.remove_emptied)
    }

    /// Returns the node of the elements of an array.
    #[inline]
    pub(super) fn elements(&self, node: Node) -> Option<Node> {
        self.0.get(node)?.elements
    }

    /// Returns whether an object at the node has to be walked key by key.
    #[inline]
    pub(super) fn walks_object(&self, node: Node) -> bool {
        let rules = self.0.get(node);
        rules.is_some_and(|rules| !rules.keys.is_empty() || rules.object_end.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_paths_are_rejected() {
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
            assert_eq!(error, RuleError::InvalidPath(path.to_owned()));
        }
    }

    #[test]
    fn brackets_can_name_any_key() {
        for (path, key) in [
            (r#"$["a.b"]"#, "a.b"),
            (r#"$["]"]"#, "]"),
            (r#"$["a\"]b"]"#, "a\"]b"),
            (r#"$["\\"]"#, "\\"),
            (r#"$["\u00e9\n"]"#, "é\n"),
            (r#"$[""]"#, ""),
        ] {
            let rules = Rules::builder().string(path, 1).build().unwrap();
            let node = rules.key(ROOT, key.as_bytes()).unwrap();
            assert_eq!(rules.node(node).unwrap().string, Some(1), "{path}");
        }
    }

    #[test]
    fn errors_name_paths_as_written() {
        let path = r#"$["a"].b["c\"]"][*]"#;
        for invalid in [
            Rules::builder().item("$.a", "$.a", 0).item(path, path, 1),
            Rules::builder()
                .item("$.a", "$.a", 0)
                .item(path, "$.a.b[\"c\\\"]\"][*]", 1),
            Rules::builder().raw_value(path, 0).string(path, 1),
            Rules::builder()
                .string(r#"$.a.b["c\u0022]"][*]"#, 0)
                .raw_value(path, 1),
            Rules::builder()
                .raw_value(path, 0)
                .string(&format!("{path}.b"), 1),
            Rules::builder().string(path, 0).string(path, 1),
        ] {
            let error = invalid.build().unwrap_err().to_string();
            assert!(error.starts_with(path), "{error}");
        }
    }

    #[test]
    fn nested_items_and_decisions_outside_items_are_rejected() {
        let nested = Rules::builder()
            .item("$", "$", 0)
            .item("$.a[*]", "$.a[*]", 1)
            .build();
        assert_eq!(nested.unwrap_err(), RuleError::NestedItem("$.a[*]".into()));
        let outside = Rules::builder().item("$.a[*]", "$.b", 0).build();
        assert!(matches!(
            outside,
            Err(RuleError::DecisionOutsideItem { .. })
        ));
        let beside = Rules::builder().item("$.a", "$.ab", 0).build();
        assert!(matches!(beside, Err(RuleError::DecisionOutsideItem { .. })));
    }

    #[test]
    fn emptied_objects_outside_items_are_rejected() {
        let item = || Rules::builder().item("$.a", "$.a.k", 0);
        assert!(item().remove_emptied("$.a.b").build().is_ok());
        assert!(item().remove_emptied("$.a[*][*].b").build().is_ok());
        let with_end = item().object_end("$.a.b", 0).remove_emptied("$.a.b");
        assert!(with_end.string("$.a.b", 0).build().is_ok());
        for path in ["$.a", "$.b", "$[*].b"] {
            let error = item().remove_emptied(path).build().unwrap_err();
            assert_eq!(error, RuleError::EmptiedOutsideItem(path.into()));
        }
        let document = Rules::builder().item("$", "$", 0).remove_emptied("$");
        let error = document.build().unwrap_err();
        assert_eq!(error, RuleError::RemovesDocument("$".into()));
        for conflicting in [
            item().remove_emptied("$.a.b").raw_value("$.a.b", 0),
            item().remove("$.a.b").remove_emptied("$.a.b"),
        ] {
            let error = conflicting.build().unwrap_err();
            assert_eq!(error, RuleError::ConflictingRules("$.a.b".into()));
        }
    }

    #[test]
    fn conflicting_rules_are_rejected() {
        let removed = Rules::builder().remove("$").build();
        assert_eq!(removed.unwrap_err(), RuleError::RemovesDocument("$".into()));
        assert!(Rules::builder().remove("$[\"a]\"]").build().is_ok());
        assert!(Rules::builder().remove("$.a[*]").build().is_ok());
        for conflicting in [
            Rules::builder().string("$.a", 0).string("$.a", 1),
            Rules::builder().raw_value("$.a", 0).raw_value("$.a", 1),
            Rules::builder().raw_value("$.a", 0).string("$.a", 1),
            Rules::builder().raw_value("$.a", 0).remove("$.a"),
            Rules::builder().item("$.a", "$.a", 0).remove("$.a"),
            Rules::builder().object_end("$.a", 0).object_end("$.a", 1),
            Rules::builder()
                .item("$.a", "$.a", 0)
                .item("$.a", "$.a.b", 1),
        ] {
            let error = conflicting.build().unwrap_err();
            assert_eq!(error, RuleError::ConflictingRules("$.a".into()));
        }
        for nested in [
            Rules::builder().raw_value("$.a", 0).string("$.a.b", 1),
            Rules::builder().remove("$.a[*]").raw_value("$.a", 0),
            Rules::builder().raw_value("$.a", 0).object_end("$.a", 1),
        ] {
            let error = nested.build().unwrap_err();
            assert_eq!(error, RuleError::RulesInsideRawValue("$.a".into()));
        }
        let inner = Rules::builder().raw_value("$.a", 0).build().unwrap();
        let inside = Rules::builder().embedded_json("$.b", inner).build();
        assert_eq!(inside.unwrap_err(), RuleError::EmbeddedRules("$.b".into()));
    }
}
