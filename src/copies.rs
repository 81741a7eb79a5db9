//! Runs the controllers that copy objects between the clusters, for each control plane.
//!
//! Only the leader runs them. When a replica becomes the leader, its controllers start with empty state.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::join_all;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use tokio::sync::mpsc;

use crate::catalog::{Catalog, ClaimResource};
use crate::claim_events::{ClaimEvents, EventsApi};
use crate::claims::{self, ClaimIndex, ClaimScope, Pointers};
use crate::config::{ApiConfig, Config, InputKind, InputSource};
use crate::connection_secrets::{ConnectionSecrets, CopiedApi};
use crate::input_objects::{InputApi, InputObject, InputObjects, InputRule};
use crate::object_key::Key;
use crate::proxy::ControlPlane;
use crate::status::{CopyRecorder, CopyStatus};
use crate::telemetry::metrics::Metrics;
use crate::upstream::kube_client;
use claim_mapping::ReferencePath;
use claim_mapping::mapping::Mapping;

/// Capacity of a channel of claim keys. The controller reads them immediately.
const KEYS_MAX: usize = 256;

/// The copies for one control plane.
pub(crate) struct Copies {
    /// The name of the control plane.
    name: String,
    /// The name of the app cluster.
    cluster: String,
    mapping: Mapping,
    connection: Vec<CopiedApi>,
    secrets: Vec<InputApi>,
    config_maps: Vec<InputApi>,
    events: Vec<EventsApi>,
    /// The fields of claims that name inputs.
    pointers: Arc<Pointers>,
    app_cluster: kube::Client,
    control_plane: kube::Client,
    catalog: Catalog,
    metrics: Metrics,
    status: CopyRecorder,
}

/// A controller that runs until it is dropped.
type Controller<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

impl Copies {
    /// Returns `None` if nothing is copied for the control plane.
    pub(crate) fn new(
        config: &Config,
        control_plane: &ControlPlane,
        app_cluster: kube::Client,
        catalog: Catalog,
        (metrics, status): (Metrics, CopyStatus),
    ) -> Option<Self> {
        let name = &control_plane.name;
        let is_copied = |api: &&ApiConfig| {
            let copies_anything = !api.secrets.is_off() || events(api).is_some();
            api.control_plane.name == *name && copies_anything
        };
        let apis: Vec<&ApiConfig> = config.apis.iter().filter(is_copied).collect();
        (!apis.is_empty()).then(|| Self {
            name: name.clone(),
            cluster: config.cluster.clone(),
            mapping: control_plane.mapping.clone(),
            connection: apis.iter().filter_map(|api| copied(api)).collect(),
            secrets: inputs(&apis, InputKind::Secret),
            config_maps: inputs(&apis, InputKind::ConfigMap),
            events: apis.iter().filter_map(|api| events(api)).collect(),
            pointers: Arc::new(pointers(&apis)),
            app_cluster,
            control_plane: kube_client(control_plane.upstream.clone()),
            catalog,
            status: CopyRecorder::new(name, status, metrics.copies.clone()),
            metrics,
        })
    }

    /// Runs the controllers until it is dropped.
    pub(crate) async fn run(&self) {
        let _ended = Ended(self);
        let channels = [(); 4].map(|()| mpsc::channel(KEYS_MAX));
        let [connection, secrets, config_maps, events] = channels;
        let followers = [
            (&connection.0, !self.connection.is_empty()),
            (&secrets.0, !self.secrets.is_empty()),
            (&config_maps.0, !self.config_maps.is_empty()),
            (&events.0, !self.events.is_empty()),
        ];
        let followers = followers.into_iter().filter(|(_, is_on)| *is_on);
        let index = ClaimIndex::new(followers.map(|(sender, _)| sender.clone()).collect());
        let follow = claims::follow(
            self.control_plane.clone(),
            self.mapping.clone(),
            Arc::clone(&self.pointers),
            index.clone(),
            || self.resources(),
        );
        let mut controllers: Vec<Controller<'_>> = vec![Box::pin(follow)];
        if !self.connection.is_empty() {
            controllers.push(Box::pin(self.run_connection(index.clone(), connection)));
        }
        if !self.secrets.is_empty() {
            let inputs = self.run_inputs::<Secret>(&self.secrets, index.clone(), secrets);
            controllers.push(Box::pin(inputs));
        }
        if !self.config_maps.is_empty() {
            let inputs =
                self.run_inputs::<ConfigMap>(&self.config_maps, index.clone(), config_maps);
            controllers.push(Box::pin(inputs));
        }
        if !self.events.is_empty() {
            controllers.push(Box::pin(self.run_events(index, events.1)));
        }
        join_all(controllers).await;
    }

    async fn run_connection(
        &self,
        index: ClaimIndex,
        (sender, keys): (mpsc::Sender<Key>, mpsc::Receiver<Key>),
    ) {
        let controller = ConnectionSecrets::new(
            (&self.cluster, &self.name),
            &self.mapping,
            self.connection.clone(),
            (self.app_cluster.clone(), self.control_plane.clone()),
            index,
            (self.metrics.clone(), self.status.clone()),
        );
        controller.run(keys, sender).await;
    }

    async fn run_events(&self, index: ClaimIndex, keys: mpsc::Receiver<Key>) {
        let controller = ClaimEvents::new(
            &self.name,
            &self.mapping,
            self.events.clone(),
            (self.app_cluster.clone(), self.control_plane.clone()),
            index,
            (self.metrics.clone(), self.status.clone()),
        );
        controller.run(keys).await;
    }

    async fn run_inputs<K: InputObject>(
        &self,
        apis: &[InputApi],
        index: ClaimIndex,
        (sender, keys): (mpsc::Sender<Key>, mpsc::Receiver<Key>),
    ) {
        let controller = InputObjects::<K>::new(
            &self.cluster,
            &self.mapping,
            apis.to_vec(),
            (self.app_cluster.clone(), self.control_plane.clone()),
            index,
            (self.metrics.clone(), self.status.clone()),
        );
        controller.run(keys, sender).await;
    }

    /// Returns the resources with claims for which something is copied.
    fn resources(&self) -> Vec<ClaimResource> {
        let connection = self.connection.iter().map(|api| &api.scope.group);
        let inputs = self.secrets.iter().chain(&self.config_maps);
        let events = self.events.iter().map(|api| &api.group);
        let copied = connection.chain(inputs.map(|api| &api.scope.group));
        let groups: Vec<&String> = copied.chain(events).collect();
        let mut resources = self.catalog.claim_resources(&self.name);
        resources.retain(|resource| groups.contains(&&resource.group));
        resources
    }
}

/// Clears the reported state of the copies when this replica is no longer the leader.
struct Ended<'a>(&'a Copies);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.status.clear();
        self.0.metrics.copies.secrets(&self.0.name, 0, 0);
    }
}

/// Returns the claims whose Secrets are copied.
fn scope(api: &ApiConfig) -> ClaimScope {
    ClaimScope {
        group: api.group.clone(),
        namespaces: api.secrets.namespaces.clone(),
    }
}

fn copied(api: &ApiConfig) -> Option<CopiedApi> {
    Some(CopiedApi {
        scope: scope(api),
        secrets: api.secrets.connection.clone()?,
    })
}

fn events(api: &ApiConfig) -> Option<EventsApi> {
    let events = api.events;
    (events.claim || events.composite).then(|| EventsApi {
        group: api.group.clone(),
        versions: api.versions.clone(),
        events,
    })
}

/// Returns the fields that name inputs.
fn pointers(apis: &[&ApiConfig]) -> Pointers {
    let mut all = Pointers::new();
    for api in apis {
        let pointers = all.entry(api.group.clone()).or_default();
        for input in &api.secrets.inputs {
            if let InputSource::Reference(path) = &input.source {
                pointers.push(pointer(path));
            }
        }
    }
    all
}

/// Returns the JSON pointer to a name. Keys of paths need no escapes.
fn pointer(path: &ReferencePath) -> String {
    format!("/{}", path.keys().join("/"))
}

/// Returns the rules for objects of one kind.
fn inputs(apis: &[&ApiConfig], kind: InputKind) -> Vec<InputApi> {
    let pointers = pointers(apis);
    let position = |group: &str, pointer: &str| {
        let pointers = pointers.get(group)?;
        pointers.iter().position(|known| known == pointer)
    };
    let inputs = apis.iter().map(|api| InputApi {
        scope: scope(api),
        rules: api
            .secrets
            .inputs
            .iter()
            .filter(|input| input.kind == kind)
            .filter_map(|input| match &input.source {
                InputSource::Reference(path) => Some(InputRule::Reference {
                    at: position(&api.group, &pointer(path))?,
                    path: path.to_string(),
                    resources: input.resources.clone(),
                }),
                InputSource::Labels(labels) => Some(InputRule::Labels(labels.clone())),
            })
            .collect(),
    });
    inputs.filter(|api| !api.rules.is_empty()).collect()
}
