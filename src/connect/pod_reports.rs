//! Reads the status of daemons in pods, through the API server of the app cluster.

use http::Request;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::config::Kubeconfig;
use kube::{Api, ResourceExt};

use super::clusters::Cluster;
use crate::app_cluster::describe;
use crate::status::{self, StatusReport};

/// Returns the reports of all pods, with the names of the pods.
///
/// # Errors
/// The app cluster cannot be reached, or a pod does not answer.
pub async fn pod_reports(
    context: &str,
    namespace: &str,
    port: u16,
) -> Result<Vec<(String, StatusReport)>, String> {
    crate::tls::provider::install();
    let kubeconfig = Kubeconfig::read().map_err(|error| error.to_string())?;
    let app = Cluster::open(&kubeconfig, Some(context)).await;
    let app = app.map_err(|error| error.to_string())?;
    let pods: Api<Pod> = Api::namespaced(app.client.clone(), namespace);
    let selector = ListParams::default().labels("app.kubernetes.io/name=claimgate");
    let pods = pods.list_metadata(&selector).await;
    let pods = pods.map_err(|error| format!("cannot list the pods: {}", describe(&error)))?;
    if pods.items.is_empty() {
        return Err(format!(
            "the namespace {namespace:?} has no pods of claimgate; use --system-namespace or --address"
        ));
    }
    let mut reports = Vec::new();
    for pod in pods.items {
        let name = pod.name_any();
        let path = format!(
            "/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy{}",
            status::PATH
        );
        let request = Request::get(path).body(Vec::new());
        let request = request.map_err(|error| error.to_string())?;
        let report = app.client.request::<StatusReport>(request).await;
        let report = report.map_err(|error| {
            format!(
                "cannot read the status of the pod {name}: {}",
                describe(&error)
            )
        })?;
        reports.push((name, report));
    }
    Ok(reports)
}
