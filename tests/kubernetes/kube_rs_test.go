package kubernetes

import (
	"os"
	"os/exec"
	"testing"
)

func TestKubeRs(t *testing.T) {
	program := os.Getenv("BED_KUBE_RS")
	if program == "" {
		t.Skip("only by tests/kube-rs/run")
	}
	client := exec.CommandContext(within(t, slowDeadline), program)
	client.Env = append(client.Environ(), "KUBECONFIG="+theBed.app.kubeconfig)
	out, err := client.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}
