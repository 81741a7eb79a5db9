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

// assertSameOutput runs a command in the app cluster and, with the remote namespace, on the control
// plane. It compares the output. In the shared mapping, names differ too, so only the differential
// suite compares them.
func assertSameOutput(t *testing.T, name string, args ...string) {
	t.Helper()
	local := append([]string{"-n", "default"}, args...)
	if isShared() {
		assertNoLeaks(t, inAppCluster(t, local...))
		return
	}
	remote := append([]string{"-n", mapping["default"]}, args...)
	a, c := scrubOutput(inAppCluster(t, local...)), scrubOutput(onControlPlane(t, remote...))
	if a != c {
		t.Fatalf("%s: in the app cluster\n%s\non the control plane\n%s", name, a, c)
	}
}

var scrubPattern = regexp.MustCompile(`app-ns-1\b|[0-9]+m?s\b|"?resourceVersion"?: "?[0-9]+"?`)

func scrubOutput(text string) string {
	return scrubPattern.ReplaceAllStringFunc(text, func(found string) string {
		if found == "app-ns-1" {
			return "default"
		}
		return "-"
	})
}

func TestAPIResourcesAndExplainMatchControlPlane(t *testing.T) {
	wide := []string{"api-resources", "--api-group", "k8s.starter.org", "-o", "wide"}
	local, remote := inAppCluster(t, wide...), onControlPlane(t, wide...)
	if strings.Contains(local, "composites") {
		t.Fatalf("a resource that is not a claim is exposed:\n%s", local)
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
		t.Fatalf("app cluster lists %q, control plane %q", line(local), line(remote))
	}
	// The aggregator refreshes OpenAPI once a minute.
	var explained string
	await(t, 90*time.Second, func() (err error) {
		explained, err = env.tryKubectl(env.app.kubeconfig, "", "explain", "kc.spec", "--recursive")
		return err
	})
	if want := onControlPlane(t, "explain", "kc.spec", "--recursive"); explained != want {
		t.Fatalf("app cluster explains\n%s\ncontrol plane explains\n%s", explained, want)
	}
}

func TestKubectlVerbsWork(t *testing.T) {
	const name = "verbs"
	file := env.path("verbs.yaml")
	must(os.WriteFile(file, []byte(claim("default", name)), 0o600))
	inAppCluster(t, "apply", "-f", file)
	t.Cleanup(func() { env.tryKubectl(env.app.kubeconfig, "", "delete", "kc", name, "--ignore-not-found") })
	for _, output := range []string{"", "wide", "yaml", "json", "name"} {
		assertSameOutput(t, "get -o "+output, "get", "kc", name, "-o", output)
		assertSameOutput(t, "list -o "+output, "get", "kc", "-o", output)
	}
	assertContains(t, inAppCluster(t, "get", "kc", "-A"), "default", name)
	assertSameOutput(t, "describe", "describe", "kc", name)
	assertContains(t, inAppCluster(t, "apply", "-f", file), "unchanged")

	inAppCluster(t, "patch", "kc", name, "--type=merge", "-p", `{"spec":{"nodeCount":4}}`)
	inAppCluster(t, "patch", "kc", name, "--type=json", "-p",
		`[{"op":"test","path":"/metadata/namespace","value":"default"},{"op":"replace","path":"/spec/region","value":"us"}]`)
	inAppCluster(t, "label", "kc", name, "color=blue")
	inAppCluster(t, "annotate", "kc", name, `note={"namespace":"default"}`)
	inAppCluster(t, "scale", "kc", name, "--replicas=5")
	assertSameOutput(t, "after patches", "get", "kc", name, "-o", "yaml")
	assertContains(t, inAppCluster(t, "get", "kc", name, "-o", "jsonpath={.spec}{.metadata.labels}"), `"nodeCount":5`, `"us"`, "blue")
	assertContains(t, inAppCluster(t, "get", "kc", "-l", "color=blue", "-o", "name"), name)
	assertContains(t, inAppCluster(t, "get", "kc", "--field-selector", "metadata.namespace=default", "-A", "-o", "name"), name)

	must(os.WriteFile(env.path("editor"), []byte("#!/bin/sh\nsed -i 's/region: us/region: asia/' \"$1\"\n"), 0o755))
	inAppCluster(t, "edit", "kc", name)
	assertContains(t, onControlPlane(t, "get", "kc", "-n", mapping["default"], remoteName("default", name), "-o", "yaml"), "region: asia")

	out, err := env.tryKubectl(env.app.kubeconfig, claim("default", name), "diff", "-f", "-")
	if err == nil || !strings.Contains(out, "region") {
		t.Fatalf("diff: %v %s", err, out)
	}
	assertNoLeaks(t, out)
	replaced := strings.Replace(inAppCluster(t, "get", "kc", name, "-o", "yaml"), "region: asia", "region: mars", 1)
	kubectl(t, env.app, replaced, "replace", "-f", "-")
	assertContains(t, inAppCluster(t, "get", "kc", name, "-o", "yaml"), "region: mars")

	assertContains(t, kubectl(t, env.app, claim("default", "dry"), "create", "--dry-run=server", "-f", "-"), "server dry run")
	if _, err := env.tryKubectl(env.app.kubeconfig, "", "get", "kc", "dry"); err == nil {
		t.Fatal("a dry run created a claim")
	}
}

func TestKubectlWaitSeesStatus(t *testing.T) {
	kubectl(t, env.app, claim("default", "waits"), "create", "-f", "-")
	done := make(chan error, 1)
	go func() {
		_, err := env.tryKubectl(env.app.kubeconfig, "", "wait", "--for=condition=Ready", "--timeout=30s", "kc/waits")
		done <- err
	}()
	onControlPlane(t, "-n", mapping["default"], "patch", "kc", remoteName("default", "waits"), "--subresource=status", "--type=merge", "-p",
		`{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	assertSameOutput(t, "status", "get", "kc", "waits", "--subresource=status", "-o", "yaml")
	inAppCluster(t, "delete", "kc", "waits")
}

func TestServerSideApplyAfterClientSideApply(t *testing.T) {
	text := claim("default", "ssa")
	kubectl(t, env.app, text, "apply", "-f", "-")
	kubectl(t, env.app, text, "apply", "--server-side", "-f", "-")
	kubectl(t, env.app, text, "apply", "--server-side", "-f", "-")
	annotation := inAppCluster(t, "get", "kc", "ssa", "-o", "jsonpath={.metadata.annotations}")
	assertContains(t, annotation, `\"namespace\":\"default\"`)
	assertNoLeaks(t, annotation)
	inAppCluster(t, "delete", "kc", "ssa")
}

// The claims own nothing, but the collectors must still look at them.
func TestKubectlDeleteWithEachCascadeMode(t *testing.T) {
	awaitCollectorWatch(t)
	for _, cascade := range []string{"background", "foreground", "orphan"} {
		name := "cascade-" + cascade
		kubectl(t, env.app, claim("default", name), "create", "-f", "-")
		inAppCluster(t, "delete", "kc", name, "--cascade="+cascade, "--timeout=30s")
		if _, err := env.tryKubectl(env.controlPlane.kubeconfig, "", "get", "kc", "-n", mapping["default"], remoteName("default", name)); err == nil {
			t.Fatalf("%s still exists", name)
		}
	}
}

func TestUnknownFieldErrorMatchesControlPlane(t *testing.T) {
	bad := func(ns string) string {
		return strings.Replace(claim(ns, "bad"), "nodeCount", "nodeCoun", 1)
	}
	_, local := env.tryKubectl(env.app.kubeconfig, bad("default"), "create", "-f", "-")
	_, remote := env.tryKubectl(env.controlPlane.kubeconfig, bad(mapping["default"]), "create", "-f", "-")
	if local == nil || remote == nil {
		t.Fatal("an unknown field was accepted")
	}
	message := func(err error) string { return err.Error()[strings.Index(err.Error(), "Error from"):] }
	if message(local) != message(remote) {
		t.Fatalf("app cluster returned\n%s\ncontrol plane returned\n%s", local, remote)
	}
}

func TestWatchShowsChangesMadeOnTheControlPlane(t *testing.T) {
	events := watch(t, env.app, "default")
	file, begin := writeStoredClaim("default", "seen"), time.Now()
	onControlPlane(t, "apply", "-f", file)
	for {
		select {
		case event := <-events:
			if event.name() == "seen" {
				if event.namespace() != "default" {
					t.Fatalf("namespace is %q", event.namespace())
				}
				t.Logf("event after %s", time.Since(begin))
				onControlPlane(t, "delete", "kc", "-n", mapping["default"], remoteName("default", "seen"))
				return
			}
		case <-time.After(3 * time.Second):
			t.Fatal("no event within 3 s")
		}
	}
}

func TestForeignClaimsAreNeverReturned(t *testing.T) {
	kubectl(t, env.app, claim("default", "mine"), "apply", "-f", "-")
	kubectl(t, env.app, claim("team-a", "mine-too"), "apply", "-f", "-")
	base := "/apis/" + groupVersion + "/kubernetesclusters"
	for _, query := range []string{
		"", "?limit=1", "?limit=2", "?labelSelector=", "?fieldSelector=metadata.name%3Dstranger",
		"?fieldSelector=metadata.namespace%3Dapp-ns-9-other", "?fieldSelector=metadata.namespace!%3Ddefault",
		"?fieldSelector=metadata.namespace%3D" + mapping["default"], "?resourceVersion=0",
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
				assertNoForeignClaims(t, path, accept)
			}
		}
	}
	for _, ns := range append(foreignNamespaces, mapping["default"], mapping["team-a"]) {
		if _, err := env.tryKubectl(env.app.kubeconfig, "", "get", "kc", "-n", ns, "stranger"); err == nil {
			t.Fatalf("%s/stranger was returned", ns)
		}
		out := inAppCluster(t, "get", "kc", "-n", ns, "-o", "json")
		assertLacks(t, out, "stranger", "mine")
	}
}

// assertNoForeignClaims reads all pages of a list and checks each.
func assertNoForeignClaims(t *testing.T, path, accept string) {
	t.Helper()
	token := ""
	for range 20 {
		url := path
		if token != "" {
			url += map[bool]string{true: "&", false: "?"}[strings.Contains(url, "?")] + "continue=" + token
		}
		status, body := sendAsAdmin(t, env.app, "GET", url, "", map[string]string{"Accept": accept})
		if status != 200 {
			t.Fatalf("%s: status %d: %s", url, status, body)
		}
		assertLacks(t, body, "stranger", "-ns-", "remainingItemCount")
		assertNoLeaks(t, body)
		var list struct{ Metadata struct{ Continue string } }
		must(json.Unmarshal([]byte(body), &list))
		if token = list.Metadata.Continue; token == "" {
			return
		}
		assertLacks(t, decodeToken(token), "-ns-", "other")
	}
	t.Fatalf("%s does not end after 20 pages", path)
}

func TestUserDataIsReturnedUnchanged(t *testing.T) {
	remoteNamespace := mapping["default"]
	inRemote := func(text string) string { return strings.ReplaceAll(text, "{ns}", remoteNamespace) }
	object := inRemote(`{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{"annotations":{"mine":"{\"namespace\":\"{ns}\", \"\\u0041\":1e2}"},"name":"bytes","namespace":"default"},"spec":{"notes":"in {ns}","parameters":{"big":12345678901234567890,"metadata":{"namespace":"{ns}"}},"template":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","namespace":"{ns}"}}}}`)
	status, body := sendAsAdmin(t, env.app, "POST", claimsPath, object, map[string]string{"Content-Type": "application/json"})
	if status != 201 {
		t.Fatalf("status %d: %s", status, body)
	}
	_, body = sendAsAdmin(t, env.app, "GET", claimsPath+"/bytes", "", nil)
	stored := strings.Replace(claimsPath, "default", remoteNamespace, 1) + "/" + remoteName("default", "bytes")
	_, remote := sendAsAdmin(t, env.controlPlane, "GET", stored, "", nil)
	// Own labels and annotations are in the metadata only.
	want, got := remote[strings.Index(remote, `"spec":`):], body[strings.Index(body, `"spec":`):]
	if !isShared() {
		want, got = strings.Replace(remote, `"name":"bytes","namespace":"`+remoteNamespace+`"`, `"name":"bytes","namespace":"default"`, 1), body
	}
	if got != want {
		t.Fatalf("returned\n%s\nwant\n%s", got, want)
	}
	assertContains(t, body, inRemote(`"{\"namespace\":\"{ns}\", \"\\u0041\":1e2}"`), inRemote(`"metadata":{"name":"x","namespace":"{ns}"}`))
	inAppCluster(t, "delete", "kc", "bytes")
}

func TestUserWithoutRightsGetsAppClusterError(t *testing.T) {
	file := env.path("nobody.kubeconfig")
	must(os.WriteFile(file, []byte(env.certificates.kubeconfig(fmt.Sprintf("https://localhost:%d", env.app.port), "nobody")), 0o600))
	_, err := env.tryKubectl(file, "", "get", "kc")
	if err == nil || !strings.Contains(err.Error(), `User "nobody" cannot list resource "kubernetesclusters"`) {
		t.Fatal(err)
	}
}
