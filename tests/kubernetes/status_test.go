package kubernetes

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

func runStatus(t *testing.T, arguments ...string) string {
	t.Helper()
	cmd := exec.Command(os.Getenv("TEST_BINARY"), append([]string{"status"}, arguments...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+env.path("status.kubeconfig"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func TestStatusShowsCopiesAndProblems(t *testing.T) {
	c := startCopier(t, "status", `{connection: true, namespaces: ["*"], input: [spec.parameters.passwordSecretRef]}`)
	claim := orderClaim(t, "default", "shown", "shown-conn")
	claim.publish(t, map[string]string{"user": "a"})
	awaitValue(t, slowDeadline, "default", "shown-conn", "user", "a")
	address := fmt.Sprintf("127.0.0.1:%d", c.adminPort)
	await(t, registrationTime, func() error {
		// Claims that other tests left behind can make the columns wider.
		text := regexp.MustCompile(" +").ReplaceAllString(runStatus(t, "--address", address), " ")
		for _, part := range []string{
			": claimgate 0.1.0, leader\n",
			"platform yes",
			"k8s.starter.org/v1alpha1 platform kubernetesclusters, networks",
			"CLAIM CONTROLLER LAST SYNC COPIES\n",
			"KubernetesCluster default/shown connection-secrets 20",
			"Z shown-conn\n",
			"EVENTS OF LAST COPY DROPPED\nplatform never 0\n",
			"KubernetesCluster default/shown: spec.parameters.passwordSecretRef.name of the claim is not set",
		} {
			if !strings.Contains(text, part) {
				return fmt.Errorf("no %q in\n%s", part, text)
			}
		}
		return nil
	})

	// Claims that other tests left behind may have problems too, so only the presence of a number above 0 counts.
	metrics := metricsOf(t, c.adminPort)
	for _, part := range []string{
		`claimgate_copy_problems{control_plane="platform",controller="input-secrets",reason="ReferenceNotSet"} `,
		`claimgate_copy_last_sync_timestamp_seconds{control_plane="platform",controller="connection-secrets"} `,
	} {
		if !regexp.MustCompile(regexp.QuoteMeta(part) + "[1-9]").MatchString(metrics) {
			t.Errorf("no %s above 0 in\n%s", part, metrics)
		}
	}

	var reports [][]json.RawMessage
	must(json.Unmarshal([]byte(runStatus(t, "--address", address, "-o", "json")), &reports))
	if len(reports) != 1 || !strings.Contains(string(reports[0][1]), `"lastSync"`) {
		t.Errorf("the report in JSON is %s", reports)
	}
}

// TestStatusReadsPods checks the way through the API server of the app cluster. The daemon listens on the address of a network
// interface, because an API server does not connect to a pod with a loopback address.
func TestStatusReadsPods(t *testing.T) {
	host := interfaceAddress(t)
	i := newInstance("status-pod", "auto")
	c := startSecondClaimgate(t, i)
	forward, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	must(err)
	defer forward.Close()
	l := &link{target: fmt.Sprintf("127.0.0.1:%d", c.adminPort), conns: map[net.Conn]bool{}}
	go func() {
		for {
			conn, err := forward.Accept()
			if err != nil {
				return
			}
			go l.serve(conn)
		}
	}()
	const pod = "{apiVersion: v1, kind: Pod, metadata: {name: claimgate-0, namespace: status-pods, labels: {app.kubernetes.io/name: claimgate}}, spec: {containers: [{name: claimgate, image: none}]}}"
	kubectl(t, env.app, "", "create", "namespace", "status-pods")
	t.Cleanup(func() { env.tryKubectl(env.app.kubeconfig, "", "delete", "namespace", "status-pods", "--wait=false") })
	kubectl(t, env.app, pod, "create", "-f", "-")
	kubectl(t, env.app, "", "-n", "status-pods", "patch", "pod", "claimgate-0", "--subresource=status", "--type=merge", "-p", fmt.Sprintf(`{"status":{"podIP":%q,"podIPs":[{"ip":%[1]q}],"phase":"Running"}}`, host))
	text, err := os.ReadFile(env.app.kubeconfig)
	must(err)
	must(os.WriteFile(env.path("status.kubeconfig"), text, 0o600))
	out := runStatus(t, "--context", "it", "--system-namespace", "status-pods", "--port", fmt.Sprint(forward.Addr().(*net.TCPAddr).Port))
	if !strings.Contains(out, "claimgate-0: claimgate 0.1.0\n") || !strings.Contains(out, "platform       yes") {
		t.Errorf("status says\n%s", out)
	}
}

// interfaceAddress returns an IPv4 address of this machine that is not loopback.
func interfaceAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	must(err)
	for _, address := range addresses {
		network, isNetwork := address.(*net.IPNet)
		if isNetwork && network.IP.To4() != nil && network.IP.IsGlobalUnicast() {
			return network.IP.String()
		}
	}
	t.Skip("this machine has no other address than loopback")
	return ""
}
