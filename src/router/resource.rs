//! Finds the exposed resource that a request names.

use crate::catalog::{Catalog, ExposedResource, ResourceLookup};
use crate::error::RequestError;
use kube_wire::request_info::{ResourceRequest, Verb};

/// Returns the resource of a request.
///
/// # Errors
/// The resource is not exposed, or does not have the subresource or the verb. The checks are those of
/// kube-apiserver's handler of custom resources
/// (`apiextensions-apiserver/pkg/apiserver/customresource_handler.go`). The control plane rejects a verb
/// that does not fit the path, such as PUT without a name.
pub(super) fn find(
    catalog: &Catalog,
    request: &ResourceRequest,
) -> Result<ExposedResource, RequestError> {
    let found = catalog.resource(&request.group, &request.version, &request.resource);
    let resource = match found {
        ResourceLookup::Found(resource) => resource,
        // A 404 would prove to the app cluster's garbage collector that the object is gone, and it would
        // delete what the object owns.
        ResourceLookup::NotExposed if let Some(name) = &request.name => {
            return Err(RequestError::ResourceNotExposed {
                resource: request.resource.clone(),
                group: request.group.clone(),
                version: request.version.clone(),
                name: name.clone(),
            });
        }
        ResourceLookup::NotExposed | ResourceLookup::NotServed => {
            return Err(RequestError::PathNotFound);
        }
        ResourceLookup::NotSynced(control_plane) => {
            return Err(RequestError::NotSynced { control_plane });
        }
    };
    if resource.read_only && !request.verb.is_read() {
        return Err(RequestError::ReadOnly {
            group: request.group.clone(),
        });
    }
    if let Some(subresource) = &request.subresource
        && !resource.subresources.contains(subresource)
    {
        return Err(RequestError::NotFound {
            resource: request.resource.clone(),
            group: request.group.clone(),
            name: request.name.clone().unwrap_or_default(),
        });
    }
    if matches!(request.verb, Verb::Proxy | Verb::Unknown) {
        if request.namespace.is_none() {
            return Err(RequestError::PathNotFound);
        }
        return Err(RequestError::VerbNotSupported {
            verb: request.verb.as_str(),
            resource: request.resource.clone(),
            group: request.group.clone(),
        });
    }
    Ok(resource)
}
