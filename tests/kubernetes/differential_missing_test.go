package kubernetes

import "strings"

// missingObjectWrites are writes to an object that does not exist. The API server reports errors in
// the request first.
func missingObjectWrites() []operation {
	claim := object("", "")
	update := func(name, query, body string, headers ...string) operation {
		return single("update a missing object, "+name, put(ownPath+query, body, headers...))
	}
	all := []operation{
		update("valid object", "", claim),
		update("invalid JSON", "", "{"),
		update("empty body", "", ""),
		update("with another name", "", strings.Replace(claim, "{name}", "other", 1)),
		update("with another namespace", "", strings.Replace(claim, "{ns}", "nowhere", 1)),
		update("with another kind", "", strings.Replace(claim, "KubernetesCluster", "Pod", 1)),
		update("with an invalid dryRun", "?dryRun=Some", claim),
		update("with an invalid fieldValidation", "?fieldValidation=Roughly", claim),
		update("with an invalid fieldManager", "?fieldManager=a%0Ab", claim),
		update("with an unknown field", "?fieldValidation=Strict", strings.Replace(claim, `"spec":{`, `"spec":{"no":1,`, 1)),
		update("as a dry run", "?dryRun=All", claim),
	}
	const letsGo = `{"metadata":{"finalizers":null}}`
	for _, query := range []string{"", "?dryRun=Some", "?force=true", "?fieldManager=a%0Ab", "?dryRun=All"} {
		all = append(all,
			single("merge patch of a missing object"+query, patch(mergePatch, ownPath+query, letsGo)),
			single("JSON patch of a missing object"+query, patch(jsonPatch, ownPath+query, `[{"op":"remove","path":"/metadata/finalizers"}]`)))
	}
	return all
}
