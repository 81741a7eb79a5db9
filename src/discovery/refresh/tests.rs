//! What is told after a turn, and the next, of control planes that change or don't.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::*;
use crate::config::{self, Secret};
use crate::dev::control_plane::faults::Fault;
use crate::dev::control_plane::{ControlPlane, Options, Resource};
use crate::dev::example;
use crate::discovery::{self, Answer, Asked, ExposedApi};
use crate::status::Media;
use crate::upstream::credentials::Credentials;
use crate::upstream::tests::upstream;

const APIS: &str = "/apis";
const V2: &str = "/openapi/v2";
const V3: &str = "/openapi/v3";
const GROUP_VERSION: &str = "/openapi/v3/apis/k8s.starter.org/v1alpha1";

const NONE: [&str; 0] = [];

/// ETags and bodies, by path.
type Told = BTreeMap<&'static str, (Option<HeaderValue>, Bytes)>;

/// One instance, which learns when it is told to.
struct Instance {
    learner: Learner,
    source: Source,
}

impl Instance {
    fn before(control_plane: &ControlPlane) -> Self {
        let token = config::Credentials::Token(Secret::new(control_plane.token().to_owned()));
        let upstream = upstream(control_plane, control_plane.address().port());
        let exposure = Exposure {
            control_plane: upstream.name().to_owned(),
            apis: vec![ExposedApi {
                group: "k8s.starter.org".to_owned(),
                versions: [].into(),
                resources: config::Resources::Category("claim".to_owned()),
                read_only: false,
            }],
        };
        let credentials = Credentials::load(&token).unwrap();
        Self {
            learner: Learner::new(exposure.clone(), Catalog::new(vec![exposure])),
            source: Source::new(upstream, credentials, String::new()),
        }
    }

    /// What it tells after one more turn.
    async fn learns(&mut self) -> Told {
        self.learner.learn(&self.source).await.unwrap();
        let paths = [APIS, V2, V3, GROUP_VERSION];
        let told: Told = paths.map(|path| (path, self.tells(path))).into();
        let index: Value = serde_json::from_slice(&told[V3].1).unwrap();
        let etag = told[GROUP_VERSION].0.as_ref().unwrap().to_str().unwrap();
        let etag = etag.trim_matches('"');
        let prefix = GROUP_VERSION.strip_prefix("/openapi/v3/").unwrap();
        assert_eq!(
            index["paths"][prefix]["serverRelativeURL"],
            format!("{GROUP_VERSION}?hash={etag}")
        );
        told
    }

    fn tells(&self, path: &str) -> (Option<HeaderValue>, Bytes) {
        let asked = Asked {
            path,
            query: "",
            accept: Some(if path == APIS {
                ACCEPT
            } else {
                "application/json"
            }),
            media: Some(Media::JSON),
            if_none_match: None,
        };
        let answer = if path.starts_with("/openapi/") {
            openapi::answer(&self.learner.catalog, &asked)
        } else {
            discovery::answer(&self.learner.catalog, &asked)
        };
        let Answer::Document {
            status: StatusCode::OK,
            headers,
            body,
        } = answer
        else {
            panic!("{path}: {answer:?}")
        };
        (headers.get(header::ETAG).cloned(), body)
    }
}

async fn control_plane() -> ControlPlane {
    let options = Options {
        ready_after: None,
        ..example::options()
    };
    ControlPlane::start(options).await.unwrap()
}

/// With one more field in its schema.
fn with_field(mut resource: Resource) -> Resource {
    resource.schema["properties"]["spec"]["properties"]["field"] = json!({"type": "integer"});
    resource
}

fn differing(one: &Told, other: &Told) -> Vec<&'static str> {
    let etags = one.keys().filter(|path| one[*path].0 != other[*path].0);
    let bodies = one.keys().filter(|path| one[*path].1 != other[*path].1);
    let etags: Vec<_> = etags.copied().collect();
    assert_eq!(etags, bodies.copied().collect::<Vec<_>>());
    etags
}

#[tokio::test]
async fn etags_change_exactly_when_what_is_exposed_does() {
    let control_plane = control_plane().await;
    let mut instance = Instance::before(&control_plane);
    let first = instance.learns().await;
    for _ in 0..3 {
        assert_eq!(differing(&instance.learns().await, &first), NONE);
    }
    let seen_by_another = Instance::before(&control_plane).learns().await;
    assert_eq!(differing(&seen_by_another, &first), NONE);

    control_plane.add_resources([with_field(example::network_policies())]);
    assert_eq!(differing(&instance.learns().await, &first), NONE);
    let seen_by_another = Instance::before(&control_plane).learns().await;
    assert_eq!(differing(&seen_by_another, &first), NONE);

    control_plane.add_resources([with_field(example::claims())]);
    let changed = instance.learns().await;
    assert_eq!(differing(&changed, &first), [V2, V3, GROUP_VERSION]);
    let seen_by_another = Instance::before(&control_plane).learns().await;
    assert_eq!(differing(&seen_by_another, &changed), NONE);

    control_plane.add_resources([Resource {
        short_names: vec!["other".to_owned()],
        ..example::claims()
    }]);
    assert_eq!(differing(&instance.learns().await, &first), [APIS]);

    control_plane.add_resources([example::claims()]);
    assert_eq!(differing(&instance.learns().await, &first), NONE);
}

/// The index is that of a moment before, or of another of the control plane's servers.
#[tokio::test]
async fn a_hash_that_is_no_longer_right_is_no_failure() {
    let control_plane = control_plane().await;
    let prefix = GROUP_VERSION.strip_prefix("/openapi/v3/").unwrap();
    let index =
        json!({"paths": {prefix: {"serverRelativeURL": format!("{GROUP_VERSION}?hash=AB")}}});
    let stale = Fault::Answer {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: index.to_string().into(),
    };
    let current = Instance::before(&control_plane).learns().await;
    let faults = control_plane.faults();
    faults.add(|request| request.path == V3, stale);
    let seen = Instance::before(&control_plane).learns().await;
    assert_eq!(differing(&seen, &current), NONE);
}

/// Which is the only thing to change when another version is stored.
#[tokio::test]
async fn a_storage_version_that_changes_is_told_of() {
    const LIST: &str = "/apis/k8s.starter.org/v1alpha1";
    let control_plane = control_plane().await;
    let mut instance = Instance::before(&control_plane);
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
        instance.learner.learn(&instance.source).await.unwrap();
        let (_, body) = instance.tells(LIST);
        let told = String::from_utf8_lossy(&body).into_owned();
        assert!(told.contains(hash), "{told}");
    }
}
