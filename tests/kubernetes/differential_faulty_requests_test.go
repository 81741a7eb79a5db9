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

// requestFaults are those that a proxy is likely to have which rewrites requests.
func requestFaults() []fault {
	return []fault{
		{name: "decodes and encodes what it is sent", ask: sends(encodedAnew(json.Unmarshal, json.Marshal)),
			found: []string{"create with duplicate fields", "JSON patch with its path twice, the namespace last", "JSON patch with from twice to parameters"}},
		{name: "decodes and encodes what it is sent, with care for numbers", ask: sends(encodedAnew(unmarshalNumbers, marshalPlain)),
			found: []string{"create with duplicate fields, Strict", "merge patch with duplicate fields, strictly", "JSON patch with its operation twice, a test last"}},
		{name: "drops a body's first key", ask: sends(func(body []byte) []byte { return firstKey.ReplaceAll(body, []byte("{")) }), found: []string{"delete with options", "create"}},
		{name: "forgets bodies", ask: sends(remoteIn(`"namespace":"`, `"`)),
			found: []string{"create", "update", "update scale", "merge patch of its namespace", "JSON patch that adds all at its version", "kubectl apply"}},
		{name: "forgets the last applied", ask: sends(remoteIn(`\"namespace\":\"`, `\"`)), found: []string{"create with the last applied", "JSON patch of the last applied"}, verdict: isLeak},
		{name: "forgets YAML", ask: sends(remoteIn(`namespace: "`, `"`)), found: []string{"create in YAML", "apply YAML", "apply YAML of one line"}},
		{name: "forgets JSON patches", ask: sends(remoteIn(`"value":"`, `"`)), found: []string{"JSON patch that tests the namespace", "JSON patch of a pointer with an escape of JSON", "JSON patch on scale that replaces the namespace by itself"}},
		{name: "forgets deletions' bodies", ask: func(r *http.Request) {
			if r.Method == http.MethodDelete {
				setBody(r, nil)
			}
		}, found: []string{"delete of another version", "delete dry by options", "delete with options in CBOR and take it"}},
		{name: "forgets selectors", ask: inQuery(regexp.MustCompile(`(metadata\.namespace(?:%3D)+)(`+reading.local+`|`+writing.local+`)\b`), "${1}nowhere"),
			found: []string{"list by namespace", "legacy everywhere by namespace", "watch everywhere by namespace JSON"}},
		drops("fieldManager", "create as a manager", "apply", "apply status", "kubectl apply on the server into a conflict"),
		drops("dryRun", "create dry", "update dry", "merge patch dry", "apply dry", "delete dry", "kubectl create dry"),
		drops("fieldValidation", "create with unknown fields, Strict", "JSON patch strictly", "apply a duplicate field, strictly"),
		drops("force", "apply by force"),
		drops("limit", "pages", "claims of an empty version", "pages of version 0"),
		drops("continue", "pages", "pages of a Table"),
		drops("pretty", "get pretty", "scale pretty"),
		drops("includeObject", "get Table without objects", "scale as Table with objects"),
		drops("resourceVersion", "get of a future version", "future version, list", "claims of version 0, exactly", "delete a collection of version 1"),
		drops("resourceVersionMatch", "list exactly a version gone by", "events from an empty version, by matches"),
		drops("sendInitialEvents", "watch list to its end", "initial events from version 0"),
		drops("watch", "truth 1, watch=F", "truth 7 everywhere, watch=1"),
		drops("labelSelector", "list by a label"),
		drops("propagationPolicy", "delete with propagationPolicy=sideways"),
		{name: "drops Accept", ask: func(r *http.Request) { r.Header.Del("Accept") }, found: []string{"get Table", "get YAML", "read as CBOR alone", "metadata v1beta1 by watch list", "kubectl get kc -n {ns}"}},
		{name: "drops weights", ask: inHeader("Accept", regexp.MustCompile(`;q=[0-9.]+`), ""), found: []string{"get JSON of less weight than YAML", "get Table of more weight"}},
		{name: "drops what is no JSON of Accept", ask: inHeader("Accept", regexp.MustCompile(`application/(cbor|yaml)[^,]*,`), ""), found: []string{"get YAML before JSON"}},
		{name: "drops parameters of bodies' types", ask: inHeader("Content-Type", regexp.MustCompile(`;.*`), ""), found: []string{"type 0, Content-Type: application/json; charset"}},
		{name: "takes other bodies for JSON", ask: inHeader("Content-Type", regexp.MustCompile(`application/(cbor|yaml|.*protobuf).*`), "application/json"), found: []string{"update in CBOR", "create in YAML", "create in CBOR and take protobuf"}},
		{name: "drops User-Agent", ask: func(r *http.Request) { r.Header.Set("User-Agent", "proxy/1") }, found: []string{"create", "get by curl", "scale pretty"}},
		{name: "cleans paths", ask: func(r *http.Request) { r.URL.Path, r.URL.RawPath = path.Clean(r.URL.Path), "" }, found: []string{"slash twice in a path"}},
	}
}

var firstKey = regexp.MustCompile(`^\{"[^"]*":"[^"]*",`)

// drops is the fault of leaving out a parameter of the query.
func drops(parameter string, found ...string) fault {
	one := regexp.MustCompile(`(^|&)` + parameter + `=[^&]*`)
	return fault{name: "drops " + parameter, ask: inQuery(one, ""), found: found}
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

// remoteIn puts remote names in place of local ones between these texts.
func remoteIn(before, after string) func([]byte) []byte {
	return func(body []byte) []byte {
		for _, names := range []pair{reading, writing} {
			body = bytes.ReplaceAll(body, []byte(before+names.local+after), []byte(before+names.remote+after))
		}
		return body
	}
}

// sends changes what is sent as a whole.
func sends(changed func([]byte) []byte) func(*http.Request) {
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
