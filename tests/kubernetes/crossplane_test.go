package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// database is a claim as a platform team offers it: its composite resource is composed of a plain
// custom resource, which has no controller and so is ready at once.
const database = `
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
      openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}
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
    patches: [{fromFieldPath: spec.size, toFieldPath: spec.size}]
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

// withCrossplane sees to it that a real Crossplane runs beside the control plane.
func withCrossplane(t *testing.T) {
	t.Helper()
	if os.Getenv("BED_CROSSPLANE_BIN") == "" {
		t.Skip("only by `run crossplane`")
	}
	crossplaneStarted.Do(func() { startCrossplane(t) })
}

var crossplaneStarted sync.Once

func startCrossplane(t *testing.T) {
	t.Helper()
	b, bin := theBed, os.Getenv("BED_CROSSPLANE_BIN")
	kubectl(t, b.cp, "", "create", "namespace", "crossplane-system")
	kubectl(t, b.cp, "", "apply", "--server-side", "-f", os.Getenv("BED_CROSSPLANE_CRDS"))
	certificates := b.path("crossplane-tls")
	must(os.MkdirAll(certificates, 0o700))
	for to, from := range map[string]string{"tls.crt": "server.crt", "tls.key": "server.key", "ca.crt": "server-ca.crt"} {
		text, err := os.ReadFile(b.path(from))
		must(err)
		must(os.WriteFile(filepath.Join(certificates, to), text, 0o600))
	}
	ports, err := freePorts(2)
	must(err)
	// The bed kills it, with all else.
	_, err = b.run("crossplane", "env", "ENABLE_WEBHOOKS=false", "POD_NAMESPACE=crossplane-system", "KUBECONFIG="+b.cp.kubeconfig,
		filepath.Join(bin, "crossplane"), "core", "start", "--package-runtime=External", "--xpkg-cache-dir="+b.path("crossplane-packages"),
		"--tls-client-certs-dir="+certificates, "--tls-server-certs-dir="+certificates,
		fmt.Sprintf("--metrics-port=%d", ports[0]), fmt.Sprintf("--health-probe-port=%d", ports[1]))
	must(err)
	kubectl(t, b.cp, database, "apply", "-f", "-")
}

// field reads one of a claim's fields through the app cluster.
func field(name, path string) (string, error) {
	return theBed.try(theBed.app.kubeconfig, "", "get", "database", name, "-o", "jsonpath={"+path+"}")
}

func awaitField(t *testing.T, name, path, wanted string) {
	t.Helper()
	err := eventually(slowDeadline, func() error {
		got, err := field(name, path)
		if err == nil && got != wanted {
			err = fmt.Errorf("%s of %s is %q instead of %q", path, name, got, wanted)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func awaitGone(t *testing.T, c *cluster, args ...string) {
	t.Helper()
	if err := eventually(slowDeadline, gone(c, args...)); err != nil {
		t.Fatal(err)
	}
}

// What Crossplane is for, from the app cluster: order, see it become ready, change it, delete it.
func TestCrossplane(t *testing.T) {
	withCrossplane(t)
	// The claim's kind is new to claimgate as well.
	err := eventually(slowDeadline, func() error {
		_, err := theBed.try(theBed.app.kubeconfig, databaseClaim("orders", "Background"), "apply", "-f", "-")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ready := `.status.conditions[?(@.type=="Ready")].status`
	awaitField(t, "orders", ready, "True")
	awaitField(t, "orders", `.status.conditions[?(@.type=="Synced")].status`, "True")
	awaitField(t, "orders", ".spec.writeConnectionSecretToRef.name", "orders-connection")
	if published, err := field("orders", ".status.connectionDetails.lastPublishedTime"); err != nil || published == "" {
		t.Errorf("no connection details: %q, %v", published, err)
	}
	secret := kubectl(t, theBed.cp, "", "get", "secret", "orders-connection", "-n", mapping["default"], "-o", "jsonpath={.data.url}")
	if secret == "" {
		t.Error("the connection secret is empty")
	}
	if table := kubectl(t, theBed.app, "", "get", "databases"); !strings.Contains(table, "orders-connection") {
		t.Errorf("the table does not name the connection secret:\n%s", table)
	}

	composite, err := field("orders", ".spec.resourceRef.name")
	must(err)
	machine := func() (string, error) {
		return theBed.try(theBed.cp.kubeconfig, "", "get", "machines", "-l", "crossplane.io/composite="+composite,
			"-o", "jsonpath={.items[*].spec.size}")
	}
	kubectl(t, theBed.app, "", "patch", "database", "orders", "--type=merge", "-p", `{"spec":{"size":7}}`)
	err = eventually(slowDeadline, func() error {
		if size, err := machine(); err != nil || size != "7" {
			return fmt.Errorf("the machine's size is %q: %w", size, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}

	// In the background a claim does not stay for what it was composed of.
	hold := holdMachine(t, composite)
	kubectl(t, theBed.app, "", "delete", "database", "orders", "--timeout=60s")
	awaitDeleted(t, hold.machine)
	if left, err := theBed.try(theBed.app.kubeconfig, "", "get", "databases", "-o", "name"); err != nil || left != "" {
		t.Errorf("the claim is still there: %q, %v", left, err)
	}
	hold.release()
	awaitGone(t, theBed.cp, "xdatabase", composite)
	awaitGone(t, theBed.cp, "machines", "-l", "crossplane.io/composite="+composite)
}

// heldMachine is what a composite resource is composed of, with a finalizer.
type heldMachine struct {
	machine string
	release func()
}

func holdMachine(t *testing.T, composite string) heldMachine {
	t.Helper()
	machine := kubectl(t, theBed.cp, "", "get", "machines", "-l", "crossplane.io/composite="+composite, "-o", "name")
	machine = strings.TrimSpace(machine)
	hold := func(finalizers string) {
		kubectl(t, theBed.cp, "", "patch", machine, "--type=merge", "-p", `{"metadata":{"finalizers":`+finalizers+`}}`)
	}
	hold(`["plain.starter.org/held"]`)
	return heldMachine{machine, func() { hold("null") }}
}

// awaitDeleted waits until something is being deleted on the control plane.
func awaitDeleted(t *testing.T, what string) {
	t.Helper()
	err := eventually(slowDeadline, func() error {
		deleted, err := theBed.try(theBed.cp.kubeconfig, "", "get", what, "-o", "jsonpath={.metadata.deletionTimestamp}")
		if err == nil && deleted == "" {
			err = fmt.Errorf("%s is not being deleted", what)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// In the foreground a claim stays until all that it was composed of is gone.
func TestCrossplaneDeletesInTheForeground(t *testing.T) {
	withCrossplane(t)
	err := eventually(slowDeadline, func() error {
		_, err := theBed.try(theBed.app.kubeconfig, databaseClaim("invoices", "Foreground"), "apply", "-f", "-")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	awaitField(t, "invoices", `.status.conditions[?(@.type=="Ready")].status`, "True")
	composite, err := field("invoices", ".spec.resourceRef.name")
	must(err)
	hold := holdMachine(t, composite)
	kubectl(t, theBed.app, "", "delete", "database", "invoices", "--wait=false")
	awaitDeleted(t, hold.machine)
	if deleted, err := field("invoices", ".metadata.deletionTimestamp"); err != nil || deleted == "" {
		t.Errorf("the claim is not being deleted while its machine is: %q, %v", deleted, err)
	}
	hold.release()
	awaitGone(t, theBed.app, "database", "invoices")
	awaitGone(t, theBed.cp, "xdatabase", composite)
}
