//! Limits on concurrent requests and watches, for the daemon and for each control plane.
//!
//! A control plane that stalls keeps its requests in flight until they time out. Its own limit leaves the rest of the
//! daemon's limit to the other control planes. Within a control plane, no user gets more than half of the requests, and
//! lists leave a quarter of them to other verbs. So one client cannot exclude the others.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::{ControlPlaneLimits, LimitsConfig};
use crate::error::RequestError;
use kube_wire::request_info::Verb;

/// The permits of the daemon.
pub struct Admission {
    requests: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    requests_max: usize,
    watches_max: usize,
}

/// The permits of one control plane.
pub struct ControlPlaneAdmission {
    limits: ControlPlaneLimits,
    requests: Arc<Semaphore>,
    lists: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    users: Arc<Users>,
}

/// A permit for one request or watch. It counts towards the limits and the gauge until it is dropped.
pub struct RequestPermit {
    _daemon: OwnedSemaphorePermit,
    _control_plane: ControlPlanePermit,
}

/// A permit of one control plane.
pub struct ControlPlanePermit {
    _permit: OwnedSemaphorePermit,
    /// `None` for a watch. Boxed, because there are many watches.
    _share: Option<Box<RequestShare>>,
    gauge: Gauge,
}

/// The part of a permit that only requests other than watches have.
struct RequestShare {
    _list: Option<OwnedSemaphorePermit>,
    _user: UserPermit,
}

impl Admission {
    pub fn new(limits: &LimitsConfig) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(limits.max_requests_in_flight)),
            watches: Arc::new(Semaphore::new(limits.max_watches)),
            requests_max: limits.max_requests_in_flight,
            watches_max: limits.max_watches,
        }
    }

    /// Returns the permit for a request that its control plane has admitted.
    ///
    /// # Errors
    /// [`RequestError::TooMany`] if `limits.maxRequestsInFlight` or `limits.maxWatches` is reached.
    pub fn admit(
        &self,
        verb: Verb,
        control_plane: ControlPlanePermit,
    ) -> Result<RequestPermit, RequestError> {
        let (permits, what, key, max) = match verb {
            Verb::Watch => (&self.watches, "watches", "maxWatches", self.watches_max),
            _ => {
                let key = "maxRequestsInFlight";
                (&self.requests, "requests", key, self.requests_max)
            }
        };
        match acquire(permits) {
            Some(permit) => Ok(RequestPermit {
                _daemon: permit,
                _control_plane: control_plane,
            }),
            None => Err(RequestError::TooMany { what, key, max }),
        }
    }
}

impl ControlPlaneAdmission {
    pub fn new(limits: ControlPlaneLimits) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(limits.max_requests_in_flight)),
            lists: Arc::new(Semaphore::new(limits.max_lists())),
            watches: Arc::new(Semaphore::new(limits.max_watches)),
            users: Arc::new(Users {
                hasher: RandomState::new(),
                requests_max: limits.max_of_user(),
                requests: Mutex::default(),
            }),
            limits,
        }
    }

    /// Returns a permit for a request of a user, or the limit that the request exceeds.
    pub fn admit(
        &self,
        verb: Verb,
        user: &str,
        gauge: Gauge,
    ) -> Result<ControlPlanePermit, Excess> {
        if verb == Verb::Watch {
            let permit = acquire(&self.watches).ok_or(Excess {
                what: "watches",
                max: self.limits.max_watches,
                share: "",
                key: "maxWatches",
            })?;
            return Ok(ControlPlanePermit::new(permit, None, gauge));
        }
        let limits = &self.limits;
        let excess = |what, max, share| Excess {
            what,
            max,
            share,
            key: "maxRequestsInFlight",
        };
        let of_user = excess("requests of one user", limits.max_of_user(), "half of ");
        let user = Users::acquire(&self.users, user).ok_or(of_user)?;
        let lists = excess("lists", limits.max_lists(), "three quarters of ");
        let list = match verb {
            Verb::List => Some(acquire(&self.lists).ok_or(lists)?),
            _ => None,
        };
        let requests = excess("requests", limits.max_requests_in_flight, "");
        let permit = acquire(&self.requests).ok_or(requests)?;
        let share = RequestShare {
            _list: list,
            _user: user,
        };
        Ok(ControlPlanePermit::new(permit, Some(share), gauge))
    }
}

/// The limit of a control plane that a request would exceed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Excess {
    pub what: &'static str,
    pub max: usize,
    /// The fraction of the key's value, such as `half of `. Empty if the limit is the whole value.
    pub share: &'static str,
    /// A key in the section `limits` of the control plane.
    pub key: &'static str,
}

fn acquire(permits: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(permits).try_acquire_owned().ok()
}

impl ControlPlanePermit {
    fn new(permit: OwnedSemaphorePermit, share: Option<RequestShare>, gauge: Gauge) -> Self {
        gauge.inc();
        Self {
            _permit: permit,
            _share: share.map(Box::new),
            gauge,
        }
    }
}

impl Drop for ControlPlanePermit {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// The number of requests of each user with at least one request.
struct Users {
    hasher: RandomState,
    requests_max: usize,
    /// By the hash of the user's name, which needs no allocation. Users with the same hash share one limit.
    requests: Mutex<HashMap<u64, usize>>,
}

impl Users {
    fn acquire(users: &Arc<Self>, name: &str) -> Option<UserPermit> {
        let user = users.hasher.hash_one(name);
        let mut requests = users.requests();
        let count = requests.entry(user).or_default();
        if *count >= users.requests_max {
            return None;
        }
        *count += 1;
        drop(requests);
        let users = Arc::clone(users);
        Some(UserPermit { users, user })
    }

    fn requests(&self) -> MutexGuard<'_, HashMap<u64, usize>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one request of a user until it is dropped.
struct UserPermit {
    users: Arc<Users>,
    user: u64,
}

impl Drop for UserPermit {
    fn drop(&mut self) {
        let mut requests = self.users.requests();
        if let Some(count) = requests.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                requests.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(max_requests_in_flight: usize) -> ControlPlaneAdmission {
        ControlPlaneAdmission::new(ControlPlaneLimits {
            max_requests_in_flight,
            max_watches: 2,
        })
    }

    /// Admits requests until one is rejected. Returns the permits and the limit.
    fn fill(
        admission: &ControlPlaneAdmission,
        verb: Verb,
        user: &str,
    ) -> (Vec<ControlPlanePermit>, Excess) {
        let mut permits = Vec::new();
        loop {
            match admission.admit(verb, user, Gauge::default()) {
                Ok(permit) => permits.push(permit),
                Err(excess) => return (permits, excess),
            }
        }
    }

    #[test]
    fn one_user_gets_half_of_the_requests_and_lists_leave_a_quarter() {
        let admission = admission(8);
        let (first, excess) = fill(&admission, Verb::List, "first");
        assert_eq!((first.len(), excess.what), (4, "requests of one user"));
        let (second, excess) = fill(&admission, Verb::List, "second");
        assert_eq!((second.len(), excess.what), (2, "lists"));
        let (third, excess) = fill(&admission, Verb::Get, "third");
        assert_eq!((third.len(), excess.what), (2, "requests"));
        drop((first, second, third));
        assert!(admission.users.requests().is_empty());
        assert_eq!(fill(&admission, Verb::Get, "first").0.len(), 4);
    }

    #[test]
    fn smallest_limit_admits_one_request() {
        for verb in [Verb::List, Verb::Get] {
            assert_eq!(fill(&admission(1), verb, "user").0.len(), 1);
        }
    }

    #[test]
    fn watches_have_their_own_limit() {
        let (watches, excess) = fill(&admission(1), Verb::Watch, "user");
        assert_eq!((watches.len(), excess.what), (2, "watches"));
    }
}
