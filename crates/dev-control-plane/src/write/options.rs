//! Options of writes: query parameters, and DeleteOptions in the body.

use http::Method;
use http::header::USER_AGENT;
use serde_json::{Value, json};

use super::super::apply::{FieldManager, Operation};
use super::super::crud::{Endpoint, Preconditions};
use super::super::error::StatusError;
use super::super::request::{RecordedRequest, is_true};
use super::super::resource::Resource;
use super::body::{check_json, parse_json};

/// What happens to fields that the schema does not declare.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldValidation {
    Ignore,
    Strict,
    Warn,
}

/// Maximum length of a manager's name from a User-Agent (apiserver handlers/create.go prefixFromUserAgent).
const MANAGER_LEN_MAX: usize = 128;

impl FieldValidation {
    pub(super) fn of(request: &RecordedRequest) -> Result<Self, StatusError> {
        match request.parameter("fieldValidation").as_deref() {
            Some("Ignore") => Ok(Self::Ignore),
            Some("Strict") => Ok(Self::Strict),
            None | Some("" | "Warn") => Ok(Self::Warn),
            Some(other) => Err(StatusError::bad_request(format!(
                "fieldValidation: Unsupported value: \"{other}\": supported values: \"Ignore\", \"Strict\", \"Warn\""
            ))),
        }
    }
}

pub(super) fn dry_run(request: &RecordedRequest) -> Result<bool, StatusError> {
    match request.parameter("dryRun").as_deref() {
        None => Ok(false),
        Some("All") => Ok(true),
        Some(other) => Err(StatusError::bad_request(format!(
            "dryRun: Unsupported value: \"{other}\": supported values: \"All\""
        ))),
    }
}

/// Returns whether an apply may take fields from other managers.
pub(super) fn forced(request: &RecordedRequest) -> bool {
    request
        .parameter("force")
        .is_some_and(|value| is_true(&value))
}

/// Returns the manager of a write: `fieldManager`, or the User-Agent up to the first slash.
///
/// # Errors
/// An apply names no manager, or another patch has `force` (apimachinery pkg/apis/meta/v1/validation
/// ValidatePatchOptions).
pub(super) fn field_manager(
    request: &RecordedRequest,
    resource: &Resource,
    endpoint: Endpoint,
    operation: Operation,
) -> Result<FieldManager, StatusError> {
    let given = request.parameter("fieldManager").unwrap_or_default();
    let is_patch = request.method == Method::PATCH;
    let name = match operation {
        Operation::Apply if given.is_empty() => {
            let message = "Required value: is required for apply patch";
            let reason = "FieldValueRequired";
            return Err(StatusError::patch_options("fieldManager", reason, message));
        }
        Operation::Update if is_patch && request.parameter("force").is_some() => {
            let message = "Forbidden: may not be specified for non-apply patch";
            let reason = "FieldValueForbidden";
            return Err(StatusError::patch_options("force", reason, message));
        }
        Operation::Update if given.is_empty() => from_user_agent(request),
        Operation::Apply | Operation::Update => given,
    };
    let manager = FieldManager::update(&name, resource.api_version());
    Ok(FieldManager {
        operation,
        ..manager.on(endpoint.subresource())
    })
}

fn from_user_agent(request: &RecordedRequest) -> String {
    let agent = request.header(USER_AGENT);
    let product = agent.split('/').next().unwrap_or_default();
    let name: String = product.chars().take(MANAGER_LEN_MAX).collect();
    if name.is_empty() {
        "unknown".to_owned()
    } else {
        name
    }
}

/// Returns the preconditions of a delete, and whether it is a dry run. Without a body, the query contains the
/// preconditions (apimachinery pkg/apis/meta/v1/conversion.go Convert_url_Values_To_v1_DeleteOptions).
pub(super) fn delete_options(
    request: &RecordedRequest,
) -> Result<(Preconditions, bool), StatusError> {
    let mut dry_run = dry_run(request)?;
    if request.body.is_empty() {
        let preconditions = Preconditions {
            uid: request.parameter("uid"),
            resource_version: request.parameter("resourceVersion"),
        };
        return Ok((preconditions, dry_run));
    }
    check_json(request)?;
    let options = parse_json(request)?;
    dry_run |= options
        .get("dryRun")
        .is_some_and(|value| *value == json!(["All"]));
    let condition = |field| {
        let value = options
            .get("preconditions")
            .and_then(|conditions| conditions.get(field));
        value.and_then(Value::as_str).map(str::to_owned)
    };
    let (uid, resource_version) = (condition("uid"), condition("resourceVersion"));
    Ok((
        Preconditions {
            uid,
            resource_version,
        },
        dry_run,
    ))
}
