package kubernetes

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/retry"
)

// owner is what owns a claim on the control plane: a resource that the app cluster knows nothing of and
// that is deleted there, or another claim, which is deleted from the app cluster. That one's collector
// sees it without a dependent, and so is done with it at once.
type owner struct {
	kind, resource string
	cluster        *cluster
	namespace      string
}

func owners() []owner {
	return []owner{
		{"Composite", "composites", theBed.cp, "app-ns-1"},
		{"Network", "networks", theBed.app, "default"},
	}
}

func (o owner) delete(t *testing.T, name, cascade string) {
	t.Helper()
	kubectl(t, o.cluster, "", "-n", o.namespace, "delete", o.resource, name, "--cascade="+cascade, "--wait=false")
}

func (o owner) isGone(t *testing.T, name string) {
	t.Helper()
	isGone(t, theBed.cp, "-n", "app-ns-1", o.resource, name)
}

// claimsIn is the client for claims of one cluster in the one namespace.
func claimsIn(c *cluster) dynamic.ResourceInterface {
	namespace := map[*cluster]string{theBed.app: "default", theBed.cp: "app-ns-1"}[c]
	return dynamicClient(c).Resource(claims).Namespace(namespace)
}

// owns makes an owner and its claim of one name on the control plane. The claim has a finalizer, and owns a
// ConfigMap in the app cluster and a Secret on the control plane, which has a finalizer as well. Both
// collectors know all of them.
func (o owner) owns(t *testing.T, name string) {
	t.Helper()
	t.Cleanup(func() {
		for _, object := range []string{"kc", "secret", o.resource} {
			theBed.try(theBed.cp.kubeconfig, "", "-n", "app-ns-1", "patch", object, name, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
			theBed.try(theBed.cp.kubeconfig, "", "-n", "app-ns-1", "delete", object, name, "--ignore-not-found")
		}
		theBed.try(theBed.app.kubeconfig, "", "delete", "configmap", name, "--ignore-not-found")
	})
	made := fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: %s, namespace: app-ns-1}\nspec: {}\n", groupVersion, o.kind, name)
	kubectl(t, theBed.cp, made, "create", "-f", "-")
	blocks := true
	claim := newClaim(name, "owned")
	claim.SetNamespace("app-ns-1")
	claim.SetFinalizers([]string{heldBack})
	claim.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: groupVersion, Kind: o.kind, Name: name, BlockOwnerDeletion: &blocks,
		UID: types.UID(uid(t, theBed.cp, "-n", "app-ns-1", o.resource, name)),
	}})
	created, err := claimsIn(theBed.cp).Create(context.Background(), claim, metav1.CreateOptions{})
	must(err)
	id := string(created.GetUID())
	kubectl(t, theBed.app, ownedBy("ConfigMap", name, groupVersion, "KubernetesCluster", name, id), "create", "-f", "-")
	kubectl(t, theBed.cp, ownedBy("Secret", name, groupVersion, "KubernetesCluster", name, id), "-n", "app-ns-1", "create", "-f", "-")
	plane(t, "-n", "app-ns-1", "patch", "secret", name, "--type=merge", "-p", `{"metadata":{"finalizers":["`+heldBack+`"]}}`)
	collectorHasSeen(t, theBed.app, "ConfigMap", "default")
	collectorHasSeen(t, theBed.cp, "Secret", "app-ns-1")
}

// update changes a claim from the app cluster, by PUT of all that is read there.
func update(t *testing.T, name string, change func(*unstructured.Unstructured)) {
	t.Helper()
	backoff := retry.DefaultBackoff
	backoff.Steps = 20
	err := retry.RetryOnConflict(backoff, func() error {
		claim, err := claimsIn(theBed.app).Get(context.Background(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(claim.GetOwnerReferences()) > 0 || slices.Contains(claim.GetFinalizers(), foreground) {
			t.Errorf("the app cluster sees what is the control plane's: %v", claim.Object["metadata"])
		}
		change(claim)
		_, err = claimsIn(theBed.app).Update(context.Background(), claim, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func counted(claim *unstructured.Unstructured) {
	nodes, _, _ := unstructured.NestedInt64(claim.Object, "spec", "nodeCount")
	must(unstructured.SetNestedField(claim.Object, nodes+1, "spec", "nodeCount"))
}

// is waits until a claim is so on the control plane.
func is(t *testing.T, name, what string, so func(*unstructured.Unstructured) bool) {
	t.Helper()
	isSoon(t, func() error {
		claim, err := claimsIn(theBed.cp).Get(context.Background(), name, metav1.GetOptions{})
		if err == nil && !so(claim) {
			err = fmt.Errorf("not %s: %v", what, claim.Object["metadata"])
		}
		return err
	})
}

func isDeleted(claim *unstructured.Unstructured) bool { return claim.GetDeletionTimestamp() != nil }

// An owner that is deleted in the foreground takes its claim with it, after all that the claim owns on the
// control plane; what the claim owns in the app cluster goes after it. Updates from the app cluster, which
// sees nothing of that, hurry nothing and lose nothing.
func TestAnOwnerIsDeletedInTheForegroundWhileItsClaimIsUpdated(t *testing.T) {
	waitForCollector(t)
	for _, owner := range owners() {
		name := "taken-by-" + strings.ToLower(owner.kind)
		owner.owns(t, name)
		owner.delete(t, name, "foreground")
		waits := func(claim *unstructured.Unstructured) bool {
			return isDeleted(claim) && slices.Equal(claim.GetFinalizers(), []string{heldBack, foreground})
		}
		is(t, name, "deleted in the foreground", waits)
		for range 3 {
			update(t, name, counted)
		}
		// Both collectors have seen all of that by now.
		collectorHasSeen(t, theBed.app, "ConfigMap", "default")
		collectorHasSeen(t, theBed.cp, "Secret", "app-ns-1")
		is(t, name, "kept as it was", func(claim *unstructured.Unstructured) bool {
			nodes, _, _ := unstructured.NestedInt64(claim.Object, "spec", "nodeCount")
			return waits(claim) && nodes == 3 && len(claim.GetOwnerReferences()) == 1
		})
		lacks(t, app(t, "get", "configmap", name, "-o", "yaml"), "deletionTimestamp")
		plane(t, "-n", "app-ns-1", "get", owner.resource, name)

		// The app cluster lets its claim go, and the control plane does not yet.
		update(t, name, func(claim *unstructured.Unstructured) { claim.SetFinalizers(nil) })
		collectorHasSeen(t, theBed.app, "ConfigMap", "default")
		is(t, name, "kept for its Secret", func(claim *unstructured.Unstructured) bool {
			return slices.Equal(claim.GetFinalizers(), []string{foreground}) && len(claim.GetOwnerReferences()) == 1
		})
		contains(t, plane(t, "-n", "app-ns-1", "get", "secret", name, "-o", "yaml"), "deletionTimestamp")
		plane(t, "-n", "app-ns-1", "patch", "secret", name, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
		isGone(t, theBed.cp, "-n", "app-ns-1", "secret", name)
		isGone(t, theBed.cp, "-n", "app-ns-1", "kc", name)
		owner.isGone(t, name)
		isGone(t, theBed.app, "configmap", name)
	}
}

// An owner that leaves its claim behind takes nothing with it, and no update brings it back, though what
// the app cluster read before names it in what is hidden.
func TestAnOwnerLeavesItsClaimBehindWhileItIsUpdated(t *testing.T) {
	waitForCollector(t)
	for _, owner := range owners() {
		name := "left-by-" + strings.ToLower(owner.kind)
		owner.owns(t, name)
		before, err := claimsIn(theBed.app).Get(context.Background(), name, metav1.GetOptions{})
		must(err)
		id := string(before.GetUID())
		contains(t, before.GetAnnotations()[hiddenAnnotation], owner.kind)
		update(t, name, counted)
		updates := int64(1)
		owner.delete(t, name, "orphan")
		isSoon(t, func() error {
			update(t, name, counted)
			updates++
			return gone(theBed.cp, "-n", "app-ns-1", owner.resource, name)()
		})
		// With the annotation as it was once.
		update(t, name, func(claim *unstructured.Unstructured) {
			counted(claim)
			claim.SetAnnotations(before.GetAnnotations())
		})
		updates++
		collectorHasSeen(t, theBed.app, "ConfigMap", "default")
		collectorHasSeen(t, theBed.cp, "Secret", "app-ns-1")
		is(t, name, "left as it was, without its owner", func(claim *unstructured.Unstructured) bool {
			nodes, _, _ := unstructured.NestedInt64(claim.Object, "spec", "nodeCount")
			return nodes == updates && len(claim.GetOwnerReferences()) == 0 && !isDeleted(claim) &&
				slices.Equal(claim.GetFinalizers(), []string{heldBack}) && claim.GetAnnotations()[hiddenAnnotation] == ""
		})
		for _, owned := range []string{
			app(t, "get", "configmap", name, "-o", "yaml"), plane(t, "-n", "app-ns-1", "get", "secret", name, "-o", "yaml"),
		} {
			contains(t, owned, "ownerReferences", id)
			lacks(t, owned, "deletionTimestamp")
		}
	}
}
