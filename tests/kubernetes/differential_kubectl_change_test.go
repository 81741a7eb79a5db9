package kubernetes

import (
	"slices"
	"strings"
)

// onObjectWithLeftovers is an operation on an existing object that reads its leftovers at the end.
func onObjectWithLeftovers(name string, commands ...command) operation {
	o := kubectlOperation(name, commands...)
	o.steps = []step{createOwn()}
	return o
}

// scriptedEdit edits an existing object with sed.
func scriptedEdit(name, args, text string) operation {
	return onObjectWithLeftovers(name, command{args: args, edit: text, stdin: manifest})
}

func kubectlReplaces() []operation {
	replace := func(name, flags, stdin string) operation {
		return onObjectWithLeftovers("replace "+name, kubectlRun("replace "+flags+" -f -", stdin))
	}
	const raw = "--raw " + ownPath
	return []operation{
		replace("in JSON", "-o json", object(`,"labels":{"a":"{ns}"}`, "")),
		replace("with output name", "-o name", changedManifest),
		replace("and save the configuration", "--save-config -o yaml", changedManifest),
		replace("as a dry run", "--dry-run=server -o yaml", changedManifest),
		replace("at an old version", "", strings.Replace(changedManifest, "  annotations:", "  resourceVersion: '1'\n  annotations:", 1)),
		replace("with another uid", "", strings.Replace(changedManifest, "  annotations:", "  uid: 00000000-0000-0000-0000-000000000000\n  annotations:", 1)),
		replace("with an unknown field", "", manifestWithUnknownField),
		replace("with an unknown field and a warning", "--validate=warn", manifestWithUnknownField),
		replace("of status", "--subresource=status -o json", manifestWithStatus),
		replace("with force and a grace period", "--force --grace-period=0 -o name", changedManifest),
		replace("with force and cascade orphan", "--force --cascade=orphan --timeout=5s", changedManifest),
		replace("raw", raw, object(`,"annotations":{"a":"{ns}"}`, "")),
		replace("raw at an old version", raw, object(`,"resourceVersion":"1"`, "")),
		replace("raw with another namespace", raw, strings.Replace(object("", ""), "{ns}", "nowhere", 1)),
		replace("raw status", "--raw "+ownPath+"/status", `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{"name":"{name}"},"status":{"nodeCount":9}}`),
		kubectlOperation("replace a missing object", kubectlRun("replace -f -", manifest), kubectlRun("replace --force -f -", manifest)),
	}
}

// kubectlEdits use sed. If sed changes nothing on the second attempt, kubectl gives up.
func kubectlEdits() []operation {
	const spoil = "s/nodeCount: 3/nodeCount: three/"
	return []operation{
		scriptedEdit("edit to a wrong type", "edit kc {name} -n {ns}", spoil),
		scriptedEdit("edit with an unknown field", "edit kc {name} -n {ns}", "s/  nodeCount: 3/  nodeCoun: 4/"),
		scriptedEdit("edit with an unknown field and without validation", "edit kc {name} -n {ns} --validate=ignore", "s/  nodeCount: 3/  nodeCoun: 4/"),
		scriptedEdit("edit to invalid YAML", "edit kc {name} -n {ns}", "s/nodeCount: 3/nodeCount: [/"),
		scriptedEdit("edit to an empty file", "edit kc {name} -n {ns}", "d"),
		scriptedEdit("edit the name", "edit kc {name} -n {ns}", "s/  name: .*/  name: another/"),
		scriptedEdit("edit the namespace in YAML", "edit kc {name} -n {ns}", "s/  namespace: .*/  namespace: nowhere/"),
		scriptedEdit("edit the kind", "edit kc {name} -n {ns}", "s/^kind: .*/kind: Network/"),
		scriptedEdit("edit the version", "edit kc {name} -n {ns}", "s/resourceVersion: .*/resourceVersion: \"1\"/"),
		scriptedEdit("edit labels", "edit kc {name} -n {ns} -o json", `s/"side": .*/"side": "too"/`),
		scriptedEdit("edit and print", "edit kc {name} -n {ns} -o json --output-patch", `s/"nodeCount": 3/"nodeCount": 4/`),
		scriptedEdit("edit and print the patch", "edit kc {name} -n {ns} --output-patch", "s/nodeCount: 3/nodeCount: 4/"),
		scriptedEdit("edit with another field manager", "edit kc {name} -n {ns} --field-manager=me --show-managed-fields", "s/nodeCount: 3/nodeCount: 4/"),
		scriptedEdit("edit the status", "edit kc {name} -n {ns} --subresource=status", "s/^spec:/status: {nodeCount: 8}\\nspec:/"),
		scriptedEdit("edit by file", "edit -n {ns} -f -", "s/nodeCount: 3/nodeCount: 4/"),
	}
}

func kubectlMoreChanges() []operation {
	var all []operation
	for _, args := range kubectlChangesOfOne {
		all = append(all, onObjectWithLeftovers("on "+args, kubectlRun(args, "")))
	}
	for _, args := range kubectlChangesInSequence {
		all = append(all, onObjectWithLeftovers("in sequence "+strings.Join(args, ", "), kubectlRuns(args, "")...))
	}
	return withNumberedObjects("h", slices.Concat(all, kubectlByFile()))
}

var kubectlChangesOfOne = []string{
	`patch kc {name} -n {ns} --type=merge -o json -p {"metadata":{"labels":{"side":null},"annotations":{"a":"{ns}"}}}`,
	`patch kc {name} -n {ns} --type=merge -o name -p {"spec":{"parameters":{"namespace":"{ns}"}}}`,
	`patch kc {name} -n {ns} --type=merge -p {"metadata":{"namespace":"nowhere"}}`,
	`patch kc {name} -n {ns} --type=merge -p {"metadata":{"namespace":"{ns}"}}`,
	`patch kc {name} -n {ns} --type=merge -p {"metadata":{"resourceVersion":"1"}}`,
	`patch kc {name} -n {ns} --type=merge -p {"metadata":{"uid":"00000000-0000-0000-0000-000000000000"}}`,
	`patch kc {name} -n {ns} --type=merge -p {"metadata":{"name":"other"}}`,
	`patch kc {name} -n {ns} --type=merge -p {"spec":{"nodeCoun":1}}`,
	`patch kc {name} -n {ns} --type=merge -p {"metadata":{"finalizers":["a"]}}`,
	`patch kc {name} -n {ns} --type=merge --field-manager=me -p {"spec":{"nodeCount":8}}`,
	`patch kc {name} -n {ns} --type=strategic -p {"spec":{"nodeCount":8}}`,
	`patch kc {name} -n {ns} --type=json -p [{"op":"replace","path":"/metadata/namespace","value":"nowhere"}]`,
	`patch kc {name} -n {ns} --type=json -p [{"op":"replace","path":"/metadata/namespace","value":"{ns}"},{"op":"add","path":"/metadata/labels/a","value":"{ns}"}]`,
	`patch kc {name} -n {ns} --type=json -p [{"op":"add","path":"/metadata/annotations","value":{"a":"b"}},{"op":"remove","path":"/metadata/labels/side"}]`,
	`patch kc {name} -n {ns} --type=json -p [{"op":"replace","path":"/spec/nodeCount","value":"many"}]`,
	`patch kc {name} -n {ns} --type=json -p {}`,
	`patch kc {name} -n {ns} --type=json -p [{"op":"jump","path":"/spec"}]`,
	`patch kc {name} -n {ns} --subresource=status --type=json -o yaml -p [{"op":"add","path":"/status","value":{"nodeCount":2}}]`,
	`patch kc {name} -n {ns} --subresource=scale --type=merge -p {"spec":{"replicas":2}}`,
	`patch kc {name} -n {ns} --subresource=scale --type=merge -o yaml -p {"metadata":{"namespace":"nowhere"}}`,
	`patch kc {name} -n {ns} --subresource=nothing --type=merge -p {}`,
	"label kc {name} -n {ns} a=b c=d side- -o yaml",
	"label kc {name} -n {ns} nothing-",
	"label kc {name} -n {ns} a=b --resource-version=1",
	"label kc {name} -n {ns} a=b --field-manager=me",
	"label kc -n {ns} -l op={name} a=b op-",
	"label kc -n {ns} --field-selector=metadata.name={name} a=b",
	"label kc {name} -n {ns} side={ns} op=x --overwrite",
	"annotate kc {name} -n {ns} a=b c={ns} -o json",
	"annotate kc {name} -n {ns} a=b --resource-version=1",
	"annotate kc {name} -n {ns} nothing-",
	"annotate kc -n {ns} -l op={name} a=b",
	"annotate kc {name} -n {ns} claimgate/a=b/c -v=6",
	"scale kc {name} -n {ns} --replicas=5 -o yaml",
	"scale kc {name} -n {ns} --replicas=5 --current-replicas=3",
	"scale kc -n {ns} -l op={name} --replicas=0",
	"scale kc/{name} kc/missing -n {ns} --replicas=2",
	"delete kc {name} -n {ns} -o name",
	"delete kc/{name} kc/missing -n {ns}",
	"delete kc {name} -n {ns} --force",
	"delete kc {name} -n {ns} --force --grace-period=0 -o name",
	"delete kc {name} -n {ns} --grace-period=30",
	"delete kc {name} -n {ns} --timeout=5s --ignore-not-found",
	"delete kc -n {ns} --field-selector=metadata.name={name}",
	"delete kc,nw -n {ns} -l op={name}",
	"delete kc {name} -n {ns} -v=6 --wait=false",
	"delete kc -n {ns} -l op={name} --cascade=background --now",
	"delete --raw " + ownPath + "?dryRun=All",
	"delete --raw " + resourcePath + "?labelSelector=op%3D{name}",
	"delete --raw " + resourcePath + "/missing",
	"wait kc/{name} -n {ns} --for=jsonpath={.spec.nodeCount}=4 --timeout=1s",
}

// kubectlChangesInSequence list field managers in alphabetical order, because managedFields entries
// of one second are sorted by name.
var kubectlChangesInSequence = [][]string{
	{"label kc {name} -n {ns} a=b", "label kc {name} -n {ns} a=b", "label kc {name} -n {ns} a-"},
	{"annotate kc {name} -n {ns} a=b", "annotate kc {name} -n {ns} a=c --overwrite", "annotate kc {name} -n {ns} a-"},
	{"annotate kc {name} -n {ns} a=b", "label kc {name} -n {ns} a=b", `patch kc {name} -n {ns} --type=merge -p {"spec":{"region":"us"}}`},
	{`patch kc {name} -n {ns} --type=merge -p {"metadata":{"finalizers":["example.org/hold"]}}`, "delete kc {name} -n {ns} --timeout=1s", "delete kc {name} -n {ns} --wait=false",
		"wait kc/{name} -n {ns} --for=delete --timeout=1s", `patch kc {name} -n {ns} --type=json -p [{"op":"remove","path":"/metadata/finalizers"}]`},
	{"scale kc {name} -n {ns} --replicas=4", "get kc {name} -n {ns} --subresource=scale"},
	{"delete kc {name} -n {ns} --dry-run=client", "delete kc {name} -n {ns}", "wait kc/{name} -n {ns} --for=delete", "describe kc {name} -n {ns}"},
}

func kubectlByFile() []operation {
	var all []operation
	for _, args := range []string{
		"label -f - a=b --dry-run=server -o name",
		"annotate -f - a=b -o yaml",
		"scale -f - --replicas=6",
		"get -f -",
		"get -f - -o yaml",
		"describe -f -",
		"delete -f - --wait=false --ignore-not-found",
	} {
		all = append(all, onObjectWithLeftovers("by file "+args, kubectlRun(args, manifest)))
	}
	return all
}
