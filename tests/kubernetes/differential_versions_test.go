package kubernetes

import (
	"fmt"
	"slices"
)

// versions are what a client can send as resourceVersion; {rv} is one that was seen.
var versions = []struct{ name, query string }{
	{"an empty version", "resourceVersion="},
	{"version 0", "resourceVersion=0"},
	{"a version seen", "resourceVersion={rv}"},
	{"version 1", "resourceVersion=1"},
	{"version 00", "resourceVersion=00"},
	{"a version below 0", "resourceVersion=-1"},
	{"a version with a sign", "resourceVersion=%2B1"},
	{"a version of no integer", "resourceVersion=1.5"},
	{"a version beyond integers", "resourceVersion=18446744073709551616"},
	{"a version twice", "resourceVersion=0&resourceVersion={rv}"},
}

// future is a version that is not there for long. kube-apiserver waits for it for three seconds, if it
// waits at all, and asks to be asked again (apiserver/pkg/storage/cacher, waitUntilFreshAndBlock).
const future = "resourceVersion=9000000000000"

// matches are what it is to be matched by.
var matches = []struct{ name, query string }{
	{"", ""},
	{", exactly", "&resourceVersionMatch=Exact"},
	{", or newer", "&resourceVersionMatch=NotOlderThan"},
	{", by a wrong match", "&resourceVersionMatch=exact"},
	{", by an empty match", "&resourceVersionMatch="},
}

// versionOperations are all that a resourceVersion can mean. They are on objects of their own, so that
// nothing else comes in between.
func versionOperations() []operation {
	return slices.Concat(versionsOfLists(), versionsOfOthers(), futures(), versionsOfWatches())
}

// latest lists at the latest version, so that kube-apiserver's cache has all that was written before.
func latest() step { return get(oneOfThem) }

// versionsOfLists have each form of a list with each version, match and limit, in one operation for what
// differs in its version and match.
func versionsOfLists() []operation {
	second := post(resourcePath, `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{"name":"{name}-2","labels":{"op":"{name}","side":"{ns}"}},"spec":{}}`)
	both := []step{created(), second.keeping(ownVersion), latest()}
	with := func(more ...step) []step { return slices.Concat(both, more) }
	all := []operation{single("pages of version 0", with(get(oneOfThem+"&limit=1&resourceVersion=0").keeping("continue=metadata.continue"),
		get(oneOfThem+"&limit=1&continue={continue}"), get(oneOfThem+"&limit=1&continue={continue}&resourceVersion=0"), get(oneOfThem+"&limit=1&continue={continue}&resourceVersionMatch=Exact"))...)}
	for _, match := range matches {
		for _, version := range versions {
			query := "&" + version.query + match.query
			all = append(all, single("claims of "+version.name+match.name, with(
				get(oneOfThem+query), get(oneOfThem+query+"&limit=1"), get(oneOfThem+query+"&limit=0"), get(oneOfThem+query, acceptTable),
				get(everywhere+"?"+mine+query), get(everywhere+"?"+mine+query+"&limit=1"),
				step{method: "HEAD", path: oneOfThem + query}, step{method: "HEAD", path: oneOfThem + query + "&limit=1"})...))
		}
		all = append(all, single("claims of no version at all"+match.name, with(get(oneOfThem+match.query), get(oneOfThem+match.query+"&limit=1"),
			get(everywhere+"?"+mine+match.query), step{method: "HEAD", path: oneOfThem + match.query})...))
	}
	return all
}

// versionsOfOthers are those of single objects, of deletions and of writes.
func versionsOfOthers() []operation {
	seen := created().keeping(ownVersion)
	var all []operation
	for _, version := range versions {
		query := "?" + version.query
		all = append(all,
			single("claim of "+version.name, seen, latest(), get(own+query), get(own+query+"&resourceVersionMatch=Exact"), get(own+query+"&limit=1"), get(own+query, acceptPart),
				get(own+"/status"+query), get(own+"/scale"+query), get(own+"-none"+query), step{method: "HEAD", path: own + query}),
			single("delete a collection of "+version.name, seen, latest(), remove(oneOfThem+"&dryRun=All&"+version.query+"&resourceVersionMatch=NotOlderThan", ""), remove(oneOfThem+"&"+version.query, ""), then()),
			single("writes with "+version.name, seen, patch(mergePatch, own+query+"&dryRun=All", `{"spec":{"nodeCount":4}}`), remove(own+query, ""), then()))
	}
	return append(all,
		single("get of a version gone by", seen, patch(mergePatch, own, `{"spec":{"nodeCount":4}}`), latest(), get(own+"?resourceVersion={rv}")),
		single("get of nothing at a version", seen, remove(own, ""), latest(), get(own+"?resourceVersion={rv}"), get(own+"?resourceVersion=0")),
		// Its object stays in the list of that version.
		single("list exactly a version gone by", seen, patch(mergePatch, own, `{"spec":{"nodeCount":4}}`), latest(), get(oneOfThem+"&resourceVersion={rv}&resourceVersionMatch=Exact"),
			get(oneOfThem+"&resourceVersion={rv}&resourceVersionMatch=NotOlderThan"), get(oneOfThem+"&resourceVersion={rv}&limit=1"), remove(own, ""), latest(),
			get(oneOfThem+"&resourceVersion={rv}&resourceVersionMatch=Exact"), get(everywhere+"?"+mine+"&resourceVersion={rv}&resourceVersionMatch=Exact", acceptTable)))
}

// futures are told of by a Status with a cause and Retry-After, after a while.
func futures() []operation {
	var all []operation
	for name, s := range map[string]step{
		"get": get(own + "?" + future), "get metadata": get(own+"?"+future, acceptPart), "get in YAML": get(own+"?"+future, acceptYAML), "get a scale": get(own + "/scale?" + future),
		"get in protobuf or JSON": get(own+"?"+future, acceptProtobuf+",application/json"), "get pretty": get(own + "?pretty=true&" + future),
		"HEAD": {method: "HEAD", path: own + "?" + future}, "HEAD of a list": {method: "HEAD", path: oneOfThem + "&" + future},
		"list": get(oneOfThem + "&" + future), "list Table": get(oneOfThem+"&"+future, acceptTable), "list by the metadata client": get(oneOfThem+"&"+future, acceptMetadata),
		"list with a limit": get(oneOfThem + "&limit=1&" + future), "list everywhere": get(everywhere + "?" + mine + "&" + future), "list with a time": get(oneOfThem + "&timeout=1s&timeoutSeconds=1&" + future),
		"list exactly": get(oneOfThem + "&resourceVersionMatch=Exact&" + future), "list exactly with a limit": get(oneOfThem + "&limit=1&resourceVersionMatch=Exact&" + future),
		"list or newer": get(oneOfThem + "&resourceVersionMatch=NotOlderThan&" + future), "list or newer with a limit": get(oneOfThem + "&limit=1&resourceVersionMatch=NotOlderThan&" + future),
		"delete a collection": remove(oneOfThem+"&"+future, ""),
		"watch list":          get(watchOwn + initial + "&timeoutSeconds=5&" + future), "watch list Table": get(watchOwn+initial+"&timeoutSeconds=5&"+future, acceptTable), "watch everywhere": get(everywhereMy + short + "&" + future),
		"legacy watch": get(legacy + "/{name}?timeoutSeconds=1&" + future), "WebSocket": byWebSocket(get(watchOwn + initial + "&timeoutSeconds=5&" + future)),
	} {
		all = append(all, single("future version, "+name, created(), s))
	}
	slices.SortFunc(all, func(a, b operation) int { return slices.Compare([]byte(a.name), []byte(b.name)) })
	return all
}

func versionsOfWatches() []operation {
	seen := created().keeping(ownVersion)
	var all []operation
	for _, version := range versions {
		query := resourcePath + "?watch=true&labelSelector=op%3D{name}&" + version.query + short
		refused := single("events from "+version.name+", by matches", seen, latest())
		for _, match := range matches[1:] {
			refused.steps = append(refused.steps, get(query+match.query), get(query+match.query, acceptTable))
		}
		// The bookmark at the end of a watch is left out now and then, so that none is read to there.
		all = append(all, refused,
			single("events from "+version.name, seen, latest(), get(query), get(query+"&limit=1")),
			single("initial events from "+version.name, seen, latest(), watching(watchOwn+initial+short+"&"+version.query, 2, nil),
				get(watchOwn+"&sendInitialEvents=true"+short+"&"+version.query), get(watchOwn+"&sendInitialEvents=false"+short+"&"+version.query)))
	}
	for i, words := range []string{"sendInitialEvents=true&resourceVersionMatch=Exact", "sendInitialEvents=false&resourceVersionMatch=Exact", "sendInitialEvents=false", "resourceVersionMatch=NotOlderThan"} {
		all = append(all, single(fmt.Sprintf("watch by words %d, %s", i, words), created(), latest(), get(watchOwn+short+"&"+words), get(watchOwn+short+"&limit=1&"+words), get(everywhereMy+short+"&"+words)))
	}
	return all
}
