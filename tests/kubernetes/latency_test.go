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

// way is one of those by which changes made on the control plane are heard of.
type way struct {
	name, user, namespace string
	port                  int
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
func (w way) watches(ctx context.Context, t *testing.T, count int) (all []*arrivals) {
	t.Helper()
	client := client(w.user)
	for range count {
		url := fmt.Sprintf("https://localhost:%d/apis/%s/namespaces/%s/kubernetesclusters?watch=true", w.port, groupVersion, w.namespace)
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
// itself an event comes.
func TestWatchLatency(t *testing.T) {
	if os.Getenv("BED_MEASURE") == "" {
		t.Skip("only by `run latency`")
	}
	name := createClaims(t, "latency", 1)[0]
	fmt.Printf("\nHow much later %d changes come at %d watches than at one direct watch beside them:\n\n%-28s %9s %9s %9s\n",
		latencyChanges, latencyWatches, "by", "p50", "p99", "most")
	direct := way{"control plane itself", "admin", clientsRemote, theBed.cp.port}
	base := direct.measure(t, direct, name)
	alone := way{"claimgate", "developer", clientsLocal, theBed.port}.measure(t, direct, name)
	through := way{"app cluster and claimgate", "admin", clientsLocal, theBed.app.port}.measure(t, direct, name)
	fmt.Printf("\nAt p99 claimgate adds %s to what as many direct watches take, and %s together with the aggregator. The goal is %s.\n",
		milliseconds(alone-base), milliseconds(through-base), milliseconds(latencyGoal))
}

// measure prints how much later changes come than directly, and returns the 99th percentile.
func (w way) measure(t *testing.T, direct way, name string) time.Duration {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	beside := direct.watches(ctx, t, 1)[0]
	all := w.watches(ctx, t, latencyWatches)
	path := "/apis/" + groupVersion + "/namespaces/" + clientsRemote + "/kubernetesclusters/" + name
	id := func(i int) string { return fmt.Sprintf("%s-%d", slug(w.name), i) }
	for i := range latencyChanges {
		patch := fmt.Sprintf(`{"metadata":{"annotations":{"latency":%q}}}`, id(i))
		status, body := request(t, theBed.cp, "PATCH", path, patch, map[string]string{"Content-Type": "application/merge-patch+json"})
		if status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		time.Sleep(latencyPause)
	}
	var later []time.Duration
	for i := range latencyChanges {
		first := beside.of(t, id(i))
		for _, one := range all {
			later = append(later, one.of(t, id(i)).Sub(first))
		}
	}
	slices.Sort(later)
	percentile := func(n int) time.Duration { return later[(len(later)-1)*n/100] }
	fmt.Printf("%-28s %9s %9s %9s\n", w.name, milliseconds(percentile(50)), milliseconds(percentile(99)), milliseconds(percentile(100)))
	return percentile(99)
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
