//! Media types: what the control plane is asked for, and which request bodies can be mapped.
//!
//! PartialObjectMetadata and error Status objects are served as protobuf to who accepts it
//! (`apiserver/pkg/endpoints/handlers/rest.go`), so Accept is reduced to its JSON clauses before it
//! goes on.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use crate::error::Error;
use crate::request_info::Verb;

const ACCEPTABLE: &str = "application/json";
const OBJECT_BODIES: &str = "application/json";
const PATCH_BODIES: &str =
    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";

/// What a client accepts, in JSON.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Accept(Vec<String>);

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
    /// The JSON clauses of the Accept header, in their order; wildcards become JSON. Of several
    /// headers the first counts, as in kube-apiserver
    /// (`apiserver/pkg/endpoints/handlers/negotiation/negotiate.go`).
    pub(super) fn parse(headers: &HeaderMap) -> Result<Self, Error> {
        let value = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
        let Some(value) = value.filter(|value| !value.trim().is_empty()) else {
            return Ok(Self(vec![ACCEPTABLE.to_owned()]));
        };
        let clauses: Vec<String> = value.split(',').filter_map(json_clause).collect();
        if clauses.is_empty() {
            Err(Error::NotAcceptable(ACCEPTABLE))
        } else {
            Ok(Self(clauses))
        }
    }

    pub(super) fn header(&self) -> Result<HeaderValue, Error> {
        HeaderValue::from_str(&self.0.join(","))
            .map_err(|_| Error::BadRequest("the Accept header cannot be passed on".into()))
    }

    /// The form of the first clause that a custom resource's endpoint can serve.
    pub(super) fn form(&self) -> Form {
        self.0
            .iter()
            .find_map(|clause| form_of(clause))
            .unwrap_or(Form::Object)
    }
}

fn json_clause(clause: &str) -> Option<String> {
    let (media_type, parameters) = match clause.trim().split_once(';') {
        Some((media_type, parameters)) => (media_type.trim(), Some(parameters)),
        None => (clause.trim(), None),
    };
    let json = ["application/json", "application/*", "*/*"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(media_type));
    let refused = parameters.is_some_and(|p| {
        p.split(';')
            .any(|p| matches!(p.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    });
    (json && !refused).then(|| match parameters {
        Some(parameters) => format!("{ACCEPTABLE};{parameters}"),
        None => ACCEPTABLE.to_owned(),
    })
}

/// `None` for a clause whose `as` is not known, which kube-apiserver passes over.
fn form_of(clause: &str) -> Option<Form> {
    let parameter = |key: &str| {
        clause
            .split(';')
            .skip(1)
            .find_map(|p| p.trim().strip_prefix(key)?.strip_prefix('='))
    };
    let version = match parameter("v") {
        Some("v1") => Some("v1"),
        Some("v1beta1") => Some("v1beta1"),
        _ => None,
    };
    let meta = parameter("g").is_none_or(|group| group == "meta.k8s.io");
    match parameter("as") {
        None => Some(Form::Object),
        Some("Table") if meta => version.map(Form::Table),
        Some("PartialObjectMetadata" | "PartialObjectMetadataList") if meta => {
            version.map(Form::Metadata)
        }
        Some(_) => None,
    }
}

/// How a request's body is to be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RequestMedia {
    /// Nothing in it is mapped: DeleteOptions.
    Opaque,
    /// An object or a merge patch.
    Object,
    /// An apply patch, which the control plane reads as YAML.
    Apply,
    JsonPatch,
}

impl RequestMedia {
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
            (Verb::Create | Verb::Update, Some(_)) => {
                Err(Error::UnsupportedMediaType(OBJECT_BODIES))
            }
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
    fn accept_keeps_its_json_clauses_in_order() {
        for (value, reduced) in [
            ("", "application/json"),
            ("application/json, */*", "application/json,application/json"),
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
            ),
            (
                "application/json;q=0.9,application/cbor;q=1",
                "application/json;q=0.9",
            ),
        ] {
            assert_eq!(accept(value).unwrap().header().unwrap(), reduced, "{value}");
        }
        assert!(matches!(
            accept("application/vnd.kubernetes.protobuf"),
            Err(Error::NotAcceptable(_))
        ));
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
