package kubernetes

import (
	"fmt"
	"strings"
	"testing"
)

// unmappedNamespaces compares an unmapped namespace of the app cluster with a namespace that does
// not exist on the control plane. Both look empty.
var unmappedNamespaces = namespaceNames{"unmapped", "", "app-none"}

const groupVersionPath = "/apis/" + groupVersion

// scopeOperations are watches of metadata with the Accept header of real clients, and watches that
// are read to their end.
func scopeOperations() []operation {
	metadata := "as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	return []operation{
		single("watch metadata in protobuf or JSON", createOwn(), get(watchOwn+oneSecond, acceptProtobuf+";"+metadata+",application/json;"+metadata)),
		single("watch list to its end", createOwn(), watchLines(watchOwn+oneSecond+initialEvents, 2, nil)),
		single("watch a deletion to its end", createOwn().saving(saveVersion), remove(ownPath, ""), get(watchOwn+oneSecond+fromSavedVersion)),
	}
}

// discoveryOperations read the resource list of the group-version.
func discoveryOperations() []operation {
	var all []operation
	for _, one := range []struct{ name, path, header string }{
		{"by default", groupVersionPath, ""},
		{"pretty", groupVersionPath + "?pretty=true", ""},
		{"by curl", groupVersionPath, "User-Agent: curl/8.5.0"},
		{"in YAML", groupVersionPath, acceptYAML},
		{"in protobuf", groupVersionPath, acceptProtobuf},
		{"in protobuf or JSON", groupVersionPath, acceptProtobuf + ",application/json"},
		{"with any type", groupVersionPath, "Accept: */*"},
		{"in text", groupVersionPath, "Accept: text/html"},
		{"as a Table", groupVersionPath, acceptTable},
		{"in CBOR", groupVersionPath, "Accept: application/cbor"},
		{"in aggregated form or JSON", groupVersionPath, "Accept: application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io,application/json"},
		{"with a slash at the end", groupVersionPath + "/", ""},
		{"of another version", "/apis/k8s.starter.org/v9", ""},
		{"of OpenAPI in YAML", "/openapi/v3" + groupVersionPath, acceptYAML},
	} {
		s := getWithHeader(one.path, one.header)
		s.ignoredResource = "composites"
		all = append(all, single("discovery "+one.name, s))
	}
	return all
}

// unmappedOperations are requests in an unmapped namespace.
func unmappedOperations() []operation {
	var all []operation
	for _, one := range []struct{ name, query, header string }{
		{"list", "", ""},
		{"list pretty", "?pretty=true", ""},
		{"list Table", "", acceptTable},
		{"list metadata", "", acceptPartialList},
		{"list YAML", "", acceptYAML},
		{"list metadata in protobuf only", "", acceptProtobuf + ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"},
		{"list with limit=abc", "?limit=abc", ""},
		{"list with timeoutSeconds=abc", "?timeoutSeconds=abc", ""},
		{"list with a limit that is too large", "?limit=99999999999999999999", ""},
		{"list at an invalid version", "?resourceVersion=abc", ""},
		{"list with sendInitialEvents", "?sendInitialEvents=true", ""},
		{"list with a match and no version", "?resourceVersionMatch=Exact", ""},
		{"watch list without a match", "?watch=true&timeoutSeconds=1&sendInitialEvents=true", ""},
		{"watch with a match", "?watch=true&timeoutSeconds=1&resourceVersionMatch=NotOlderThan", ""},
		{"watch with an invalid timeout", "?watch=true&timeoutSeconds=soon", ""},
		{"watch to its end", "?watch=true&timeoutSeconds=1", ""},
		{"watch without bookmarks, capitalised", "?watch=true&timeoutSeconds=1&allowWatchBookmarks=False&sendInitialEvents=FALSE&resourceVersionMatch=NotOlderThan", ""},
		{"watch list", "?watch=true" + initialEvents, ""},
		{"watch list metadata", "?watch=true" + initialEvents, acceptPartial},
		{"watch list Table", "?watch=true" + initialEvents, acceptTable},
	} {
		s := getWithHeader(resourcePath+one.query, one.header)
		if strings.HasSuffix(one.query, initialEvents) {
			s.lines = 1
		}
		all = append(all, single("unmapped namespace: "+one.name, s))
	}
	return append(all,
		single("unmapped namespace: get", get(alphaPath)),
		single("unmapped namespace: get Table", get(alphaPath, acceptTable)),
		single("unmapped namespace: delete", remove(alphaPath, "")),
		single("unmapped namespace: delete all", remove(resourcePath, "")),
		operation{name: "unmapped namespace: kubectl get", commands: []command{{args: "get kc -n {ns}"}}},
		operation{name: "unmapped namespace: kubectl get one", commands: []command{{args: "get kc -n {ns} alpha"}}},
		operation{name: "unmapped namespace: kubectl get names", commands: []command{{args: "get kc -n {ns} -o name"}}},
	)
}

// foreignClaimLists are lists over all namespaces that contain foreign claims, which claimgate
// removes. The direct route selects none of them.
func foreignClaimLists() []operation {
	selector := "labelSelector=side+in+({ns},foreign-to-{ns})"
	listed := allNamespacesPath + "?" + selector
	page := listed + "&limit=4"
	return []operation{
		single("list with foreign claims", get(listed)),
		single("list with foreign claims, pretty", get(listed+"&pretty=true")),
		single("list with foreign claims, Table", get(listed, acceptTable)),
		single("list with foreign claims, Table without objects", get(listed+"&includeObject=None", acceptTable)),
		single("list with foreign claims, metadata", get(listed, acceptPartialList)),
		single("list with foreign claims, YAML", get(listed, acceptYAML)),
		single("list with foreign claims at version 0", get(listed+"&resourceVersion=0")),
		single("page with foreign claims", get(listed+"&limit=100")),
		single("pages with foreign claims", get(page).saving("continue=metadata.continue"), get(page+"&continue={continue}")),
		// One event for each claim that is visible.
		single("watch with foreign claims", watchLines(listed+"&watch=true&resourceVersion=0", 5, nil)),
		single("watch list with foreign claims", watchLines(listed+"&watch=true"+initialEvents, 6, nil)),
		single("watch with foreign claims, Table", watchLines(listed+"&watch=true&resourceVersion=0", 5, nil, acceptTable)),
	}
}

// createForeignClaims creates claims in the namespaces around the mapped ones.
func createForeignClaims(t *testing.T) {
	t.Helper()
	label := "foreign-to-" + readNamespaces.local
	for _, namespace := range foreignNamespaces {
		path := groupVersionPath + "/namespaces/" + namespace + "/kubernetesclusters"
		for i := range 2 {
			text := strings.ReplaceAll(object(fmt.Sprintf(`,"labels":{"side":%q}`, label), ""), "{ns}", namespace)
			text = strings.ReplaceAll(text, "{name}", fmt.Sprintf("alpha-%d", i))
			if status, body := sendAsAdmin(t, env.controlPlane, "POST", path, text, map[string]string{"Content-Type": "application/json"}); status != 201 {
				t.Fatalf("status %d: %s", status, body)
			}
		}
		t.Cleanup(func() {
			sendAsAdmin(t, env.controlPlane, "DELETE", path+"?labelSelector=side%3D"+label, "", nil)
		})
	}
}
