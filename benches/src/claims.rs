//! Generates lists and watch events of claims as kube-apiserver writes them: compact, with its key order and
//! with managedFields. The output is the same for the same arguments.

use std::fmt::Write;

use claim_mapping::hidden_metadata::WriteEffect;
use claim_mapping::mapping::NameLimit;
use claim_mapping::request::RequestRules;
use claim_mapping::{ReferencePaths, RequestScope};
use json_rewrite::Limits;

/// The number and shape of the generated claims.
#[derive(Clone, Copy, Debug)]
pub struct Claims {
    pub count: usize,
    /// Claims are assigned in turn to the namespaces `app-ns-1`, `app-ns-2` and so on.
    pub namespaces: usize,
    /// Length in bytes of the string `spec.notes` in each claim.
    pub notes_bytes: usize,
}

impl Default for Claims {
    /// Returns arguments for a list of about 20 MB.
    fn default() -> Self {
        Self {
            count: 10_000,
            namespaces: 1,
            notes_bytes: 0,
        }
    }
}

impl Claims {
    /// Returns a LIST response.
    pub fn list(self) -> Vec<u8> {
        let mut list = String::with_capacity(self.count * 2300);
        list.push_str(r#"{"apiVersion":"k8s.starter.org/v1alpha1","items":["#);
        for at in 0..self.count {
            if at > 0 {
                list.push(',');
            }
            self.claim(at, &mut list);
        }
        list.push_str(concat!(
            r#"],"kind":"KubernetesClusterList","#,
            r#""metadata":{"continue":"","resourceVersion":"4711"}}"#,
            "\n"
        ));
        list.into_bytes()
    }

    /// Returns the LIST response of the same claims in the namespace `default`, as the control plane stores them with
    /// [`shared_mapping`](crate::shared_mapping).
    ///
    /// # Panics
    /// Never: the claims are JSON and can be mapped.
    pub fn shared_list(self) -> Vec<u8> {
        let rules = RequestRules::compile(&ReferencePaths::default()).expect("rules");
        let mapping = crate::shared_mapping();
        let claims = (0..self.count).map(|at| {
            let mut claim = String::new();
            self.claim(at, &mut claim);
            let claim = claim.replace("app-ns-1", "default").replace(
                r#""f:labels":{".":{},"#,
                r#""f:labels":{".":{},"f:claimgate.dev/cluster":{},"f:claimgate.dev/name":{},"f:claimgate.dev/namespace":{},"#,
            );
            let claim = claim.replace(
                r#""f:annotations":{".":{},"#,
                r#""f:annotations":{".":{},"f:claimgate.dev/cluster":{},"f:claimgate.dev/name":{},"f:claimgate.dev/namespace":{},"#,
            );
            let name = format!("cluster-{at:05}");
            let scope = RequestScope::namespace(&mapping, "default", Some(&name), NameLimit::default()).expect("a scope");
            let limits = Limits::for_body(1 << 20);
            let mut rewriter = rules.object(scope, WriteEffect::Harmless, limits);
            let remote = rewriter.rewrite_all(claim.into()).expect("a claim");
            // kube-apiserver writes keys in alphabetical order.
            let remote: serde_json::Value = serde_json::from_slice(&remote).expect("JSON");
            remote.to_string()
        });
        let claims = claims.collect::<Vec<_>>().join(",");
        format!(
            "{{\"apiVersion\":\"k8s.starter.org/v1alpha1\",\"items\":[{claims}],\"kind\":\"KubernetesClusterList\",\
             \"metadata\":{{\"continue\":\"\",\"resourceVersion\":\"4711\"}}}}\n"
        )
        .into_bytes()
    }

    /// Returns watch events, one per line.
    pub fn events(self) -> Vec<u8> {
        let mut events = String::with_capacity(self.count * 2300);
        for at in 0..self.count {
            events.push_str(r#"{"type":"MODIFIED","object":"#);
            self.claim(at, &mut events);
            events.push_str("}\n");
        }
        events.into_bytes()
    }

    /// Returns the LIST response pretty-printed, as kube-apiserver does with `?pretty=true`.
    ///
    /// # Panics
    /// Never: the list is JSON.
    pub fn pretty_list(self) -> Vec<u8> {
        let list: serde_json::Value = serde_json::from_slice(&self.list()).expect("JSON");
        serde_json::to_vec_pretty(&list).expect("JSON")
    }

    fn claim(self, at: usize, to: &mut String) {
        let namespace = at % self.namespaces + 1;
        let applied = format!(
            concat!(
                r#"{{\"apiVersion\":\"k8s.starter.org/v1alpha1\",\"kind\":\"KubernetesCluster\","#,
                r#"\"metadata\":{{\"annotations\":{{}},\"labels\":{{\"team\":\"payments\"}},"#,
                r#"\"name\":\"cluster-{at:05}\",\"namespace\":\"app-ns-{namespace}\"}},"#,
                r#"\"spec\":{{\"nodeCount\":3,\"region\":\"eu-central-1\",\"version\":\"1.37\"}}}}\n"#
            ),
            at = at,
            namespace = namespace
        );
        let notes = "n".repeat(self.notes_bytes);
        let written = write!(
            to,
            concat!(
                r#"{{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{{"#,
                r#""annotations":{{"kubectl.kubernetes.io/last-applied-configuration":"{applied}"}},"#,
                r#""creationTimestamp":"2026-03-01T12:{minute:02}:{second:02}Z","#,
                r#""finalizers":["finalizer.apiextensions.crossplane.io"],"generation":3,"#,
                r#""labels":{{"crossplane.io/composite":"cluster-{at:05}-x7k2p","team":"payments"}},"#,
                r#""managedFields":[{{"apiVersion":"k8s.starter.org/v1alpha1","fieldsType":"FieldsV1","#,
                r#""fieldsV1":{{"f:metadata":{{"f:annotations":{{".":{{}},"#,
                r#""f:kubectl.kubernetes.io/last-applied-configuration":{{}}}},"#,
                r#""f:labels":{{".":{{}},"f:team":{{}}}}}},"#,
                r#""f:spec":{{".":{{}},"f:nodeCount":{{}},"f:region":{{}},"f:version":{{}}}}}},"#,
                r#""manager":"kubectl-client-side-apply","operation":"Update","#,
                r#""time":"2026-03-01T12:{minute:02}:{second:02}Z"}},"#,
                r#"{{"apiVersion":"k8s.starter.org/v1alpha1","fieldsType":"FieldsV1","#,
                r#""fieldsV1":{{"f:status":{{".":{{}},"f:conditions":{{".":{{}},"#,
                r#""k:{{\"type\":\"Ready\"}}":{{".":{{}},"f:lastTransitionTime":{{}},"f:reason":{{}},"f:status":{{}},"f:type":{{}}}},"#,
                r#""k:{{\"type\":\"Synced\"}}":{{".":{{}},"f:lastTransitionTime":{{}},"f:reason":{{}},"f:status":{{}},"f:type":{{}}}}}},"#,
                r#""f:endpoint":{{}},"f:connectionDetails":{{}}}}}},"manager":"crossplane","operation":"Update","#,
                r#""subresource":"status","time":"2026-03-01T12:{second:02}:{minute:02}Z"}}],"#,
                r#""name":"cluster-{at:05}","namespace":"app-ns-{namespace}","resourceVersion":"{version}","#,
                r#""uid":"7d1f7c1e-6a5b-4d0e-8f3a-{at:012x}"}},"#,
                r#""spec":{{"compositeDeletePolicy":"Background","compositionRef":{{"name":"clusters.aws.starter.org"}},"#,
                r#""compositionUpdatePolicy":"Automatic","nodeCount":{nodes},"notes":"{notes}","region":"eu-central-1","#,
                r#""resourceRef":{{"apiVersion":"k8s.starter.org/v1alpha1","kind":"XKubernetesCluster","name":"cluster-{at:05}-x7k2p"}},"#,
                r#""version":"1.37"}},"status":{{"conditions":["#,
                r#"{{"lastTransitionTime":"2026-03-01T12:{minute:02}:{second:02}Z","reason":"ReconcileSuccess","status":"True","type":"Synced"}},"#,
                r#"{{"lastTransitionTime":"2026-03-01T12:{minute:02}:{second:02}Z","reason":"Available","status":"True","type":"Ready"}}],"#,
                r#""connectionDetails":{{"lastPublishedTime":"2026-03-01T12:{minute:02}:{second:02}Z"}},"#,
                r#""endpoint":"https://cluster-{at:05}.eu-central-1.eks.example.com"}}}}"#
            ),
            applied = applied,
            minute = at / 60 % 60,
            second = at % 60,
            at = at,
            namespace = namespace,
            version = 100_000 + at,
            nodes = at % 9 + 1,
            notes = notes,
        );
        // Writing into a String cannot fail.
        debug_assert!(written.is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_list_is_20_mb_of_json() {
        let list = Claims::default().list();
        assert!((18 << 20..23 << 20).contains(&list.len()), "{}", list.len());
        let list: serde_json::Value = serde_json::from_slice(&list).unwrap();
        let claim = &list["items"][4711];
        assert_eq!(claim["metadata"]["namespace"], "app-ns-1");
        let applied =
            &claim["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"];
        let applied: serde_json::Value = serde_json::from_str(applied.as_str().unwrap()).unwrap();
        assert_eq!(applied["metadata"]["namespace"], "app-ns-1");
        assert_eq!(list["items"].as_array().unwrap().len(), 10_000);
    }
}
