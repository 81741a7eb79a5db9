package kubernetes

import "strings"

// deletionPolicyOperations are about deletions with a propagation policy and the finalizers that
// these set. Through claimgate they belong to the app cluster's garbage collector, directly to the
// control plane's own.
func deletionPolicyOperations() []operation {
	options := func(more string) string { return `{"kind":"DeleteOptions","apiVersion":"v1"` + more + `}` }
	created := createOwn().saving("rv=metadata.resourceVersion")
	// withoutMetadata requests Tables without objects. managedFields differ on purpose: the
	// finalizer has another name where it is stored, and claimgate is its manager after a deletion.
	// The kubectl operations read the finalizers.
	withoutMetadata := func(s step) step {
		separator := "?"
		if strings.Contains(s.path, "?") {
			separator = "&"
		}
		s.path += separator + "includeObject=None"
		s.headers = append(s.headers, acceptTable)
		return s
	}
	withFinalizer := withoutMetadata(post(resourcePath, object(`,"finalizers":["k8s.starter.org/held"]`, "")))
	removeFinalizers := withoutMetadata(patch(mergePatch, ownPath, `{"metadata":{"finalizers":null}}`))
	both := `"finalizers":["orphan","foregroundDeletion"]`
	operations := []operation{
		single("delete a missing object with policy Orphan", remove(ownPath, options(`,"propagationPolicy":"Orphan"`))),
		single("delete a missing object with policy Foreground", remove(ownPath+"?propagationPolicy=Foreground", "")),
		single("delete with policy Orphan as a dry run", created, withoutMetadata(remove(ownPath, options(`,"propagationPolicy":"Orphan","dryRun":["All"]`))), getOwn()),
		single("delete with two policies", created, remove(ownPath, options(`,"propagationPolicy":"Orphan","orphanDependents":true`)), getOwn()),
		single("delete with policy Orphan and an invalid dryRun", created, remove(ownPath, options(`,"propagationPolicy":"Orphan","dryRun":["Some"]`)), getOwn()),
		single("delete with policy Orphan and another version", created, remove(ownPath, options(`,"propagationPolicy":"Orphan","preconditions":{"resourceVersion":"1"}`)), getOwn()),
		single("delete with policy Orphan and another uid", created, remove(ownPath, options(`,"propagationPolicy":"Orphan","preconditions":{"uid":"1-2"}`)), getOwn()),
		single("delete with policy Foreground and another version in the query", created, remove(ownPath+"?propagationPolicy=Foreground&resourceVersion=1", ""), getOwn()),
		single("delete with policy Orphan and its version", created, withoutMetadata(remove(ownPath, options(`,"propagationPolicy":"Orphan","preconditions":{"resourceVersion":"{rv}"}`)))),
		single("delete with policy Foreground and its version in the query", created, withoutMetadata(remove(ownPath+"?propagationPolicy=Foreground&resourceVersion={rv}", ""))),
		single("delete with policy Orphan in an invalid body", created, remove(ownPath, `{"propagationPolicy":"Orphan"`), getOwn()),
		single("delete with policy Orphan in YAML", withFinalizer, withoutMetadata(step{method: "DELETE", path: ownPath, body: "propagationPolicy: Orphan\n", headers: []string{yamlBody}}), withoutMetadata(getOwn()), removeFinalizers),
		single("delete with policy Orphan in plain text", created, step{method: "DELETE", path: ownPath, body: options(`,"propagationPolicy":"Orphan"`), headers: []string{"Content-Type: text/plain"}}, getOwn()),
		single("delete with policy Orphan and an unknown option", withFinalizer, withoutMetadata(remove(ownPath, options(`,"propagationPolicy":"Orphan","speed":"high"`))), removeFinalizers),
		single("delete with policy Orphan in another kind", created, remove(ownPath, `{"kind":"Pod","apiVersion":"v1","propagationPolicy":"Orphan"}`), getOwn()),
		single("delete an empty collection with policy Foreground", remove(ownListPath+"&propagationPolicy=Foreground", "")),
		single("create with the finalizers of both policies", post(resourcePath, object(","+both, ""))),
		{name: "kubectl delete twice in the foreground", commands: []command{
			{args: "create -n {ns} -f -", stdin: object(`,"finalizers":["k8s.starter.org/held"]`, "")},
			{args: "delete kc {name} -n {ns} --cascade=foreground --wait=false"},
			{args: "delete kc {name} -n {ns} --cascade=foreground --wait=false"},
			{args: "patch kc {name} -n {ns} --type=json -p [{\"op\":\"remove\",\"path\":\"/metadata/finalizers\"}]"},
		}},
	}
	for _, finalizer := range []string{"orphan", "foregroundDeletion"} {
		written := object(`,"finalizers":["k8s.starter.org/a","`+finalizer+`"]`, "")
		finalizers := `-o jsonpath={.metadata.finalizers}`
		operations = append(operations,
			single(finalizer+" in a JSON patch", created,
				withoutMetadata(patch(jsonPatch, ownPath, `[{"op":"add","path":"/metadata/finalizers","value":["`+finalizer+`"]}]`)),
				withoutMetadata(patch(jsonPatch, ownPath, `[{"op":"test","path":"/metadata/finalizers/0","value":"`+finalizer+`"}]`)),
				withoutMetadata(patch(jsonPatch, ownPath, `[{"op":"test","path":"/metadata/finalizers","value":["`+finalizer+`"]}]`)),
				withoutMetadata(patch(jsonPatch, ownPath, `[{"op":"test","path":"/metadata/finalizers/0","value":"claimgate.dev"}]`)),
				withoutMetadata(patch(jsonPatch, ownPath, `[{"op":"remove","path":"/metadata/finalizers/0"}]`)), getOwn()),
			operation{name: "kubectl with finalizer " + finalizer, commands: []command{
				{args: "create -n {ns} -f -", stdin: written},
				{args: "get kc {name} -n {ns} " + finalizers},
				{args: "patch kc {name} -n {ns} --type=merge -p {\"metadata\":{\"finalizers\":[\"" + finalizer + "\"]}}"},
				{args: "get kc {name} -n {ns} " + finalizers},
				{args: "apply --server-side -n {ns} -f -", stdin: written},
				{args: "get kc {name} -n {ns} " + finalizers},
				{args: "patch kc {name} -n {ns} --type=merge -p {\"metadata\":{\"finalizers\":null}}"},
				{args: "delete kc {name} -n {ns}"},
			}})
	}
	return operations
}
