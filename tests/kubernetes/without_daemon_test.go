package kubernetes

import (
	"encoding/base64"
	"fmt"
	"os"
	"testing"
)

// TestAppClusterStartsWithoutTheDaemon starts an API server that finds an APIService without a backend.
func TestAppClusterStartsWithoutTheDaemon(t *testing.T) {
	app := startEmptyCluster(t, "lonely-app", os.Getenv("TEST_APP_BIN"))
	ports, err := freePorts(1)
	must(err)
	text := fmt.Sprintf(registration, ports[0], base64.StdEncoding.EncodeToString(env.certificates.read("server-ca.crt")))
	kubectl(t, app, text, "apply", "-f", "-")

	app.controllers.kill()
	app.server.kill()
	must(env.startServer(app))
	must(env.waitReady(app))
	must(env.startControllers(app))
	kubectl(t, app, "", "create", "configmap", "new", "--from-literal=a=b")
	kubectl(t, app, "", "get", "configmaps,namespaces", "-A")
	await(t, slowDeadline, func() error {
		status, err := env.tryKubectl(app.kubeconfig, "", "get", "apiservice", "v1alpha1.k8s.starter.org", "-o",
			`jsonpath={.status.conditions[?(@.type=="Available")].status}`)
		if err == nil && status != "False" {
			err = fmt.Errorf("the APIService has Available %q", status)
		}
		return err
	})
	// It stays ready while the APIService is unavailable.
	must(env.waitReady(app))
}
