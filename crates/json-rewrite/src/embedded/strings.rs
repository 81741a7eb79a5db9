//! The strings that the walk found in embedded JSON.

use std::ops::Range;

use crate::Tag;

/// The strings that rules select, in order.
#[derive(Debug, Default)]
pub(crate) struct EmbeddedStrings {
    pub(crate) all: Vec<EmbeddedString>,
    /// The unescaped values of all strings, joined.
    pub(crate) values: Vec<u8>,
}

impl EmbeddedStrings {
    pub(super) fn add(&mut self, tag: Tag, from: u64, to: u64, value: &[u8]) {
        let begin = self.values.len();
        self.values.extend_from_slice(value);
        self.all.push(EmbeddedString {
            tag,
            from,
            to,
            value: begin..self.values.len(),
        });
    }
}

#[derive(Clone, Debug)]
pub(crate) struct EmbeddedString {
    pub(crate) tag: Tag,
    /// The offset of its content in the stream.
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// The range of its value in [`EmbeddedStrings::values`].
    pub(crate) value: Range<usize>,
}
