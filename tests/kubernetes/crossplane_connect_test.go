package kubernetes

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// clusterAPI is the claim API of the documentation.
const clusterAPI = `
apiVersion: apiextensions.crossplane.io/v1
kind: CompositeResourceDefinition
metadata: {name: xkubernetesclusters.k8s.starter.org}
spec:
  group: k8s.starter.org
  names: {kind: XKubernetesCluster, plural: xkubernetesclusters}
  claimNames: {kind: KubernetesCluster, plural: kubernetesclusters}
  connectionSecretKeys: [url]
  versions:
  - name: v1alpha1
    served: true
    referenceable: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {id: {type: string}, parameters: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
---
apiVersion: apiextensions.crossplane.io/v1
kind: Composition
metadata: {name: kubernetesclusters}
spec:
  compositeTypeRef: {apiVersion: k8s.starter.org/v1alpha1, kind: XKubernetesCluster}
  writeConnectionSecretsToNamespace: crossplane-system
  mode: Resources
  resources:
  - name: machine
    base: {apiVersion: plain.starter.org/v1, kind: Machine, spec: {}}
    connectionDetails: [{name: url, type: FromValue, value: "https://my-cluster.example.org"}]
    readinessChecks: [{type: None}]
`

const clusterClaim = `
apiVersion: k8s.starter.org/v1alpha1
kind: KubernetesCluster
metadata: {name: my-cluster, namespace: default}
spec:
  id: my-cluster
  parameters:
    nodes: {count: 3, size: small}
    services: {operators: {prometheus: {version: "34.5.1"}}}
  writeConnectionSecretToRef: {name: my-cluster-kubeconfig}
`

// startEmptyCluster starts a cluster beside those of the environment. The functions change it first.
func startEmptyCluster(t *testing.T, name, bin string, changes ...func(*cluster)) *cluster {
	t.Helper()
	ports, err := freePorts(1)
	must(err)
	c := env.newCluster(name, bin, ports[0], env.app.args[1])
	for _, change := range changes {
		change(c)
	}
	must(env.startServer(c))
	t.Cleanup(c.server.kill)
	must(env.waitReady(c))
	must(env.startControllers(c))
	t.Cleanup(c.controllers.kill)
	await(t, slowDeadline, func() error {
		_, err := env.tryKubectl(c.kubeconfig, "", "get", "namespaces", "default", "kube-system")
		return err
	})
	return c
}

// TestCrossplaneConnectFromACleanState follows the documentation from two empty clusters to a claim that is ready, and
// back.
func TestCrossplaneConnectFromACleanState(t *testing.T) {
	if os.Getenv("TEST_CROSSPLANE_BIN") == "" {
		t.Skip("only with `run crossplane`")
	}
	app := startEmptyCluster(t, "second-app", os.Getenv("TEST_APP_BIN"))
	platform := startEmptyCluster(t, "second-platform", os.Getenv("TEST_CONTROL_PLANE_BIN"))
	runCrossplane(t, platform)
	machines, databases, _ := strings.Cut(databaseCRDs, "---")
	kubectl(t, platform, machines+"---"+clusterAPI, "apply", "-f", "-")
	awaitSuccess(t, platform, "", "get", "kubernetesclusters", "-A")
	appBefore, platformBefore := objectNames(t, app), objectNames(t, platform)

	begin := time.Now()
	c := newConnectionOf(t, app, platform)
	start := func() *process {
		return c.run(t, "--serve", "--port", fmt.Sprint(c.port), "--dir", c.dir, "--secrets", "all")
	}
	daemon := start()
	awaitSuccess(t, app, clusterClaim, "apply", "-f", "-")
	t.Logf("the first claim could be ordered %s after connect", time.Since(begin).Round(time.Second))
	awaitReady(t, app, "kubernetescluster/my-cluster")
	if table := kubectl(t, app, "", "get", "kubernetesclusters"); !strings.Contains(table, "my-cluster-kubeconfig") {
		t.Errorf("the table does not name the connection Secret:\n%s", table)
	}
	awaitURL := func(within time.Duration, url string) {
		t.Helper()
		begin := time.Now()
		await(t, within, func() error {
			got, err := env.tryKubectl(app.kubeconfig, "", "get", "secret", "my-cluster-kubeconfig", "-o", "go-template={{base64decode .data.url}}")
			if err == nil && got != url {
				err = fmt.Errorf("the connection Secret has the URL %q", got)
			}
			return err
		})
		t.Logf("the connection Secret has the URL %s after %s", url, time.Since(begin).Round(10*time.Millisecond))
	}
	awaitURL(5*time.Second, "https://my-cluster.example.org")
	kubectl(t, platform, "", "patch", "composition", "kubernetesclusters", "--type=json", "-p", `[{"op":"replace","path":"/spec/resources/0/connectionDetails/0/value","value":"https://rotated.example.org"}]`)
	awaitURL(slowDeadline, "https://rotated.example.org")

	// A second claim API works without another command.
	kubectl(t, platform, databases, "apply", "-f", "-")
	awaitSuccess(t, platform, "", "get", "databases", "-A")
	begin = time.Now()
	awaitWithin(t, registrationTime, app, databaseClaim("orders", "Background"), "apply", "-f", "-")
	t.Logf("a claim of the second API could be ordered %s after it was offered", time.Since(begin).Round(time.Second))
	awaitReady(t, app, "database/orders")

	daemon.kill()
	if _, err := env.tryKubectl(app.kubeconfig, "", "get", "kubernetesclusters"); err == nil {
		t.Error("claims are served without the daemon")
	}
	daemon = start()
	awaitReady(t, app, "kubernetescluster/my-cluster")
	awaitURL(5*time.Second, "https://rotated.example.org")
	kubectl(t, app, "", "delete", "database", "orders", "--timeout=60s")

	if out, err := c.disconnect("--claims", "delete"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := daemon.terminate(slowDeadline); err != nil {
		t.Fatal(err)
	}
	await(t, slowDeadline, func() error {
		left, err := env.tryKubectl(platform.kubeconfig, "", "get", "machines,xkubernetesclusters,xdatabases,kubernetesclusters,databases", "-A", "-o", "name")
		if err == nil && left != "" {
			err = fmt.Errorf("the control plane still has %s", left)
		}
		return err
	})
	awaitObjectNames(t, app, appBefore)
	awaitObjectNames(t, platform, platformBefore)
}

// awaitSuccess repeats a command of kubectl until it succeeds.
func awaitSuccess(t *testing.T, c *cluster, stdin string, args ...string) {
	t.Helper()
	awaitWithin(t, slowDeadline, c, stdin, args...)
}

func awaitWithin(t *testing.T, within time.Duration, c *cluster, stdin string, args ...string) {
	t.Helper()
	await(t, within, func() error {
		_, err := env.tryKubectl(c.kubeconfig, stdin, args...)
		return err
	})
}

func awaitReady(t *testing.T, c *cluster, claim string) {
	t.Helper()
	await(t, slowDeadline, func() error {
		ready, err := env.tryKubectl(c.kubeconfig, "", "get", claim, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
		if err == nil && ready != "True" {
			err = fmt.Errorf("%s: Ready is %q", claim, ready)
		}
		return err
	})
}
