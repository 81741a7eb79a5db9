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
	// Between changes, for the machine to come to rest.
	latencyPause = 50 * time.Millisecond
	// The goal for what claimgate adds.
	latencyGoal = 5 * time.Millisecond
)

// way is one of those by which changes made on the control plane are heard of. Each has an object of
// its own, so that a change is heard of by its watches alone.
type way struct {
	name, user, namespace string
	port                  int
	object                string
	all                   []*arrivals
	// By how much later than by one direct watch changes came.
	later []time.Duration
}

// arrivals are the times at which a watch brought changes.
type arrivals struct {
	mu   sync.Mutex
	when map[string]time.Time
}

// change is in an annotation of the object, so that nothing has to be decoded to find it.
var change = regexp.MustCompile(`"latency":"([a-z0-9-]+)"`)

func (a *arrivals) read(body io.ReadCloser) {
	defer body.Close()
	for reader := bufio.NewReader(body); ; {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return
		}
		now := time.Now()
		if found := change.FindSubmatch(line); found != nil {
			a.mu.Lock()
			a.when[string(found[1])] = now
			a.mu.Unlock()
		}
	}
}

// of waits for a change.
func (a *arrivals) of(t *testing.T, change string) (when time.Time) {
	t.Helper()
	err := eventually(deadline, func() error {
		a.mu.Lock()
		defer a.mu.Unlock()
		if when = a.when[change]; when.IsZero() {
			return fmt.Errorf("change %s did not come", change)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return when
}

// watches opens some by one client, as the aggregator does for all of its users.
func (w *way) watches(ctx context.Context, t *testing.T, count int) (all []*arrivals) {
	t.Helper()
	client := client(w.user)
	for range count {
		url := fmt.Sprintf("https://localhost:%d/apis/%s/namespaces/%s/kubernetesclusters?watch=true&fieldSelector=metadata.name%%3D%s", w.port, groupVersion, w.namespace, w.object)
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

// TestWatchLatency is a measurement, which says how much later than by a watch of the control plane
// itself an event comes. The ways take turns, change by change, so that all see the same load.
func TestWatchLatency(t *testing.T) {
	if os.Getenv("BED_MEASURE") == "" {
		t.Skip("only by `run latency`")
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	names := createClaims(t, "latency", 3)
	ways := []*way{
		{name: "control plane itself", user: "admin", namespace: clientsRemote, port: theBed.cp.port, object: names[0]},
		{name: "claimgate", user: "developer", namespace: clientsLocal, port: theBed.port, object: names[1]},
		{name: "app cluster and claimgate", user: "admin", namespace: clientsLocal, port: theBed.app.port, object: names[2]},
	}
	beside := map[*way]*arrivals{}
	for _, w := range ways {
		one := *ways[0]
		one.object = w.object
		beside[w] = one.watches(ctx, t, 1)[0]
		w.all = w.watches(ctx, t, latencyWatches)
	}
	for i := range latencyChanges {
		for j := range ways {
			// Each is the first, the second and the last as often.
			w := ways[(i+j)%len(ways)]
			w.change(t, fmt.Sprintf("%s-%d", slug(w.name), i), beside[w])
		}
	}
	fmt.Printf("\nOf %s.\nHow much later %d changes come at %d watches than at one direct watch beside them, the ways taking turns:\n\n%-28s %9s %9s %9s\n",
		os.Getenv("BED_CLAIMGATE"), latencyChanges, latencyWatches, "by", "p50", "p99", "most")
	for _, w := range ways {
		slices.Sort(w.later)
		fmt.Printf("%-28s %9s %9s %9s\n", w.name, milliseconds(w.percentile(50)), milliseconds(w.percentile(99)), milliseconds(w.percentile(100)))
	}
	added := func(w *way) time.Duration { return w.percentile(99) - ways[0].percentile(99) }
	fmt.Printf("\nAt p99 claimgate adds %s to what as many direct watches take, and %s together with the aggregator.\n",
		milliseconds(added(ways[1])), milliseconds(added(ways[2])))
	if added(ways[1]) >= latencyGoal {
		t.Errorf("claimgate adds %s, which is not below %s", milliseconds(added(ways[1])), milliseconds(latencyGoal))
	}
}

// change makes one and waits until it has come everywhere.
func (w *way) change(t *testing.T, id string, beside *arrivals) {
	t.Helper()
	path := "/apis/" + groupVersion + "/namespaces/" + clientsRemote + "/kubernetesclusters/" + w.object
	patch := fmt.Sprintf(`{"metadata":{"annotations":{"latency":%q}}}`, id)
	status, body := request(t, theBed.cp, "PATCH", path, patch, map[string]string{"Content-Type": "application/merge-patch+json"})
	if status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	time.Sleep(latencyPause)
	first := beside.of(t, id)
	for _, one := range w.all {
		w.later = append(w.later, one.of(t, id).Sub(first))
	}
}

func (w *way) percentile(n int) time.Duration { return w.later[(len(w.later)-1)*n/100] }

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
