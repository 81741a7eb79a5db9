//! Label sets. Values are bounded: names from the configuration and of the exposed resources, never
//! strings from a request.

use prometheus_client::encoding::EncodeLabelSet;

/// The resource and the verb of a request. Empty strings for a request that is not for an exposed resource.
#[derive(Clone, Debug, Default, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct RequestLabels {
    pub control_plane: String,
    pub group: String,
    pub resource: String,
    pub verb: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct ResponseLabels {
    #[prometheus(flatten)]
    pub(super) request: RequestLabels,
    pub(super) code: u16,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct ResourceLabels {
    pub(super) control_plane: String,
    pub(super) group: String,
    pub(super) resource: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct EventLabels {
    pub(super) r#type: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct DirectionLabels {
    pub(super) direction: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct ReasonLabels {
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct ControlPlaneLabels {
    pub(super) control_plane: String,
}

impl ControlPlaneLabels {
    pub(super) fn new(control_plane: &str) -> Self {
        Self {
            control_plane: control_plane.to_owned(),
        }
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct ApiLabels {
    control_plane: String,
    group: String,
    version: String,
}

impl ApiLabels {
    /// `group_version` is `GROUP/VERSION`.
    pub(super) fn new(control_plane: &str, group_version: &str) -> Self {
        let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
        Self {
            control_plane: control_plane.to_owned(),
            group: group.to_owned(),
            version: version.to_owned(),
        }
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct ConnectionLabels {
    pub(super) control_plane: String,
    pub(super) class: &'static str,
}

impl ConnectionLabels {
    pub(super) fn new(control_plane: &str, class: &'static str) -> Self {
        Self {
            control_plane: control_plane.to_owned(),
            class,
        }
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct UpstreamErrorLabels {
    pub(super) control_plane: String,
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct ControllerLabels {
    pub(super) controller: &'static str,
    pub(super) result: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct QueueLabels {
    pub(super) controller: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct CopyLabels {
    pub(super) control_plane: String,
    pub(super) state: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct DroppedEventLabels {
    pub(super) control_plane: String,
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct CopyControllerLabels {
    pub(super) control_plane: String,
    pub(super) controller: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct CopyProblemLabels {
    pub(super) control_plane: String,
    pub(super) controller: &'static str,
    pub(super) reason: String,
}
