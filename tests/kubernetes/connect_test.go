package kubernetes

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// connection runs the commands connect and disconnect for one app cluster.
type connection struct {
	kubeconfig, dir string
	arguments       []string
	port            int
}

func newConnection(t *testing.T) connection {
	t.Helper()
	c := newConnectionOf(t, env.app, env.controlPlane)
	c.arguments = append(c.arguments, "connected", "--apis", "queues.example.org")
	return c
}

// newConnectionOverLink returns one with a link to the control plane that the test can break.
func newConnectionOverLink(t *testing.T) (connection, *link) {
	t.Helper()
	own, err := newLink(fmt.Sprintf("127.0.0.1:%d", env.controlPlane.port))
	must(err)
	platform := *env.controlPlane
	platform.port = own.port
	c := newConnectionOf(t, env.app, &platform)
	c.arguments = append(c.arguments, "connected", "--apis", "queues.example.org")
	return c, own
}

// newConnectionOf returns one with the default namespace and groups.
func newConnectionOf(t *testing.T, app, controlPlane *cluster) connection {
	t.Helper()
	kubeconfig := env.path(app.name + "-connect.kubeconfig")
	text := "apiVersion: v1\nkind: Config\n"
	contexts, clusters, users := "contexts:\n", "clusters:\n", "users:\n"
	for name, c := range map[string]*cluster{"app": app, "platform": controlPlane} {
		one := env.certificates.kubeconfig(fmt.Sprintf("https://localhost:%d", c.port), "admin")
		for _, line := range strings.Split(one, "\n") {
			key, list, _ := strings.Cut(line, ": ")
			item := "- " + strings.ReplaceAll(strings.Trim(list, "[]"), ": it", ": "+name) + "\n"
			switch key {
			case "contexts":
				contexts += item
			case "clusters":
				clusters += item
			case "users":
				users += item
			}
		}
	}
	must(os.WriteFile(kubeconfig, []byte(text+contexts+clusters+users), 0o600))
	ports, err := freePorts(1)
	must(err)
	return connection{
		kubeconfig: kubeconfig,
		dir:        env.path(app.name + "-connect"),
		port:       ports[0],
		arguments:  []string{"--context", "app", "--name", "app-one", "--system-namespace", "connected-system", "--yes", "platform"},
	}
}

func (c connection) start(t *testing.T) *process {
	t.Helper()
	return c.run(t, "--serve", "--port", fmt.Sprint(c.port), "--dir", c.dir)
}

// run runs connect with more arguments.
func (c connection) run(t *testing.T, more ...string) *process {
	t.Helper()
	args := append([]string{"KUBECONFIG=" + c.kubeconfig, os.Getenv("TEST_BINARY"), "connect"}, append(slices.Clone(c.arguments), more...)...)
	process, err := env.run("connect-"+strings.ReplaceAll(t.Name(), "/", "-"), "env", args...)
	must(err)
	t.Cleanup(process.kill)
	return process
}

func (c connection) disconnect(more ...string) (string, error) {
	cmd := exec.Command(os.Getenv("TEST_BINARY"), append([]string{"disconnect"}, append(slices.Clone(c.arguments), more...)...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// objectNames returns the names of all objects that connect could create or leave behind.
func objectNames(t *testing.T, c *cluster) []string {
	t.Helper()
	kinds := "namespaces,services,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,leases,apiservices,secrets,configmaps,deployments,poddisruptionbudgets"
	out := kubectl(t, c, "", "get", kinds, "-A", "--no-headers", "-o",
		`jsonpath={range .items[*]}{.metadata.deletionTimestamp}{"|"}{.kind}{" "}{.metadata.namespace}{"/"}{.metadata.name}{"\n"}{end}`)
	var names []string
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		// What an earlier test deleted may still be there.
		if deleted, name, _ := strings.Cut(line, "|"); deleted == "" {
			names = append(names, name)
		}
	}
	return names
}

func awaitObjectNames(t *testing.T, c *cluster, before []string) {
	t.Helper()
	await(t, slowDeadline, func() error {
		after := objectNames(t, c)
		for _, name := range after {
			if !slices.Contains(before, name) {
				return fmt.Errorf("%s: %s was left behind", c.name, name)
			}
		}
		for _, name := range before {
			if !slices.Contains(after, name) {
				return fmt.Errorf("%s: %s is gone", c.name, name)
			}
		}
		return nil
	})
}

func TestConnectAndDisconnect(t *testing.T) {
	createQueueAPI(t)
	app, platform := objectNames(t, env.app), objectNames(t, env.controlPlane)

	c := newConnection(t)
	daemon := c.start(t)
	awaitResource(t, "queues", true)
	await(t, slowDeadline, func() error {
		_, err := env.tryKubectl(env.app.kubeconfig, queue("orders"), "apply", "-f", "-")
		return err
	})
	stored := kubectl(t, env.controlPlane, "", "get", "queues", "-n", "connected", "-o", "name")
	if !strings.Contains(stored, "/orders-") {
		t.Errorf("the control plane stores %q", stored)
	}

	if _, err := os.Stat(c.dir + "/tls.key"); err == nil {
		t.Error("connect wrote a private key to a file")
	}

	// The daemon may be killed, and the command repeated.
	daemon.kill()
	daemon = c.start(t)
	await(t, slowDeadline, func() error {
		out, err := env.tryKubectl(env.app.kubeconfig, "", "get", "queues", "-o", "name")
		if err == nil && !strings.Contains(out, "/orders") {
			err = fmt.Errorf("the app cluster has %q", out)
		}
		return err
	})

	// disconnect deletes no claims unless --claims says so.
	out, err := c.disconnect()
	if err == nil || !strings.Contains(out, "1 claims of this app cluster exist") {
		t.Errorf("disconnect with a claim: %v\n%s", err, out)
	}
	if _, err := daemon.terminate(slowDeadline); err != nil {
		t.Fatal(err)
	}
	// While another app cluster uses the namespace, it stays.
	const other = "cluster-id.claimgate.dev/app-two"
	kubectl(t, env.controlPlane, "", "annotate", "namespace", "connected", other+"=id")
	if out, err := c.disconnect("--claims", "delete"); err != nil || !strings.Contains(out, "other app clusters use it") {
		t.Fatalf("%v\n%s", err, out)
	}
	kubectl(t, env.controlPlane, "", "annotate", "namespace", "connected", other+"-")
	if out, err := c.disconnect(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if left, err := env.tryKubectl(env.app.kubeconfig, "", "get", "namespace", "connected-system"); err == nil {
		t.Errorf("disconnect has not waited until its objects were gone: %s", left)
	}
	awaitObjectNames(t, env.app, app)
	awaitObjectNames(t, env.controlPlane, platform)
}

// TestConnectWithATable gives each local namespace a remote one.
func TestConnectWithATable(t *testing.T) {
	createQueueAPI(t)
	app, platform := objectNames(t, env.app), objectNames(t, env.controlPlane)
	c := newConnectionOf(t, env.app, env.controlPlane)
	c.arguments = append(c.arguments, "--apis", "queues.example.org", "--map", "default=connected-1,team-a=connected-2")
	daemon := c.start(t)
	awaitResource(t, "queues", true)
	for _, namespace := range []string{"default", "team-a"} {
		awaitSuccess(t, env.app, strings.Replace(queue("orders"), "default", namespace, 1), "apply", "-f", "-")
	}
	stored := kubectl(t, env.controlPlane, "", "get", "queues", "-A", "-o", `jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {end}`)
	if stored != "connected-1/orders connected-2/orders " {
		t.Errorf("the control plane stores %q", stored)
	}
	if all := kubectl(t, env.app, "", "get", "queues", "-A", "-o", "name"); strings.Count(all, "orders") != 2 {
		t.Errorf("the app cluster has %q", all)
	}
	if out, err := c.disconnect(); err == nil || !strings.Contains(out, "2 claims of this app cluster exist") {
		t.Errorf("disconnect with claims: %v\n%s", err, out)
	}
	// Claims of other app clusters in the same namespace have no mark either.
	const other = "cluster-id.claimgate.dev/app-two"
	kubectl(t, env.controlPlane, "", "annotate", "namespace", "connected-2", other+"=id")
	out, err := c.disconnect("--claims", "delete")
	if err == nil || !strings.Contains(out, `the app cluster "app-two" uses the namespace "connected-2" of the control plane too`) {
		t.Errorf("disconnect with another app cluster in a namespace: %v\n%s", err, out)
	}
	if left := kubectl(t, env.controlPlane, "", "get", "queues", "-A", "-o", "name"); strings.Count(left, "orders") != 2 {
		t.Errorf("the control plane has %q", left)
	}
	kubectl(t, env.app, "", "get", "queues", "-A")
	kubectl(t, env.controlPlane, "", "annotate", "namespace", "connected-2", other+"-")
	if out, err := c.disconnect("--claims", "delete"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := daemon.terminate(slowDeadline); err != nil {
		t.Fatal(err)
	}
	awaitObjectNames(t, env.app, app)
	awaitObjectNames(t, env.controlPlane, platform)
}

// TestConnectRejectsSecondClusterWithSameName checks that nothing is written then.
func TestConnectRejectsSecondClusterWithSameName(t *testing.T) {
	createQueueAPI(t)
	createNamespace(t, "taken")
	kubectl(t, env.controlPlane, "", "annotate", "namespace", "taken", "cluster-id.claimgate.dev/app-one=other")
	platform := objectNames(t, env.controlPlane)
	c := newConnection(t)
	c.arguments[slices.Index(c.arguments, "connected")] = "taken"
	daemon := c.start(t)
	<-daemon.done
	text, err := os.ReadFile(daemon.log)
	must(err)
	if !strings.Contains(string(text), "already belongs to another app cluster") {
		t.Errorf("connect said:\n%s", text)
	}
	awaitObjectNames(t, env.controlPlane, platform)
}

// TestConnectAsADeployment checks the two ways to run the daemon in pods: written by connect, and applied by someone else.
func TestConnectAsADeployment(t *testing.T) {
	for name, isPrinted := range map[string]bool{"written": false, "printed": true} {
		t.Run(name, func(t *testing.T) {
			createQueueAPI(t)
			app, platform := objectNames(t, env.app), objectNames(t, env.controlPlane)
			c := newConnection(t)
			var connect *process
			if isPrinted {
				c.print(t)
			} else {
				connect = c.run(t, "--image", "registry.example.org/claimgate:1")
			}
			awaitDeployment(t, "connected-system", "claimgate")
			daemon := startPod(t, "connected-system", "claimgate")
			awaitResource(t, "queues", true)
			await(t, slowDeadline, func() error {
				_, err := env.tryKubectl(env.app.kubeconfig, queue("orders"), "apply", "-f", "-")
				return err
			})
			if connect != nil {
				<-connect.done
				text, err := os.ReadFile(connect.log)
				must(err)
				if !strings.Contains(string(text), "The app cluster serves:\n  queues.queues.example.org") {
					t.Errorf("connect said:\n%s", text)
				}
			}
			if out, err := c.disconnect("--claims", "delete"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if _, err := daemon.terminate(slowDeadline); err != nil {
				t.Fatal(err)
			}
			awaitObjectNames(t, env.app, app)
			awaitObjectNames(t, env.controlPlane, platform)
		})
	}
}

func queue(name string) string {
	return "{apiVersion: queues.example.org/v1, kind: Queue, metadata: {name: " + name + ", namespace: default}}"
}

// print applies what connect prints, the credential apart.
func (c connection) print(t *testing.T) {
	t.Helper()
	credential := env.path("credential.yaml")
	cmd := exec.Command(os.Getenv("TEST_BINARY"), append([]string{"connect", "--image", "registry.example.org/claimgate:1",
		"--print", "--credential-file", credential}, c.arguments...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	printed, err := cmd.Output()
	must(err)
	names := func(objects string) string {
		return kubectl(t, env.app, objects, "create", "--dry-run=client", "-o", "name", "-f", "-")
	}
	const secret = "secret/claimgate-platform"
	stored, err := os.ReadFile(credential)
	must(err)
	if objects := names(string(printed)); slices.Contains(strings.Fields(objects), secret) {
		t.Errorf("the credential is among the objects:\n%s", objects)
	}
	if objects := strings.TrimSpace(names(string(stored))); objects != secret {
		t.Errorf("the file for the credential contains %q", objects)
	}
	kubectl(t, env.app, string(printed), "apply", "-f", "-")
	kubectl(t, env.app, "", "apply", "-f", credential)
}

// oldTopicCRD is an API of which the group's preferred version is another one.
const oldTopicCRD = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: topics.queues.example.org}
spec:
  group: queues.example.org
  scope: Namespaced
  names: {plural: topics, singular: topic, kind: Topic, listKind: TopicList, categories: [claim]}
  versions: [{name: v1alpha1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`

// TestDisconnectFindsAllClaims tries to lose claims that a look at the options and at preferred versions does not show.
func TestDisconnectFindsAllClaims(t *testing.T) {
	createQueueAPI(t)
	kubectl(t, env.controlPlane, oldTopicCRD, "apply", "-f", "-")
	t.Cleanup(func() { env.tryKubectl(env.controlPlane.kubeconfig, "", "delete", "crd", "topics.queues.example.org") })
	c := newConnection(t)
	daemon := c.start(t)
	t.Cleanup(func() { c.disconnect("--claims", "delete") })
	awaitResource(t, "topics", true)
	const topic = "{apiVersion: queues.example.org/v1alpha1, kind: Topic, metadata: {name: news, namespace: default}}"
	awaitSuccess(t, env.app, topic, "apply", "-f", "-")
	// It is not a claim, and its owner has not been asked.
	const other = "{apiVersion: v1, kind: ConfigMap, metadata: {name: precious, namespace: connected}}"
	kubectl(t, env.controlPlane, other, "apply", "-f", "-")
	if _, err := daemon.terminate(slowDeadline); err != nil {
		t.Fatal(err)
	}

	if out, err := c.disconnect(); err == nil || !strings.Contains(out, "1 claims of this app cluster exist") {
		t.Errorf("disconnect with a claim of an old version: %v\n%s", err, out)
	}
	for option, value := range map[string]string{"app-one": "app-two", "connected": "elsewhere"} {
		wrong := c
		wrong.arguments = slices.Clone(c.arguments)
		wrong.arguments[slices.Index(wrong.arguments, option)] = value
		if out, err := wrong.disconnect("--claims", "delete"); err == nil || !strings.Contains(out, `the app cluster is connected as "app-one"`) {
			t.Errorf("disconnect with %s instead of %s: %v\n%s", value, option, err, out)
		}
		again := wrong.run(t, "--image", "registry.example.org/claimgate:1")
		<-again.done
		if log, err := os.ReadFile(again.log); err != nil || !strings.Contains(string(log), `the app cluster is already connected as "app-one"`) {
			t.Errorf("connect with %s instead of %s: %v\n%s", value, option, err, log)
		}
	}
	kubectl(t, env.controlPlane, "", "get", "topics", "-n", "connected")

	out, err := c.disconnect("--claims", "delete")
	if err != nil || !strings.Contains(out, "the Namespace connected stays: it still contains configmaps precious") {
		t.Errorf("disconnect with an object of someone else: %v\n%s", err, out)
	}
	kubectl(t, env.controlPlane, "", "get", "configmap", "-n", "connected", "precious")
	kubectl(t, env.controlPlane, "", "delete", "namespace", "connected")
}

// TestConnectRejectsDangerousOptions checks that nothing is written.
func TestConnectRejectsDangerousOptions(t *testing.T) {
	createQueueAPI(t)
	app, platform := objectNames(t, env.app), objectNames(t, env.controlPlane)
	for text, change := range map[string]func(*connection){
		"lead to the same cluster":     func(c *connection) { c.arguments[slices.Index(c.arguments, "app")] = "platform" },
		`"" is not a group of claims`:  func(c *connection) { c.arguments[slices.Index(c.arguments, "queues.example.org")] = "" },
		`"*" is not a group of claims`: func(c *connection) { c.arguments[slices.Index(c.arguments, "queues.example.org")] = "*" },
		"has no namespaced resources": func(c *connection) {
			c.arguments[slices.Index(c.arguments, "queues.example.org")] = "quues.example.org"
		},
		"kube-system is reserved": func(c *connection) {
			c.arguments[slices.Index(c.arguments, "connected-system")] = "kube-system"
		},
		"choose another folder with --dir": func(c *connection) { c.dir = c.kubeconfig + "/dir" },
		"does not support tls-server-name": func(c *connection) {
			text, err := os.ReadFile(c.kubeconfig)
			must(err)
			changed := strings.Replace(string(text), "{name: platform, cluster: {", "{name: platform, cluster: {tls-server-name: localhost, ", 1)
			must(os.WriteFile(c.kubeconfig, []byte(changed), 0o600))
		},
		"cannot listen on":                  func(c *connection) { c.port = env.port },
		`"apps.k8s.io" is not a group of c`: func(c *connection) { c.arguments[slices.Index(c.arguments, "queues.example.org")] = "apps.k8s.io" },
	} {
		c := newConnection(t)
		change(&c)
		daemon := c.start(t)
		select {
		case <-daemon.done:
		case <-time.After(slowDeadline):
			daemon.kill()
		}
		if log, err := os.ReadFile(daemon.log); err != nil || !strings.Contains(string(log), text) {
			t.Errorf("connect does not say %q: %v\n%s", text, err, log)
		}
		awaitObjectNames(t, env.app, app)
		awaitObjectNames(t, env.controlPlane, platform)
	}
}

// TestConnectWithSecrets checks that the rights which connect grants suffice for connection Secrets, and that both commands remove
// rights that are no longer wanted.
func TestConnectWithSecrets(t *testing.T) {
	createQueueAPI(t)
	app, platform := objectNames(t, env.app), objectNames(t, env.controlPlane)
	c := newConnection(t)
	const image = "registry.example.org/claimgate:1"
	bindings := func() string {
		return kubectl(t, env.app, "", "get", "rolebindings", "-A", "-o", `jsonpath={range .items[?(@.metadata.name=="connected-system:claimgate:secrets")]}{.metadata.namespace} {end}`)
	}
	earlier := c.run(t, "--image", image, "--secrets", "default,team-a")
	await(t, registrationTime, func() error {
		if got := bindings(); got != "default team-a " {
			return fmt.Errorf("the rights on Secrets are bound in %q", got)
		}
		return nil
	})
	awaitDeployment(t, "connected-system", "claimgate")
	earlier.kill()
	connect := c.run(t, "--image", image, "--secrets", "default")
	await(t, registrationTime, func() error {
		if got := bindings(); got != "default " {
			return fmt.Errorf("the rights on Secrets are bound in %q", got)
		}
		return nil
	})
	awaitDeployment(t, "connected-system", "claimgate")
	daemon := startPod(t, "connected-system", "claimgate")
	awaitResource(t, "queues", true)
	<-connect.done

	const order = "{apiVersion: queues.example.org/v1, kind: Queue, metadata: {name: orders, namespace: default}, spec: {writeConnectionSecretToRef: {name: conn}}}"
	kubectl(t, env.app, order, "apply", "-f", "-")
	remote := strings.Fields(kubectl(t, env.controlPlane, "", "-n", "connected", "get", "queues", "-o", "jsonpath={.items[0].metadata.name} {.items[0].metadata.uid} {.items[0].spec.writeConnectionSecretToRef.name}"))
	secret := fmt.Sprintf("{apiVersion: v1, kind: Secret, type: connection.crossplane.io/v1alpha1, metadata: {name: %s, namespace: connected, ownerReferences: [{apiVersion: queues.example.org/v1, kind: Queue, name: %s, uid: %s, controller: true}]}, stringData: {user: a}}", remote[2], remote[0], remote[1])
	kubectl(t, env.controlPlane, secret, "create", "-f", "-")
	awaitValue(t, registrationTime, "default", "conn", "user", "a")

	if out, err := c.disconnect("--claims", "delete"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := daemon.terminate(slowDeadline); err != nil {
		t.Fatal(err)
	}
	awaitObjectNames(t, env.app, app)
	awaitObjectNames(t, env.controlPlane, platform)
}
