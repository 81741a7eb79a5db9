package kubernetes

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// etcd calls the control plane's etcd, by its gateway for JSON.
func etcd(call, body string) error {
	response, err := http.Post(theBed.cp.args[1]+"/v3/kv/"+call, "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("etcd: %s %s: %s %s", call, body, response.Status, text)
	}
	return err
}

// longAgo is a version of before the first claim. kube-apiserver has no snapshot of it (KEP-2340), and
// etcd has forgotten it once compactVersions was called.
const longAgo = "5"

// compactVersions lets etcd forget what was long ago, if it has not by now, as kube-apiserver has it do every
// five minutes.
func compactVersions() {
	err := etcd("compaction", `{"revision":"`+longAgo+`0"}`)
	if err != nil && !strings.Contains(err.Error(), "has been compacted") {
		panic(err)
	}
}

var versionOfToken = regexp.MustCompile(`"rv":\d+`)

// aged is a continue token as it would have been long ago.
func aged(token string) string {
	own, coded := "", token
	if at := strings.LastIndexByte(token, '.'); at >= 0 {
		own, coded = token[:at+1], token[at+1:]
	}
	text, err := base64.RawURLEncoding.DecodeString(coded)
	if err != nil || !versionOfToken.Match(text) {
		return "no token"
	}
	return own + base64.RawURLEncoding.EncodeToString(versionOfToken.ReplaceAll(text, []byte(`"rv":`+longAgo)))
}

// expiredOperations ask for what was long ago, by tokens and by versions, and go on with the token that
// the refusal has.
func expiredOperations() []operation {
	begin := func(path string) step {
		s := get(path + "limit=2").keeping("continue=metadata.continue")
		s.isAged = true
		return s
	}
	var all []operation
	for _, where := range []struct{ name, path string }{
		{"", resourcePath + "?"},
		{" everywhere", everywhere + "?labelSelector=side%3D{ns}&"},
	} {
		next := where.path + "limit=2&continue={continue}"
		again := get(next).keeping("continue=metadata.continue")
		all = append(all,
			single("expired pages"+where.name, begin(where.path), again, get(next).keeping("continue=metadata.continue"), get(next)),
			single("expired pages without a limit"+where.name, begin(where.path), get(where.path+"continue={continue}").keeping("continue=metadata.continue"), get(where.path+"continue={continue}")),
			single("exactly a version of long ago"+where.name, get(where.path+"resourceVersionMatch=Exact&resourceVersion="+longAgo)),
			single("exactly a version of long ago with a limit"+where.name, get(where.path+"limit=2&resourceVersionMatch=Exact&resourceVersion="+longAgo)),
			single("watch from long ago"+where.name, get(where.path+"watch=true&timeoutSeconds=1&resourceVersion="+longAgo)),
			operation{name: "kubectl get --raw of expired pages" + where.name, steps: []step{begin(where.path)},
				commands: []command{{args: "get --raw " + next}}},
		)
		for _, form := range []struct{ name, query, header string }{
			{"pretty", "&pretty=true", ""},
			{"as a Table", "", acceptTable},
			{"as a Table v1beta1", "", acceptOldT},
			{"of metadata", "", acceptParts},
			{"by the metadata client", "", acceptMetadata},
			{"in protobuf alone", "", acceptProtobuf + ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"},
			{"in YAML", "", acceptYAML},
		} {
			s := get(next + form.query)
			if form.header != "" {
				s.headers = []string{form.header}
			}
			all = append(all, single("expired pages "+form.name+where.name, begin(where.path), s))
		}
	}
	return all
}
