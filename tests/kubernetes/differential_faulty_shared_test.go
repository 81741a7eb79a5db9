package kubernetes

import (
	"bytes"
	"net/http"
	"regexp"
	"strings"
)

// sharedFaults are faults that a proxy is likely to have if objects have other names on the control
// plane, and carry its own labels there.
func sharedFaults() []fault {
	return []fault{
		{name: "forgets a label in apply", afterRequest: loseLabels(func(r *http.Request) bool {
			return strings.HasPrefix(r.Header.Get("Content-Type"), "application/apply-patch")
		}), detectedBy: []string{"apply twice and list"}},
		{name: "does not restore removed labels", changeRequest: markRemovedLabels, afterRequest: loseLabels(func(r *http.Request) bool {
			return r.Header.Get(removedLabelsHeader) != ""
		}), detectedBy: []string{"merge patch that removes all labels, and list"}},
		{name: "does not map Table cells", changeLine: func(line []byte) []byte {
			return firstCell.ReplaceAll(line, []byte("${1}-0123456789abcdef\""))
		}, detectedBy: []string{"get Table", "list Table", "kubectl get kc -A -l side={ns}"}, verdict: verdictLeak},
		{name: "shows another cluster's object in a watch", changeLine: func(line []byte) []byte {
			if !bytes.HasPrefix(line, []byte(`{"type":"ADDED"`)) {
				return line
			}
			return append(line, nameInMetadata.ReplaceAll(line, []byte(`"name":"stranger","namespace"`))...)
		}, detectedBy: []string{"watch JSON", "watch list to its end"}},
	}
}

var (
	firstCell      = regexp.MustCompile(`("cells":\["[a-z0-9-]+)"`)
	nameInMetadata = regexp.MustCompile(`"name":"[^"]*","namespace"`)
)

// removedLabelsHeader marks requests that remove all labels. claimgate does not forward it.
const removedLabelsHeader = "Removes-Labels"

func markRemovedLabels(r *http.Request) {
	rewriteBody(func(body []byte) []byte {
		if bytes.Contains(body, []byte(`"labels":null`)) {
			r.Header.Set(removedLabelsHeader, "yes")
		}
		return body
	})(r)
}

// loseLabels removes a label of claimgate from the object of a request, as if claimgate had not
// written it.
func loseLabels(of func(*http.Request) bool) func(*http.Request) {
	return func(r *http.Request) {
		parts := strings.Split(r.URL.Path, "/")
		if !of(r) || len(parts) != 8 {
			return
		}
		parts[5], parts[7] = sharedNamespace, remoteName(parts[5], parts[7])
		headers := map[string]string{"Content-Type": "application/merge-patch+json"}
		lost := `{"metadata":{"labels":{"` + originKeys[0] + `":null}}}`
		_, _, err := sendRequest(adminClient(), env.controlPlane.port, "PATCH", strings.Join(parts, "/"), lost, headers)
		must(err)
	}
}
