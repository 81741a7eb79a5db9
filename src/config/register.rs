//! Reads `appCluster` and `register`: the API of the app cluster, and the APIServices to create there.

use std::collections::BTreeSet;

use super::section::Section;
use super::settings::{
    ApiConfig, AppClusterConfig, CaInjection, Priority, Register, ServiceConfig,
};
use claim_mapping::mapping::{is_dns_label, is_dns_subdomain};
use kube_wire::group_version::GroupVersion;

/// The end of the names of Kubernetes' own groups (`api-approved.kubernetes.io` protects it for CRDs).
const BUILT_IN: &str = ".k8s.io";

pub(super) fn app_cluster(section: Section<'_>) -> AppClusterConfig {
    let kubeconfig = section.path("kubeconfig");
    section.finish();
    AppClusterConfig { kubeconfig }
}

/// Reads `register`. Returns `None` after a problem.
pub(super) fn register(section: Section<'_>, apis: &[ApiConfig]) -> Option<Register> {
    let service = service(section.section("service"));
    let cluster_role = section.text("clusterRole").filter(|name| {
        let is_valid = is_dns_subdomain(&name.replace(':', "-"));
        if !is_valid {
            let cure = "write the name of a ClusterRole: claimgate";
            section.problem("clusterRole", format!("{name:?} is not a name"), cure);
        }
        is_valid
    });
    let ca_injection = section.optional_section("caInjection").map(ca_injection);
    let priority = |key, default, max| {
        let value = section.count(key, default);
        i32::try_from(value)
            .ok()
            .filter(|value| (1..=max).contains(value))
            .or_else(|| {
                let cure = format!("write 1 to {max}");
                section.problem(key, format!("{value} is not a priority"), cure);
                None
            })
    };
    // The ranges of kube-apiserver (`kube-aggregator/pkg/apis/apiregistration/validation/validation.go`), and the
    // priorities that it gives to CRDs, but for the version, which is after theirs.
    let group_minimum = priority("groupPriorityMinimum", 1000, 20_000);
    let version = priority("versionPriority", 15, 1000);
    let adopt = section.texts("adopt", &[]);
    let adopt: BTreeSet<_> = adopt
        .iter()
        .filter_map(|text| adopted(&section, text, apis))
        .collect();
    section.finish();
    Some(Register {
        service: service?,
        cluster_role,
        ca_injection: match ca_injection {
            Some(injection) => Some(injection?),
            None => None,
        },
        priority: Priority {
            group_minimum: group_minimum?,
            version: version?,
        },
        adopt,
    })
}

/// Reads `caInjection`, with exactly one of its keys.
fn ca_injection(section: Section<'_>) -> Option<CaInjection> {
    let cure = "write one of them: {certificate: claimgate-tls} or {secret: claimgate-tls}";
    let certificate = section.text("certificate");
    let secret = section.text("secret");
    let (key, name, injection) = match (certificate, secret) {
        (Some(name), None) => ("certificate", name.clone(), CaInjection::Certificate(name)),
        (None, Some(name)) => ("secret", name.clone(), CaInjection::Secret(name)),
        _ => {
            section.problem(
                "certificate",
                "caInjection needs either certificate or secret",
                cure,
            );
            section.finish();
            return None;
        }
    };
    let is_valid = is_dns_subdomain(&name);
    if !is_valid {
        section.problem(key, format!("{name:?} is not a name"), cure);
    }
    section.finish();
    is_valid.then_some(injection)
}

/// Reads the name of a Secret.
pub(super) fn secret_name(section: &Section<'_>, key: &'static str) -> Option<String> {
    let cure = "write the name of a Secret: claimgate-tls";
    let name = section.required_text(key, cure)?;
    let is_valid = is_dns_subdomain(&name);
    if !is_valid {
        section.problem(key, format!("{name:?} is not the name of a Secret"), cure);
    }
    is_valid.then_some(name)
}

fn service(section: Section<'_>) -> Option<ServiceConfig> {
    let name = |key: &'static str, default: &str| {
        let name = section.text(key).unwrap_or_else(|| default.to_owned());
        if is_dns_label(&name) {
            return Some(name);
        }
        let cure = format!("write a DNS label: {default}");
        section.problem(key, format!("{name:?} is not a DNS label"), cure);
        None
    };
    let (namespace, name) = (
        name("namespace", "claimgate-system"),
        name("name", "claimgate"),
    );
    let port = section.count("port", 443);
    let port = u16::try_from(port).ok().or_else(|| {
        section.problem("port", format!("{port} is not a port"), "write 1 to 65535");
        None
    });
    section.finish();
    Some(ServiceConfig {
        namespace: namespace?,
        name: name?,
        port: port?,
    })
}

/// Reads an entry of `adopt`. It must belong to an API that is exposed and not built in.
fn adopted(section: &Section<'_>, text: &str, apis: &[ApiConfig]) -> Option<GroupVersion> {
    let parsed = text.parse::<GroupVersion>().ok();
    let entry = parsed.filter(|entry| {
        apis.iter().any(|api| {
            let has_version = api.versions.is_empty() || api.versions.contains(&entry.version);
            api.group == entry.group && has_version
        }) && !entry.group.ends_with(BUILT_IN)
    });
    if entry.is_none() {
        let cure =
            "write GROUP/VERSION of an API in apis; groups that end in .k8s.io cannot be adopted";
        section.problem("adopt", format!("{text:?} cannot be adopted"), cure);
    }
    entry
}
