//! Writes events of APIServices.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, Recorder, Reporter};

use kube_wire::group_version::GroupVersion;

/// Writes events of the APIServices of group-versions. Clones share the recorder.
#[derive(Clone)]
pub(super) struct ApiServiceEvents(Recorder);

impl ApiServiceEvents {
    pub(super) fn new(client: kube::Client) -> Self {
        let reporter = Reporter {
            controller: "claimgate".to_owned(),
            instance: std::env::var("HOSTNAME").ok(),
        };
        Self(Recorder::new(client, reporter))
    }

    /// Writes an event. A failure is logged.
    pub(super) async fn publish(&self, group_version: &GroupVersion, event: &Event) {
        let api_service = ObjectReference {
            api_version: Some("apiregistration.k8s.io/v1".to_owned()),
            kind: Some("APIService".to_owned()),
            name: Some(group_version.api_service_name()),
            ..ObjectReference::default()
        };
        if let Err(error) = self.0.publish(event, &api_service).await {
            tracing::warn!(%error, %group_version, "cannot write an event of the APIService");
        }
    }
}
