//! Objects as Tables and PartialObjectMetadata (apiextensions-apiserver
//! pkg/registry/customresource/tableconvertor; apiserver pkg/endpoints/handlers/response.go).

use serde::Serialize;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::negotiate::IncludeObject;
use super::resource::{Column, Resource};

/// `metav1.Table`; keys in the order of the Go struct.
#[derive(Serialize)]
pub(crate) struct Table {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: String,
    metadata: Value,
    /// Null in watch events after the first.
    #[serde(rename = "columnDefinitions")]
    columns: Option<Vec<ColumnDefinition>>,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct ColumnDefinition {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    format: &'static str,
    description: String,
    priority: i32,
}

#[derive(Serialize)]
struct Row {
    cells: Vec<Value>,
    object: RowObject,
}

#[derive(Serialize)]
#[serde(untagged)]
enum RowObject {
    Metadata(Box<Partial>),
    None(()),
    Object(Value),
}

/// `metav1.PartialObjectMetadata`.
#[derive(Serialize)]
pub(crate) struct Partial {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: String,
    metadata: ObjectMeta,
}

#[derive(Serialize)]
pub(crate) struct PartialList {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: String,
    metadata: Value,
    items: Vec<Partial>,
}

macro_rules! object_meta {
    ($($field:ident),*) => {
        /// `metav1.ObjectMeta`; keys in the order of the Go struct.
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct ObjectMeta { $(#[serde(skip_serializing_if = "Option::is_none")] $field: Option<Value>),* }

        impl ObjectMeta {
            fn of(object: &Value) -> Self {
                let mut metadata =
                    object.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
                Self { $($field: metadata.remove(&camel_case(stringify!($field)))),* }
            }
        }
    };
}

object_meta!(
    name,
    generate_name,
    namespace,
    uid,
    resource_version,
    generation,
    creation_timestamp,
    deletion_timestamp,
    deletion_grace_period_seconds,
    labels,
    annotations,
    owner_references,
    finalizers,
    managed_fields
);

fn camel_case(snake: &str) -> String {
    let mut words = snake.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let mut letters = word.chars();
        let initial = letters.next().map(|letter| letter.to_ascii_uppercase());
        name + &initial.into_iter().chain(letters).collect::<String>()
    })
}

impl Partial {
    pub(crate) fn of(object: &Value, version: &str) -> Self {
        Self {
            kind: "PartialObjectMetadata",
            api_version: format!("meta.k8s.io/{version}"),
            metadata: ObjectMeta::of(object),
        }
    }
}

impl PartialList {
    pub(crate) fn of<'a>(
        objects: impl Iterator<Item = &'a Value>,
        metadata: Value,
        version: &str,
    ) -> Self {
        Self {
            kind: "PartialObjectMetadataList",
            api_version: format!("meta.k8s.io/{version}"),
            metadata,
            items: objects.map(|object| Partial::of(object, version)).collect(),
        }
    }
}

impl Table {
    pub(crate) fn of<'a>(
        resource: &Resource,
        objects: impl Iterator<Item = &'a Value>,
        metadata: Value,
        version: &str,
        include: IncludeObject,
    ) -> Self {
        let rows = objects
            .map(|object| row(resource, object, version, include))
            .collect();
        Self {
            kind: "Table",
            api_version: format!("meta.k8s.io/{version}"),
            metadata,
            columns: Some(definitions(resource)),
            rows,
        }
    }

    #[must_use]
    pub(crate) fn without_columns(mut self) -> Self {
        self.columns = None;
        self
    }
}

fn row(resource: &Resource, object: &Value, version: &str, include: IncludeObject) -> Row {
    let name = json!(super::object::name(object));
    let columns = resource.columns.iter().map(|column| cell(column, object));
    let cells = std::iter::once(name).chain(columns).collect();
    let object = match include {
        IncludeObject::Metadata => RowObject::Metadata(Box::new(Partial::of(object, version))),
        IncludeObject::None => RowObject::None(()),
        IncludeObject::Object => RowObject::Object(object.clone()),
    };
    Row { cells, object }
}

fn definitions(resource: &Resource) -> Vec<ColumnDefinition> {
    let name = ColumnDefinition {
        name: "Name".to_owned(),
        kind: "string".to_owned(),
        format: "name",
        description: "Name must be unique within a namespace.".to_owned(),
        priority: 0,
    };
    let columns = resource.columns.iter().map(|column| ColumnDefinition {
        name: column.name.clone(),
        kind: column.kind.clone(),
        format: "",
        description: match column.description.as_str() {
            "" => format!(
                "Custom resource definition column (in JSONPath format): {}",
                column.json_path
            ),
            description => description.to_owned(),
        },
        priority: column.priority,
    });
    std::iter::once(name).chain(columns).collect()
}

fn cell(column: &Column, object: &Value) -> Value {
    let Some(value) = select(object, &column.json_path) else {
        return Value::Null;
    };
    match (column.kind.as_str(), value) {
        ("date", Value::String(text)) => json!(age(text, OffsetDateTime::now_utc())),
        ("string", Value::String(_)) => value.clone(),
        ("string", Value::Null) => Value::Null,
        ("string", other) => json!(other.to_string()),
        (_, other) => other.clone(),
    }
}

/// The first match of a JSONPath of the forms `.a.b`, `[?(@.a=='b')]` and `[0]`.
pub(crate) fn select<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut value = object;
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(bracket) = rest.strip_prefix('[') {
            let (inside, after) = bracket.split_once(']')?;
            let list = value.as_array()?;
            value = match inside
                .strip_prefix("?(@.")
                .and_then(|test| test.strip_suffix(')'))
            {
                Some(test) => {
                    let (key, wanted) = test.split_once("==")?;
                    let wanted = wanted.trim().trim_matches(['\'', '"']);
                    let is_wanted = |item: &&Value| item.get(key.trim()) == Some(&json!(wanted));
                    list.iter().find(is_wanted)?
                }
                None => list.get(inside.parse::<usize>().ok()?)?,
            };
            rest = after;
        } else {
            let step = rest.strip_prefix('.').unwrap_or(rest);
            let end = step.find(['.', '[']).unwrap_or(step.len());
            let (key, after) = step.split_at(end);
            value = value.get(key)?;
            rest = after;
        }
    }
    Some(value)
}

/// Sets the value at a path of the form `.a.b`, making objects on the way.
pub(crate) fn assign(object: &mut Value, path: &str, value: Value) {
    let mut target = object;
    for key in path.split('.').filter(|key| !key.is_empty()) {
        if !target.is_object() {
            *target = Value::Object(Map::new());
        }
        let Some(map) = target.as_object_mut() else {
            return;
        };
        target = map.entry(key.to_owned()).or_insert(Value::Null);
    }
    *target = value;
}

/// apimachinery pkg/util/duration HumanDuration of the time since.
fn age(timestamp: &str, now: OffsetDateTime) -> String {
    let Ok(then) = OffsetDateTime::parse(timestamp, &Rfc3339) else {
        return "<invalid>".to_owned();
    };
    let seconds = (now - then).whole_seconds().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: i64, unit: &str, small: i64, lesser: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{lesser}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        _ => two(days / 365, "y", days % 365, "d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_paths_select_cells() {
        let object = json!({"spec": {"n": 3}, "status": {"conditions": [
            {"type": "Synced", "status": "True"}, {"type": "Ready", "status": "False"}]}});
        let ready = ".status.conditions[?(@.type=='Ready')].status";
        assert_eq!(select(&object, ready), Some(&json!("False")));
        assert_eq!(select(&object, ".spec.n"), Some(&json!(3)));
        assert_eq!(
            select(&object, ".status.conditions[0].type"),
            Some(&json!("Synced"))
        );
        assert_eq!(select(&object, ".spec.absent"), None);
    }

    #[test]
    fn partial_metadata_has_the_order_of_the_go_struct() {
        let object = json!({"kind": "K", "metadata": {"annotations": {}, "name": "a",
            "namespace": "n", "resourceVersion": "5"}});
        let partial = serde_json::to_string(&Partial::of(&object, "v1")).unwrap();
        assert_eq!(
            partial,
            r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"a","namespace":"n","resourceVersion":"5","annotations":{}}}"#
        );
    }

    #[test]
    fn ages_read_as_in_kubectl() {
        let now = OffsetDateTime::parse("2024-01-10T00:00:00Z", &Rfc3339).unwrap();
        for (then, expected) in [
            ("2024-01-09T23:59:01Z", "59s"),
            ("2024-01-09T23:57:55Z", "2m5s"),
            ("2024-01-09T20:30:00Z", "3h30m"),
            ("2024-01-07T00:00:00Z", "3d"),
            ("nonsense", "<invalid>"),
        ] {
            assert_eq!(age(then, now), expected, "{then}");
        }
    }
}
