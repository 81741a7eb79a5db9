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

// published is the time in which what a control plane serves has to be seen in the app cluster, whose
// aggregator looks once a minute.
const published = 90 * time.Second

const (
	openapiV2 = "/openapi/v2"
	openapiV3 = "/openapi/v3/apis/" + groupVersion
)

// document is an OpenAPI document of a cluster, awaited until it has all of these.
func document(t *testing.T, c *cluster, path string, has ...string) []byte {
	t.Helper()
	var body string
	err := eventually(published, func() error {
		var status int
		if status, body = request(t, c, "GET", path, "", map[string]string{"Accept": "application/json"}); status != 200 {
			return fmt.Errorf("%s: %d %s", path, status, body)
		}
		for _, word := range has {
			if !strings.Contains(body, word) {
				return fmt.Errorf("%s: no %s", path, word)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return []byte(body)
}

// decodeOnce refuses a member that is there twice.
func decodeOnce(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var value map[string]any
	twice, err := strictjson.UnmarshalStrict(text, &value)
	if err != nil || len(twice) > 0 {
		t.Fatal(err, twice)
	}
	return value
}

// refs calls with each reference below a value.
func refs(value any, with func(string)) {
	switch value := value.(type) {
	case map[string]any:
		if ref, is := value["$ref"].(string); is {
			with(ref)
		}
		for _, below := range value {
			refs(below, with)
		}
	case []any:
		for _, below := range value {
			refs(below, with)
		}
	}
}

// lookup follows a reference such as #/definitions/x.
func lookup(document map[string]any, ref string) any {
	var value any = document
	for _, name := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		members, _ := value.(map[string]any)
		value = members[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)]
	}
	return value
}

func noneDangles(t *testing.T, document map[string]any) {
	t.Helper()
	refs(document, func(ref string) {
		if lookup(document, ref) == nil {
			t.Errorf("nothing at %s", ref)
		}
	})
}

// exposed are the paths of a document that belong to claims, and all that these refer to, by reference.
func exposed(t *testing.T, document map[string]any) (paths, reached map[string]any) {
	t.Helper()
	paths, reached = map[string]any{}, map[string]any{}
	all, _ := document["paths"].(map[string]any)
	var follow func(string)
	follow = func(ref string) {
		if _, seen := reached[ref]; !seen {
			reached[ref] = lookup(document, ref)
			refs(reached[ref], follow)
		}
	}
	for path, item := range all {
		if strings.HasPrefix(path, "/apis/"+groupVersion+"/") && !strings.Contains(path, "/composites") {
			paths[path] = item
			refs(item, follow)
		}
	}
	if len(paths) == 0 {
		t.Fatal("no paths of claims")
	}
	return paths, reached
}

// same compares members by name.
func same(t *testing.T, what string, got, want map[string]any) {
	t.Helper()
	for name := range want {
		if !reflect.DeepEqual(got[name], want[name]) {
			t.Errorf("%s %s: %v, not %v", what, name, got[name], want[name])
		}
	}
	for name := range got {
		if _, is := want[name]; !is {
			t.Errorf("%s %s is not the control plane's", what, name)
		}
	}
}

// renamed is a name of Kubernetes' own with what the aggregator puts behind one that is taken by something
// else (kube-openapi's pkg/aggregator): the app cluster's own definition, where its version of Kubernetes has
// other words for it.
var renamed = regexp.MustCompile(`("(?:#/definitions/)?io\.k8s\.[^"]*)_v[0-9]+"`)

// unrenamed is the app cluster's document with the names of the control plane. Nothing else may have been
// renamed: a claim's definition, or a parameter, of which the name says what is in it, would be there twice;
// nor may anything of two clusters of one version.
func unrenamed(t *testing.T, text []byte) map[string]any {
	t.Helper()
	isSkewed := os.Getenv("BED_APP_BIN") != os.Getenv("BED_CONTROL_PLANE_BIN")
	merged := decodeOnce(t, text)
	for _, of := range []string{"definitions", "parameters"} {
		members, _ := merged[of].(map[string]any)
		for name := range members {
			if hasSuffix.MatchString(name) && (!isSkewed || !renamed.MatchString(strconv.Quote(name))) {
				t.Errorf("%s: %s was renamed", of, name)
			}
		}
	}
	if !isSkewed {
		return merged
	}
	var document map[string]any
	must(strictjson.UnmarshalCaseSensitivePreserveInts(renamed.ReplaceAll(text, []byte(`$1"`)), &document))
	return document
}

var hasSuffix = regexp.MustCompile(`_v[0-9]+$`)

// ofClaims are the definitions that are not Kubernetes' own.
func ofClaims(definitions map[string]any) map[string]any {
	claims := maps.Clone(definitions)
	maps.DeleteFunc(claims, func(ref string, _ any) bool { return strings.HasPrefix(ref, "#/definitions/io.k8s.") })
	return claims
}

// The app cluster's v2, in which the aggregator merged everything, as kubectl and Argo CD parse it.
func TestOpenAPIv2IsReadByStrictParsers(t *testing.T) {
	text := document(t, theBed.app, openapiV2, ".KubernetesCluster\"", ".Network\"")
	merged := decodeOnce(t, text)
	noneDangles(t, merged)
	lacks(t, string(text), "composites")
	direct := decodeOnce(t, document(t, theBed.cp, openapiV2, ".KubernetesCluster\"", ".Network\""))
	gotPaths, gotReached := exposed(t, unrenamed(t, text))
	wantPaths, wantReached := exposed(t, direct)
	same(t, "path", gotPaths, wantPaths)
	same(t, "definition", ofClaims(gotReached), ofClaims(wantReached))

	client, err := discovery.NewDiscoveryClientForConfig(restConfig(theBed.app))
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
			t.Errorf("%s: kubectl finds no schema", name)
		}
		models, err := proto.NewOpenAPIData(document)
		must(err)
		parser, err := managedfields.NewGVKParser(models, false)
		if err != nil {
			t.Fatalf("%s: Argo CD's parser: %v", name, err)
		}
		kind := parser.Type(claimKind)
		if kind == nil || !kind.IsValid() {
			t.Fatalf("%s: Argo CD finds no type", name)
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
		t.Error("an unknown field has a type")
	}
}

func TestOpenAPIv3IsTheControlPlanes(t *testing.T) {
	has := []string{"/kubernetesclusters/{name}\"", "/networks/{name}\""}
	text := document(t, theBed.app, openapiV3, has...)
	got := decodeOnce(t, text)
	want := decodeOnce(t, document(t, theBed.cp, openapiV3, has...))
	noneDangles(t, got)
	gotPaths, gotReached := exposed(t, got)
	wantPaths, wantReached := exposed(t, want)
	same(t, "path", gotPaths, wantPaths)
	same(t, "schema", gotReached, wantReached)
	for _, document := range []map[string]any{got, want} {
		delete(document, "paths")
		delete(document, "components")
	}
	same(t, "member", got, want)
	if _, err := openapiv3.ParseDocument(text); err != nil {
		t.Error(err)
	}
	client, err := discovery.NewDiscoveryClientForConfig(restConfig(theBed.app))
	must(err)
	spec, err := openapi3.NewRoot(client.OpenAPIV3()).GVSpec(claims.GroupVersion())
	must(err)
	if len(spec.Paths.Paths) != len(gotPaths) {
		t.Errorf("%d paths, not %d", len(spec.Paths.Paths), len(gotPaths))
	}
}
