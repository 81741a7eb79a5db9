//! Waits until the app cluster serves claims.

use std::time::Duration;

use http::Request;
use kube::Client;
use serde_json::Value;
use tokio::time::Instant;

use super::session::Session;
use crate::app_cluster::describe;

const POLL: Duration = Duration::from_millis(500);

/// The reason why the app cluster does not serve the claims of a group.
pub(super) struct NotServed {
    pub(super) group: String,
    pub(super) problem: String,
}

/// Prints the resources, and a command to try.
pub(super) fn print(session: &Session, resources: &[String]) {
    println!("\nThe app cluster serves:");
    for resource in resources {
        println!("  {resource}");
    }
    if let Some(first) = resources.first() {
        let context = &session.app.context;
        println!("\nTry: kubectl --context {context} get {first}");
    }
}

/// Waits until requests for the claims of each group succeed through the API server of the app cluster. Returns the
/// resources. `Available` of the APIService is not enough: before Kubernetes 1.36 it does not verify the certificate.
pub(super) async fn wait(session: &Session, time_max: Duration) -> Result<Vec<String>, NotServed> {
    let until = Instant::now() + time_max;
    let mut resources = Vec::new();
    for group in &session.tenant.groups {
        loop {
            match served(&session.app.client, group).await {
                Ok(found) => {
                    resources.extend(found);
                    break;
                }
                Err(problem) if Instant::now() > until => {
                    return Err(NotServed {
                        group: group.clone(),
                        problem,
                    });
                }
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }
    Ok(resources)
}

/// Lists one claim of each resource of a group.
async fn served(client: &Client, group: &str) -> Result<Vec<String>, String> {
    let list = get(client, &format!("/apis/{group}")).await?;
    let versions = list.get("versions").and_then(Value::as_array);
    let versions = versions.into_iter().flatten();
    let versions = versions.filter_map(|version| version.get("groupVersion")?.as_str());
    let mut served: Vec<String> = Vec::new();
    for version in versions {
        let list = get(client, &format!("/apis/{version}")).await?;
        let resources = list.get("resources").and_then(Value::as_array);
        let names = resources.into_iter().flatten();
        let names = names.filter_map(|resource| resource.get("name")?.as_str());
        for name in names.filter(|name| !name.contains('/')) {
            let path = format!("/apis/{version}/namespaces/default/{name}?limit=1");
            get(client, &path).await?;
            let name = format!("{name}.{group}");
            if !served.contains(&name) {
                served.push(name);
            }
        }
    }
    match served.is_empty() {
        true => Err("the group has no resources".to_owned()),
        false => Ok(served),
    }
}

async fn get(client: &Client, path: &str) -> Result<Value, String> {
    let request = Request::get(path).body(Vec::new());
    let request = request.map_err(|error| error.to_string())?;
    let reply = client.request(request).await;
    reply.map_err(|error| describe(&error))
}
