package kubernetes

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// auditEvent is the part of an entry of the audit log that the tests read (`apiserver/pkg/apis/audit/v1/types.go`).
type auditEvent struct {
	Verb, UserAgent string
	User            struct{ Username string }
	ObjectRef       struct{ APIGroup, Resource, Namespace, Name, Subresource string }
}

func (e auditEvent) String() string {
	o := e.ObjectRef
	return fmt.Sprintf("%s %s %s/%s %s by %s", e.Verb, o.Resource, o.Namespace, o.Name, o.Subresource, e.UserAgent)
}

// startAudited starts an app cluster that logs each request to a file, which it also returns. Until the end of the test, it
// is the app cluster of the environment.
func startAudited(t *testing.T) string {
	t.Helper()
	policy, log := env.path("audit-policy.yaml"), env.path("audit.json")
	must(os.WriteFile(policy, []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n"), 0o600))
	app := startEmptyCluster(t, "audited", os.Getenv("TEST_APP_BIN"), func(c *cluster) {
		c.args = append(c.args, "--audit-policy-file", policy, "--audit-log-path", log, "--audit-log-mode", "blocking")
	})
	before := env.app
	env.app = app
	t.Cleanup(func() { env.app = before })
	return log
}

// requestsOfClaimgate returns what claimgate requested after the first bytes of the audit log.
func requestsOfClaimgate(log string, after int64) (events []auditEvent) {
	text, err := os.ReadFile(log)
	must(err)
	for _, line := range strings.Split(string(text[after:]), "\n") {
		var event auditEvent
		// The last line can be incomplete.
		if json.Unmarshal([]byte(line), &event) != nil {
			continue
		}
		isOther := func(program string) bool { return strings.HasPrefix(event.UserAgent, program) }
		if event.User.Username == "admin" && !slices.ContainsFunc([]string{"kubectl/", "kube-controller-manager/"}, isOther) {
			events = append(events, event)
		}
	}
	return events
}

// TestIdleRegistrationWritesNothing hands the registration from replica to replica, so that each compares anew, and then
// waits for the next comparison of the last one.
func TestIdleRegistrationWritesNothing(t *testing.T) {
	log := startAudited(t)
	c := connected(t)
	start := func(name string, port int) *process {
		replica, err := env.run(name, "env", fmt.Sprintf("CLAIMGATE_LISTEN__ADDRESS=127.0.0.1:%d", port),
			os.Getenv("TEST_BINARY"), "serve", "--config", filepath.Join(c.dir, "claimgate.yaml"))
		must(err)
		t.Cleanup(replica.kill)
		return replica
	}
	// The Service leads to the first port. Each replica has it for a while, as if the Service balanced the connections.
	ports, err := freePorts(1)
	must(err)
	first := start("idle-0", c.port)
	awaitResource(t, "queues", true)
	info, err := os.Stat(log)
	must(err)
	begin := info.Size()
	versions := func() string {
		return kubectl(t, env.app, "", "get", "apiservices", "-o", `jsonpath={range .items[*]}{.metadata.name} {.metadata.resourceVersion}{"\n"}{end}`)
	}
	before := versions()
	comparisons := func() int {
		count := 0
		for _, event := range requestsOfClaimgate(log, begin) {
			if event.Verb == "list" && event.ObjectRef.Resource == "apiservices" {
				count++
			}
		}
		return count
	}
	awaitComparison := func(more int) {
		t.Helper()
		wanted := comparisons() + more
		await(t, slowDeadline, func() error {
			if got := comparisons(); got < wanted {
				return fmt.Errorf("%d comparisons instead of %d", got, wanted)
			}
			return nil
		})
	}
	for i := 1; i <= 4; i++ {
		second := start(fmt.Sprintf("idle-%d", i), ports[0])
		if _, err := first.terminate(slowDeadline); err != nil {
			t.Fatal(err)
		}
		awaitComparison(1)
		first, ports[0], c.port = second, c.port, ports[0]
	}
	awaitComparison(1)

	if after := versions(); after != before {
		t.Errorf("the APIServices were\n%sand are\n%s", before, after)
	}
	leases := 0
	for _, event := range requestsOfClaimgate(log, begin) {
		isReview := strings.HasSuffix(event.ObjectRef.Resource, "reviews")
		switch {
		case slices.Contains([]string{"get", "list", "watch"}, event.Verb) || isReview:
		case event.Verb == "update" && event.ObjectRef.Name == "claimgate-registration" && event.ObjectRef.Resource == "leases":
			leases++
		default:
			t.Errorf("claimgate wrote without a reason: %s", event)
		}
	}
	if leases == 0 {
		t.Error("the audit log does not show the writes of the Lease")
	}
	t.Logf("%d comparisons, %d writes of the Lease", comparisons(), leases)
	if _, err := first.terminate(slowDeadline); err != nil {
		t.Fatal(err)
	}
}
