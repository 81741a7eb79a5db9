//! What is known of all control planes, shared by those who learn it and those who tell it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::document::{Exposure, Group};
use super::render::{Rendered, render};
use crate::openapi::OpenApi;

/// Everything that is told from memory. Clones are the same one.
#[derive(Clone)]
pub struct Catalog(Arc<RwLock<State>>);

struct State {
    planes: BTreeMap<String, Plane>,
    /// What the aggregator and clients are told, made anew when a plane changes.
    rendered: Arc<Rendered>,
}

/// One control plane.
struct Plane {
    exposure: Exposure,
    /// `None` until it was seen.
    groups: Option<Vec<Group>>,
    confirmed_at: Instant,
    openapi: OpenApi,
    /// Whether it was asked for, with whatever success.
    openapi_asked: bool,
}

/// What a request for a resource finds.
#[derive(Debug)]
pub enum Lookup {
    Found(Resource),
    NotExposed,
    /// The control plane that would know has not been seen.
    Unseen(String),
}

/// An exposed resource.
#[derive(Clone, Debug)]
pub struct Resource {
    pub control_plane: String,
    pub kind: String,
    pub subresources: BTreeSet<String>,
    pub read_only: bool,
}

impl Catalog {
    /// Knows the control planes, and of none what it serves.
    pub fn new(exposures: Vec<Exposure>) -> Self {
        let plane = |exposure: Exposure| {
            let (groups, openapi) = (None, OpenApi::default());
            let name = exposure.control_plane.clone();
            (
                name,
                Plane {
                    exposure,
                    groups,
                    confirmed_at: Instant::now(),
                    openapi,
                    openapi_asked: false,
                },
            )
        };
        let planes: BTreeMap<_, _> = exposures.into_iter().map(plane).collect();
        Self(Arc::new(RwLock::new(State {
            planes,
            rendered: Arc::default(),
        })))
    }

    fn read<T>(&self, with: impl FnOnce(&State) -> T) -> T {
        with(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, control_plane: &str, with: impl FnOnce(&mut Plane) -> bool) {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(plane) = state.planes.get_mut(control_plane) else {
            return;
        };
        if with(plane) {
            let seen = state.planes.values().filter_map(|plane| {
                plane
                    .groups
                    .as_deref()
                    .map(|groups| (groups, &plane.openapi))
            });
            let rendered = render(&seen.collect::<Vec<_>>());
            state.rendered = Arc::new(rendered);
        }
    }

    pub(crate) fn rendered(&self) -> Arc<Rendered> {
        self.read(|state| Arc::clone(&state.rendered))
    }

    /// The exposed resource of a path.
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Lookup {
        self.read(|state| {
            let mut planes = state.planes.values();
            let Some((plane, api)) =
                planes.find_map(|plane| Some((plane, plane.exposure.entry(group, Some(version))?)))
            else {
                return Lookup::NotExposed;
            };
            let control_plane = plane.exposure.control_plane.clone();
            let Some(groups) = &plane.groups else {
                return Lookup::Unseen(control_plane);
            };
            let resources = groups
                .iter()
                .filter(|known| known.metadata.name == group)
                .flat_map(|known| &known.versions)
                .filter(|known| known.version == version)
                .flat_map(|known| &known.resources);
            let mut found = resources.filter(|resource| resource.resource == plural);
            found.next().map_or(Lookup::NotExposed, |resource| {
                let kind = resource.response_kind.clone().unwrap_or_default().kind;
                let subresources = resource
                    .subresources
                    .iter()
                    .map(|sub| sub.subresource.clone())
                    .collect();
                let read_only = api.read_only;
                Lookup::Found(Resource {
                    control_plane,
                    kind,
                    subresources,
                    read_only,
                })
            })
        })
    }

    /// Why it is not ready: a control plane that was not seen yet, or not asked for its OpenAPI. The
    /// aggregator asks for that as soon as there is an APIService, and after a failure only once a minute;
    /// a control plane that will not tell it serves claims all the same.
    pub fn ready(&self) -> Result<(), String> {
        if let Some(name) = self.unseen() {
            return Err(format!("control plane {name:?} has not been seen yet"));
        }
        match self.first(|plane| !plane.openapi_asked) {
            Some(name) => Err(format!(
                "OpenAPI of control plane {name:?} has not been read yet"
            )),
            None => Ok(()),
        }
    }

    fn first(&self, is_meant: impl Fn(&Plane) -> bool) -> Option<String> {
        self.read(|state| {
            let mut planes = state.planes.iter();
            let found = planes.find(|(_, plane)| is_meant(plane));
            found.map(|(name, _)| name.clone())
        })
    }

    /// A control plane that was not seen yet.
    pub(super) fn unseen(&self) -> Option<String> {
        self.first(|plane| plane.groups.is_none())
    }

    /// A control plane whose OpenAPI was not seen yet.
    pub(crate) fn unseen_openapi(&self) -> Option<String> {
        self.first(|plane| !plane.openapi.is_seen())
    }

    /// The control plane that would know the group, or the version of it, but was not seen.
    pub(crate) fn unseen_of(&self, group: &str, version: Option<&str>) -> Option<String> {
        self.first(|plane| plane.groups.is_none() && plane.exposure.entry(group, version).is_some())
    }

    pub(super) fn groups(&self, control_plane: &str) -> Option<Vec<Group>> {
        self.read(|state| state.planes.get(control_plane)?.groups.clone())
    }

    pub(crate) fn openapi(&self, control_plane: &str) -> OpenApi {
        self.read(|state| {
            state
                .planes
                .get(control_plane)
                .map(|plane| plane.openapi.clone())
                .unwrap_or_default()
        })
    }

    /// What a control plane serves now, confirmed.
    pub(super) fn set_groups(&self, control_plane: &str, groups: Vec<Group>) {
        self.write(control_plane, |plane| {
            plane.confirmed_at = Instant::now();
            let changed = plane.groups.as_ref() != Some(&groups);
            plane.groups = Some(groups);
            changed
        });
    }

    pub(crate) fn set_openapi(&self, control_plane: &str, openapi: OpenApi) {
        self.write(control_plane, |plane| {
            plane.openapi = openapi;
            true
        });
    }

    /// Tells that OpenAPI was asked for.
    pub(super) fn asked_openapi(&self, control_plane: &str) {
        self.write(control_plane, |plane| {
            plane.openapi_asked = true;
            false
        });
    }

    /// Time since discovery was confirmed.
    pub fn age(&self, control_plane: &str) -> Option<Duration> {
        self.read(|state| {
            let plane = state.planes.get(control_plane)?;
            plane.groups.as_ref().map(|_| plane.confirmed_at.elapsed())
        })
    }
}
