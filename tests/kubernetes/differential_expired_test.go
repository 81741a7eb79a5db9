package kubernetes

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// etcd calls the control plane's etcd through its JSON gateway.
func etcd(call, body string) error {
	response, err := http.Post(env.controlPlane.args[1]+"/v3/kv/"+call, "application/json", strings.NewReader(body))
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

// compactedVersion is older than the first claim. kube-apiserver has no snapshot of it (KEP-2340),
// and etcd has discarded it after compactVersions was called.
const compactedVersion = "5"

// compactVersions makes etcd discard old versions, if it has not yet. kube-apiserver does the same
// every five minutes.
func compactVersions() {
	err := etcd("compaction", `{"revision":"`+compactedVersion+`0"}`)
	if err != nil && !strings.Contains(err.Error(), "has been compacted") {
		panic(err)
	}
}

var versionOfToken = regexp.MustCompile(`"rv":\d+`)

// expiredToken returns a continue token whose resourceVersion is compactedVersion.
func expiredToken(token string) string {
	own, coded := "", token
	if at := strings.LastIndexByte(token, '.'); at >= 0 {
		own, coded = token[:at+1], token[at+1:]
	}
	text, err := base64.RawURLEncoding.DecodeString(coded)
	if err != nil || !versionOfToken.Match(text) {
		return "no token"
	}
	return own + base64.RawURLEncoding.EncodeToString(versionOfToken.ReplaceAll(text, []byte(`"rv":`+compactedVersion)))
}

// expiredOperations request compacted versions, by token and by resourceVersion, and continue with
// the token in the error.
func expiredOperations() []operation {
	begin := func(path string) step {
		s := get(path + "limit=2").saving("continue=metadata.continue")
		s.expireToken = true
		return s
	}
	var all []operation
	for _, where := range []struct{ name, path string }{
		{"", resourcePath + "?"},
		{" in all namespaces", allNamespacesPath + "?labelSelector=side%3D{ns}&"},
	} {
		next := where.path + "limit=2&continue={continue}"
		again := get(next).saving("continue=metadata.continue")
		all = append(all,
			single("expired pages"+where.name, begin(where.path), again, get(next).saving("continue=metadata.continue"), get(next)),
			single("expired pages without a limit"+where.name, begin(where.path), get(where.path+"continue={continue}").saving("continue=metadata.continue"), get(where.path+"continue={continue}")),
			single("exact version that was compacted"+where.name, get(where.path+"resourceVersionMatch=Exact&resourceVersion="+compactedVersion)),
			single("exact version that was compacted, with a limit"+where.name, get(where.path+"limit=2&resourceVersionMatch=Exact&resourceVersion="+compactedVersion)),
			single("watch from a version that was compacted"+where.name, get(where.path+"watch=true&timeoutSeconds=1&resourceVersion="+compactedVersion)),
			operation{name: "kubectl get --raw of expired pages" + where.name, steps: []step{begin(where.path)},
				commands: []command{{args: "get --raw " + next}}},
		)
		for _, form := range []struct{ name, query, header string }{
			{"pretty", "&pretty=true", ""},
			{"as a Table", "", acceptTable},
			{"as a Table v1beta1", "", acceptOldTable},
			{"of metadata", "", acceptPartialList},
			{"by the metadata client", "", acceptMetadata},
			{"in protobuf only", "", acceptProtobuf + ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"},
			{"in YAML", "", acceptYAML},
		} {
			s := getWithHeader(next+form.query, form.header)
			all = append(all, single("expired pages "+form.name+where.name, begin(where.path), s))
		}
	}
	return all
}
