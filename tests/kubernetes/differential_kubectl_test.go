package kubernetes

import "strings"

// kubectlCommands are read commands that people use.
var kubectlCommands = []string{
	"get kc -n {ns} -o wide",
	"get kc -n {ns} -o yaml",
	"get kc -n {ns} -o json",
	"get kc -n {ns} -o name",
	"get kc -n {ns} -o jsonpath={.items[*].metadata.namespace}",
	"get kc -n {ns} -o jsonpath={.items[*].metadata.labels}",
	"get kc -n {ns} -o custom-columns=NAME:.metadata.name,NS:.metadata.namespace",
	"get kc -n {ns} -o go-template={{range_.items}}{{.metadata.namespace}}/{{.metadata.name}}_{{end}}",
	"get kc -n {ns}",
	"get kc -n {ns} alpha",
	"get kc -n {ns} alpha -o yaml",
	"get kc -n {ns} alpha -o json --show-managed-fields",
	"get kc -n {ns} alpha missing beta",
	"get kc,nw -n {ns}",
	"get claim -n {ns}",
	"get kc/alpha nw/north -n {ns} -o name",
	"get kc -n {ns} --show-labels --sort-by=.metadata.name",
	"get kc -n {ns} -l tier=a -L tier",
	"get kc -n {ns} --field-selector=metadata.name=beta",
	"get kc -n {ns} --chunk-size=2",
	"get kc -n {ns} --no-headers --server-print=false",
	"get kc -n {ns} --output-watch-events -w --request-timeout=1s",
	"get kc -n {ns} alpha --subresource=status",
	"get kc -n {ns} alpha --subresource=scale -o yaml",
	"get kc -A -l side={ns}",
	"get kc -A -l side={ns} -o yaml",
	"get kc -A --field-selector=metadata.namespace={ns} --chunk-size=2",
	"get kc missing -n {ns}",
	"get kc -n {ns} -l a_b",
	"get nw -n {ns} -o wide",
	"get nothings -n {ns}",
	"get --raw /apis/k8s.starter.org/v1alpha1/namespaces/{ns}/kubernetesclusters/alpha",
	"get --raw /apis/k8s.starter.org/v1alpha1/namespaces/{ns}/nothings",
	"get kc -n {ns} -l tier=a -o jsonpath-as-json={.items[*].metadata}",
	"get kc alpha -n {ns} -o jsonpath={.metadata.annotations.note}",
	"get kc -n {ns} -o kyaml",
	"get kc -n {ns} alpha --ignore-not-found --show-kind",
	"get kc missing -n {ns} --ignore-not-found",
	"describe nw -n {ns}",
	"describe kc alpha -n {ns}",
	"describe kc -n {ns} -l tier=b",
	"wait kc/alpha -n {ns} --for=condition=Ready --timeout=30s",
	"wait kc/alpha -n {ns} --for=jsonpath={.spec.nodeCount}=3 --timeout=30s",
	"wait kc/alpha -n {ns} --for=condition=Broken --timeout=1s",
	"explain kc",
	"explain kc.spec --recursive",
	"explain kc.spec.nodeCount",
	"explain nw --output=plaintext-openapiv2",
	"api-resources --api-group=k8s.starter.org --no-headers --namespaced=false",
	"rollout status kc/alpha -n {ns}",
	"logs kc/alpha -n {ns}",
}

func kubectlReads() []operation {
	changed := strings.NewReplacer("{name}", "alpha", "eu", "us").Replace(yamlClaim)
	diff := operation{name: "kubectl diff", commands: []command{{args: "diff -f -", stdin: changed}}}
	return append([]operation{diff}, singleCommands(kubectlCommands)...)
}

// singleCommands returns one operation for each command.
func singleCommands(commands []string) []operation {
	var all []operation
	for _, args := range commands {
		all = append(all, operation{name: "kubectl " + args, commands: []command{{args: args}}})
	}
	return all
}

func kubectlWrites() []operation { return append(kubectlManifests(), kubectlChanges()...) }

// onNewObject is an operation on an object that does not exist yet. It reads the result.
func onNewObject(name string, commands ...command) operation {
	commands = append(commands, command{args: "get kc {name} -n {ns} -o json --ignore-not-found"})
	return operation{name: "kubectl " + name, commands: commands}
}

// onObject is an operation on an existing object.
func onObject(name, stdin string, args ...string) operation {
	o := operation{name: "kubectl " + name, steps: []step{createOwn()}}
	for _, args := range args {
		o.commands = append(o.commands, command{args: args, stdin: stdin})
	}
	o.commands = append(o.commands, command{args: "get kc {name} -n {ns} -o yaml --ignore-not-found --show-managed-fields"})
	return o
}

var manifest, changedManifest = yamlClaim, strings.Replace(yamlClaim, "nodeCount: 3", "nodeCount: 5", 1)

// editOperation runs kubectl edit with sed as the editor.
func editOperation(name, args, script string) operation {
	o := onObject(name, "", args)
	o.commands[0].edit = script
	return o
}

func kubectlManifests() []operation {
	return []operation{
		onNewObject("create", command{args: "create -f -", stdin: manifest}, command{args: "create -f -", stdin: manifest}),
		onNewObject("create in another namespace", command{args: "create -n nowhere -f -", stdin: manifest}),
		onNewObject("create as a dry run", command{args: "create --dry-run=server -o yaml -f -", stdin: manifest}),
		onNewObject("create with an unknown field", command{args: "create -f -", stdin: manifestWithUnknownField}),
		onNewObject("create with an unknown field and a warning", command{args: "create --validate=warn -f -", stdin: manifestWithUnknownField}),
		onNewObject("create with a duplicate field", command{args: "create --validate=ignore -f -", stdin: manifestWithDuplicateField}),
		onNewObject("create and save the configuration", command{args: "create --save-config -f -", stdin: manifest}),
		onNewObject("apply", command{args: "apply -f -", stdin: manifest}, command{args: "apply -f -", stdin: manifest}, command{args: "apply -f -", stdin: changedManifest},
			command{args: "apply view-last-applied kc/{name} -n {ns}"}),
		onNewObject("apply as a dry run", command{args: "apply --dry-run=server -f -", stdin: manifest}, command{args: "apply --dry-run=client -o yaml -f -", stdin: manifest}),
		onNewObject("apply on the server", command{args: "apply --server-side -f -", stdin: manifest}, command{args: "apply --server-side -f -", stdin: changedManifest}),
		onNewObject("apply on the server after the client", command{args: "apply -f -", stdin: manifest}, command{args: "apply --server-side -f -", stdin: changedManifest},
			command{args: "apply -f -", stdin: manifest}),
		onNewObject("apply on the server with a conflict", command{args: "apply --server-side -f -", stdin: manifest},
			command{args: "apply --server-side --field-manager=other -f -", stdin: changedManifest},
			command{args: "apply --server-side --field-manager=other --force-conflicts -f -", stdin: changedManifest}),
		onNewObject("apply an unknown field on the server", command{args: "apply --server-side -f -", stdin: manifestWithUnknownField}),
		onNewObject("apply and set the last-applied annotation", command{args: "apply -f -", stdin: manifest}, command{args: "apply set-last-applied -f -", stdin: changedManifest}),
		onNewObject("create a list", command{args: "create -f -", stdin: "kind: List\napiVersion: v1\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(strings.SplitN(manifest, "\n", 2)[1]), "\n", "\n  ") + "\n"}),
		onNewObject("create in JSON", command{args: "create -o json -f -", stdin: object(`,"labels":{"a":"b"}`, "")}),
		onNewObject("create without a namespace", command{args: "create -n {ns} -f -", stdin: manifestWithoutNamespace}),
		onNewObject("apply without a namespace", command{args: "apply -n {ns} -f -", stdin: manifestWithoutNamespace}),
		onNewObject("diff of a new object", command{args: "diff -f -", stdin: manifest}),
		onNewObject("diff of a changed object", command{args: "apply -f -", stdin: manifest}, command{args: "diff -f -", stdin: changedManifest}, command{args: "diff --server-side -f -", stdin: changedManifest}),
		onNewObject("delete by file", command{args: "create -f -", stdin: manifest}, command{args: "delete -f -", stdin: manifest}, command{args: "delete -f -", stdin: manifest}),
	}
}

func kubectlChanges() []operation {
	return []operation{
		onObject("patch by file", manifest, `patch -f - --type=merge -p {"spec":{"region":"us"}}`),
		// Each uses one field manager: managedFields entries of one second are sorted by name,
		// others by time.
		onObject("label by file", manifest, "label -f - a=b"),
		onObject("annotate by file", manifest, "annotate -f - a=b --overwrite"),
		onObject("patch as a dry run", "", `patch kc {name} -n {ns} --type=merge --dry-run=server -o yaml -p {"spec":{"region":"us"}}`),
		onObject("replace scale", `{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"{name}","namespace":"{ns}"},"spec":{"replicas":2}}`, "replace --raw /apis/k8s.starter.org/v1alpha1/namespaces/{ns}/kubernetesclusters/{name}/scale -f -"),
		onObject("delete raw", "", "delete --raw /apis/k8s.starter.org/v1alpha1/namespaces/{ns}/kubernetesclusters/{name}"),
		onObject("edit status", "", "edit kc {name} -n {ns} --subresource=status"),
		onObject("expose", "", "expose kc {name} -n {ns}"),
		onObject("wait for creation", "", "wait kc/{name} -n {ns} --for=create --timeout=30s"),
		onObject("replace", changedManifest, "replace -f -"),
		onObject("replace with force", changedManifest, "replace --force -f -"),
		onObject("patch", "", `patch kc {name} -n {ns} --type=merge -p {"spec":{"nodeCount":6}}`),
		onObject("patch in JSON", "", `patch kc {name} -n {ns} --type=json -p [{"op":"test","path":"/metadata/namespace","value":"{ns}"},{"op":"add","path":"/spec/region","value":"us"}]`),
		onObject("patch with a strategic merge", "", `patch kc {name} -n {ns} -p {"spec":{"nodeCount":6}}`),
		onObject("patch status", "", `patch kc {name} -n {ns} --subresource=status --type=merge -p {"status":{"nodeCount":6}}`),
		onObject("patch with a wrong type", "", `patch kc {name} -n {ns} --type=merge -p {"spec":{"nodeCount":"six"}}`),
		onObject("label", "", "label kc {name} -n {ns} color=blue", "label kc {name} -n {ns} color=red", "label kc {name} -n {ns} --overwrite color=red", "label kc {name} -n {ns} color-"),
		onObject("annotate", "", `annotate kc {name} -n {ns} note={"namespace":"{ns}"}`),
		onObject("scale", "", "scale kc {name} -n {ns} --replicas=5", "scale kc {name} -n {ns} --current-replicas=9 --replicas=6"),
		onObject("delete", "", "delete kc {name} -n {ns}", "delete kc {name} -n {ns}"),
		onObject("delete in the foreground", "", "delete kc {name} -n {ns} --cascade=foreground"),
		onObject("delete with cascade orphan", "", "delete kc {name} -n {ns} --cascade=orphan"),
		onObject("delete with --now", "", "delete kc {name} -n {ns} --now"),
		onObject("delete as a dry run", "", "delete kc {name} -n {ns} --dry-run=server"),
		onObject("delete by label", "", "delete kc -n {ns} -l op={name}"),
		onObject("wait for deletion", "", "delete kc {name} -n {ns} --wait=false", "wait kc/{name} -n {ns} --for=delete --timeout=30s"),
		editOperation("edit", "edit kc {name} -n {ns}", "s/nodeCount: 3/nodeCount: 4/"),
		editOperation("edit without changes", "edit kc {name} -n {ns}", "s/no such line/-/"),
		editOperation("edit the namespace", "edit kc {name} -n {ns} -o json", `s/"namespace":.*/"namespace": "nowhere",/`),
	}
}
