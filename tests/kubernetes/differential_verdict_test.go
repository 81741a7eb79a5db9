package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"claimgate.dev/tests/kubernetes/compare"
)

// result is a row of the final table.
type result struct {
	operation, verdict string
	// All differences.
	differences string
	reason      string
	fails       bool
	usesKubectl bool
}

// The verdicts on an operation.
const (
	verdictSame              = "same"
	verdictDifferent         = "DIFFERENT"
	verdictNoLongerDifferent = "NO LONGER DIFFERENT"
	verdictRacy              = "racy"
	verdictDifferentOnce     = "DIFFERENT ONCE"
	verdictLeak              = "LEAK"
	verdictNoBaseline        = "DIRECT ANSWER CUT OFF"
)

// operationsMin is the least number of operations without the uncommon ones. At least a third of
// all use kubectl.
const operationsMin = 1500

// differentOnceMax is the number of operations that may differ once and be equal in the second run.
// On a busy machine a watch of one second, or a kubectl timeout, can end on one route before the
// expected event. An intermittent fault affects more operations.
const differentOnceMax = 3

// expectedDifference is a difference that does not fail the test. The file in accepted/ with the
// operation's name contains all differing lines; everything else must be equal. The marker is a
// text that identifies the difference.
type expectedDifference struct{ operation, marker, reason string }

// operationsInParallel is the number of operations at a time.
const operationsInParallel = 6

// compareOperations runs operations on both routes and compares the observations.
func compareOperations(direct, proxied route, operations []operation) []result {
	results := make([]result, len(operations))
	permits := make(chan struct{}, operationsInParallel)
	var all sync.WaitGroup
	for i, o := range operations {
		permits <- struct{}{}
		all.Go(func() {
			defer func() { <-permits }()
			results[i] = compareOperation(direct, proxied, o)
			if results[i].fails {
				results[i] = runAgain(results[i], direct, proxied, o)
			}
		})
	}
	all.Wait()
	// With the shared mapping, all operations use one remote namespace, and can disturb each other.
	for i, o := range operations {
		if results[i].fails && isShared() {
			results[i] = runAgain(results[i], direct, proxied, o)
		}
	}
	return results
}

// runAgain runs an operation that differed with an object of its own.
func runAgain(first result, direct, proxied route, o operation) result {
	o.object = "again-" + o.objectName()
	return decideAfterRetry(first, compareOperation(direct, proxied, o))
}

// decideAfterRetry decides on an operation that differed, after a second run with objects of its
// own. The number of such operations reveals intermittent faults, except for operations that the
// control plane itself answers in two ways. A leak is always a failure.
func decideAfterRetry(first, second result) result {
	switch {
	case first.verdict == verdictLeak:
		return first
	case second.fails:
		return second
	}
	first.verdict, first.fails = verdictDifferentOnce, false
	for _, known := range racyOperations {
		if known.operation == first.operation && strings.Contains(first.differences, known.marker) {
			first.verdict, first.reason = verdictRacy, known.reason
		}
	}
	return first
}

func compareOperation(direct, proxied route, o operation) result {
	var left, right string
	var both sync.WaitGroup
	both.Go(func() { left = direct.observe(o) })
	both.Go(func() { right = proxied.observe(o) })
	both.Wait()
	keepObservations(o.objectName(), left, right)
	// Use the object name of the first run, which the files in accepted/ contain.
	differences := strings.ReplaceAll(compare.Differences(left, right), o.objectName(), objectNameFor(o.name))
	r := decideVerdict(o.name, differences)
	switch {
	case strings.Contains(right, leakMarker):
		r.verdict, r.fails, r.reason = verdictLeak, true, ""
	case strings.Contains(left, compare.NoAnswer) && !slices.Contains(cutOffDirectly, o.name):
		r.verdict, r.fails, r.reason = verdictNoBaseline, true, "a direct answer that ended too early cannot be compared"
	}
	r.usesKubectl = o.commands != nil
	return r
}

// isOlderControlPlane reports whether the control plane runs an older Kubernetes than the lists of
// differences were made for.
func isOlderControlPlane() bool {
	return os.Getenv("TEST_CONTROL_PLANE_BIN") != os.Getenv("KUBERNETES_BIN")
}

func decideVerdict(name, differences string) result {
	r := result{operation: name, verdict: verdictSame, differences: differences}
	if differences != "" {
		r.verdict, r.fails = verdictDifferent, true
	}
	lists := map[string][]expectedDifference{"accepted": acceptedInMode(), "known": knownBugs}
	if isOlderControlPlane() {
		lists["older"] = acceptedWithOlder
	}
	for verdict, list := range lists {
		for _, known := range list {
			switch {
			case known.operation != name:
			case differences == "" && isOlderControlPlane() && slices.Contains(sameWithOlder, name):
			case differences == "":
				r.verdict, r.fails, r.reason = verdictNoLongerDifferent, true, "remove it from the list of "+verdict+" differences"
			case !strings.Contains(differences, known.marker):
			case isAccepted(name, differences):
				r.verdict, r.fails, r.reason = verdict, false, known.reason
			default:
				r.reason = "does not match " + acceptedFiles(name)[0]
			}
		}
	}
	return r
}

// acceptedFiles returns the files with an operation's accepted differences. With an older control
// plane, accepted/older/ comes first, and with the shared mapping accepted/shared/.
func acceptedFiles(name string) []string {
	base := strings.TrimPrefix(objectNameFor(name), "o-") + ".diff"
	files := []string{filepath.Join("accepted", base)}
	if isOlderControlPlane() {
		files = append([]string{filepath.Join("accepted", "older", base)}, files...)
	}
	if isShared() {
		files = append([]string{filepath.Join("accepted", "shared", base)}, files...)
	}
	return files
}

// isAccepted compares with the file. With TEST_ACCEPT it writes the file; review it
// before you commit it.
func isAccepted(name, differences string) bool {
	files := acceptedFiles(name)
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && string(text) == differences {
			return true
		}
	}
	if os.Getenv("TEST_ACCEPT") == "" {
		return false
	}
	must(os.MkdirAll(filepath.Dir(files[0]), 0o755))
	must(os.WriteFile(files[0], []byte(differences), 0o644))
	return true
}

func (r result) row() string {
	row := fmt.Sprintf("%-9s  %s", r.verdict, r.operation)
	if r.verdict != verdictSame {
		row += ": " + r.reason + compare.Brief(r.differences)
	}
	return row
}

// report prints the table and fails the test on unexpected differences.
func report(t *testing.T, results []result) {
	t.Helper()
	var text strings.Builder
	count, seen, objects := map[string]int{}, map[string]bool{}, map[string]string{}
	for _, r := range results {
		count[r.verdict]++
		if seen[r.operation] {
			t.Errorf("two operations are named %q", r.operation)
		}
		seen[r.operation] = true
		if other, known := objects[objectNameFor(r.operation)]; known && other != r.operation {
			t.Errorf("%q and %q use the same object", other, r.operation)
		}
		objects[objectNameFor(r.operation)] = r.operation
		fmt.Fprintln(&text, r.row())
		if r.fails {
			t.Error(r.row())
		}
	}
	if differentOnce := count[verdictDifferentOnce]; differentOnce > differentOnceMax {
		t.Errorf("%d operations differed once, more than %d", differentOnce, differentOnceMax)
	}
	byKubectl := countKubectlOperations(results)
	fmt.Printf("%s%d operations, %d of them with kubectl: %v\n", text.String(), len(results), byKubectl, count)
}

func countKubectlOperations(results []result) int {
	return len(slices.DeleteFunc(slices.Clone(results), func(r result) bool { return !r.usesKubectl }))
}

// assertSuiteIsComplete checks that no operations were lost, and that the lists of differences name
// existing operations.
func assertSuiteIsComplete(t *testing.T, results []result) {
	t.Helper()
	existing := map[string]bool{}
	for _, group := range slices.Concat(commonGroups(), uncommonGroups()) {
		for _, o := range group.operations() {
			existing[o.name] = true
		}
	}
	for _, list := range [][]expectedDifference{acceptedDifferences, sharedDifferences, knownBugs, racyOperations} {
		for _, known := range list {
			if !existing[known.operation] {
				t.Errorf("no operation is named %q", known.operation)
			}
		}
	}
	if byKubectl := countKubectlOperations(results); len(results) < operationsMin || 3*byKubectl < len(results) {
		t.Errorf("%d operations, want at least %d; %d use kubectl, want at least a third", len(results), operationsMin, byKubectl)
	}
}

// remoteItself returns names with which the direct route uses the remote namespace itself.
func remoteItself(local string) namespaceNames {
	return namespaceNames{local, mapping[local], mapping[local]}
}

// assertSameResponse runs an operation on the control plane, as the connector, and in the local
// namespace through the app cluster. The observations must be equal after they are scrubbed. It
// returns the scrubbed observation of the app cluster.
func assertSameResponse(t *testing.T, namespaces namespaceNames, o operation, scrubs ...func(string) string) string {
	t.Helper()
	direct, proxied := routes(t, namespaces)
	left, right := direct.observe(o), proxied.observe(o)
	for _, scrub := range scrubs {
		left, right = scrub(left), scrub(right)
	}
	if differences := compare.Differences(left, right); differences != "" {
		t.Errorf("%s differs\n%s", o.name, differences)
	}
	return right
}
