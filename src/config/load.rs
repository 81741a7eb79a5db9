//! Merges a file and the environment into one tree of values.

use std::collections::BTreeSet;
use std::path::Path;

use figment::providers::{Format, Json, Toml};
use figment::value::{Dict, Tag, Value};
use figment::{Figment, Profile};
use serde::de::DeserializeOwned;

use super::problem::{Problem, ProblemLog, Problems};

/// The prefix of environment variables that set keys.
const PREFIX: &str = "CLAIMGATE_";

/// Variables that have the prefix and are not keys: the path of the configuration file, the variables
/// that Kubernetes injects for a Service named `claimgate`, and a variable of the build.
const NOT_CONFIGURATION: [&str; 4] = [
    "CLAIMGATE_CONFIG",
    "CLAIMGATE_SERVICE_",
    "CLAIMGATE_PORT",
    "CLAIMGATE_COMMIT",
];

/// The YAML format for figment. figment's own depends on a crate that is not maintained.
struct Yaml;

impl Format for Yaml {
    type Error = serde_saphyr::Error;
    const NAME: &'static str = "YAML";

    fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, Self::Error> {
        serde_saphyr::from_str(text)
    }
}

/// The merged values, the paths of keys from the environment, and the problems so far.
pub(super) struct Loaded {
    pub(super) dict: Dict,
    pub(super) from_environment: BTreeSet<String>,
    pub(super) problems: ProblemLog,
}

/// Reads a file and merges the environment into it.
///
/// # Errors
/// The file is unreadable, has an unknown extension or a syntax error.
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
            "pass an existing file with --config FILE",
        )
    })?;
    let extension = path.extension().and_then(|extension| extension.to_str());
    let figment = match extension {
        Some("yaml" | "yml") => Figment::from(Yaml::string(&text)),
        Some("toml") => Figment::from(Toml::string(&text)),
        Some("json") => Figment::from(Json::string(&text)),
        _ => {
            let cure = "rename the file to .yaml, .yml, .toml or .json";
            return Err(problem(
                "the file extension is not a known format".to_owned(),
                cure,
            ));
        }
    };
    let mut dict: Dict = if text.trim().is_empty() {
        Dict::new()
    } else {
        let parsed: Result<Dict, figment::Error> = figment.select(Profile::Default).extract();
        parsed.map_err(|error| {
            let cure = "fix the syntax; config/claimgate.yaml is a complete example";
            let message = error.to_string();
            let mut problems = problem(format!("cannot be parsed: {message}"), cure);
            for one in &mut problems.0 {
                one.line = line_in(&message);
            }
            problems
        })?
    };
    let mut problems = ProblemLog::new(path, text);
    let from_environment = merge(&mut dict, environment, &mut problems);
    Ok(Loaded {
        dict,
        from_environment,
        problems,
    })
}

/// Finds the line number in the message of a parser: `line 3`.
fn line_in(message: &str) -> Option<usize> {
    let rest = message.split("line ").nth(1)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Sets the keys of the environment in `dict`. Returns their paths.
fn merge(
    dict: &mut Dict,
    environment: impl IntoIterator<Item = (String, String)>,
    problems: &mut ProblemLog,
) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let is_other = NOT_CONFIGURATION
            .iter()
            .any(|other| name.starts_with(other));
        if is_other || is_of_service(rest) {
            continue;
        }
        let levels: Vec<String> = rest.split("__").map(camel_case).collect();
        if insert(dict, &levels, value) {
            keys.insert(levels.join("."));
        } else {
            let cure = "separate levels with two underscores and words with one";
            problems.add(
                &levels.join("."),
                format!("{name} sets a key below a key that is not a section"),
                cure,
            );
        }
    }
    keys
}

/// Returns whether Kubernetes set the variable for a Service whose name starts with `claimgate-`
/// (`kubernetes/pkg/kubelet/envvars/envvars.go`). Keys that end in these words have a section, and so two underscores.
fn is_of_service(rest: &str) -> bool {
    !rest.contains("__") && (rest.contains("_SERVICE_") || rest.contains("_PORT"))
}

/// Converts `MAX_REQUESTS_IN_FLIGHT` to `maxRequestsInFlight`.
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

/// Sets a key. Returns false if one of its parents is not a section.
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
    fn variables_of_other_services_are_ignored() {
        for name in [
            "TEAM_A_SERVICE_HOST",
            "TEAM_A_SERVICE_PORT_HTTPS",
            "A_PORT_443_TCP",
        ] {
            assert!(is_of_service(name), "{name}");
        }
        for name in ["REGISTER__SERVICE__PORT", "CLUSTER", "LISTEN__ADDRESS"] {
            assert!(!is_of_service(name), "{name}");
        }
    }

    #[test]
    fn environment_words_become_camel_case() {
        assert_eq!(camel_case("MAX_REQUESTS_IN_FLIGHT"), "maxRequestsInFlight");
        assert_eq!(camel_case("LIMITS"), "limits");
    }
}
