//! Errors of the YAML conversion.

/// Error: a document cannot be converted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum YamlError {
    /// The document is invalid. If `go.yaml.in/yaml/v2` rejects it too, the message is the same.
    #[error("{0}")]
    Invalid(String),
    #[error("yaml: exceeded max depth of {max}")]
    TooDeep { max: usize },
    #[error("the converted document is longer than {max} bytes")]
    TooLong { max: usize },
}

impl YamlError {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }
}
