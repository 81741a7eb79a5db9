//! Accept headers as kube-apiserver reads them, and what answers are written in.

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};
use serde::Serialize;

use crate::{protobuf, yaml};

pub const JSON: &str = "application/json";
pub const YAML: &str = "application/yaml";
pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const PROTOBUF_STREAM: &str = "application/vnd.kubernetes.protobuf;stream=watch";

/// Clauses of an Accept header that are looked at. What clients send has five.
const CLAUSES_MAX: usize = 100;

/// What an answer is written in. All are written from JSON.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Serializer {
    Json,
    Protobuf,
    Yaml,
}

/// Media types that objects and lists of resources come in, in the words of kube-apiserver's refusals
/// (`apiextensions-apiserver/pkg/apiserver/customresource_handler.go`).
pub const SERIALIZED: &str =
    "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// A value in JSON, with the newline that kube-apiserver ends it with, unless it is indented. What can't be
/// written is empty.
pub fn json(value: &impl Serialize, is_indented: bool) -> String {
    if is_indented {
        return serde_json::to_string_pretty(value).unwrap_or_default();
    }
    serde_json::to_string(value).unwrap_or_default() + "\n"
}

/// Bytes of an answer in YAML, several times those of the longest that is held.
const YAML_BYTES_MAX: usize = 64 << 20;

/// Why an answer can't be written.
#[derive(Debug, thiserror::Error)]
pub enum Unwritable {
    #[error(transparent)]
    Protobuf(#[from] protobuf::Error),
    /// In the words of kube-apiserver, which can't write it either.
    #[error(transparent)]
    Yaml(#[from] yaml::Error),
}

impl Serializer {
    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(self.media_type())
    }

    /// Of a watch (`apiserver/pkg/endpoints/handlers/watch.go`, `serveWatchHandler`).
    pub fn stream_type(self) -> HeaderValue {
        match self {
            Self::Protobuf => HeaderValue::from_static(PROTOBUF_STREAM),
            Self::Json | Self::Yaml => self.content_type(),
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Protobuf => PROTOBUF,
            Self::Yaml => YAML,
        }
    }

    /// # Errors
    /// It can't be written in this.
    pub fn write(self, json: &[u8]) -> Result<Vec<u8>, Unwritable> {
        match self {
            Self::Json => Ok(json.to_vec()),
            Self::Protobuf => Ok(protobuf::from_json(json)?),
            Self::Yaml => Ok(yaml::from_json(json, YAML_BYTES_MAX)?.into_bytes()),
        }
    }
}

/// The form in which objects are wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    Object,
    /// `as=Table`, with the version of meta.k8s.io.
    Table(&'static str),
    /// `as=PartialObjectMetadata` or its list.
    Metadata(&'static str),
}

/// The clauses of the Accept header, what is liked best first. Of several headers the first counts
/// (`apiserver/pkg/endpoints/handlers/negotiation/negotiate.go`).
pub fn clauses(headers: &HeaderMap) -> Vec<Clause> {
    let value = headers.get(ACCEPT).map(HeaderValue::as_bytes);
    let value = value.filter(|value| !value.is_empty());
    let value = String::from_utf8_lossy(value.unwrap_or(JSON.as_bytes()));
    let mut clauses = Vec::new();
    for clause in value.split(',').take(CLAUSES_MAX).filter_map(Clause::parse) {
        let before = clauses.iter().rposition(|other| !clause.goes_before(other));
        clauses.insert(before.map_or(0, |before| before + 1), clause);
    }
    clauses
}

/// A part of the Accept header, as kube-apiserver's library reads it, which is more lenient than
/// RFC 9110 in weights, of which 0 is one like others, and less so in capitals
/// (`github.com/munnerz/goautoneg`).
#[derive(Clone, Debug, PartialEq)]
pub struct Clause {
    main: String,
    sub: String,
    weight: f32,
    /// In their order; of the same key the last counts.
    parameters: Vec<(String, String)>,
}

impl Clause {
    fn parse(clause: &str) -> Option<Self> {
        let spaces = |text: &str| text.trim_matches(' ').to_owned();
        let mut parts = clause.trim_matches(' ').split(';');
        let media_type = parts.next()?;
        let (main, sub) = media_type.split_once('/').unwrap_or((media_type, ""));
        let main = spaces(main);
        let sub = match spaces(sub) {
            sub if sub.is_empty() && main == "*" => "*".to_owned(),
            sub if sub.is_empty() || sub.contains('/') => return None,
            sub => sub,
        };
        let (mut weight, mut parameters) = (1.0, Vec::new());
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            if value.is_empty() || value.contains('=') {
                continue;
            }
            match spaces(key) {
                key if key == "q" => weight = value.parse().unwrap_or(0.0),
                key => parameters.push((key, spaces(value))),
            }
        }
        Some(Self {
            main,
            sub,
            weight,
            parameters,
        })
    }

    /// That library's order. It is none where something of less weight is the more exact, and then
    /// the clauses' own order decides, so they are put in one by one, as it does with up to twelve.
    fn goes_before(&self, other: &Self) -> bool {
        self.weight > other.weight
            || self.main != "*" && other.main == "*"
            || self.sub != "*" && other.sub == "*"
    }

    /// What it names; a wildcard, as ever, JSON.
    pub fn serializer(&self) -> Option<Serializer> {
        match (&*self.main, &*self.sub) {
            ("application", "json" | "*") | ("*", "*") => Some(Serializer::Json),
            ("application", "vnd.kubernetes.protobuf") => Some(Serializer::Protobuf),
            ("application", "yaml") => Some(Serializer::Yaml),
            _ => None,
        }
    }

    /// Whether it has a parameter with another value than this one.
    fn has_other(&self, key: &str, only: &str) -> bool {
        self.parameter(key).is_some_and(|value| value != only)
    }

    fn parameter(&self, key: &str) -> Option<&str> {
        let mut last_first = self.parameters.iter().rev();
        last_first.find_map(|(k, value)| (k == key).then_some(value.as_str()))
    }

    /// Whether it asks for a stream that there is not: of YAML there is none (`acceptMediaTypeOptions`).
    fn has_no_stream(&self) -> bool {
        match self.serializer() {
            Some(Serializer::Yaml) => self.parameter("stream").is_some(),
            _ => self.has_other("stream", "watch"),
        }
    }

    /// Whether a Status can be had in it, which has but one form and version
    /// (`DefaultEndpointRestrictions`).
    pub fn takes_status(&self) -> bool {
        let is_plain = ["as", "g", "v", "sv"]
            .iter()
            .all(|key| self.parameter(key).is_none());
        self.serializer().is_some() && is_plain && !self.has_no_stream()
    }

    pub fn is_pretty(&self) -> bool {
        self.parameter("pretty") == Some("1")
    }

    /// The form in which a custom resource's endpoint can serve it, `None` if it can't
    /// (`apiserver/pkg/endpoints/handlers/rest.go`, `AllowsMediaTypeTransform`).
    pub fn form(&self) -> Option<Form> {
        let serializer = self.serializer()?;
        let is_protobuf = serializer == Serializer::Protobuf;
        if self.has_no_stream() || self.has_other("sv", "v1") {
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

    /// The same in JSON, without its weight.
    pub fn in_json(&self) -> String {
        let parameters = self
            .parameters
            .iter()
            .map(|(key, value)| format!(";{key}={value}"));
        parameters.fold(JSON.to_owned(), |clause, parameter| clause + &parameter)
    }
}
