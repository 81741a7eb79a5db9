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

// result is a row of the table at the end.
type result struct {
	operation, verdict string
	// All that differs.
	differences string
	why         string
	fails       bool
	isByKubectl bool
}

// What an operation can be found to be.
const (
	isSame          = "same"
	isDifferent     = "DIFFERENT"
	isNoLonger      = "NO LONGER DIFFERENT"
	isRacy          = "racy"
	isDifferentOnce = "DIFFERENT ONCE"
	isLeak          = "LEAK"
	isNoMeasure     = "BROKEN OFF DIRECTLY"
)

// operationsMin is how many operations there are at least, without the odd ones, and of kubectl there is one in
// three.
const operationsMin = 1500

// differentOnceMax is the number of operations that may be different once and then the same. On a busy
// machine a watch of a second, or kubectl's patience, ends on one side before what it waits for came. A
// fault that comes and goes is in more of them.
const differentOnceMax = 3

// tolerated is a difference that does not fail the test. What differs is in a file of the
// operation's name in accepted/, all of it, and what is not there has to be the same. The text is one
// to know it by that claimgate's side has in it.
type tolerated struct{ operation, through, why string }

// concurrently is the number of operations at once.
const concurrently = 6

// runBothWays carries operations out on both sides and compares what is seen.
func runBothWays(direct, through side, operations []operation) []result {
	results := make([]result, len(operations))
	places := make(chan struct{}, concurrently)
	var all sync.WaitGroup
	for i, o := range operations {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			results[i] = runOneBothWays(direct, through, o)
			if results[i].fails {
				o.object = "again-" + o.own()
				results[i] = judgeTwo(results[i], runOneBothWays(direct, through, o))
			}
		})
	}
	all.Wait()
	return results
}

// judgeTwo judges an operation that was different once, by a second try with objects of its own. Whether a
// fault that comes and goes is behind it tells their number, unless it is known that the control plane
// itself answers the same in two ways. A leak is one also when it comes and goes.
func judgeTwo(first, second result) result {
	switch {
	case first.verdict == isLeak:
		return first
	case second.fails:
		return second
	}
	first.verdict, first.fails = isDifferentOnce, false
	for _, known := range racyOperations {
		if known.operation == first.operation && strings.Contains(first.differences, known.through) {
			first.verdict, first.why = isRacy, known.why
		}
	}
	return first
}

func runOneBothWays(direct, through side, o operation) result {
	var left, right string
	var both sync.WaitGroup
	both.Go(func() { left = direct.observe(o) })
	both.Go(func() { right = through.observe(o) })
	both.Wait()
	keepObservations(o.own(), left, right)
	// By the name that is in the files of differences, also when it is done again.
	differences := strings.ReplaceAll(compare.Differences(left, right), o.own(), slug(o.name))
	r := judge(o.name, differences)
	switch {
	case strings.Contains(right, leak):
		r.verdict, r.fails, r.why = isLeak, true, ""
	case strings.Contains(left, compare.NoAnswer) && !slices.Contains(brokenOffDirectly, o.name):
		r.verdict, r.fails, r.why = isNoMeasure, true, "an answer that ended too early is no measure"
	}
	r.isByKubectl = o.commands != nil
	return r
}

// isOlder says that the control plane is, of which the lists of differences were not made.
func isOlder() bool { return os.Getenv("BED_CONTROL_PLANE_BIN") != os.Getenv("KUBERNETES_BIN") }

func judge(name, differences string) result {
	r := result{operation: name, verdict: isSame, differences: differences}
	if differences != "" {
		r.verdict, r.fails = isDifferent, true
	}
	lists := map[string][]tolerated{"accepted": acceptedDifferences, "known": knownDifferences}
	if isOlder() {
		lists["older"] = olderDifferences
	}
	for verdict, list := range lists {
		for _, known := range list {
			switch {
			case known.operation != name:
			case differences == "" && isOlder() && slices.Contains(sameWithOlder, name):
			case differences == "":
				r.verdict, r.fails, r.why = isNoLonger, true, "strike it from the list of "+verdict+" differences"
			case !strings.Contains(differences, known.through):
			case isAccepted(name, differences):
				r.verdict, r.fails, r.why = verdict, false, known.why
			default:
				r.why = "not as in " + acceptedFiles(name)[0]
			}
		}
	}
	return r
}

// acceptedFiles are where an operation's differences are, which may be others with an older control plane.
func acceptedFiles(name string) []string {
	base := strings.TrimPrefix(slug(name), "o-") + ".diff"
	files := []string{filepath.Join("accepted", base)}
	if isOlder() {
		files = append([]string{filepath.Join("accepted", "older", base)}, files...)
	}
	return files
}

// isAccepted compares with the file; with BED_ACCEPT it is written, to be looked at before it is kept.
func isAccepted(name, differences string) bool {
	files := acceptedFiles(name)
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && string(text) == differences {
			return true
		}
	}
	if os.Getenv("BED_ACCEPT") == "" {
		return false
	}
	must(os.MkdirAll(filepath.Dir(files[0]), 0o755))
	must(os.WriteFile(files[0], []byte(differences), 0o644))
	return true
}

func (r result) row() string {
	row := fmt.Sprintf("%-9s  %s", r.verdict, r.operation)
	if r.verdict != isSame {
		row += ": " + r.why + compare.Brief(r.differences)
	}
	return row
}

// report prints the table, and fails on what is not tolerated.
func report(t *testing.T, results []result) {
	t.Helper()
	var text strings.Builder
	count, seen, objects := map[string]int{}, map[string]bool{}, map[string]string{}
	for _, r := range results {
		count[r.verdict]++
		if seen[r.operation] {
			t.Errorf("two operations are called %q", r.operation)
		}
		seen[r.operation] = true
		if other, known := objects[slug(r.operation)]; known && other != r.operation {
			t.Errorf("%q and %q have one object between them", other, r.operation)
		}
		objects[slug(r.operation)] = r.operation
		fmt.Fprintln(&text, r.row())
		if r.fails {
			t.Error(r.row())
		}
	}
	if once := count[isDifferentOnce]; once > differentOnceMax {
		t.Errorf("%d operations were different once, more than %d", once, differentOnceMax)
	}
	byKubectl := countByKubectl(results)
	fmt.Printf("%s%d operations, %d of them kubectl's: %v\n", text.String(), len(results), byKubectl, count)
}

func countByKubectl(results []result) int {
	return len(slices.DeleteFunc(slices.Clone(results), func(r result) bool { return !r.isByKubectl }))
}

// isWhole looks whether operations were lost, and whether the lists of differences name such as there are.
func isWhole(t *testing.T, results []result) {
	t.Helper()
	there := map[string]bool{}
	for _, theme := range slices.Concat(themes(), oddThemes()) {
		for _, o := range theme.operations() {
			there[o.name] = true
		}
	}
	for _, list := range [][]tolerated{acceptedDifferences, knownDifferences, racyOperations} {
		for _, known := range list {
			if !there[known.operation] {
				t.Errorf("no operation is called %q", known.operation)
			}
		}
	}
	if byKubectl := countByKubectl(results); len(results) < operationsMin || 3*byKubectl < len(results) {
		t.Errorf("%d operations are fewer than %d, or %d of kubectl less than a third", len(results), operationsMin, byKubectl)
	}
}
