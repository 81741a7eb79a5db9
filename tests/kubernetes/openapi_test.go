package kubernetes

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	openapiv2 "github.com/google/gnostic-models/openapiv2"
	openapiv3 "github.com/google/gnostic-models/openapiv3"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/openapi3"
	"k8s.io/kube-openapi/pkg/util/proto"
	"k8s.io/kube-openapi/pkg/validation/spec"
	kubectlopenapi "k8s.io/kubectl/pkg/util/openapi"
	strictjson "sigs.k8s.io/json"
)

// publishTimeout bounds the time until a change of the control plane's APIs is visible in the app
// cluster. Its aggregator refreshes once a minute.
const publishTimeout = 90 * time.Second

const (
	openapiV2 = "/openapi/v2"
	openapiV3 = "/openapi/v3/apis/" + groupVersion
)

// awaitDocument waits until an OpenAPI document contains all of these texts, and returns it.
func awaitDocument(t *testing.T, c *cluster, path string, has ...string) []byte {
	t.Helper()
	var body string
	await(t, publishTimeout, func() error {
		var status int
		if status, body = sendAsAdmin(t, c, "GET", path, "", map[string]string{"Accept": "application/json"}); status != 200 {
			return fmt.Errorf("%s: status %d: %s", path, status, body)
		}
		for _, word := range has {
			if !strings.Contains(body, word) {
				return fmt.Errorf("%s does not contain %s", path, word)
			}
		}
		return nil
	})
	return []byte(body)
}

// decodeUnique decodes JSON and rejects duplicate members.
func decodeUnique(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var value map[string]any
	duplicates, err := strictjson.UnmarshalStrict(text, &value)
	if err != nil || len(duplicates) > 0 {
		t.Fatal(err, duplicates)
	}
	return value
}

// visitRefs calls a function with each reference below a value.
func visitRefs(value any, visit func(string)) {
	switch value := value.(type) {
	case map[string]any:
		if ref, isPresent := value["$ref"].(string); isPresent {
			visit(ref)
		}
		for _, child := range value {
			visitRefs(child, visit)
		}
	case []any:
		for _, child := range value {
			visitRefs(child, visit)
		}
	}
}

// resolveRef returns the value of a reference like #/definitions/x.
func resolveRef(document map[string]any, ref string) any {
	var value any = document
	for _, name := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		members, _ := value.(map[string]any)
		value = members[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)]
	}
	return value
}

func assertNoDanglingRefs(t *testing.T, document map[string]any) {
	t.Helper()
	visitRefs(document, func(ref string) {
		if resolveRef(document, ref) == nil {
			t.Errorf("dangling reference %s", ref)
		}
	})
}

// claimPathsAndRefs returns the paths of claims in a document, and everything they refer to, by
// reference.
func claimPathsAndRefs(t *testing.T, document map[string]any) (paths, reached map[string]any) {
	t.Helper()
	paths, reached = map[string]any{}, map[string]any{}
	all, _ := document["paths"].(map[string]any)
	var follow func(string)
	follow = func(ref string) {
		if _, seen := reached[ref]; !seen {
			reached[ref] = resolveRef(document, ref)
			visitRefs(reached[ref], follow)
		}
	}
	for path, item := range all {
		if strings.HasPrefix(path, "/apis/"+groupVersion+"/") && !strings.Contains(path, "/composites") {
			paths[path] = item
			visitRefs(item, follow)
		}
	}
	if len(paths) == 0 {
		t.Fatal("the document has no paths of claims")
	}
	return paths, reached
}

// assertSameMembers compares members by name.
func assertSameMembers(t *testing.T, what string, got, want map[string]any) {
	t.Helper()
	for name := range want {
		if !reflect.DeepEqual(got[name], want[name]) {
			t.Errorf("%s %s is %v, want %v", what, name, got[name], want[name])
		}
	}
	for name := range got {
		if _, isPresent := want[name]; !isPresent {
			t.Errorf("%s %s does not exist on the control plane", what, name)
		}
	}
}

// aggregatorSuffix matches a Kubernetes definition with the suffix that the aggregator adds if the
// name is taken by a different definition (kube-openapi's pkg/aggregator). That is the app
// cluster's own definition where its Kubernetes version describes it differently.
var aggregatorSuffix = regexp.MustCompile(`("(?:#/definitions/)?io\.k8s\.[^"]*)_v[0-9]+"`)

// withoutSuffixes decodes the app cluster's document and restores the control plane's names. The
// aggregator must not rename anything else: a renamed definition or parameter of a claim would
// exist twice. With two clusters of one version it must rename nothing.
func withoutSuffixes(t *testing.T, text []byte) map[string]any {
	t.Helper()
	isSkewed := os.Getenv("TEST_APP_BIN") != os.Getenv("TEST_CONTROL_PLANE_BIN")
	merged := decodeUnique(t, text)
	for _, section := range []string{"definitions", "parameters"} {
		members, _ := merged[section].(map[string]any)
		for name := range members {
			if versionSuffix.MatchString(name) && (!isSkewed || !aggregatorSuffix.MatchString(strconv.Quote(name))) {
				t.Errorf("%s: %s was renamed", section, name)
			}
		}
	}
	if !isSkewed {
		return merged
	}
	var document map[string]any
	must(strictjson.UnmarshalCaseSensitivePreserveInts(aggregatorSuffix.ReplaceAll(text, []byte(`$1"`)), &document))
	return document
}

var versionSuffix = regexp.MustCompile(`_v[0-9]+$`)

// claimDefinitions returns the definitions that are not Kubernetes' own.
func claimDefinitions(definitions map[string]any) map[string]any {
	claims := maps.Clone(definitions)
	maps.DeleteFunc(claims, func(ref string, _ any) bool { return strings.HasPrefix(ref, "#/definitions/io.k8s.") })
	return claims
}

// The app cluster's merged v2 document, as kubectl and Argo CD parse it.
func TestOpenAPIv2WorksWithStrictParsers(t *testing.T) {
	text := awaitDocument(t, env.app, openapiV2, ".KubernetesCluster\"", ".Network\"")
	merged := decodeUnique(t, text)
	assertNoDanglingRefs(t, merged)
	assertLacks(t, string(text), "composites")
	direct := decodeUnique(t, awaitDocument(t, env.controlPlane, openapiV2, ".KubernetesCluster\"", ".Network\""))
	gotPaths, gotReached := claimPathsAndRefs(t, withoutSuffixes(t, text))
	wantPaths, wantReached := claimPathsAndRefs(t, direct)
	assertSameMembers(t, "path", gotPaths, wantPaths)
	assertSameMembers(t, "definition", claimDefinitions(gotReached), claimDefinitions(wantReached))

	client, err := discovery.NewDiscoveryClientForConfig(restConfig(env.app))
	must(err)
	protobuf, err := client.OpenAPISchema()
	must(err)
	parsed, err := openapiv2.ParseDocument(text)
	must(err)
	claim := newClaim("parsed", "openapi")
	for name, document := range map[string]*openapiv2.Document{"JSON": parsed, "protobuf": protobuf} {
		resources, err := kubectlopenapi.NewOpenAPIData(document)
		must(err)
		if resources.LookupResource(claimKind) == nil {
			t.Errorf("%s: kubectl finds no schema for claims", name)
		}
		models, err := proto.NewOpenAPIData(document)
		must(err)
		parser, err := managedfields.NewGVKParser(models, false)
		if err != nil {
			t.Fatalf("%s: Argo CD's parser: %v", name, err)
		}
		kind := parser.Type(claimKind)
		if kind == nil || !kind.IsValid() {
			t.Fatalf("%s: Argo CD finds no type for claims", name)
		}
		if _, err := kind.FromUnstructured(claim.Object); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	var swagger spec.Swagger
	must(json.Unmarshal(text, &swagger))
	definitions := map[string]*spec.Schema{}
	for name := range swagger.Definitions {
		definition := swagger.Definitions[name]
		definitions[name] = &definition
	}
	converter, err := managedfields.NewTypeConverter(definitions, false)
	must(err)
	if _, err := converter.ObjectToTyped(claim); err != nil {
		t.Error(err)
	}
	claim.Object["spec"] = map[string]any{"nodeCoun": int64(3)}
	if _, err := converter.ObjectToTyped(claim); err == nil {
		t.Error("an unknown field was accepted")
	}
}

func TestOpenAPIv3MatchesControlPlane(t *testing.T) {
	has := []string{"/kubernetesclusters/{name}\"", "/networks/{name}\""}
	text := awaitDocument(t, env.app, openapiV3, has...)
	got := decodeUnique(t, text)
	want := decodeUnique(t, awaitDocument(t, env.controlPlane, openapiV3, has...))
	assertNoDanglingRefs(t, got)
	gotPaths, gotReached := claimPathsAndRefs(t, got)
	wantPaths, wantReached := claimPathsAndRefs(t, want)
	assertSameMembers(t, "path", gotPaths, wantPaths)
	assertSameMembers(t, "schema", gotReached, wantReached)
	for _, document := range []map[string]any{got, want} {
		delete(document, "paths")
		delete(document, "components")
	}
	assertSameMembers(t, "member", got, want)
	if _, err := openapiv3.ParseDocument(text); err != nil {
		t.Error(err)
	}
	client, err := discovery.NewDiscoveryClientForConfig(restConfig(env.app))
	must(err)
	spec, err := openapi3.NewRoot(client.OpenAPIV3()).GVSpec(claims.GroupVersion())
	must(err)
	if len(spec.Paths.Paths) != len(gotPaths) {
		t.Errorf("the document has %d paths, want %d", len(spec.Paths.Paths), len(gotPaths))
	}
}
