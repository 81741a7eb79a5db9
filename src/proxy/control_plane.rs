//! The control plane of a request, and the errors that name it.

use std::fmt;

use http::StatusCode;
use prometheus_client::metrics::gauge::Gauge;

use super::admission::{ControlPlaneAdmission, ControlPlanePermit};
use crate::error::RequestError;
use crate::upstream::{Outcome, Upstream, UpstreamError};
use claim_mapping::mapping::Mapping;
use kube_wire::request_info::Verb;

/// A control plane: its client and the namespaces that are mapped to it.
pub struct ControlPlane {
    pub name: String,
    pub upstream: Upstream,
    pub mapping: Mapping,
    pub admission: ControlPlaneAdmission,
}

impl ControlPlane {
    /// Returns a permit for a request of a user.
    ///
    /// # Errors
    /// [`RequestError::ControlPlaneBusy`] if a limit of this control plane is reached.
    pub fn admit(
        &self,
        verb: Verb,
        user: &str,
        gauge: Gauge,
    ) -> Result<ControlPlanePermit, RequestError> {
        let admitted = self.admission.admit(verb, user, gauge);
        admitted.map_err(|excess| RequestError::ControlPlaneBusy {
            control_plane: self.name.clone(),
            what: excess.what,
            max: excess.max,
            share: excess.share,
            key: excess.key,
        })
    }

    /// Returns the problem of the control plane, or `None`. Completes a sentence that begins with its name.
    pub fn problem(&self) -> Option<String> {
        let outage = self.upstream.outage();
        let outage = outage.map(|why| format!("cannot be reached: {why}"));
        outage.or_else(|| Some(format!("is degraded: {}", self.upstream.degradation()?)))
    }

    /// Returns the error for a read that took longer than the request timeout.
    pub(super) fn timeout(&self) -> RequestError {
        RequestError::Timeout {
            control_plane: self.name.clone(),
            seconds: self.upstream.request_timeout().as_secs(),
        }
    }

    pub(super) fn unavailable(&self, group: &str, why: impl fmt::Display) -> RequestError {
        RequestError::ControlPlaneUnavailable {
            group: group.to_owned(),
            control_plane: self.name.clone(),
            why: why.to_string(),
        }
    }

    /// Returns the error for a reply that cannot be passed on.
    pub(super) fn invalid_reply(&self, why: impl fmt::Display) -> RequestError {
        RequestError::InvalidReply {
            control_plane: self.name.clone(),
            why: why.to_string(),
        }
    }

    /// Returns the error for a failure with this status code whose message cannot be mapped.
    pub(super) fn untranslatable_failure(
        &self,
        code: StatusCode,
        why: impl fmt::Display,
    ) -> RequestError {
        RequestError::UntranslatableFailure {
            control_plane: self.name.clone(),
            code,
            why: why.to_string(),
        }
    }

    /// Returns the error for a request to an API group without a response.
    ///
    /// For a read, and for a write that was certainly not processed, it says that the control plane is
    /// unavailable. The outcome of any other write is unknown.
    pub(super) fn upstream_error(
        &self,
        group: &str,
        error: &UpstreamError,
        is_read: bool,
    ) -> RequestError {
        if error.is_timeout() && is_read {
            return self.timeout();
        }
        match error.outcome() {
            Outcome::Unknown if !is_read => RequestError::OutcomeUnknown {
                control_plane: self.name.clone(),
                why: error.to_string(),
            },
            Outcome::NotProcessed | Outcome::Unknown => self.unavailable(group, error),
        }
    }
}
