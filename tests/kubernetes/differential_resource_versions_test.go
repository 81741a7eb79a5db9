package kubernetes

import (
	"fmt"
	"slices"
)

// versions are values of resourceVersion; {rv} is one from an earlier answer.
var versions = []struct{ name, query string }{
	{"an empty version", "resourceVersion="},
	{"version 0", "resourceVersion=0"},
	{"a version from an earlier answer", "resourceVersion={rv}"},
	{"version 1", "resourceVersion=1"},
	{"version 00", "resourceVersion=00"},
	{"a negative version", "resourceVersion=-1"},
	{"a version with a plus sign", "resourceVersion=%2B1"},
	{"a version that is not an integer", "resourceVersion=1.5"},
	{"a version beyond 64 bits", "resourceVersion=18446744073709551616"},
	{"two versions", "resourceVersion=0&resourceVersion={rv}"},
}

// futureVersion does not exist for a long time. kube-apiserver waits three seconds for it, if at
// all, and answers with Retry-After (apiserver/pkg/storage/cacher, waitUntilFreshAndBlock).
const futureVersion = "resourceVersion=9000000000000"

// versionMatches are values of resourceVersionMatch.
var versionMatches = []struct{ name, query string }{
	{"", ""},
	{", exactly", "&resourceVersionMatch=Exact"},
	{", or newer", "&resourceVersionMatch=NotOlderThan"},
	{", with an invalid match", "&resourceVersionMatch=exact"},
	{", with an empty match", "&resourceVersionMatch="},
}

// versionOperations are all uses of resourceVersion. They use objects of their own, so that no
// other change interferes.
func versionOperations() []operation {
	return slices.Concat(versionsOfLists(), versionsOfOthers(), futureVersions(), versionsOfWatches())
}

// listLatest lists at the latest version, so that kube-apiserver's cache contains all earlier
// writes.
func listLatest() step { return get(ownListPath) }

// versionsOfLists request each form of a list with each version, match and limit. There is one
// operation for each version and match.
func versionsOfLists() []operation {
	second := post(resourcePath, `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{"name":"p-{name}","labels":{"op":"{name}","side":"{ns}"}},"spec":{}}`)
	both := []step{createOwn(), second.saving(saveVersion), listLatest()}
	afterBoth := func(more ...step) []step { return slices.Concat(both, more) }
	all := []operation{single("pages at version 0", afterBoth(get(ownListPath+"&limit=1&resourceVersion=0").saving("continue=metadata.continue"),
		get(ownListPath+"&limit=1&continue={continue}"), get(ownListPath+"&limit=1&continue={continue}&resourceVersion=0"), get(ownListPath+"&limit=1&continue={continue}&resourceVersionMatch=Exact"))...)}
	for _, match := range versionMatches {
		for _, version := range versions {
			query := "&" + version.query + match.query
			all = append(all, single("list own claims at "+version.name+match.name, afterBoth(
				get(ownListPath+query), get(ownListPath+query+"&limit=1"), get(ownListPath+query+"&limit=0"), get(ownListPath+query, acceptTable),
				get(allNamespacesPath+"?"+ownSelector+query), get(allNamespacesPath+"?"+ownSelector+query+"&limit=1"),
				step{method: "HEAD", path: ownListPath + query}, step{method: "HEAD", path: ownListPath + query + "&limit=1"})...))
		}
		all = append(all, single("list own claims without a version"+match.name, afterBoth(get(ownListPath+match.query), get(ownListPath+match.query+"&limit=1"),
			get(allNamespacesPath+"?"+ownSelector+match.query), step{method: "HEAD", path: ownListPath + match.query})...))
	}
	return all
}

// versionsOfOthers use versions in reads of one object, in deletions and in writes.
func versionsOfOthers() []operation {
	creation := createOwn().saving(saveVersion)
	var all []operation
	for _, version := range versions {
		query := "?" + version.query
		all = append(all,
			single("get own claim at "+version.name, creation, listLatest(), get(ownPath+query), get(ownPath+query+"&resourceVersionMatch=Exact"), get(ownPath+query+"&limit=1"), get(ownPath+query, acceptPartial),
				get(ownPath+"/status"+query), get(ownPath+"/scale"+query), get(ownPath+"-none"+query), step{method: "HEAD", path: ownPath + query}),
			single("delete a collection at "+version.name, creation, listLatest(), remove(ownListPath+"&dryRun=All&"+version.query+"&resourceVersionMatch=NotOlderThan", ""), remove(ownListPath+"&"+version.query, ""), getOwn()),
			single("writes with "+version.name, creation, patch(mergePatch, ownPath+query+"&dryRun=All", `{"spec":{"nodeCount":4}}`), remove(ownPath+query, ""), getOwn()))
	}
	return append(all,
		single("get at an older version", creation, patch(mergePatch, ownPath, `{"spec":{"nodeCount":4}}`), listLatest(), get(ownPath+"?resourceVersion={rv}")),
		single("get a missing object at a version", creation, remove(ownPath, ""), listLatest(), get(ownPath+"?resourceVersion={rv}"), get(ownPath+"?resourceVersion=0")),
		// The list at that version still contains the object.
		single("list at exactly an older version", creation, patch(mergePatch, ownPath, `{"spec":{"nodeCount":4}}`), listLatest(), get(ownListPath+"&resourceVersion={rv}&resourceVersionMatch=Exact"),
			get(ownListPath+"&resourceVersion={rv}&resourceVersionMatch=NotOlderThan"), get(ownListPath+"&resourceVersion={rv}&limit=1"), remove(ownPath, ""), listLatest(),
			get(ownListPath+"&resourceVersion={rv}&resourceVersionMatch=Exact"), get(allNamespacesPath+"?"+ownSelector+"&resourceVersion={rv}&resourceVersionMatch=Exact", acceptTable)))
}

// futureVersions are answered after a while with a Status that has a cause and Retry-After.
func futureVersions() []operation {
	var all []operation
	for name, s := range map[string]step{
		"get": get(ownPath + "?" + futureVersion), "get metadata": get(ownPath+"?"+futureVersion, acceptPartial), "get in YAML": get(ownPath+"?"+futureVersion, acceptYAML), "get a scale": get(ownPath + "/scale?" + futureVersion),
		"get in protobuf or JSON": get(ownPath+"?"+futureVersion, acceptProtobuf+",application/json"), "get pretty": get(ownPath + "?pretty=true&" + futureVersion),
		"HEAD": {method: "HEAD", path: ownPath + "?" + futureVersion}, "HEAD of a list": {method: "HEAD", path: ownListPath + "&" + futureVersion},
		"list": get(ownListPath + "&" + futureVersion), "list Table": get(ownListPath+"&"+futureVersion, acceptTable), "list by the metadata client": get(ownListPath+"&"+futureVersion, acceptMetadata),
		"list with a limit": get(ownListPath + "&limit=1&" + futureVersion), "list all namespaces": get(allNamespacesPath + "?" + ownSelector + "&" + futureVersion), "list with a timeout": get(ownListPath + "&timeout=1s&timeoutSeconds=1&" + futureVersion),
		"list exactly": get(ownListPath + "&resourceVersionMatch=Exact&" + futureVersion), "list exactly with a limit": get(ownListPath + "&limit=1&resourceVersionMatch=Exact&" + futureVersion),
		"list or newer": get(ownListPath + "&resourceVersionMatch=NotOlderThan&" + futureVersion), "list or newer with a limit": get(ownListPath + "&limit=1&resourceVersionMatch=NotOlderThan&" + futureVersion),
		"delete a collection": remove(ownListPath+"&"+futureVersion, ""),
		"watch list":          get(watchOwn + initialEvents + "&timeoutSeconds=5&" + futureVersion), "watch list Table": get(watchOwn+initialEvents+"&timeoutSeconds=5&"+futureVersion, acceptTable), "watch all namespaces": get(watchAllByLabel + oneSecond + "&" + futureVersion),
		"watch by the legacy path": get(legacyPath + "/{name}?timeoutSeconds=1&" + futureVersion), "WebSocket": byWebSocket(get(watchOwn + initialEvents + "&timeoutSeconds=5&" + futureVersion)),
	} {
		all = append(all, single("future version, "+name, createOwn(), s))
	}
	slices.SortFunc(all, func(a, b operation) int { return slices.Compare([]byte(a.name), []byte(b.name)) })
	return all
}

func versionsOfWatches() []operation {
	creation := createOwn().saving(saveVersion)
	var all []operation
	for _, version := range versions {
		query := resourcePath + "?watch=true&labelSelector=op%3D{name}&" + version.query + oneSecond
		withMatches := single("watch own claims from "+version.name+", with matches", creation, listLatest())
		for _, match := range versionMatches[1:] {
			withMatches.steps = append(withMatches.steps, get(query+match.query), get(query+match.query, acceptTable))
		}
		// kube-apiserver sometimes omits the bookmark at the end of a watch, so no operation reads
		// up to it.
		all = append(all, withMatches,
			single("watch own claims from "+version.name, creation, listLatest(), get(query), get(query+"&limit=1")),
			single("initial events of own claims from "+version.name, creation, listLatest(), watchLines(watchOwn+initialEvents+oneSecond+"&"+version.query, 2, nil),
				get(watchOwn+"&sendInitialEvents=true"+oneSecond+"&"+version.query), get(watchOwn+"&sendInitialEvents=false"+oneSecond+"&"+version.query)))
	}
	for i, words := range []string{"sendInitialEvents=true&resourceVersionMatch=Exact", "sendInitialEvents=false&resourceVersionMatch=Exact", "sendInitialEvents=false", "resourceVersionMatch=NotOlderThan"} {
		all = append(all, single(fmt.Sprintf("watch parameters %d, %s", i, words), createOwn(), listLatest(), get(watchOwn+oneSecond+"&"+words), get(watchOwn+oneSecond+"&limit=1&"+words), get(watchAllByLabel+oneSecond+"&"+words)))
	}
	return all
}
