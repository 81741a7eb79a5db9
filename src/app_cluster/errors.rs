//! Reads the errors of requests to the app cluster.

/// Returns the message of an error. For a rejection, this is only the message of its Status.
pub(crate) fn describe(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// Returns whether a request failed with this status code.
pub(crate) fn has_status(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

/// Returns whether a create failed because its namespace is being deleted
/// (`k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle`).
pub(crate) fn is_namespace_terminating(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else {
        return false;
    };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut reasons = causes.map(|cause| &*cause.reason);
    reasons.any(|reason| reason == "NamespaceTerminating")
}
