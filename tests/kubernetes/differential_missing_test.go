package kubernetes

import "strings"

// missing are writes to an object that is not there. What is said of it comes behind all that is to be
// said of the write itself.
func missing() []operation {
	claim := object("", "")
	update := func(name, query, body string, headers ...string) operation {
		return single("update of nothing, "+name, put(own+query, body, headers...))
	}
	all := []operation{
		update("whole", "", claim),
		update("broken", "", "{"),
		update("empty", "", ""),
		update("of another name", "", strings.Replace(claim, "{name}", "other", 1)),
		update("of another namespace", "", strings.Replace(claim, "{ns}", "nowhere", 1)),
		update("of another kind", "", strings.Replace(claim, "KubernetesCluster", "Pod", 1)),
		update("with a bad dryRun", "?dryRun=Some", claim),
		update("with a bad fieldValidation", "?fieldValidation=Roughly", claim),
		update("with a bad fieldManager", "?fieldManager=a%0Ab", claim),
		update("with an unknown field", "?fieldValidation=Strict", strings.Replace(claim, `"spec":{`, `"spec":{"no":1,`, 1)),
		update("in vain", "?dryRun=All", claim),
	}
	const letsGo = `{"metadata":{"finalizers":null}}`
	for _, query := range []string{"", "?dryRun=Some", "?force=true", "?fieldManager=a%0Ab", "?dryRun=All"} {
		all = append(all,
			single("merge patch of a missing object"+query, patch(mergePatch, own+query, letsGo)),
			single("JSON patch of a missing object"+query, patch(jsonPatch, own+query, `[{"op":"remove","path":"/metadata/finalizers"}]`)))
	}
	return all
}
