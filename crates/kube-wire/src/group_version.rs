//! A version of an API group, as in `apiVersion`.

use std::fmt;
use std::str::FromStr;

/// A version of a named API group.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct GroupVersion {
    pub group: String,
    pub version: String,
}

/// A text that is not `GROUP/VERSION`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("is not of the form GROUP/VERSION")]
pub struct InvalidGroupVersion;

impl GroupVersion {
    pub fn new(group: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            group: group.into(),
            version: version.into(),
        }
    }

    /// Returns the name of the APIService of this group-version
    /// (`kube-aggregator/pkg/apis/apiregistration/validation/validation.go`).
    pub fn api_service_name(&self) -> String {
        format!("{}.{}", self.version, self.group)
    }
}

impl fmt::Display for GroupVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.version)
    }
}

impl FromStr for GroupVersion {
    type Err = InvalidGroupVersion;

    fn from_str(text: &str) -> Result<Self, InvalidGroupVersion> {
        match text.split_once('/') {
            Some((group, version))
                if !group.is_empty() && !version.is_empty() && !version.contains('/') =>
            {
                Ok(Self::new(group, version))
            }
            _ => Err(InvalidGroupVersion),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_a_group_and_a_version() {
        let parsed: GroupVersion = "k8s.starter.org/v1alpha1".parse().unwrap();
        assert_eq!(parsed, GroupVersion::new("k8s.starter.org", "v1alpha1"));
        assert_eq!(parsed.to_string(), "k8s.starter.org/v1alpha1");
        assert_eq!(parsed.api_service_name(), "v1alpha1.k8s.starter.org");
        for invalid in ["", "v1", "/v1", "group/", "a/b/c"] {
            assert_eq!(invalid.parse::<GroupVersion>(), Err(InvalidGroupVersion));
        }
    }
}
