package kubernetes

import (
	"fmt"
	"strings"
	"testing"
)

// A namespace of the app cluster that is not mapped is like one that is empty, as this one of the
// control plane, which is not there.
var unmapped = pair{"unmapped", "", "app-none"}

const groupVersionPath = "/apis/" + groupVersion

// suiteOperations are on what the other lists have nothing of: watches of metadata as clients have them,
// and watches of which all is seen.
func suiteOperations() []operation {
	metadata := "as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	return []operation{
		single("watch metadata in protobuf or JSON", created(), get(watchOwn+short, acceptProtobuf+";"+metadata+",application/json;"+metadata)),
		single("watch list to its end", created(), watching(watchOwn+short+initial, 2, nil)),
		single("watch a deletion to its end", created().keeping(ownVersion), remove(own, ""), get(watchOwn+short+fromOwn)),
	}
}

// discoveryOperations are on what the group-version has.
func discoveryOperations() []operation {
	var all []operation
	for _, one := range []struct{ name, path, header string }{
		{"as it comes", groupVersionPath, ""},
		{"pretty", groupVersionPath + "?pretty=true", ""},
		{"by curl", groupVersionPath, "User-Agent: curl/8.5.0"},
		{"in YAML", groupVersionPath, acceptYAML},
		{"in protobuf", groupVersionPath, acceptProtobuf},
		{"in protobuf or JSON", groupVersionPath, acceptProtobuf + ",application/json"},
		{"as anything", groupVersionPath, "Accept: */*"},
		{"as text", groupVersionPath, "Accept: text/html"},
		{"as a Table", groupVersionPath, acceptTable},
		{"in CBOR", groupVersionPath, "Accept: application/cbor"},
		{"in aggregate or JSON", groupVersionPath, "Accept: application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io,application/json"},
		{"with a slash at the end", groupVersionPath + "/", ""},
		{"of another version", "/apis/k8s.starter.org/v9", ""},
		{"of OpenAPI in YAML", "/openapi/v3" + groupVersionPath, acceptYAML},
	} {
		s := get(one.path)
		s.unexposed = "composites"
		if one.header != "" {
			s.headers = []string{one.header}
		}
		all = append(all, single("discovery "+one.name, s))
	}
	return all
}

// unmappedOperations are on a namespace with nothing in it.
func unmappedOperations() []operation {
	var all []operation
	for _, one := range []struct{ name, query, header string }{
		{"list", "", ""},
		{"list pretty", "?pretty=true", ""},
		{"list Table", "", acceptTable},
		{"list metadata", "", acceptParts},
		{"list YAML", "", acceptYAML},
		{"list metadata in protobuf alone", "", acceptProtobuf + ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"},
		{"list limit=abc", "?limit=abc", ""},
		{"list with timeoutSeconds=abc", "?timeoutSeconds=abc", ""},
		{"list with too large a limit", "?limit=99999999999999999999", ""},
		{"list of no version", "?resourceVersion=abc", ""},
		{"list with sendInitialEvents", "?sendInitialEvents=true", ""},
		{"list with a match without version", "?resourceVersionMatch=Exact", ""},
		{"watch list without a match", "?watch=true&timeoutSeconds=1&sendInitialEvents=true", ""},
		{"watch with a match", "?watch=true&timeoutSeconds=1&resourceVersionMatch=NotOlderThan", ""},
		{"watch with a bad end", "?watch=true&timeoutSeconds=soon", ""},
		{"watch to its end", "?watch=true&timeoutSeconds=1", ""},
		{"watch without bookmarks in capitals", "?watch=true&timeoutSeconds=1&allowWatchBookmarks=False&sendInitialEvents=FALSE&resourceVersionMatch=NotOlderThan", ""},
		{"watch list", "?watch=true" + initial, ""},
		{"watch list metadata", "?watch=true" + initial, acceptPart},
		{"watch list Table", "?watch=true" + initial, acceptTable},
	} {
		s := get(resourcePath + one.query)
		if strings.HasSuffix(one.query, initial) {
			s.lines = 1
		}
		if one.header != "" {
			s.headers = []string{one.header}
		}
		all = append(all, single("of nothing: "+one.name, s))
	}
	return append(all,
		single("of nothing: get", get(alphaPath)),
		single("of nothing: get Table", get(alphaPath, acceptTable)),
		single("of nothing: delete", remove(alphaPath, "")),
		single("of nothing: delete all", remove(resourcePath, "")),
		operation{name: "of nothing: kubectl get", commands: []command{{args: "get kc -n {ns}"}}},
		operation{name: "of nothing: kubectl get one", commands: []command{{args: "get kc -n {ns} alpha"}}},
		operation{name: "of nothing: kubectl get names", commands: []command{{args: "get kc -n {ns} -o name"}}},
	)
}

// amongStrangers are lists of all namespaces which have claims of strangers in them that have to be
// left out. Where the control plane is asked directly there are none.
func amongStrangers() []operation {
	by := "labelSelector=side+in+({ns},strangers-of-{ns})"
	listed := everywhere + "?" + by
	page := listed + "&limit=4"
	return []operation{
		single("list among strangers", get(listed)),
		single("list among strangers, pretty", get(listed+"&pretty=true")),
		single("list among strangers, Table", get(listed, acceptTable)),
		single("list among strangers, Table without objects", get(listed+"&includeObject=None", acceptTable)),
		single("list among strangers, metadata", get(listed, acceptParts)),
		single("list among strangers, YAML", get(listed, acceptYAML)),
		single("list among strangers of version 0", get(listed+"&resourceVersion=0")),
		single("page among strangers", get(listed+"&limit=100")),
		single("pages among strangers", get(page).keeping("continue=metadata.continue"), get(page+"&continue={continue}")),
		// As many events as there are claims to be seen.
		single("watch among strangers", watching(listed+"&watch=true&resourceVersion=0", 5, nil)),
		single("watch list among strangers", watching(listed+"&watch=true"+initial, 6, nil)),
		single("watch among strangers, Table", watching(listed+"&watch=true&resourceVersion=0", 5, nil, acceptTable)),
	}
}

// seedStrangers makes claims in namespaces around those that are mapped.
func seedStrangers(t *testing.T) {
	t.Helper()
	label := "strangers-of-" + reading.local
	for _, namespace := range foreign {
		path := groupVersionPath + "/namespaces/" + namespace + "/kubernetesclusters"
		for i := range 2 {
			text := strings.ReplaceAll(object(fmt.Sprintf(`,"labels":{"side":%q}`, label), ""), "{ns}", namespace)
			text = strings.ReplaceAll(text, "{name}", fmt.Sprintf("alpha-%d", i))
			if status, body := request(t, theBed.cp, "POST", path, text, map[string]string{"Content-Type": "application/json"}); status != 201 {
				t.Fatalf("%d %s", status, body)
			}
		}
		t.Cleanup(func() {
			request(t, theBed.cp, "DELETE", path+"?labelSelector=side%3D"+label, "", nil)
		})
	}
}
