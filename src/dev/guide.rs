//! The text that `claimgate dev` prints: addresses, and commands to paste into a shell.

use std::path::Path;

use super::workspace::{
    APP_KUBECONFIG, CLAIM, CONTROL_PLANE_KUBECONFIG, GROUP, SERVING_CA, USER, USER_CERTIFICATE,
    USER_KEY, Workspace,
};

/// Returns the guide.
pub(super) fn text(workspace: &Workspace) -> String {
    let path = |name: &str| quoted(&workspace.path(name));
    let app = format!("kubectl --kubeconfig {}", path(APP_KUBECONFIG));
    let control_plane = format!("kubectl --kubeconfig {}", path(CONTROL_PLANE_KUBECONFIG));
    let curl = format!(
        "curl --cacert {} --cert {} --key {}",
        path(SERVING_CA),
        path(USER_CERTIFICATE),
        path(USER_KEY)
    );
    let url = workspace.daemon_url();
    let claims =
        format!("{url}/apis/k8s.starter.org/v1alpha1/namespaces/default/kubernetesclusters");
    let claim = path(CLAIM);
    let metrics = workspace.metrics_url();
    format!(
        "claimgate listens on {url}, in front of an in-memory control plane.\n\
         \n\
         Use kubectl as a user of the app cluster:\n\
         \x20 {app} api-resources -o wide --api-group k8s.starter.org\n\
         \x20 {app} apply -f {claim}\n\
         \x20 {app} get kc -w\n\
         \n\
         Or use curl:\n\
         \x20 {curl} {claims}\n\
         \x20 {curl} -N '{claims}?watch=true'\n\
         \n\
         See all claims on the control plane. Its namespace app-ns-1 has the claims of all namespaces\n\
         of the app cluster. The other namespaces belong to other clusters:\n\
         \x20 {control_plane} get kc -A\n\
         \n\
         Metrics: curl {metrics}\n\
         \n\
         The user {USER} connects directly, without an app cluster. Its client certificate names\n\
         the group {GROUP}, which authorization.directGroups in claimgate.yaml lists. Members of\n\
         direct groups bypass the RBAC of the app cluster and can do anything with the exposed\n\
         claims. In production, leave directGroups empty.\n\
         Objects are lost when this command ends. End with Ctrl-C.\n"
    )
}

/// Quotes a path for the shell if necessary.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_the_shell() {
        assert_eq!(quoted(Path::new("/tmp/a-b.c")), "/tmp/a-b.c");
        assert_eq!(quoted(Path::new("/tmp/it's here")), r"'/tmp/it'\''s here'");
    }
}
