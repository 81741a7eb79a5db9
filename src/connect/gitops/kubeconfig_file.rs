//! A kubeconfig that refers to no files (`client-go/tools/clientcmd/api/v1/types.go`).

use serde::Serialize;

use super::access::Access;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct KubeconfigFile<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    clusters: [NamedCluster<'a>; 1],
    users: [NamedUser<'a>; 1],
    contexts: [NamedContext<'a>; 1],
    current_context: &'a str,
}

#[derive(Serialize)]
struct NamedCluster<'a> {
    name: &'a str,
    cluster: Cluster<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster<'a> {
    server: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_authority_data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_server_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_url: Option<&'a str>,
}

#[derive(Serialize)]
struct NamedUser<'a> {
    name: &'a str,
    user: User<'a>,
}

#[derive(Serialize)]
struct User<'a> {
    token: &'a str,
}

#[derive(Serialize)]
struct NamedContext<'a> {
    name: &'a str,
    context: Context<'a>,
}

#[derive(Serialize)]
struct Context<'a> {
    cluster: &'a str,
    user: &'a str,
    namespace: &'a str,
}

impl<'a> KubeconfigFile<'a> {
    pub(super) fn new(access: &'a Access) -> Self {
        let (name, endpoint) = (access.name.as_str(), &access.endpoint);
        let cluster = Cluster {
            server: &endpoint.server,
            certificate_authority_data: endpoint.ca_data.as_deref(),
            tls_server_name: endpoint.server_name.as_deref(),
            proxy_url: endpoint.proxy.as_deref(),
        };
        let user = User {
            token: &access.token,
        };
        let context = Context {
            cluster: name,
            user: name,
            namespace: &access.namespace,
        };
        Self {
            api_version: "v1",
            kind: "Config",
            clusters: [NamedCluster { name, cluster }],
            users: [NamedUser { name, user }],
            contexts: [NamedContext { name, context }],
            current_context: name,
        }
    }
}
