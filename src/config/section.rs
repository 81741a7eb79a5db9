//! Reads a section of the configuration key by key, and reports keys that nothing reads.
//!
//! serde stops at the first error. Here each key is read separately, and every problem is kept.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::value::{Dict, Num, Value};

use super::problem::{Problem, ProblemLog};
use super::units;

/// The state that all sections of a file share.
pub(super) struct Shared {
    problems: RefCell<ProblemLog>,
    /// Paths of all keys that were read, sections excluded.
    keys: RefCell<BTreeSet<String>>,
    /// Paths of keys that the environment set. Their values are strings, which are parsed as the type of the key.
    from_environment: BTreeSet<String>,
    /// The base of relative file names.
    directory: PathBuf,
}

impl Shared {
    pub(super) fn new(
        problems: ProblemLog,
        from_environment: BTreeSet<String>,
        directory: PathBuf,
    ) -> Self {
        Self {
            problems: RefCell::new(problems),
            keys: RefCell::default(),
            from_environment,
            directory,
        }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner().problems
    }

    pub(super) fn into_keys(self) -> BTreeSet<String> {
        self.keys.into_inner()
    }

    pub(super) fn problem(&self, key: &str, problem: impl Into<String>, cure: impl Into<String>) {
        self.problems.borrow_mut().add(key, problem, cure);
    }
}

/// A mapping of keys to values.
pub(super) struct Section<'a> {
    shared: &'a Shared,
    path: String,
    dict: Dict,
    /// The keys and subsections that were read.
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    pub(super) fn new(shared: &'a Shared, path: String, dict: Dict) -> Self {
        Self {
            shared,
            path,
            dict,
            known: RefCell::default(),
        }
    }

    /// Returns the full path of a key in this section.
    pub(super) fn key(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    pub(super) fn problem(&self, name: &str, problem: impl Into<String>, cure: impl Into<String>) {
        self.shared.problem(&self.key(name), problem, cure);
    }

    /// Reads a key that is not a section.
    fn value(&self, name: &'static str) -> Option<&Value> {
        self.shared.keys.borrow_mut().insert(self.key(name));
        self.subsection(name)
    }

    fn subsection(&self, name: &'static str) -> Option<&Value> {
        self.known.borrow_mut().push(name);
        self.dict
            .get(name)
            .filter(|value| !matches!(value, Value::Empty(..)))
    }

    pub(super) fn has(&self, name: &'static str) -> bool {
        self.value(name).is_some()
    }

    fn wrong_type<T>(&self, name: &str, wanted: &str, example: &str) -> Option<T> {
        self.problem(
            name,
            format!("is not {wanted}"),
            format!("write it as {example}"),
        );
        None
    }

    pub(super) fn text(&self, name: &'static str) -> Option<String> {
        match self.value(name)? {
            Value::String(_, text) => Some(text.clone()),
            _ => self.wrong_type(name, "a string", "\"text\""),
        }
    }

    pub(super) fn required_text(&self, name: &'static str, cure: &str) -> Option<String> {
        if !self.has(name) {
            self.problem(name, "is required", cure);
            return None;
        }
        let text = self.text(name)?;
        if text.is_empty() {
            self.problem(name, "is empty", cure);
            return None;
        }
        Some(text)
    }

    pub(super) fn path(&self, name: &'static str) -> Option<PathBuf> {
        self.text(name)
            .filter(|text| !text.is_empty())
            .map(|text| self.resolve(&text))
    }

    pub(super) fn required_path(&self, name: &'static str, cure: &str) -> Option<PathBuf> {
        self.required_text(name, cure)
            .map(|text| self.resolve(&text))
    }

    fn resolve(&self, text: &str) -> PathBuf {
        self.shared.directory.join(Path::new(text))
    }

    fn typed<T>(
        &self,
        name: &'static str,
        default: T,
        (wanted, example): (&str, &str),
        parse: impl Fn(&Value, bool) -> Option<T>,
    ) -> T {
        let Some(value) = self.value(name) else {
            return default;
        };
        let environment = self.shared.from_environment.contains(&self.key(name));
        match parse(value, environment) {
            Some(value) => value,
            None => self.wrong_type(name, wanted, example).unwrap_or(default),
        }
    }

    pub(super) fn flag(&self, name: &'static str, default: bool) -> bool {
        self.typed(
            name,
            default,
            ("true or false", "true"),
            |value, environment| match value {
                Value::Bool(_, flag) => Some(*flag),
                Value::String(_, text) if environment => text.parse().ok(),
                _ => None,
            },
        )
    }

    /// Reads a whole number of at least one.
    pub(super) fn count(&self, name: &'static str, default: usize) -> usize {
        let wanted = ("a whole number above 0", "200");
        self.typed(name, default, wanted, |value, environment| {
            let number = match value {
                Value::Num(_, number) => whole_number(*number),
                Value::String(_, text) if environment => text.trim().parse().ok(),
                _ => None,
            };
            number.filter(|number| (1..=COUNT_MAX).contains(number))
        })
    }

    pub(super) fn size(&self, name: &'static str, default: usize) -> usize {
        let wanted = ("a size of 1 byte to 1 GiB", "16MiB");
        self.typed(name, default, wanted, |value, _| {
            let bytes = match value {
                Value::Num(_, number) => whole_number(*number),
                Value::String(_, text) => units::size(text),
                _ => None,
            };
            bytes.filter(|bytes| (1..=SIZE_BYTES_MAX).contains(bytes))
        })
    }

    pub(super) fn duration(&self, name: &'static str, default: Duration) -> Duration {
        self.typed(
            name,
            default,
            ("a duration of at most 1 day", "30s"),
            |value, _| match value {
                Value::String(_, text) => {
                    units::duration(text).filter(|time| *time <= DURATION_MAX)
                }
                _ => None,
            },
        )
    }

    /// Reads a duration that is not zero.
    pub(super) fn nonzero_duration(&self, name: &'static str, default: Duration) -> Duration {
        let time = self.duration(name, default);
        if time.is_zero() {
            self.problem(name, "must not be zero", "write it as 30s");
        }
        time
    }

    /// Reads the lifetime of a certificate. A short one is for tests of the renewal.
    pub(super) fn lifetime(&self, name: &'static str, default: Duration) -> Duration {
        self.typed(
            name,
            default,
            ("a duration from 1 minute to 10 years", "90d"),
            |value, _| match value {
                Value::String(_, text) => units::duration(text)
                    .filter(|time| (LIFETIME_MIN..=LIFETIME_MAX).contains(time)),
                _ => None,
            },
        )
    }

    /// Reads one of several words. The first one is the default. YAML 1.1 reads `on` and `off` as booleans, so
    /// a file that another program wrote may contain booleans for them.
    pub(super) fn choice<T: Copy>(
        &self,
        name: &'static str,
        default: (&str, T),
        others: &[(&str, T)],
    ) -> T {
        let text = match self.value(name) {
            None => return default.1,
            Some(Value::String(_, text)) => text.as_str(),
            Some(Value::Bool(_, true)) => "on",
            Some(Value::Bool(_, false)) => "off",
            Some(_) => {
                return self
                    .wrong_type(name, "a string", default.0)
                    .unwrap_or(default.1);
            }
        };
        let known = || std::iter::once(&default).chain(others);
        if let Some((_, choice)) = known().find(|(word, _)| *word == text) {
            return *choice;
        }
        let words: Vec<&str> = known().map(|(word, _)| *word).collect();
        let cure = match words.as_slice() {
            [only] => format!("write {only}"),
            _ => format!("write one of {}", words.join(", ")),
        };
        self.problem(name, format!("{text:?} is not a valid value"), cure);
        default.1
    }

    pub(super) fn texts(&self, name: &'static str, default: &[&str]) -> Vec<String> {
        let default = || default.iter().map(|text| (*text).to_owned()).collect();
        match self.value(name) {
            None => default(),
            Some(Value::Array(_, items)) => {
                let texts: Option<Vec<String>> = items
                    .iter()
                    .map(|item| item.as_str().map(str::to_owned))
                    .collect();
                let wrong = || self.wrong_type(name, "a list of strings", "[a, b]");
                texts.or_else(wrong).unwrap_or_else(default)
            }
            Some(_) => self
                .wrong_type(name, "a list of strings", "[a, b]")
                .unwrap_or_else(default),
        }
    }

    /// Reads a mapping of strings to strings.
    pub(super) fn table(&self, name: &'static str) -> Option<BTreeMap<String, String>> {
        let Value::Dict(_, dict) = self.value(name)? else {
            return self.wrong_type(name, "a mapping", "{default: app-ns-1}");
        };
        let row = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        let rows: Option<BTreeMap<String, String>> = dict.iter().map(row).collect();
        rows.or_else(|| self.wrong_type(name, "a mapping of names", "{default: app-ns-1}"))
    }

    /// Returns a section within this one. An absent section is read as an empty one.
    pub(super) fn section(&self, name: &'static str) -> Self {
        self.optional_section(name)
            .unwrap_or_else(|| self.child(self.key(name), Dict::new()))
    }

    pub(super) fn optional_section(&self, name: &'static str) -> Option<Self> {
        match self.subsection(name)? {
            Value::Dict(_, dict) => Some(self.child(self.key(name), dict.clone())),
            _ => self.wrong_type(name, "a section", "key: value"),
        }
    }

    /// Returns sections whose names the user chooses.
    pub(super) fn named_sections(&self, name: &'static str) -> Vec<(String, Self)> {
        let dict = match self.subsection(name) {
            Some(Value::Dict(_, dict)) => dict.clone(),
            Some(_) => self
                .wrong_type(name, "a section", "name: {…}")
                .unwrap_or_default(),
            None => Dict::new(),
        };
        let mut sections = Vec::new();
        for (child, value) in dict {
            let path = format!("{}.{child}", self.key(name));
            match value {
                Value::Dict(_, dict) => sections.push((child, self.child(path, dict))),
                _ => self
                    .shared
                    .problem(&path, "is not a section", "write it as key: value"),
            }
        }
        sections
    }

    pub(super) fn list_of_sections(&self, name: &'static str) -> Vec<Self> {
        self.sections_of_list(name, None)
    }

    /// Reads a list of sections in which a string stands for a section with only this key.
    pub(super) fn list_of_sections_or(&self, name: &'static str, key: &str) -> Vec<Self> {
        self.sections_of_list(name, Some(key))
    }

    fn sections_of_list(&self, name: &'static str, only_key: Option<&str>) -> Vec<Self> {
        let items = match self.subsection(name) {
            Some(Value::Array(_, items)) => items.clone(),
            Some(_) => self
                .wrong_type(name, "a list", "- group: k8s.starter.org")
                .unwrap_or_default(),
            None => Vec::new(),
        };
        let mut sections = Vec::new();
        for (at, value) in items.into_iter().enumerate() {
            let path = format!("{}[{at}]", self.key(name));
            match (value, only_key) {
                (Value::Dict(_, dict), _) => sections.push(self.child(path, dict)),
                (text @ Value::String(..), Some(key)) => {
                    let dict = Dict::from([(key.to_owned(), text)]);
                    sections.push(self.child(path, dict));
                }
                _ => self
                    .shared
                    .problem(&path, "is not a section", "write it as key: value"),
            }
        }
        sections
    }

    fn child(&self, path: String, dict: Dict) -> Self {
        Self::new(self.shared, path, dict)
    }

    /// Reports keys that were not read. Call it after all keys of the section were read.
    pub(super) fn finish(self) {
        let known = self.known.borrow();
        for name in self
            .dict
            .keys()
            .filter(|name| !known.contains(&name.as_str()))
        {
            let key = self.key(name);
            if let Some((_, new)) = RENAMED.iter().find(|(old, _)| *old == key) {
                let problem = format!("was renamed to {new}");
                self.problem(name, problem, format!("replace it with {new}"));
                continue;
            }
            let nearest = known.iter().min_by_key(|known| distance(known, name));
            let cure = match nearest.filter(|known| distance(known, name) <= name.len() / 2) {
                Some(known) => format!("remove it, or replace it with {known}"),
                None => format!("remove it; known keys here: {}", listed(&known)),
            };
            self.problem(name, "is not a known key", cure);
        }
    }
}

/// Keys of earlier versions and their present names.
const RENAMED: [(&str, &str); 7] = [
    ("listen.connectionsMax", "listen.maxConnections"),
    ("limits.watchesMax", "limits.maxWatches"),
    ("limits.requestsInFlightMax", "limits.maxRequestsInFlight"),
    ("limits.bodyMax", "limits.maxRequestBodySize"),
    ("limits.heldBytesMax", "limits.maxBufferedSize"),
    ("limits.watchBufferMax", "limits.watchBufferSize"),
    ("limits.watchStallMax", "limits.watchWriteTimeout"),
];

fn listed(names: &[&str]) -> String {
    let unique: BTreeSet<&str> = names.iter().copied().collect();
    unique.into_iter().collect::<Vec<_>>().join(", ")
}

/// The largest accepted count, size and duration. Larger values are likely typing errors.
const COUNT_MAX: usize = 10_000_000;
const SIZE_BYTES_MAX: usize = 1 << 30;
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);
const LIFETIME_MIN: Duration = Duration::from_secs(60);
const LIFETIME_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

fn whole_number(number: Num) -> Option<usize> {
    number
        .to_u128()
        .or_else(|| u128::try_from(number.to_i128()?).ok())?
        .try_into()
        .ok()
}

/// Returns the edit distance of two words: letters to add, remove or change. Ignores case.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((y, diagonal), above) in b.chars().zip(row.iter()).zip(row.iter().skip(1)) {
            let left = next.last().copied().unwrap_or(0);
            next.push(
                (diagonal + usize::from(x != y))
                    .min(above + 1)
                    .min(left + 1),
            );
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
