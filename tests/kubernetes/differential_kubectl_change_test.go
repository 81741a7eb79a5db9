package kubernetes

import (
	"slices"
	"strings"
)

// in is about an object that is there.
func in(name string, commands ...command) operation {
	o := named(name, commands...)
	o.steps = []step{created()}
	return o
}

// script is an edit by sed of an object that is there.
func script(name, args, text string) operation {
	return in(name, command{args: args, edit: text, stdin: manifest})
}

func kubectlReplaces() []operation {
	replace := func(name, flags, stdin string) operation {
		return in("replace "+name, run("replace "+flags+" -f -", stdin))
	}
	const raw = "--raw " + own
	return []operation{
		replace("in JSON", "-o json", object(`,"labels":{"a":"{ns}"}`, "")),
		replace("and name it", "-o name", changed),
		replace("and save the configuration", "--save-config -o yaml", changed),
		replace("in vain", "--dry-run=server -o yaml", changed),
		replace("of an old version", "", strings.Replace(changed, "  annotations:", "  resourceVersion: '1'\n  annotations:", 1)),
		replace("of another uid", "", strings.Replace(changed, "  annotations:", "  uid: 00000000-0000-0000-0000-000000000000\n  annotations:", 1)),
		replace("with an unknown field", "", unknown),
		replace("with an unknown field and a warning", "--validate=warn", unknown),
		replace("of status", "--subresource=status -o json", statusOfOwn),
		replace("by force and grace", "--force --grace-period=0 -o name", changed),
		replace("by force with orphans", "--force --cascade=orphan --timeout=5s", changed),
		replace("raw", raw, object(`,"annotations":{"a":"{ns}"}`, "")),
		replace("raw of an old version", raw, object(`,"resourceVersion":"1"`, "")),
		replace("raw in another namespace", raw, strings.Replace(object("", ""), "{ns}", "nowhere", 1)),
		replace("raw of status", "--raw "+own+"/status", `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{"name":"{name}"},"status":{"nodeCount":9}}`),
		named("replace what is missing", run("replace -f -", manifest), run("replace --force -f -", manifest)),
	}
}

// kubectlEdits are by sed; what it no longer finds it leaves as it is, and kubectl gives up.
func kubectlEdits() []operation {
	const spoil = "s/nodeCount: 3/nodeCount: three/"
	return []operation{
		script("edit badly", "edit kc {name} -n {ns}", spoil),
		script("edit with an unknown field", "edit kc {name} -n {ns}", "s/  nodeCount: 3/  nodeCoun: 4/"),
		script("edit with an unknown field and no care", "edit kc {name} -n {ns} --validate=ignore", "s/  nodeCount: 3/  nodeCoun: 4/"),
		script("edit into no YAML", "edit kc {name} -n {ns}", "s/nodeCount: 3/nodeCount: [/"),
		script("edit all away", "edit kc {name} -n {ns}", "d"),
		script("edit the name", "edit kc {name} -n {ns}", "s/  name: .*/  name: another/"),
		script("edit the namespace in YAML", "edit kc {name} -n {ns}", "s/  namespace: .*/  namespace: nowhere/"),
		script("edit the kind", "edit kc {name} -n {ns}", "s/^kind: .*/kind: Network/"),
		script("edit an old version", "edit kc {name} -n {ns}", "s/resourceVersion: .*/resourceVersion: \"1\"/"),
		script("edit labels", "edit kc {name} -n {ns} -o json", `s/"side": .*/"side": "too"/`),
		script("edit and print", "edit kc {name} -n {ns} -o json --output-patch", `s/"nodeCount": 3/"nodeCount": 4/`),
		script("edit and print the patch", "edit kc {name} -n {ns} --output-patch", "s/nodeCount: 3/nodeCount: 4/"),
		script("edit as another", "edit kc {name} -n {ns} --field-manager=me --show-managed-fields", "s/nodeCount: 3/nodeCount: 4/"),
		script("edit the status", "edit kc {name} -n {ns} --subresource=status", "s/^spec:/status: {nodeCount: 8}\\nspec:/"),
		script("edit by file", "edit -n {ns} -f -", "s/nodeCount: 3/nodeCount: 4/"),
	}
}

func kubectlMoreChanges() []operation {
	var all []operation
	for _, args := range kubectlChangesOfOne {
		all = append(all, in("on "+args, run(args, "")))
	}
	for _, args := range kubectlChangesInTurn {
		all = append(all, in("in turn "+strings.Join(args, ", "), runs(args, "")...))
	}
	return numbered("h", slices.Concat(all, kubectlByFile()))
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
	"delete --raw " + own + "?dryRun=All",
	"delete --raw " + resourcePath + "?labelSelector=op%3D{name}",
	"delete --raw " + resourcePath + "/missing",
	"wait kc/{name} -n {ns} --for=jsonpath={.spec.nodeCount}=4 --timeout=1s",
}

// kubectlChangesInTurn has managers in the order of their names, since that is how those of one second stand.
var kubectlChangesInTurn = [][]string{
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
		all = append(all, in("by file "+args, run(args, manifest)))
	}
	return all
}
