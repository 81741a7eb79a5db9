package kubernetes

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestCheckOnlineNamesMissingRights(t *testing.T) {
	check := func() string {
		t.Helper()
		out, err := exec.Command(os.Getenv("TEST_BINARY"), "check", "--online", "--config", env.path("claimgate.yaml")).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	if text := check(); strings.Contains(text, "may not") {
		t.Errorf("with all rights, check says:\n%s", text)
	}
	restrictConnector(t, `"get","list","watch","create","update"`, "DELETE")
	text := check()
	wanted := `claimgate may not patch, delete, deletecollection networks.k8s.starter.org in the namespace "` + mapping[writeNamespaces.local] + `"`
	if !strings.Contains(text, wanted) {
		t.Errorf("check does not say %q:\n%s", wanted, text)
	}
	if strings.Contains(text, "may not get") || strings.Contains(text, "kubernetesclusters.k8s.starter.org in the namespace") {
		t.Errorf("check names rights that claimgate has:\n%s", text)
	}
}
