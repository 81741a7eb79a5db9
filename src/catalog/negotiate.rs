//! Content negotiation of discovery and OpenAPI, which are served as JSON only.

/// A media type of discovery documents.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum DocumentMedia {
    Json,
    /// Aggregated discovery (KEP-3352).
    AggregatedV2,
    /// The version of aggregated discovery before Kubernetes 1.30.
    AggregatedV2Beta1,
}

impl DocumentMedia {
    /// Returns the Content-Type. The aggregator compares its parameters.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::AggregatedV2 => {
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            }
            Self::AggregatedV2Beta1 => {
                "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
            }
        }
    }
}

/// Returns the media type in `served` with the greatest weight. If weights are equal, the first one wins.
/// Returns `None` if the client accepts none of them.
pub(super) fn negotiate(accept: Option<&str>, served: &[DocumentMedia]) -> Option<DocumentMedia> {
    let accept = accept
        .map(str::trim)
        .filter(|accept| !accept.is_empty())
        .unwrap_or("*/*");
    let mut best: Option<(DocumentMedia, f32)> = None;
    for clause in accept.split(',') {
        let Some((media, quality)) = parse(clause) else {
            continue;
        };
        let better = best.is_none_or(|(_, other)| quality > other);
        if quality > 0.0 && better && served.contains(&media) {
            best = Some((media, quality));
        }
    }
    best.map(|(media, _)| media)
}

fn parse(clause: &str) -> Option<(DocumentMedia, f32)> {
    let mut parts = clause.split(';').map(str::trim);
    let media_type = parts.next()?.to_ascii_lowercase();
    let (mut group, mut version, mut kind, mut quality) = (None, None, None, 1.0);
    for part in parts {
        match part.split_once('=')? {
            ("g", value) => group = Some(value),
            ("v", value) => version = Some(value),
            ("as", value) => kind = Some(value),
            ("q", value) => quality = value.parse().ok()?,
            _ => {}
        }
    }
    let media = match (media_type.as_str(), group, version, kind) {
        ("application/json" | "application/*" | "*/*", None, None, None) => DocumentMedia::Json,
        (
            "application/json",
            Some("apidiscovery.k8s.io"),
            Some(version),
            Some("APIGroupDiscoveryList"),
        ) => match version {
            "v2" => DocumentMedia::AggregatedV2,
            "v2beta1" => DocumentMedia::AggregatedV2Beta1,
            _ => return None,
        },
        _ => return None,
    };
    Some((media, quality))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_type_with_greatest_weight_is_chosen() {
        let all = [
            DocumentMedia::AggregatedV2,
            DocumentMedia::AggregatedV2Beta1,
            DocumentMedia::Json,
        ];
        let v2 = DocumentMedia::AggregatedV2.content_type();
        let beta = DocumentMedia::AggregatedV2Beta1.content_type();
        for (accept, media) in [
            (
                format!("{v2},{beta},application/json"),
                Some(DocumentMedia::AggregatedV2),
            ),
            (
                format!("{beta},application/json"),
                Some(DocumentMedia::AggregatedV2Beta1),
            ),
            (
                format!("application/json;q=0.5,{v2};q=0.1"),
                Some(DocumentMedia::Json),
            ),
            (String::new(), Some(DocumentMedia::Json)),
            (
                "application/vnd.kubernetes.protobuf, */*".into(),
                Some(DocumentMedia::Json),
            ),
            ("application/yaml".into(), None),
            ("application/json;q=0".into(), None),
        ] {
            assert_eq!(negotiate(Some(&accept), &all), media, "{accept}");
        }
        assert_eq!(negotiate(Some(v2), &[DocumentMedia::Json]), None);
    }
}
