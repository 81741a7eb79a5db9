package kubernetes

import (
	"os"
	"os/exec"
	"testing"
)

func TestKubeRs(t *testing.T) {
	program := os.Getenv("TEST_KUBE_RS")
	if program == "" {
		t.Skip("only with tests/kube-rs/run")
	}
	client := exec.CommandContext(testContext(t, slowDeadline), program)
	client.Env = append(client.Environ(), "KUBECONFIG="+env.app.kubeconfig)
	out, err := client.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}
