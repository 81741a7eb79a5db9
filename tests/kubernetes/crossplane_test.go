package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// databaseCRDs defines a claim as a platform team offers it. Its composite resource is composed of
// a plain custom resource without a controller, which is ready at once.
const databaseCRDs = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: machines.plain.starter.org}
spec:
  group: plain.starter.org
  scope: Cluster
  names: {plural: machines, singular: machine, kind: Machine, listKind: MachineList}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema: {type: object, properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
---
apiVersion: apiextensions.crossplane.io/v1
kind: CompositeResourceDefinition
metadata: {name: xdatabases.k8s.starter.org}
spec:
  group: k8s.starter.org
  names: {kind: XDatabase, plural: xdatabases}
  claimNames: {kind: Database, plural: databases}
  connectionSecretKeys: [url]
  versions:
  - name: v1alpha1
    served: true
    referenceable: true
    schema:
      openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}, passwordSecretRef: {type: object, properties: {name: {type: string}}}}}}}
---
apiVersion: apiextensions.crossplane.io/v1
kind: Composition
metadata: {name: databases}
spec:
  compositeTypeRef: {apiVersion: k8s.starter.org/v1alpha1, kind: XDatabase}
  writeConnectionSecretsToNamespace: crossplane-system
  mode: Resources
  resources:
  - name: machine
    base: {apiVersion: plain.starter.org/v1, kind: Machine, spec: {}}
    patches:
    - {fromFieldPath: spec.size, toFieldPath: spec.size}
    - {fromFieldPath: spec.passwordSecretRef.name, toFieldPath: spec.password.name}
    - {fromFieldPath: spec.claimRef.namespace, toFieldPath: spec.password.namespace}
    connectionDetails: [{name: url, type: FromValue, value: "https://db.example.com"}]
    readinessChecks: [{type: None}]
`

func databaseClaim(name, policy string) string {
	return fmt.Sprintf(`apiVersion: k8s.starter.org/v1alpha1
kind: Database
metadata: {name: %[1]s, namespace: default}
spec: {size: 1, compositeDeletePolicy: %[2]s, writeConnectionSecretToRef: {name: %[1]s-connection}}
`, name, policy)
}

// withCrossplane starts a real Crossplane on the control plane once.
func withCrossplane(t *testing.T) {
	t.Helper()
	if os.Getenv("TEST_CROSSPLANE_BIN") == "" {
		t.Skip("only with `run crossplane`")
	}
	crossplaneStarted.Do(func() { startCrossplane(t) })
}

var crossplaneStarted sync.Once

func startCrossplane(t *testing.T) {
	t.Helper()
	runCrossplane(t, env.controlPlane)
	kubectl(t, env.controlPlane, databaseCRDs, "apply", "-f", "-")
}

// runCrossplane starts Crossplane on a control plane.
func runCrossplane(t *testing.T, controlPlane *cluster) {
	t.Helper()
	e, bin := env, os.Getenv("TEST_CROSSPLANE_BIN")
	kubectl(t, controlPlane, "", "create", "namespace", "crossplane-system")
	kubectl(t, controlPlane, "", "apply", "--server-side", "-f", os.Getenv("TEST_CROSSPLANE_CRDS"))
	certificates := e.path("crossplane-tls")
	must(os.MkdirAll(certificates, 0o700))
	for to, from := range map[string]string{"tls.crt": "server.crt", "tls.key": "server.key", "ca.crt": "server-ca.crt"} {
		text, err := os.ReadFile(e.path(from))
		must(err)
		must(os.WriteFile(filepath.Join(certificates, to), text, 0o600))
	}
	ports, err := freePorts(2)
	must(err)
	// The environment stops it together with all other processes.
	_, err = e.run(controlPlane.name+"-crossplane", "env", "ENABLE_WEBHOOKS=false", "POD_NAMESPACE=crossplane-system", "KUBECONFIG="+controlPlane.kubeconfig,
		filepath.Join(bin, "crossplane"), "core", "start", "--package-runtime=External", "--xpkg-cache-dir="+e.path(controlPlane.name+"-packages"),
		"--tls-client-certs-dir="+certificates, "--tls-server-certs-dir="+certificates,
		fmt.Sprintf("--metrics-port=%d", ports[0]), fmt.Sprintf("--health-probe-port=%d", ports[1]))
	must(err)
}

// claimField reads a field of a claim through the app cluster.
func claimField(name, path string) (string, error) {
	return env.tryKubectl(env.app.kubeconfig, "", "get", "database", name, "-o", "jsonpath={"+path+"}")
}

func awaitField(t *testing.T, name, path, wanted string) {
	t.Helper()
	await(t, slowDeadline, func() error {
		got, err := claimField(name, path)
		if err == nil && got != wanted {
			err = fmt.Errorf("%s of %s is %q, want %q", path, name, got, wanted)
		}
		return err
	})
}

// createDatabase creates a claim and waits until it is ready. The claim's kind is also new to
// claimgate, so the first attempts can fail.
func createDatabase(t *testing.T, name, policy string) {
	t.Helper()
	await(t, slowDeadline, func() error {
		_, err := env.tryKubectl(env.app.kubeconfig, databaseClaim(name, policy), "apply", "-f", "-")
		return err
	})
	awaitField(t, name, `.status.conditions[?(@.type=="Ready")].status`, "True")
}

// TestCrossplaneClaimLifecycle creates, changes and deletes a claim from the app cluster.
func TestCrossplaneClaimLifecycle(t *testing.T) {
	withCrossplane(t)
	createDatabase(t, "orders", "Background")
	awaitField(t, "orders", `.status.conditions[?(@.type=="Synced")].status`, "True")
	awaitField(t, "orders", ".spec.writeConnectionSecretToRef.name", "orders-connection")
	if published, err := claimField("orders", ".status.connectionDetails.lastPublishedTime"); err != nil || published == "" {
		t.Errorf("there are no connection details: %q, %v", published, err)
	}
	secret := kubectl(t, env.controlPlane, "", "get", "secret", remoteSecretName("default", "orders-connection"), "-n", mapping["default"], "-o", "jsonpath={.data.url}")
	if secret == "" {
		t.Error("the connection Secret is empty")
	}
	if table := kubectl(t, env.app, "", "get", "databases"); !strings.Contains(table, "orders-connection") {
		t.Errorf("the table does not name the connection Secret:\n%s", table)
	}

	composite, err := claimField("orders", ".spec.resourceRef.name")
	must(err)
	machine := func() (string, error) {
		return env.tryKubectl(env.controlPlane.kubeconfig, "", "get", "machines", "-l", "crossplane.io/composite="+composite,
			"-o", "jsonpath={.items[*].spec.size}")
	}
	kubectl(t, env.app, "", "patch", "database", "orders", "--type=merge", "-p", `{"spec":{"size":7}}`)
	await(t, slowDeadline, func() error {
		if size, err := machine(); err != nil || size != "7" {
			return fmt.Errorf("the machine's size is %q: %w", size, err)
		}
		return nil
	})

	// With background deletion, a claim does not wait for its composed resources.
	hold := holdMachine(t, composite)
	kubectl(t, env.app, "", "delete", "database", "orders", "--timeout=60s")
	awaitDeletion(t, hold.machine)
	if left, err := env.tryKubectl(env.app.kubeconfig, "", "get", "databases", "-o", "name"); err != nil || left != "" {
		t.Errorf("the claim still exists: %q, %v", left, err)
	}
	hold.release()
	awaitGone(t, slowDeadline, env.controlPlane, "xdatabase", composite)
	awaitGone(t, slowDeadline, env.controlPlane, "machines", "-l", "crossplane.io/composite="+composite)
}

// heldMachine is the composed resource, with a finalizer.
type heldMachine struct {
	machine string
	release func()
}

func holdMachine(t *testing.T, composite string) heldMachine {
	t.Helper()
	machine := kubectl(t, env.controlPlane, "", "get", "machines", "-l", "crossplane.io/composite="+composite, "-o", "name")
	machine = strings.TrimSpace(machine)
	hold := func(finalizers string) {
		kubectl(t, env.controlPlane, "", "patch", machine, "--type=merge", "-p", `{"metadata":{"finalizers":`+finalizers+`}}`)
	}
	hold(`["plain.starter.org/held"]`)
	return heldMachine{machine, func() { hold("null") }}
}

// awaitDeletion waits until an object on the control plane is being deleted.
func awaitDeletion(t *testing.T, what string) {
	t.Helper()
	await(t, slowDeadline, func() error {
		deleted, err := env.tryKubectl(env.controlPlane.kubeconfig, "", "get", what, "-o", "jsonpath={.metadata.deletionTimestamp}")
		if err == nil && deleted == "" {
			err = fmt.Errorf("%s is not being deleted", what)
		}
		return err
	})
}

// TestCrossplaneForegroundDeletionKeepsClaim checks that a claim stays until all of its composed
// resources are gone.
func TestCrossplaneForegroundDeletionKeepsClaim(t *testing.T) {
	withCrossplane(t)
	createDatabase(t, "invoices", "Foreground")
	composite, err := claimField("invoices", ".spec.resourceRef.name")
	must(err)
	hold := holdMachine(t, composite)
	kubectl(t, env.app, "", "delete", "database", "invoices", "--wait=false")
	awaitDeletion(t, hold.machine)
	if deleted, err := claimField("invoices", ".metadata.deletionTimestamp"); err != nil || deleted == "" {
		t.Errorf("the claim is not being deleted although its machine is: %q, %v", deleted, err)
	}
	hold.release()
	awaitGone(t, slowDeadline, env.app, "database", "invoices")
	awaitGone(t, slowDeadline, env.controlPlane, "xdatabase", composite)
}
