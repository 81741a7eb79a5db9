//! Media types: what the control plane is asked for, and which request bodies can be mapped.
//!
//! PartialObjectMetadata and error Status objects are served as protobuf to who accepts it
//! (`apiserver/pkg/endpoints/handlers/rest.go`), so Accept is reduced to its JSON clauses before it
//! goes on.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use crate::error::Error;
use crate::request_info::Verb;

/// What a custom resource's endpoint has serializers for, in the words of its refusals
/// (`apiextensions-apiserver/pkg/apiserver/customresource_handler.go`).
const SERIALIZED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// The same for who has sent protobuf.
const NOT_PROTOBUF: &str = "application/json, application/yaml";
const PATCH_BODIES: &str =
    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
/// What a watch comes in, in the words of its refusal of YAML.
pub(super) const STREAMED: &str =
    "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// Clauses of an Accept header that are looked at. What clients send has five.
const CLAUSES_MAX: usize = 100;

/// What a client accepts in JSON or YAML, what it likes best first. The control plane is asked for
/// JSON in either case.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Accept(Vec<Clause>);

/// The form in which lists are wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    Object,
    /// `as=Table`, with the version of meta.k8s.io.
    Table(&'static str),
    /// `as=PartialObjectMetadata` or its list.
    Metadata(&'static str),
}

impl Accept {
    /// The JSON and YAML clauses of the Accept header; wildcards become JSON. Of several headers the first
    /// counts, as in kube-apiserver (`apiserver/pkg/endpoints/handlers/negotiation/negotiate.go`).
    pub(super) fn parse(headers: &HeaderMap) -> Result<Self, Error> {
        let value = headers.get(ACCEPT).map(HeaderValue::as_bytes);
        let value = value.filter(|value| !value.is_empty());
        let value = String::from_utf8_lossy(value.unwrap_or(JSON.as_bytes()));
        let mut clauses = Vec::new();
        for clause in value.split(',').take(CLAUSES_MAX).filter_map(Clause::parse) {
            let before = clauses.iter().rposition(|other| !clause.goes_before(other));
            clauses.insert(before.map_or(0, |before| before + 1), clause);
        }
        clauses.retain(|clause| clause.is_json() || clause.is_yaml());
        if clauses.is_empty() {
            Err(Error::NotAcceptable(SERIALIZED))
        } else {
            Ok(Self(clauses))
        }
    }

    /// Without weights, for the order says it all.
    pub(super) fn header(&self) -> Result<HeaderValue, Error> {
        let clauses = self.0.iter().map(|Clause { parameters, .. }| {
            let parameters = parameters
                .iter()
                .map(|(key, value)| format!(";{key}={value}"));
            parameters.fold(JSON.to_owned(), |clause, parameter| clause + &parameter)
        });
        HeaderValue::from_str(&clauses.collect::<Vec<_>>().join(","))
            .map_err(|_| Error::BadRequest("the Accept header cannot be passed on".into()))
    }

    /// The form of the first clause that a custom resource's endpoint can serve.
    pub(super) fn form(&self) -> Form {
        self.0.iter().find_map(Clause::form).unwrap_or(Form::Object)
    }

    /// Whether that clause asks for YAML.
    pub(super) fn is_yaml(&self) -> bool {
        let mut served = self.0.iter().filter(|clause| clause.form().is_some());
        served.next().is_some_and(Clause::is_yaml)
    }

    /// Whether the first that a Status can be had in, which has but one form, asks for YAML
    /// (`apiserver/pkg/endpoints/handlers/responsewriters/writers.go`, `ErrorNegotiated`).
    pub(super) fn refuses_in_yaml(&self) -> bool {
        let is_plain = |clause: &&Clause| clause.form() == Some(Form::Object);
        self.0.iter().find(is_plain).is_some_and(Clause::is_yaml)
    }
}

/// A part of the Accept header, as kube-apiserver's library reads it, which is more lenient than
/// RFC 9110 in weights, of which 0 is one like others, and less so in capitals
/// (`github.com/munnerz/goautoneg`).
#[derive(Clone, Debug, PartialEq)]
struct Clause {
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

    fn is_json(&self) -> bool {
        matches!(
            (&*self.main, &*self.sub),
            ("application", "json" | "*") | ("*", "*")
        )
    }

    /// That of a stream is left out, for YAML has none.
    fn is_yaml(&self) -> bool {
        let is_streamed = self.parameters.iter().any(|(key, _)| key == "stream");
        self.main == "application" && self.sub == "yaml" && !is_streamed
    }

    /// `None` for a clause that asks for what there is not, which kube-apiserver passes over
    /// (`acceptMediaTypeOptions`, and `apiserver/pkg/endpoints/handlers/rest.go`).
    fn form(&self) -> Option<Form> {
        let parameter = |key: &str| {
            let mut last_first = self.parameters.iter().rev();
            last_first.find_map(|(k, value)| (k == key).then_some(value.as_str()))
        };
        let refused = |key, only| parameter(key).is_some_and(|value| value != only);
        if refused("stream", "watch") || refused("sv", "v1") {
            return None;
        }
        let version = match (parameter("g"), parameter("v")) {
            (None, None) if parameter("as").is_none() => return Some(Form::Object),
            (Some("meta.k8s.io"), Some("v1")) => "v1",
            (Some("meta.k8s.io"), Some("v1beta1")) => "v1beta1",
            _ => return None,
        };
        match parameter("as")? {
            "Table" => Some(Form::Table(version)),
            "PartialObjectMetadata" | "PartialObjectMetadataList" => Some(Form::Metadata(version)),
            _ => None,
        }
    }
}

/// How a request's body is to be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RequestMedia {
    /// Nothing in it is mapped: DeleteOptions.
    Opaque,
    /// An object or a merge patch.
    Object,
    /// An object in YAML.
    Yaml,
    /// An apply patch, which the control plane reads as YAML.
    Apply,
    JsonPatch,
}

impl RequestMedia {
    /// Whether a body is read as YAML.
    pub(super) fn is_yaml(self) -> bool {
        matches!(self, Self::Yaml | Self::Apply)
    }

    /// A protobuf body would make kube-apiserver's custom resource handler panic, so it is refused
    /// here, as is whatever else can't be mapped.
    pub(super) fn parse(verb: Verb, headers: &HeaderMap) -> Result<Self, Error> {
        let media_type = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(|value| {
                value
                    .split(';')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .to_ascii_lowercase()
            });
        match (verb, media_type.as_deref()) {
            (Verb::Create | Verb::Update, None | Some("" | "application/json" | "*/*")) => {
                Ok(Self::Object)
            }
            (Verb::Create | Verb::Update, Some(YAML)) => Ok(Self::Yaml),
            (Verb::Create | Verb::Update, Some(PROTOBUF)) => {
                Err(Error::UnsupportedMediaType(NOT_PROTOBUF))
            }
            (Verb::Create | Verb::Update, Some(_)) => Err(Error::UnsupportedMediaType(SERIALIZED)),
            (Verb::Patch, Some("application/merge-patch+json")) => Ok(Self::Object),
            (Verb::Patch, Some("application/apply-patch+yaml")) => Ok(Self::Apply),
            (Verb::Patch, Some("application/json-patch+json")) => Ok(Self::JsonPatch),
            (Verb::Patch, _) => Err(Error::UnsupportedMediaType(PATCH_BODIES)),
            _ => Ok(Self::Opaque),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(value: &str) -> Result<Accept, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(value).unwrap());
        Accept::parse(&headers)
    }

    #[test]
    fn accept_keeps_its_json_clauses_best_first() {
        for (value, reduced) in [
            ("", "application/json"),
            ("application/json, */*", "application/json,application/json"),
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
            ),
            (
                "application/json;q=0.9,application/cbor;q=1",
                "application/json",
            ),
            ("application/json;q=0", "application/json"),
            ("*;pretty=1", "application/json;pretty=1"),
            (
                "application/json;a=1;q=0.5, application/json; b = 2,application/json;c=3;d",
                "application/json;b=2,application/json;c=3,application/json;a=1",
            ),
            (
                "*/*;a=1,application/json;b=2",
                "application/json;b=2,application/json;a=1",
            ),
        ] {
            assert_eq!(accept(value).unwrap().header().unwrap(), reduced, "{value}");
        }
    }

    #[test]
    fn what_is_not_json_to_the_letter_is_not_acceptable() {
        for value in [
            "application/vnd.kubernetes.protobuf",
            "APPLICATION/JSON",
            "application/",
            "application",
            "*/json",
            ";;,",
        ] {
            let parsed = accept(value);
            assert!(matches!(parsed, Err(Error::NotAcceptable(_))), "{value}");
        }
    }

    #[test]
    fn of_two_accept_headers_the_first_counts() {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, HeaderValue::from_static("text/html"));
        headers.append(ACCEPT, HeaderValue::from_static("application/json"));
        let parsed = Accept::parse(&headers);
        assert!(matches!(parsed, Err(Error::NotAcceptable(_))));
    }

    #[test]
    fn the_form_is_that_of_the_first_clause_that_is_known() {
        for (value, form) in [
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
                Form::Table("v1"),
            ),
            (
                "application/json;as=Table;v=v9;g=meta.k8s.io,application/json",
                Form::Object,
            ),
            (
                "application/json;as=PartialObjectMetadataList;v=v1beta1;g=meta.k8s.io",
                Form::Metadata("v1beta1"),
            ),
            (
                "application/json,application/json;as=Table;v=v1;g=meta.k8s.io",
                Form::Object,
            ),
            (
                "application/json;q=0.9,application/json;as=Table;v=v1;g=meta.k8s.io",
                Form::Table("v1"),
            ),
            ("application/json;as=Table;v=v1,application/*", Form::Object),
            ("*/*", Form::Object),
        ] {
            assert_eq!(accept(value).unwrap().form(), form, "{value}");
        }
    }

    #[test]
    fn bodies_that_cannot_be_mapped_are_refused() {
        let media = |verb, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            RequestMedia::parse(verb, &headers)
        };
        assert_eq!(
            media(Verb::Create, "application/json; charset=utf-8").unwrap(),
            RequestMedia::Object
        );
        assert_eq!(
            media(Verb::Patch, "application/json-patch+json").unwrap(),
            RequestMedia::JsonPatch
        );
        assert_eq!(
            media(Verb::Patch, "Application/Apply-Patch+YAML; charset=utf-8").unwrap(),
            RequestMedia::Apply
        );
        assert_eq!(
            media(Verb::Delete, "application/json").unwrap(),
            RequestMedia::Opaque
        );
        for (verb, value) in [
            (Verb::Create, "application/vnd.kubernetes.protobuf"),
            (Verb::Update, "application/cbor"),
            (Verb::Patch, "application/strategic-merge-patch+json"),
            (Verb::Patch, "application/json"),
        ] {
            assert!(
                matches!(media(verb, value), Err(Error::UnsupportedMediaType(_))),
                "{value}"
            );
        }
    }
}
