//! The command `claimgate map`.

use std::path::Path;
use std::str::FromStr;

use clap::Args;

use super::error::CommandError;
use super::stdout;
use crate::config::{self, Config};
use claim_mapping::mapping::{
    Mapping, MappingError, ObjectKey, SharedNamespace, is_dns_label, is_dns_subdomain,
};
use claim_mapping::origin;

/// The claim to look up.
#[derive(Args, Debug)]
pub(super) struct Lookup {
    /// Use only this control plane; by default all control planes
    #[arg(long, value_name = "NAME")]
    control_plane: Option<String>,
    /// Interpret the name as a remote name, and print the local name
    #[arg(long)]
    remote: bool,
    /// Namespace of the claim in the app cluster; with the shared mapping, --remote needs it to compute the local name
    #[arg(long, value_name = "NAMESPACE", requires = "remote")]
    local_namespace: Option<NamespaceName>,
    /// Namespace and name of the claim
    #[arg(value_name = "NAMESPACE/NAME")]
    claim: ClaimKey,
}

/// The valid name of a namespace.
#[derive(Clone, Debug, Eq, PartialEq)]
struct NamespaceName(String);

impl FromStr for NamespaceName {
    type Err = InvalidArgument;

    fn from_str(text: &str) -> Result<Self, InvalidArgument> {
        if is_dns_label(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidArgument::Namespace(text.to_owned()))
        }
    }
}

/// The namespace and the name of a claim. Both are valid in Kubernetes.
#[derive(Clone, Debug, Eq, PartialEq)]
struct ClaimKey(ObjectKey);

impl FromStr for ClaimKey {
    type Err = InvalidArgument;

    fn from_str(text: &str) -> Result<Self, InvalidArgument> {
        let parts: Vec<&str> = text.split('/').collect();
        let &[namespace, name] = parts.as_slice() else {
            return Err(InvalidArgument::Form);
        };
        if namespace.is_empty() || name.is_empty() {
            return Err(InvalidArgument::Form);
        }
        let NamespaceName(namespace) = namespace.parse()?;
        if !is_dns_subdomain(name) {
            return Err(InvalidArgument::Name(name.to_owned()));
        }
        Ok(Self(ObjectKey::new(namespace, name)))
    }
}

/// Why an argument does not name a claim.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
enum InvalidArgument {
    #[error("write a namespace, one slash and a name: default/my-cluster")]
    Form,
    #[error("{0:?} is not a valid name; use lowercase letters, digits, \"-\" and \".\"")]
    Name(String),
    #[error("{0:?} is not a valid namespace name; use 1 to 63 lowercase letters, digits and \"-\"")]
    Namespace(String),
}

/// Prints the name of a claim on the other side, one line for each control plane that maps it.
pub(super) fn run(path: &Path, lookup: &Lookup) -> Result<(), CommandError> {
    let config = config::load(path, std::env::vars()).map_err(CommandError::InvalidConfig)?;
    let mappings = selected(&config, lookup.control_plane.as_deref())?;
    let text = answers(&mappings, lookup).map_err(CommandError::NotMapped)?;
    Ok(stdout::print(text.as_bytes())?)
}

/// Returns the name and the mapping of the chosen control plane, or of all of them.
fn selected<'a>(
    config: &'a Config,
    only: Option<&str>,
) -> Result<Vec<(&'a str, &'a Mapping)>, CommandError> {
    let control_planes = config.control_planes.values();
    let control_planes = control_planes.filter(|one| only.is_none_or(|name| one.name == name));
    let mappings: Vec<(&str, &Mapping)> = control_planes
        .map(|one| (one.name.as_str(), &one.mapping))
        .collect();
    match only {
        Some(name) if mappings.is_empty() => {
            let known: Vec<&str> = config.control_planes.keys().map(String::as_str).collect();
            Err(CommandError::UnknownControlPlane {
                name: name.to_owned(),
                known: known.join(", "),
            })
        }
        _ => Ok(mappings),
    }
}

/// Formats the answers of all mappings, or the reasons if none of them maps the claim.
fn answers(mappings: &[(&str, &Mapping)], lookup: &Lookup) -> Result<String, String> {
    let ClaimKey(key) = &lookup.claim;
    let (namespace, name) = (&key.namespace, &key.name);
    let mut text = String::new();
    let mut reasons = if lookup.remote {
        format!("no local name is known for {namespace}/{name}:")
    } else {
        format!("no control plane stores {namespace}/{name}:")
    };
    for (control_plane, mapping) in mappings {
        let answer = if lookup.remote {
            local_key(control_plane, mapping, key, lookup.local_namespace.as_ref())
        } else {
            remote_key(control_plane, mapping, key)
        };
        match answer {
            Answer::Key(key) => {
                text += &format!("{control_plane}: {}/{}\n", key.namespace, key.name);
            }
            Answer::InObject => {
                text += &format!(
                    "{control_plane}: unknown; the annotations of the object contain the local names\n  \
                     {}\n  If you know the local namespace, add --local-namespace NAMESPACE.\n",
                    command_for_annotations(key)
                );
            }
            Answer::NoKey(reason) => reasons += &format!("\n  {control_plane}: {reason}"),
        }
    }
    if text.is_empty() {
        Err(reasons)
    } else {
        Ok(text)
    }
}

/// The result of a lookup in one mapping.
enum Answer {
    /// The name on the other side.
    Key(ObjectKey),
    /// Only the object on the control plane contains the local names.
    InObject,
    /// The mapping has no name for the claim, for this reason.
    NoKey(String),
}

fn remote_key(control_plane: &str, mapping: &Mapping, local: &ObjectKey) -> Answer {
    match mapping.to_remote(local) {
        Ok(remote) => Answer::Key(remote),
        Err(MappingError::NamespaceNotMapped) => Answer::NoKey(format!(
            "namespace {:?} is not mapped; add it to controlPlanes.{control_plane}.mapping.namespaces",
            local.namespace
        )),
    }
}

fn local_key(
    control_plane: &str,
    mapping: &Mapping,
    remote: &ObjectKey,
    local_namespace: Option<&NamespaceName>,
) -> Answer {
    match mapping {
        Mapping::Table(table) => match table.to_local(&remote.namespace) {
            Some(local) if local_namespace.is_none_or(|NamespaceName(given)| given == local) => {
                Answer::Key(ObjectKey::new(local, &remote.name))
            }
            Some(local) => Answer::NoKey(format!(
                "namespace {:?} belongs to the local namespace {local:?}",
                remote.namespace
            )),
            None => Answer::NoKey(format!(
                "namespace {:?} is not in controlPlanes.{control_plane}.mapping.namespaces",
                remote.namespace
            )),
        },
        Mapping::Shared(shared) => local_key_of_shared(shared, remote, local_namespace),
    }
}

/// Returns the local name of a claim in a shared mapping. The hash in a remote name covers the local namespace, so the
/// local name is certain only if this namespace is given and the name is not truncated.
fn local_key_of_shared(
    shared: &SharedNamespace,
    remote: &ObjectKey,
    local_namespace: Option<&NamespaceName>,
) -> Answer {
    if remote.namespace != shared.namespace() {
        return Answer::NoKey(format!(
            "claims are stored in the namespace {:?} only",
            shared.namespace()
        ));
    }
    if !SharedNamespace::ends_in_hash(&remote.name) {
        let reason = "the name does not end in \"-\" and 16 hexadecimal digits, as remote names do";
        return Answer::NoKey(reason.to_owned());
    }
    let Some(NamespaceName(namespace)) = local_namespace else {
        return Answer::InObject;
    };
    match shared.local_key(namespace, &remote.name) {
        Some(local) => Answer::Key(local),
        None => Answer::NoKey(format!(
            "the hash does not match the local namespace {namespace:?} and the name before the hash. The claim is \
             in another namespace or from another app cluster, or its name was cut. The annotations of the object \
             contain the local names:\n    {}",
            command_for_annotations(remote)
        )),
    }
}

/// Returns the command that prints the local names of an object on the control plane. The user has to replace the
/// words in upper case.
fn command_for_annotations(remote: &ObjectKey) -> String {
    let [namespace, name] = [origin::NAMESPACE, origin::NAME].map(|key| {
        let key = key.replace('.', r"\.");
        format!("{{.metadata.annotations.{key}}}")
    });
    format!(
        "kubectl --context CONTEXT get RESOURCE {} --namespace {} --output jsonpath='{namespace}/{name}{{\"\\n\"}}'",
        remote.name, remote.namespace
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&str, &str)]) -> Mapping {
        let rows = rows
            .iter()
            .map(|(local, remote)| ((*local).to_owned(), (*remote).to_owned()));
        Mapping::table(rows.collect()).unwrap()
    }

    /// Returns the answers of a table and of a shared mapping.
    fn ask(claim: &str, remote: bool, local_namespace: Option<&str>) -> Result<String, String> {
        let table = table(&[("default", "app-ns-1"), ("team-a", "app-ns-2")]);
        let shared = Mapping::shared("team-a", "remote").unwrap();
        let lookup = Lookup {
            control_plane: None,
            remote,
            local_namespace: local_namespace.map(|name| name.parse().unwrap()),
            claim: claim.parse().unwrap(),
        };
        answers(&[("databases", &table), ("platform", &shared)], &lookup)
    }

    #[test]
    fn claim_is_a_namespace_and_a_name() {
        let key = |namespace: &str, name: &str| Ok(ClaimKey(ObjectKey::new(namespace, name)));
        assert_eq!("default/a".parse(), key("default", "a"));
        assert_eq!("default/a.b".parse(), key("default", "a.b"));
        for text in ["", "a", "/", "/a", "a/", "a/b/c", "a/b/", "//"] {
            assert_eq!(
                text.parse::<ClaimKey>(),
                Err(InvalidArgument::Form),
                "{text}"
            );
        }
        for namespace in [".", "..", "A", "a.b", "a b"] {
            let error = Err(InvalidArgument::Namespace(namespace.to_owned()));
            assert_eq!(format!("{namespace}/a").parse::<ClaimKey>(), error);
        }
        for name in [".", "..", "A", "a..b", "a%2fb"] {
            let error = Err(InvalidArgument::Name(name.to_owned()));
            assert_eq!(format!("a/{name}").parse::<ClaimKey>(), error);
        }
    }

    #[test]
    fn each_control_plane_that_maps_a_namespace_has_a_line() {
        assert_eq!(
            ask("default/my-cluster", false, None).unwrap(),
            "databases: app-ns-1/my-cluster\nplatform: remote/my-cluster-4a0ab21a56d9eeea\n"
        );
        let only_shared = ask("elsewhere/a", false, None).unwrap();
        assert!(
            only_shared.starts_with("platform: remote/a-"),
            "{only_shared}"
        );
        assert_eq!(only_shared.lines().count(), 1);
    }

    #[test]
    fn remote_namespace_of_a_table_leads_back() {
        let expected = Ok("databases: team-a/b\n".to_owned());
        assert_eq!(ask("app-ns-2/b", true, None), expected);
        assert_eq!(ask("app-ns-2/b", true, Some("team-a")), expected);
        let other = ask("app-ns-2/b", true, Some("default")).unwrap_err();
        assert!(
            other.contains("belongs to the local namespace \"team-a\""),
            "{other}"
        );
    }

    #[test]
    fn remote_name_of_a_shared_mapping_leads_back_with_the_local_namespace() {
        let remote = "remote/my-cluster-4a0ab21a56d9eeea";
        let command = "kubectl --context CONTEXT get RESOURCE my-cluster-4a0ab21a56d9eeea --namespace remote \
             --output jsonpath='{.metadata.annotations.claimgate\\.dev/namespace}/\
             {.metadata.annotations.claimgate\\.dev/name}{\"\\n\"}'";
        let unknown = ask(remote, true, None).unwrap();
        assert!(unknown.starts_with("platform: unknown; "), "{unknown}");
        assert!(unknown.contains(command), "{unknown}");
        let expected = Ok("platform: default/my-cluster\n".to_owned());
        assert_eq!(ask(remote, true, Some("default")), expected);
        let other = ask(remote, true, Some("other")).unwrap_err();
        assert!(
            other.contains("hash does not match") && other.contains(command),
            "{other}"
        );
    }

    #[test]
    fn name_that_no_control_plane_maps_has_a_reason_for_each() {
        assert_eq!(
            ask("remote/my-cluster", true, None).unwrap_err(),
            "no local name is known for remote/my-cluster:\n  \
             databases: namespace \"remote\" is not in controlPlanes.databases.mapping.namespaces\n  \
             platform: the name does not end in \"-\" and 16 hexadecimal digits, as remote names do"
        );
        let foreign = ask("foreign/a-0123456789abcdef", true, None).unwrap_err();
        let wanted = "platform: claims are stored in the namespace \"remote\" only";
        assert!(foreign.ends_with(wanted), "{foreign}");
        let lookup = Lookup {
            control_plane: None,
            remote: false,
            local_namespace: None,
            claim: "elsewhere/a".parse().unwrap(),
        };
        let table = table(&[("default", "app-ns-1")]);
        assert_eq!(
            answers(&[("platform", &table)], &lookup).unwrap_err(),
            "no control plane stores elsewhere/a:\n  platform: namespace \"elsewhere\" is not mapped; \
             add it to controlPlanes.platform.mapping.namespaces"
        );
    }
}
