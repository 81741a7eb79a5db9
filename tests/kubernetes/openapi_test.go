package kubernetes

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
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

// renamed is what the aggregator puts behind a name that is taken.
var renamed = regexp.MustCompile(`_v[0-9]+"`)

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
	// What another version of Kubernetes defines in other words has another name here.
	var unrenamed map[string]any
	must(strictjson.UnmarshalCaseSensitivePreserveInts(renamed.ReplaceAll(text, []byte(`"`)), &unrenamed))
	gotPaths, gotReached := exposed(t, unrenamed)
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

// volumeCRD comes, changes and goes; its schema has a field of this name.
func volumeCRD(field string) string {
	return fmt.Sprintf(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: volumes.k8s.starter.org}
spec:
  group: k8s.starter.org
  scope: Namespaced
  names: {plural: volumes, singular: volume, kind: Volume, listKind: VolumeList, shortNames: [vo], categories: [claim]}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema:
      openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {%s: {type: integer}}}}}
`, field)
}

// As claimgate and the aggregator look again only now and then, this takes minutes.
func TestCRDsComeChangeAndGo(t *testing.T) {
	if os.Getenv("BED_SLOW") == "" {
		t.Skip("only with --all")
	}
	t.Cleanup(func() {
		theBed.try(theBed.cp.kubeconfig, "", "delete", "crd", "volumes.k8s.starter.org", "--ignore-not-found")
	})
	running := theBed.claimgate
	// seen waits until the app cluster's discovery and OpenAPI say so.
	seen := func(what string, is func(discovery, v2, v3 string) bool) {
		t.Helper()
		begin := time.Now()
		err := eventually(published, func() error {
			_, resources := request(t, theBed.app, "GET", "/apis/"+groupVersion, "", nil)
			_, v2 := request(t, theBed.app, "GET", openapiV2, "", nil)
			_, v3 := request(t, theBed.app, "GET", openapiV3, "", nil)
			if !is(resources, v2, v3) {
				// The documents have megabytes.
				time.Sleep(time.Second)
				return fmt.Errorf("%s: discovery %t, v2 %t, v3 %t after %s", what, strings.Contains(resources, "volumes"),
					strings.Contains(v2, "starter.v1alpha1.Volume"), strings.Contains(v3, "starter.v1alpha1.Volume"), time.Since(begin))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: seen after %s", what, time.Since(begin).Round(time.Second))
	}
	everywhere := func(word string) func(string, string, string) bool {
		return func(_, v2, v3 string) bool { return strings.Contains(v2, word) && strings.Contains(v3, word) }
	}

	kubectl(t, theBed.cp, volumeCRD("gigabytes"), "apply", "-f", "-")
	seen("a new CRD", func(resources, v2, v3 string) bool {
		return strings.Contains(resources, `"volumes"`) && everywhere("gigabytes")("", v2, v3)
	})
	volume := func(field string) string {
		return fmt.Sprintf("apiVersion: %s\nkind: Volume\nmetadata: {name: vol}\nspec: {%s: 3}\n", groupVersion, field)
	}
	kubectl(t, theBed.app, volume("gigabytes"), "apply", "-f", "-")
	contains(t, app(t, "get", "vo"), "vol")
	contains(t, plane(t, "get", "vo", "-n", "app-ns-1"), "vol")
	contains(t, app(t, "explain", "vo.spec"), "gigabytes")

	kubectl(t, theBed.cp, volumeCRD("terabytes"), "apply", "-f", "-")
	seen("a changed CRD", func(_, v2, v3 string) bool {
		return everywhere("terabytes")("", v2, v3) && !strings.Contains(v2+v3, "gigabytes")
	})
	contains(t, app(t, "explain", "vo.spec"), "terabytes")
	kubectl(t, theBed.app, volume("terabytes"), "apply", "-f", "-")
	if _, err := theBed.try(theBed.app.kubeconfig, volume("gigabytes"), "apply", "-f", "-"); err == nil {
		t.Error("kubectl still takes what was there before")
	}

	plane(t, "delete", "crd", "volumes.k8s.starter.org")
	seen("a removed CRD", func(resources, v2, v3 string) bool {
		return !strings.Contains(resources+v2+v3, "terabytes") &&
			!strings.Contains(resources, "volumes") && !strings.Contains(v2+v3, "v1alpha1/namespaces/{namespace}/volumes")
	})
	if status, body := request(t, theBed.app, "GET", "/apis/"+groupVersion+"/namespaces/default/volumes", "", nil); status != 404 {
		t.Errorf("%d %s", status, body)
	}
	if theBed.claimgate != running {
		t.Error("claimgate was started anew")
	}
}
