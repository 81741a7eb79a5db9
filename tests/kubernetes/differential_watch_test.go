package kubernetes

import (
	"slices"
	"strings"
)

// Watches are on the operation's own object.
const (
	watchOwn     = resourcePath + "?watch=true&fieldSelector=metadata.name%3D{name}"
	initial      = "&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
	bookmarked   = "&allowWatchBookmarks=true&timeoutSeconds=4"
	short        = "&timeoutSeconds=1"
	ownVersion   = "rv=metadata.resourceVersion"
	fromOwn      = "&resourceVersion={rv}"
	legacy       = "/apis/" + groupVersion + "/watch/namespaces/{ns}/kubernetesclusters"
	everywhereMy = everywhere + "?watch=true&labelSelector=side%3D{ns},op%3D{name}"
	everywhereBy = everywhere + "?watch=true&fieldSelector=metadata.namespace%3D{ns},metadata.name%3D{name}"
)

// changes makes three events of the operation's own object.
func changes() []step {
	return []step{
		created(),
		patch(mergePatch, own, `{"metadata":{"annotations":{"note":"in {ns}"}},"spec":{"nodeCount":4}}`),
		remove(own, ""),
	}
}

// bookmark waits for one.
func bookmark(path string, headers ...string) step {
	return step{method: "GET", path: path + bookmarked, headers: headers, lines: 1, unsure: true}
}

func watching(path string, lines int, during []step, headers ...string) step {
	return step{method: "GET", path: path, headers: headers, lines: lines, during: during}
}

func watchOperations() []operation {
	// Of none, but with the version of now.
	list := get(oneOfThem).keeping(ownVersion)
	var all []operation
	for _, form := range []struct{ name, query, accept string }{
		{"JSON", "", "Accept: application/json"},
		{"Table", "", acceptTable},
		{"Table v1beta1", "", acceptOldT},
		{"Table without objects", "&includeObject=None", acceptTable},
		{"Table with objects", "&includeObject=Object", acceptTable},
		{"metadata", "", acceptPart},
		// As metadata.go of client-go has it for a watch.
		{"the metadata client", "", strings.ReplaceAll(acceptMetadata, "PartialObjectMetadataList", "PartialObjectMetadata")},
		{"kubectl's Accept", "", acceptKubectl},
		{"JSON streams", "", "Accept: application/json;stream=watch"},
	} {
		all = append(all,
			single("watch "+form.name, list, watching(watchOwn+fromOwn+form.query, 3, changes(), form.accept)),
			single("watch list "+form.name, created(), watching(watchOwn+initial+form.query, 2, nil, form.accept)),
			single("watch to a bookmark "+form.name, created().keeping(ownVersion), bookmark(watchOwn+fromOwn+form.query, form.accept)),
		)
	}
	all = append(all, watchesEverywhere()...)
	return slices.Concat(all, watchStarts(), watchPaths(), websocketOperations())
}

// watchesEverywhere are over all namespaces, of which each side is to see its own alone.
func watchesEverywhere() []operation {
	seen := created().keeping(ownVersion)
	var all []operation
	for _, form := range []struct{ name, query, accept string }{
		{"JSON", "", "Accept: application/json"},
		{"Table", "", acceptTable},
		{"Table without objects", "&includeObject=None", acceptTable},
		{"metadata", "", acceptPart},
	} {
		all = append(all,
			single("watch everywhere "+form.name, seen, watching(everywhereMy+fromOwn+form.query, 2, changes()[1:], form.accept)),
			single("watch everywhere by namespace "+form.name, seen, watching(everywhereBy+fromOwn+form.query, 2, changes()[1:], form.accept)),
			single("watch list everywhere "+form.name, created(), watching(everywhereMy+initial+form.query, 2, nil, form.accept)),
			single("watch list everywhere by namespace "+form.name, created(), watching(everywhereBy+initial+form.query, 2, nil, form.accept)),
		)
	}
	return append(all,
		single("watch to a bookmark everywhere", seen, bookmark(everywhereMy+fromOwn)),
		single("watch to a bookmark everywhere by namespace", seen, bookmark(everywhereBy+fromOwn)),
		single("watch everywhere from version 1", get(everywhereMy+"&resourceVersion=1"+short)))
}

// watchStarts are watches from all kinds of versions.
func watchStarts() []operation {
	seen := created().keeping(ownVersion)
	return []operation{
		single("watch from nothing", created(), watching(watchOwn, 1, nil)),
		single("watch from version 0", created(), watching(watchOwn+"&resourceVersion=0", 1, nil)),
		single("watch from version 1", get(watchOwn+"&resourceVersion=1"+short)),
		single("watch from version 1, Table", get(watchOwn+"&resourceVersion=1"+short, acceptTable)),
		single("watch from version 1, metadata", get(watchOwn+"&resourceVersion=1"+short, acceptPart)),
		single("watch from no version", get(watchOwn+"&resourceVersion=abc"+short)),
		single("watch from a future version", get(watchOwn+"&resourceVersion=999999999"+short)),
		single("watch from its own version", seen, watching(watchOwn+fromOwn, 1, []step{remove(own, "")})),
		single("watch to its end", created(), get(watchOwn+short)),
		single("watch nothing to its end", get(watchOwn+short)),
		single("watch pretty to its end", created(), get(watchOwn+short+"&pretty=true")),
		single("watch by curl to its end", created(), get(watchOwn+short, "User-Agent: curl/8.5.0")),
		single("watch with a bad end", get(watchOwn+"&timeoutSeconds=soon")),
		single("watch list from a version", seen, watching(watchOwn+initial+fromOwn, 2, nil)),
		single("watch list from version 0", created(), watching(watchOwn+initial+"&resourceVersion=0", 2, nil)),
		single("watch list without bookmarks", created(), get(watchOwn+short+"&sendInitialEvents=true&resourceVersionMatch=NotOlderThan")),
		single("watch list without a match", get(watchOwn+short+"&sendInitialEvents=true&allowWatchBookmarks=true")),
		single("watch list with another match", get(watchOwn+short+"&sendInitialEvents=true&resourceVersionMatch=Exact")),
		single("watch list that wants no events", seen, watching(watchOwn+fromOwn+"&sendInitialEvents=false&resourceVersionMatch=NotOlderThan", 1, []step{remove(own, "")})),
		single("watch list that wants whatever", get(watchOwn+short+"&sendInitialEvents=maybe")),
		single("watch list and go on", created(), watching(watchOwn+initial, 3, []step{remove(own, "")})),
		single("watch with a match", get(watchOwn+short+"&resourceVersion=1&resourceVersionMatch=Exact")),
		single("watch with a limit", created(), get(watchOwn+short+"&limit=1")),
		single("watch with a token", get(watchOwn+short+"&continue=abc")),
		single("watch by labels that go", seen, watching(resourcePath+"?watch=true&labelSelector=op%3D{name}"+fromOwn, 1,
			[]step{patch(mergePatch, own, `{"metadata":{"labels":null}}`)})),
		single("watch by a broken selector", get(resourcePath+"?watch=true&labelSelector=a+in+b"+short)),
		single("watch by an unknown field", get(resourcePath+"?watch=true&fieldSelector=spec.region%3Deu"+short)),
		single("watch in another namespace by field", get(resourcePath+"?watch=true&fieldSelector=metadata.namespace%3Dnowhere"+short)),
	}
}

func watchPaths() []operation {
	seen := created().keeping(ownVersion)
	return []operation{
		single("watch gzip", created(), watching(watchOwn, 1, nil, "Accept-Encoding: gzip")),
		single("watch list gzip", created(), watching(watchOwn+initial, 2, nil, "Accept-Encoding: gzip")),
		single("watch YAML", get(watchOwn+short, acceptYAML)),
		single("watch YAML or JSON", created(), get(watchOwn+short, acceptYAML+",application/json")),
		single("watch protobuf", get(watchOwn+short, acceptProtobuf)),
		single("watch metadata in protobuf alone", created(), get(watchOwn+short, acceptProtobuf+";as=PartialObjectMetadata;v=v1;g=meta.k8s.io")),
		single("watch CBOR", get(watchOwn+short, "Accept: application/cbor-seq")),
		single("watch text", get(watchOwn+short, "Accept: text/plain")),
		single("watch with an odd truth", created(), get(resourcePath+"?watch=perhaps&fieldSelector=metadata.name%3D{name}"+short)),
		single("watch with an empty truth", created(), get(resourcePath+"?watch=&fieldSelector=metadata.name%3D{name}"+short)),
		single("watch twice", created(), get(resourcePath+"?watch=true&watch=false&fieldSelector=metadata.name%3D{name}"+short)),
		single("watch by the legacy path", created(), get(legacy+"?fieldSelector=metadata.name%3D{name}"+short)),
		single("watch one by the legacy path", created(), get(legacy+"/{name}?timeoutSeconds=1")),
		single("watch one by the legacy path, Table", seen, watching(legacy+"/{name}?resourceVersion={rv}", 1, []step{remove(own, "")}, acceptTable)),
		single("watch missing by the legacy path", get(legacy+"/missing?timeoutSeconds=1")),
		single("watch by the legacy path, watch=false", created(), get(legacy+"/{name}?watch=false&timeoutSeconds=1")),
		single("post to the legacy path", post(legacy+"?timeoutSeconds=1&fieldSelector=metadata.name%3D{name}", object("", ""))),
		single("watch status", created(), get(own+"/status?watch=true&timeoutSeconds=1")),
		single("HEAD of a watch", step{method: "HEAD", path: watchOwn + short}),
		single("watch by HTTP/1.1", created(), step{method: "GET", path: watchOwn + short, http1: true}),
	}
}
