package kubernetes

import (
	"slices"
	"strings"
)

// suffixed has longer names.
func suffixed(text, suffix string) string {
	return strings.ReplaceAll(text, "{name}", "{name}-"+suffix)
}

var (
	unplaced     = strings.Replace(manifest, "  namespace: \"{ns}\"\n", "", 1)
	selected     = strings.Replace(manifest, "  annotations:", "  labels: {op: '{name}'}\n  annotations:", 1)
	unknown      = manifest + "  nodeCoun: 4\n"
	duplicate    = manifest + "  region: us\n"
	mistyped     = strings.Replace(manifest, "nodeCount: 3", "nodeCount: three", 1)
	otherVersion = strings.Replace(manifest, "v1alpha1", "v9", 1)
	generating   = "apiVersion: k8s.starter.org/v1alpha1\nkind: KubernetesCluster\nmetadata: {generateName: generated-, namespace: '{ns}', labels: {op: '{name}'}}\nspec: {nodeCount: 1}\n"
	network      = "apiVersion: k8s.starter.org/v1alpha1\nkind: Network\nmetadata: {name: '{name}', namespace: '{ns}', labels: {op: '{name}'}}\nspec: {size: 1}\n"
	onTheMoon    = strings.Replace(network, "size: 1", "region: moon, size: 0", 1)
	statusOfOwn  = strings.Replace(manifest, "spec:\n", "status:\n  nodeCount: 7\n  conditions: [{type: Ready, status: 'False', message: 'in {ns}'}]\nspec:\n", 1)
	templated    = manifest + "  template: {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: '{ns}'}}\n  parameters: {big: 12345678901234567890, yes: 'on', when: 2001-01-01, metadata: {namespace: '{ns}'}}\n"
	longName     = strings.Replace(manifest, "{name}", "{name}-"+strings.Repeat("long", 63), 1)
	capitals     = strings.Replace(manifest, "{name}", "{name}_UPPER", 1)
	noted        = strings.Replace(manifest, "note: 'in {ns}'", "note: 'at {ns}'", 1)
	pruneOnly    = " --prune -l op={name} --prune-allowlist=k8s.starter.org/v1alpha1/KubernetesCluster"
)

// manifests are such as are taken, and such as are refused.
var manifests = []struct{ name, text string }{
	{"templates", templated},
	{"a status", statusOfOwn},
	{"a wrong type", mistyped},
	{"a region on the moon", onTheMoon},
	{"a long name", longName},
	{"capitals", capitals},
	{"no name", strings.Replace(manifest, "  name: {name}\n", "", 1)},
	{"a network", network},
}

// run is a command with this input.
func run(args, stdin string) command { return command{args: args, stdin: stdin} }

func runs(all []string, stdin string) (commands []command) {
	for _, args := range all {
		commands = append(commands, run(args, stdin))
	}
	return commands
}

// leftBy is what an operation leaves, of its own name and of its label.
var leftBy = []step{get(own), get(oneOfThem), get(networksPath + "?labelSelector=op%3D{name}")}

// named is about what may have other names or kinds than its own object.
func named(name string, commands ...command) operation {
	return operation{name: "kubectl " + name, commands: commands, after: leftBy}
}

func kubectlMoreWrites() []operation {
	return slices.Concat(numbered("a", kubectlBodies()), numbered("b", kubectlCreates()), numbered("c", kubectlApplies()),
		numbered("d", kubectlReplaces()), numbered("e", kubectlEdits()), numbered("f", kubectlFiles()), kubectlMoreChanges())
}

func kubectlBodies() []operation {
	all := []operation{named("apply in another version", run("apply -f -", otherVersion))}
	for _, body := range manifests {
		for _, verb := range []string{"create -n {ns}", "apply -n {ns}", "apply --server-side -n {ns}"} {
			all = append(all, named(verb+" of "+body.name, run(verb+" -f -", body.text)))
		}
	}
	for _, verb := range []string{"create", "apply", "apply --server-side"} {
		for _, body := range []struct{ name, text string }{{"an unknown field", unknown}, {"a duplicate field", duplicate}} {
			for _, how := range []string{"strict", "warn", "ignore"} {
				if verb == "apply --server-side" && how == "ignore" {
					continue // It refuses both, however they are asked for.
				}
				args := verb + " --validate=" + how + " --dry-run=server -o yaml"
				all = append(all, operation{name: "kubectl " + args + " of " + body.name, commands: []command{run(args+" -f -", body.text)}})
			}
		}
	}
	return all
}

func kubectlCreates() []operation {
	create := func(flags, text string, more ...command) operation {
		return named("create "+flags, append([]command{run("create "+flags+" -f -", text)}, more...)...)
	}
	editing := run("create --edit -n {ns} -f -", manifest)
	editing.edit = "s/region: eu/region: us/"
	spoiling := run("create --edit -n {ns} -f -", manifest)
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
		create("-n {ns} -o json", unplaced),
		create("-v=6", manifest),
		create("-l op={name} -o name", selected+"---\n"+suffixed(manifest, "b")),
		named("create with a generated name", run("create -f -", generating), run("create -o name -f -", generating), run("apply -f -", generating)),
		named("create what is edited", editing),
		named("create what an editor spoils", spoiling),
		named("create raw", run("create --raw "+resourcePath+" -f -", object("", "")), run("create --raw "+resourcePath+" -f -", object("", ""))),
		named("create raw in vain", run("create --raw "+resourcePath+"?dryRun=All -f -", object("", `,"notes":"{ns}"`))),
		named("create raw without an object", run("create --raw "+resourcePath+" -f -", "{}")),
	}
}

func kubectlApplies() []operation {
	apply := func(name string, steps ...string) operation {
		var all []command
		for i := 0; i < len(steps); i += 2 {
			all = append(all, run("apply "+steps[i], steps[i+1]))
		}
		return named("apply "+name, all...)
	}
	const side = "--server-side -f -"
	lastApplied := run("apply edit-last-applied kc {name} -n {ns}", "")
	lastApplied.edit = "s/region: eu/region: us/"
	fewer := strings.Replace(manifest, "  region: eu\n", "", 1)
	second := relabelled("b")
	return []operation{
		apply("in all outputs", "-o json -f -", manifest, "-o yaml --show-managed-fields -f -", changed),
		apply("less", "-f -", manifest, "-o yaml -f -", fewer),
		apply("templates twice", "-f -", templated, "-f -", strings.Replace(templated, "name: a,", "name: b,", 1)),
		apply("an annotation", "-f -", manifest, "-f -", noted),
		apply("a change in vain", "-f -", manifest, "-f - --dry-run=server -o json", changed, "-f - --dry-run=client -o json", changed),
		apply("what is saved", "--server-side -o json --show-managed-fields -f -", manifest),
		apply("in vain on the server", "--server-side --dry-run=server -o yaml -f -", manifest),
		apply("as one manager and fewer", "--server-side --field-manager=me -f -", manifest, "--server-side --field-manager=me -o yaml -f -", fewer),
		apply("into conflicts of many fields", "--server-side --field-manager=me -f -", manifest, "--server-side --field-manager=you -f -",
			strings.Replace(noted, "region: eu", "region: us", 1), "--server-side --field-manager=you -f - --force-conflicts", noted, side, manifest),
		apply("of the client over a server's", side, manifest, "-f -", changed),
		apply("by force and overwrite", "-f -", manifest, "--force --overwrite=false -f -", changed),
		apply("a status", "-f -", manifest, "--server-side --subresource=status -o json -f -", statusOfOwn),
		apply("a status in vain", "-f -", manifest, "--server-side --subresource=status --dry-run=server -o yaml -f -", statusOfOwn),
		apply("and prune by label", "-f -", selected+"---\n"+second, "-f -"+pruneOnly+" --dry-run=server", selected, "-f -"+pruneOnly, selected),
		apply("and prune two kinds", "-f -", selected+"---\n"+network, "-o name -f -"+pruneOnly, second),
		apply("and wait", "-f - --wait --timeout=5s", manifest),
		named("view what was applied", run("apply -f -", manifest), run("apply view-last-applied -f -", manifest), run("apply view-last-applied kc {name} -n {ns} -o json", "")),
		named("set what was applied", run("create --field-manager=a -f -", manifest), run("apply set-last-applied -f -", manifest),
			run("apply set-last-applied --create-annotation -f -", manifest), run("apply set-last-applied --dry-run=server -o yaml -f -", changed), run("apply -f -", changed)),
		named("edit what was applied", run("apply -f -", manifest), lastApplied, run("apply -f -", manifest)),
		named("diff with two", run("apply -f -", manifest), run("diff -f -", changed+"---\n"+suffixed(manifest, "b"))),
		named("diff without a difference", run("apply -f -", manifest), run("diff -f -", manifest), run("diff --server-side --force-conflicts -f -", manifest)),
		named("diff on the server into a conflict", run("apply --server-side --field-manager=me -f -", manifest), run("diff --server-side -f -", changed),
			run("diff --server-side --force-conflicts -f -", changed)),
		named("diff of what is refused", run("diff -f -", mistyped), run("diff -f -", unknown), run("diff -f -", onTheMoon)),
	}
}
