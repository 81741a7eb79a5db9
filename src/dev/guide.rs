//! What `claimgate dev` prints: where things are, and commands to paste.

use std::path::Path;

use super::workspace::{
    APP_KUBECONFIG, CLAIM, CONTROL_PLANE_KUBECONFIG, GROUP, SERVING_CA, USER, USER_CERTIFICATE,
    USER_KEY, Workspace,
};

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
        "claimgate is at {url}, in front of an in-memory control plane.\n\
         \n\
         With kubectl, as the app cluster's users see it:\n\
         \x20 {app} api-resources -o wide --api-group k8s.starter.org\n\
         \x20 {app} apply -f {claim}\n\
         \x20 {app} get kc -w\n\
         \n\
         The same with curl:\n\
         \x20 {curl} {claims}\n\
         \x20 {curl} -N '{claims}?watch=true'\n\
         \n\
         The control plane itself: `default` is its namespace app-ns-1, `team-a` its app-ns-2,\n\
         and the claims in other namespaces are other people's:\n\
         \x20 {control_plane} get kc -A\n\
         \n\
         Metrics: curl {metrics}\n\
         \n\
         {USER} comes without an app cluster, by a client certificate of the group {GROUP}, which\n\
         authorization.directGroups lists. Direct groups pass by the app cluster's RBAC: whoever\n\
         is in one can do anything to the exposed claims. In a real installation list nobody and\n\
         let kube-apiserver's aggregator be the only one to come.\n\
         The control plane forgets everything when this ends. It has no server-side apply\n\
         (kubectl apply --server-side gets a 415). End with Ctrl-C.\n"
    )
}

/// For a shell, where it needs that.
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
