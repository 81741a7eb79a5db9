package kubernetes

import "strings"

// listManifest returns documents as one List.
func listManifest(documents ...string) string {
	text := "apiVersion: v1\nkind: List\nmetadata: {}\nitems:\n"
	for _, document := range documents {
		document = strings.TrimSpace(strings.TrimPrefix(document, "# a comment\n"))
		text += "- " + strings.ReplaceAll(document, "\n", "\n  ") + "\n"
	}
	return text
}

// twoClaims are two manifests of one operation.
var twoClaims = [2]string{labelledWithSuffix("a"), labelledWithSuffix("b")}

// labelledWithSuffix returns the manifest under a longer name, with the label of its operation.
func labelledWithSuffix(suffix string) string {
	return strings.Replace(withSuffix(labelledManifest, suffix), "op: '{name}-"+suffix+"'", "op: '{name}'", 1)
}

// kubectlFiles use several files, directories, lists and kustomizations.
func kubectlFiles() []operation {
	var all []operation
	add := func(name string, files map[string]string, commands ...string) {
		o := kubectlOperation(name, kubectlRuns(commands, "")...)
		o.files = files
		all = append(all, o)
	}
	two := map[string]string{"a.yaml": twoClaims[0], "b.yml": twoClaims[1], "notes.txt": "not a manifest", "below/c.yaml": networkManifest}
	for _, verbs := range [][]string{
		{"create -f .", "create -R -f .", "delete -R -f . --wait=false"},
		{"apply -f .", "apply -R -f .", "diff -R -f .", "delete -f ."},
		{"apply -R --server-side -f .", "get -R -f . -o name", "describe -f below"},
		{"apply -f a.yaml -f below/c.yaml -o json", "get -f a.yaml,below/c.yaml", "label -R -f . x=y", "replace -f a.yaml"},
		{"create -f below -o yaml", "create -f below -f a.yaml"},
	} {
		add("files "+strings.Join(verbs, ", "), two, verbs...)
	}
	kustomized := map[string]string{
		"kustomization.yaml": "resources: [a.yaml, c.yaml]\nnamespace: '{ns}'\nlabels: [{pairs: {op: '{name}', more: 'yes'}}]\n" +
			"patches: [{target: {kind: KubernetesCluster}, patch: '[{\"op\": \"replace\", \"path\": \"/spec/nodeCount\", \"value\": 9}]'}]\n",
		"a.yaml": twoClaims[0], "c.yaml": networkManifest,
	}
	for _, verbs := range [][]string{
		{"apply -k .", "get -k . -o wide", "diff -k .", "delete -k ."},
		{"create -k . -o name", "apply -k . --server-side --force-conflicts", "label -k . x=y"},
		{"apply -k .", "replace -k .", "describe -k ."},
		{"apply -k . --dry-run=server -o name", "delete -k . --dry-run=server --ignore-not-found"},
	} {
		add("kustomization "+strings.Join(verbs, ", "), kustomized, verbs...)
	}
	list := map[string]string{"list.yaml": listManifest(twoClaims[0], twoClaims[1], networkManifest), "two.yaml": twoClaims[0] + "---\n" + twoClaims[1] + "---\n# nothing\n---\n",
		"mixed.yaml": listManifest(twoClaims[0], manifestWithWrongType, networkManifest), "typed.json": `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesClusterList","items":[` + object(`,"labels":{"op":"{name}"}`, "") + `]}`}
	for _, verbs := range [][]string{
		{"create -f list.yaml -o name", "replace -f list.yaml", "delete -f list.yaml"},
		{"apply -f list.yaml -o json", "diff -f list.yaml", "get -f list.yaml -o wide"},
		{"apply --server-side -f two.yaml", "patch -f two.yaml --type=merge -p {\"spec\":{\"nodeCount\":8}}", "wait -f two.yaml --for=jsonpath={.spec.nodeCount}=8", "scale -f two.yaml --replicas=2"},
		{"create --validate=ignore -f mixed.yaml", "apply --server-side --validate=ignore -f mixed.yaml"},
		{"create --validate=ignore -f typed.json -o yaml", "apply --validate=ignore -f typed.json", "delete -f typed.json"},
		{"create -f mixed.yaml --dry-run=client -o name", "apply -f two.yaml --dry-run=server -o yaml"},
		{"patch kc {name}-a -n {ns} --type=merge --patch-file=patch.yaml", "create -f two.yaml", "patch kc {name}-a -n {ns} --type=merge --patch-file=patch.yaml -o yaml"},
	} {
		files := map[string]string{"patch.yaml": "spec:\n  region: us\nmetadata:\n  annotations: {a: 'at {ns}'}\n"}
		for name, text := range list {
			files[name] = text
		}
		add("lists "+strings.Join(verbs, ", "), files, verbs...)
	}
	return all
}
