//! Reads `apis`: the API groups that are exposed, and their control planes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::copies::{SecretsConfig, secrets};
use super::events::{EventsConfig, events};
use super::section::Section;
use super::settings::{ApiConfig, ControlPlaneConfig, Resources};
use claim_mapping::mapping::is_dns_label;

/// Reads the list. `names` has every configured control plane, `control_planes` only the valid ones.
pub(super) fn apis(
    root: &Section<'_>,
    names: &BTreeSet<String>,
    control_planes: &BTreeMap<String, Arc<ControlPlaneConfig>>,
) -> Vec<ApiConfig> {
    let sections = root.list_of_sections("apis");
    if sections.is_empty() {
        let cure = "add an entry: - {group: GROUP, controlPlane: NAME}";
        root.problem("apis", "no API is exposed", cure);
    }
    let mut apis = Vec::new();
    let mut earlier: Vec<(String, BTreeSet<String>)> = Vec::new();
    for section in sections {
        let control_plane = control_plane(&section, names, control_planes);
        if let Some(api) = api(&section) {
            if earlier
                .iter()
                .any(|(group, versions)| *group == api.group && overlap(versions, &api.versions))
            {
                let problem = "an earlier entry has a version of this group";
                let cure = "keep one entry, or list different versions in each";
                section.problem("group", problem, cure);
            }
            earlier.push((api.group.clone(), api.versions.clone()));
            apis.extend(control_plane.map(|control_plane| ApiConfig {
                group: api.group,
                versions: api.versions,
                resources: api.resources,
                control_plane,
                read_only: api.read_only,
                secrets: api.secrets,
                events: api.events,
            }));
        }
        section.finish();
    }
    apis
}

/// Returns whether two lists of versions have a version in common. An empty list means all versions.
fn overlap(a: &BTreeSet<String>, b: &BTreeSet<String>) -> bool {
    a.is_empty() || b.is_empty() || !a.is_disjoint(b)
}

/// One entry of `apis`, without its control plane.
struct Entry {
    group: String,
    versions: BTreeSet<String>,
    resources: Resources,
    read_only: bool,
    secrets: SecretsConfig,
    events: EventsConfig,
}

fn api(section: &Section<'_>) -> Option<Entry> {
    let group = section.required_text("group", "set it to an API group: k8s.starter.org");
    let group = group.filter(|group| {
        let valid = group.contains('.') && group.len() <= 253 && group.split('.').all(is_dns_label);
        if !valid {
            let cure = "write it as `kubectl api-resources` prints it: k8s.starter.org";
            let problem = format!("{group:?} is not an API group of custom resources");
            section.problem("group", problem, cure);
        }
        valid
    });
    let versions = section.texts("versions", &[]).into_iter().collect();
    let named: BTreeSet<String> = section.texts("resources", &[]).into_iter().collect();
    let category = section.text("category");
    let resources = match (named.contains("*"), named.is_empty()) {
        (true, _) => Resources::All,
        (false, false) => Resources::Named(named),
        (false, true) => Resources::Category(category.unwrap_or_else(|| "claim".to_owned())),
    };
    let read_only = section.flag("readOnly", false);
    let secrets = secrets(section.section("secrets"));
    let events = events(section.section("events"));
    Some(Entry {
        group: group?,
        versions,
        resources,
        read_only,
        secrets: secrets?,
        events,
    })
}

fn control_plane(
    section: &Section<'_>,
    names: &BTreeSet<String>,
    control_planes: &BTreeMap<String, Arc<ControlPlaneConfig>>,
) -> Option<Arc<ControlPlaneConfig>> {
    let name = section.required_text("controlPlane", "set it to a name from controlPlanes")?;
    if !names.contains(&name) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let problem = format!("control plane {name:?} does not exist in controlPlanes");
        let cure = format!("use one of: {}", names.join(", "));
        section.problem("controlPlane", problem, cure);
    }
    control_planes.get(&name).cloned()
}
