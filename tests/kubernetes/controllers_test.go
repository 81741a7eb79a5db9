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

const quotaManifest = `apiVersion: v1
kind: ResourceQuota
metadata: {name: claims}
spec: {hard: {count/kubernetesclusters.k8s.starter.org: "100"}}
`

// harmlessLines appear in the logs of a healthy controller: an unset flag, and a write that
// conflicted and is retried.
var harmlessLines = []string{"The manifest file is empty", "the object has been modified"}

// errorLines returns the lines of a klog log that report an error or an interrupted watch.
func errorLines(log string, from int64) (all []string) {
	text, err := os.ReadFile(log)
	must(err)
	for _, line := range strings.Split(string(text[from:]), "\n") {
		reportsError := strings.HasPrefix(line, "E") || strings.Contains(line, "Warning: watch")
		if reportsError && !slices.ContainsFunc(harmlessLines, func(what string) bool { return strings.Contains(line, what) }) {
			all = append(all, line)
		}
	}
	return all
}

func fileSize(log string) int64 {
	info, err := os.Stat(log)
	must(err)
	return info.Size()
}

// TestAppClusterControllersLogNoErrors can run next to other work for long. So it uses the PING
// interval and timeout of a production installation: a busy machine can delay a PING by a second.
func init() {
	if os.Getenv("TEST_CONTROLLERS_FOR") != "" {
		pingInterval, pingTimeout = 30*time.Second, 15*time.Second
	}
}

// controllersDuration returns how long the controllers are observed, from
// TEST_CONTROLLERS_FOR.
func controllersDuration() time.Duration {
	text := os.Getenv("TEST_CONTROLLERS_FOR")
	if text == "" {
		return 10 * time.Second
	}
	duration, err := time.ParseDuration(text)
	must(err)
	return duration
}

// checkQuota compares the count of the quota controller.
func checkQuota(want int) func() error {
	return func() error {
		out, err := env.tryKubectl(env.app.kubeconfig, "", "get", "-n", clientsLocal, "resourcequota", "claims",
			"-o", `jsonpath={.status.used.count/kubernetesclusters\.k8s\.starter\.org}`)
		if err == nil && out != fmt.Sprint(want) {
			err = fmt.Errorf("quota counts %q claims, want %d", out, want)
		}
		return err
	}
}

// TestAppClusterControllersLogNoErrors runs the app cluster's namespace and quota controllers with
// claims, round after round, and checks their logs.
func TestAppClusterControllersLogNoErrors(t *testing.T) {
	// The quota controller is a process of its own: in the other tests, a watch of claims shows
	// that the garbage collector is ready. Creating claims does not pass the app cluster's
	// admission, so the quota controller counts them only at its next full sync.
	quotas, err := env.run("app-quota", filepath.Join(env.app.bin, "kube-controller-manager"), "--kubeconfig", env.app.kubeconfig,
		"--leader-elect=false", "--secure-port=0", "--controllers=resourcequota-controller", "--resource-quota-sync-period=3s")
	must(err)
	t.Cleanup(quotas.kill)
	// Until its next look at discovery, the garbage collector would watch resources that other tests have removed.
	env.app.controllers.kill()
	must(env.startControllers(env.app))
	namespaces := env.app.controllers.log
	from := fileSize(namespaces)
	kubectl(t, env.app, quotaManifest, "apply", "-n", clientsLocal, "-f", "-")
	t.Cleanup(func() { inAppCluster(t, "delete", "-n", clientsLocal, "resourcequota", "claims") })
	must(eventually(deadline, checkQuota(0)))

	end, rounds := time.Now().Add(controllersDuration()), 0
	for ; time.Now().Before(end) || rounds == 0; rounds++ {
		test := fmt.Sprintf("quota-%d", rounds)
		createClaims(t, test, 3)
		must(eventually(deadline, checkQuota(3)))
		removeClaims(t, test)
		must(eventually(deadline, checkQuota(0)))
		inAppCluster(t, "create", "namespace", "doomed")
		kubectl(t, env.app, claim("doomed", "goes"), "create", "-f", "-")
		inAppCluster(t, "delete", "namespace", "doomed", "--timeout=60s")
		if problems := append(errorLines(quotas.log, 0), errorLines(namespaces, from)...); len(problems) > 0 {
			t.Fatalf("after %d rounds:\n%s", rounds+1, strings.Join(problems, "\n"))
		}
	}
	t.Logf("%d rounds", rounds)
}

func TestNamespaceWithThousandClaimsIsDeleted(t *testing.T) {
	const count, programs = 1000, 8
	inAppCluster(t, "create", "namespace", "doomed")
	client := dynamicClient(env.app).Resource(claims).Namespace("doomed")
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
	inAppCluster(t, "delete", "namespace", "doomed", "--timeout=3m")
	t.Logf("deleted after %s", time.Since(begin).Round(time.Millisecond))
	left, err := stored(claims, "doomed").List(context.Background(), metav1.ListOptions{LabelSelector: "test=thousand"})
	must(err)
	if len(left.Items) != 0 {
		t.Fatalf("%d claims remain after their namespace was deleted", len(left.Items))
	}
}
