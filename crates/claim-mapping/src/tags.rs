//! Tags of rules, numbered in the order of their first use.

use json_rewrite::Tag;

/// The meanings of the tags in one or several rule sets. A tag is the index of its meaning.
#[derive(Clone, Debug)]
pub(crate) struct Tags<M>(Vec<M>);

impl<M: Copy + Eq> Tags<M> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Returns the tag of a meaning, which is always the same.
    pub(crate) fn tag(&mut self, meaning: M) -> Tag {
        let known = self.0.iter().position(|known| *known == meaning);
        let index = known.unwrap_or(self.0.len());
        if known.is_none() {
            self.0.push(meaning);
        }
        // A tag beyond the type's range has no meaning, and handlers reject such tags.
        Tag::try_from(index).unwrap_or(Tag::MAX)
    }

    /// Returns the meaning of a tag, or `None` if this table did not assign the tag.
    pub(crate) fn meaning(&self, tag: Tag) -> Option<M> {
        self.0.get(usize::from(tag)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_meaning_has_one_tag() {
        let mut tags = Tags::new();
        let [a, b, again] = ["a", "b", "a"].map(|meaning| tags.tag(meaning));
        assert_eq!(a, again);
        assert_ne!(a, b);
        assert_eq!(tags.meaning(b), Some("b"));
        assert_eq!(tags.meaning(7), None);
    }
}
