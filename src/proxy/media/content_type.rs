//! The Content-Type header of a request.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

/// Returns the media type of a body in lower case, without its parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let name = value.split(';').next().unwrap_or_default();
    Some(name.trim().to_ascii_lowercase())
}

/// Returns whether a body of this media type is read as JSON, like a body without a media type
/// (`apiserver/pkg/endpoints/handlers/negotiation/negotiate.go`,
/// `NegotiateInputSerializerForMediaType`).
pub(crate) fn is_json_type(media_type: Option<&str>) -> bool {
    matches!(media_type, None | Some("" | "application/json" | "*/*"))
}

/// Returns the Content-Type of a body that was converted to JSON.
///
/// The parameters of the original type stay: they mean nothing, but the control plane rejects
/// malformed ones.
pub(crate) fn converted_to_json(headers: &HeaderMap) -> HeaderValue {
    let original = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let parameters = original.and_then(|value| Some(&value[value.find(';')?..]));
    let json = format!("application/json{}", parameters.unwrap_or_default());
    HeaderValue::from_str(&json).unwrap_or(HeaderValue::from_static("application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversion_keeps_parameters_of_content_type() {
        for (original, converted) in [
            ("application/yaml", "application/json"),
            (
                "application/yaml; charset=utf-8",
                "application/json; charset=utf-8",
            ),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(original));
            assert_eq!(converted_to_json(&headers), converted);
        }
    }
}
