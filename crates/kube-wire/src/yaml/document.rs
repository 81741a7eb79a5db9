//! The tree of a YAML document, before scalars are resolved and merge keys are applied.

use std::rc::Rc;

/// A node at one position of the document.
pub(super) struct Child {
    pub(super) node: Rc<Node>,
    /// The node is here through an alias.
    pub(super) is_alias: bool,
    /// The line in the document, counted from 1.
    pub(super) line: u64,
}

pub(super) struct Node {
    pub(super) kind: NodeKind,
}

pub(super) enum NodeKind {
    Scalar(Scalar),
    Sequence(Vec<Child>),
    Mapping(Vec<(Child, Child)>),
}

pub(super) struct Scalar {
    pub(super) value: String,
    /// The full tag, or empty.
    pub(super) tag: String,
    /// The scalar has no quotes, so its type follows from its text.
    pub(super) is_plain: bool,
}
