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

// owner is a kind of object that owns a claim on the control plane: a composite, which the app
// cluster does not know and which is deleted on the control plane, or another claim, which is
// deleted from the app cluster. The app cluster's collector sees no dependents of the latter and
// finishes at once.
type owner struct {
	kind, resource string
	cluster        *cluster
	namespace      string
}

func owners() []owner {
	return []owner{
		{"Composite", "composites", env.controlPlane, mapping["default"]},
		{"Network", "networks", env.app, "default"},
	}
}

func (o owner) delete(t *testing.T, name, cascade string) {
	t.Helper()
	if o.cluster == env.controlPlane {
		name = remoteName("default", name)
	}
	kubectl(t, o.cluster, "", "-n", o.namespace, "delete", o.resource, name, "--cascade="+cascade, "--wait=false")
}

func (o owner) isGone(t *testing.T, name string) {
	t.Helper()
	awaitGone(t, collectorTimeout, env.controlPlane, "-n", mapping["default"], o.resource, remoteName("default", name))
}

// claimsIn returns a client for the claims of a cluster in the local namespace `default`. It takes local
// names in both clusters.
func claimsIn(c *cluster) dynamic.ResourceInterface {
	if c == env.controlPlane {
		return stored(claims, "default")
	}
	return dynamicClient(c).Resource(claims).Namespace("default")
}

// createOwnedClaim creates an owner and its claim on the control plane, both with the same name.
// The claim has a finalizer. It owns a ConfigMap in the app cluster and a Secret on the control
// plane, which has a finalizer too. Both collectors know all of them.
func (o owner) createOwnedClaim(t *testing.T, name string) {
	t.Helper()
	t.Cleanup(func() {
		remote := remoteName("default", name)
		for object, name := range map[string]string{"kc": remote, "secret": name, o.resource: remote} {
			env.tryKubectl(env.controlPlane.kubeconfig, "", "-n", mapping["default"], "patch", object, name, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
			env.tryKubectl(env.controlPlane.kubeconfig, "", "-n", mapping["default"], "delete", object, name, "--ignore-not-found")
		}
		env.tryKubectl(env.app.kubeconfig, "", "delete", "configmap", name, "--ignore-not-found")
	})
	manifest := newObject(o.kind, name)
	must(unstructured.SetNestedMap(manifest.Object, map[string]any{}, "spec"))
	kubectl(t, env.controlPlane, storedManifest(manifest, "default"), "create", "-f", "-")
	blocks := true
	claim := newClaim(name, "owned")
	claim.SetFinalizers([]string{holdFinalizer})
	claim.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: groupVersion, Kind: o.kind, Name: remoteName("default", name), BlockOwnerDeletion: &blocks,
		UID: types.UID(uid(t, env.controlPlane, "-n", mapping["default"], o.resource, remoteName("default", name))),
	}})
	created, err := claimsIn(env.controlPlane).Create(context.Background(), claim, metav1.CreateOptions{})
	must(err)
	id := string(created.GetUID())
	kubectl(t, env.app, ownedBy("ConfigMap", name, groupVersion, "KubernetesCluster", name, id), "create", "-f", "-")
	kubectl(t, env.controlPlane, ownedBy("Secret", name, groupVersion, "KubernetesCluster", remoteName("default", name), id), "-n", mapping["default"], "create", "-f", "-")
	onControlPlane(t, "-n", mapping["default"], "patch", "secret", name, "--type=merge", "-p", `{"metadata":{"finalizers":["`+holdFinalizer+`"]}}`)
	awaitCollectorPass(t, env.app, "ConfigMap", "default")
	awaitCollectorPass(t, env.controlPlane, "Secret", mapping["default"])
}

// updateFromAppCluster changes a claim with a PUT of everything the app cluster sees.
func updateFromAppCluster(t *testing.T, name string, change func(*unstructured.Unstructured)) {
	t.Helper()
	backoff := retry.DefaultBackoff
	backoff.Steps = 20
	err := retry.RetryOnConflict(backoff, func() error {
		claim, err := claimsIn(env.app).Get(context.Background(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(claim.GetOwnerReferences()) > 0 || slices.Contains(claim.GetFinalizers(), foreground) {
			t.Errorf("the app cluster sees metadata that must be hidden: %v", claim.Object["metadata"])
		}
		change(claim)
		_, err = claimsIn(env.app).Update(context.Background(), claim, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func incrementNodeCount(claim *unstructured.Unstructured) {
	nodes, _, _ := unstructured.NestedInt64(claim.Object, "spec", "nodeCount")
	must(unstructured.SetNestedField(claim.Object, nodes+1, "spec", "nodeCount"))
}

// awaitClaim waits until a claim on the control plane satisfies a condition.
func awaitClaim(t *testing.T, name, description string, condition func(*unstructured.Unstructured) bool) {
	t.Helper()
	await(t, collectorTimeout, func() error {
		claim, err := claimsIn(env.controlPlane).Get(context.Background(), name, metav1.GetOptions{})
		if err == nil && !condition(claim) {
			err = fmt.Errorf("the claim is not %s: %v", description, claim.Object["metadata"])
		}
		return err
	})
}

func isBeingDeleted(claim *unstructured.Unstructured) bool {
	return claim.GetDeletionTimestamp() != nil
}

// The foreground deletion of an owner deletes its claim after everything that the claim owns on the
// control plane. The claim's dependents in the app cluster follow. Updates from the app cluster,
// which sees nothing of the deletion, neither speed it up nor lose metadata.
func TestUpdatesDuringForegroundDeletionOfOwner(t *testing.T) {
	awaitCollectorWatch(t)
	for _, owner := range owners() {
		name := "taken-by-" + strings.ToLower(owner.kind)
		owner.createOwnedClaim(t, name)
		owner.delete(t, name, "foreground")
		isWaiting := func(claim *unstructured.Unstructured) bool {
			return isBeingDeleted(claim) && slices.Equal(claim.GetFinalizers(), []string{holdFinalizer, foreground})
		}
		awaitClaim(t, name, "deleted in the foreground", isWaiting)
		for range 3 {
			updateFromAppCluster(t, name, incrementNodeCount)
		}
		// By now both collectors have seen all of that.
		awaitCollectorPass(t, env.app, "ConfigMap", "default")
		awaitCollectorPass(t, env.controlPlane, "Secret", mapping["default"])
		awaitClaim(t, name, "unchanged", func(claim *unstructured.Unstructured) bool {
			nodes, _, _ := unstructured.NestedInt64(claim.Object, "spec", "nodeCount")
			return isWaiting(claim) && nodes == 3 && len(claim.GetOwnerReferences()) == 1
		})
		assertLacks(t, inAppCluster(t, "get", "configmap", name, "-o", "yaml"), "deletionTimestamp")
		onControlPlane(t, "-n", mapping["default"], "get", owner.resource, remoteName("default", name))

		// The app cluster removes its finalizer; the control plane still keeps the claim.
		updateFromAppCluster(t, name, func(claim *unstructured.Unstructured) { claim.SetFinalizers(nil) })
		awaitCollectorPass(t, env.app, "ConfigMap", "default")
		awaitClaim(t, name, "kept because of its Secret", func(claim *unstructured.Unstructured) bool {
			return slices.Equal(claim.GetFinalizers(), []string{foreground}) && len(claim.GetOwnerReferences()) == 1
		})
		assertContains(t, onControlPlane(t, "-n", mapping["default"], "get", "secret", name, "-o", "yaml"), "deletionTimestamp")
		onControlPlane(t, "-n", mapping["default"], "patch", "secret", name, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
		awaitGone(t, collectorTimeout, env.controlPlane, "-n", mapping["default"], "secret", name)
		awaitGone(t, collectorTimeout, env.controlPlane, "-n", mapping["default"], "kc", remoteName("default", name))
		owner.isGone(t, name)
		awaitGone(t, collectorTimeout, env.app, "configmap", name)
	}
}

// The orphan deletion of an owner keeps its claim. No update restores the owner reference, although
// the app cluster's older copy contains it in the hidden annotation.
func TestUpdatesDuringOrphanDeletionOfOwner(t *testing.T) {
	awaitCollectorWatch(t)
	for _, owner := range owners() {
		name := "left-by-" + strings.ToLower(owner.kind)
		owner.createOwnedClaim(t, name)
		before, err := claimsIn(env.app).Get(context.Background(), name, metav1.GetOptions{})
		must(err)
		id := string(before.GetUID())
		assertContains(t, before.GetAnnotations()[hiddenAnnotation], owner.kind)
		updateFromAppCluster(t, name, incrementNodeCount)
		updates := int64(1)
		owner.delete(t, name, "orphan")
		await(t, collectorTimeout, func() error {
			updateFromAppCluster(t, name, incrementNodeCount)
			updates++
			return checkGone(env.controlPlane, "-n", mapping["default"], owner.resource, remoteName("default", name))()
		})
		// With the old hidden annotation.
		updateFromAppCluster(t, name, func(claim *unstructured.Unstructured) {
			incrementNodeCount(claim)
			claim.SetAnnotations(before.GetAnnotations())
		})
		updates++
		awaitCollectorPass(t, env.app, "ConfigMap", "default")
		awaitCollectorPass(t, env.controlPlane, "Secret", mapping["default"])
		awaitClaim(t, name, "kept without its owner", func(claim *unstructured.Unstructured) bool {
			nodes, _, _ := unstructured.NestedInt64(claim.Object, "spec", "nodeCount")
			return nodes == updates && len(claim.GetOwnerReferences()) == 0 && !isBeingDeleted(claim) &&
				slices.Equal(claim.GetFinalizers(), []string{holdFinalizer}) && claim.GetAnnotations()[hiddenAnnotation] == ""
		})
		for _, owned := range []string{
			inAppCluster(t, "get", "configmap", name, "-o", "yaml"), onControlPlane(t, "-n", mapping["default"], "get", "secret", name, "-o", "yaml"),
		} {
			assertContains(t, owned, "ownerReferences", id)
			assertLacks(t, owned, "deletionTimestamp")
		}
	}
}
