//! Validation of list options.

use std::num::{IntErrorKind, ParseIntError};

use crate::error::RequestError;
use kube_wire::request_info::Query;

/// Validates the options of a list or a watch as kube-apiserver does, except for selectors
/// (`apimachinery/pkg/apis/meta/internalversion/validation`).
///
/// # Errors
/// The value of an option is invalid, or options contradict each other.
pub(super) fn validate(query: &Query, is_watch: bool) -> Result<(), RequestError> {
    let given = |key: &str| query.get(key).filter(|value| !value.is_empty());
    for key in ["timeoutSeconds", "limit"] {
        if let Some(text) = given(key) {
            text.parse::<i64>().map_err(|error| {
                RequestError::BadRequest(format!(
                    "strconv.ParseInt: parsing {text:?}: {}",
                    go_error(&error)
                ))
            })?;
        }
    }
    let matching = given("resourceVersionMatch");
    let rejected = |field, why| Err(RequestError::ListOptions { field, why });
    match (is_watch, given("sendInitialEvents")) {
        (false, Some(_)) => {
            return rejected(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for list",
            );
        }
        (true, Some(_)) if matching.is_none_or(|matching| matching != "NotOlderThan") => {
            return rejected(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            );
        }
        (false, None) if matching.is_some() && given("resourceVersion").is_none() => {
            return rejected(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            );
        }
        (true, None) if matching.is_some() => {
            return rejected(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            );
        }
        _ => {}
    }
    if let Some(text) = given("resourceVersion")
        && let Err(error) = text.parse::<u64>()
    {
        let prefix = if is_watch {
            ""
        } else {
            "invalid resource version: "
        };
        return Err(RequestError::BadRequest(format!(
            "{prefix}resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: {}",
            go_error(&error)
        )));
    }
    Ok(())
}

/// The message of Go's `strconv` for the same error.
fn go_error(error: &ParseIntError) -> &'static str {
    match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_or_contradicting_options_are_rejected() {
        for (query, is_watch, message) in [
            ("limit=5&timeoutSeconds=7&resourceVersion=8", false, ""),
            ("limit=&resourceVersion=", false, ""),
            (
                "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
                true,
                "",
            ),
            (
                "limit=x",
                false,
                r#"strconv.ParseInt: parsing "x": invalid syntax"#,
            ),
            (
                "timeoutSeconds=99999999999999999999",
                true,
                r#"strconv.ParseInt: parsing "99999999999999999999": value out of range"#,
            ),
            (
                "resourceVersion=abc",
                false,
                r#"invalid resource version: resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax"#,
            ),
            (
                "sendInitialEvents=true",
                false,
                r#"ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"#,
            ),
            (
                "sendInitialEvents=true",
                true,
                r#"ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"#,
            ),
            (
                "resourceVersionMatch=Exact",
                false,
                r#"ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"#,
            ),
        ] {
            let validated = validate(&Query::parse(query), is_watch);
            let message_returned = validated.err().map(|error| error.to_string());
            assert_eq!(message_returned.unwrap_or_default(), message, "{query}");
        }
    }
}
