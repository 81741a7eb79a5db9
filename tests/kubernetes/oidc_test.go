package kubernetes

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const notTrusted = "does not trust tokens of the app cluster"

// startIssuer starts an app cluster whose API server is the issuer of its tokens, and a control plane with a file for
// --authentication-config. Until the end of the test, they are those of the environment. It returns the path of the file.
func startIssuer(t *testing.T) string {
	t.Helper()
	file := env.path("authentication.yaml")
	must(os.WriteFile(file, []byte("apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n"), 0o600))
	app := startEmptyCluster(t, "issuer", os.Getenv("TEST_APP_BIN"), func(c *cluster) {
		c.args[slices.Index(c.args, "--service-account-issuer")+1] = fmt.Sprintf("https://localhost:%d", c.port)
	})
	platform := startEmptyCluster(t, "trusting", os.Getenv("TEST_CONTROL_PLANE_BIN"), func(c *cluster) {
		c.args = append(c.args, "--authentication-config", file)
	})
	before := *env
	env.app, env.controlPlane = app, platform
	t.Cleanup(func() { env.app, env.controlPlane = before.app, before.controlPlane })
	return file
}

// command runs connect until it ends, and returns stdout and stderr.
func (c connection) command(more ...string) (string, string, error) {
	var stdout, stderr strings.Builder
	cmd := exec.Command(os.Getenv("TEST_BINARY"), append(append([]string{"connect"}, c.arguments...), more...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	return stdout.String(), stderr.String(), err
}

// TestConnectWithTokensOfTheAppCluster follows the instructions of connect until the control plane trusts the tokens.
func TestConnectWithTokensOfTheAppCluster(t *testing.T) {
	authentication := startIssuer(t)
	createQueueAPI(t)
	app, platform := objectNames(t, env.app), objectNames(t, env.controlPlane)
	c := newConnection(t)
	oidc := []string{"--credential", "oidc", "--image", "registry.example.org/claimgate:1"}

	_, stderr, err := c.command(oidc...)
	if err == nil || !strings.Contains(stderr, notTrusted) {
		t.Fatalf("connect to a control plane that does not trust the app cluster: %v\n%s", err, stderr)
	}
	for _, name := range objectNames(t, env.app) {
		if strings.HasPrefix(name, "Deployment") || strings.HasPrefix(name, "Secret") {
			t.Errorf("connect created %s before the control plane trusts the app cluster", name)
		}
	}
	followInstructions(t, authentication, stderr)

	// The control plane reads its file a little later. A connect that it trusts waits for the pods.
	var connect *process
	await(t, slowDeadline, func() error {
		if connect == nil {
			connect = c.run(t, oidc...)
		}
		select {
		case <-connect.done:
			connect = nil
			return fmt.Errorf("connect has ended")
		default:
		}
		_, err := env.tryKubectl(env.app.kubeconfig, "", "get", "deployment", "-n", "connected-system", "claimgate")
		return err
	})
	daemon := startPod(t, "connected-system", "claimgate")
	<-connect.done
	if code := connect.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("connect: exit code %d", code)
	}
	awaitSuccess(t, env.app, queue("orders"), "apply", "-f", "-")
	stored := kubectl(t, env.controlPlane, "", "get", "queues", "-n", "connected", "-o", "name")
	if !strings.Contains(stored, "/orders-") {
		t.Errorf("the control plane stores %q", stored)
	}

	// There is nothing to steal, and no other ServiceAccount is trusted.
	if all := objectNames(t, env.app); slices.Contains(all, "Secret connected-system/claimgate-platform") {
		t.Error("the app cluster stores a token of the control plane")
	}
	if all := objectNames(t, env.controlPlane); slices.Contains(all, "ServiceAccount connected/claimgate-app-one") {
		t.Error("the control plane has a ServiceAccount for the daemon")
	}
	whoami := func(account string) int {
		kubectl(t, env.app, fmt.Sprintf("{apiVersion: v1, kind: ServiceAccount, metadata: {name: %s, namespace: connected-system}}", account), "apply", "-f", "-")
		token := accountToken(t, "connected-system", account, "--audience", "claimgate")
		status, _, err := sendRequest(userClient(""), env.controlPlane.port, "GET", "/api", "", map[string]string{"Authorization": "Bearer " + token})
		must(err)
		return status
	}
	if daemon, other := whoami("claimgate"), whoami("other"); daemon != 200 || other != 401 {
		t.Errorf("the control plane answers the daemon with %d, and another ServiceAccount with %d", daemon, other)
	}

	if out, err := c.disconnect("--claims", "delete"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := daemon.terminate(slowDeadline); err != nil {
		t.Fatal(err)
	}
	awaitObjectNames(t, env.controlPlane, platform)

	t.Run("printed", func(t *testing.T) { printWithoutCredential(t, c) })
	kubectl(t, env.app, "", "delete", "clusterrolebinding", "claimgate-issuer-discovery")
	awaitObjectNames(t, env.app, app)
	awaitObjectNames(t, env.controlPlane, platform)
}

// followInstructions does what connect says: it writes the file, and runs the command.
func followInstructions(t *testing.T, authentication, output string) {
	t.Helper()
	document := regexp.MustCompile(`(?s)apiVersion: apiserver.config.*?\n\n`).FindString(output)
	command := regexp.MustCompile(`kubectl --context app (.*)`).FindStringSubmatch(output)
	if document == "" || command == nil {
		t.Fatalf("connect does not say what to do:\n%s", output)
	}
	kubectl(t, env.app, "", strings.Fields(command[1])...)
	must(os.WriteFile(authentication, []byte(document), 0o600))
}

// printWithoutCredential applies what connect prints. Then the command can check the trust.
func printWithoutCredential(t *testing.T, c connection) {
	printing := []string{"--credential", "oidc", "--image", "registry.example.org/claimgate:1", "--print"}
	printed, stderr, err := c.command(printing...)
	if err != nil || !strings.Contains(stderr, "run this command again") || strings.Contains(printed, "claimgate-platform") {
		t.Fatalf("%v\n%s%s", err, printed, stderr)
	}
	kubectl(t, env.app, printed, "apply", "-f", "-")
	again, stderr, err := c.command(printing...)
	if err != nil || again != printed || !strings.Contains(stderr, "trusts tokens of the app cluster") {
		t.Errorf("%v\n%s%s", err, again, stderr)
	}
	daemon := startPod(t, "connected-system", "claimgate")
	awaitSuccess(t, env.app, "", "get", "queues")
	if out, err := c.disconnect("--claims", "delete"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := daemon.terminate(slowDeadline); err != nil {
		t.Fatal(err)
	}
}

// TestConnectRejectsUnusableTokensOfTheAppCluster checks that nothing is written.
func TestConnectRejectsUnusableTokensOfTheAppCluster(t *testing.T) {
	createQueueAPI(t)
	platform := objectNames(t, env.controlPlane)
	const image = "--image=registry.example.org/claimgate:1"
	for text, options := range map[string][]string{
		"needs a pod":              {"--serve"},
		"remove --credential-file": {image, "--print", "--credential-file", env.path("unused.yaml")},
		// The clusters of the environment have the same one.
		`both clusters have the issuer "https://kubernetes.default.svc"`: {image},
	} {
		_, stderr, err := newConnection(t).command(append(options, "--credential", "oidc")...)
		if err == nil || !strings.Contains(stderr, text) {
			t.Errorf("connect does not say %q: %v\n%s", text, err, stderr)
		}
	}
	awaitObjectNames(t, env.controlPlane, platform)
}
