package kubernetes

import "slices"

// Classes of differences of the shared mapping.
const (
	countWithSelector = "kube-apiserver does not count the remaining items of a list with a selector, and the shared mapping adds one."
	managedMap        = "On the control plane the map of labels or annotations exists before the client adds to it, because it has claimgate's, so another manager owns the map itself."
	legacyNames       = "A watch by the legacy path with a name but no namespace: kube-apiserver compares the name with the field selector, which the shared mapping turns into labels."
	nameInBody        = "The remote name depends on the local one, so an update without a name in its path is rejected before the control plane sees it."
	copiesInShared    = "A JSON patch may not copy or move names and labels, because they differ on the control plane."
	operationNumbers  = "A warning about a JSON patch counts the operations that claimgate puts before those of the client."
	oddClientsOnly    = "A JSON patch that removes or replaces all metadata is rejected for another reason. Only odd clients send one."
)

// sharedDifferences are accepted differences of the shared mapping, in addition to those of every mapping.
var sharedDifferences = []expectedDifference{
	{"pages", "remainingItemCount", countWithSelector},
	{"pages of a Table", "remainingItemCount", countWithSelector},
	{"pages of metadata", "remainingItemCount", countWithSelector},
	{"pages with another limit", "remainingItemCount", countWithSelector},
	{"pages with a version", "remainingItemCount", countWithSelector},
	{"list at exactly a version with a limit", "remainingItemCount", countWithSelector},
	{"expired pages", "remainingItemCount", countWithSelector},
	{"expired pages without a limit", "remainingItemCount", countWithSelector},
	{"kubectl get --raw of expired pages", "remainingItemCount", countWithSelector},
	{"expired pages pretty", "remainingItemCount", countWithSelector},
	{"expired pages as a Table", "remainingItemCount", countWithSelector},
	{"expired pages as a Table v1beta1", "remainingItemCount", countWithSelector},
	{"expired pages of metadata", "remainingItemCount", countWithSelector},
	{"expired pages by the metadata client", "remainingItemCount", countWithSelector},
	{"expired pages in protobuf only", "", countWithSelector},
	{"expired pages in YAML", "remainingItemCount", countWithSelector},
	{"list a page of metadata in protobuf only", "", countWithSelector},
	{"kubectl get --raw /apis/k8s.starter.org/v1alpha1/namespaces/{ns}/networks?limit=1", "remainingItemCount", countWithSelector},
	{"kubectl annotate by file", "", managedMap},
	{"kubectl replace", "", managedMap},
	{"kubectl annotate", "", managedMap},
	{"kubectl replace in JSON", "", managedMap},
	{"kubectl replace with output name", "", managedMap},
	{"kubectl replace and save the configuration", "", managedMap},
	{"kubectl replace with an unknown field and a warning", "", managedMap},
	{`kubectl on patch kc {name} -n {ns} --type=merge -o json -p {"metadata":{"labels":{"side":null},"annotations":{"a":"{ns}"}}}`, "", managedMap},
	{"kubectl on annotate kc {name} -n {ns} a=b c={ns} -o json", "", managedMap},
	{"kubectl on annotate kc -n {ns} -l op={name} a=b", "", managedMap},
	{"kubectl on annotate kc {name} -n {ns} claimgate/a=b/c -v=6", "", managedMap},
	{"kubectl by file annotate -f - a=b -o yaml", "", managedMap},
	{`kubectl on patch kc {name} -n {ns} --type=json -p [{"op":"add","path":"/metadata/annotations","value":{"a":"b"}},{"op":"remove","path":"/metadata/labels/side"}]`, "", managedMap},
	{`kubectl in sequence annotate kc {name} -n {ns} a=b, label kc {name} -n {ns} a=b, patch kc {name} -n {ns} --type=merge -p {"spec":{"region":"us"}}`, "", managedMap},
	{"update a list", "the name of the object cannot be read", nameInBody},
	{"JSON patch that copies a name", "a JSON patch may not copy or move", copiesInShared},
	{"JSON patch with from twice, labels last", "duplicate field", operationNumbers},
	{"JSON patch with from twice to parameters", "a JSON patch may not copy or move", copiesInShared},
	{"JSON patch, copy labels to spec", "a JSON patch may not copy or move", copiesInShared},
	{"JSON patch, move labels to spec", "a JSON patch may not copy or move", copiesInShared},
	{"JSON patch, copy spec to parameters", "a JSON patch may not copy or move", copiesInShared},
	{"JSON patch, move spec to parameters", "a JSON patch may not copy or move", copiesInShared},
	{"JSON patch on status that copies a name", "a JSON patch may not copy or move", copiesInShared},
	{"JSON patch on scale that copies a name", "a JSON patch may not copy or move", copiesInShared},
	{"JSON patch that adds null as metadata", "Invalid", oddClientsOnly},
	{"JSON patch that adds a string as metadata", "the JSON patch cannot be read", oddClientsOnly},
	{"JSON patch that removes metadata", "Invalid", oddClientsOnly},
	{"JSON patch that adds metadata with its namespace twice", "", oddClientsOnly},
	{"watch one object by the legacy path, all namespaces, selected", "HTTP 200", legacyNames},
	{"watch all namespaces by the legacy path and another name", "HTTP 200", legacyNames},
}

// acceptedInMode returns the accepted differences of the mapping with which the tests run.
func acceptedInMode() []expectedDifference {
	if !isShared() {
		return acceptedDifferences
	}
	inTableOnly := func(known expectedDifference) bool {
		return known.reason == unmappedNamespace || known.reason == foreignClaims
	}
	return append(slices.DeleteFunc(slices.Clone(acceptedDifferences), inTableOnly), sharedDifferences...)
}
