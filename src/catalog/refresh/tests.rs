//! Checks the documents after consecutive refreshes, with and without changes on the control plane.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::*;
use crate::catalog::DocumentStore;
use crate::catalog::document::{DocumentReply, DocumentRequest};
use crate::catalog::exposure::{ExposedApi, ResourceSelection};
use crate::catalog::serve::serve;
use crate::upstream::tests::upstream;
use dev_control_plane::example;
use dev_control_plane::faults::Fault;
use dev_control_plane::{DevControlPlane, DevControlPlaneOptions, Resource};
use kube_wire::status::ResponseFormat;

const APIS: &str = "/apis";
const V2: &str = "/openapi/v2";
const V3: &str = "/openapi/v3";
const GROUP_VERSION: &str = "/openapi/v3/apis/k8s.starter.org/v1alpha1";

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";

const NONE: [&str; 0] = [];

/// ETags and bodies, by path.
type Documents = BTreeMap<&'static str, (Option<HeaderValue>, Bytes)>;

/// One instance of claimgate. The test decides when it refreshes.
struct Instance {
    refresher: Refresher,
    client: DocumentClient,
}

impl Instance {
    fn new(control_plane: &DevControlPlane) -> Self {
        Self::with_cache(control_plane, None)
    }

    fn with_cache(control_plane: &DevControlPlane, cache: Option<DiscoveryCache>) -> Self {
        let port = control_plane.address().port();
        let upstream = upstream(control_plane, port, &Metrics::new());
        let exposure = Exposure {
            control_plane: upstream.name().to_owned(),
            apis: vec![ExposedApi {
                group: "k8s.starter.org".to_owned(),
                versions: [].into(),
                resources: ResourceSelection::Category("claim".to_owned()),
                read_only: false,
            }],
            translates_names: false,
        };
        let options = RefreshOptions {
            exposure: exposure.clone(),
            degrade_after: Duration::ZERO,
            namespaces: vec!["app-ns-1".to_owned()],
            cache,
        };
        Self {
            refresher: Refresher::new(options, Catalog::new(vec![exposure])),
            client: DocumentClient::new(upstream),
        }
    }

    /// Refreshes once and returns the documents.
    async fn refresh(&mut self) -> Documents {
        self.refresher.refresh(&self.client).await.unwrap();
        let documents = self.documents();
        let index: Value = serde_json::from_slice(&documents[V3].1).unwrap();
        let etag = documents[GROUP_VERSION]
            .0
            .as_ref()
            .unwrap()
            .to_str()
            .unwrap();
        let etag = etag.trim_matches('"');
        let prefix = GROUP_VERSION.strip_prefix("/openapi/v3/").unwrap();
        assert_eq!(
            index["paths"][prefix]["serverRelativeURL"],
            format!("{GROUP_VERSION}?hash={etag}")
        );
        documents
    }

    async fn fail_to_refresh(&mut self) {
        let refreshed = self.refresher.refresh(&self.client).await;
        refreshed.unwrap_err();
    }

    fn documents(&self) -> Documents {
        let paths = [APIS, V2, V3, GROUP_VERSION];
        paths.map(|path| (path, self.document(path))).into()
    }

    fn reply(&self, path: &str) -> DocumentReply {
        let request = DocumentRequest {
            path,
            query: "",
            accept: Some(if path == APIS {
                ACCEPT
            } else {
                "application/json"
            }),
            format: Some(ResponseFormat::JSON),
            if_none_match: None,
        };
        serve(&self.refresher.catalog, &request)
    }

    fn document(&self, path: &str) -> (Option<HeaderValue>, Bytes) {
        let reply = self.reply(path);
        let DocumentReply::Response {
            status: StatusCode::OK,
            headers,
            body,
        } = reply
        else {
            panic!("{path}: {reply:?}")
        };
        (headers.get(header::ETAG).cloned(), body)
    }
}

async fn control_plane() -> DevControlPlane {
    let options = DevControlPlaneOptions {
        ready_after: None,
        ..example::options()
    };
    DevControlPlane::start(options).await.unwrap()
}

/// Returns the resource with one more field in its schema.
fn with_field(mut resource: Resource) -> Resource {
    resource.schema["properties"]["spec"]["properties"]["field"] = json!({"type": "integer"});
    resource
}

/// Returns the paths whose documents differ. ETags and bodies must differ together.
fn differing(one: &Documents, other: &Documents) -> Vec<&'static str> {
    let etags = one.keys().filter(|path| one[*path].0 != other[*path].0);
    let bodies = one.keys().filter(|path| one[*path].1 != other[*path].1);
    let etags: Vec<_> = etags.copied().collect();
    assert_eq!(etags, bodies.copied().collect::<Vec<_>>());
    etags
}

#[tokio::test]
async fn etags_change_exactly_with_exposed_resources() {
    let control_plane = control_plane().await;
    let mut instance = Instance::new(&control_plane);
    let first = instance.refresh().await;
    for _ in 0..3 {
        assert_eq!(differing(&instance.refresh().await, &first), NONE);
    }
    let other_instance = Instance::new(&control_plane).refresh().await;
    assert_eq!(differing(&other_instance, &first), NONE);

    control_plane.add_resources([with_field(example::network_policy_resource())]);
    assert_eq!(differing(&instance.refresh().await, &first), NONE);
    let other_instance = Instance::new(&control_plane).refresh().await;
    assert_eq!(differing(&other_instance, &first), NONE);

    control_plane.add_resources([with_field(example::claim_resource())]);
    let changed = instance.refresh().await;
    assert_eq!(differing(&changed, &first), [V2, V3, GROUP_VERSION]);
    let other_instance = Instance::new(&control_plane).refresh().await;
    assert_eq!(differing(&other_instance, &changed), NONE);

    control_plane.add_resources([Resource {
        short_names: vec!["other".to_owned()],
        ..example::claim_resource()
    }]);
    assert_eq!(differing(&instance.refresh().await, &first), [APIS]);

    control_plane.add_resources([example::claim_resource()]);
    assert_eq!(differing(&instance.refresh().await, &first), NONE);
}

/// The index may be outdated, or come from another replica of the control plane.
#[tokio::test]
async fn document_is_read_despite_outdated_openapi_hash() {
    let control_plane = control_plane().await;
    let prefix = GROUP_VERSION.strip_prefix("/openapi/v3/").unwrap();
    let index =
        json!({"paths": {prefix: {"serverRelativeURL": format!("{GROUP_VERSION}?hash=AB")}}});
    let stale = Fault::Answer {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: index.to_string().into(),
    };
    let current = Instance::new(&control_plane).refresh().await;
    let faults = control_plane.faults();
    faults.add(|request| request.path == V3, stale);
    let seen = Instance::new(&control_plane).refresh().await;
    assert_eq!(differing(&seen, &current), NONE);
}

/// A changed storage version changes nothing else in discovery.
#[tokio::test]
async fn changed_storage_version_hash_is_served() {
    const LIST: &str = "/apis/k8s.starter.org/v1alpha1";
    let control_plane = control_plane().await;
    let mut instance = Instance::new(&control_plane);
    for hash in ["Zmlyc3Q=", "c2Vjb25k"] {
        let resource = json!({"name": "kubernetesclusters", "storageVersionHash": hash});
        let list = Fault::Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: json!({"resources": [resource]}).to_string().into(),
        };
        control_plane.faults().clear();
        control_plane
            .faults()
            .add(|request| request.path == LIST, list);
        instance.refresher.refresh(&instance.client).await.unwrap();
        let (_, body) = instance.document(LIST);
        let text = String::from_utf8_lossy(&body).into_owned();
        assert!(text.contains(hash), "{text}");
    }
}

/// Otherwise the APIService is unavailable, and clients that read all resource lists fail.
#[tokio::test]
async fn exposed_version_without_resources_has_an_empty_resource_list() {
    const LIST: &str = "/apis/k8s.starter.org/v1alpha1";
    let control_plane = control_plane().await;
    control_plane.remove_resource("k8s.starter.org", "v1alpha1", "kubernetesclusters");
    let mut instance = Instance::new(&control_plane);
    assert!(matches!(instance.reply(LIST), DocumentReply::NotSynced(_)));
    instance.refresher.refresh(&instance.client).await.unwrap();
    for version in ["v1alpha1", "v1"] {
        let path = LIST.replace("v1alpha1", version);
        let expected = json!({
            "kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": format!("k8s.starter.org/{version}"), "resources": [],
        });
        let (etag, body) = instance.document(&path);
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
        assert_eq!(etag, None);
    }
    for path in ["/apis/other.org/v1", "/apis/k8s.starter.org/V_1"] {
        assert!(matches!(instance.reply(path), DocumentReply::NotFound));
    }
}

/// Resources that the control plane does not serve have no objects, unlike those that are not exposed.
#[tokio::test]
async fn lookup_distinguishes_resources_that_are_not_exposed_from_missing_ones() {
    let control_plane = control_plane().await;
    let cluster_scoped = Resource {
        namespaced: false,
        ..Resource::new("k8s.starter.org", "v1alpha1", "Volume")
    };
    control_plane.add_resources([cluster_scoped]);
    let mut instance = Instance::new(&control_plane);
    let found = |instance: &Instance, group, resource| {
        let catalog = &instance.refresher.catalog;
        let found = catalog.resource(group, "v1alpha1", resource);
        format!("{found:?}").split('(').next().unwrap().to_owned()
    };
    let claims = |instance: &Instance| found(instance, "k8s.starter.org", "kubernetesclusters");
    assert_eq!(claims(&instance), "NotSynced");
    assert_eq!(found(&instance, "other.org", "others"), "NotExposed");
    // The second refresh gets 304.
    for _ in 0..2 {
        instance.refresher.refresh(&instance.client).await.unwrap();
        assert_eq!(claims(&instance), "Found");
        for (resource, expected) in [
            ("clusternetworkpolicies", "NotExposed"),
            ("volumes", "NotServed"),
            ("nothings", "NotServed"),
        ] {
            assert_eq!(found(&instance, "k8s.starter.org", resource), expected);
        }
        assert_eq!(found(&instance, "other.org", "others"), "NotExposed");
    }
    // A claim API that leaves the category is not exposed any more, but its claims still exist.
    let mut instance = Instance::new(&control_plane);
    let without_category = Resource {
        categories: Vec::new(),
        ..example::claim_resource()
    };
    control_plane.add_resources([without_category]);
    instance.refresher.refresh(&instance.client).await.unwrap();
    assert_eq!(claims(&instance), "NotExposed");
}

/// Controllers of the app cluster ignore resources without `watch`, and continue with all others.
#[tokio::test]
async fn outage_removes_only_the_verb_watch() {
    let control_plane = control_plane().await;
    let mut instance = Instance::new(&control_plane);
    let before = instance.refresh().await;
    let faults = control_plane.faults();
    faults.add(|request| request.path == APIS, unavailable());
    instance.fail_to_refresh().await;
    let outage = instance.documents();
    assert_eq!(differing(&outage, &before), [APIS]);
    let (_, body) = &outage[APIS];
    let verbs = verbs(body);
    assert_eq!(
        verbs,
        json!([
            "delete",
            "deletecollection",
            "get",
            "list",
            "patch",
            "create",
            "update"
        ])
    );
    let (_, list) = instance.document("/apis/k8s.starter.org/v1alpha1");
    assert!(!String::from_utf8_lossy(&list).contains("watch"));
    faults.clear();
    // Reads must succeed for a while before the outage is over.
    assert_eq!(differing(&instance.refresh().await, &outage), NONE);
}

/// API servers answer discovery from memory while etcd is down.
#[tokio::test]
async fn failed_readyz_removes_the_verb_watch() {
    let control_plane = control_plane().await;
    let mut instance = Instance::new(&control_plane);
    let before = instance.refresh().await;
    let faults = control_plane.faults();
    faults.add(|request| request.path == "/readyz", unavailable());
    let outage = instance.refresh().await;
    assert_eq!(differing(&outage, &before), [APIS]);
    assert!(!verbs(&outage[APIS].1).to_string().contains("watch"));
}

/// Returns the verbs of the claims.
fn verbs(discovery: &Bytes) -> Value {
    let discovery: Value = serde_json::from_slice(discovery).unwrap();
    discovery["items"][0]["versions"][0]["resources"][0]["verbs"].clone()
}

fn unavailable() -> Fault {
    Fault::Answer {
        status: StatusCode::SERVICE_UNAVAILABLE,
        headers: HeaderMap::new(),
        body: Bytes::new(),
    }
}

/// Stores one document.
#[derive(Default)]
struct OneDocument(Mutex<Option<Vec<u8>>>);

impl DocumentStore for OneDocument {
    fn read<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, String>> {
        let document = self.0.lock().unwrap().clone();
        Box::pin(async move { Ok(document) })
    }

    fn write<'a>(&'a self, _: &'a str, document: Vec<u8>) -> BoxFuture<'a, Result<(), String>> {
        *self.0.lock().unwrap() = Some(document);
        Box::pin(async { Ok(()) })
    }
}

/// Otherwise the APIServices would be unavailable after a restart, and no namespace could be deleted.
#[tokio::test]
async fn restart_during_outage_serves_saved_documents() {
    let control_plane = control_plane().await;
    let store = Arc::new(OneDocument::default());
    let cache = |exposure: &str| {
        Some(DiscoveryCache {
            store: store.clone(),
            server: "platform".to_owned(),
            exposure: exposure.to_owned(),
        })
    };
    let name = "platform";
    let mut instance = Instance::with_cache(&control_plane, cache("one"));
    instance.refresher.load(name).await;
    let before = instance.refresh().await;
    let (_, list) = instance.document("/apis/k8s.starter.org/v1alpha1");

    control_plane
        .faults()
        .add(|request| request.path == APIS, unavailable());
    let mut restarted = Instance::with_cache(&control_plane, cache("one"));
    restarted.refresher.load(name).await;
    restarted.fail_to_refresh().await;
    restarted.refresher.restore(name);
    assert_eq!(differing(&restarted.documents(), &before), [APIS]);
    let (_, restored) = restarted.document("/apis/k8s.starter.org/v1alpha1");
    let text = String::from_utf8(list.to_vec()).unwrap();
    assert_eq!(
        String::from_utf8(restored.to_vec()).unwrap(),
        text.replace(",\"watch\"", "")
    );
    assert!(restarted.refresher.catalog.ready().is_ok());

    let offered = instance.refresher.catalog.offered_before(name);
    let mut other = Instance::with_cache(&control_plane, cache("two"));
    other.refresher.load(name).await;
    other.refresher.restore(name);
    assert!(matches!(other.reply(APIS), DocumentReply::NotSynced(_)));
    assert_eq!(other.refresher.catalog.offered_before(name), offered);

    let kept = store.0.lock().unwrap().clone().unwrap();
    for damaged in [&kept[..kept.len() - 1], &kept[1..], b"", b"{}"] {
        *store.0.lock().unwrap() = Some(damaged.to_vec());
        let mut other = Instance::with_cache(&control_plane, cache("one"));
        other.refresher.load(name).await;
        other.refresher.restore(name);
        assert!(matches!(other.reply(APIS), DocumentReply::NotSynced(_)));
    }

    control_plane.faults().clear();
    restarted
        .refresher
        .refresh(&restarted.client)
        .await
        .unwrap();
    assert_eq!(differing(&restarted.documents(), &before), [APIS]);
}

/// A kube-apiserver that is starting forbids everything until it has read its roles. Without any API, namespaces could
/// be deleted while their claims exist.
#[tokio::test]
async fn rights_that_are_missing_at_the_start_must_be_confirmed() {
    let control_plane = control_plane().await;
    let no_rights = Fault::Answer {
        status: StatusCode::CREATED,
        headers: HeaderMap::new(),
        body: json!({"status": {"resourceRules": [], "incomplete": false}})
            .to_string()
            .into(),
    };
    let faults = control_plane.faults();
    faults.add(|request| request.path == REVIEWS, no_rights);
    let mut instance = Instance::new(&control_plane);
    for _ in 0..3 {
        instance.fail_to_refresh().await;
        assert!(matches!(instance.reply(APIS), DocumentReply::NotSynced(_)));
        // The control plane answers, so there is no outage.
        assert!(!instance.refresher.must_restore("platform"));
    }
    faults.clear();
    let documents = instance.refresh().await;
    assert_eq!(verbs(&documents[APIS].1).as_array().unwrap().len(), 8);
}

/// Otherwise it would be offered with all verbs, and would keep those that protect namespaces.
#[tokio::test]
async fn resource_is_not_offered_before_its_rights_are_read() {
    let control_plane = control_plane().await;
    let mut instance = Instance::new(&control_plane);
    instance.refresh().await;
    let faults = control_plane.faults();
    faults.add(|request| request.path == REVIEWS, unavailable());
    instance
        .refresher
        .catalog
        .set_rights_stale("platform", true);
    instance.refresh().await;
    control_plane.add_resources([Resource {
        categories: vec!["claim".to_owned()],
        ..Resource::new("k8s.starter.org", "v1alpha1", "Volume")
    }]);
    instance.fail_to_refresh().await;
    let (_, body) = instance.document(APIS);
    assert!(!String::from_utf8_lossy(&body).contains("volumes"));
    faults.clear();
    let documents = instance.refresh().await;
    assert!(String::from_utf8_lossy(&documents[APIS].1).contains("volumes"));
}
