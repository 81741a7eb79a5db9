//! Media types: what the control plane is asked for, and which request bodies can be mapped.
//!
//! Only JSON can be mapped, so Accept is put into terms of JSON before it goes on; what the client gets
//! is written from that.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use crate::accept::{self, Clause, Form, PROTOBUF, SERIALIZED, Serializer, YAML};
use crate::error::Error;
use crate::request_info::Verb;

/// `SERIALIZED` for who has sent protobuf.
const NOT_PROTOBUF: &str = "application/json, application/yaml";
const PATCH_BODIES: &str =
    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
/// What a watch comes in, in the words of its refusal of anything else.
pub(super) const STREAMED: &str =
    "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";

/// What a client accepts of what it can be given, what it likes best first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Accept(Vec<Clause>);

impl Accept {
    /// The JSON and YAML clauses of the Accept header; wildcards become JSON. If there are none, those
    /// in protobuf that can be served, for what is written in protobuf has to be held whole. Of YAML there
    /// is no watch, and where it comes first nothing else is looked at (`apiserver/pkg/endpoints/handlers/
    /// negotiation/negotiate.go`, `NegotiateOutputMediaTypeStream`).
    pub(super) fn parse(verb: Verb, headers: &HeaderMap) -> Result<Self, Error> {
        let mut clauses = accept::clauses(headers);
        // Of JSON also what the control plane has not, for it to say so.
        clauses.retain(|clause| match clause.serializer() {
            Some(Serializer::Json) => true,
            serializer => serializer.is_some() && clause.form().is_some(),
        });
        if verb == Verb::Watch {
            let is_yaml = |clause: &Clause| clause.serializer() == Some(Serializer::Yaml);
            let mut served = clauses.iter().filter(|clause| clause.form().is_some());
            let is_yaml_first = served.next().is_some_and(is_yaml);
            clauses.retain(|clause| is_yaml(clause) == is_yaml_first);
        }
        let is_protobuf = |clause: &Clause| clause.serializer() == Some(Serializer::Protobuf);
        let is_served = |clause: &Clause| !is_protobuf(clause) && clause.form().is_some();
        if clauses.iter().any(is_served) {
            clauses.retain(|clause| !is_protobuf(clause));
        }
        if clauses.is_empty() {
            Err(Error::NotAcceptable(SERIALIZED))
        } else {
            Ok(Self(clauses))
        }
    }

    /// Without weights, for the order says it all.
    pub(super) fn header(&self) -> Result<HeaderValue, Error> {
        let clauses: Vec<String> = self.0.iter().map(Clause::in_json).collect();
        HeaderValue::from_str(&clauses.join(","))
            .map_err(|_| Error::BadRequest("the Accept header cannot be passed on".into()))
    }

    /// The form of the first clause that a custom resource's endpoint can serve.
    pub(super) fn form(&self) -> Form {
        self.0.iter().find_map(Clause::form).unwrap_or(Form::Object)
    }

    /// What that clause asks for.
    pub(super) fn serializer(&self) -> Serializer {
        let mut served = self.0.iter().filter(|clause| clause.form().is_some());
        let serializer = served.next().and_then(Clause::serializer);
        serializer.unwrap_or(Serializer::Json)
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
        match (verb, media_type(headers).as_deref()) {
            (Verb::Create | Verb::Update, kind) if is_json_type(kind) => Ok(Self::Object),
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

/// A body's type without its parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let name = value.split(';').next().unwrap_or_default();
    Some(name.trim().to_ascii_lowercase())
}

/// Whether a body of this type is read as JSON, as one without a type is
/// (`apiserver/pkg/endpoints/handlers/negotiation/negotiate.go`, `NegotiateInputSerializerForMediaType`).
pub(super) fn is_json_type(media_type: Option<&str>) -> bool {
    matches!(media_type, None | Some("" | "application/json" | "*/*"))
}

/// The type of a body that came in YAML and goes on in JSON. Its parameters mean nothing, but are the
/// control plane's to refuse where they are broken.
pub(super) fn in_json(headers: &HeaderMap) -> HeaderValue {
    let yaml = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let parameters = yaml.and_then(|value| Some(&value[value.find(';')?..]));
    let json = format!("application/json{}", parameters.unwrap_or_default());
    HeaderValue::from_str(&json).unwrap_or(HeaderValue::from_static("application/json"))
}

#[cfg(test)]
mod tests {
    use http::header::ACCEPT;

    use super::*;

    fn accept(value: &str) -> Result<Accept, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(value).unwrap());
        Accept::parse(Verb::Get, &headers)
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
    fn metadata_in_protobuf_is_asked_for_where_nothing_else_will_do() {
        let metadata =
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        let in_json = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        for (value, reduced, serializer) in [
            (
                metadata.to_owned(),
                in_json.to_owned(),
                Serializer::Protobuf,
            ),
            (
                format!("application/vnd.kubernetes.protobuf,{metadata}"),
                in_json.to_owned(),
                Serializer::Protobuf,
            ),
            (
                format!("{metadata},application/json;as=Chair"),
                format!("{in_json},application/json;as=Chair"),
                Serializer::Protobuf,
            ),
            (
                format!("{metadata},application/json"),
                "application/json".to_owned(),
                Serializer::Json,
            ),
            (
                format!("{metadata},application/yaml"),
                "application/json".to_owned(),
                Serializer::Yaml,
            ),
        ] {
            let accept = accept(&value).unwrap();
            assert_eq!(accept.header().unwrap(), reduced, "{value}");
            assert_eq!(accept.serializer(), serializer, "{value}");
        }
    }

    #[test]
    fn a_watch_comes_in_yaml_to_nobody_who_takes_another_first() {
        let protobuf =
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        let serializer = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_str(value).unwrap());
            Accept::parse(Verb::Watch, &headers).map(|accept| accept.serializer())
        };
        for (value, expected) in [
            (protobuf.to_owned(), Serializer::Protobuf),
            (format!("{protobuf},application/yaml"), Serializer::Protobuf),
            (format!("{protobuf},application/yaml,*/*"), Serializer::Json),
            (
                "application/json,application/yaml".to_owned(),
                Serializer::Json,
            ),
            (
                "application/yaml;as=Chair,application/json".to_owned(),
                Serializer::Json,
            ),
            // Which is refused once it is known that nothing else is wrong with it.
            ("application/yaml".to_owned(), Serializer::Yaml),
            (
                "application/yaml,application/json".to_owned(),
                Serializer::Yaml,
            ),
        ] {
            assert_eq!(serializer(&value).unwrap(), expected, "{value}");
        }
    }

    #[test]
    fn what_is_not_json_to_the_letter_is_not_acceptable() {
        for value in [
            "application/vnd.kubernetes.protobuf",
            "application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1",
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
        let parsed = Accept::parse(Verb::Get, &headers);
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
