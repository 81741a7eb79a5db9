package kubernetes

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// appClusterName is the name of the app cluster in claimgate's configuration.
const appClusterName = "team-a"

// sharedNamespace stores all namespaces of the app cluster in the shared mapping.
const sharedNamespace = "shared-ns-1"

// originKeys are claimgate's own labels and annotations in the shared mapping.
var originKeys = []string{"claimgate.dev/cluster", "claimgate.dev/namespace", "claimgate.dev/name"}

// isShared reports whether the tests run with the shared mapping instead of the table.
func isShared() bool { return os.Getenv("TEST_MAPPING") == "shared" }

// needsTable skips a test about namespaces that are mapped one by one.
func needsTable(t *testing.T) {
	t.Helper()
	if isShared() {
		t.Skip("only with a table of namespaces")
	}
}

// shareNamespaces maps all local namespaces to one.
func shareNamespaces() {
	readNamespaces.remote, writeNamespaces.remote = sharedNamespace, sharedNamespace
	for local := range mapping {
		mapping[local] = sharedNamespace
	}
}

// mappingConfig returns the mapping in claimgate's configuration.
func mappingConfig() string {
	if isShared() {
		return fmt.Sprintf("{namespace: %s, names: readable}", sharedNamespace)
	}
	var rows []string
	for _, local := range slices.Sorted(maps.Keys(mapping)) {
		rows = append(rows, local+": "+mapping[local])
	}
	return "{namespaces: {" + strings.Join(rows, ", ") + "}}"
}

var remoteNamePattern = regexp.MustCompile(`[a-z0-9][a-z0-9.-]*-[0-9a-f]{16}\b`)

// findRemoteNames returns the names of the shared mapping in an answer.
func findRemoteNames(answer []byte) []string {
	return remoteNamePattern.FindAllString(string(answer), 3)
}
