//! The oracle: rewrites a tree in memory, one value at a time. Its result is the expected output.

use json_rewrite::{Edit, Handler, ItemDecision, Limits, Tag};

use crate::plan::{KEYS, Path, Plan, Step};
use crate::renamer::{ADDED, ADDED_DEFERRED, DEFERRED, Renamer};
use crate::tree::{Text, Tree};

/// Error: the rewriter must return an error.
#[derive(Debug)]
pub struct Rejected;

/// Returns the expected documents.
pub fn expected(plan: &Plan, limits: Limits, documents: &[Tree]) -> Result<Vec<Tree>, Rejected> {
    if documents.iter().any(|tree| tree.depth() > limits.depth_max) {
        return Err(Rejected);
    }
    let mut oracle = Oracle {
        plan,
        limits,
        handler: Renamer::default(),
        item: None,
        embedded: None,
    };
    let mut left = Vec::new();
    for document in documents {
        left.extend(oracle.visit(document, &mut Vec::new())?);
    }
    Ok(left)
}

struct Oracle<'a> {
    plan: &'a Plan,
    limits: Limits,
    handler: Renamer,
    /// The decision about the current item. The outer `None` means no item, the inner `None` no decision yet.
    item: Option<Option<ItemDecision>>,
    /// Set inside embedded JSON: whether it is still being rewritten.
    embedded: Option<Walk>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Walk {
    Active,
    Ended,
}

impl Oracle<'_> {
    /// Returns the expected value, or `None` if it is removed.
    fn visit(&mut self, tree: &Tree, path: &mut Path) -> Result<Option<Tree>, Rejected> {
        let plan = self.plan;
        let is_item = plan.item.as_ref().is_some_and(|(item, _)| item == path);
        if is_item {
            self.item = Some(None);
            self.handler.begin_item(0);
        }
        let value = plan.raw_values.iter().find(|(value, _)| value == path);
        if self.embedded.is_some()
            && tree.depth() > 0
            && path.len() >= self.limits.embedded_depth_max
        {
            self.embedded = Some(Walk::Ended);
        }
        let mut left = match tree {
            _ if self.item == Some(Some(ItemDecision::Drop)) => None,
            _ if self.embedded == Some(Walk::Ended) => Some(tree.clone()),
            tree if let Some((_, tag)) = value => self.value(*tag, tree, is_item)?,
            Tree::Text(text) => self.string(text, tree, path, is_item)?,
            Tree::Json(inner) => match plan.embedded.iter().find(|(rule, _)| rule == path) {
                Some((_, strings)) => Some(Tree::Json(Box::new(self.inner(inner, strings)?))),
                None => self.string(&inner.embedded(), tree, path, is_item)?,
            },
            Tree::Scalar(_) => Some(tree.clone()),
            Tree::Array(items) => {
                path.push(Step::Each);
                let mut left = Vec::new();
                for item in items {
                    left.extend(self.visit(item, path)?);
                }
                path.pop();
                Some(Tree::Array(left))
            }
            Tree::Object(members) => {
                let mut left = Vec::new();
                for (key, value) in members {
                    self.key(key, path)?;
                    path.push(known(&key.value));
                    left.extend(self.visit(value, path)?.map(|value| (key.clone(), value)));
                    path.pop();
                }
                let is_emptied = left.is_empty() && !members.is_empty();
                if is_emptied && plan.emptied.contains(path) {
                    self.emptied()?
                } else {
                    left.extend(self.added(path));
                    Some(Tree::Object(left))
                }
            }
        };
        if plan.removed.contains(path) {
            left = None;
        }
        if plan.item.as_ref().is_some_and(|(_, after)| after == path) || is_item {
            self.decide_item(is_item)?;
        }
        if is_item && self.item.take() == Some(Some(ItemDecision::Drop)) {
            left = None;
        }
        Ok(left)
    }

    /// Returns the expected string. An item can be removed only by its decision.
    fn string(
        &mut self,
        text: &Text,
        tree: &Tree,
        path: &Path,
        is_item: bool,
    ) -> Result<Option<Tree>, Rejected> {
        let rule = self.plan.strings.iter().find(|(rule, _)| rule == path);
        let Some((_, tag)) = rule else {
            return Ok(Some(tree.clone()));
        };
        if self.ends_walk(text, self.limits.string_bytes_max)? {
            return Ok(Some(tree.clone()));
        }
        let value = &text.value;
        let mut edit = self.handler.string(*tag, value);
        // The time of the decision does not matter, because it depends only on the string's value.
        if matches!(edit, Edit::Defer) {
            edit = self.handler.resolve_deferred(*tag, value);
        }
        match edit {
            Edit::Keep => Ok(Some(tree.clone())),
            Edit::Replace(with) => Ok(Some(Tree::Text(Text::escaped_like_go(&with)))),
            Edit::Remove if !is_item => Ok(None),
            _ => Err(Rejected),
        }
    }

    /// Checks the length of a key, in objects in which keys are compared.
    fn key(&mut self, key: &Text, path: &Path) -> Result<(), Rejected> {
        let mut below = self
            .plan
            .paths()
            .filter_map(|rule| rule.strip_prefix(&**path));
        let is_compared = if self.embedded.is_some() {
            path.is_empty() || below.next().is_some()
        } else {
            let gets_members = self.plan.object_ends.iter().any(|(end, _)| end == path);
            gets_members || below.any(|rest| matches!(rest, [Step::Key(_), ..]))
        };
        if is_compared {
            self.ends_walk(key, self.limits.key_bytes_max)?;
        }
        Ok(())
    }

    /// Returns whether a text of embedded JSON ends the walk because it is too long. Outside embedded JSON, a text that is
    /// too long is rejected.
    fn ends_walk(&mut self, text: &Text, bytes_max: usize) -> Result<bool, Rejected> {
        let Some(walk) = &mut self.embedded else {
            let is_within = text.raw.len() <= bytes_max;
            return is_within.then_some(false).ok_or(Rejected);
        };
        let written = Text::plain(std::str::from_utf8(&text.raw).unwrap());
        if written.raw.len() > self.limits.embedded_string_bytes_max {
            *walk = Walk::Ended;
        }
        Ok(*walk == Walk::Ended)
    }

    fn value(&mut self, tag: Tag, tree: &Tree, is_item: bool) -> Result<Option<Tree>, Rejected> {
        let mut written = Vec::new();
        tree.write("", &mut written);
        let mut edit = self.handler.raw_value(tag, &written);
        if matches!(edit, Edit::Defer) {
            edit = self.handler.resolve_deferred_raw(tag, &written);
        }
        match edit {
            Edit::Keep => Ok(Some(tree.clone())),
            Edit::Replace(with) => Ok(Some(Tree::Scalar(with.into_owned()))),
            Edit::Remove if !is_item => Ok(None),
            Edit::RemoveParts(parts) => {
                for part in parts.iter().rev() {
                    written.drain(part.clone());
                }
                let left = String::from_utf8(written).map_err(|_error| Rejected)?;
                Ok(Some(Tree::Scalar(left)))
            }
            _ => Err(Rejected),
        }
    }

    /// Returns what is left of an object whose members were all removed: nothing. This is rejected if its item was
    /// kept before.
    fn emptied(&self) -> Result<Option<Tree>, Rejected> {
        match self.item {
            Some(Some(ItemDecision::Keep)) => Err(Rejected),
            _ => Ok(None),
        }
    }

    /// Returns the member that is added to an object.
    fn added(&self, path: &Path) -> Option<(Text, Tree)> {
        let (_, tag) = self.plan.object_ends.iter().find(|(end, _)| end == path)?;
        let (key, value) = if *tag == DEFERRED {
            ADDED_DEFERRED
        } else {
            ADDED
        };
        Some((Text::plain(key), Tree::Scalar(value.to_owned())))
    }

    fn inner(&mut self, tree: &Tree, strings: &[(Path, Tag)]) -> Result<Tree, Rejected> {
        let plan = Plan {
            strings: strings.to_vec(),
            ..Plan::default()
        };
        let mut inner = Oracle {
            plan: &plan,
            limits: self.limits,
            handler: self.handler.clone(),
            item: None,
            embedded: Some(Walk::Active),
        };
        let left = inner.visit(tree, &mut Vec::new())?;
        self.handler = inner.handler;
        left.ok_or(Rejected)
    }

    fn decide_item(&mut self, is_end: bool) -> Result<(), Rejected> {
        match self.item {
            Some(None) => self.item = Some(Some(self.handler.decide_item(0))),
            Some(Some(ItemDecision::Keep))
                if !is_end && self.handler.decide_item(0) == ItemDecision::Drop =>
            {
                return Err(Rejected);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Returns the step of a key, or a step that no path has.
fn known(key: &[u8]) -> Step {
    let known = KEYS.iter().find(|known| known.as_bytes() == key);
    Step::Key(known.map_or("unknown", |known| *known))
}
