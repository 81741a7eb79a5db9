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

// diskCRD has these versions.
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

// disks is the path of them at a version, in the namespace of a cluster that the mapping names default.
func disks(c *cluster, version string) string {
	namespace := "default"
	if c == theBed.cp {
		namespace = mapping[namespace]
	}
	return "/apis/k8s.starter.org/" + version + "/namespaces/" + namespace + "/disks"
}

// answers waits until a path is answered with this status, and returns the body.
func answers(t *testing.T, c *cluster, path string, status int) (body string) {
	t.Helper()
	err := eventually(published, func() error {
		var got int
		if got, body = request(t, c, "GET", path, "", nil); got != status {
			return fmt.Errorf("%s: %s is answered %d, not %d: %s", c.name, path, got, status, body)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// next is the next event of a watch, and nil at its end.
func next(t *testing.T, events <-chan event) *event {
	t.Helper()
	select {
	case e, is := <-events:
		if !is {
			return nil
		}
		return &e
	case <-time.After(published):
		t.Fatal("no event came, and no end")
		return nil
	}
}

// storageHash is that of the disks in the list of a version's resources.
func storageHash(t *testing.T, c *cluster, version string) string {
	t.Helper()
	var list struct {
		Resources []struct{ Name, StorageVersionHash string }
	}
	must(json.Unmarshal([]byte(answers(t, c, "/apis/k8s.starter.org/"+version, 200)), &list))
	for _, resource := range list.Resources {
		if resource.Name == "disks" {
			return resource.StorageVersionHash
		}
	}
	return ""
}

// sameStorageHash waits until the app cluster tells the control plane's, and returns it.
func sameStorageHash(t *testing.T) string {
	t.Helper()
	want := storageHash(t, theBed.cp, "v1alpha1")
	for _, version := range diskVersions {
		err := eventually(published, func() error {
			if got := storageHash(t, theBed.app, version); got == "" || got != want {
				return fmt.Errorf("the storageVersionHash at %s is %q, not %q", version, got, want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return want
}

// registerSecond gives the second version an APIService, until the test ends.
func registerSecond(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		theBed.try(theBed.cp.kubeconfig, "", "delete", "crd", "disks.k8s.starter.org", "--ignore-not-found")
		theBed.try(theBed.app.kubeconfig, "", "delete", "apiservice", "v1beta1.k8s.starter.org", "--ignore-not-found")
		for _, version := range diskVersions {
			err := eventually(published, func() error {
				if _, body := request(t, theBed.app, "GET", "/apis/k8s.starter.org/"+version, "", nil); strings.Contains(body, `"disks"`) {
					return fmt.Errorf("%s is still there", version)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	text := fmt.Sprintf(registration, theBed.port, base64.StdEncoding.EncodeToString(theBed.pki.read("server-ca.crt")))
	text = strings.ReplaceAll(text, "v1alpha1", "v1beta1")
	kubectl(t, theBed.app, strings.ReplaceAll(text, "versionPriority: 15", "versionPriority: 20"), "apply", "-f", "-")
}

// A CRD of two versions, each with an APIService of its own.
func TestClaimsOfTwoVersions(t *testing.T) {
	if os.Getenv("BED_SLOW") == "" {
		t.Skip("only with --all")
	}
	kubectl(t, theBed.cp, diskCRD(diskVersion("v1alpha1", true, true), diskVersion("v1beta1", true, false)), "apply", "-f", "-")
	registerSecond(t)
	watches := map[string]<-chan event{}
	for _, c := range []*cluster{theBed.app, theBed.cp} {
		for _, version := range diskVersions {
			answers(t, c, disks(c, version), 200)
			watches[c.name+" "+version] = watchPath(t, c, disks(c, version))
		}
	}
	before := sameStorageHash(t)

	disk := `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"Disk","metadata":{"name":"disk"},"spec":{"gigabytes":3}}`
	headers := map[string]string{"Content-Type": "application/json"}
	if status, body := request(t, theBed.app, "POST", disks(theBed.app, "v1alpha1"), disk, headers); status != 201 {
		t.Fatal(status, body)
	}
	for which, events := range watches {
		e := next(t, events)
		_, version, _ := strings.Cut(which, " ")
		if e == nil || e.Type != "ADDED" || e.name() != "disk" || e.Object.APIVersion != "k8s.starter.org/"+version {
			t.Fatalf("%s: %v", which, e)
		}
	}
	bothHaveDisk(t, `"gigabytes":3`)
	prefersSecond(t, theBed.app)
	prefersSecond(t, theBed.cp)

	// Another version is stored: watches of both end, as kube-apiserver gives up the old storage.
	kubectl(t, theBed.cp, diskCRD(diskVersion("v1alpha1", true, false), diskVersion("v1beta1", true, true)), "apply", "-f", "-")
	for which, events := range watches {
		if e := next(t, events); e != nil {
			t.Fatalf("%s: %v", which, e)
		}
	}
	bothHaveDisk(t, `"gigabytes":3`)
	headers["Content-Type"] = "application/merge-patch+json"
	if status, body := request(t, theBed.app, "PATCH", disks(theBed.app, "v1beta1")+"/disk", `{"spec":{"gigabytes":4}}`, headers); status != 200 {
		t.Fatal(status, body)
	}
	bothHaveDisk(t, `"gigabytes":4`)
	if after := sameStorageHash(t); after == before {
		t.Errorf("the storageVersionHash is still %s", after)
	}
	// Both are filtered out of one document, and nothing in it is there twice.
	both := []string{"/v1alpha1/namespaces/{namespace}/disks/{name}\"", "/v1beta1/namespaces/{namespace}/disks/{name}\""}
	noneDangles(t, unrenamed(t, document(t, theBed.app, openapiV2, both...)))

	kubectl(t, theBed.cp, diskCRD(diskVersion("v1alpha1", false, false), diskVersion("v1beta1", true, true)), "apply", "-f", "-")
	for _, c := range []*cluster{theBed.app, theBed.cp} {
		answers(t, c, disks(c, "v1alpha1")+"/disk", 404)
		answers(t, c, disks(c, "v1beta1")+"/disk", 200)
	}
}

// prefersSecond waits until kubectl finds the disk, at the version that the APIServices prefer, which is the
// CRD's as well.
func prefersSecond(t *testing.T, c *cluster) {
	t.Helper()
	namespace := strings.Split(disks(c, ""), "/")[5]
	version := ""
	err := eventually(published, func() (err error) {
		version, err = theBed.try(c.kubeconfig, "", "get", "disks", "disk", "-n", namespace, "-o", "jsonpath={.apiVersion}")
		return err
	})
	if err != nil || version != "k8s.starter.org/v1beta1" {
		t.Fatalf("%s: %s, %v", c.name, version, err)
	}
}

// bothHaveDisk gets the disk at both versions of both clusters.
func bothHaveDisk(t *testing.T, has string) {
	t.Helper()
	for _, c := range []*cluster{theBed.app, theBed.cp} {
		for _, version := range diskVersions {
			body := answers(t, c, disks(c, version)+"/disk", 200)
			contains(t, body, `"apiVersion":"k8s.starter.org/`+version+`"`, has)
		}
	}
}

// createVolume waits until the control plane takes it, which is a while for a CRD that comes back.
func createVolume(t *testing.T, path, name string) {
	t.Helper()
	volume := fmt.Sprintf(`{"apiVersion":%q,"kind":"Volume","metadata":{"name":%q}}`, groupVersion, name)
	err := eventually(slowDeadline, func() error {
		if status, body := request(t, theBed.cp, "POST", path, volume, map[string]string{"Content-Type": "application/json"}); status != 201 {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A CRD that is deleted and comes back with the other scope ends what was watched, and what has no
// namespace any more is seen by nobody in the app cluster.
func TestACRDThatReturnsWithTheOtherScope(t *testing.T) {
	if os.Getenv("BED_SLOW") == "" {
		t.Skip("only with --all")
	}
	const name = "volumes.k8s.starter.org"
	t.Cleanup(func() {
		theBed.try(theBed.cp.kubeconfig, "", "delete", "crd", name, "--ignore-not-found")
	})
	clusterWide := strings.Replace(volumeCRD("gigabytes"), "scope: Namespaced", "scope: Cluster", 1)
	all := "/apis/" + groupVersion + "/volumes"
	in := func(namespace string) string {
		return "/apis/" + groupVersion + "/namespaces/" + namespace + "/volumes"
	}

	kubectl(t, theBed.cp, volumeCRD("gigabytes"), "apply", "-f", "-")
	createVolume(t, in(mapping["default"]), "mine")
	createVolume(t, in("aaa-other"), "theirs")
	answers(t, theBed.app, all, 200)
	watches := map[string]<-chan event{
		"all":                  watchPath(t, theBed.app, all),
		"one namespace":        watchPath(t, theBed.app, in("default")),
		"at the control plane": watchPath(t, theBed.cp, in(mapping["default"])),
	}
	for which, events := range watches {
		if e := next(t, events); e == nil || e.Type != "ADDED" || e.name() != "mine" {
			t.Fatalf("%s: %v", which, e)
		}
	}
	plane(t, "delete", "crd", name)
	kubectl(t, theBed.cp, clusterWide, "create", "-f", "-")
	for which, events := range watches {
		if e := next(t, events); e == nil || e.Type != "DELETED" || e.name() != "mine" {
			t.Fatalf("%s: %v", which, e)
		}
		if e := next(t, events); e != nil {
			t.Fatalf("%s: %v", which, e)
		}
	}
	createVolume(t, all, "everybodys")
	for _, path := range []string{all, all + "/everybodys", in("default"), in("default") + "/everybodys"} {
		answers(t, theBed.app, path, 404)
	}
	if body := answers(t, theBed.app, "/apis/"+groupVersion, 200); strings.Contains(body, `"volumes"`) {
		t.Error(body)
	}

	plane(t, "delete", "crd", name)
	kubectl(t, theBed.cp, volumeCRD("gigabytes"), "create", "-f", "-")
	createVolume(t, in(mapping["default"]), "again")
	contains(t, answers(t, theBed.app, in("default")+"/again", 200), `"namespace":"default"`)
	if e := next(t, watchPath(t, theBed.app, all)); e == nil || e.name() != "again" || e.namespace() != "default" {
		t.Fatal(e)
	}
}
