//! Accept headers of discovery and OpenAPI.

/// A form in which a document can be had.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Media {
    Json,
    /// Aggregated discovery (KEP-3352).
    V2,
    /// As it was before Kubernetes 1.30.
    V2Beta1,
}

impl Media {
    /// The aggregator matches these parameters.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::V2 => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            Self::V2Beta1 => {
                "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
            }
        }
    }
}

/// The form that is liked best among those that are served; of equals the first.
pub(crate) fn negotiate(accept: Option<&str>, served: &[Media]) -> Option<Media> {
    let accept = accept
        .map(str::trim)
        .filter(|accept| !accept.is_empty())
        .unwrap_or("*/*");
    let mut best: Option<(Media, f32)> = None;
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

fn parse(clause: &str) -> Option<(Media, f32)> {
    let mut parts = clause.split(';').map(str::trim);
    let media_type = parts.next()?.to_ascii_lowercase();
    let (mut group, mut version, mut form, mut quality) = (None, None, None, 1.0);
    for part in parts {
        match part.split_once('=')? {
            ("g", value) => group = Some(value),
            ("v", value) => version = Some(value),
            ("as", value) => form = Some(value),
            ("q", value) => quality = value.parse().ok()?,
            _ => {}
        }
    }
    let media = match (media_type.as_str(), group, version, form) {
        ("application/json" | "application/*" | "*/*", None, None, None) => Media::Json,
        (
            "application/json",
            Some("apidiscovery.k8s.io"),
            Some(version),
            Some("APIGroupDiscoveryList"),
        ) => match version {
            "v2" => Media::V2,
            "v2beta1" => Media::V2Beta1,
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
    fn the_form_liked_best_is_served() {
        let all = [Media::V2, Media::V2Beta1, Media::Json];
        let v2 = Media::V2.content_type();
        let beta = Media::V2Beta1.content_type();
        for (accept, media) in [
            (format!("{v2},{beta},application/json"), Some(Media::V2)),
            (format!("{beta},application/json"), Some(Media::V2Beta1)),
            (
                format!("application/json;q=0.5,{v2};q=0.1"),
                Some(Media::Json),
            ),
            (String::new(), Some(Media::Json)),
            (
                "application/vnd.kubernetes.protobuf, */*".into(),
                Some(Media::Json),
            ),
            ("application/yaml".into(), None),
            ("application/json;q=0".into(), None),
        ] {
            assert_eq!(negotiate(Some(&accept), &all), media, "{accept}");
        }
        assert_eq!(negotiate(Some(v2), &[Media::Json]), None);
    }
}
