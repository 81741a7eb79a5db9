package kubernetes

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func checkOnline(t *testing.T, file string) string {
	t.Helper()
	out, err := exec.Command(os.Getenv("TEST_BINARY"), "check", "--online", "--config", env.path(file)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func TestCheckOnlineNamesMissingRightsInTheAppCluster(t *testing.T) {
	startRegistrar(t)
	text := checkOnline(t, "registrar.yaml")
	for _, wanted := range []string{
		"claimgate lacks the right to get, list, watch the namespaces of the app cluster",
		"claimgate lacks the right to get, create, update the events of the app cluster",
	} {
		if !strings.Contains(text, wanted) || strings.Count(text, "of the app cluster") != 2 {
			t.Errorf("check does not say %q, and one thing more:\n%s", wanted, text)
		}
	}
	for _, file := range []string{"namespaces.yaml", "events.yaml"} {
		grantAppClusterRights(t, file, "developer")
	}
	await(t, deadline, func() error {
		if text := checkOnline(t, "registrar.yaml"); strings.Contains(text, "of the app cluster") {
			return fmt.Errorf("with all rights, check says:\n%s", text)
		}
		return nil
	})
}

func TestCheckOnlineNamesMissingRightsOnComposites(t *testing.T) {
	kubectl(t, env.controlPlane, compositeCRD, "apply", "-f", "-")
	t.Cleanup(func() {
		env.tryKubectl(env.controlPlane.kubeconfig, compositeCRD, "delete", "--ignore-not-found", "-f", "-")
	})
	kubectl(t, env.controlPlane, "", "wait", "--for=condition=Established", "--timeout=30s", "crd/xkubernetesclusters.k8s.starter.org", "crd/disks.plain.starter.org")
	const composite = `{apiVersion: k8s.starter.org/v1alpha1, kind: XKubernetesCluster, metadata: {name: checked}, spec: {resourceRefs: [{apiVersion: plain.starter.org/v1, kind: Disk, name: a}]}}`
	await(t, deadline, func() error {
		_, err := env.tryKubectl(env.controlPlane.kubeconfig, composite, "apply", "-f", "-")
		return err
	})
	env.tryKubectl(env.controlPlane.kubeconfig, eventRights, "delete", "--ignore-not-found", "-f", "-")
	c := startCopierWith(t, "check-composites", "events: {composite: true, composed: true}", "events.yaml", secretRights)
	missing := []string{
		`claimgate lacks the right to list, watch events in the namespace "default"`,
		"claimgate lacks the right to get disks.plain.starter.org;",
	}
	await(t, deadline, func() error {
		text := checkOnline(t, c.name+".yaml")
		for _, wanted := range missing {
			if !strings.Contains(text, wanted) {
				return fmt.Errorf("check does not say %q:\n%s", wanted, text)
			}
		}
		return nil
	})
	kubectl(t, env.controlPlane, eventRights, "apply", "-f", "-")
	await(t, deadline, func() error {
		if text := checkOnline(t, c.name+".yaml"); strings.Contains(text, "disks.plain.starter.org") || strings.Contains(text, "lacks the right to list, watch events") {
			return fmt.Errorf("with all rights, check says:\n%s", text)
		}
		return nil
	})

	restrictConnector(t, `"get","list","watch","create","update"`, "DELETE")
	if text := checkOnline(t, c.name+".yaml"); !strings.Contains(text, "claimgate lacks the right to get, list, watch xkubernetesclusters.k8s.starter.org;") {
		t.Errorf("check does not name the composite resources:\n%s", text)
	}
}

func TestCheckOnlineNamesMissingRights(t *testing.T) {
	check := func() string {
		t.Helper()
		return checkOnline(t, "claimgate.yaml")
	}
	if text := check(); strings.Contains(text, "lacks the right") {
		t.Errorf("with all rights, check says:\n%s", text)
	}
	restrictConnector(t, `"get","list","watch","create","update"`, "DELETE")
	text := check()
	wanted := `claimgate lacks the right to patch, delete, deletecollection networks.k8s.starter.org in the namespace "` + mapping[writeNamespaces.local] + `"`
	if !strings.Contains(text, wanted) {
		t.Errorf("check does not say %q:\n%s", wanted, text)
	}
	if strings.Contains(text, "lacks the right to get") || strings.Contains(text, "kubernetesclusters.k8s.starter.org in the namespace") {
		t.Errorf("check names rights that claimgate has:\n%s", text)
	}
}
