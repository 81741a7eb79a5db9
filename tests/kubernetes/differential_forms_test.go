package kubernetes

import (
	"fmt"
	"slices"
	"strings"
)

const (
	everywhereLegacy = "/apis/" + groupVersion + "/watch/kubernetesclusters"
	mine             = "labelSelector=side%3D{ns},op%3D{name}"
)

var (
	acceptOldPart  = oldVersion(acceptPart)
	acceptOldParts = oldVersion(acceptParts)
)

// oldVersion is the same form in v1beta1.
func oldVersion(accept string) string { return strings.Replace(accept, "v=v1;", "v=v1beta1;", 1) }

// formOperations are what parameters mean in their odd spellings, and forms of answers that are seldom asked for.
func formOperations() []operation {
	return slices.Concat(truths(), ends(), legacyPaths(), olderForms())
}

// truths are what `watch` says yes and no by.
func truths() []operation {
	var all []operation
	// Numbered, since names of objects have nothing of capitals and signs.
	for i, word := range []string{"f", "F", "no", "FALSE", "fAlSe", "0", "00", "1", "t", "T", "TRUE", "yes", "null", "-1", "%20", "false%20", "true&watch=0", "0&watch=1"} {
		all = append(all,
			single(fmt.Sprintf("truth %d, watch=%s", i, word), created(), get(resourcePath+"?fieldSelector=metadata.name%3D{name}"+short+"&watch="+word)),
			single(fmt.Sprintf("truth %d everywhere, watch=%s", i, word), created(), get(everywhere+"?"+mine+short+"&watch="+word)))
	}
	return append(all,
		single("get with truths of a watch", created(), get(own+"?watch=1"+short), get(own+"?watch=no"+short), get(own+"?watch=f"+short, acceptTable)),
		single("writes with truths of a watch", post(resourcePath+"?watch=1", object("", "")), step{method: "PATCH", path: own + "?watch=T", body: "{}", headers: []string{mergePatch}}, remove(own+"?watch=1", "")),
		single("bookmarks by other words", created(), watching(watchOwn+"&allowWatchBookmarks=1&sendInitialEvents=T&resourceVersionMatch=NotOlderThan", 2, nil)),
		single("no bookmarks by other words", created(), get(watchOwn+short+"&allowWatchBookmarks=F&sendInitialEvents=0&resourceVersionMatch=NotOlderThan")),
		single("initial events by no word", created(), watching(watchOwn+"&allowWatchBookmarks=&sendInitialEvents=&resourceVersionMatch=NotOlderThan", 2, nil)))
}

// ends are how long a watch is to last.
func ends() []operation {
	var all []operation
	for i, seconds := range []string{"0", "2147483648", "9223372036854775808", "1.5", "1s", "", "%2B1", "0x1", "1_0", "-1", "-9223372036854775808", "9223372036854775807"} {
		query := "&timeoutSeconds=" + seconds
		watch := watching(watchOwn+query, 1, nil)
		if beyond := 9; i >= beyond {
			// Over before it begins, which kube-apiserver tells in an event or not at all.
			watch = step{method: "HEAD", path: watchOwn + query}
		}
		all = append(all,
			single(fmt.Sprintf("end %d, list with timeoutSeconds=%s", i, seconds), created(), get(oneOfThem+query), remove(resourcePath+"?labelSelector=none"+query, "")),
			single(fmt.Sprintf("end %d, watch with timeoutSeconds=%s", i, seconds), created(), watch))
	}
	return append(all,
		single("watch with timeoutSeconds twice", created(), get(watchOwn+"&timeoutSeconds=1&timeoutSeconds=600")),
		single("watch with a timeout of requests", created(), get(watchOwn+"&timeout=1s&timeoutSeconds=1")),
		single("watch with a broken timeout of requests", created(), get(watchOwn+"&timeout=soon&timeoutSeconds=1")),
		single("watch in YAML with a bad end", get(watchOwn+"&timeoutSeconds=soon", acceptYAML)),
		single("watch in YAML by a broken selector", get(resourcePath+"?watch=true&labelSelector=a+in+b", acceptYAML)))
}

func legacyPaths() []operation {
	seen := created().keeping(ownVersion)
	var all []operation
	for _, form := range []struct{ name, accept string }{
		{"JSON", "Accept: application/json"}, {"Table", acceptTable}, {"Table v1beta1", acceptOldT}, {"metadata", acceptPart}, {"YAML", acceptYAML}, {"CBOR or JSON", acceptCBOR},
	} {
		all = append(all,
			single("legacy everywhere, "+form.name, seen, watching(everywhereLegacy+"?"+mine+fromOwn, 2, changes()[1:], form.accept)),
			single("legacy with labels, "+form.name, seen, watching(legacy+"?labelSelector=op%3D{name}"+fromOwn, 2, changes()[1:], form.accept)),
			single("legacy watch list, "+form.name, created(), watching(legacy+"?labelSelector=op%3D{name}"+initial, 2, nil, form.accept)))
	}
	return append(all,
		single("legacy everywhere to its end", created(), get(everywhereLegacy+"?"+mine+short)),
		single("legacy everywhere by namespace", created(), get(everywhereLegacy+"?fieldSelector=metadata.namespace%3D{ns},metadata.name%3D{name}"+short)),
		single("legacy everywhere, watch list", created(), watching(everywhereLegacy+"?"+mine+initial, 2, nil)),
		single("legacy everywhere from version 1", get(everywhereLegacy+"?resourceVersion=1"+short), get(legacy+"?resourceVersion=1"+short)),
		single("legacy everywhere by a broken selector", get(everywhereLegacy+"?labelSelector=a+in+b"+short), get(legacy+"?fieldSelector=spec.x%3D1"+short)),
		single("legacy with words of truth", created(), get(legacy+"?labelSelector=op%3D{name}&watch=no"+short), get(legacy+"/{name}?watch=0"+short), get(everywhereLegacy+"?"+mine+"&watch=FALSE"+short)),
		single("legacy by labels that go", seen, watching(legacy+"?labelSelector=op%3D{name}"+fromOwn, 1, []step{patch(mergePatch, own, `{"metadata":{"labels":null}}`)})),
		single("legacy of one with a selector", created(), get(legacy+"/{name}?labelSelector=op%3Dother"+short), get(legacy+"/{name}?fieldSelector=metadata.name%3Dother"+short)),
		single("legacy of a subresource", created(), get(legacy+"/{name}/status"+"?timeoutSeconds=1"), get(legacy+"/{name}/scale?timeoutSeconds=1")),
		single("legacy of no resource", get("/apis/"+groupVersion+"/watch/nothings?timeoutSeconds=1"), get("/apis/"+groupVersion+"/watch/namespaces/{ns}?timeoutSeconds=1"), get("/apis/"+groupVersion+"/watch/namespaces/{ns}/nothings?timeoutSeconds=1")),
		single("writes to legacy paths", created(), put(legacy+"/{name}?timeoutSeconds=1", object("", "")), patch(mergePatch, legacy+"/{name}?timeoutSeconds=1", "{}"), remove(legacy+"/{name}?timeoutSeconds=1", ""), then()),
		single("HEAD of legacy paths", step{method: "HEAD", path: legacy + "?timeoutSeconds=1"}, step{method: "HEAD", path: everywhereLegacy + "?" + mine + short}))
}

// olderForms are Tables and metadata of v1beta1, and a scale in forms other than its own.
func olderForms() []operation {
	seen := created().keeping(ownVersion)
	scale := own + "/scale"
	body := `{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"{name}","namespace":"{ns}"},"spec":{"replicas":6}}`
	labelled := "labelSelector=op%3D{name}"
	return []operation{
		single("scale as Table v1beta1", created(), get(scale, acceptOldT), get(scale+"?includeObject=None", acceptOldT), get(scale+"?includeObject=Object", acceptOldT)),
		single("scale as Table with objects", created(), get(scale+"?includeObject=Object", acceptTable), get(scale+"?includeObject=Metadata", acceptTable)),
		single("scale pretty", created(), get(scale+"?pretty=true"), get(scale+"?pretty=true", acceptTable), get(scale, "User-Agent: curl/8.5.0"), get(scale+"?pretty=true", acceptOldPart)),
		single("scale as metadata v1beta1", created(), get(scale, acceptOldPart), get(scale, acceptOldParts), get(scale, acceptParts)),
		single("scale by kubectl's Accept", created(), get(scale, acceptKubectl), get(scale, acceptMetadata)),
		single("writes of a scale in other forms", created(), put(scale, body, acceptOldT), put(scale+"?pretty=true", body), put(scale, body, acceptOldPart),
			step{method: "PATCH", path: scale, body: `{"spec":{"replicas":7}}`, headers: []string{mergePatch, acceptTable}}),
		single("status in older forms", created(), get(own+"/status", acceptOldT), get(own+"/status", acceptOldPart), get(own+"/status?pretty=true", acceptOldT)),
		single("metadata v1beta1 by watch", seen, watching(watchOwn+fromOwn, 2, changes()[1:], acceptOldPart)),
		single("metadata list v1beta1 by watch", seen, watching(watchOwn+fromOwn, 2, changes()[1:], acceptOldParts)),
		single("metadata v1beta1 by watch, to its end", created(), get(watchOwn+short, acceptOldPart)),
		single("metadata v1beta1 by watch everywhere", seen, watching(everywhereMy+fromOwn, 2, changes()[1:], acceptOldPart)),
		single("metadata v1beta1 by watch list", created(), watching(watchOwn+initial, 2, nil, acceptOldPart)),
		single("metadata v1beta1 by watch list everywhere", created(), watching(everywhereBy+initial, 2, nil, acceptOldPart)),
		single("metadata v1beta1 by watch from version 1", get(watchOwn+"&resourceVersion=1"+short, acceptOldPart)),
		single("metadata v1beta1 by WebSocket", created(), byWebSocket(watching(watchOwn+initial, 2, nil, acceptOldPart))),
		single("metadata v1beta1 of a list", created(), get(oneOfThem, acceptOldParts), get(oneOfThem, acceptOldPart), get(oneOfThem+"&pretty=true", acceptOldParts), get(everywhere+"?"+mine, acceptOldParts)),
		single("metadata v1beta1 page by page", created(), post(resourcePath, strings.Replace(object(`,"labels":{"op":"{name}"}`, ""), `"{name}"`, `"{name}-2"`, 1)),
			get(resourcePath+"?"+labelled+"&limit=1", acceptOldParts).keeping("continue=metadata.continue"), get(resourcePath+"?"+labelled+"&limit=1&continue={continue}", acceptOldParts)),
		single("metadata v1beta1 in protobuf alone", created(), get(oneOfThem, acceptProtobuf+";as=PartialObjectMetadataList;v=v1beta1;g=meta.k8s.io"), get(scale, acceptProtobuf+";as=PartialObjectMetadata;v=v1beta1;g=meta.k8s.io")),
		single("metadata v1beta1 of writes", post(resourcePath, object(`,"labels":{"op":"{name}"}`, ""), acceptOldPart),
			step{method: "PATCH", path: own, body: `{"spec":{"nodeCount":4}}`, headers: []string{mergePatch, acceptOldPart}}, step{method: "DELETE", path: oneOfThem, headers: []string{acceptOldParts}}),
		single("metadata v1beta1 in YAML", created(), get(own, "Accept: application/yaml;as=PartialObjectMetadata;v=v1beta1;g=meta.k8s.io"), get(oneOfThem, "Accept: application/yaml;as=PartialObjectMetadataList;v=v1beta1;g=meta.k8s.io")),
		single("Table v1beta1 of a list, pretty", created(), get(oneOfThem+"&pretty=true", acceptOldT), get(everywhere+"?"+mine+"&includeObject=None", acceptOldT)),
	}
}
