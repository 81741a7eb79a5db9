//! Decides which APIServices to create, change and delete. Does no I/O.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{
    APIService, APIServiceSpec, ServiceReference,
};
use kube_wire::group_version::GroupVersion;

use crate::app_cluster::MANAGED_BY;
use crate::catalog::Offers;
use crate::config::{CaInjection, Priority, ServiceConfig};

/// The annotation with a digest of the offer. Argo CD discovers kinds again only after a change of the APIService.
const OFFER: &str = "claimgate.dev/offer";

/// Marks an APIService that belonged to someone else before.
const ADOPTED: &str = "claimgate.dev/adopted";

/// kube-apiserver manages the APIServices of CRDs with this label
/// (`kube-aggregator/pkg/controllers/autoregister/autoregister_controller.go`).
const AUTOMANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";

/// The annotations that make the CA injector of cert-manager write the CA of an APIService
/// (`cert-manager/pkg/apis/certmanager/v1/types.go`). The values of the first two are `NAMESPACE/NAME`.
const INJECT_FROM_CERTIFICATE: &str = "cert-manager.io/inject-ca-from";
const INJECT_FROM_SECRET: &str = "cert-manager.io/inject-ca-from-secret";
const INJECT_API_SERVER_CA: &str = "cert-manager.io/inject-apiserver-ca";

/// The writer of the CA of an APIService. Two writers would revert each other's changes again and again.
#[derive(Clone, Debug)]
pub(super) enum Authority {
    /// claimgate, as PEM.
    Own(Vec<u8>),
    /// The CA injector of cert-manager.
    Injected(CaInjection),
}

/// The fields that all APIServices have in common.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pub(super) service: ServiceConfig,
    pub(super) authority: Authority,
    pub(super) owner: Option<OwnerReference>,
    pub(super) priority: Priority,
    pub(super) adopt: BTreeSet<GroupVersion>,
}

/// A write to the app cluster.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    Create(Box<APIService>),
    /// The object has the resourceVersion that was read.
    Replace(Box<APIService>),
    Delete {
        name: String,
        uid: Option<String>,
    },
}

/// A group-version that someone else serves in the app cluster.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Conflict {
    pub(super) group_version: GroupVersion,
    pub(super) owner: Owner,
}

/// The server of a group-version that claimgate does not serve.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Owner {
    /// kube-apiserver itself, usually for a CRD.
    Local,
    /// Another Service, as `NAMESPACE/NAME`.
    Service(String),
}

/// The writes, and the conflicts to report.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) actions: Vec<Action>,
    pub(super) conflicts: Vec<Conflict>,
    /// Group-versions of CRDs of the app cluster that claimgate takes over.
    pub(super) adopted: Vec<GroupVersion>,
}

impl Plan {
    /// Compares the offers with the APIServices of the app cluster.
    pub(super) fn new(offers: &Offers, existing: Vec<APIService>, template: &Template) -> Self {
        let mut plan = Self::default();
        let mut by_name: BTreeMap<String, APIService> = existing
            .into_iter()
            .filter_map(|object| Some((object.metadata.name.clone()?, object)))
            .collect();
        for (group_version, digest) in &offers.digests {
            let current = by_name.remove(&group_version.api_service_name());
            plan.offer(group_version, digest, current, template);
        }
        for (name, object) in by_name {
            let is_gone = group_version(&object).is_some_and(|one| offers.lacks(&one));
            if is_gone && is_own(&object, &template.service) {
                let uid = object.metadata.uid;
                plan.actions.push(Action::Delete { name, uid });
            }
        }
        plan
    }

    fn offer(
        &mut self,
        group_version: &GroupVersion,
        digest: &str,
        current: Option<APIService>,
        template: &Template,
    ) {
        let Some(current) = current else {
            let object = template.merged(group_version, digest, APIService::default());
            self.actions.push(Action::Create(Box::new(object)));
            return;
        };
        let is_own = is_own(&current, &template.service);
        let may_adopt = template.adopt.contains(group_version);
        if !is_own && !may_adopt {
            self.conflicts.push(Conflict {
                group_version: group_version.clone(),
                owner: owner(&current),
            });
            return;
        }
        let was_adopted = annotation(&current, ADOPTED).is_some();
        if is_own && was_adopted && !may_adopt {
            // kube-apiserver then creates the APIService for the CRD again.
            self.actions.push(Action::Delete {
                name: group_version.api_service_name(),
                uid: current.metadata.uid,
            });
            return;
        }
        let mut wanted = template.merged(group_version, digest, current.clone());
        if !is_own {
            if owner(&current) == Owner::Local {
                self.adopted.push(group_version.clone());
            }
            let annotations = wanted.metadata.annotations.get_or_insert_default();
            annotations.insert(ADOPTED.to_owned(), "true".to_owned());
        }
        if wanted != current {
            self.actions.push(Action::Replace(Box::new(wanted)));
        }
    }
}

impl Template {
    /// Returns an APIService with claimgate's fields. All other fields stay.
    fn merged(
        &self,
        group_version: &GroupVersion,
        digest: &str,
        current: APIService,
    ) -> APIService {
        let mut metadata = ObjectMeta {
            name: Some(group_version.api_service_name()),
            ..current.metadata
        };
        let labels = metadata.labels.get_or_insert_default();
        labels.remove(AUTOMANAGED);
        labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.insert(OFFER.to_owned(), digest.to_owned());
        for key in [
            INJECT_FROM_CERTIFICATE,
            INJECT_FROM_SECRET,
            INJECT_API_SERVER_CA,
        ] {
            annotations.remove(key);
        }
        let ca_bundle = match &self.authority {
            Authority::Own(pem) => Some(ByteString(pem.clone())),
            Authority::Injected(injection) => {
                let (key, name) = match injection {
                    CaInjection::Certificate(name) => (INJECT_FROM_CERTIFICATE, name),
                    CaInjection::Secret(name) => (INJECT_FROM_SECRET, name),
                };
                let value = format!("{}/{name}", self.service.namespace);
                annotations.insert(key.to_owned(), value);
                current.spec.and_then(|spec| spec.ca_bundle)
            }
        };
        if let Some(owner) = &self.owner {
            let owners = metadata.owner_references.get_or_insert_default();
            if !owners.iter().any(|known| known.uid == owner.uid) {
                owners.push(owner.clone());
            }
        }
        APIService {
            metadata,
            spec: Some(APIServiceSpec {
                ca_bundle,
                group: Some(group_version.group.clone()),
                group_priority_minimum: self.priority.group_minimum,
                insecure_skip_tls_verify: None,
                service: Some(ServiceReference {
                    name: Some(self.service.name.clone()),
                    namespace: Some(self.service.namespace.clone()),
                    port: Some(self.service.port.into()),
                }),
                version: Some(group_version.version.clone()),
                version_priority: self.priority.version,
            }),
            status: current.status,
        }
    }
}

/// Returns whether the installation behind a Service created the APIService or took it over.
pub(crate) fn is_own(object: &APIService, service: &ServiceConfig) -> bool {
    let (key, value) = MANAGED_BY;
    let labels = object.metadata.labels.as_ref();
    let is_marked = labels
        .and_then(|labels| labels.get(key))
        .is_some_and(|known| known == value);
    let target = object.spec.as_ref().and_then(|spec| spec.service.as_ref());
    is_marked
        && target.is_some_and(|target| {
            target.namespace.as_ref() == Some(&service.namespace)
                && target.name.as_ref() == Some(&service.name)
        })
}

fn annotation<'a>(object: &'a APIService, key: &str) -> Option<&'a String> {
    object.metadata.annotations.as_ref()?.get(key)
}

fn group_version(object: &APIService) -> Option<GroupVersion> {
    let spec = object.spec.as_ref()?;
    Some(GroupVersion::new(
        spec.group.as_ref()?,
        spec.version.as_ref()?,
    ))
}

fn owner(object: &APIService) -> Owner {
    let service = object.spec.as_ref().and_then(|spec| spec.service.as_ref());
    service.map_or(Owner::Local, |service| {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        Owner::Service(format!(
            "{}/{}",
            text(&service.namespace),
            text(&service.name)
        ))
    })
}

#[cfg(test)]
mod tests;
