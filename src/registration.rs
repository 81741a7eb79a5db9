//! Registers the offered group-versions in the app cluster: one APIService for each.
//!
//! The replica that holds the Lease compares what the catalog offers with the APIServices, and writes only what
//! differs:
//!
//! - An APIService without a working backend blocks the deletion of every namespace in the app cluster. So an
//!   APIService is created only after the daemon answers through its Service, and only for a group-version with
//!   resources.
//! - APIServices are deleted only when the API is no longer offered. They stay when the daemon stops, because other
//!   replicas may still serve requests.
//! - APIServices that belong to someone else stay. The log, an event and a metric report them.

mod conflicts;
mod endpoint;
mod events;
mod outages;
mod plan;

use std::sync::Arc;
use std::time::Duration;

use either::Either;
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Preconditions};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::conflicts::ConflictReport;
use self::endpoint::EndpointError;
use self::events::ApiServiceEvents;
use self::outages::OutageReport;
pub(crate) use self::plan::is_own;
use self::plan::{Action, Authority, Plan, Template};
use crate::app_cluster::{describe, write_parameters};
use crate::catalog::{Catalog, Offers};
use crate::config::Register;
use crate::leader::Leadership;
use crate::telemetry::metrics::Metrics;
use crate::tls::watched::Watched;
use kube_wire::group_version::GroupVersion;

/// Maximum time between two comparisons. An APIService that someone deleted is restored within this time.
const INTERVAL: Duration = Duration::from_secs(30);

/// Interval at which the offers of the catalog are compared, also after a failure.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// The name of this controller in metrics.
const CONTROLLER: &str = "registration";

/// The reason why the APIServices could not be compared or written.
#[derive(Debug, thiserror::Error)]
enum RegistrationError {
    #[error("the app cluster rejects a request: {}", describe(.0))]
    Api(#[from] kube::Error),
    #[error(
        "claimgate cannot reach itself through the Service, as kube-apiserver does: {0}; check register.service and the serving certificate"
    )]
    Endpoint(#[from] EndpointError),
}

/// PEM of the CAs that signed the serving certificate. APIServices trust them, unless cert-manager writes their CA.
pub(crate) enum CaBundle {
    /// The content of a file that is read again when it changes.
    File(Arc<Watched<Vec<u8>>>),
    /// The content of a Secret that the daemon keeps up to date.
    Managed(watch::Receiver<Arc<Vec<u8>>>),
}

impl CaBundle {
    fn current(&self) -> Arc<Vec<u8>> {
        match self {
            Self::File(file) => file.current(),
            Self::Managed(bundle) => Arc::clone(&bundle.borrow()),
        }
    }
}

/// Keeps the APIServices of the app cluster equal to the offers of the catalog.
pub(crate) struct Registrar {
    client: kube::Client,
    config: Register,
    ca_bundle: CaBundle,
    /// The CA bundle in the APIServices.
    in_place: watch::Sender<Option<Arc<Vec<u8>>>>,
    catalog: Catalog,
    metrics: Metrics,
    conflicts: ConflictReport,
    outages: OutageReport,
}

/// The last successful comparison.
struct Done {
    at: Instant,
    offers: Offers,
    ca_bundle: Arc<Vec<u8>>,
}

impl Done {
    fn is_over(&self, offers: &Offers, ca_bundle: &[u8]) -> bool {
        self.at.elapsed() >= INTERVAL
            || self.offers.digests != offers.digests
            || *self.ca_bundle != ca_bundle
    }
}

impl Registrar {
    pub(crate) fn new(
        client: kube::Client,
        config: Register,
        ca_bundle: CaBundle,
        catalog: Catalog,
        metrics: Metrics,
    ) -> Self {
        let events = ApiServiceEvents::new(client.clone());
        Self {
            conflicts: ConflictReport::new(events.clone(), metrics.clone()),
            outages: OutageReport::new(events),
            client,
            config,
            ca_bundle,
            in_place: watch::Sender::new(None),
            catalog,
            metrics,
        }
    }

    /// Returns the CA bundle in the APIServices. Known only to the leader.
    pub(crate) fn in_place(&self) -> watch::Receiver<Option<Arc<Vec<u8>>>> {
        self.in_place.subscribe()
    }

    /// Returns one line for each API that is not registered. Known only to the leader.
    pub(crate) fn problems(&self) -> watch::Receiver<Vec<String>> {
        self.conflicts.problems()
    }

    /// Runs until `stop` is cancelled. The APIServices stay.
    pub(crate) async fn run(mut self, mut leadership: Leadership, stop: CancellationToken) {
        let mut done: Option<Done> = None;
        let mut was_failing = false;
        loop {
            if leadership.is_leader() {
                let result = self.sync_if_due(&mut done).await;
                if let Err(error) = &result {
                    self.metrics.controller_sync(CONTROLLER, false);
                    if !was_failing {
                        tracing::warn!(%error, "cannot register APIServices; claimgate tries again");
                    }
                } else if was_failing {
                    tracing::info!("APIServices can be registered again");
                }
                was_failing = result.is_err();
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = leadership.changed() => {}
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
        }
    }

    /// Compares and writes if the offers or the CA changed, or if the last comparison is too old.
    async fn sync_if_due(&mut self, done: &mut Option<Done>) -> Result<(), RegistrationError> {
        let (offers, ca_bundle) = (self.catalog.offers(), self.ca_bundle.current());
        let is_over = |done: &Done| done.is_over(&offers, &ca_bundle);
        if !done.as_ref().is_none_or(is_over) {
            return Ok(());
        }
        self.sync(&offers, &ca_bundle).await?;
        self.in_place.send_replace(Some(Arc::clone(&ca_bundle)));
        self.metrics.controller_sync(CONTROLLER, true);
        *done = Some(Done {
            at: Instant::now(),
            offers,
            ca_bundle,
        });
        Ok(())
    }

    /// Compares and writes once.
    async fn sync(&mut self, offers: &Offers, ca_bundle: &[u8]) -> Result<(), RegistrationError> {
        let api: Api<APIService> = Api::all(self.client.clone());
        let existing = api.list(&ListParams::default()).await?.items;
        let template = Template {
            service: self.config.service.clone(),
            authority: match &self.config.ca_injection {
                None => Authority::Own(ca_bundle.to_vec()),
                Some(injection) => Authority::Injected(injection.clone()),
            },
            owner: self.owner().await?,
            priority: self.config.priority,
            adopt: self.config.adopt.clone(),
        };
        let plan = Plan::new(offers, existing, &template);
        self.conflicts.report(&plan.conflicts).await;
        self.outages.report(&offers.degraded).await;
        let writes = |action: &Action| !matches!(action, Action::Delete { .. });
        if plan.actions.iter().any(writes) {
            endpoint::check(&self.client, &self.config.service, ca_bundle).await?;
        }
        for group_version in &plan.adopted {
            self.warn_of_hidden_resources(group_version).await;
        }
        // The failure of one APIService must not prevent the registration of the others.
        let mut failed = Ok(());
        for action in plan.actions {
            if let Err(error) = apply(&api, action).await {
                failed = Err(error.into());
            }
        }
        failed
    }

    /// Logs the local resources that clients can no longer reach. Their objects stay in the app cluster.
    async fn warn_of_hidden_resources(&self, group_version: &GroupVersion) {
        let resources = self
            .client
            .list_api_group_resources(&group_version.to_string())
            .await;
        match resources {
            Ok(list) => {
                let names = list.resources.iter().map(|resource| &*resource.name);
                let names: Vec<&str> = names.filter(|name| !name.contains('/')).collect();
                tracing::warn!(
                    %group_version,
                    resources = names.join(", "),
                    "adopting: clients no longer reach the objects that the app cluster itself stores in these resources"
                );
            }
            Err(error) => tracing::warn!(
                %group_version,
                %error,
                "adopting: clients no longer reach the objects that the app cluster itself stores in this version"
            ),
        }
    }

    /// Returns the ClusterRole that owns the APIServices.
    async fn owner(&self) -> Result<Option<OwnerReference>, kube::Error> {
        let Some(name) = &self.config.cluster_role else {
            return Ok(None);
        };
        let api: Api<ClusterRole> = Api::all(self.client.clone());
        let role = api.get_metadata(name).await?;
        Ok(Some(OwnerReference {
            api_version: "rbac.authorization.k8s.io/v1".to_owned(),
            kind: "ClusterRole".to_owned(),
            name: name.clone(),
            uid: role.metadata.uid.unwrap_or_default(),
            ..OwnerReference::default()
        }))
    }
}

async fn apply(api: &Api<APIService>, action: Action) -> Result<(), kube::Error> {
    let parameters = write_parameters();
    let (name, done) = match action {
        Action::Create(object) => {
            let created = api.create(&parameters, &object).await?;
            (created.metadata.name, "created the APIService")
        }
        Action::Replace(object) => {
            let name = object.metadata.name.clone().unwrap_or_default();
            let replaced = api.replace(&name, &parameters, &object).await?;
            (replaced.metadata.name, "changed the APIService")
        }
        Action::Delete { name, uid } => {
            let preconditions = Preconditions {
                uid,
                resource_version: None,
            };
            let parameters = DeleteParams::default().preconditions(preconditions);
            match api.delete(&name, &parameters).await {
                Ok(Either::Left(_) | Either::Right(_)) => {}
                // Someone else has already deleted it.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error),
            }
            (
                Some(name),
                "deleted the APIService: the API is no longer offered, or no longer adopted",
            )
        }
    };
    tracing::info!(api_service = name.unwrap_or_default(), "{done}");
    Ok(())
}
