package kubernetes

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

var diskVersions = []string{"v1alpha1", "v1beta1"}

// diskCRD returns a CRD with these versions.
func diskCRD(versions ...string) string {
	return fmt.Sprintf(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: disks.k8s.starter.org}
spec:
  group: k8s.starter.org
  scope: Namespaced
  names: {plural: disks, singular: disk, kind: Disk, listKind: DiskList, shortNames: [dk], categories: [claim]}
  versions: [%s]
`, strings.Join(versions, ", "))
}

func diskVersion(name string, served, stored bool) string {
	return fmt.Sprintf(`{name: %s, served: %t, storage: %t, schema: {openAPIV3Schema: {type: object, properties:
    {spec: {type: object, properties: {gigabytes: {type: integer}}}}}}}`, name, served, stored)
}

// disksPath returns the path of the disks at a version, in the cluster's own name for the local
// namespace `default`.
func disksPath(c *cluster, version string) string {
	namespace := "default"
	if c == env.controlPlane {
		namespace = mapping[namespace]
	}
	return "/apis/k8s.starter.org/" + version + "/namespaces/" + namespace + "/disks"
}

// diskPath returns the path of the disk with the local name `disk`.
func diskPath(c *cluster, version string) string {
	return disksPath(c, version) + "/" + nameIn(c.name, "disk")
}

// awaitStatus waits until a path returns this status, and returns the body.
func awaitStatus(t *testing.T, c *cluster, path string, status int) (body string) {
	t.Helper()
	await(t, publishTimeout, func() error {
		var got int
		if got, body = sendAsAdmin(t, c, "GET", path, "", nil); got != status {
			return fmt.Errorf("%s: %s returns %d, want %d: %s", c.name, path, got, status, body)
		}
		return nil
	})
	return body
}

// nameIn returns the name of an object of the local namespace `default`, as a watch with this name shows
// it.
func nameIn(watch, name string) string {
	if strings.Contains(watch, "control") {
		return remoteName("default", name)
	}
	return name
}

// nextEvent returns the next event of a watch, or nil at its end.
func nextEvent(t *testing.T, events <-chan event) *event {
	t.Helper()
	select {
	case e, is := <-events:
		if !is {
			return nil
		}
		return &e
	case <-time.After(publishTimeout):
		t.Fatal("the watch neither sends an event nor ends")
		return nil
	}
}

// storageHash returns the storageVersionHash of the disks in a version's resource list.
func storageHash(t *testing.T, c *cluster, version string) string {
	t.Helper()
	var list struct {
		Resources []struct{ Name, StorageVersionHash string }
	}
	must(json.Unmarshal([]byte(awaitStatus(t, c, "/apis/k8s.starter.org/"+version, 200)), &list))
	for _, resource := range list.Resources {
		if resource.Name == "disks" {
			return resource.StorageVersionHash
		}
	}
	return ""
}

// awaitSameStorageHash waits until the app cluster reports the control plane's hash, and returns
// it.
func awaitSameStorageHash(t *testing.T) string {
	t.Helper()
	want := storageHash(t, env.controlPlane, "v1alpha1")
	for _, version := range diskVersions {
		await(t, publishTimeout, func() error {
			if got := storageHash(t, env.app, version); got == "" || got != want {
				return fmt.Errorf("the storageVersionHash at %s is %q, want %q", version, got, want)
			}
			return nil
		})
	}
	return want
}

// registerSecondVersion registers an APIService for the second version until the test ends.
func registerSecondVersion(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		env.tryKubectl(env.controlPlane.kubeconfig, "", "delete", "crd", "disks.k8s.starter.org", "--ignore-not-found")
		env.tryKubectl(env.app.kubeconfig, "", "delete", "apiservice", "v1beta1.k8s.starter.org", "--ignore-not-found")
		for _, version := range diskVersions {
			err := eventually(publishTimeout, func() error {
				if _, body := sendAsAdmin(t, env.app, "GET", "/apis/k8s.starter.org/"+version, "", nil); strings.Contains(body, `"disks"`) {
					return fmt.Errorf("%s still lists disks", version)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	text := fmt.Sprintf(registration, env.port, base64.StdEncoding.EncodeToString(env.certificates.read("server-ca.crt")))
	text = strings.ReplaceAll(text, "v1alpha1", "v1beta1")
	kubectl(t, env.app, strings.ReplaceAll(text, "versionPriority: 15", "versionPriority: 20"), "apply", "-f", "-")
}

// A CRD with two versions, each with an APIService of its own.
func TestClaimsWithTwoVersions(t *testing.T) {
	if os.Getenv("TEST_SLOW") == "" {
		t.Skip("only with `run --all`")
	}
	kubectl(t, env.controlPlane, diskCRD(diskVersion("v1alpha1", true, true), diskVersion("v1beta1", true, false)), "apply", "-f", "-")
	registerSecondVersion(t)
	watches := map[string]<-chan event{}
	for _, c := range []*cluster{env.app, env.controlPlane} {
		for _, version := range diskVersions {
			awaitStatus(t, c, disksPath(c, version), 200)
			watches[c.name+" "+version] = watchPath(t, c, disksPath(c, version))
		}
	}
	before := awaitSameStorageHash(t)

	disk := `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"Disk","metadata":{"name":"disk"},"spec":{"gigabytes":3}}`
	headers := map[string]string{"Content-Type": "application/json"}
	if status, body := sendAsAdmin(t, env.app, "POST", disksPath(env.app, "v1alpha1"), disk, headers); status != 201 {
		t.Fatal(status, body)
	}
	for watchName, events := range watches {
		e := nextEvent(t, events)
		_, version, _ := strings.Cut(watchName, " ")
		if e == nil || e.Type != "ADDED" || e.name() != nameIn(watchName, "disk") || e.Object.APIVersion != "k8s.starter.org/"+version {
			t.Fatalf("%s: %v", watchName, e)
		}
	}
	assertDiskEverywhere(t, `"gigabytes":3`)
	assertSecondVersionPreferred(t, env.app)
	assertSecondVersionPreferred(t, env.controlPlane)

	// Another version becomes the stored one. Watches of both versions end, because kube-apiserver
	// replaces the storage.
	kubectl(t, env.controlPlane, diskCRD(diskVersion("v1alpha1", true, false), diskVersion("v1beta1", true, true)), "apply", "-f", "-")
	for watchName, events := range watches {
		if e := nextEvent(t, events); e != nil {
			t.Fatalf("%s: %v", watchName, e)
		}
	}
	assertDiskEverywhere(t, `"gigabytes":3`)
	headers["Content-Type"] = "application/merge-patch+json"
	if status, body := sendAsAdmin(t, env.app, "PATCH", disksPath(env.app, "v1beta1")+"/disk", `{"spec":{"gigabytes":4}}`, headers); status != 200 {
		t.Fatal(status, body)
	}
	assertDiskEverywhere(t, `"gigabytes":4`)
	if after := awaitSameStorageHash(t); after == before {
		t.Errorf("the storageVersionHash is still %s", after)
	}
	// The merged document contains both versions, and no duplicate members.
	both := []string{"/v1alpha1/namespaces/{namespace}/disks/{name}\"", "/v1beta1/namespaces/{namespace}/disks/{name}\""}
	assertNoDanglingRefs(t, withoutSuffixes(t, awaitDocument(t, env.app, openapiV2, both...)))

	kubectl(t, env.controlPlane, diskCRD(diskVersion("v1alpha1", false, false), diskVersion("v1beta1", true, true)), "apply", "-f", "-")
	for _, c := range []*cluster{env.app, env.controlPlane} {
		awaitStatus(t, c, diskPath(c, "v1alpha1"), 404)
		awaitStatus(t, c, diskPath(c, "v1beta1"), 200)
	}
}

// assertSecondVersionPreferred waits until kubectl finds the disk, at the version that the
// APIServices and the CRD prefer.
func assertSecondVersionPreferred(t *testing.T, c *cluster) {
	t.Helper()
	namespace, name := strings.Split(disksPath(c, ""), "/")[5], nameIn(c.name, "disk")
	version := ""
	err := eventually(publishTimeout, func() (err error) {
		version, err = env.tryKubectl(c.kubeconfig, "", "get", "disks", name, "-n", namespace, "-o", "jsonpath={.apiVersion}")
		return err
	})
	if err != nil || version != "k8s.starter.org/v1beta1" {
		t.Fatalf("%s: %s, %v", c.name, version, err)
	}
}

// assertDiskEverywhere reads the disk at both versions from both clusters.
func assertDiskEverywhere(t *testing.T, has string) {
	t.Helper()
	for _, c := range []*cluster{env.app, env.controlPlane} {
		for _, version := range diskVersions {
			body := awaitStatus(t, c, diskPath(c, version), 200)
			assertContains(t, body, `"apiVersion":"k8s.starter.org/`+version+`"`, has)
		}
	}
}

// createStoredVolume creates a volume of the local namespace `default` on the control plane.
func createStoredVolume(t *testing.T, name string) {
	t.Helper()
	path := "/apis/" + groupVersion + "/namespaces/" + mapping["default"] + "/volumes"
	createVolume(t, path, storedManifest(newObject("Volume", name), "default"))
}

// createVolume retries until the control plane accepts the object; that takes a while for a
// recreated CRD.
func createVolume(t *testing.T, path, volume string) {
	t.Helper()
	await(t, slowDeadline, func() error {
		if status, body := sendAsAdmin(t, env.controlPlane, "POST", path, volume, map[string]string{"Content-Type": "application/json"}); status != 201 {
			return fmt.Errorf("status %d: %s", status, body)
		}
		return nil
	})
}

// A CRD that is recreated with the other scope ends open watches. Cluster-scoped objects are not
// visible in the app cluster.
func TestCRDRecreatedWithOtherScope(t *testing.T) {
	if os.Getenv("TEST_SLOW") == "" {
		t.Skip("only with `run --all`")
	}
	const name = "volumes.k8s.starter.org"
	t.Cleanup(func() {
		env.tryKubectl(env.controlPlane.kubeconfig, "", "delete", "crd", name, "--ignore-not-found")
	})
	clusterWide := strings.Replace(volumeCRD("gigabytes"), "scope: Namespaced", "scope: Cluster", 1)
	all := "/apis/" + groupVersion + "/volumes"
	volumesPath := func(namespace string) string {
		return "/apis/" + groupVersion + "/namespaces/" + namespace + "/volumes"
	}

	kubectl(t, env.controlPlane, volumeCRD("gigabytes"), "apply", "-f", "-")
	createStoredVolume(t, "mine")
	createVolume(t, volumesPath("aaa-other"), asJSON(newObject("Volume", "theirs")))
	awaitStatus(t, env.app, all, 200)
	watches := map[string]<-chan event{
		"all":                  watchPath(t, env.app, all),
		"one namespace":        watchPath(t, env.app, volumesPath("default")),
		"on the control plane": watchPath(t, env.controlPlane, volumesPath(mapping["default"])),
	}
	for watchName, events := range watches {
		if e := nextEvent(t, events); e == nil || e.Type != "ADDED" || e.name() != nameIn(watchName, "mine") {
			t.Fatalf("%s: %v", watchName, e)
		}
	}
	onControlPlane(t, "delete", "crd", name)
	kubectl(t, env.controlPlane, clusterWide, "create", "-f", "-")
	for watchName, events := range watches {
		if e := nextEvent(t, events); e == nil || e.Type != "DELETED" || e.name() != nameIn(watchName, "mine") {
			t.Fatalf("%s: %v", watchName, e)
		}
		if e := nextEvent(t, events); e != nil {
			t.Fatalf("%s: %v", watchName, e)
		}
	}
	createVolume(t, all, asJSON(newObject("Volume", "everybodys")))
	for _, path := range []string{all, all + "/everybodys", volumesPath("default"), volumesPath("default") + "/everybodys"} {
		awaitStatus(t, env.app, path, 404)
	}
	// In the shared mapping, the control plane itself returns the 404s, before discovery is read again.
	await(t, publishTimeout, func() error {
		if body := awaitStatus(t, env.app, "/apis/"+groupVersion, 200); strings.Contains(body, `"volumes"`) {
			return fmt.Errorf("volumes are still listed: %s", body)
		}
		return nil
	})

	onControlPlane(t, "delete", "crd", name)
	kubectl(t, env.controlPlane, volumeCRD("gigabytes"), "create", "-f", "-")
	createStoredVolume(t, "again")
	assertContains(t, awaitStatus(t, env.app, volumesPath("default")+"/again", 200), `"namespace":"default"`)
	if e := nextEvent(t, watchPath(t, env.app, all)); e == nil || e.name() != "again" || e.namespace() != "default" {
		t.Fatal(e)
	}
}
