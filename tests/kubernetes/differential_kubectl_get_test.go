package kubernetes

import (
	"fmt"
	"slices"
	"strings"
)

// Each of kubectlSelections leads to other requests. kubectlForms are output formats: the server's
// Table, metadata, or whole objects that kubectl prints itself.
var (
	kubectlSelections = []string{
		"nw -n {ns}",
		"nw south -n {ns}",
		"nw,kc -n {ns}",
		"kc beta gamma -n {ns}",
		"kc/alpha nw/south -n {ns}",
		"kc delta -n {ns} --subresource=status",
		"kc -n {ns} -l tier_in_(a),!beta --chunk-size=2",
		"kc -A -l side={ns},tier=b",
		"claim -A --field-selector=metadata.namespace={ns}",
	}
	kubectlForms = []string{
		"",
		"-o wide --show-kind",
		"-o json --show-managed-fields",
		"-o yaml",
		"--show-labels -L tier,side --no-headers",
		"--server-print=false",
		"-o go-template={{if_.items}}{{range_.items}}{{.metadata.namespace}}/{{.metadata.name}}:{{.spec}}{{end}}{{else}}{{.metadata}}{{end}}",
		"-o custom-columns=NS:.metadata.namespace,N:.metadata.name,V:.apiVersion,S:.spec.parameters,C:.status.conditions[*].message",
	}
)

func kubectlGets() []operation {
	var all []string
	for _, selection := range kubectlSelections {
		for _, form := range kubectlForms {
			all = append(all, strings.TrimSpace("get "+selection+" "+form))
		}
	}
	return numberedCommands("g", slices.Concat(all, kubectlSelectors, kubectlOutputs, kubectlWatches, kubectlRaw))
}

var kubectlSelectors = []string{
	"get kc -n {ns} -l tier!=a",
	"get kc -n {ns} -l !tier",
	"get kc -n {ns} -l tier_notin_(a,c),side",
	"get kc -n {ns} -l side={ns},tier=a,gamma= -o name",
	"get kc -n {ns} -l =a",
	"get kc -n {ns} -l tier_in_()",
	"get kc -n {ns} -l tier_in_a",
	"get kc -n {ns} --field-selector=metadata.name!=alpha",
	"get kc -n {ns} --field-selector=metadata.namespace={ns},metadata.name=beta",
	"get kc -n {ns} --field-selector=metadata.namespace!={ns}",
	"get kc -n {ns} --field-selector=metadata.namespace=nowhere",
	"get kc -n {ns} --field-selector=metadata.name=beta -l tier=b -o wide",
	"get kc -n {ns} --field-selector=spec.region=eu",
	"get kc -n {ns} --field-selector=metadata.labels=a",
	"get kc -n {ns} --field-selector=metadata.name",
	"get nw -n {ns} --field-selector=spec.region=south",
	"get nw -n {ns} --field-selector=spec.region!=south -o wide",
	"get nw -n {ns} --field-selector=spec.size=1",
	"get nw -A --field-selector=metadata.namespace={ns},spec.region=north",
	"get kc,nw -n {ns} -l tier=a",
	"get kc,nw -n {ns} --field-selector=metadata.name=north",
	"get kc,nothings -n {ns}",
	"get kc,nw missing -n {ns}",
	"get kc/missing nw/missing -n {ns}",
	"get kc missing other -n {ns} --ignore-not-found -o yaml",
	"get kc/alpha nw/missing -n {ns} --ignore-not-found -o wide",
	"get kc -n {ns} -l tier=z -o json",
	"get kc -n {ns} -l tier=z --ignore-not-found",
	"get kc -n {ns} -l tier=z -o yaml --no-headers",
	"get kc -A -l side=nothing",
	"get kc ALPHA -n {ns}",
	"get kc a_b -n {ns}",
	"get kc.k8s.starter.org -n {ns}",
	"get kubernetesclusters.v1alpha1.k8s.starter.org/alpha -n {ns}",
	"get kubernetesclusters.v9.k8s.starter.org -n {ns}",
	"get KubernetesCluster -n {ns} alpha",
	"get networks.k8s.starter.org,kubernetescluster -n {ns} -o name",
}

var kubectlOutputs = []string{
	"get kc -n {ns} --sort-by=.metadata.name --no-headers",
	"get kc -n {ns} --sort-by={.metadata.labels.tier} -o name",
	"get nw -n {ns} --sort-by=.spec.region -o wide",
	"get nw -n {ns} --sort-by=.spec.region -o json",
	"get kc,nw -n {ns} --sort-by=.metadata.name",
	"get kc -A -l side={ns} --sort-by=.metadata.namespace",
	"get kc -n {ns} --sort-by=.spec.nothing",
	"get kc -n {ns} --chunk-size=1 -o jsonpath={.items[*].metadata.name}{.metadata}",
	"get kc -n {ns} --chunk-size=0 -o json",
	"get kc,nw -n {ns} -o kyaml",
	"get claim -A --field-selector=metadata.namespace={ns} -o name",
	"get kc -A -l side={ns} -o jsonpath={..namespace}|{..annotations}",
	"get kc -n {ns} --chunk-size=-1",
	"get kc beta -n {ns} --subresource=scale",
	"get kc beta -n {ns} --subresource=scale -o json --show-managed-fields",
	"get kc missing -n {ns} --subresource=scale",
	"get nw north -n {ns} --subresource=scale",
	"get nw north -n {ns} --subresource=status",
	"get kc beta -n {ns} --subresource=log",
	"get kc alpha -n {ns} -o jsonpath={.spec.parameters.big}_{.spec.parameters.float}_{.spec.parameters.metadata.namespace}_{.spec.notes}",
	"get kc alpha -n {ns} -o jsonpath={.status.conditions[?(@.type==\"Ready\")].message}",
	"get kc alpha -n {ns} -o jsonpath={.nothing} --allow-missing-template-keys=false",
	"get kc alpha -n {ns} -o jsonpath-as-json={.spec.parameters}",
	"get kc alpha -n {ns} -o go-template={{.spec.parameters.big}}/{{.metadata.namespace}}/{{len_.metadata.uid}}",
	"get kc alpha -n {ns} -o go-template={{.nothing.more}}",
	"get kc alpha -n {ns} -o template --template={{.metadata.namespace}}",
	"get kc -n {ns} -o custom-columns=A:.metadata.name,B:.nothing --no-headers",
	"get kc alpha -n {ns} -o yaml --show-managed-fields",
	"get kc alpha -n {ns} -o json -v=6",
	"get kc -A -l side={ns} -v=6 --chunk-size=500",
}

var kubectlWatches = []string{
	"get kc -n {ns} -w --request-timeout=1s -o name",
	"get kc alpha -n {ns} -w --request-timeout=1s -o json --output-watch-events",
	"get nw -n {ns} -w --request-timeout=1s -o wide --output-watch-events",
	"get kc -n {ns} -l tier=b -w --request-timeout=1s -o custom-columns=N:.metadata.name,NS:.metadata.namespace",
	"get kc -n {ns} --watch-only --request-timeout=1s",
	"get kc -A -l side={ns} -w --request-timeout=1s -o jsonpath={.metadata.namespace}/{.metadata.name};",
	"get kc missing -n {ns} -w --request-timeout=1s",
}

var kubectlRaw = []string{
	"get --raw /apis/k8s.starter.org/v1alpha1/namespaces/{ns}/kubernetesclusters?labelSelector=tier%3Da",
	"get --raw /apis/k8s.starter.org/v1alpha1/namespaces/{ns}/networks?limit=1",
	"get --raw /apis/k8s.starter.org/v1alpha1/namespaces/{ns}/networks/north?pretty=true",
	"get --raw /apis/k8s.starter.org/v1alpha1/namespaces/{ns}/kubernetesclusters/alpha/scale",
	"get --raw /apis/k8s.starter.org/v1alpha1/namespaces/{ns}/kubernetesclusters/missing",
	"get --raw /apis/k8s.starter.org/v1alpha1/namespaces/{ns}/kubernetesclusters/alpha/nothing",
	"get --raw /apis/k8s.starter.org/v1alpha1/kubernetesclusters?fieldSelector=metadata.namespace%3D{ns}",
	"get --raw /apis/k8s.starter.org/v1alpha1/watch/namespaces/{ns}/networks?timeoutSeconds=1",
	"get --raw /apis/k8s.starter.org/v9/namespaces/{ns}/networks",
}

func numberedCommands(prefix string, commands []string) []operation {
	return withNumberedObjects(prefix, singleCommands(commands))
}

// withNumberedObjects gives each operation an object of its own, because many names begin with the
// same words.
func withNumberedObjects(prefix string, all []operation) []operation {
	for i := range all {
		all[i].object = fmt.Sprintf("k-%s-%d", prefix, i)
	}
	return all
}
