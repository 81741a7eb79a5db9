//! The fields of claims in which the configuration expects names of Secrets and ConfigMaps.

use std::collections::BTreeMap;

use super::start_error::StartError;
use crate::config::{ApiConfig, InputSource};
use claim_mapping::{ReferencePath, ReferencePaths};

/// Returns the paths of `apis[].secrets.input`, by API group. Several entries of a group can have the same path.
///
/// # Errors
/// A name at one of the paths cannot be mapped.
pub(super) fn declared(apis: &[ApiConfig]) -> Result<BTreeMap<String, ReferencePaths>, StartError> {
    let mut by_group: BTreeMap<&str, Vec<ReferencePath>> = BTreeMap::new();
    for api in apis {
        for input in &api.secrets.inputs {
            let InputSource::Reference(path) = &input.source else {
                continue;
            };
            let path = path.to_string().parse();
            let path = path.map_err(|error| problem(&api.group, &error))?;
            let paths = by_group.entry(&api.group).or_default();
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    let paths = by_group.into_iter().map(|(group, paths)| {
        let paths = ReferencePaths::try_from(paths).map_err(|error| problem(group, &error))?;
        Ok((group.to_owned(), paths))
    });
    paths.collect()
}

fn problem(group: &str, error: &dyn std::error::Error) -> StartError {
    StartError::Reference {
        group: group.to_owned(),
        problem: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Config};

    fn config(inputs: &str) -> Config {
        let dir = tempfile::tempdir().unwrap();
        let kubeconfig = "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: 'https://a'}}]\n\
             users: [{name: u, user: {token: t}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n\
             current-context: x\n";
        std::fs::write(dir.path().join("kubeconfig"), kubeconfig).unwrap();
        let config = format!(
            "cluster: test\nlisten: {{selfManaged: {{secret: certificate}}}}\n\
             authentication: {{requestHeader: {{fromCluster: true}}}}\n\
             register: {{service: {{name: claimgate, namespace: claimgate}}}}\n\
             controlPlanes: {{platform: {{kubeconfig: kubeconfig, mapping: {{namespace: team-a}}}}}}\n\
             apis:\n\
             - {{group: a.org, versions: [v1], controlPlane: platform, secrets: {{namespaces: ['*'], input: {inputs}}}}}\n\
             - {{group: a.org, versions: [v2], controlPlane: platform, secrets: {{namespaces: ['*'], input: {inputs}}}}}\n\
             - {{group: b.org, controlPlane: platform}}\n"
        );
        let path = dir.path().join("claimgate.yaml");
        std::fs::write(&path, config).unwrap();
        config::load(&path, []).unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[test]
    fn paths_of_all_entries_of_a_group_are_declared_once() {
        let inputs =
            "[spec.ref, spec.ref.name, {labels: {a: b}}, {path: spec.mapName, kind: ConfigMap}]";
        let declared = declared(&config(inputs).apis).unwrap();
        let paths = ["spec.ref", "spec.mapName"].map(|path| path.parse().unwrap());
        let paths = ReferencePaths::try_from(Vec::from(paths)).unwrap();
        assert_eq!(declared, BTreeMap::from([("a.org".to_owned(), paths)]));
    }

    #[test]
    fn path_that_cannot_be_mapped_is_an_error() {
        for (input, problem) in [
            ("[spec.writeConnectionSecretToRef]", "connection Secret"),
            ("[spec.ref, spec.ref.name.x]", "cannot contain"),
        ] {
            let error = declared(&config(input).apis).unwrap_err().to_string();
            let begin = "apis[].secrets.input of the group \"a.org\": ";
            assert!(
                error.starts_with(begin) && error.contains(problem),
                "{error}"
            );
        }
    }
}
