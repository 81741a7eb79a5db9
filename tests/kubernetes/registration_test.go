package kubernetes

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// registrationTime is how long the app cluster may take to know an API that appeared on the control plane.
const registrationTime = 30 * time.Second

// queueCRD is a claim API in a group of its own.
const queueCRD = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]ss.queues.example.org}
spec:
  group: queues.example.org
  scope: Namespaced
  names: {plural: %[1]ss, singular: %[1]s, kind: %[2]s, listKind: %[2]sList, categories: [claim]}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`

const queueRole = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: claimgate-queues}
rules: [{apiGroups: [queues.example.org], resources: ["*"], verbs: ["*"]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: claimgate-queues}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: claimgate-queues}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: claimgate-team-a}]
`

const queueService = "v1.queues.example.org"

// registrar is a claimgate that registers the group queues.example.org.
type registrar struct {
	instance
	process *process
	// what it takes over from others
	adopt string
	// more keys of register
	register string
}

// startRegistrar starts it with the rights of config/rbac/registration.yaml, and with those to read the front proxy from
// the app cluster.
func startRegistrar(t *testing.T, changes ...func(*registrar)) *registrar {
	t.Helper()
	grantAppClusterRights(t, "registration.yaml", "developer")
	grantAppClusterRights(t, "front-proxy.yaml", "developer")
	url := fmt.Sprintf("https://localhost:%d", env.app.port)
	must(os.WriteFile(env.path("registrar-app.kubeconfig"), []byte(env.certificates.kubeconfig(url, "developer")), 0o600))
	ports, err := freePorts(2)
	must(err)
	r := &registrar{instance: newInstance("registrar", "auto")}
	r.port, r.adminPort, r.link = ports[0], ports[1], env.link
	for _, change := range changes {
		change(r)
	}
	r.start(t)
	t.Cleanup(func() {
		r.process.kill()
		// A daemon that ends leaves its APIServices.
		env.tryKubectl(env.app.kubeconfig, "", "delete", "apiservice", queueService, "--ignore-not-found")
	})
	return r
}

func (r *registrar) start(t *testing.T) {
	t.Helper()
	url := fmt.Sprintf("https://localhost:%d", r.link.port)
	must(os.WriteFile(env.path("registrar.kubeconfig"), []byte(env.certificates.kubeconfig(url, "connector")), 0o600))
	config := strings.NewReplacer(
		"k8s.starter.org", "queues.example.org",
		"requestHeader: {clientCa: front-proxy-ca.crt}", "requestHeader: {fromCluster: true}",
		"key: claimgate.key", "key: claimgate.key, certificateAuthority: server-ca.crt",
	).Replace(r.config("registrar.kubeconfig")) + fmt.Sprintf(`appCluster: {kubeconfig: registrar-app.kubeconfig}
register: {service: {port: %d}, clusterRole: claimgate, adopt: [%s]%s}
`, r.port, r.adopt, r.register)
	must(os.WriteFile(env.path("registrar.yaml"), []byte(config), 0o600))
	process, err := env.run("registrar", os.Getenv("TEST_BINARY"), "serve", "--config", env.path("registrar.yaml"))
	must(err)
	r.process = process
}

// awaitResource waits until the app cluster's discovery has the resource or lacks it.
func awaitResource(t *testing.T, resource string, exists bool) {
	t.Helper()
	begin := time.Now()
	await(t, registrationTime, func() error {
		out, err := env.tryKubectl(env.app.kubeconfig, "", "api-resources", "--api-group=queues.example.org", "--cached=false", "-o", "name")
		if err == nil && strings.Contains(out, resource+".queues") != exists {
			err = fmt.Errorf("the app cluster lists %q", out)
		}
		return err
	})
	t.Logf("%s: %t after %s", resource, exists, time.Since(begin).Round(time.Second))
}

// fieldOfQueueService returns a field of the APIService.
func fieldOfQueueService(t *testing.T, path string) string {
	t.Helper()
	return kubectl(t, env.app, "", "get", "apiservice", queueService, "-o", "jsonpath={"+path+"}")
}

func TestAPIServicesFollowTheControlPlane(t *testing.T) {
	r := startRegistrar(t)
	kubectl(t, env.controlPlane, queueRole, "apply", "-f", "-")
	queues, topics := fmt.Sprintf(queueCRD, "queue", "Queue"), fmt.Sprintf(queueCRD, "topic", "Topic")
	t.Cleanup(func() {
		env.tryKubectl(env.controlPlane.kubeconfig, queueRole+"---\n"+queues+"---\n"+topics, "delete", "--ignore-not-found", "-f", "-")
		env.tryKubectl(env.app.kubeconfig, "", "delete", "apiservice", queueService, "--ignore-not-found")
	})

	kubectl(t, env.controlPlane, queues, "apply", "-f", "-")
	awaitResource(t, "queues", true)
	kubectl(t, env.app, "{apiVersion: queues.example.org/v1, kind: Queue, metadata: {name: orders, namespace: default}}", "create", "-f", "-")
	if got := kubectl(t, env.app, "", "get", "queues", "-o", "name"); !strings.Contains(got, "orders") {
		t.Errorf("the app cluster has no queue: %s", got)
	}
	if owner := fieldOfQueueService(t, ".metadata.ownerReferences[*].name"); owner != "claimgate" {
		t.Errorf("the owner of the APIService is %q", owner)
	}

	// A kind that appears changes the APIService, so that Argo CD looks for it.
	before := fieldOfQueueService(t, ".metadata.resourceVersion")
	offer := fieldOfQueueService(t, `.metadata.annotations.claimgate\.dev/offer`)
	kubectl(t, env.controlPlane, topics, "apply", "-f", "-")
	awaitResource(t, "topics", true)
	await(t, registrationTime, func() error {
		if got := fieldOfQueueService(t, `.metadata.annotations.claimgate\.dev/offer`); got == offer {
			return fmt.Errorf("the offer is still %s", got)
		}
		return nil
	})
	if got := fieldOfQueueService(t, ".metadata.resourceVersion"); got == before {
		t.Error("the APIService was not changed")
	}

	// It survives the daemon, and its deletion.
	if _, err := r.process.terminate(slowDeadline); err != nil {
		t.Fatal(err)
	}
	fieldOfQueueService(t, ".metadata.uid")
	if holder := kubectl(t, env.app, "", "get", "lease", "-n", "claimgate-system", "claimgate-registration", "-o", "jsonpath={.spec.holderIdentity}"); holder != "" {
		t.Errorf("%q still holds the Lease", holder)
	}
	r.start(t)
	kubectl(t, env.app, "", "delete", "apiservice", queueService)
	await(t, 2*registrationTime, func() error {
		_, err := env.tryKubectl(env.app.kubeconfig, "", "get", "apiservice", queueService)
		return err
	})

	kubectl(t, env.app, "", "delete", "queue", "orders")
	kubectl(t, env.controlPlane, "", "delete", "crd", "queues.queues.example.org", "topics.queues.example.org")
	await(t, 2*registrationTime, func() error {
		out, err := env.tryKubectl(env.app.kubeconfig, "", "get", "apiservice", queueService, "--ignore-not-found", "-o", "name")
		if err == nil && out != "" {
			err = fmt.Errorf("%s still exists", out)
		}
		return err
	})
}

// TestForeignVersionsAreReportedAndAdopted checks a group-version that a CRD of the app cluster already serves.
func TestForeignVersionsAreReportedAndAdopted(t *testing.T) {
	queues := fmt.Sprintf(queueCRD, "queue", "Queue")
	t.Cleanup(func() {
		for _, c := range []*cluster{env.app, env.controlPlane} {
			env.tryKubectl(c.kubeconfig, queueRole+"---\n"+queues, "delete", "--ignore-not-found", "-f", "-")
		}
		env.tryKubectl(env.app.kubeconfig, "", "delete", "apiservice", queueService, "--ignore-not-found")
	})
	kubectl(t, env.controlPlane, queueRole+"---\n"+queues, "apply", "-f", "-")
	kubectl(t, env.app, queues, "apply", "-f", "-")
	awaitSuccess(t, env.app, queue("local"), "apply", "-f", "-")

	r := startRegistrar(t)
	const problem = "v1 is not registered: a CRD of the app cluster serves it; remove it there, or add it to register.adopt"
	await(t, registrationTime, func() error {
		response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz?verbose", r.adminPort))
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		status, text := response.StatusCode, string(body)
		if err == nil && (status != 200 || !strings.Contains(text, "[!]queues.example.org/"+problem)) {
			err = fmt.Errorf("/readyz?verbose returned %d:\n%s", status, text)
		}
		return err
	})
	events := kubectl(t, env.app, "", "get", "events", "-n", "default", "--field-selector", "involvedObject.name="+queueService, "-o", "jsonpath={.items[*].message}")
	if !strings.Contains(events, problem) {
		t.Errorf("the events of the APIService are %q", events)
	}
	if label := fieldOfQueueService(t, `.metadata.labels.kube-aggregator\.kubernetes\.io/automanaged`); label == "" {
		t.Error("the APIService of the CRD was changed")
	}

	adopt := func(list string) {
		t.Helper()
		if _, err := r.process.terminate(slowDeadline); err != nil {
			t.Fatal(err)
		}
		r.adopt = list
		r.start(t)
	}
	adopt("queues.example.org/v1")
	await(t, registrationTime, func() error {
		if service := fieldOfQueueService(t, ".spec.service.name"); service != "claimgate" {
			return fmt.Errorf("the APIService leads to %q", service)
		}
		return nil
	})
	if label := fieldOfQueueService(t, `.metadata.labels.kube-aggregator\.kubernetes\.io/automanaged`); label != "" {
		t.Errorf("the label automanaged is still %q", label)
	}
	await(t, registrationTime, func() error {
		names, err := env.tryKubectl(env.app.kubeconfig, "", "get", "queues", "-o", "name")
		if err == nil && strings.Contains(names, "local") {
			err = fmt.Errorf("the app cluster's own queue is visible")
		}
		return err
	})
	log, err := os.ReadFile(r.process.log)
	must(err)
	if !strings.Contains(string(log), "clients no longer reach the objects") || !strings.Contains(string(log), `"queues"`) {
		t.Error("the log does not name the hidden resources")
	}

	adopt("")
	await(t, 2*registrationTime, func() error {
		names, err := env.tryKubectl(env.app.kubeconfig, "", "get", "queues", "-o", "name")
		if err == nil && !strings.Contains(names, "local") {
			err = fmt.Errorf("the app cluster's own queue has not returned: %q", names)
		}
		return err
	})
}
