package kubernetes

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// volumeCRD comes, changes and goes; its schema has a field of this name.
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

// seen waits until the app cluster's discovery and OpenAPI say so.
func seen(t *testing.T, what string, is func(discovery, v2, v3 string) bool) {
	t.Helper()
	begin := time.Now()
	err := eventually(published, func() error {
		_, resources := request(t, theBed.app, "GET", "/apis/"+groupVersion, "", nil)
		_, v2 := request(t, theBed.app, "GET", openapiV2, "", nil)
		_, v3 := request(t, theBed.app, "GET", openapiV3, "", nil)
		if !is(resources, v2, v3) {
			// The documents have megabytes.
			time.Sleep(time.Second)
			return fmt.Errorf("%s: discovery %t, v2 %t, v3 %t after %s", what, strings.Contains(resources, "volumes"),
				strings.Contains(v2, "starter.v1alpha1.Volume"), strings.Contains(v3, "starter.v1alpha1.Volume"), time.Since(begin))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: seen after %s", what, time.Since(begin).Round(time.Second))
}

// hasField waits until volumes have this field and not the other one.
func hasField(t *testing.T, what, field, other string) {
	t.Helper()
	seen(t, what, func(resources, v2, v3 string) bool {
		return strings.Contains(resources, `"volumes"`) && strings.Contains(v2, field) && strings.Contains(v3, field) &&
			!strings.Contains(v2+v3, other)
	})
}

// tagsOfAll are those of the control plane, of claimgate and of the app cluster.
func tagsOfAll(t *testing.T) []map[string]string {
	t.Helper()
	return []map[string]string{openapiOf(theBed.cp).tags(t), openapiOfClaimgate().tags(t), openapiOf(theBed.app).tags(t)}
}

func sameTagsOfAll(t *testing.T, when string, want []map[string]string) {
	t.Helper()
	for i, got := range tagsOfAll(t) {
		sameTags(t, when, got, want[i])
	}
}

func otherTagsOfAll(t *testing.T, when string, want []map[string]string) {
	t.Helper()
	for i, got := range tagsOfAll(t) {
		otherTags(t, when, got, want[i])
	}
}

// As claimgate and the aggregator look again only now and then, this takes minutes.
func TestCRDsComeChangeAndGo(t *testing.T) {
	if os.Getenv("BED_SLOW") == "" {
		t.Skip("only with --all")
	}
	t.Cleanup(func() {
		theBed.try(theBed.cp.kubeconfig, "", "delete", "crd", "volumes.k8s.starter.org", "--ignore-not-found")
	})
	running := theBed.claimgate
	without := tagsOfAll(t)
	volume := func(field string) string {
		return fmt.Sprintf("apiVersion: %s\nkind: Volume\nmetadata: {name: vol}\nspec: {%s: 3}\n", groupVersion, field)
	}

	kubectl(t, theBed.cp, volumeCRD("gigabytes"), "apply", "-f", "-")
	hasField(t, "a new CRD", "gigabytes", "terabytes")
	kubectl(t, theBed.app, volume("gigabytes"), "apply", "-f", "-")
	contains(t, app(t, "get", "vo"), "vol")
	contains(t, plane(t, "get", "vo", "-n", "app-ns-1"), "vol")
	contains(t, app(t, "explain", "vo.spec"), "gigabytes")
	otherTagsOfAll(t, "a new CRD", without)
	first := tagsOfAll(t)
	refreshed(t)
	sameTagsOfAll(t, "idle", first)

	kubectl(t, theBed.cp, volumeCRD("terabytes"), "apply", "-f", "-")
	hasField(t, "a changed CRD", "terabytes", "gigabytes")
	contains(t, app(t, "explain", "vo.spec"), "terabytes")
	kubectl(t, theBed.app, volume("terabytes"), "apply", "-f", "-")
	if _, err := theBed.try(theBed.app.kubeconfig, volume("gigabytes"), "apply", "-f", "-"); err == nil {
		t.Error("kubectl still takes what was there before")
	}
	otherTagsOfAll(t, "a changed CRD", first)

	kubectl(t, theBed.cp, volumeCRD("gigabytes"), "apply", "-f", "-")
	hasField(t, "a CRD that is as it was", "gigabytes", "terabytes")
	sameTagsOfAll(t, "a CRD that is as it was", first)
	whatIsNotExposedChangesNoTags(t, first)

	plane(t, "delete", "crd", "volumes.k8s.starter.org")
	seen(t, "a removed CRD", func(resources, v2, v3 string) bool {
		return !strings.Contains(resources+v2+v3, "gigabytes") &&
			!strings.Contains(resources, "volumes") && !strings.Contains(v2+v3, "v1alpha1/namespaces/{namespace}/volumes")
	})
	if status, body := request(t, theBed.app, "GET", "/apis/"+groupVersion+"/namespaces/default/volumes", "", nil); status != 404 {
		t.Errorf("%d %s", status, body)
	}
	sameTagsOfAll(t, "a removed CRD", without)
	if theBed.claimgate != running {
		t.Error("claimgate was started anew")
	}
}

// whatIsNotExposedChangesNoTags but those of the control plane.
func whatIsNotExposedChangesNoTags(t *testing.T, before []map[string]string) {
	t.Helper()
	composites := fmt.Sprintf(crd, "composites", "composite", "Composite", "xc", "composite")
	kubectl(t, theBed.cp, strings.Replace(composites, "How many nodes", "How many shapes", 1), "apply", "-f", "-")
	document(t, theBed.cp, openapiV2, "How many shapes")
	document(t, theBed.cp, openapiV3, "How many shapes")
	otherTags(t, "another CRD, at the control plane", openapiOf(theBed.cp).tags(t), before[0])
	refreshed(t)
	sameTags(t, "another CRD", openapiOfClaimgate().tags(t), before[1])
	sameTags(t, "another CRD, in the app cluster", openapiOf(theBed.app).tags(t), before[2])
	kubectl(t, theBed.cp, composites, "apply", "-f", "-")
	err := eventually(published, func() error {
		for _, path := range []string{openapiV2, openapiV3} {
			if _, body := request(t, theBed.cp, "GET", path, "", nil); strings.Contains(body, "How many shapes") {
				return fmt.Errorf("%s still has what was there before", path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
