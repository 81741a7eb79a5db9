//! Content negotiation: Accept headers as kube-apiserver reads them, and the serializers of
//! responses.

mod serializer;

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};

pub use self::serializer::{
    EncodeError, JSON, PROTOBUF, SUPPORTED_MEDIA_TYPES, Serializer, YAML, json,
};

/// Maximum number of clauses of an Accept header that are read; the rest is ignored. Kubernetes clients send up
/// to five.
const CLAUSES_MAX: usize = 100;

/// The representation of objects that a client requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// The object itself.
    Object,
    /// A Table (`as=Table`), with its version of meta.k8s.io.
    Table(&'static str),
    /// Metadata only (`as=PartialObjectMetadata` or its list), with its version of meta.k8s.io.
    Metadata(&'static str),
}

/// Returns the clauses of the Accept header, the preferred one first. If the header is repeated,
/// only the first one counts (`apiserver/pkg/endpoints/handlers/negotiation/negotiate.go`).
pub fn clauses(headers: &HeaderMap) -> Vec<AcceptClause> {
    let value = headers.get(ACCEPT).map(HeaderValue::as_bytes);
    let value = value.filter(|value| !value.is_empty());
    let value = String::from_utf8_lossy(value.unwrap_or(JSON.as_bytes()));
    let mut clauses = Vec::new();
    let parsed = value.split(',').take(CLAUSES_MAX);
    for clause in parsed.filter_map(AcceptClause::parse) {
        let before = clauses
            .iter()
            .rposition(|other| !clause.is_preferred_to(other));
        clauses.insert(before.map_or(0, |before| before + 1), clause);
    }
    clauses
}

/// One clause of an Accept header, parsed as `github.com/munnerz/goautoneg` does.
///
/// That library is more lenient than RFC 9110 about weights: a weight of 0 does not exclude a type.
/// It is stricter about case: names compare exactly.
#[derive(Clone, Debug, PartialEq)]
pub struct AcceptClause {
    main: String,
    sub: String,
    weight: f32,
    /// Parameters in the order of the header. If a key is repeated, the last value counts.
    parameters: Vec<(String, String)>,
}

impl AcceptClause {
    fn parse(clause: &str) -> Option<Self> {
        let trimmed = |text: &str| text.trim_matches(' ').to_owned();
        let mut parts = clause.trim_matches(' ').split(';');
        let media_type = parts.next()?;
        let (main, sub) = media_type.split_once('/').unwrap_or((media_type, ""));
        let main = trimmed(main);
        let sub = match trimmed(sub) {
            sub if sub.is_empty() && main == "*" => "*".to_owned(),
            sub if sub.is_empty() || sub.contains('/') => return None,
            sub => sub,
        };
        let (mut weight, mut parameters) = (1.0, Vec::new());
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            if value.is_empty() || value.contains('=') {
                continue;
            }
            match trimmed(key) {
                // goautoneg ignores the error of `ParseFloat`, which then returns 0.
                key if key == "q" => weight = value.parse().unwrap_or(0.0),
                key => parameters.push((key, trimmed(value))),
            }
        }
        Some(Self {
            main,
            sub,
            weight,
            parameters,
        })
    }

    /// Returns whether goautoneg prefers this clause to the other one.
    ///
    /// The comparison is not a total order: a less specific clause can have the greater weight. The result then
    /// depends on the order of insertion, so [`clauses`] inserts one clause after the other. Go's sort does the
    /// same for up to twelve elements.
    fn is_preferred_to(&self, other: &Self) -> bool {
        self.weight > other.weight
            || self.main != "*" && other.main == "*"
            || self.sub != "*" && other.sub == "*"
    }

    /// Returns the serializer of the media type, or `None` if kube-apiserver has none. Wildcards
    /// mean JSON.
    pub fn serializer(&self) -> Option<Serializer> {
        match (&*self.main, &*self.sub) {
            ("application", "json" | "*") | ("*", "*") => Some(Serializer::Json),
            ("application", "vnd.kubernetes.protobuf") => Some(Serializer::Protobuf),
            ("application", "yaml") => Some(Serializer::Yaml),
            _ => None,
        }
    }

    fn parameter(&self, key: &str) -> Option<&str> {
        let mut last_first = self.parameters.iter().rev();
        last_first.find_map(|(k, value)| (k == key).then_some(value.as_str()))
    }

    /// Returns whether the parameter is present with a value other than `expected`.
    fn has_other_value(&self, key: &str, expected: &str) -> bool {
        self.parameter(key).is_some_and(|value| value != expected)
    }

    /// Returns whether the clause requests a stream that kube-apiserver does not offer. YAML cannot be streamed
    /// (`acceptMediaTypeOptions`).
    fn has_unsupported_stream(&self) -> bool {
        match self.serializer() {
            Some(Serializer::Yaml) => self.parameter("stream").is_some(),
            _ => self.has_other_value("stream", "watch"),
        }
    }

    /// Returns whether the clause accepts a `Status`, which has only one form and version
    /// (`DefaultEndpointRestrictions`).
    pub fn accepts_status(&self) -> bool {
        let has_conversion = ["as", "g", "v", "sv"]
            .iter()
            .any(|key| self.parameter(key).is_some());
        self.serializer().is_some() && !has_conversion && !self.has_unsupported_stream()
    }

    /// Returns whether the clause requests indented JSON.
    pub fn is_pretty(&self) -> bool {
        self.parameter("pretty") == Some("1")
    }

    /// Returns the form in which the endpoint of a custom resource serves this clause, or `None` if
    /// it cannot (`apiserver/pkg/endpoints/handlers/rest.go`, `AllowsMediaTypeTransform`).
    pub fn form(&self) -> Option<Form> {
        let serializer = self.serializer()?;
        let is_protobuf = serializer == Serializer::Protobuf;
        if self.has_unsupported_stream() || self.has_other_value("sv", "v1") {
            return None;
        }
        let version = match (self.parameter("g"), self.parameter("v")) {
            (None, None) if self.parameter("as").is_none() => {
                return (!is_protobuf).then_some(Form::Object);
            }
            (Some("meta.k8s.io"), Some("v1")) => "v1",
            (Some("meta.k8s.io"), Some("v1beta1")) => "v1beta1",
            _ => return None,
        };
        match self.parameter("as")? {
            "Table" if !is_protobuf => Some(Form::Table(version)),
            "PartialObjectMetadata" | "PartialObjectMetadataList" => Some(Form::Metadata(version)),
            _ => None,
        }
    }

    /// Returns the clause with the media type JSON, the same parameters, and no weight.
    pub fn as_json(&self) -> String {
        let parameters = self
            .parameters
            .iter()
            .map(|(key, value)| format!(";{key}={value}"));
        parameters.fold(JSON.to_owned(), |clause, parameter| clause + &parameter)
    }
}
