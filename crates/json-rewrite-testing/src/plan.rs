//! Rules before they are compiled, and their paths.

use json_rewrite::{Rules, RulesBuilder, Tag};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    Key(&'static str),
    Each,
}

pub type Path = Vec<Step>;

/// The keys in generated paths.
pub const KEYS: [&str; 4] = ["a", "b", "ns", "k\"]\\é"];

/// Rules, before they are compiled.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub strings: Vec<(Path, Tag)>,
    pub removed: Vec<Path>,
    pub raw_values: Vec<(Path, Tag)>,
    /// Objects to which a member is added.
    pub object_ends: Vec<(Path, Tag)>,
    /// Objects that are removed if rules have removed all of their members.
    pub emptied: Vec<Path>,
    pub embedded: Vec<(Path, Vec<(Path, Tag)>)>,
    /// The path of items, and the path of their deciding value.
    pub item: Option<(Path, Path)>,
}

impl Plan {
    /// Returns the paths of all rules.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        let tagged = self
            .strings
            .iter()
            .chain(&self.raw_values)
            .chain(&self.object_ends);
        let embedded = self.embedded.iter().map(|(path, _)| path);
        let items = self.item.iter().flat_map(|(item, after)| [item, after]);
        let tagged = tagged.map(|(path, _)| path);
        let removed = self.removed.iter().chain(&self.emptied);
        tagged.chain(removed).chain(embedded).chain(items)
    }

    /// Returns `None` if the rules conflict.
    pub fn compile(&self) -> Option<Rules> {
        let strings = |rules: RulesBuilder, strings: &[(Path, Tag)]| {
            let add =
                |rules: RulesBuilder, (path, tag): &(Path, Tag)| rules.string(&text(path), *tag);
            strings.iter().fold(rules, add)
        };
        let mut rules = strings(Rules::builder(), &self.strings);
        for path in &self.removed {
            rules = rules.remove(&text(path));
        }
        for (path, tag) in &self.raw_values {
            rules = rules.raw_value(&text(path), *tag);
        }
        for (path, tag) in &self.object_ends {
            rules = rules.object_end(&text(path), *tag);
        }
        for path in &self.emptied {
            rules = rules.remove_emptied(&text(path));
        }
        for (path, inner) in &self.embedded {
            rules =
                rules.embedded_json(&text(path), strings(Rules::builder(), inner).build().ok()?);
        }
        if let Some((item, decided_after)) = &self.item {
            rules = rules.item(&text(item), &text(decided_after), 0);
        }
        rules.build().ok()
    }
}

fn text(path: &[Step]) -> String {
    path.iter().fold("$".to_owned(), |text, step| match step {
        Step::Key(key) => format!("{text}[{}]", serde_json::to_string(key).unwrap()),
        Step::Each => format!("{text}[*]"),
    })
}
