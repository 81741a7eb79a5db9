package kubernetes

import (
	"slices"
	"strings"
)

// withSuffix appends a suffix to all names in a text.
func withSuffix(text, suffix string) string {
	return strings.ReplaceAll(text, "{name}", "{name}-"+suffix)
}

var (
	manifestWithoutNamespace   = strings.Replace(manifest, "  namespace: \"{ns}\"\n", "", 1)
	labelledManifest           = strings.Replace(manifest, "  annotations:", "  labels: {op: '{name}'}\n  annotations:", 1)
	manifestWithUnknownField   = manifest + "  nodeCoun: 4\n"
	manifestWithDuplicateField = manifest + "  region: us\n"
	manifestWithWrongType      = strings.Replace(manifest, "nodeCount: 3", "nodeCount: three", 1)
	manifestOfOtherVersion     = strings.Replace(manifest, "v1alpha1", "v9", 1)
	manifestWithGenerateName   = "apiVersion: k8s.starter.org/v1alpha1\nkind: KubernetesCluster\nmetadata: {generateName: generated-, namespace: '{ns}', labels: {op: '{name}'}}\nspec: {nodeCount: 1}\n"
	networkManifest            = "apiVersion: k8s.starter.org/v1alpha1\nkind: Network\nmetadata: {name: '{name}', namespace: '{ns}', labels: {op: '{name}'}}\nspec: {size: 1}\n"
	networkInForbiddenRegion   = strings.Replace(networkManifest, "size: 1", "region: moon, size: 0", 1)
	manifestWithStatus         = strings.Replace(manifest, "spec:\n", "status:\n  nodeCount: 7\n  conditions: [{type: Ready, status: 'False', message: 'in {ns}'}]\nspec:\n", 1)
	manifestWithTemplate       = manifest + "  template: {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: '{ns}'}}\n  parameters: {big: 12345678901234567890, yes: 'on', when: 2001-01-01, metadata: {namespace: '{ns}'}}\n"
	manifestWithLongName       = strings.Replace(manifest, "{name}", "{name}-"+strings.Repeat("long", 63), 1)
	manifestWithCapitals       = strings.Replace(manifest, "{name}", "{name}_UPPER", 1)
	manifestWithOtherNote      = strings.Replace(manifest, "note: 'in {ns}'", "note: 'at {ns}'", 1)
	pruneFlags                 = " --prune -l op={name} --prune-allowlist=k8s.starter.org/v1alpha1/KubernetesCluster"
)

// manifests are valid and invalid manifests.
var manifests = []struct{ name, text string }{
	{"an embedded object", manifestWithTemplate},
	{"a status", manifestWithStatus},
	{"a wrong type", manifestWithWrongType},
	{"an invalid region", networkInForbiddenRegion},
	{"a long name", manifestWithLongName},
	{"a capitalised name", manifestWithCapitals},
	{"no name", strings.Replace(manifest, "  name: {name}\n", "", 1)},
	{"a network", networkManifest},
}

// kubectlRun is a kubectl command with this input.
func kubectlRun(args, stdin string) command { return command{args: args, stdin: stdin} }

func kubectlRuns(all []string, stdin string) (commands []command) {
	for _, args := range all {
		commands = append(commands, kubectlRun(args, stdin))
	}
	return commands
}

// leftoverSteps read what an operation leaves behind under its own name and its label.
var leftoverSteps = []step{get(ownPath), get(ownListPath), get(networksPath + "?labelSelector=op%3D{name}")}

// kubectlOperation is an operation on objects that may have other names or kinds than its own
// object.
func kubectlOperation(name string, commands ...command) operation {
	return operation{name: "kubectl " + name, commands: commands, after: leftoverSteps}
}

func kubectlMoreWrites() []operation {
	return slices.Concat(withNumberedObjects("a", kubectlBodies()), withNumberedObjects("b", kubectlCreates()), withNumberedObjects("c", kubectlApplies()),
		withNumberedObjects("d", kubectlReplaces()), withNumberedObjects("e", kubectlEdits()), withNumberedObjects("f", kubectlFiles()), kubectlMoreChanges())
}

func kubectlBodies() []operation {
	all := []operation{kubectlOperation("apply another version", kubectlRun("apply -f -", manifestOfOtherVersion))}
	for _, body := range manifests {
		for _, verb := range []string{"create -n {ns}", "apply -n {ns}", "apply --server-side -n {ns}"} {
			all = append(all, kubectlOperation(verb+" of "+body.name, kubectlRun(verb+" -f -", body.text)))
		}
	}
	for _, verb := range []string{"create", "apply", "apply --server-side"} {
		for _, body := range []struct{ name, text string }{{"an unknown field", manifestWithUnknownField}, {"a duplicate field", manifestWithDuplicateField}} {
			for _, how := range []string{"strict", "warn", "ignore"} {
				if verb == "apply --server-side" && how == "ignore" {
					continue // kubectl rejects both fields with each level of validation.
				}
				args := verb + " --validate=" + how + " --dry-run=server -o yaml"
				all = append(all, operation{name: "kubectl " + args + " of " + body.name, commands: []command{kubectlRun(args+" -f -", body.text)}})
			}
		}
	}
	return all
}

func kubectlCreates() []operation {
	create := func(flags, text string, more ...command) operation {
		return kubectlOperation("create "+flags, append([]command{kubectlRun("create "+flags+" -f -", text)}, more...)...)
	}
	editing := kubectlRun("create --edit -n {ns} -f -", manifest)
	editing.edit = "s/region: eu/region: us/"
	spoiling := kubectlRun("create --edit -n {ns} -f -", manifest)
	spoiling.edit = "s/nodeCount: 3/nodeCount: three/"
	return []operation{
		create("-o name", manifest),
		create("-o yaml --show-managed-fields", manifest),
		create("-o kyaml", manifest),
		create("-o jsonpath={.metadata.namespace}", manifest),
		create("-o go-template={{.metadata}}", manifest),
		create("--dry-run=client -o json", manifest),
		create("--dry-run=server -o name", manifest),
		create("--dry-run=server --save-config -o json", manifest),
		create("--save-config --field-manager=me -o json --show-managed-fields", manifest),
		create("-n {ns} -o json", manifestWithoutNamespace),
		create("-v=6", manifest),
		create("-l op={name} -o name", labelledManifest+"---\n"+withSuffix(manifest, "b")),
		kubectlOperation("create with a generated name", kubectlRun("create -f -", manifestWithGenerateName), kubectlRun("create -o name -f -", manifestWithGenerateName), kubectlRun("apply -f -", manifestWithGenerateName)),
		kubectlOperation("create after an edit", editing),
		kubectlOperation("create after an edit makes the manifest invalid", spoiling),
		kubectlOperation("create raw", kubectlRun("create --raw "+resourcePath+" -f -", object("", "")), kubectlRun("create --raw "+resourcePath+" -f -", object("", ""))),
		kubectlOperation("create raw as a dry run", kubectlRun("create --raw "+resourcePath+"?dryRun=All -f -", object("", `,"notes":"{ns}"`))),
		kubectlOperation("create raw without an object", kubectlRun("create --raw "+resourcePath+" -f -", "{}")),
	}
}

func kubectlApplies() []operation {
	apply := func(name string, steps ...string) operation {
		var all []command
		for i := 0; i < len(steps); i += 2 {
			all = append(all, kubectlRun("apply "+steps[i], steps[i+1]))
		}
		return kubectlOperation("apply "+name, all...)
	}
	const route = "--server-side -f -"
	lastApplied := kubectlRun("apply edit-last-applied kc {name} -n {ns}", "")
	lastApplied.edit = "s/region: eu/region: us/"
	fewer := strings.Replace(manifest, "  region: eu\n", "", 1)
	second := labelledWithSuffix("b")
	return []operation{
		apply("with all outputs", "-o json -f -", manifest, "-o yaml --show-managed-fields -f -", changedManifest),
		apply("and drop a field", "-f -", manifest, "-o yaml -f -", fewer),
		apply("an embedded object twice", "-f -", manifestWithTemplate, "-f -", strings.Replace(manifestWithTemplate, "name: a,", "name: b,", 1)),
		apply("a changed annotation", "-f -", manifest, "-f -", manifestWithOtherNote),
		apply("a change as a dry run", "-f -", manifest, "-f - --dry-run=server -o json", changedManifest, "-f - --dry-run=client -o json", changedManifest),
		apply("on the server with managed fields", "--server-side -o json --show-managed-fields -f -", manifest),
		apply("on the server as a dry run", "--server-side --dry-run=server -o yaml -f -", manifest),
		apply("on the server and drop a field", "--server-side --field-manager=me -f -", manifest, "--server-side --field-manager=me -o yaml -f -", fewer),
		apply("with conflicts on several fields", "--server-side --field-manager=me -f -", manifest, "--server-side --field-manager=you -f -",
			strings.Replace(manifestWithOtherNote, "region: eu", "region: us", 1), "--server-side --field-manager=you -f - --force-conflicts", manifestWithOtherNote, route, manifest),
		apply("on the client after the server", route, manifest, "-f -", changedManifest),
		apply("with force and without overwrite", "-f -", manifest, "--force --overwrite=false -f -", changedManifest),
		apply("a status", "-f -", manifest, "--server-side --subresource=status -o json -f -", manifestWithStatus),
		apply("a status as a dry run", "-f -", manifest, "--server-side --subresource=status --dry-run=server -o yaml -f -", manifestWithStatus),
		apply("and prune by label", "-f -", labelledManifest+"---\n"+second, "-f -"+pruneFlags+" --dry-run=server", labelledManifest, "-f -"+pruneFlags, labelledManifest),
		apply("and prune two kinds", "-f -", labelledManifest+"---\n"+networkManifest, "-o name -f -"+pruneFlags, second),
		apply("and wait", "-f - --wait --timeout=5s", manifest),
		kubectlOperation("view the last-applied annotation", kubectlRun("apply -f -", manifest), kubectlRun("apply view-last-applied -f -", manifest), kubectlRun("apply view-last-applied kc {name} -n {ns} -o json", "")),
		kubectlOperation("set what was applied", kubectlRun("create --field-manager=a -f -", manifest), kubectlRun("apply set-last-applied -f -", manifest),
			kubectlRun("apply set-last-applied --create-annotation -f -", manifest), kubectlRun("apply set-last-applied --dry-run=server -o yaml -f -", changedManifest), kubectlRun("apply -f -", changedManifest)),
		kubectlOperation("edit the last-applied annotation", kubectlRun("apply -f -", manifest), lastApplied, kubectlRun("apply -f -", manifest)),
		kubectlOperation("diff of two objects", kubectlRun("apply -f -", manifest), kubectlRun("diff -f -", changedManifest+"---\n"+withSuffix(manifest, "b"))),
		kubectlOperation("diff without changes", kubectlRun("apply -f -", manifest), kubectlRun("diff -f -", manifest), kubectlRun("diff --server-side --force-conflicts -f -", manifest)),
		kubectlOperation("diff on the server with a conflict", kubectlRun("apply --server-side --field-manager=me -f -", manifest), kubectlRun("diff --server-side -f -", changedManifest),
			kubectlRun("diff --server-side --force-conflicts -f -", changedManifest)),
		kubectlOperation("diff of invalid manifests", kubectlRun("diff -f -", manifestWithWrongType), kubectlRun("diff -f -", manifestWithUnknownField), kubectlRun("diff -f -", networkInForbiddenRegion)),
	}
}
