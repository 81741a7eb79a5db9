package kubernetes

import "strings"

// orphanOperations are about the finalizers of garbage collectors, which here are the app cluster's and
// at the control plane its own, and about deletions that set them.
func orphanOperations() []operation {
	options := func(more string) string { return `{"kind":"DeleteOptions","apiVersion":"v1"` + more + `}` }
	created := created().keeping("rv=metadata.resourceVersion")
	// Who manages a finalizer is told with its name, which is another where it is stored, and who set it
	// by a deletion is claimgate, so that metadata is looked at by kubectl alone.
	quietly := func(s step) step {
		separator := "?"
		if strings.Contains(s.path, "?") {
			separator = "&"
		}
		s.path += separator + "includeObject=None"
		s.headers = append(s.headers, acceptTable)
		return s
	}
	held := quietly(post(resourcePath, object(`,"finalizers":["k8s.starter.org/held"]`, "")))
	none := quietly(patch(mergePatch, own, `{"metadata":{"finalizers":null}}`))
	both := `"finalizers":["orphan","foregroundDeletion"]`
	operations := []operation{
		single("delete and leave orphans of nothing", remove(own, options(`,"propagationPolicy":"Orphan"`))),
		single("delete nothing in the foreground", remove(own+"?propagationPolicy=Foreground", "")),
		single("delete and leave orphans, dry", created, quietly(remove(own, options(`,"propagationPolicy":"Orphan","dryRun":["All"]`))), then()),
		single("delete by both policies", created, remove(own, options(`,"propagationPolicy":"Orphan","orphanDependents":true`)), then()),
		single("delete and leave orphans, wrongly dry", created, remove(own, options(`,"propagationPolicy":"Orphan","dryRun":["Some"]`)), then()),
		single("delete and leave orphans of another version", created, remove(own, options(`,"propagationPolicy":"Orphan","preconditions":{"resourceVersion":"1"}`)), then()),
		single("delete and leave orphans of another uid", created, remove(own, options(`,"propagationPolicy":"Orphan","preconditions":{"uid":"1-2"}`)), then()),
		single("delete in the foreground of another version by query", created, remove(own+"?propagationPolicy=Foreground&resourceVersion=1", ""), then()),
		single("delete and leave orphans of its version", created, quietly(remove(own, options(`,"propagationPolicy":"Orphan","preconditions":{"resourceVersion":"{rv}"}`)))),
		single("delete in the foreground of its version by query", created, quietly(remove(own+"?propagationPolicy=Foreground&resourceVersion={rv}", ""))),
		single("delete and leave orphans by a broken body", created, remove(own, `{"propagationPolicy":"Orphan"`), then()),
		single("delete and leave orphans in YAML", held, quietly(step{method: "DELETE", path: own, body: "propagationPolicy: Orphan\n", headers: []string{yamlBody}}), quietly(then()), none),
		single("delete and leave orphans in text", created, step{method: "DELETE", path: own, body: options(`,"propagationPolicy":"Orphan"`), headers: []string{"Content-Type: text/plain"}}, then()),
		single("delete and leave orphans of an unknown option", held, quietly(remove(own, options(`,"propagationPolicy":"Orphan","speed":"high"`))), none),
		single("delete and leave orphans of another kind", created, remove(own, `{"kind":"Pod","apiVersion":"v1","propagationPolicy":"Orphan"}`), then()),
		single("delete a collection of none in the foreground", remove(oneOfThem+"&propagationPolicy=Foreground", "")),
		single("finalizers of both policies", post(resourcePath, object(","+both, ""))),
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
				quietly(patch(jsonPatch, own, `[{"op":"add","path":"/metadata/finalizers","value":["`+finalizer+`"]}]`)),
				quietly(patch(jsonPatch, own, `[{"op":"test","path":"/metadata/finalizers/0","value":"`+finalizer+`"}]`)),
				quietly(patch(jsonPatch, own, `[{"op":"test","path":"/metadata/finalizers","value":["`+finalizer+`"]}]`)),
				quietly(patch(jsonPatch, own, `[{"op":"test","path":"/metadata/finalizers/0","value":"claimgate.dev"}]`)),
				quietly(patch(jsonPatch, own, `[{"op":"remove","path":"/metadata/finalizers/0"}]`)), then()),
			operation{name: "kubectl with " + finalizer, commands: []command{
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
