package kubernetes

import (
	"slices"
	"strings"
)

// Watches of the operation's own object.
const (
	watchOwn         = resourcePath + "?watch=true&fieldSelector=metadata.name%3D{name}"
	initialEvents    = "&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
	bookmarkQuery    = "&allowWatchBookmarks=true&timeoutSeconds=4"
	oneSecond        = "&timeoutSeconds=1"
	saveVersion      = "rv=metadata.resourceVersion"
	fromSavedVersion = "&resourceVersion={rv}"
	legacyPath       = "/apis/" + groupVersion + "/watch/namespaces/{ns}/kubernetesclusters"
	watchAllByLabel  = allNamespacesPath + "?watch=true&labelSelector=side%3D{ns},op%3D{name}"
	watchAllByField  = allNamespacesPath + "?watch=true&fieldSelector=metadata.namespace%3D{ns},metadata.name%3D{name}"
)

// ownChanges causes three events of the operation's own object.
func ownChanges() []step {
	return []step{
		createOwn(),
		patch(mergePatch, ownPath, `{"metadata":{"annotations":{"note":"in {ns}"}},"spec":{"nodeCount":4}}`),
		remove(ownPath, ""),
	}
}

// watchBookmark waits for a bookmark.
func watchBookmark(path string, headers ...string) step {
	return step{method: "GET", path: path + bookmarkQuery, headers: headers, lines: 1, retryIfCut: true}
}

func watchLines(path string, lines int, whileOpen []step, headers ...string) step {
	return step{method: "GET", path: path, headers: headers, lines: lines, whileOpen: whileOpen}
}

func watchOperations() []operation {
	// An empty list, for its current version.
	list := get(ownListPath).saving(saveVersion)
	var all []operation
	for _, form := range []struct{ name, query, accept string }{
		{"JSON", "", "Accept: application/json"},
		{"Table", "", acceptTable},
		{"Table v1beta1", "", acceptOldTable},
		{"Table without objects", "&includeObject=None", acceptTable},
		{"Table with objects", "&includeObject=Object", acceptTable},
		{"metadata", "", acceptPartial},
		// As client-go's metadata.go requests a watch.
		{"by the metadata client", "", strings.ReplaceAll(acceptMetadata, "PartialObjectMetadataList", "PartialObjectMetadata")},
		{"kubectl's Accept", "", acceptKubectl},
		{"JSON streams", "", "Accept: application/json;stream=watch"},
	} {
		all = append(all,
			single("watch "+form.name, list, watchLines(watchOwn+fromSavedVersion+form.query, 3, ownChanges(), form.accept)),
			single("watch list "+form.name, createOwn(), watchLines(watchOwn+initialEvents+form.query, 2, nil, form.accept)),
			single("watch to a bookmark "+form.name, createOwn().saving(saveVersion), watchBookmark(watchOwn+fromSavedVersion+form.query, form.accept)),
		)
	}
	all = append(all, allNamespaceWatches()...)
	return slices.Concat(all, watchStarts(), watchPaths(), websocketOperations())
}

// watchForms are the forms in which most watches are compared.
var watchForms = []struct{ name, query, accept string }{
	{"JSON", "", "Accept: application/json"},
	{"Table", "", acceptTable},
	{"Table without objects", "&includeObject=None", acceptTable},
	{"metadata", "", acceptPartial},
}

// allNamespaceWatches watch all namespaces. Each route must see only its own claims.
func allNamespaceWatches() []operation {
	creation := createOwn().saving(saveVersion)
	var all []operation
	for _, form := range watchForms {
		all = append(all,
			single("watch all namespaces "+form.name, creation, watchLines(watchAllByLabel+fromSavedVersion+form.query, 2, ownChanges()[1:], form.accept)),
			single("watch all namespaces by namespace "+form.name, creation, watchLines(watchAllByField+fromSavedVersion+form.query, 2, ownChanges()[1:], form.accept)),
			single("watch list of all namespaces "+form.name, createOwn(), watchLines(watchAllByLabel+initialEvents+form.query, 2, nil, form.accept)),
			single("watch list of all namespaces by namespace "+form.name, createOwn(), watchLines(watchAllByField+initialEvents+form.query, 2, nil, form.accept)),
		)
	}
	return append(all,
		single("watch all namespaces to a bookmark", creation, watchBookmark(watchAllByLabel+fromSavedVersion)),
		single("watch all namespaces by namespace to a bookmark", creation, watchBookmark(watchAllByField+fromSavedVersion)),
		single("watch all namespaces from version 1", get(watchAllByLabel+"&resourceVersion=1"+oneSecond)))
}

// watchStarts are watches from different versions.
func watchStarts() []operation {
	creation := createOwn().saving(saveVersion)
	return []operation{
		single("watch without a version", createOwn(), watchLines(watchOwn, 1, nil)),
		single("watch from version 0", createOwn(), watchLines(watchOwn+"&resourceVersion=0", 1, nil)),
		single("watch from version 1", get(watchOwn+"&resourceVersion=1"+oneSecond)),
		single("watch from version 1, Table", get(watchOwn+"&resourceVersion=1"+oneSecond, acceptTable)),
		single("watch from version 1, metadata", get(watchOwn+"&resourceVersion=1"+oneSecond, acceptPartial)),
		single("watch from an invalid version", get(watchOwn+"&resourceVersion=abc"+oneSecond)),
		single("watch from a future version", get(watchOwn+"&resourceVersion=999999999"+oneSecond)),
		single("watch from its own version", creation, watchLines(watchOwn+fromSavedVersion, 1, []step{remove(ownPath, "")})),
		single("watch to its end", createOwn(), get(watchOwn+oneSecond)),
		single("watch a missing object to its end", get(watchOwn+oneSecond)),
		single("watch pretty to its end", createOwn(), get(watchOwn+oneSecond+"&pretty=true")),
		single("watch by curl to its end", createOwn(), get(watchOwn+oneSecond, "User-Agent: curl/8.5.0")),
		single("watch with an invalid timeout", get(watchOwn+"&timeoutSeconds=soon")),
		single("watch list from a version", creation, watchLines(watchOwn+initialEvents+fromSavedVersion, 2, nil)),
		single("watch list from version 0", createOwn(), watchLines(watchOwn+initialEvents+"&resourceVersion=0", 2, nil)),
		single("watch list without bookmarks", createOwn(), get(watchOwn+oneSecond+"&sendInitialEvents=true&resourceVersionMatch=NotOlderThan")),
		single("watch list without a match", get(watchOwn+oneSecond+"&sendInitialEvents=true&allowWatchBookmarks=true")),
		single("watch list with another match", get(watchOwn+oneSecond+"&sendInitialEvents=true&resourceVersionMatch=Exact")),
		single("watch list with sendInitialEvents=false", creation, watchLines(watchOwn+fromSavedVersion+"&sendInitialEvents=false&resourceVersionMatch=NotOlderThan", 1, []step{remove(ownPath, "")})),
		single("watch list with an invalid sendInitialEvents", get(watchOwn+oneSecond+"&sendInitialEvents=maybe")),
		single("watch list and later events", createOwn(), watchLines(watchOwn+initialEvents, 3, []step{remove(ownPath, "")})),
		single("watch with a match", get(watchOwn+oneSecond+"&resourceVersion=1&resourceVersionMatch=Exact")),
		single("watch with a limit", createOwn(), get(watchOwn+oneSecond+"&limit=1")),
		single("watch with a token", get(watchOwn+oneSecond+"&continue=abc")),
		single("watch by labels that are removed", creation, watchLines(resourcePath+"?watch=true&labelSelector=op%3D{name}"+fromSavedVersion, 1,
			[]step{patch(mergePatch, ownPath, `{"metadata":{"labels":null}}`)})),
		single("watch by an invalid selector", get(resourcePath+"?watch=true&labelSelector=a+in+b"+oneSecond)),
		single("watch by an unknown field", get(resourcePath+"?watch=true&fieldSelector=spec.region%3Deu"+oneSecond)),
		single("watch by the field of another namespace", get(resourcePath+"?watch=true&fieldSelector=metadata.namespace%3Dnowhere"+oneSecond)),
	}
}

func watchPaths() []operation {
	creation := createOwn().saving(saveVersion)
	return []operation{
		single("watch with gzip", createOwn(), watchLines(watchOwn, 1, nil, "Accept-Encoding: gzip")),
		single("watch list with gzip", createOwn(), watchLines(watchOwn+initialEvents, 2, nil, "Accept-Encoding: gzip")),
		single("watch YAML", get(watchOwn+oneSecond, acceptYAML)),
		single("watch YAML or JSON", createOwn(), get(watchOwn+oneSecond, acceptYAML+",application/json")),
		single("watch protobuf", get(watchOwn+oneSecond, acceptProtobuf)),
		single("watch metadata in protobuf only", createOwn(), get(watchOwn+oneSecond, acceptProtobuf+";as=PartialObjectMetadata;v=v1;g=meta.k8s.io")),
		single("watch CBOR", get(watchOwn+oneSecond, "Accept: application/cbor-seq")),
		single("watch text", get(watchOwn+oneSecond, "Accept: text/plain")),
		single("watch with an unknown boolean", createOwn(), get(resourcePath+"?watch=perhaps&fieldSelector=metadata.name%3D{name}"+oneSecond)),
		single("watch with an empty boolean", createOwn(), get(resourcePath+"?watch=&fieldSelector=metadata.name%3D{name}"+oneSecond)),
		single("watch with two watch parameters", createOwn(), get(resourcePath+"?watch=true&watch=false&fieldSelector=metadata.name%3D{name}"+oneSecond)),
		single("watch by the legacy path", createOwn(), get(legacyPath+"?fieldSelector=metadata.name%3D{name}"+oneSecond)),
		single("watch one object by the legacy path", createOwn(), get(legacyPath+"/{name}?timeoutSeconds=1")),
		single("watch one object by the legacy path, Table", creation, watchLines(legacyPath+"/{name}?resourceVersion={rv}", 1, []step{remove(ownPath, "")}, acceptTable)),
		single("watch a missing object by the legacy path", get(legacyPath+"/missing?timeoutSeconds=1")),
		single("watch by the legacy path, watch=false", createOwn(), get(legacyPath+"/{name}?watch=false&timeoutSeconds=1")),
		single("POST to the legacy path", post(legacyPath+"?timeoutSeconds=1&fieldSelector=metadata.name%3D{name}", object("", ""))),
		single("watch status", createOwn(), get(ownPath+"/status?watch=true&timeoutSeconds=1")),
		single("HEAD of a watch", step{method: "HEAD", path: watchOwn + oneSecond}),
		single("watch by HTTP/1.1", createOwn(), step{method: "GET", path: watchOwn + oneSecond, overHTTP1: true}),
	}
}
