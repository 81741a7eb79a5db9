package kubernetes

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// volumeCRD returns a CRD that tests create, change and delete. Its schema has the given field.
func volumeCRD(field string) string {
	return fmt.Sprintf(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: volumes.k8s.starter.org}
spec:
  group: k8s.starter.org
  scope: Namespaced
  names: {plural: volumes, singular: volume, kind: Volume, listKind: VolumeList, shortNames: [vo], categories: [claim]}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema:
      openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {%s: {type: integer}}}}}
`, field)
}

// awaitPublished waits until the app cluster's discovery and OpenAPI satisfy a condition.
func awaitPublished(t *testing.T, what string, isPublished func(discovery, v2, v3 string) bool) {
	t.Helper()
	begin := time.Now()
	await(t, publishTimeout, func() error {
		_, resources := sendAsAdmin(t, env.app, "GET", "/apis/"+groupVersion, "", nil)
		_, v2 := sendAsAdmin(t, env.app, "GET", openapiV2, "", nil)
		_, v3 := sendAsAdmin(t, env.app, "GET", openapiV3, "", nil)
		if !isPublished(resources, v2, v3) {
			// The documents are megabytes large.
			time.Sleep(time.Second)
			return fmt.Errorf("%s: discovery %t, v2 %t, v3 %t after %s", what, strings.Contains(resources, "volumes"),
				strings.Contains(v2, "starter.v1alpha1.Volume"), strings.Contains(v3, "starter.v1alpha1.Volume"), time.Since(begin))
		}
		return nil
	})
	t.Logf("%s: published after %s", what, time.Since(begin).Round(time.Second))
}

// awaitVolumeField waits until volumes have this field and not the other.
func awaitVolumeField(t *testing.T, what, field, other string) {
	t.Helper()
	awaitPublished(t, what, func(resources, v2, v3 string) bool {
		return strings.Contains(resources, `"volumes"`) && strings.Contains(v2, field) && strings.Contains(v3, field) &&
			!strings.Contains(v2+v3, other)
	})
}

// allTags returns the tags of the control plane, of claimgate and of the app cluster.
func allTags(t *testing.T) []map[string]string {
	t.Helper()
	return []map[string]string{openapiOf(env.controlPlane).tags(t), openapiOfClaimgate().tags(t), openapiOf(env.app).tags(t)}
}

func assertSameTagsEverywhere(t *testing.T, when string, want []map[string]string) {
	t.Helper()
	for i, got := range allTags(t) {
		assertSameTags(t, when, got, want[i])
	}
}

func assertOtherTagsEverywhere(t *testing.T, when string, want []map[string]string) {
	t.Helper()
	for i, got := range allTags(t) {
		assertOtherTags(t, when, got, want[i])
	}
}

// TestDiscoveryFollowsCRDs takes minutes, because claimgate and the aggregator refresh only from
// time to time.
func TestDiscoveryFollowsCRDs(t *testing.T) {
	if os.Getenv("TEST_SLOW") == "" {
		t.Skip("only with --all")
	}
	t.Cleanup(func() {
		env.tryKubectl(env.controlPlane.kubeconfig, "", "delete", "crd", "volumes.k8s.starter.org", "--ignore-not-found")
	})
	running := env.claimgate
	without := allTags(t)
	volume := func(field string) string {
		return fmt.Sprintf("apiVersion: %s\nkind: Volume\nmetadata: {name: vol}\nspec: {%s: 3}\n", groupVersion, field)
	}

	kubectl(t, env.controlPlane, volumeCRD("gigabytes"), "apply", "-f", "-")
	awaitVolumeField(t, "a new CRD", "gigabytes", "terabytes")
	kubectl(t, env.app, volume("gigabytes"), "apply", "-f", "-")
	assertContains(t, inAppCluster(t, "get", "vo"), "vol")
	assertContains(t, onControlPlane(t, "get", "vo", "-n", mapping["default"]), "vol")
	assertContains(t, inAppCluster(t, "explain", "vo.spec"), "gigabytes")
	assertOtherTagsEverywhere(t, "a new CRD", without)
	first := allTags(t)
	awaitDiscoveryTwice(t)
	assertSameTagsEverywhere(t, "idle", first)

	kubectl(t, env.controlPlane, volumeCRD("terabytes"), "apply", "-f", "-")
	awaitVolumeField(t, "a changed CRD", "terabytes", "gigabytes")
	assertContains(t, inAppCluster(t, "explain", "vo.spec"), "terabytes")
	kubectl(t, env.app, volume("terabytes"), "apply", "-f", "-")
	if _, err := env.tryKubectl(env.app.kubeconfig, volume("gigabytes"), "apply", "-f", "-"); err == nil {
		t.Error("kubectl still accepts the removed field")
	}
	assertOtherTagsEverywhere(t, "a changed CRD", first)

	kubectl(t, env.controlPlane, volumeCRD("gigabytes"), "apply", "-f", "-")
	awaitVolumeField(t, "a CRD that was changed back", "gigabytes", "terabytes")
	assertSameTagsEverywhere(t, "a CRD that was changed back", first)
	assertUnexposedCRDKeepsTags(t, first)

	onControlPlane(t, "delete", "crd", "volumes.k8s.starter.org")
	awaitPublished(t, "a removed CRD", func(resources, v2, v3 string) bool {
		return !strings.Contains(resources+v2+v3, "gigabytes") &&
			!strings.Contains(resources, "volumes") && !strings.Contains(v2+v3, "v1alpha1/namespaces/{namespace}/volumes")
	})
	if status, body := sendAsAdmin(t, env.app, "GET", "/apis/"+groupVersion+"/namespaces/default/volumes", "", nil); status != 404 {
		t.Errorf("status %d: %s", status, body)
	}
	assertSameTagsEverywhere(t, "a removed CRD", without)
	if env.claimgate != running {
		t.Error("claimgate was restarted")
	}
}

// assertUnexposedCRDKeepsTags changes a CRD that claimgate does not expose. Only the control
// plane's tags change.
func assertUnexposedCRDKeepsTags(t *testing.T, before []map[string]string) {
	t.Helper()
	composites := fmt.Sprintf(claimCRD, "composites", "composite", "Composite", "xc", "composite")
	kubectl(t, env.controlPlane, strings.Replace(composites, "How many nodes", "How many shapes", 1), "apply", "-f", "-")
	awaitDocument(t, env.controlPlane, openapiV2, "How many shapes")
	awaitDocument(t, env.controlPlane, openapiV3, "How many shapes")
	assertOtherTags(t, "another CRD, on the control plane", openapiOf(env.controlPlane).tags(t), before[0])
	awaitDiscoveryTwice(t)
	assertSameTags(t, "another CRD", openapiOfClaimgate().tags(t), before[1])
	assertSameTags(t, "another CRD, in the app cluster", openapiOf(env.app).tags(t), before[2])
	kubectl(t, env.controlPlane, composites, "apply", "-f", "-")
	await(t, publishTimeout, func() error {
		for _, path := range []string{openapiV2, openapiV3} {
			if _, body := sendAsAdmin(t, env.controlPlane, "GET", path, "", nil); strings.Contains(body, "How many shapes") {
				return fmt.Errorf("%s still contains the old description", path)
			}
		}
		return nil
	})
}
