//! Tables of objects (apiextensions-apiserver pkg/registry/customresource/tableconvertor).

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::json_path::select;
use super::negotiate::IncludeObject;
use super::object;
use super::partial_metadata::PartialMetadata;
use super::resource::{Column, Resource};

/// `metav1.Table`; keys in the order of the Go struct.
#[derive(Serialize)]
pub(crate) struct Table {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: String,
    metadata: Value,
    /// Null in watch events after the first one.
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
    Metadata(Box<PartialMetadata>),
    None(()),
    Object(Value),
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

    /// Returns the table without column definitions.
    #[must_use]
    pub(crate) fn without_columns(mut self) -> Self {
        self.columns = None;
        self
    }
}

fn row(resource: &Resource, object: &Value, version: &str, include: IncludeObject) -> Row {
    let name = json!(object::name(object));
    let columns = resource.columns.iter().map(|column| cell(column, object));
    let cells = std::iter::once(name).chain(columns).collect();
    let object = match include {
        IncludeObject::Metadata => {
            RowObject::Metadata(Box::new(PartialMetadata::of(object, version)))
        }
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

/// Returns the time since `timestamp`, in the form of apimachinery pkg/util/duration HumanDuration.
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
    fn ages_match_kubectl() {
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
