//! Reads and replaces one Secret.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::error::SecretError;
use crate::app_cluster::write_parameters;

pub(super) type Data = BTreeMap<String, ByteString>;

/// A Secret that exists.
pub(super) struct ManagedSecret {
    api: Api<Secret>,
    namespace: String,
    name: String,
    /// Arguments of the command that creates it.
    arguments: &'static str,
}

impl ManagedSecret {
    /// `arguments` complete the command that creates the Secret, `kubectl create secret generic NAME`.
    pub(super) fn new(
        client: kube::Client,
        namespace: &str,
        name: &str,
        arguments: &'static str,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            arguments,
        }
    }

    /// Returns the Secret as the app cluster has it now.
    ///
    /// # Errors
    /// It does not exist, or the app cluster does not answer.
    pub(super) async fn read(&self) -> Result<Secret, SecretError> {
        let found = self.api.get_opt(&self.name).await;
        found
            .map_err(|error| self.failed("get", error))?
            .ok_or_else(|| SecretError::Missing {
                namespace: self.namespace.clone(),
                name: self.name.clone(),
                arguments: self.arguments,
            })
    }

    /// Replaces the data of a Secret that was read before. Returns `None` if someone else has changed it since then.
    ///
    /// # Errors
    /// The app cluster rejects the request or does not answer.
    pub(super) async fn replace(
        &self,
        before: Secret,
        data: Data,
    ) -> Result<Option<Secret>, SecretError> {
        let secret = Secret {
            data: Some(data),
            ..before
        };
        match self
            .api
            .replace(&self.name, &write_parameters(), &secret)
            .await
        {
            Ok(written) => Ok(Some(written)),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(self.failed("update", error)),
        }
    }

    fn failed(&self, verb: &'static str, error: kube::Error) -> SecretError {
        SecretError::Api {
            verb,
            secret: self.to_string(),
            error: Box::new(error),
        }
    }
}

/// `NAMESPACE/NAME`.
impl std::fmt::Display for ManagedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
