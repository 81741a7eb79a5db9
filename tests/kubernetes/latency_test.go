package kubernetes

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"
)

const (
	latencyWatches = 100
	latencyChanges = 200
	// A pause between changes, in which the machine becomes idle.
	latencyPause = 50 * time.Millisecond
	// The upper limit for the latency that claimgate adds.
	latencyGoal = 5 * time.Millisecond
)

// watchPathStats measures one path on which changes of the control plane arrive. Each path has an
// object of its own, so only its watches see a change.
type watchPathStats struct {
	name, user, namespace string
	port                  int
	// The local name of the object.
	object string
	all    []*arrivals
	// Delay of each change after its arrival at the reference watch.
	delays []time.Duration
}

// arrivals records when changes arrived on one watch.
type arrivals struct {
	mu   sync.Mutex
	when map[string]time.Time
}

// changePattern matches the ID of a change, which is in an annotation. No decoding is needed.
var changePattern = regexp.MustCompile(`"latency":"([a-z0-9-]+)"`)

func (a *arrivals) read(body io.ReadCloser) {
	defer body.Close()
	for reader := bufio.NewReader(body); ; {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return
		}
		now := time.Now()
		if found := changePattern.FindSubmatch(line); found != nil {
			a.mu.Lock()
			a.when[string(found[1])] = now
			a.mu.Unlock()
		}
	}
}

// awaitChange waits for a change and returns its arrival time.
func (a *arrivals) awaitChange(t *testing.T, change string) (when time.Time) {
	t.Helper()
	await(t, deadline, func() error {
		a.mu.Lock()
		defer a.mu.Unlock()
		if when = a.when[change]; when.IsZero() {
			return fmt.Errorf("change %s did not arrive", change)
		}
		return nil
	})
	return when
}

// watches opens watches with one client, as the aggregator does for all of its users.
func (w *watchPathStats) watches(ctx context.Context, t *testing.T, count int) (all []*arrivals) {
	t.Helper()
	client, object := userClient(w.user), w.object
	if w.port == env.controlPlane.port {
		object = remoteName(clientsLocal, object)
	}
	for range count {
		url := fmt.Sprintf("https://localhost:%d/apis/%s/namespaces/%s/kubernetesclusters?watch=true&fieldSelector=metadata.name%%3D%s", w.port, groupVersion, w.namespace, object)
		r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
		must(err)
		response, err := client.Do(r)
		if err != nil || response.StatusCode != 200 {
			t.Fatal(err, response)
		}
		one := &arrivals{when: map[string]time.Time{}}
		go one.read(response.Body)
		all = append(all, one)
	}
	return all
}

// TestWatchLatency measures how much later events arrive than on a watch of the control plane. The
// paths take turns, change by change, so that all see the same load.
func TestWatchLatency(t *testing.T) {
	if os.Getenv("TEST_MEASURE") == "" {
		t.Skip("only with `run latency`")
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	names := createClaims(t, "latency", 3)
	paths := []*watchPathStats{
		{name: "control plane", user: "admin", namespace: mapping[clientsLocal], port: env.controlPlane.port, object: names[0]},
		{name: "claimgate", user: "developer", namespace: clientsLocal, port: env.port, object: names[1]},
		{name: "app cluster and claimgate", user: "admin", namespace: clientsLocal, port: env.app.port, object: names[2]},
	}
	reference := map[*watchPathStats]*arrivals{}
	for _, w := range paths {
		one := *paths[0]
		one.object = w.object
		reference[w] = one.watches(ctx, t, 1)[0]
		w.all = w.watches(ctx, t, latencyWatches)
	}
	for i := range latencyChanges {
		for j := range paths {
			// Each path is first, second and last equally often.
			w := paths[(i+j)%len(paths)]
			w.change(t, fmt.Sprintf("%s-%d", objectNameFor(w.name), i), reference[w])
		}
	}
	fmt.Printf("\nBinary: %s\nDelay of %d changes on %d watches, compared with one direct watch of the same object:\n\n%-28s %9s %9s %9s\n",
		os.Getenv("TEST_BINARY"), latencyChanges, latencyWatches, "by", "p50", "p99", "most")
	for _, w := range paths {
		slices.Sort(w.delays)
		fmt.Printf("%-28s %9s %9s %9s\n", w.name, milliseconds(w.percentile(50)), milliseconds(w.percentile(99)), milliseconds(w.percentile(100)))
	}
	added := func(w *watchPathStats) time.Duration { return w.percentile(99) - paths[0].percentile(99) }
	fmt.Printf("\nAt p99, claimgate adds %s to the delay of as many direct watches, and %s together with the aggregator.\n",
		milliseconds(added(paths[1])), milliseconds(added(paths[2])))
	if added(paths[1]) >= latencyGoal {
		t.Errorf("claimgate adds %s, want less than %s", milliseconds(added(paths[1])), milliseconds(latencyGoal))
	}
}

// change makes a change and waits until it has arrived on all watches.
func (w *watchPathStats) change(t *testing.T, id string, reference *arrivals) {
	t.Helper()
	path := "/apis/" + groupVersion + "/namespaces/" + mapping[clientsLocal] + "/kubernetesclusters/" + remoteName(clientsLocal, w.object)
	patch := fmt.Sprintf(`{"metadata":{"annotations":{"latency":%q}}}`, id)
	status, body := sendAsAdmin(t, env.controlPlane, "PATCH", path, patch, map[string]string{"Content-Type": "application/merge-patch+json"})
	if status != 200 {
		t.Fatalf("status %d: %s", status, body)
	}
	time.Sleep(latencyPause)
	first := reference.awaitChange(t, id)
	for _, one := range w.all {
		w.delays = append(w.delays, one.awaitChange(t, id).Sub(first))
	}
}

func (w *watchPathStats) percentile(n int) time.Duration { return w.delays[(len(w.delays)-1)*n/100] }

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
