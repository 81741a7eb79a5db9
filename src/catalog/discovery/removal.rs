//! Delays the removal of resources that a control plane no longer serves.
//!
//! A control plane that is starting does not serve all of its resources yet. The namespace controller
//! assumes that a missing resource has no objects, so it would delete a namespace whose claims still
//! exist. A resource is therefore removed only after it has been missing for [`REMOVE_AFTER`]
//! and the control plane is ready.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::groups::{ApiResource, Group, Metadata, Version, find_version};

/// Time for which a resource must be missing before it is removed.
const REMOVE_AFTER: Duration = Duration::from_secs(10);

/// Missing resources by group, version and name, with the time at which each was first missing.
#[derive(Debug, Default)]
pub(crate) struct RemovalDelay(BTreeMap<(String, String, String), Instant>);

impl RemovalDelay {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether a resource can be removed if the control plane is ready.
    pub(crate) fn is_any_due(&self, at: Instant) -> bool {
        self.0.values().any(|since| is_due(*since, at))
    }

    /// Returns the groups to serve: those of `now`, and missing resources of `before` that must
    /// stay. Removes empty versions and marks the others as current.
    pub(crate) fn merge(
        &mut self,
        before: &[Group],
        mut now: Vec<Group>,
        ready: bool,
        at: Instant,
    ) -> Vec<Group> {
        let mut missing = BTreeMap::new();
        for (group, version, resource) in resources(before) {
            let served = find_version(&now, &group, &version);
            if served.is_some_and(|v| v.resources.iter().any(|r| r.resource == resource.resource)) {
                continue;
            }
            let key = (group.clone(), version.clone(), resource.resource.clone());
            let since = self.0.get(&key).copied().unwrap_or(at);
            let is_stale = served.is_some_and(Version::is_stale);
            if ready && !is_stale && is_due(since, at) {
                tracing::info!(%group, %version, resource = %key.2, "resource removed: the control plane no longer serves it");
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

/// Returns all resources with their group and version.
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

/// Adds a resource, with its group and version if they are missing too.
fn put_back(groups: &mut Vec<Group>, group: &str, version: &str, resource: ApiResource) {
    let added = Version {
        version: version.to_owned(),
        resources: vec![resource],
        freshness: String::new(),
        list_entries: Vec::new(),
    };
    let Some(known) = groups.iter_mut().find(|known| known.metadata.name == group) else {
        let metadata = Metadata {
            name: group.to_owned(),
        };
        groups.push(Group {
            metadata,
            versions: vec![added],
        });
        return;
    };
    match known
        .versions
        .iter_mut()
        .find(|known| known.version == version)
    {
        Some(known) => known.resources.extend(added.resources),
        None => known.versions.push(added),
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
    fn missing_resource_is_removed_after_delay_if_control_plane_is_ready() {
        let mut delay = RemovalDelay::default();
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
            let merged = delay.merge(&served(), now.clone(), ready, at);
            assert_eq!(names(&merged).len(), expected);
            assert_eq!(delay.is_empty(), expected == 1);
        }
    }

    #[test]
    fn returning_resource_restarts_the_delay_and_stale_versions_stay() {
        let mut delay = RemovalDelay::default();
        let start = Instant::now();
        let later = start + REMOVE_AFTER;
        assert_eq!(
            names(&delay.merge(&served(), vec![], true, start)),
            ["ones", "twos"]
        );
        assert!(delay.is_any_due(later));
        assert_eq!(
            delay.merge(&served(), served(), true, later)[0].versions[0].freshness,
            "Current"
        );
        assert!(delay.is_empty() && !delay.is_any_due(later));
        assert_eq!(names(&delay.merge(&served(), vec![], true, later)).len(), 2);
        let stale =
            r#"[{"metadata":{"name":"a.org"},"versions":[{"version":"v1","freshness":"Stale"}]}]"#;
        let long_after = later + 10 * REMOVE_AFTER;
        assert_eq!(
            names(&delay.merge(&served(), groups(stale), true, long_after)).len(),
            2
        );
        assert!(delay.merge(&served(), vec![], true, long_after).is_empty());
    }
}
