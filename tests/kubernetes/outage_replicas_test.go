package kubernetes

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// replica is one of several daemons with the same configuration. Each has its own link to the control plane and its own
// state directory.
type replica struct {
	instance
	process *process
}

func startReplica(t *testing.T, name string) *replica {
	t.Helper()
	i := withOwnLink(t, newInstance(name, "auto"))
	i.more += fmt.Sprintf("outage: {degradeAfter: %s}\nstateDirectory: %s\n", degradeAfter, t.TempDir())
	r := &replica{instance: i}
	r.run(t)
	return r
}

func (r *replica) run(t *testing.T) {
	t.Helper()
	process, err := env.runClaimgate(r.instance)
	must(err)
	t.Cleanup(process.kill)
	r.process = process
}

// discovery returns the aggregated discovery of this replica.
func (r *replica) discovery() (string, error) {
	status, body, err := sendRequest(userClient("developer"), r.port, "GET", "/apis", "", acceptDiscovery)
	if err == nil && status != 200 {
		err = fmt.Errorf("%s answers %d: %s", r.name, status, body)
	}
	return body, err
}

// awaitWatch waits until the discovery has the verb watch, or lacks it. It returns the discovery.
func (r *replica) awaitWatch(t *testing.T, want bool) (discovery string) {
	t.Helper()
	await(t, recoveryTime, func() (err error) {
		discovery, err = r.discovery()
		if err == nil && strings.Contains(discovery, `"watch"`) != want {
			err = fmt.Errorf("%s serves %s", r.name, discovery)
		}
		return err
	})
	return discovery
}

// TestReplicasDegradeAlone cuts one of two replicas off. It alone changes its discovery, and restarted replicas agree.
func TestReplicasDegradeAlone(t *testing.T) {
	one, other := startReplica(t, "replica-one"), startReplica(t, "replica-other")
	complete := one.awaitWatch(t, true)
	if other.awaitWatch(t, true) != complete {
		t.Error("the replicas differ before the outage")
	}

	one.link.refuseConnections()
	one.awaitWatch(t, false)
	if now, err := other.discovery(); err != nil || now != complete {
		t.Errorf("the replica that reaches the control plane changed its discovery to %s, %v", now, err)
	}
	other.link.refuseConnections()
	other.awaitWatch(t, false)
	for _, r := range []*replica{one, other} {
		r.process.kill()
		must(os.Truncate(r.process.log, 0))
		r.run(t)
	}
	if one.awaitWatch(t, false) != other.awaitWatch(t, false) {
		t.Error("replicas that restarted in an outage differ")
	}
	must(one.link.restore())
	if one.awaitWatch(t, true) != complete {
		t.Error("the discovery after the outage differs from that before")
	}
}
