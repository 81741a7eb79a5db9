//! The media types in which a client accepts the reply.

use http::{HeaderMap, HeaderValue};

use crate::error::RequestError;
use kube_wire::accept::{self, AcceptClause, Form, SUPPORTED_MEDIA_TYPES, Serializer};
use kube_wire::request_info::Verb;

/// The supported media types that a client accepts, in order of preference. Never empty.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Accept(Vec<AcceptClause>);

impl Accept {
    /// Keeps the supported clauses of the Accept header; wildcards become JSON.
    ///
    /// Protobuf clauses stay only if there are no others, because a protobuf reply is buffered
    /// whole. There are no watches in YAML: if a watch prefers YAML, nothing else is considered
    /// (`apiserver/pkg/endpoints/handlers/negotiation/negotiate.go`,
    /// `NegotiateOutputMediaTypeStream`).
    ///
    /// # Errors
    /// [`RequestError::NotAcceptable`] if no clause is supported.
    pub(crate) fn parse(verb: Verb, headers: &HeaderMap) -> Result<Self, RequestError> {
        let mut clauses = accept::clauses(headers);
        // Unsupported forms of JSON stay, so that the control plane rejects them.
        clauses.retain(|clause| match clause.serializer() {
            Some(Serializer::Json) => true,
            serializer => serializer.is_some() && clause.form().is_some(),
        });
        if verb == Verb::Watch {
            let is_yaml = |clause: &AcceptClause| clause.serializer() == Some(Serializer::Yaml);
            let mut supported = clauses.iter().filter(|clause| clause.form().is_some());
            let prefers_yaml = supported.next().is_some_and(is_yaml);
            clauses.retain(|clause| is_yaml(clause) == prefers_yaml);
        }
        let is_protobuf = |clause: &AcceptClause| clause.serializer() == Some(Serializer::Protobuf);
        let is_alternative =
            |clause: &AcceptClause| !is_protobuf(clause) && clause.form().is_some();
        if clauses.iter().any(is_alternative) {
            clauses.retain(|clause| !is_protobuf(clause));
        }
        if clauses.is_empty() {
            Err(RequestError::NotAcceptable(SUPPORTED_MEDIA_TYPES))
        } else {
            Ok(Self(clauses))
        }
    }

    /// Returns the Accept header for the control plane: every clause as JSON, without weights, because the
    /// order expresses the preference.
    pub(crate) fn header(&self) -> Result<HeaderValue, RequestError> {
        let clauses: Vec<String> = self.0.iter().map(AcceptClause::as_json).collect();
        HeaderValue::from_str(&clauses.join(","))
            .map_err(|_| RequestError::BadRequest("the Accept header cannot be passed on".into()))
    }

    /// Returns the form of the first clause that a custom resource's endpoint supports.
    pub(crate) fn form(&self) -> Form {
        self.0
            .iter()
            .find_map(AcceptClause::form)
            .unwrap_or(Form::Object)
    }

    /// Returns the serializer of the first clause that a custom resource's endpoint supports.
    pub(crate) fn serializer(&self) -> Serializer {
        let mut supported = self.0.iter().filter(|clause| clause.form().is_some());
        let serializer = supported.next().and_then(AcceptClause::serializer);
        serializer.unwrap_or(Serializer::Json)
    }
}

#[cfg(test)]
mod tests {
    use http::header::ACCEPT;

    use super::*;

    fn accept(value: &str) -> Result<Accept, RequestError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(value).unwrap());
        Accept::parse(Verb::Get, &headers)
    }

    #[test]
    fn accept_header_keeps_json_clauses_in_order_of_preference() {
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
    fn protobuf_is_chosen_only_if_nothing_else_is_accepted() {
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
    fn watch_uses_yaml_only_if_client_prefers_it() {
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
            // Rejected later, once nothing else is wrong with the request.
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
    fn unsupported_media_types_are_not_acceptable() {
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
            assert!(
                matches!(parsed, Err(RequestError::NotAcceptable(_))),
                "{value}"
            );
        }
    }

    #[test]
    fn first_of_two_accept_headers_counts() {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, HeaderValue::from_static("text/html"));
        headers.append(ACCEPT, HeaderValue::from_static("application/json"));
        let parsed = Accept::parse(Verb::Get, &headers);
        assert!(matches!(parsed, Err(RequestError::NotAcceptable(_))));
    }

    #[test]
    fn form_is_that_of_first_supported_clause() {
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
}
