//! The catalog of exposed APIs. `refresh` writes it, the router and `serve` read it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

#[cfg(feature = "app-cluster")]
use super::claim_resource::ClaimResource;
use super::discovery::{DiscoveryDocuments, Group, ResourceVerbs, ServedResource, find_version};
use super::discovery_cache::SavedDiscovery;
use super::exposure::Exposure;
use super::offered::offered;
use super::offers::Offers;
use super::openapi::{OpenApi, OpenApiDocuments};
use super::rights::{MissingRight, Rights};
use crate::status::ApiStatus;
use claim_mapping::mapping::NameLimit;

/// The exposed APIs of all control planes. Clones share their content.
#[derive(Clone)]
pub struct Catalog(Arc<RwLock<State>>);

struct State {
    /// Control planes by name.
    control_planes: BTreeMap<String, ControlPlaneState>,
    /// The documents, rendered again after each change.
    documents: Arc<Documents>,
}

/// The documents that are served.
#[derive(Debug, Default)]
pub(super) struct Documents {
    pub(super) discovery: DiscoveryDocuments,
    pub(super) openapi: OpenApiDocuments,
}

struct ControlPlaneState {
    exposure: Exposure,
    /// The exposed groups that the control plane serves. `None` before the first sync.
    groups: Option<Vec<Group>>,
    rights: Rights,
    /// Whether the control plane has forbidden a request since the rights were read.
    are_rights_stale: bool,
    /// The part of `groups` that discovery lists.
    offered: Vec<Group>,
    offered_before: ResourceVerbs,
    /// Resources in the exposed group-versions that are served but not exposed. `None` if that was not read since the start.
    not_exposed: Option<BTreeSet<ServedResource>>,
    confirmed_at: Instant,
    /// Whether the last attempt to read the documents succeeded.
    is_reachable: bool,
    /// Whether the resources are offered without `watch`, because the control plane has been unreachable for too long.
    is_degraded: bool,
    openapi: OpenApi,
    /// Whether OpenAPI was read or an attempt failed.
    is_openapi_tried: bool,
}

/// The result of looking up a resource.
#[derive(Debug)]
pub enum ResourceLookup {
    Found(ExposedResource),
    /// The configuration does not expose the resource. A control plane may have objects of it.
    NotExposed,
    /// The control plane of the group-version does not serve the resource.
    NotServed,
    /// The named control plane has not been synced, so it is not known whether it has the resource.
    NotSynced(String),
}

/// An exposed resource.
#[derive(Clone, Debug)]
pub struct ExposedResource {
    /// The name of the control plane.
    pub control_plane: String,
    pub kind: String,
    pub subresources: BTreeSet<String>,
    pub read_only: bool,
    /// The limit of the names of objects.
    pub name_limit: NameLimit,
}

impl Catalog {
    /// Creates a catalog that has not synced any of its control planes.
    pub fn new(exposures: Vec<Exposure>) -> Self {
        let control_planes = exposures.into_iter().map(|exposure| {
            let name = exposure.control_plane.clone();
            let state = ControlPlaneState {
                exposure,
                groups: None,
                rights: Rights::Unknown,
                are_rights_stale: false,
                offered: Vec::new(),
                offered_before: ResourceVerbs::default(),
                not_exposed: None,
                confirmed_at: Instant::now(),
                is_reachable: false,
                is_degraded: false,
                openapi: OpenApi::default(),
                is_openapi_tried: false,
            };
            (name, state)
        });
        Self(Arc::new(RwLock::new(State {
            control_planes: control_planes.collect(),
            documents: Arc::default(),
        })))
    }

    fn read<T>(&self, with: impl FnOnce(&State) -> T) -> T {
        with(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads a control plane. Returns the default value if it is not configured.
    fn read_one<T: Default>(&self, name: &str, with: impl FnOnce(&ControlPlaneState) -> T) -> T {
        self.read(|state| {
            let state = state.control_planes.get(name);
            state.map(with).unwrap_or_default()
        })
    }

    /// Changes a control plane. Renders the documents again if `change` returns true.
    fn write(&self, name: &str, change: impl FnOnce(&mut ControlPlaneState) -> bool) {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(control_plane) = state.control_planes.get_mut(name) else {
            return;
        };
        if change(control_plane) {
            control_plane.offer();
            state.documents = Arc::new(Documents::render(&state.control_planes));
        }
    }

    pub(super) fn documents(&self) -> Arc<Documents> {
        self.read(|state| Arc::clone(&state.documents))
    }

    /// Looks up the resource of a request path.
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> ResourceLookup {
        self.read(|state| {
            let mut control_planes = state.control_planes.values();
            let found = control_planes
                .find_map(|state| Some((state, state.exposure.api(group, Some(version))?)));
            let Some((state, api)) = found else {
                return ResourceLookup::NotExposed;
            };
            let control_plane = state.exposure.control_plane.clone();
            let Some(groups) = &state.groups else {
                return ResourceLookup::NotSynced(control_plane);
            };
            let resources = find_version(groups, group, version).map(|version| &version.resources);
            let mut resources = resources.into_iter().flatten();
            let Some(resource) = resources.find(|resource| resource.resource == plural) else {
                let served = ServedResource::new(group, version, plural);
                return match &state.not_exposed {
                    None => ResourceLookup::NotSynced(control_plane),
                    Some(all) if all.contains(&served) => ResourceLookup::NotExposed,
                    Some(_) => ResourceLookup::NotServed,
                };
            };
            let subresources = resource.subresources.iter();
            ResourceLookup::Found(ExposedResource {
                control_plane,
                kind: resource.response_kind.clone().unwrap_or_default().kind,
                subresources: subresources.map(|sub| sub.subresource.clone()).collect(),
                read_only: api.read_only,
                name_limit: resource.name_limit,
            })
        })
    }

    /// Checks whether requests can be served.
    ///
    /// A failed attempt to read OpenAPI is enough, because a control plane without OpenAPI still
    /// serves claims. Without any attempt, the aggregator would read incomplete OpenAPI documents.
    /// It reads them as soon as an APIService exists, and after a failure only once a minute.
    ///
    /// # Errors
    /// A control plane has not been synced, or its OpenAPI was not requested yet.
    pub fn ready(&self) -> Result<(), String> {
        if let Some(name) = self.not_synced() {
            return Err(format!("control plane {name:?} has not been synced yet"));
        }
        match self.first(|state| !state.is_openapi_tried) {
            Some(name) => Err(format!(
                "OpenAPI of control plane {name:?} has not been read yet"
            )),
            None => Ok(()),
        }
    }

    /// Returns the name of the first control plane that meets a condition.
    fn first(&self, condition: impl Fn(&ControlPlaneState) -> bool) -> Option<String> {
        self.read(|state| {
            let mut control_planes = state.control_planes.iter();
            let found = control_planes.find(|(_, state)| condition(state));
            found.map(|(name, _)| name.clone())
        })
    }

    /// Returns the name of a control plane that has not been synced.
    pub(super) fn not_synced(&self) -> Option<String> {
        self.first(|state| state.groups.is_none())
    }

    /// Returns the name of a control plane whose OpenAPI has not been synced.
    pub(super) fn openapi_not_synced(&self) -> Option<String> {
        self.first(|state| !state.openapi.is_synced())
    }

    /// Returns the name of the control plane that is exposed for a group or a version of it, if it
    /// has not been synced.
    pub(super) fn group_not_synced(&self, group: &str, version: Option<&str>) -> Option<String> {
        self.first(|state| state.groups.is_none() && state.exposure.api(group, version).is_some())
    }

    /// Returns whether the configuration exposes a version of a group.
    pub(super) fn exposes(&self, group: &str, version: &str) -> bool {
        self.first(|state| state.exposure.api(group, Some(version)).is_some())
            .is_some()
    }

    /// Returns whether discovery of a control plane is known.
    pub(super) fn is_synced(&self, control_plane: &str) -> bool {
        self.read_one(control_plane, |state| state.groups.is_some())
    }

    /// Offers the saved documents of a control plane, as in an outage. `age` is the time since they were saved.
    ///
    /// The rights are not known, so only resources and verbs that were offered before are offered.
    pub(super) fn restore(&self, control_plane: &str, saved: SavedDiscovery, age: Duration) {
        self.write(control_plane, |state| {
            let now = Instant::now();
            state.confirmed_at = now.checked_sub(age).unwrap_or(now);
            state.groups = Some(saved.groups);
            state.rights = Rights::Unknown;
            state.openapi = saved.openapi;
            state.is_openapi_tried = true;
            state.is_degraded = true;
            true
        });
    }

    /// Returns the groups of a control plane, or `None` before the first sync.
    pub(super) fn groups(&self, control_plane: &str) -> Option<Vec<Group>> {
        self.read_one(control_plane, |state| state.groups.clone())
    }

    pub(super) fn openapi(&self, control_plane: &str) -> OpenApi {
        self.read_one(control_plane, |state| state.openapi.clone())
    }

    /// Stores the groups that a control plane serves now, and the rights on them. Returns whether something changed.
    pub(super) fn set_groups(
        &self,
        control_plane: &str,
        groups: Vec<Group>,
        rights: Rights,
    ) -> bool {
        let mut is_changed = false;
        self.write(control_plane, |state| {
            state.confirmed_at = Instant::now();
            is_changed = state.groups.as_ref() != Some(&groups) || state.rights != rights;
            state.groups = Some(groups);
            state.rights = rights;
            is_changed
        });
        is_changed
    }

    /// Records that a control plane has forbidden a request. Its rights are then read again.
    pub fn invalidate_rights(&self, control_plane: &str) {
        if !self.are_rights_stale(control_plane) {
            self.set_rights_stale(control_plane, true);
        }
    }

    pub(super) fn set_rights_stale(&self, control_plane: &str, are_rights_stale: bool) {
        self.write(control_plane, |state| {
            state.are_rights_stale = are_rights_stale;
            false
        });
    }

    /// Returns whether the control plane has forbidden a request since the rights were read.
    pub(super) fn are_rights_stale(&self, control_plane: &str) -> bool {
        self.read_one(control_plane, |state| state.are_rights_stale)
    }

    /// Returns the rights that claimgate lacks on a control plane.
    pub fn missing_rights(&self, control_plane: &str) -> BTreeSet<MissingRight> {
        self.read_one(control_plane, |state| state.rights.missing())
    }

    /// Adds verbs that discovery offered before the restart.
    pub(super) fn add_offered_before(&self, control_plane: &str, verbs: &ResourceVerbs) {
        self.write(control_plane, |state| {
            state.offered_before.add(verbs);
            true
        });
    }

    /// Returns the verbs that discovery has offered of a control plane.
    pub(super) fn offered_before(&self, control_plane: &str) -> ResourceVerbs {
        self.read_one(control_plane, |state| state.offered_before.clone())
    }

    /// Stores the resources that a control plane serves now and that are not exposed.
    pub(super) fn set_not_exposed(&self, control_plane: &str, resources: BTreeSet<ServedResource>) {
        self.write(control_plane, |state| {
            state.not_exposed = Some(resources);
            false
        });
    }

    /// Adds resources to those that a control plane serves and that are not exposed.
    pub(super) fn add_not_exposed(&self, control_plane: &str, resources: Vec<ServedResource>) {
        self.write(control_plane, |state| {
            let all = state.not_exposed.get_or_insert_default();
            all.extend(resources);
            false
        });
    }

    pub(super) fn set_openapi(&self, control_plane: &str, openapi: OpenApi) {
        self.write(control_plane, |state| {
            state.openapi = openapi;
            true
        });
    }

    /// Records that reading OpenAPI was attempted.
    pub(super) fn set_openapi_tried(&self, control_plane: &str) {
        self.write(control_plane, |state| {
            state.is_openapi_tried = true;
            false
        });
    }

    /// Records whether the last attempt to read the documents succeeded.
    pub(super) fn set_reachable(&self, control_plane: &str, is_reachable: bool) {
        self.write(control_plane, |state| {
            state.is_reachable = is_reachable;
            false
        });
    }

    /// Records whether the control plane is in an outage. Its resources are then offered without `watch`.
    pub(super) fn set_degraded(&self, control_plane: &str, is_degraded: bool) {
        self.write(control_plane, |state| {
            let is_changed = state.is_degraded != is_degraded;
            state.is_degraded = is_degraded;
            is_changed
        });
    }

    /// Returns whether the resources of a control plane are offered without `watch`.
    pub fn is_degraded(&self, control_plane: &str) -> bool {
        self.read_one(control_plane, |state| state.is_degraded)
    }

    /// Returns the current offers.
    pub fn offers(&self) -> Offers {
        self.read(|state| {
            let mut offers = Offers::default();
            for state in state.control_planes.values() {
                let Some(groups) = state.offered() else {
                    offers.add_unknown(state.exposure.clone());
                    continue;
                };
                for group in groups {
                    for version in &group.versions {
                        offers.add(&group.metadata.name, version);
                    }
                }
                if state.is_degraded {
                    offers.add_degraded(&state.exposure.control_plane, groups);
                }
            }
            offers
        })
    }

    /// Returns the exposed resources of a control plane, each in its preferred version. There are none before the first
    /// sync.
    #[cfg(feature = "app-cluster")]
    pub fn claim_resources(&self, control_plane: &str) -> Vec<ClaimResource> {
        let groups = self.read_one(control_plane, |state| state.offered.clone());
        let mut names: Vec<ClaimResource> = Vec::new();
        for group in &groups {
            for version in &group.versions {
                for resource in &version.resources {
                    let name = ClaimResource {
                        group: group.metadata.name.clone(),
                        version: version.version.clone(),
                        kind: resource.response_kind.clone().unwrap_or_default().kind,
                        plural: resource.resource.clone(),
                    };
                    let is_known = |known: &ClaimResource| {
                        known.group == name.group && known.plural == name.plural
                    };
                    if !names.iter().any(is_known) {
                        names.push(name);
                    }
                }
            }
        }
        names
    }

    /// Returns whether the last attempt to read the documents of a control plane succeeded.
    pub fn is_reachable(&self, control_plane: &str) -> bool {
        self.read_one(control_plane, |state| state.is_reachable)
    }

    /// Returns the exposed resources of all control planes.
    pub fn api_status(&self) -> Vec<ApiStatus> {
        self.read(|state| {
            let mut apis = Vec::new();
            for (name, state) in &state.control_planes {
                for group in &state.offered {
                    apis.extend(group.versions.iter().map(|version| {
                        ApiStatus {
                            group_version: format!("{}/{}", group.metadata.name, version.version),
                            control_plane: name.clone(),
                            is_degraded: state.is_degraded,
                            resources: version
                                .resources
                                .iter()
                                .map(|resource| resource.resource.clone())
                                .collect(),
                        }
                    }));
                }
            }
            apis
        })
    }

    /// Returns the time since discovery was last confirmed, or `None` before the first sync.
    pub fn age(&self, control_plane: &str) -> Option<Duration> {
        self.read_one(control_plane, |state| {
            let groups = state.groups.as_ref();
            groups.map(|_| state.confirmed_at.elapsed())
        })
    }
}

impl ControlPlaneState {
    /// Returns the part of the control plane's groups that discovery lists, or `None` before the first sync.
    fn offered(&self) -> Option<&[Group]> {
        self.groups.as_ref().map(|_| &*self.offered)
    }

    fn offer(&mut self) {
        let groups = self.groups.as_deref().unwrap_or_default();
        self.offered = offered(groups, &self.rights, &self.offered_before, self.is_degraded);
        self.offered_before.add(&ResourceVerbs::of(&self.offered));
    }
}

impl Documents {
    /// Renders the documents of all synced control planes.
    fn render(control_planes: &BTreeMap<String, ControlPlaneState>) -> Self {
        let synced = control_planes
            .values()
            .filter_map(|state| Some((state.offered()?, &state.openapi)));
        let (groups, openapi): (Vec<_>, Vec<_>) = synced.unzip();
        Self {
            discovery: DiscoveryDocuments::render(&groups),
            openapi: OpenApiDocuments::render(&openapi),
        }
    }
}
