//! Chooses the resources and verbs of a control plane that discovery offers.

use std::collections::BTreeSet;

use super::discovery::{ApiResource, Group, ResourceVerbs};
use super::rights::{ResourceRights, Rights};

/// The verb that clients need to follow a resource.
const WATCH: &str = "watch";

const LIST: &str = "list";

/// The verbs that the namespace controller requires. Without them, it would delete a namespace whose claims still
/// exist, so a resource that was offered with one of these verbs keeps it. The controller remembers until its restart
/// that a resource lacks `list` or `deletecollection`
/// (`pkg/controller/namespace/deletion/namespaced_resources_deleter.go`).
const KEPT: [&str; 3] = [LIST, "delete", "deletecollection"];

/// Returns the groups with the verbs that claimgate has the right to use, and without resources that it has no right to
/// list.
///
/// During an outage, `watch` is removed. It is also removed from resources that claimgate can no longer list.
/// Controllers that watch every resource then ignore these resources, and continue with all others: the garbage
/// collector (`pkg/controller/garbagecollector/garbagecollector.go`, GetDeletableResources), the quota controller
/// (`pkg/controller/resourcequota`, GetQuotableResourcesFunc) and Argo CD (gitops-engine, `utils/kube/ctl.go`,
/// GetAPIResources).
pub(super) fn offered(
    groups: &[Group],
    rights: &Rights,
    before: &ResourceVerbs,
    is_outage: bool,
) -> Vec<Group> {
    let mut groups = groups.to_vec();
    for group in &mut groups {
        let name = &group.metadata.name;
        for version in &mut group.versions {
            version.resources.retain_mut(|resource| {
                let key = (name.clone(), resource.resource.clone());
                let before = before.get(&key);
                let is_offered = match rights {
                    Rights::Unknown => restrict_to(resource, before),
                    Rights::Unlimited => true,
                    Rights::Known(all) => match all.get(&key) {
                        Some(rights) => restrict(resource, rights, before),
                        None => true,
                    },
                };
                if is_outage {
                    remove_watch(resource);
                }
                is_offered
            });
        }
        group
            .versions
            .retain(|version| !version.resources.is_empty());
    }
    groups.retain(|group| !group.versions.is_empty());
    groups
}

/// Removes the verbs that claimgate has no right to use. Returns whether the resource is offered.
fn restrict(
    resource: &mut ApiResource,
    rights: &ResourceRights,
    before: Option<&BTreeSet<String>>,
) -> bool {
    let is_kept =
        |verb: &str| KEPT.contains(&verb) && before.is_some_and(|before| before.contains(verb));
    let has_lost = KEPT
        .iter()
        .any(|verb| is_kept(verb) && !rights.allows(verb));
    if has_lost || !rights.can_follow() {
        remove_watch(resource);
    }
    resource
        .verbs
        .retain(|verb| rights.allows(verb) || is_kept(verb));
    resource.verbs.iter().any(|verb| verb == LIST)
}

/// Removes the verbs that were not offered before. Returns whether the resource is offered.
fn restrict_to(resource: &mut ApiResource, before: Option<&BTreeSet<String>>) -> bool {
    let is_known = |verb: &String| before.is_some_and(|before| before.contains(verb));
    resource.verbs.retain(is_known);
    before.is_some()
}

fn remove_watch(resource: &mut ApiResource) {
    resource.verbs.retain(|verb| verb != WATCH);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups() -> Vec<Group> {
        serde_json::from_str(
            r#"[{"metadata": {"name": "a.org"}, "versions": [{"version": "v1", "resources": [
                {"resource": "ones", "responseKind": null, "scope": "Namespaced",
                 "verbs": ["get", "list", "watch", "delete", "deletecollection"]}]}]}]"#,
        )
        .unwrap()
    }

    /// Returns the offered verbs, or `none` if the resource is not offered.
    fn verbs(rights: &Rights, before: &mut ResourceVerbs, is_outage: bool) -> String {
        let offered = offered(&groups(), rights, before, is_outage);
        before.add(&ResourceVerbs::of(&offered));
        let resource = offered.first().map(|group| &group.versions[0].resources[0]);
        resource.map_or_else(|| "none".to_owned(), |resource| resource.verbs.join(" "))
    }

    #[test]
    fn verbs_without_rights_are_not_offered() {
        let new = ResourceVerbs::default;
        let all = "get list watch delete deletecollection";
        let without_watch = "get list delete deletecollection";
        assert_eq!(verbs(&Rights::Unlimited, &mut new(), false), all);
        assert_eq!(verbs(&Rights::Unlimited, &mut new(), true), without_watch);
        let lacking = |verbs: &[&'static str]| Rights::lacking("a.org", "ones", verbs, &[]);
        let no_delete = lacking(&["delete"]);
        assert_eq!(
            verbs(&no_delete, &mut new(), false),
            "get list watch deletecollection"
        );
        assert_eq!(verbs(&lacking(&["list"]), &mut new(), false), "none");
        assert_eq!(
            verbs(&lacking(&["watch"]), &mut new(), false),
            without_watch
        );
        let one_namespace = Rights::lacking("a.org", "ones", &[], &["list"]);
        assert_eq!(verbs(&one_namespace, &mut new(), false), without_watch);
    }

    #[test]
    fn offer_does_not_grow_while_rights_are_unknown() {
        assert_eq!(
            verbs(&Rights::Unknown, &mut ResourceVerbs::default(), false),
            "none"
        );
        let mut before = ResourceVerbs::default();
        let rights = Rights::lacking("a.org", "ones", &["watch"], &[]);
        let offered = verbs(&rights, &mut before, false);
        assert_eq!(verbs(&Rights::Unknown, &mut before, false), offered);
    }

    #[test]
    fn offered_resource_keeps_verbs_that_protect_namespaces() {
        for lost in ["list", "delete", "deletecollection"] {
            let mut before = ResourceVerbs::default();
            verbs(&Rights::Unlimited, &mut before, false);
            let rights = Rights::lacking("a.org", "ones", &[lost, "get"], &[]);
            assert_eq!(
                verbs(&rights, &mut before, false),
                "list delete deletecollection"
            );
        }
    }
}
