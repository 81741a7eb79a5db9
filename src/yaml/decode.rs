//! What nodes hold: scalars with their meaning, mappings with their members once keys were merged and
//! the last of the same was taken (`go.yaml.in/yaml/v2`, `decode.go`).

use std::collections::BTreeMap;

use super::document::{Child, Kind, Node};
use super::scalar::{self, Meaning};
use super::{Error, number};

const MERGE: &str = "<<";
const MERGE_TAG: &str = "tag:yaml.org,2002:merge";

/// Steps that may be made at most before aliases are looked at, and the share of them that aliases may
/// cause, in percent: from one to the other as documents grow (`decode.go`, `allowedAliasRatio`).
const ALIASED_STEPS_FREE: u64 = 100;
const STEPS_FREE: u64 = 1000;
const STEPS_LOW: u64 = 400_000;
const STEPS_HIGH: u64 = 4_000_000;

/// Walks a document, and counts how much of the way is due to aliases.
pub(super) struct Decoder {
    /// Nodes above, those above an alias among them.
    depth: usize,
    depth_max: usize,
    steps: u64,
    aliased_steps: u64,
    /// Aliases above.
    aliases: usize,
}

/// What a node is.
pub(super) enum Value<'a> {
    Scalar(Meaning<'a>),
    Sequence(&'a [Child]),
    /// By key, each once.
    Mapping(BTreeMap<String, &'a Child>),
}

/// A key, which has a type until it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Key<'a> {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
}

impl Key<'_> {
    /// As a key of JSON (`sigs.k8s.io/yaml`, `convertToJSONableObject`).
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

    /// Goes into a node.
    pub(super) fn enter(&mut self, child: &Child) -> Result<(), Error> {
        // A scalar is no level of its own.
        if self.depth > self.depth_max {
            return Err(Error::TooDeep {
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

    /// Leaves it again, unless the walk has failed.
    pub(super) fn leave(&mut self, child: &Child) {
        self.depth -= 1;
        self.aliases -= usize::from(child.is_alias);
    }

    fn step(&mut self) -> Result<(), Error> {
        self.steps += 1;
        self.aliased_steps += u64::from(self.aliases > 0);
        let beyond = self.steps.clamp(STEPS_LOW, STEPS_HIGH) - STEPS_LOW;
        let percent = 99 - 89 * beyond / (STEPS_HIGH - STEPS_LOW);
        if self.aliased_steps > ALIASED_STEPS_FREE
            && self.steps > STEPS_FREE
            && self.aliased_steps * 100 > self.steps * percent
        {
            return Err(Error::refused("yaml: document contains excessive aliasing"));
        }
        Ok(())
    }

    pub(super) fn value<'a>(&mut self, node: &'a Node) -> Result<Value<'a>, Error> {
        match &node.kind {
            Kind::Scalar(scalar) => scalar::meaning(scalar).map(Value::Scalar),
            Kind::Sequence(items) => Ok(Value::Sequence(items)),
            Kind::Mapping(members) => {
                let mut keys = BTreeMap::new();
                self.members(members, &mut |_, key, value| {
                    // Of keys that differ in their type alone, kube-apiserver takes one or the other.
                    keys.insert(key.text(), value);
                    Ok(())
                })?;
                Ok(Value::Mapping(keys))
            }
        }
    }

    /// Gives each member in the order in which they are set, those of merged mappings among them.
    pub(super) fn members<'a>(
        &mut self,
        members: &'a [(Child, Child)],
        set: &mut dyn FnMut(&mut Self, &Key<'a>, &'a Child) -> Result<(), Error>,
    ) -> Result<(), Error> {
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
        set: &mut dyn FnMut(&mut Self, &Key<'a>, &'a Child) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mappings = match &value.node.kind {
            Kind::Sequence(mappings) if !value.is_alias => mappings.as_slice(),
            _ => std::slice::from_ref(value),
        };
        // Those that come first count more.
        for child in mappings.iter().rev() {
            let Kind::Mapping(members) = &child.node.kind else {
                return Err(Error::refused(
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
    let Kind::Scalar(scalar) = &key.node.kind else {
        return false;
    };
    !key.is_alias && scalar.value == MERGE && (scalar.is_plain || scalar.tag == MERGE_TAG)
}

fn key_of(node: &Node) -> Result<Key<'_>, Error> {
    let Kind::Scalar(scalar) = &node.kind else {
        return Err(Error::refused("yaml: invalid map key"));
    };
    match scalar::meaning(scalar)? {
        Meaning::Bool(bool) => Ok(Key::Bool(bool)),
        Meaning::Int(int) => Ok(Key::Int(int)),
        Meaning::Float(float) => Ok(Key::Float(float)),
        Meaning::Text(text) | Meaning::Timestamp(text) => Ok(Key::Text(text)),
        Meaning::Null | Meaning::Uint(_) => Err(Error::Refused(format!(
            "unsupported map key: {:?}",
            scalar.value
        ))),
    }
}
