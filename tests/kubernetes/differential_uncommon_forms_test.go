package kubernetes

import (
	"fmt"
	"slices"
	"strings"
)

const (
	legacyAllNamespacesPath = "/apis/" + groupVersion + "/watch/kubernetesclusters"
	ownSelector             = "labelSelector=side%3D{ns},op%3D{name}"
)

var (
	acceptOldPartial     = oldVersion(acceptPartial)
	acceptOldPartialList = oldVersion(acceptPartialList)
)

// oldVersion returns the same form in v1beta1.
func oldVersion(accept string) string { return strings.Replace(accept, "v=v1;", "v=v1beta1;", 1) }

// uncommonFormOperations are unusual spellings of parameters and uncommon forms of answers.
func uncommonFormOperations() []operation {
	return slices.Concat(booleanSpellings(), watchTimeouts(), legacyPaths(), v1beta1Forms())
}

// booleanSpellings are values of `watch`, as kube-apiserver reads booleans.
func booleanSpellings() []operation {
	var all []operation
	// The names are numbered, because object names contain neither capitals nor signs.
	for i, word := range []string{"f", "F", "no", "FALSE", "fAlSe", "0", "00", "1", "t", "T", "TRUE", "yes", "null", "-1", "%20", "false%20", "true&watch=0", "0&watch=1"} {
		all = append(all,
			single(fmt.Sprintf("boolean %d, watch=%s", i, word), createOwn(), get(resourcePath+"?fieldSelector=metadata.name%3D{name}"+oneSecond+"&watch="+word)),
			single(fmt.Sprintf("boolean %d in all namespaces, watch=%s", i, word), createOwn(), get(allNamespacesPath+"?"+ownSelector+oneSecond+"&watch="+word)))
	}
	return append(all,
		single("get with a watch parameter", createOwn(), get(ownPath+"?watch=1"+oneSecond), get(ownPath+"?watch=no"+oneSecond), get(ownPath+"?watch=f"+oneSecond, acceptTable)),
		single("writes with a watch parameter", post(resourcePath+"?watch=1", object("", "")), step{method: "PATCH", path: ownPath + "?watch=T", body: "{}", headers: []string{mergePatch}}, remove(ownPath+"?watch=1", "")),
		single("bookmarks requested with other booleans", createOwn(), watchLines(watchOwn+"&allowWatchBookmarks=1&sendInitialEvents=T&resourceVersionMatch=NotOlderThan", 2, nil)),
		single("bookmarks declined with other booleans", createOwn(), get(watchOwn+oneSecond+"&allowWatchBookmarks=F&sendInitialEvents=0&resourceVersionMatch=NotOlderThan")),
		single("initial events with empty booleans", createOwn(), watchLines(watchOwn+"&allowWatchBookmarks=&sendInitialEvents=&resourceVersionMatch=NotOlderThan", 2, nil)))
}

// watchTimeouts are values of timeoutSeconds.
func watchTimeouts() []operation {
	var all []operation
	for i, seconds := range []string{"0", "2147483648", "9223372036854775808", "1.5", "1s", "", "%2B1", "0x1", "1_0", "-1", "-9223372036854775808", "9223372036854775807"} {
		query := "&timeoutSeconds=" + seconds
		watch := watchLines(watchOwn+query, 1, nil)
		if beyond := 9; i >= beyond {
			// The watch is over before it begins; kube-apiserver reports that in an event or not at
			// all.
			watch = step{method: "HEAD", path: watchOwn + query}
		}
		all = append(all,
			single(fmt.Sprintf("timeout %d, list with timeoutSeconds=%s", i, seconds), createOwn(), get(ownListPath+query), remove(resourcePath+"?labelSelector=none"+query, "")),
			single(fmt.Sprintf("timeout %d, watch with timeoutSeconds=%s", i, seconds), createOwn(), watch))
	}
	return append(all,
		single("watch with timeoutSeconds twice", createOwn(), get(watchOwn+"&timeoutSeconds=1&timeoutSeconds=600")),
		single("watch with a request timeout", createOwn(), get(watchOwn+"&timeout=1s&timeoutSeconds=1")),
		single("watch with an invalid request timeout", createOwn(), get(watchOwn+"&timeout=soon&timeoutSeconds=1")),
		single("watch in YAML with an invalid timeout", get(watchOwn+"&timeoutSeconds=soon", acceptYAML)),
		single("watch in YAML with an invalid selector", get(resourcePath+"?watch=true&labelSelector=a+in+b", acceptYAML)))
}

func legacyPaths() []operation {
	creation := createOwn().saving(saveVersion)
	var all []operation
	for _, form := range []struct{ name, accept string }{
		{"JSON", "Accept: application/json"}, {"Table", acceptTable}, {"Table v1beta1", acceptOldTable}, {"metadata", acceptPartial}, {"YAML", acceptYAML}, {"CBOR or JSON", acceptCBOR},
	} {
		all = append(all,
			single("legacy path for all namespaces, "+form.name, creation, watchLines(legacyAllNamespacesPath+"?"+ownSelector+fromSavedVersion, 2, ownChanges()[1:], form.accept)),
			single("legacy path with labels, "+form.name, creation, watchLines(legacyPath+"?labelSelector=op%3D{name}"+fromSavedVersion, 2, ownChanges()[1:], form.accept)),
			single("legacy watch list, "+form.name, createOwn(), watchLines(legacyPath+"?labelSelector=op%3D{name}"+initialEvents, 2, nil, form.accept)))
	}
	return append(all,
		single("legacy path for all namespaces to its end", createOwn(), get(legacyAllNamespacesPath+"?"+ownSelector+oneSecond)),
		single("legacy path for all namespaces by namespace", createOwn(), get(legacyAllNamespacesPath+"?fieldSelector=metadata.namespace%3D{ns},metadata.name%3D{name}"+oneSecond)),
		single("legacy path for all namespaces, watch list", createOwn(), watchLines(legacyAllNamespacesPath+"?"+ownSelector+initialEvents, 2, nil)),
		single("legacy path for all namespaces from version 1", get(legacyAllNamespacesPath+"?resourceVersion=1"+oneSecond), get(legacyPath+"?resourceVersion=1"+oneSecond)),
		single("legacy path for all namespaces with an invalid selector", get(legacyAllNamespacesPath+"?labelSelector=a+in+b"+oneSecond), get(legacyPath+"?fieldSelector=spec.x%3D1"+oneSecond)),
		single("legacy path with watch=false", createOwn(), get(legacyPath+"?labelSelector=op%3D{name}&watch=no"+oneSecond), get(legacyPath+"/{name}?watch=0"+oneSecond), get(legacyAllNamespacesPath+"?"+ownSelector+"&watch=FALSE"+oneSecond)),
		single("legacy path by labels that are removed", creation, watchLines(legacyPath+"?labelSelector=op%3D{name}"+fromSavedVersion, 1, []step{patch(mergePatch, ownPath, `{"metadata":{"labels":null}}`)})),
		single("legacy path of one object with a selector", createOwn(), get(legacyPath+"/{name}?labelSelector=op%3Dother"+oneSecond), get(legacyPath+"/{name}?fieldSelector=metadata.name%3Dother"+oneSecond)),
		single("legacy path of a subresource", createOwn(), get(legacyPath+"/{name}/status"+"?timeoutSeconds=1"), get(legacyPath+"/{name}/scale?timeoutSeconds=1")),
		single("legacy path of a missing resource", get("/apis/"+groupVersion+"/watch/nothings?timeoutSeconds=1"), get("/apis/"+groupVersion+"/watch/namespaces/{ns}?timeoutSeconds=1"), get("/apis/"+groupVersion+"/watch/namespaces/{ns}/nothings?timeoutSeconds=1")),
		single("writes to legacy paths", createOwn(), put(legacyPath+"/{name}?timeoutSeconds=1", object("", "")), patch(mergePatch, legacyPath+"/{name}?timeoutSeconds=1", "{}"), remove(legacyPath+"/{name}?timeoutSeconds=1", ""), getOwn()),
		single("HEAD of legacy paths", step{method: "HEAD", path: legacyPath + "?timeoutSeconds=1"}, step{method: "HEAD", path: legacyAllNamespacesPath + "?" + ownSelector + oneSecond}))
}

// v1beta1Forms are Tables and metadata in v1beta1, and a scale in other forms.
func v1beta1Forms() []operation {
	creation := createOwn().saving(saveVersion)
	scale := ownPath + "/scale"
	body := `{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"{name}","namespace":"{ns}"},"spec":{"replicas":6}}`
	labelled := "labelSelector=op%3D{name}"
	return []operation{
		single("scale as Table v1beta1", createOwn(), get(scale, acceptOldTable), get(scale+"?includeObject=None", acceptOldTable), get(scale+"?includeObject=Object", acceptOldTable)),
		single("scale as Table with objects", createOwn(), get(scale+"?includeObject=Object", acceptTable), get(scale+"?includeObject=Metadata", acceptTable)),
		single("scale pretty", createOwn(), get(scale+"?pretty=true"), get(scale+"?pretty=true", acceptTable), get(scale, "User-Agent: curl/8.5.0"), get(scale+"?pretty=true", acceptOldPartial)),
		single("scale as metadata v1beta1", createOwn(), get(scale, acceptOldPartial), get(scale, acceptOldPartialList), get(scale, acceptPartialList)),
		single("scale by kubectl's Accept", createOwn(), get(scale, acceptKubectl), get(scale, acceptMetadata)),
		single("write a scale in other forms", createOwn(), put(scale, body, acceptOldTable), put(scale+"?pretty=true", body), put(scale, body, acceptOldPartial),
			step{method: "PATCH", path: scale, body: `{"spec":{"replicas":7}}`, headers: []string{mergePatch, acceptTable}}),
		single("status in v1beta1 forms", createOwn(), get(ownPath+"/status", acceptOldTable), get(ownPath+"/status", acceptOldPartial), get(ownPath+"/status?pretty=true", acceptOldTable)),
		single("metadata v1beta1 by watch", creation, watchLines(watchOwn+fromSavedVersion, 2, ownChanges()[1:], acceptOldPartial)),
		single("metadata list v1beta1 by watch", creation, watchLines(watchOwn+fromSavedVersion, 2, ownChanges()[1:], acceptOldPartialList)),
		single("metadata v1beta1 by watch, to its end", createOwn(), get(watchOwn+oneSecond, acceptOldPartial)),
		single("metadata v1beta1 by watch of all namespaces", creation, watchLines(watchAllByLabel+fromSavedVersion, 2, ownChanges()[1:], acceptOldPartial)),
		single("metadata v1beta1 by watch list", createOwn(), watchLines(watchOwn+initialEvents, 2, nil, acceptOldPartial)),
		single("metadata v1beta1 by watch list of all namespaces", createOwn(), watchLines(watchAllByField+initialEvents, 2, nil, acceptOldPartial)),
		single("metadata v1beta1 by watch from version 1", get(watchOwn+"&resourceVersion=1"+oneSecond, acceptOldPartial)),
		single("metadata v1beta1 by WebSocket", createOwn(), byWebSocket(watchLines(watchOwn+initialEvents, 2, nil, acceptOldPartial))),
		single("metadata v1beta1 of a list", createOwn(), get(ownListPath, acceptOldPartialList), get(ownListPath, acceptOldPartial), get(ownListPath+"&pretty=true", acceptOldPartialList), get(allNamespacesPath+"?"+ownSelector, acceptOldPartialList)),
		single("metadata v1beta1 page by page", createOwn(), post(resourcePath, strings.Replace(object(`,"labels":{"op":"{name}"}`, ""), `"{name}"`, `"p-{name}"`, 1)),
			get(resourcePath+"?"+labelled+"&limit=1", acceptOldPartialList).saving("continue=metadata.continue"), get(resourcePath+"?"+labelled+"&limit=1&continue={continue}", acceptOldPartialList)),
		single("metadata v1beta1 in protobuf only", createOwn(), get(ownListPath, acceptProtobuf+";as=PartialObjectMetadataList;v=v1beta1;g=meta.k8s.io"), get(scale, acceptProtobuf+";as=PartialObjectMetadata;v=v1beta1;g=meta.k8s.io")),
		single("metadata v1beta1 of writes", post(resourcePath, object(`,"labels":{"op":"{name}"}`, ""), acceptOldPartial),
			step{method: "PATCH", path: ownPath, body: `{"spec":{"nodeCount":4}}`, headers: []string{mergePatch, acceptOldPartial}}, step{method: "DELETE", path: ownListPath, headers: []string{acceptOldPartialList}}),
		single("metadata v1beta1 in YAML", createOwn(), get(ownPath, "Accept: application/yaml;as=PartialObjectMetadata;v=v1beta1;g=meta.k8s.io"), get(ownListPath, "Accept: application/yaml;as=PartialObjectMetadataList;v=v1beta1;g=meta.k8s.io")),
		single("Table v1beta1 of a list, pretty", createOwn(), get(ownListPath+"&pretty=true", acceptOldTable), get(allNamespacesPath+"?"+ownSelector+"&includeObject=None", acceptOldTable)),
	}
}
