//! Label and field selectors (apimachinery pkg/labels/selector.go, pkg/fields/selector.go).

use serde_json::Value;

use super::error::StatusError;
use super::object;

/// Label and field selectors of a list or watch. Empty selectors match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selectors {
    labels: Vec<LabelRequirement>,
    fields: Vec<FieldRequirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct LabelRequirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    Exists,
    In(Vec<String>),
    NotExists,
    NotIn(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldRequirement {
    field: Field,
    value: String,
    equal: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Name,
    Namespace,
}

impl Selectors {
    pub(crate) fn parse(labels: &str, fields: &str) -> Result<Self, StatusError> {
        let labels = split(labels)
            .into_iter()
            .map(label_requirement)
            .collect::<Result<_, _>>()?;
        let fields = split(fields)
            .into_iter()
            .map(field_requirement)
            .collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.labels
            .iter()
            .all(|requirement| requirement.matches(object))
            && self
                .fields
                .iter()
                .all(|requirement| requirement.matches(object))
    }
}

impl LabelRequirement {
    fn matches(&self, object: &Value) -> bool {
        let labels = object
            .get("metadata")
            .and_then(|metadata| metadata.get("labels"));
        let value = labels
            .and_then(|labels| labels.get(&self.key))
            .and_then(Value::as_str);
        let among =
            |values: &[String]| value.is_some_and(|value| values.iter().any(|v| v == value));
        match &self.operator {
            Operator::Exists => value.is_some(),
            Operator::In(values) => among(values),
            Operator::NotExists => value.is_none(),
            // Objects without the key match as well (labels/selector.go).
            Operator::NotIn(values) => !among(values),
        }
    }
}

impl FieldRequirement {
    fn matches(&self, object: &Value) -> bool {
        let actual = match self.field {
            Field::Name => object::name(object),
            Field::Namespace => object::namespace(object),
        };
        (actual == self.value) == self.equal
    }
}

/// Splits at commas outside parentheses.
fn split(selector: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let parts = selector.split(|character| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    });
    parts
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect()
}

fn label_requirement(text: &str) -> Result<LabelRequirement, StatusError> {
    let requirement = |key: &str, operator| {
        let key = key.trim().to_owned();
        let values_are_valid = match &operator {
            Operator::In(values) | Operator::NotIn(values) => values.iter().all(|it| is_value(it)),
            Operator::Exists | Operator::NotExists => true,
        };
        let valid = values_are_valid && !key.is_empty() && !key.contains(char::is_whitespace);
        valid
            .then_some(LabelRequirement { key, operator })
            .ok_or_else(|| unparsable(text))
    };
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some((key, value)) = text.split_once("!=") {
        return requirement(key, Operator::NotIn(one(value)));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return requirement(key, Operator::In(one(value)));
    }
    if let Some(key) = text.strip_prefix('!') {
        return requirement(key, Operator::NotExists);
    }
    let Some((head, values)) = text.split_once('(') else {
        return requirement(text, Operator::Exists);
    };
    let values = values
        .trim_end()
        .strip_suffix(')')
        .ok_or_else(|| unparsable(text))?;
    let values = values
        .split(',')
        .map(|value| value.trim().to_owned())
        .collect();
    match head.split_whitespace().collect::<Vec<_>>().as_slice() {
        [key, "in"] => requirement(key, Operator::In(values)),
        [key, "notin"] => requirement(key, Operator::NotIn(values)),
        _ => Err(unparsable(text)),
    }
}

/// Returns whether a text is valid as a label's value (apimachinery pkg/util/validation IsValidLabelValue).
fn is_value(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_end = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    let mut characters = text.chars();
    text.len() <= 63
        && characters.clone().all(is_inner)
        && is_end(characters.next())
        && is_end(text.chars().next_back())
}

fn field_requirement(text: &str) -> Result<FieldRequirement, StatusError> {
    let (field, value, equal) = if let Some((field, value)) = text.split_once("!=") {
        (field, value, false)
    } else if let Some((field, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        (field, value, true)
    } else {
        let message = format!("invalid selector: '{text}'; can't understand '{text}'");
        return Err(StatusError::bad_request(message));
    };
    let field = match field {
        "metadata.name" => Field::Name,
        "metadata.namespace" => Field::Namespace,
        other => {
            return Err(StatusError::bad_request(format!(
                "field label not supported: {other}"
            )));
        }
    };
    Ok(FieldRequirement {
        field,
        value: value.to_owned(),
        equal,
    })
}

fn unparsable(text: &str) -> StatusError {
    StatusError::bad_request(format!("unable to parse requirement: {text}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn labelled(selector: &str) -> bool {
        let object = json!({"metadata": {"name": "a", "namespace": "n",
            "labels": {"tier": "gold", "example.org/zone": "eu", "empty": ""}}});
        Selectors::parse(selector, "").unwrap().matches(&object)
    }

    #[test]
    fn label_selectors_match_as_in_kubernetes() {
        for selector in [
            "",
            "tier",
            "tier=gold",
            "tier == gold",
            "tier!=silver",
            "absent!=x",
            "!absent",
            "tier in (silver, gold)",
            "tier notin (silver)",
            "absent notin (x)",
            "empty=",
            "tier=gold,example.org/zone in (eu,us)",
        ] {
            assert!(labelled(selector), "{selector}");
        }
        for selector in [
            "absent",
            "tier=silver",
            "tier!=gold",
            "!tier",
            "tier in (silver)",
            "tier notin (gold,silver)",
            "absent in (x)",
            "absent=",
            "tier=gold,!empty",
        ] {
            assert!(!labelled(selector), "{selector}");
        }
    }

    #[test]
    fn field_selectors_support_name_and_namespace() {
        let object = json!({"metadata": {"name": "a", "namespace": "n"}});
        let matches = |selector| Selectors::parse("", selector).unwrap().matches(&object);
        assert!(matches("metadata.name=a,metadata.namespace==n"));
        assert!(matches("metadata.namespace!=other"));
        assert!(!matches("metadata.name!=a"));
        assert_eq!(Selectors::parse("", "spec.x=1").unwrap_err().code, 400);
        assert_eq!(Selectors::parse("tier in (x", "").unwrap_err().code, 400);
    }
}
