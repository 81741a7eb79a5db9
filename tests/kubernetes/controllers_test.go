package kubernetes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const quota = `apiVersion: v1
kind: ResourceQuota
metadata: {name: claims}
spec: {hard: {count/kubernetesclusters.k8s.starter.org: "100"}}
`

// noFault is what such logs hold on the best of days: a flag that is not set, and a write that met
// another one and is done again.
var noFault = []string{"The manifest file is empty", "the object has been modified"}

// errorsIn are the lines of a log in klog's form that tell of an error, or of a watch that broke off.
func errorsIn(log string, from int64) (all []string) {
	text, err := os.ReadFile(log)
	must(err)
	for _, line := range strings.Split(string(text[from:]), "\n") {
		tells := strings.HasPrefix(line, "E") || strings.Contains(line, "Warning: watch")
		if tells && !slices.ContainsFunc(noFault, func(what string) bool { return strings.Contains(line, what) }) {
			all = append(all, line)
		}
	}
	return all
}

func size(log string) int64 {
	info, err := os.Stat(log)
	must(err)
	return info.Size()
}

// In which time a link counts as broken is that of a real installation, for so long a test has other work
// beside it, by which a second can pass.
func init() {
	if os.Getenv("BED_CONTROLLERS_FOR") != "" {
		pings, pongs = 30*time.Second, 15*time.Second
	}
}

// runsFor is the time for which controllers are watched, by BED_CONTROLLERS_FOR.
func runsFor() time.Duration {
	text := os.Getenv("BED_CONTROLLERS_FOR")
	if text == "" {
		return 10 * time.Second
	}
	duration, err := time.ParseDuration(text)
	must(err)
	return duration
}

// used is what the quota controller counted.
func used(want int) func() error {
	return func() error {
		out, err := theBed.try(theBed.app.kubeconfig, "", "get", "-n", clientsLocal, "resourcequota", "claims",
			"-o", `jsonpath={.status.used.count/kubernetesclusters\.k8s\.starter\.org}`)
		if err == nil && out != fmt.Sprint(want) {
			err = fmt.Errorf("%q claims are counted, not %d", out, want)
		}
		return err
	}
}

// The app cluster's namespace controller and quota controller live with claims, round after round, and
// have nothing to complain of.
func TestControllersOfTheAppClusterSeeNoError(t *testing.T) {
	// A process of its own, since elsewhere a watch of claims tells that the garbage collector is there.
	// Claims that are created don't go through the app cluster's admission, so they are counted only
	// when the controller looks at everything anew.
	quotas, err := theBed.run("app-quota", filepath.Join(theBed.app.bin, "kube-controller-manager"), "--kubeconfig", theBed.app.kubeconfig,
		"--leader-elect=false", "--secure-port=0", "--controllers=resourcequota-controller", "--resource-quota-sync-period=3s")
	must(err)
	t.Cleanup(quotas.kill)
	namespaces := theBed.path("app-controllers.log")
	from := size(namespaces)
	kubectl(t, theBed.app, quota, "apply", "-n", clientsLocal, "-f", "-")
	t.Cleanup(func() { app(t, "delete", "-n", clientsLocal, "resourcequota", "claims") })
	must(eventually(deadline, used(0)))

	end, rounds := time.Now().Add(runsFor()), 0
	for ; time.Now().Before(end) || rounds == 0; rounds++ {
		test := fmt.Sprintf("quota-%d", rounds)
		createClaims(t, test, 3)
		must(eventually(deadline, used(3)))
		removeClaims(t, test)
		must(eventually(deadline, used(0)))
		app(t, "create", "namespace", "doomed")
		kubectl(t, theBed.app, claim("doomed", "goes"), "create", "-f", "-")
		app(t, "delete", "namespace", "doomed", "--timeout=60s")
		if complaints := append(errorsIn(quotas.log, 0), errorsIn(namespaces, from)...); len(complaints) > 0 {
			t.Fatalf("after %d rounds:\n%s", rounds+1, strings.Join(complaints, "\n"))
		}
	}
	t.Logf("%d rounds", rounds)
}

func TestANamespaceWithAThousandClaimsIsDeleted(t *testing.T) {
	const count, programs = 1000, 8
	app(t, "create", "namespace", "doomed")
	client := dynamicClient(theBed.app).Resource(claims).Namespace("doomed")
	names := make(chan string)
	failed := make(chan error, programs)
	var all sync.WaitGroup
	for range programs {
		all.Go(func() {
			var last error
			for name := range names {
				if _, err := client.Create(context.Background(), newClaim(name, "thousand"), metav1.CreateOptions{}); err != nil {
					last = err
				}
			}
			failed <- last
		})
	}
	for i := range count {
		names <- fmt.Sprintf("c-%d", i)
	}
	close(names)
	all.Wait()
	for range programs {
		must(<-failed)
	}
	begin := time.Now()
	app(t, "delete", "namespace", "doomed", "--timeout=3m")
	t.Logf("deleted after %s", time.Since(begin).Round(time.Millisecond))
	left, err := dynamicClient(theBed.cp).Resource(claims).Namespace("app-ns-3").List(context.Background(), metav1.ListOptions{})
	must(err)
	if len(left.Items) != 0 {
		t.Fatalf("%d claims outlived their namespace", len(left.Items))
	}
}
