//! Rejects creates in a namespace in which no claim can be created.

use http::StatusCode;

use super::current_object::{CurrentObject, ObjectReader};
use crate::error::RequestError;
use crate::proxy::client_body::ClientBody;
use crate::proxy::context::RequestContext;
use crate::proxy::namespace_lifecycle::Obstacle;
use crate::proxy::outbound::BodyReader;
use crate::proxy::plan::RemoteRequest;
use claim_mapping::request::CreatedName;

/// The name in messages about an object without a name (`apiserver/pkg/admission/errors.go`, `extractResourceName`).
const UNKNOWN_NAME: &str = "Unknown";

/// Returns the body if the request does not create a claim: it applies one that exists.
///
/// # Errors
/// The request creates a claim, its body is invalid, or the object could not be read.
pub(super) async fn reject(
    bodies: &BodyReader,
    objects: &ObjectReader,
    context: &RequestContext<'_>,
    remote: &RemoteRequest,
    obstacle: &Obstacle,
    incoming: ClientBody,
) -> Result<ClientBody, RequestError> {
    let name = match &context.request.name {
        Some(_) if !is_missing(objects, context, remote).await? => return Ok(incoming),
        Some(name) => name.clone(),
        None => {
            let body = bodies.read_as_json(context, remote, incoming).await?;
            match CreatedName::read(&body.json) {
                CreatedName::Given(name) | CreatedName::Generated(name) => name,
                CreatedName::Missing => UNKNOWN_NAME.to_owned(),
            }
        }
    };
    Err(obstacle.error(context, name))
}

/// Returns whether the control plane has no object of the request's name. If it does not say so, it decides on the
/// request.
async fn is_missing(
    objects: &ObjectReader,
    context: &RequestContext<'_>,
    remote: &RemoteRequest,
) -> Result<bool, RequestError> {
    match objects.read(context, remote).await {
        Ok(CurrentObject::Failed(reply)) => Ok(reply.response.status() == StatusCode::NOT_FOUND),
        Ok(CurrentObject::Read(_)) => Ok(false),
        // The remote name belongs to another object, which the request does not change.
        Err(RequestError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
