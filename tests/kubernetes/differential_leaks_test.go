package kubernetes

import (
	"bytes"
	"encoding/base64"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// leakMarker marks an observation that contains a forbidden name. Such a difference is never
// accepted.
const leakMarker = "\nLEAK of "

// remoteNamespaces are the control plane's namespaces. Clients of the app cluster must never see
// them.
func remoteNamespaces() []string {
	names := slices.Concat(slices.Collect(maps.Values(mapping)), foreignNamespaces, []string{readNamespaces.direct, writeNamespaces.direct})
	if isShared() {
		names = append(names, originKeys...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// base64Word matches text that can be base64. Continue tokens are, and their content is not
// compared.
var base64Word = regexp.MustCompile(`[A-Za-z0-9_-]{16,}`)

// findLeaks returns a marker for each forbidden name in an answer or in a token in it.
func (s route) findLeaks(answer ...[]byte) string {
	if s.forbiddenNames == nil {
		return ""
	}
	texts := slices.Clone(answer)
	for _, word := range base64Word.FindAll(bytes.Join(answer, []byte("\n")), -1) {
		if text, err := base64.RawURLEncoding.DecodeString(string(word)); err == nil {
			texts = append(texts, text)
		}
	}
	var leaks strings.Builder
	if isShared() {
		for _, name := range findRemoteNames(bytes.Join(answer, []byte("\n"))) {
			leaks.WriteString(leakMarker + name)
		}
	}
	for _, name := range s.forbiddenNames {
		if slices.ContainsFunc(texts, func(text []byte) bool { return bytes.Contains(text, []byte(name)) }) {
			leaks.WriteString(leakMarker + name)
		}
	}
	return leaks.String()
}

// assertNoLeaks checks that an answer of the app cluster contains no name of the control plane.
func assertNoLeaks(t *testing.T, answer string) {
	t.Helper()
	if leaks := (route{forbiddenNames: remoteNamespaces()}).findLeaks([]byte(answer)); leaks != "" {
		t.Fatalf("%s in:\n%s", leaks, answer)
	}
}

// mentions reports whether the operation itself sends a name. Then the answer may contain it.
func (o operation) mentions(name string) bool {
	return slices.ContainsFunc(slices.Concat(o.steps, o.after), func(s step) bool {
		return strings.Contains(s.path+s.body, name) || slices.ContainsFunc(s.headers, func(header string) bool {
			return strings.Contains(header, name)
		})
	})
}
