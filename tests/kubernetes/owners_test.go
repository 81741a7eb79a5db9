package kubernetes

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// collectorTimeout bounds the work of the garbage collectors, which run in both clusters. A
// collector discovers new resources every 30 s.
const collectorTimeout = 90 * time.Second

func checkGone(c *cluster, args ...string) func() error {
	return func() error {
		out, err := env.tryKubectl(c.kubeconfig, "", append([]string{"get", "--ignore-not-found", "-o", "name"}, args...)...)
		if err == nil && out != "" {
			err = fmt.Errorf("%s still exists", out)
		}
		return err
	}
}

// awaitGone waits until kubectl get finds no such object.
func awaitGone(t *testing.T, within time.Duration, c *cluster, args ...string) {
	t.Helper()
	await(t, within, checkGone(c, args...))
}

func uid(t *testing.T, c *cluster, args ...string) string {
	t.Helper()
	return kubectl(t, c, "", append([]string{"get", "-o", "jsonpath={.metadata.uid}"}, args...)...)
}

// ownedBy returns an object of the core API with an owner.
func ownedBy(kind, name, ownerAPI, ownerKind, ownerName, ownerUID string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: %s
metadata:
  name: %s
  ownerReferences:
  - {apiVersion: %s, kind: %s, name: %s, uid: %s, blockOwnerDeletion: true}
`, kind, name, ownerAPI, ownerKind, ownerName, ownerUID)
}

// awaitCollectorWatch waits until the app cluster's collector watches claims. No other client of
// this environment keeps a watch open for long.
func awaitCollectorWatch(t *testing.T) {
	t.Helper()
	awaitMetric(t, `claimgate_watches\{[^}]*\} [1-9]`)
}

// awaitMetric waits until a line of claimgate's metrics matches a regular expression.
func awaitMetric(t *testing.T, line string) {
	t.Helper()
	expected := regexp.MustCompile(line)
	await(t, collectorTimeout, func() error {
		response, err := adminClient().Get(fmt.Sprintf("http://localhost:%d/metrics", env.adminPort))
		if err != nil {
			return err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err == nil && !expected.Match(text) {
			err = fmt.Errorf("no metric matches %s", line)
		}
		return err
	})
}

func TestControlPlaneOwnersAreHiddenAndKept(t *testing.T) {
	awaitCollectorWatch(t)
	onControlPlane(t, "-n", mapping["default"], "create", "configmap", "owner")
	owner := uid(t, env.controlPlane, "-n", mapping["default"], "configmap", "owner")
	owned := newClaim("owned", "owned")
	must(unstructured.SetNestedField(owned.Object, "eu", "spec", "region"))
	owned.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "owner", UID: types.UID(owner)}})
	kubectl(t, env.controlPlane, storedManifest(owned, "default"), "apply", "-f", "-")

	shown := inAppCluster(t, "get", "kc", "owned", "-o", "yaml")
	assertLacks(t, shown, "  ownerReferences:")
	assertContains(t, shown, "claimgate.dev/hidden", owner)
	assertLacks(t, onControlPlane(t, "-n", mapping["default"], "get", "kc", remoteName("default", "owned"), "-o", "yaml"), "claimgate.dev/hidden")

	// The app cluster's collector deletes a ConfigMap whose owner does not exist. Everything it saw
	// earlier it has processed by then.
	kubectl(t, env.app, ownedBy("ConfigMap", "dangling", "v1", "ConfigMap", "owner", owner), "create", "-f", "-")
	await(t, collectorTimeout, checkGone(env.app, "configmap", "dangling"))
	inAppCluster(t, "get", "kc", "owned")

	// Updates keep the metadata that they do not see, and so do patches.
	replaced := strings.Replace(inAppCluster(t, "get", "kc", "owned", "-o", "yaml"), "region: eu", "region: us", 1)
	kubectl(t, env.app, replaced, "replace", "-f", "-")
	inAppCluster(t, "label", "kc", "owned", "color=blue")
	kept := onControlPlane(t, "-n", mapping["default"], "get", "kc", remoteName("default", "owned"), "-o", "yaml")
	assertContains(t, kept, "ownerReferences:", owner, "region: us", "color: blue")
	stored := onControlPlane(t, "-n", mapping["default"], "get", "kc", remoteName("default", "owned"), "-o", `jsonpath={.metadata.annotations.claimgate\.dev/hidden}`)
	if stored != "" {
		t.Fatalf("the hidden annotation is stored: %s", stored)
	}

	// The control plane's own collector still works.
	onControlPlane(t, "-n", mapping["default"], "delete", "configmap", "owner")
	await(t, collectorTimeout, checkGone(env.app, "kc", "owned"))
}

func TestAppClusterOwnersAreRejected(t *testing.T) {
	kubectl(t, env.app, claim("default", "free"), "create", "-f", "-")
	t.Cleanup(func() { env.tryKubectl(env.app.kubeconfig, "", "delete", "kc", "free", "--ignore-not-found") })
	inAppCluster(t, "create", "configmap", "local-owner")
	t.Cleanup(func() { env.tryKubectl(env.app.kubeconfig, "", "delete", "configmap", "local-owner") })
	reference := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","name":"local-owner","uid":%q}`,
		uid(t, env.app, "configmap", "local-owner"))
	created := strings.Replace(claim("default", "with-owner"), "}", ", ownerReferences: ["+reference+"]}", 1)
	for _, testCase := range []struct {
		stdin string
		args  []string
	}{
		{created, []string{"create", "-f", "-"}},
		{created, []string{"apply", "--server-side", "-f", "-"}},
		{"", []string{"patch", "kc", "free", "--type=merge", "-p", `{"metadata":{"ownerReferences":[` + reference + `]}}`}},
		{"", []string{"patch", "kc", "free", "--type=json", "-p",
			`[{"op":"add","path":"/metadata/ownerReferences","value":[` + reference + `]}]`}},
	} {
		out, err := env.tryKubectl(env.app.kubeconfig, testCase.stdin, testCase.args...)
		if err == nil {
			t.Fatalf("%v succeeded: %s", testCase.args, out)
		}
		assertContains(t, err.Error(), "metadata.ownerReferences", "control plane")
	}
	// YAML whose quotes differ from JSON: read as JSON, the metadata looks like a string.
	status, body := sendAsAdmin(t, env.app, "PATCH",
		"/apis/k8s.starter.org/v1alpha1/namespaces/default/kubernetesclusters/with-owner?fieldManager=test",
		`{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","spec":{"region": '"'},"metadata":{"name":"with-owner",`+
			`"ownerReferences":[`+reference+`],"annotations":{"k":"{","z": '"'}}}`,
		map[string]string{"Content-Type": "application/apply-patch+yaml; charset=utf-8"})
	if status != 422 || !strings.Contains(body, `"field":"metadata.ownerReferences"`) {
		t.Fatalf("status %d: %s", status, body)
	}
	status, body = sendAsAdmin(t, env.app, "POST", "/apis/k8s.starter.org/v1alpha1/namespaces/default/kubernetesclusters",
		`{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{"name":"with-owner","ownerReferences":[`+reference+`]}}`,
		map[string]string{"Content-Type": "application/json"})
	if status != 422 || !strings.Contains(body, `"field":"metadata.ownerReferences"`) {
		t.Fatalf("status %d: %s", status, body)
	}
}

func TestAppClusterDependentsAreCollected(t *testing.T) {
	awaitCollectorWatch(t)
	kubectl(t, env.app, claim("default", "parent"), "create", "-f", "-")
	dependent := ownedBy("ConfigMap", "dependent", groupVersion, "KubernetesCluster", "parent",
		uid(t, env.app, "kc", "parent"))
	kubectl(t, env.app, dependent, "create", "-f", "-")
	inAppCluster(t, "delete", "kc", "parent")
	await(t, collectorTimeout, checkGone(env.app, "configmap", "dependent"))
}

// holdFinalizer is a finalizer that no controller removes.
const holdFinalizer = "example.org/hold"

// awaitCollectorPass waits until a cluster's collector has processed an object that is newer than
// all others of its kind. Then it knows those too.
func awaitCollectorPass(t *testing.T, c *cluster, kind, namespace string) {
	t.Helper()
	dangling := ownedBy(kind, "dangling", "v1", "ConfigMap", "nobody", "00000000-0000-0000-0000-000000000000")
	kubectl(t, c, dangling, "-n", namespace, "create", "-f", "-")
	awaitGone(t, collectorTimeout, c, "-n", namespace, kind, "dangling")
}

// createClaimWithDependents creates a claim that owns a ConfigMap in the app cluster and a Secret
// on the control plane, like a connection Secret. All have the same name, and both collectors know
// them.
func createClaimWithDependents(t *testing.T, name string) {
	t.Helper()
	kubectl(t, env.app, claim("default", name), "create", "-f", "-")
	id := uid(t, env.controlPlane, "-n", mapping["default"], "kc", remoteName("default", name))
	kubectl(t, env.app, ownedBy("ConfigMap", name, groupVersion, "KubernetesCluster", name, id), "create", "-f", "-")
	kubectl(t, env.controlPlane, ownedBy("Secret", name, groupVersion, "KubernetesCluster", remoteName("default", name), id), "-n", mapping["default"], "create", "-f", "-")
	awaitCollectorPass(t, env.app, "ConfigMap", "default")
	awaitCollectorPass(t, env.controlPlane, "Secret", mapping["default"])
}

func TestOrphanDeletionKeepsDependentsInBothClusters(t *testing.T) {
	awaitCollectorWatch(t)
	createClaimWithDependents(t, "leaves")
	t.Cleanup(func() {
		env.tryKubectl(env.app.kubeconfig, "", "delete", "configmap", "leaves")
		env.tryKubectl(env.controlPlane.kubeconfig, "", "-n", mapping["default"], "delete", "secret", "leaves")
	})
	inAppCluster(t, "delete", "kc", "leaves", "--cascade=orphan", "--timeout=90s")
	awaitGone(t, collectorTimeout, env.controlPlane, "-n", mapping["default"], "kc", remoteName("default", "leaves"))
	assertLacks(t, inAppCluster(t, "get", "configmap", "leaves", "-o", "yaml"), "ownerReferences", "deletionTimestamp")
	assertLacks(t, onControlPlane(t, "-n", mapping["default"], "get", "secret", "leaves", "-o", "yaml"), "ownerReferences", "deletionTimestamp")
}

func TestForegroundDeletionWaitsForBothClusters(t *testing.T) {
	awaitCollectorWatch(t)
	createClaimWithDependents(t, "waits")
	addFinalizer := func(c *cluster, namespace, kind string) {
		kubectl(t, c, "", "-n", namespace, "patch", kind, "waits", "--type=merge", "-p", `{"metadata":{"finalizers":["`+holdFinalizer+`"]}}`)
	}
	removeFinalizer := func(c *cluster, namespace, kind string) {
		kubectl(t, c, "", "-n", namespace, "patch", kind, "waits", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	}
	addFinalizer(env.app, "default", "configmap")
	addFinalizer(env.controlPlane, mapping["default"], "secret")
	inAppCluster(t, "delete", "kc", "waits", "--cascade=foreground", "--wait=false")
	for c, args := range map[*cluster][]string{
		env.app:          {"configmap", "waits"},
		env.controlPlane: {"-n", mapping["default"], "secret", "waits"},
	} {
		await(t, collectorTimeout, func() error {
			if kubectl(t, c, "", append([]string{"get", "-o", "jsonpath={.metadata.deletionTimestamp}"}, args...)...) == "" {
				return fmt.Errorf("%v is not being deleted", args)
			}
			return nil
		})
	}
	finalizers := "jsonpath={.metadata.finalizers}"
	assertContains(t, inAppCluster(t, "get", "kc", "waits", "-o", finalizers), `["foregroundDeletion"]`)
	assertContains(t, onControlPlane(t, "-n", mapping["default"], "get", "kc", remoteName("default", "waits"), "-o", finalizers), `"foregroundDeletion"`, `"claimgate.dev/foregroundDeletion"`)

	removeFinalizer(env.controlPlane, mapping["default"], "secret")
	await(t, collectorTimeout, func() error {
		left := onControlPlane(t, "-n", mapping["default"], "get", "kc", remoteName("default", "waits"), "-o", finalizers)
		if left != `["claimgate.dev/foregroundDeletion"]` {
			return fmt.Errorf("the claim's finalizers are %s", left)
		}
		return nil
	})
	inAppCluster(t, "get", "configmap", "waits")
	removeFinalizer(env.app, "default", "configmap")
	awaitGone(t, collectorTimeout, env.app, "configmap", "waits")
	awaitGone(t, collectorTimeout, env.controlPlane, "-n", mapping["default"], "kc", remoteName("default", "waits"))
}

func TestBackgroundDeletionCollectsBothClusters(t *testing.T) {
	awaitCollectorWatch(t)
	createClaimWithDependents(t, "sheds")
	inAppCluster(t, "delete", "kc", "sheds", "--cascade=background", "--timeout=90s")
	awaitGone(t, collectorTimeout, env.app, "configmap", "sheds")
	awaitGone(t, collectorTimeout, env.controlPlane, "-n", mapping["default"], "secret", "sheds")
}

// A claim that is being deleted accepts no new finalizers, so orphan deletion would come too late.
func TestOrphanDeletionIsRejectedAfterDeletionStarted(t *testing.T) {
	awaitCollectorWatch(t)
	createClaimWithDependents(t, "late")
	hold := `{"metadata":{"finalizers":["` + holdFinalizer + `"]}}`
	inAppCluster(t, "patch", "kc", "late", "--type=merge", "-p", hold)
	inAppCluster(t, "delete", "kc", "late", "--cascade=background", "--wait=false")
	out, err := env.tryKubectl(env.app.kubeconfig, "", "delete", "kc", "late", "--cascade=orphan", "--wait=false")
	if err == nil {
		t.Fatalf("orphan deletion succeeded: %s", out)
	}
	assertContains(t, err.Error(), "already being deleted", "owner references")
	// A client that adds the finalizer itself is rejected as well.
	_, err = env.tryKubectl(env.app.kubeconfig, "", "patch", "kc", "late", "--type=merge", "-p", `{"metadata":{"finalizers":["orphan","`+holdFinalizer+`"]}}`)
	if err == nil {
		t.Fatal("a finalizer was added")
	}
	assertContains(t, err.Error(), "no new finalizers can be added")
	inAppCluster(t, "delete", "kc", "late", "--cascade=foreground", "--wait=false")
	inAppCluster(t, "patch", "kc", "late", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	awaitGone(t, collectorTimeout, env.controlPlane, "-n", mapping["default"], "kc", remoteName("default", "late"))
	awaitGone(t, collectorTimeout, env.app, "configmap", "late")
}
