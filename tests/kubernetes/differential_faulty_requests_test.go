package kubernetes

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"path"
	"regexp"
	"strings"
)

// requestFaults are faults that a proxy is likely to have if it rewrites requests.
func requestFaults() []fault {
	return []fault{
		{name: "decodes and encodes request bodies", changeRequest: rewriteBody(reencode(json.Unmarshal, json.Marshal)),
			detectedBy: []string{"create with duplicate fields", "JSON patch with its path twice, the namespace last", "JSON patch with from twice to parameters"}},
		{name: "decodes and encodes request bodies and keeps numbers", changeRequest: rewriteBody(reencode(unmarshalNumbers, marshalPlain)),
			detectedBy: []string{"create with duplicate fields, Strict", "merge patch with duplicate fields, strictly", "JSON patch with its operation twice, a test last"}},
		{name: "drops a body's first key", changeRequest: rewriteBody(func(body []byte) []byte { return firstKey.ReplaceAll(body, []byte("{")) }), detectedBy: []string{"delete with options", "create"}},
		{name: "does not map bodies", changeRequest: rewriteBody(putRemoteNames(`"namespace":"`, `"`)),
			detectedBy: []string{"create", "update", "update scale", "merge patch of its namespace", "JSON patch that adds the whole object at its version", "kubectl apply"}},
		{name: "does not map the last-applied annotation", changeRequest: rewriteBody(putRemoteNames(`\"namespace\":\"`, `\"`)), detectedBy: []string{"create with a last-applied annotation", "JSON patch of the last-applied annotation"}, verdict: verdictLeak},
		{name: "does not map YAML", changeRequest: rewriteBody(putRemoteNames(`namespace: "`, `"`)), detectedBy: []string{"create in YAML", "apply YAML", "apply YAML in one line"}},
		{name: "does not map JSON patches", changeRequest: rewriteBody(putRemoteNames(`"value":"`, `"`)), detectedBy: []string{"JSON patch that tests the namespace", "JSON patch that tests a pointer with a JSON escape", "JSON patch on scale that replaces the namespace with itself"}},
		{name: "drops the bodies of DELETE requests", changeRequest: func(r *http.Request) {
			if r.Method == http.MethodDelete {
				setBody(r, nil)
			}
		}, detectedBy: []string{"delete with another version", "delete as a dry run in options", "delete with options in CBOR, accept CBOR"}},
		{name: "does not map selectors", changeRequest: inQuery(regexp.MustCompile(`(metadata\.namespace(?:%3D)+)(`+readNamespaces.local+`|`+writeNamespaces.local+`)\b`), "${1}nowhere"),
			detectedBy: []string{"list by namespace", "legacy path for all namespaces by namespace", "watch all namespaces by namespace JSON"}},
		dropParameter("fieldManager", "create with a field manager", "apply", "apply status", "kubectl apply on the server with a conflict"),
		dropParameter("dryRun", "create as a dry run", "update as a dry run", "merge patch as a dry run", "apply as a dry run", "delete as a dry run", "kubectl create as a dry run"),
		dropParameter("fieldValidation", "create with unknown fields, Strict", "JSON patch with an unknown field, strictly", "apply a duplicate field, strictly"),
		dropParameter("force", "apply with force"),
		dropParameter("limit", "pages", "list own claims at an empty version", "pages at version 0"),
		dropParameter("continue", "pages", "pages of a Table"),
		dropParameter("pretty", "get pretty", "scale pretty"),
		dropParameter("includeObject", "get Table without objects", "scale as Table with objects"),
		dropParameter("resourceVersion", "get at a future version", "future version, list", "list own claims at version 0, exactly", "delete a collection at version 1"),
		dropParameter("resourceVersionMatch", "list at exactly an older version", "watch own claims from an empty version, with matches"),
		dropParameter("sendInitialEvents", "watch list to its end", "initial events of own claims from version 0"),
		dropParameter("watch", "boolean 1, watch=F", "boolean 7 in all namespaces, watch=1"),
		dropParameter("labelSelector", "list by a label"),
		dropParameter("propagationPolicy", "delete with propagationPolicy=sideways"),
		{name: "drops Accept", changeRequest: func(r *http.Request) { r.Header.Del("Accept") }, detectedBy: []string{"get Table", "get YAML", "read as only CBOR", "metadata v1beta1 by watch list", "kubectl get kc -n {ns}"}},
		{name: "drops q-values", changeRequest: inHeader("Accept", regexp.MustCompile(`;q=[0-9.]+`), ""), detectedBy: []string{"get JSON with a lower q-value than YAML", "get Table with a higher q-value"}},
		{name: "drops types other than JSON from Accept", changeRequest: inHeader("Accept", regexp.MustCompile(`application/(cbor|yaml)[^,]*,`), ""), detectedBy: []string{"get YAML before JSON"}},
		{name: "drops content type parameters", changeRequest: inHeader("Content-Type", regexp.MustCompile(`;.*`), ""), detectedBy: []string{"content type 0, Content-Type: application/json; charset"}},
		{name: "declares other bodies as JSON", changeRequest: inHeader("Content-Type", regexp.MustCompile(`application/(cbor|yaml|.*protobuf).*`), "application/json"), detectedBy: []string{"update in CBOR", "create in YAML", "create in CBOR, accept protobuf"}},
		{name: "drops User-Agent", changeRequest: func(r *http.Request) { r.Header.Set("User-Agent", "proxy/1") }, detectedBy: []string{"create", "get by curl", "scale pretty"}},
		{name: "cleans paths", changeRequest: func(r *http.Request) { r.URL.Path, r.URL.RawPath = path.Clean(r.URL.Path), "" }, detectedBy: []string{"double slash in a path"}},
	}
}

var firstKey = regexp.MustCompile(`^\{"[^"]*":"[^"]*",`)

// dropParameter is a fault that removes a query parameter.
func dropParameter(parameter string, found ...string) fault {
	one := regexp.MustCompile(`(^|&)` + parameter + `=[^&]*`)
	return fault{name: "drops " + parameter, changeRequest: inQuery(one, ""), detectedBy: found}
}

func inQuery(what *regexp.Regexp, with string) func(*http.Request) {
	return func(r *http.Request) { r.URL.RawQuery = what.ReplaceAllString(r.URL.RawQuery, with) }
}

func inHeader(name string, what *regexp.Regexp, with string) func(*http.Request) {
	return func(r *http.Request) {
		for i, value := range r.Header.Values(name) {
			r.Header[name][i] = what.ReplaceAllString(value, with)
		}
	}
}

// putRemoteNames replaces local names between these texts with remote ones.
func putRemoteNames(before, after string) func([]byte) []byte {
	return func(body []byte) []byte {
		for _, names := range []namespaceNames{readNamespaces, writeNamespaces} {
			body = bytes.ReplaceAll(body, []byte(before+names.local+after), []byte(before+names.remote+after))
		}
		return body
	}
}

// rewriteBody changes a request body as a whole.
func rewriteBody(changed func([]byte) []byte) func(*http.Request) {
	return func(r *http.Request) {
		if r.Body == nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err == nil && len(body) > 0 && !strings.Contains(r.Header.Get("Content-Type"), "protobuf") {
			body = changed(body)
		}
		setBody(r, body)
	}
}

func setBody(r *http.Request, body []byte) {
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header.Del("Content-Length")
}
