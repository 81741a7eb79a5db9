//! The rules for each API group, compiled once.

use std::collections::BTreeMap;

use claim_mapping::ReferencePaths;
use json_rewrite::RuleError;

/// The rules of one kind for all API groups. A group has separate rules if it declares references to Secrets.
pub(super) struct RulesByGroup<T> {
    own: BTreeMap<String, T>,
    others: T,
}

impl<T> RulesByGroup<T> {
    /// Compiles the rules for these references, by API group, and for all other groups.
    ///
    /// # Errors
    /// The path of a rule cannot be compiled.
    pub(super) fn compile(
        references: &BTreeMap<String, ReferencePaths>,
        compile: impl Fn(&ReferencePaths) -> Result<T, RuleError>,
    ) -> Result<Self, RuleError> {
        let own = references.iter().map(|(group, references)| {
            let rules = compile(references)?;
            Ok((group.clone(), rules))
        });
        Ok(Self {
            own: own.collect::<Result<_, RuleError>>()?,
            others: compile(&ReferencePaths::default())?,
        })
    }

    /// Returns the rules for the objects of an API group.
    pub(super) fn of(&self, group: &str) -> &T {
        self.own.get(group).unwrap_or(&self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_groups_with_references_have_own_rules() {
        let path = "spec.passwordSecretRef".parse().unwrap();
        let references = ReferencePaths::try_from(vec![path]).unwrap();
        let declared = BTreeMap::from([("a.org".to_owned(), references.clone())]);
        let rules = RulesByGroup::compile(&declared, |paths| Ok(paths.clone())).unwrap();
        assert_eq!(*rules.of("a.org"), references);
        for other in ["", "a", "b.org"] {
            assert_eq!(*rules.of(other), ReferencePaths::default(), "{other}");
        }
    }
}
