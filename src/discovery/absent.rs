//! Resources that a control plane no longer serves, and when they may go.
//!
//! A control plane that is starting serves less than it will, and the namespace controller takes the
//! absence of a resource for the absence of its objects: it would let a namespace go whose claims
//! still exist. So a resource stays until it has been missing for a while and the control plane calls
//! itself ready.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::document::{ApiResource, Group, Metadata, Version};

/// What is missing has to be missing this long before it goes.
const REMOVE_AFTER: Duration = Duration::from_secs(10);

/// Since when resources that were served are missing, by group, version and name.
#[derive(Debug, Default)]
pub(super) struct Absent(BTreeMap<(String, String, String), Instant>);

impl Absent {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something may go if the control plane is ready.
    pub(super) fn is_any_due(&self, at: Instant) -> bool {
        self.0.values().any(|since| is_due(*since, at))
    }

    /// What is served now, and what was and may not go yet; without what is empty, all current.
    pub(super) fn merge(
        &mut self,
        before: &[Group],
        mut now: Vec<Group>,
        ready: bool,
        at: Instant,
    ) -> Vec<Group> {
        let mut missing = BTreeMap::new();
        for (group, version, resource) in resources(before) {
            let served = find(&now, &group, &version);
            if served.is_some_and(|v| v.resources.iter().any(|r| r.resource == resource.resource)) {
                continue;
            }
            let key = (group.clone(), version.clone(), resource.resource.clone());
            let since = self.0.get(&key).copied().unwrap_or(at);
            let is_stale = served.is_some_and(Version::is_stale);
            if ready && !is_stale && is_due(since, at) {
                tracing::info!(%group, %version, resource = %key.2, "no longer served");
                continue;
            }
            missing.insert(key, since);
            put_back(&mut now, &group, &version, resource);
        }
        self.0 = missing;
        for group in &mut now {
            group
                .versions
                .retain(|version| !version.resources.is_empty());
            for version in &mut group.versions {
                version.freshness = "Current".to_owned();
            }
        }
        now.retain(|group| !group.versions.is_empty());
        now
    }
}

fn is_due(since: Instant, at: Instant) -> bool {
    at.saturating_duration_since(since) >= REMOVE_AFTER
}

fn resources(groups: &[Group]) -> Vec<(String, String, ApiResource)> {
    let mut all = Vec::new();
    for group in groups {
        for version in &group.versions {
            for resource in &version.resources {
                let group = group.metadata.name.clone();
                all.push((group, version.version.clone(), resource.clone()));
            }
        }
    }
    all
}

pub(super) fn find<'a>(groups: &'a [Group], group: &str, version: &str) -> Option<&'a Version> {
    let group = groups.iter().find(|known| known.metadata.name == group)?;
    group.versions.iter().find(|known| known.version == version)
}

fn put_back(groups: &mut Vec<Group>, group: &str, version: &str, resource: ApiResource) {
    let with = Version {
        version: version.to_owned(),
        resources: vec![resource],
        freshness: String::new(),
        listed: Vec::new(),
    };
    let Some(known) = groups.iter_mut().find(|known| known.metadata.name == group) else {
        let metadata = Metadata {
            name: group.to_owned(),
        };
        groups.push(Group {
            metadata,
            versions: vec![with],
        });
        return;
    };
    match known
        .versions
        .iter_mut()
        .find(|known| known.version == version)
    {
        Some(known) => known.resources.extend(with.resources),
        None => known.versions.push(with),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(text: &str) -> Vec<Group> {
        serde_json::from_str(text).unwrap()
    }

    fn served() -> Vec<Group> {
        groups(
            r#"[{"metadata":{"name":"a.org"},"versions":[{"version":"v1","resources":[
                {"resource":"ones","scope":"Namespaced"},{"resource":"twos","scope":"Namespaced"}]}]}]"#,
        )
    }

    fn names(groups: &[Group]) -> Vec<String> {
        let all = resources(groups).into_iter();
        let mut names: Vec<_> = all.map(|(_, _, resource)| resource.resource).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_missing_goes_after_a_while_from_a_control_plane_that_is_ready() {
        let mut absent = Absent::default();
        let start = Instant::now();
        let later = start + REMOVE_AFTER;
        let mut now = served();
        now[0].versions[0].resources.pop();
        for (at, ready, expected) in [
            (start, true, 2),
            (later - Duration::from_millis(1), true, 2),
            (later, false, 2),
            (later, true, 1),
        ] {
            let merged = absent.merge(&served(), now.clone(), ready, at);
            assert_eq!(names(&merged).len(), expected);
            assert_eq!(absent.is_empty(), expected == 1);
        }
    }

    #[test]
    fn what_returns_starts_anew_and_what_is_stale_never_goes() {
        let mut absent = Absent::default();
        let start = Instant::now();
        let later = start + REMOVE_AFTER;
        assert_eq!(
            names(&absent.merge(&served(), vec![], true, start)),
            ["ones", "twos"]
        );
        assert!(absent.is_any_due(later));
        assert_eq!(
            absent.merge(&served(), served(), true, later)[0].versions[0].freshness,
            "Current"
        );
        assert!(absent.is_empty() && !absent.is_any_due(later));
        assert_eq!(
            names(&absent.merge(&served(), vec![], true, later)).len(),
            2
        );
        let stale =
            r#"[{"metadata":{"name":"a.org"},"versions":[{"version":"v1","freshness":"Stale"}]}]"#;
        let long_after = later + 10 * REMOVE_AFTER;
        assert_eq!(
            names(&absent.merge(&served(), groups(stale), true, long_after)).len(),
            2
        );
        assert!(absent.merge(&served(), vec![], true, long_after).is_empty());
    }
}
