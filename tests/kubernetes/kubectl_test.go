package kubernetes

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// both runs a command in the app cluster and, with the remote namespace, on the control plane, and
// compares what people see.
func both(t *testing.T, name string, args ...string) {
	t.Helper()
	remote := make([]string, len(args))
	copy(remote, args)
	local := append([]string{"-n", "default"}, args...)
	remote = append([]string{"-n", "app-ns-1"}, remote...)
	a, c := scrub(app(t, local...)), scrub(plane(t, remote...))
	if a != c {
		t.Fatalf("%s: app cluster\n%s\ncontrol plane\n%s", name, a, c)
	}
}

var scrubbed = regexp.MustCompile(`app-ns-1\b|[0-9]+m?s\b|"?resourceVersion"?: "?[0-9]+"?`)

func scrub(text string) string {
	return scrubbed.ReplaceAllStringFunc(text, func(found string) string {
		if found == "app-ns-1" {
			return "default"
		}
		return "-"
	})
}

func TestAPIResourcesAndExplain(t *testing.T) {
	wide := []string{"api-resources", "--api-group", "k8s.starter.org", "-o", "wide"}
	local, remote := app(t, wide...), plane(t, wide...)
	if strings.Contains(local, "composites") {
		t.Fatalf("a resource that is no claim is exposed:\n%s", local)
	}
	line := func(text string) string {
		for _, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(line, "kubernetesclusters") {
				return strings.Join(strings.Fields(line), " ")
			}
		}
		return ""
	}
	if line(local) == "" || line(local) != line(remote) {
		t.Fatalf("%q is not %q", line(local), line(remote))
	}
	// The aggregator looks for OpenAPI once a minute.
	var explained string
	err := eventually(90*time.Second, func() (err error) {
		explained, err = theBed.try(theBed.app.kubeconfig, "", "explain", "kc.spec", "--recursive")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := plane(t, "explain", "kc.spec", "--recursive"); explained != want {
		t.Fatalf("%s\nis not\n%s", explained, want)
	}
}

func TestKubectlVerbs(t *testing.T) {
	const name = "verbs"
	file := theBed.path("verbs.yaml")
	must(os.WriteFile(file, []byte(claim("default", name)), 0o600))
	app(t, "apply", "-f", file)
	t.Cleanup(func() { theBed.try(theBed.app.kubeconfig, "", "delete", "kc", name, "--ignore-not-found") })
	for _, output := range []string{"", "wide", "yaml", "json", "name"} {
		both(t, "get -o "+output, "get", "kc", name, "-o", output)
		both(t, "list -o "+output, "get", "kc", "-o", output)
	}
	contains(t, app(t, "get", "kc", "-A"), "default", name)
	both(t, "describe", "describe", "kc", name)
	contains(t, app(t, "apply", "-f", file), "unchanged")

	app(t, "patch", "kc", name, "--type=merge", "-p", `{"spec":{"nodeCount":4}}`)
	app(t, "patch", "kc", name, "--type=json", "-p",
		`[{"op":"test","path":"/metadata/namespace","value":"default"},{"op":"replace","path":"/spec/region","value":"us"}]`)
	app(t, "label", "kc", name, "colour=blue")
	app(t, "annotate", "kc", name, `note={"namespace":"default"}`)
	app(t, "scale", "kc", name, "--replicas=5")
	both(t, "after patches", "get", "kc", name, "-o", "yaml")
	contains(t, app(t, "get", "kc", name, "-o", "jsonpath={.spec}{.metadata.labels}"), `"nodeCount":5`, `"us"`, "blue")
	contains(t, app(t, "get", "kc", "-l", "colour=blue", "-o", "name"), name)
	contains(t, app(t, "get", "kc", "--field-selector", "metadata.namespace=default", "-A", "-o", "name"), name)

	must(os.WriteFile(theBed.path("editor"), []byte("#!/bin/sh\nsed -i 's/region: us/region: asia/' \"$1\"\n"), 0o755))
	app(t, "edit", "kc", name)
	contains(t, plane(t, "get", "kc", "-n", "app-ns-1", name, "-o", "yaml"), "region: asia")

	out, err := theBed.try(theBed.app.kubeconfig, claim("default", name), "diff", "-f", "-")
	if err == nil || !strings.Contains(out, "region") {
		t.Fatalf("diff: %v %s", err, out)
	}
	lacks(t, out, "app-ns-1")
	replaced := strings.Replace(app(t, "get", "kc", name, "-o", "yaml"), "region: asia", "region: mars", 1)
	kubectl(t, theBed.app, replaced, "replace", "-f", "-")
	contains(t, app(t, "get", "kc", name, "-o", "yaml"), "region: mars")

	contains(t, kubectl(t, theBed.app, claim("default", "dry"), "create", "--dry-run=server", "-f", "-"), "server dry run")
	if _, err := theBed.try(theBed.app.kubeconfig, "", "get", "kc", "dry"); err == nil {
		t.Fatal("a dry run left a claim behind")
	}
}

func TestStatusAndWait(t *testing.T) {
	kubectl(t, theBed.app, claim("default", "waits"), "create", "-f", "-")
	done := make(chan error, 1)
	go func() {
		_, err := theBed.try(theBed.app.kubeconfig, "", "wait", "--for=condition=Ready", "--timeout=30s", "kc/waits")
		done <- err
	}()
	plane(t, "-n", "app-ns-1", "patch", "kc", "waits", "--subresource=status", "--type=merge", "-p",
		`{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	both(t, "status", "get", "kc", "waits", "--subresource=status", "-o", "yaml")
	app(t, "delete", "kc", "waits")
}

func TestServerSideApply(t *testing.T) {
	text := claim("default", "ssa")
	kubectl(t, theBed.app, text, "apply", "-f", "-")
	kubectl(t, theBed.app, text, "apply", "--server-side", "-f", "-")
	kubectl(t, theBed.app, text, "apply", "--server-side", "-f", "-")
	annotation := app(t, "get", "kc", "ssa", "-o", "jsonpath={.metadata.annotations}")
	contains(t, annotation, `\"namespace\":\"default\"`)
	lacks(t, annotation, "app-ns-1")
	app(t, "delete", "kc", "ssa")
}

// Nothing that it owns keeps a claim, but the collectors have to look.
func TestDeleteCascades(t *testing.T) {
	waitForCollector(t)
	for _, cascade := range []string{"background", "foreground", "orphan"} {
		name := "cascade-" + cascade
		kubectl(t, theBed.app, claim("default", name), "create", "-f", "-")
		app(t, "delete", "kc", name, "--cascade="+cascade, "--timeout=30s")
		if _, err := theBed.try(theBed.cp.kubeconfig, "", "get", "kc", "-n", "app-ns-1", name); err == nil {
			t.Fatalf("%s is still there", name)
		}
	}
}

func TestUnknownFieldIsRefusedAsByTheControlPlane(t *testing.T) {
	bad := func(ns string) string {
		return strings.Replace(claim(ns, "bad"), "nodeCount", "nodeCoun", 1)
	}
	_, local := theBed.try(theBed.app.kubeconfig, bad("default"), "create", "-f", "-")
	_, remote := theBed.try(theBed.cp.kubeconfig, bad("app-ns-1"), "create", "-f", "-")
	if local == nil || remote == nil {
		t.Fatal("an unknown field was accepted")
	}
	message := func(err error) string { return err.Error()[strings.Index(err.Error(), "Error from"):] }
	if message(local) != message(remote) {
		t.Fatalf("%s\nis not\n%s", local, remote)
	}
}

func TestWatchShowsChangesMadeOnTheControlPlane(t *testing.T) {
	events := watch(t, theBed.app, "default")
	file, begin := writeClaim("app-ns-1", "seen"), time.Now()
	plane(t, "apply", "-f", file)
	for {
		select {
		case event := <-events:
			if event.name() == "seen" {
				if event.namespace() != "default" {
					t.Fatalf("namespace %q", event.namespace())
				}
				t.Logf("after %s", time.Since(begin))
				plane(t, "delete", "kc", "-n", "app-ns-1", "seen")
				return
			}
		case <-time.After(3 * time.Second):
			t.Fatal("no event within 3 s")
		}
	}
}

func TestForeignClaimsAreNeverSeen(t *testing.T) {
	kubectl(t, theBed.app, claim("default", "mine"), "apply", "-f", "-")
	kubectl(t, theBed.app, claim("team-a", "mine-too"), "apply", "-f", "-")
	base := "/apis/" + groupVersion + "/kubernetesclusters"
	for _, query := range []string{
		"", "?limit=1", "?limit=2", "?labelSelector=", "?fieldSelector=metadata.name%3Dstranger",
		"?fieldSelector=metadata.namespace%3Dapp-ns-9-other", "?fieldSelector=metadata.namespace!%3Ddefault",
		"?fieldSelector=metadata.namespace%3Dapp-ns-1", "?resourceVersion=0",
	} {
		for _, accept := range []string{
			"application/json", "application/json;as=Table;v=v1;g=meta.k8s.io",
			"application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
		} {
			for _, include := range []string{"", "includeObject=None", "includeObject=Object"} {
				path := base + query
				if include != "" {
					path += map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + include
				}
				pages(t, path, accept)
			}
		}
	}
	for _, ns := range append(foreign, "app-ns-1", "app-ns-2") {
		if _, err := theBed.try(theBed.app.kubeconfig, "", "get", "kc", "-n", ns, "stranger"); err == nil {
			t.Fatalf("%s/stranger was seen", ns)
		}
		out := app(t, "get", "kc", "-n", ns, "-o", "json")
		lacks(t, out, "stranger", "mine")
	}
}

// pages reads a list to its end and looks for what must not be there.
func pages(t *testing.T, path, accept string) {
	t.Helper()
	token := ""
	for range 20 {
		url := path
		if token != "" {
			url += map[bool]string{true: "&", false: "?"}[strings.Contains(url, "?")] + "continue=" + token
		}
		status, body := request(t, theBed.app, "GET", url, "", map[string]string{"Accept": accept})
		if status != 200 {
			t.Fatalf("%s: %d %s", url, status, body)
		}
		lacks(t, body, "stranger", "app-ns-", "remainingItemCount")
		var list struct{ Metadata struct{ Continue string } }
		must(json.Unmarshal([]byte(body), &list))
		if token = list.Metadata.Continue; token == "" {
			return
		}
		lacks(t, decodeToken(token), "app-ns-", "other")
	}
	t.Fatalf("%s has no end", path)
}

func TestPeoplesBytesComeBackAsTheyWere(t *testing.T) {
	object := `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{"annotations":{"mine":"{\"namespace\":\"app-ns-1\", \"\\u0041\":1e2}"},"name":"bytes","namespace":"default"},"spec":{"notes":"in app-ns-1","parameters":{"big":12345678901234567890,"metadata":{"namespace":"app-ns-1"}},"template":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","namespace":"app-ns-1"}}}}`
	path := "/apis/" + groupVersion + "/namespaces/default/kubernetesclusters"
	status, body := request(t, theBed.app, "POST", path, object, map[string]string{"Content-Type": "application/json"})
	if status != 201 {
		t.Fatalf("%d %s", status, body)
	}
	_, body = request(t, theBed.app, "GET", path+"/bytes", "", nil)
	_, remote := request(t, theBed.cp, "GET", strings.Replace(path, "default", "app-ns-1", 1)+"/bytes", "", nil)
	if want := strings.Replace(remote, `"name":"bytes","namespace":"app-ns-1"`, `"name":"bytes","namespace":"default"`, 1); body != want {
		t.Fatalf("%s\nis not\n%s", body, want)
	}
	contains(t, body, `"{\"namespace\":\"app-ns-1\", \"\\u0041\":1e2}"`, `"metadata":{"name":"x","namespace":"app-ns-1"}`)
	app(t, "delete", "kc", "bytes")
}

func TestAUserWithoutRightsGetsTheAppClustersAnswer(t *testing.T) {
	file := theBed.path("nobody.kubeconfig")
	must(os.WriteFile(file, []byte(theBed.pki.kubeconfig(fmt.Sprintf("https://localhost:%d", theBed.app.port), "nobody")), 0o600))
	_, err := theBed.try(file, "", "get", "kc")
	if err == nil || !strings.Contains(err.Error(), `User "nobody" cannot list resource "kubernetesclusters"`) {
		t.Fatal(err)
	}
}
