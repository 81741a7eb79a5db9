package kubernetes

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDevPrintsCommandsThatWork runs each command that `claimgate dev` prints in a shell.
func TestDevPrintsCommandsThatWork(t *testing.T) {
	dev := exec.Command(os.Getenv("TEST_BINARY"), "dev", "--dir", t.TempDir())
	dev.Stderr = os.Stderr
	stdout, err := dev.StdoutPipe()
	must(err)
	must(dev.Start())
	defer func() {
		dev.Process.Signal(syscall.SIGTERM)
		if err := dev.Wait(); err != nil {
			t.Errorf("claimgate dev ended with %v", err)
		}
	}()
	var commands []string
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if _, command, found := strings.Cut(line, "Metrics: "); found {
			line = command
		}
		if strings.HasPrefix(line, "kubectl ") || strings.HasPrefix(line, "curl ") {
			commands = append(commands, line)
		}
		if strings.Contains(line, "End with Ctrl-C") {
			break
		}
	}
	wanted := []string{"kubernetesclusters", "created", "True", "KubernetesClusterList", "ADDED", "app-ns-1", "claimgate_requests"}
	if len(commands) != len(wanted) {
		t.Fatalf("%d commands: %q", len(commands), commands)
	}
	for i, command := range commands {
		runPasted(t, command, wanted[i])
	}
}

// runPasted runs a command until it has printed the wanted text, because watches do not end on
// their own.
func runPasted(t *testing.T, command, wanted string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", "exec "+command)
	shell.WaitDelay = time.Second
	stdout, err := shell.StdoutPipe()
	must(err)
	shell.Stderr = shell.Stdout
	must(shell.Start())
	var printed strings.Builder
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for !strings.Contains(printed.String(), wanted) && lines.Scan() {
		printed.WriteString(lines.Text() + "\n")
	}
	cancel()
	shell.Wait()
	if !strings.Contains(printed.String(), wanted) {
		t.Errorf("no %q in the output of %s:\n%s", wanted, command, printed.String())
	}
}
