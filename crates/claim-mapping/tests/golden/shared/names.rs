//! Remote names in golden files, which are written as placeholders.

use claim_mapping::mapping::{Mapping, ObjectKey};

/// The local objects whose remote names the outputs can contain.
const KNOWN: [&str; 12] = [
    "default/my-db",
    "default/db-conn",
    "default/db-password",
    "default/other",
    "default/my-db-2",
    "team/my-db",
    "team/db-conn",
    "team/db-password",
    "team-b:default/my-db",
    "default/a.very-long.name-of-a-database-that-is-cut-before-its-hash",
    "default/web",
    "default/DB",
];

pub(super) fn mapping(cluster: &str) -> Mapping {
    Mapping::shared(cluster, "team-a-claims").unwrap()
}

/// Returns the remote name for the text of a placeholder.
fn remote_name(placeholder: &str) -> String {
    let (cluster, local) = placeholder
        .split_once(':')
        .unwrap_or(("team-a", placeholder));
    let (namespace, name) = local.split_once('/').unwrap();
    let remote = mapping(cluster).to_remote(&ObjectKey::new(namespace, name));
    remote.unwrap().name
}

/// Replaces the placeholders in a text by remote names.
pub(super) fn expanded(text: &[u8]) -> Vec<u8> {
    let mut expanded = Vec::with_capacity(text.len());
    for (index, part) in text.split(|byte| *byte == b'@').enumerate() {
        match index % 2 {
            0 => expanded.extend_from_slice(part),
            _ => expanded.extend(remote_name(std::str::from_utf8(part).unwrap()).bytes()),
        }
    }
    expanded
}

/// Replaces the known remote names in a text by placeholders.
pub(super) fn written(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text).into_owned();
    KNOWN.iter().fold(text, |text, known| {
        text.replace(&remote_name(known), &format!("@{known}@"))
    })
}
