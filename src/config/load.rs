//! From a file and the environment to one tree of values.

use std::collections::BTreeSet;
use std::path::Path;

use figment::providers::{Format, Json, Toml};
use figment::value::{Dict, Tag, Value};
use figment::{Figment, Profile};
use serde::de::DeserializeOwned;

use super::problem::{Found, Problem, Problems};

/// Prefix of the environment's keys.
const PREFIX: &str = "CLAIMGATE_";

/// What starts like a key and is none: the path of the file, and what Kubernetes injects for a
/// Service of this name.
const NOT_CONFIGURATION: [&str; 4] = [
    "CLAIMGATE_CONFIG",
    "CLAIMGATE_SERVICE_",
    "CLAIMGATE_PORT",
    "CLAIMGATE_COMMIT",
];

/// figment's own YAML format stands on a crate that is no longer maintained.
struct Yaml;

impl Format for Yaml {
    type Error = serde_saphyr::Error;
    const NAME: &'static str = "YAML";

    fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, Self::Error> {
        serde_saphyr::from_str(text)
    }
}

/// The tree, the keys in it that the environment set, and the file's text for line numbers.
pub(super) struct Loaded {
    pub(super) dict: Dict,
    pub(super) from_environment: BTreeSet<String>,
    pub(super) found: Found,
}

pub(super) fn load(
    path: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, Problems> {
    let problem = |problem: String, cure: &str| {
        let file = path.to_owned();
        Problems(vec![Problem {
            file,
            line: None,
            key: String::new(),
            problem,
            cure: cure.into(),
        }])
    };
    let text = std::fs::read_to_string(path).map_err(|error| {
        problem(
            format!("cannot be read: {error}"),
            "name an existing file with --config FILE",
        )
    })?;
    let extension = path.extension().and_then(|extension| extension.to_str());
    let figment = match extension {
        Some("yaml" | "yml") => Figment::from(Yaml::string(&text)),
        Some("toml") => Figment::from(Toml::string(&text)),
        Some("json") => Figment::from(Json::string(&text)),
        _ => {
            let cure = "call it .yaml, .toml or .json";
            return Err(problem(
                "has an extension that names no format".to_owned(),
                cure,
            ));
        }
    };
    let mut dict: Dict = if text.trim().is_empty() {
        Dict::new()
    } else {
        let parsed: Result<Dict, figment::Error> = figment.select(Profile::Default).extract();
        parsed.map_err(|error| {
            let cure = "mend the syntax; config/claimgate.yaml is a complete example";
            let message = error.to_string();
            let mut problems = problem(format!("cannot be parsed: {message}"), cure);
            for one in &mut problems.0 {
                one.line = line_in(&message);
            }
            problems
        })?
    };
    let mut found = Found::new(path, text);
    let from_environment = merge(&mut dict, environment, &mut found);
    Ok(Loaded {
        dict,
        from_environment,
        found,
    })
}

/// Parsers say `line 3` in their own words.
fn line_in(message: &str) -> Option<usize> {
    let rest = message.split("line ").nth(1)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn merge(
    dict: &mut Dict,
    environment: impl IntoIterator<Item = (String, String)>,
    found: &mut Found,
) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if NOT_CONFIGURATION
            .iter()
            .any(|other| name.starts_with(other))
        {
            continue;
        }
        let levels: Vec<String> = rest.split("__").map(camel_case).collect();
        if insert(dict, &levels, value) {
            keys.insert(levels.join("."));
        } else {
            let cure = "levels are separated by two underscores, words by one";
            found.add(
                &levels.join("."),
                format!("{name} sets a key below one that has none"),
                cure,
            );
        }
    }
    keys
}

/// `REQUESTS_IN_FLIGHT_MAX` is `requestsInFlightMax`.
fn camel_case(words: &str) -> String {
    let mut key = String::new();
    for (at, word) in words.to_ascii_lowercase().split('_').enumerate() {
        match word.chars().next() {
            Some(first) if at > 0 => {
                key.push(first.to_ascii_uppercase());
                key.push_str(word.get(first.len_utf8()..).unwrap_or_default());
            }
            _ => key.push_str(word),
        }
    }
    key
}

fn insert(dict: &mut Dict, levels: &[String], value: String) -> bool {
    let Some((first, rest)) = levels.split_first() else {
        return false;
    };
    if rest.is_empty() {
        dict.insert(first.clone(), Value::String(Tag::Default, value));
        return true;
    }
    let below = dict
        .entry(first.clone())
        .or_insert_with(|| Value::Dict(Tag::Default, Dict::new()));
    match below {
        Value::Dict(_, below) => insert(below, rest, value),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_levels_are_told_apart() {
        assert_eq!(camel_case("REQUESTS_IN_FLIGHT_MAX"), "requestsInFlightMax");
        assert_eq!(camel_case("LIMITS"), "limits");
    }
}
