//! Decodes nodes: resolves scalars, applies merge keys, and keeps the last of duplicate keys
//! (`go.yaml.in/yaml/v2`, `decode.go`).

use std::collections::BTreeMap;

use super::document::{Child, Node, NodeKind};
use super::error::YamlError;
use super::number;
use super::scalar::{self, ScalarValue};

const MERGE: &str = "<<";
const MERGE_TAG: &str = "tag:yaml.org,2002:merge";

/// Limits for aliases (`decode.go`, `allowedAliasRatio`). Each visited node is a step. The first
/// `ALIASED_STEPS_FREE` steps are unlimited. Above them, aliases may cause 99 % of the steps up to `STEPS_LOW`,
/// falling to 10 % at `STEPS_HIGH`.
const ALIASED_STEPS_FREE: u64 = 100;
const STEPS_FREE: u64 = 1000;
const STEPS_LOW: u64 = 400_000;
const STEPS_HIGH: u64 = 4_000_000;

/// Walks a document and limits its depth and the share of steps that aliases cause.
pub(super) struct Decoder {
    /// Number of nodes above the current one, including those above an alias.
    depth: usize,
    depth_max: usize,
    steps: u64,
    aliased_steps: u64,
    /// Number of aliases above the current node.
    aliases: usize,
}

/// A decoded node.
pub(super) enum Value<'a> {
    Scalar(ScalarValue<'a>),
    Sequence(&'a [Child]),
    /// The values by key, without duplicates.
    Mapping(BTreeMap<String, &'a Child>),
}

/// A key with its type. JSON has only text keys.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Key<'a> {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
}

impl Key<'_> {
    /// Returns the key of the JSON object (`sigs.k8s.io/yaml`, `convertToJSONableObject`).
    pub(super) fn text(&self) -> String {
        match self {
            Self::Bool(bool) => bool.to_string(),
            Self::Int(int) => int.to_string(),
            Self::Float(float) => number::general_32(*float),
            Self::Text(text) => (*text).to_owned(),
        }
    }
}

impl Decoder {
    pub(super) fn new(depth_max: usize) -> Self {
        Self {
            depth: 0,
            depth_max,
            steps: 0,
            aliased_steps: 0,
            aliases: 0,
        }
    }

    /// Enters a node.
    pub(super) fn enter(&mut self, child: &Child) -> Result<(), YamlError> {
        // Not `>=`: a scalar inside the deepest collection is not a level of its own.
        if self.depth > self.depth_max {
            return Err(YamlError::TooDeep {
                max: self.depth_max,
            });
        }
        self.depth += 1;
        self.step()?;
        if child.is_alias {
            self.aliases += 1;
            self.step()?;
        }
        Ok(())
    }

    /// Leaves a node. Not needed after an error.
    pub(super) fn leave(&mut self, child: &Child) {
        self.depth -= 1;
        self.aliases -= usize::from(child.is_alias);
    }

    fn step(&mut self) -> Result<(), YamlError> {
        self.steps += 1;
        self.aliased_steps += u64::from(self.aliases > 0);
        let beyond = self.steps.clamp(STEPS_LOW, STEPS_HIGH) - STEPS_LOW;
        let percent = 99 - 89 * beyond / (STEPS_HIGH - STEPS_LOW);
        if self.aliased_steps > ALIASED_STEPS_FREE
            && self.steps > STEPS_FREE
            && self.aliased_steps * 100 > self.steps * percent
        {
            return Err(YamlError::invalid(
                "yaml: document contains excessive aliasing",
            ));
        }
        Ok(())
    }

    pub(super) fn value<'a>(&mut self, node: &'a Node) -> Result<Value<'a>, YamlError> {
        match &node.kind {
            NodeKind::Scalar(scalar) => scalar::resolve(scalar).map(Value::Scalar),
            NodeKind::Sequence(items) => Ok(Value::Sequence(items)),
            NodeKind::Mapping(members) => {
                let mut keys = BTreeMap::new();
                self.members(members, &mut |_, key, value| {
                    // If keys differ only in their type, kube-apiserver keeps a random one. This module keeps
                    // the last one.
                    keys.insert(key.text(), value);
                    Ok(())
                })?;
                Ok(Value::Mapping(keys))
            }
        }
    }

    /// Calls `set` for each member in the order of assignment, including the members of merged
    /// mappings.
    pub(super) fn members<'a>(
        &mut self,
        members: &'a [(Child, Child)],
        set: &mut dyn FnMut(&mut Self, &Key<'a>, &'a Child) -> Result<(), YamlError>,
    ) -> Result<(), YamlError> {
        for (key, value) in members {
            if is_merge(key) {
                self.merge(value, set)?;
            } else {
                self.enter(key)?;
                self.leave(key);
                set(self, &key_of(&key.node)?, value)?;
            }
        }
        Ok(())
    }

    fn merge<'a>(
        &mut self,
        value: &'a Child,
        set: &mut dyn FnMut(&mut Self, &Key<'a>, &'a Child) -> Result<(), YamlError>,
    ) -> Result<(), YamlError> {
        let mappings = match &value.node.kind {
            NodeKind::Sequence(mappings) if !value.is_alias => mappings.as_slice(),
            _ => std::slice::from_ref(value),
        };
        // Earlier mappings take precedence, so they are set last.
        for child in mappings.iter().rev() {
            let NodeKind::Mapping(members) = &child.node.kind else {
                return Err(YamlError::invalid(
                    "yaml: map merge requires map or sequence of maps as the value",
                ));
            };
            self.enter(child)?;
            self.members(members, set)?;
            self.leave(child);
        }
        Ok(())
    }
}

fn is_merge(key: &Child) -> bool {
    let NodeKind::Scalar(scalar) = &key.node.kind else {
        return false;
    };
    !key.is_alias && scalar.value == MERGE && (scalar.is_plain || scalar.tag == MERGE_TAG)
}

fn key_of(node: &Node) -> Result<Key<'_>, YamlError> {
    let NodeKind::Scalar(scalar) = &node.kind else {
        return Err(YamlError::invalid("yaml: invalid map key"));
    };
    match scalar::resolve(scalar)? {
        ScalarValue::Bool(bool) => Ok(Key::Bool(bool)),
        ScalarValue::Int(int) => Ok(Key::Int(int)),
        ScalarValue::Float(float) => Ok(Key::Float(float)),
        ScalarValue::Text(text) | ScalarValue::Timestamp(text) => Ok(Key::Text(text)),
        ScalarValue::Null | ScalarValue::Uint(_) => Err(YamlError::Invalid(format!(
            "unsupported map key: {:?}",
            scalar.value
        ))),
    }
}
