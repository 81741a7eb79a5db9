package kubernetes

import "strings"

const (
	// Strings that YAML quotes, folds or writes as blocks, and strings that look like other types.
	oddStrings = `"yes","no","on","Off","y","~","null","Null","","true","TRUE","1","0x1f","0o7","010","1_000","1e3","1.5",".5",".inf","-.inf",".nan","1:30","190:20:30.15","<<","=","-","--","---","...","?","? a",":","a:","a: b","a:b","#","a #b","a#b","[a]","{a}","a, b","&a","*a","!a","|","> a","'a'","it's","\"a\"","%a","@a","\u0060a","C:\\dir","2001-01-01","2001-1-1","2001-01-01T00:00:00Z","2001-01-01 1:2:3","2001-02-30"," a","a "," ","\ta","a\tb","a\nb","a\nb\n","a\n\n","\na","\n"," a\nb","a \nb","a\n b\n","a\r\nb","\u0001","\u001b","\u2028","a\u2029b","\u00a0","\u00e9","\u65e5\u672c","\ud83d\ude00","\ufeff","<a&b>","100Mi","0.5","v1","10.0.0.1"`
	oddKeys    = `"yes":0,"~":0,"":0,"a: b":0,"a:":0,"- a":0,"it's":0,"\"q\"":0,"a#b":0,"a #b":0," a":0,"a\nb":0,"\u00e9":0,"\u65e5\u672c":0,"\ud83d\ude00":0,"many words":0,"Capital":0,"1":0,"10":0,"2":0`
	oddNumbers = `0,-1,1.5,1e3,1000000,1234567.5,0.0001,0.00001,1e21,123456789012345678,-0.0,1e-7`
	// Scalars that YAML 1.1 reads as other types than strings, and lookalikes.
	oddScalars = `
  parameters:
    booleans: [yes, No, on, OFF, y, n, true, False, 'yes', "no", yEs]
    integers: [1, -1, +1, 010, 0o17, 0x1F, 0b11, 1_000, 12345678901234567, 08]
    floats: [1.0, 1.5, 1e3, .5, 1., 6.02e+23, 1e-7, -0.0]
    nulls: [~, null, Null, '', "null"]
    times: [2001-01-01, 2001-01-01T00:00:00Z, 1:30]
    1: number
    1.5: float
    true: boolean
    2001-01-01: date
    tagged: [!!str 1, !!float 1, !!int "1", !other x, ! 5]
    empty:
    literal: |
      one
        two

      three
    kept: |+
      one

    folded: >-
      one
      two

      three
    plain: one
      two
    double: "a\tb\u00e9\x41 \
      c"
    single: 'it''s'
    base: &base {a: 1, b: {c: 2}}
    merged:
      a: 0
      <<: *base
      b: 3
    both:
      <<: [*base, {a: 5, d: 6}]
    again: *base
    ? complex
    : key
    list:
    - a
    -
      - b
    - c: d
      e: f
`
)

// yamlOperations are bodies and answers in YAML.
func yamlOperations() []operation {
	create := func(name, query, body string) operation {
		return single(name, step{method: "POST", path: resourcePath + query, body: body, headers: []string{yamlBody}}, getOwn())
	}
	apply := func(name, query, body string) operation {
		return single(name, patch(applyPatch, ownPath+"?fieldManager=me"+query, body), getOwn())
	}
	unusual := object(`,"labels":{"op":"{name}"},"annotations":{"yes":"no","a/b.c-d_e10":"1","a/b.c-d_e9":"{ns}","A":"b"}`, `,"parameters":{"strings":[`+oddStrings+`],"numbers":[`+oddNumbers+`],"keys":{`+oddKeys+`},"empty":{"list":[],"object":{},"null":null,"nested":[[],[[1]],{},{"a":[]}]},"long":"`+strings.Repeat("many words ", 40)+`","quoted":"`+strings.Repeat("it's: many words ", 20)+`","`+strings.Repeat("key", 50)+`":1,"lines":"`+strings.Repeat("many words ", 20)+`\n  indented\n\nlast"}`)
	duplicateFields := strings.Replace(yamlClaim, "  region: eu\n", "  region: eu\n  region: us\n  nodeCount: 4\n", 1)
	creation := post(resourcePath, unusual)
	yamlForm := func(kind, version string) string {
		return "Accept: application/yaml;as=" + kind + ";v=" + version + ";g=meta.k8s.io"
	}
	all := []operation{
		single("unusual values in YAML", post(resourcePath, unusual, acceptYAML), get(ownPath, acceptYAML), get(ownListPath, acceptYAML)),
		single("unusual values as Table in YAML", creation, get(ownPath, yamlForm("Table", "v1")), get(ownListPath, yamlForm("Table", "v1"))),
		single("unusual values as metadata in YAML", creation, get(ownPath, yamlForm("PartialObjectMetadata", "v1")), get(ownListPath, yamlForm("PartialObjectMetadataList", "v1"))),
		single("update, answer in YAML", createOwn().saving("rv=metadata.resourceVersion"), put(ownPath, object(`,"resourceVersion":"{rv}"`, `,"region":"us"`), acceptYAML)),
		single("merge patch, answer in YAML", createOwn(), step{method: "PATCH", path: ownPath, body: `{"spec":{"nodeCount":4}}`, headers: []string{mergePatch, acceptYAML}}),
		single("delete a collection, answer in YAML", post(resourcePath, object(`,"labels":{"op":"{name}"}`, "")), step{method: "DELETE", path: ownListPath, headers: []string{acceptYAML}}),
		single("conflict in YAML", createOwn(), post(resourcePath, object("", ""), acceptYAML)),
		single("invalid object, answer in YAML", post(resourcePath, strings.Replace(object("", ""), `"nodeCount":3`, `"nodeCount":"three"`, 1), acceptYAML)),
		single("get status in YAML", createOwn(), get(ownPath+"/status", acceptYAML)),
		single("pretty YAML", createOwn(), get(ownPath+"?pretty=true", acceptYAML)),
		single("large YAML with gzip", post(resourcePath, object("", `,"notes":"`+strings.Repeat("much ", 40_000)+`"`)), get(ownPath, acceptYAML, "Accept-Encoding: gzip"), get(ownPath, acceptYAML, "Accept-Encoding: identity")),
		create("create in YAML with unusual scalars", "", yamlClaim+oddScalars),
		create("create in YAML with duplicate keys", "", duplicateFields),
		create("create in YAML that is JSON", "", object("", `,"parameters":{"a":[1,2.5,"\u003c",null]}`)),
		create("create in YAML without a namespace", "", strings.Replace(yamlClaim, "  namespace: \"{ns}\"\n", "", 1)),
		create("create in YAML in another namespace", "", strings.Replace(yamlClaim, "{ns}", "nowhere", 1)),
		create("create in YAML with escaped keys", "", strings.Replace(yamlClaim, "  namespace:", "  \"n\\x61mespace\":", 1)),
		create("create in YAML without kind", "", strings.Replace(yamlClaim, "kind: KubernetesCluster\n", "", 1)),
		create("create in YAML with unknown fields", "", yamlClaim+"  nodeCoun: 2\n"),
		create("create in YAML with a wrong type", "", strings.Replace(yamlClaim, "nodeCount: 3", "nodeCount: three", 1)),
		create("create in YAML with two documents", "", yamlClaim+"---\n"+yamlClaim),
		create("create in YAML with document markers", "", "%YAML 1.1\n---\n"+yamlClaim+"...\n"),
		create("create in YAML 1.2", "", "%YAML 1.2\n---\n"+yamlClaim),
		create("create in YAML that is empty", "", ""),
		create("create in YAML that is a comment", "", "# nothing\n"),
		create("create in YAML that is a list", "", "- a\n- b\n"),
		create("create in YAML that is text", "", "hello"),
		create("create in YAML with a tab", "", strings.Replace(yamlClaim, "  nodeCount", "\tnodeCount", 1)),
		create("create in YAML with an unknown anchor", "", yamlClaim+"  notes: *none\n"),
		create("create in YAML with an anchor in itself", "", yamlClaim+"  parameters: &p\n    p: *p\n"),
		create("create in YAML with NaN", "", yamlClaim+"  parameters: {a: .nan}\n"),
		create("create in YAML with a null key", "", yamlClaim+"  parameters: {~: a}\n"),
		single("create in YAML with a charset", step{method: "POST", path: resourcePath, body: yamlClaim, headers: []string{yamlBody + "; charset=utf-8"}}, getOwn()),
		apply("apply YAML with unusual scalars", "", yamlClaim+oddScalars),
		apply("apply YAML with duplicate keys", "", duplicateFields),
		apply("apply YAML without a final newline", "", yamlClaim+"  notes: |\n    {ns}"),
		apply("apply YAML that is a list", "", "- a\n- b\n"),
		apply("apply YAML that is a comment", "", "# nothing\n"),
		apply("apply YAML without kind", "", strings.Replace(yamlClaim, "kind: KubernetesCluster\n", "", 1)),
		single("apply scale in YAML", createOwn(), patch(applyPatch, ownPath+"/scale?fieldManager=me", "kind: Scale\napiVersion: autoscaling/v1\nmetadata:\n  name: {name}\n  namespace: {ns}\nspec:\n  replicas: 3\n")),
		single("update scale in YAML", createOwn(), step{method: "PUT", path: ownPath + "/scale", body: "kind: Scale\napiVersion: autoscaling/v1\nmetadata:\n  name: {name}\n  namespace: {ns}\nspec:\n  replicas: 3\n", headers: []string{yamlBody}}),
		single("update scale in invalid YAML", createOwn(), step{method: "PUT", path: ownPath + "/scale", body: "kind: [", headers: []string{yamlBody}}),
		single("update in YAML of an object with a last-applied annotation", post(resourcePath, object(lastAppliedAnnotation, "")).saving("rv=metadata.resourceVersion"),
			step{method: "PUT", path: ownPath, body: strings.Replace(yamlClaim, "metadata:\n", "metadata:\n  resourceVersion: '{rv}'\n", 1) + "# {ns}\n", headers: []string{yamlBody}}, getOwn()),
	}
	for _, validation := range []string{"Strict", "Warn", "Ignore", "Roughly"} {
		all = append(all,
			create("create in YAML with duplicate fields, "+validation, "?fieldValidation="+validation, duplicateFields),
			create("create in YAML with duplicate and unknown fields, "+validation, "?fieldValidation="+validation, duplicateFields+"  nodeCoun: 2\n"),
			apply("apply YAML with duplicate fields, "+validation, "&fieldValidation="+validation, duplicateFields))
	}
	for _, accept := range []string{
		"application/yaml;q=0.5,application/json", "application/json,application/yaml", "*/*,application/yaml", "application/*,application/yaml",
		"application/yaml;stream=watch", "application/yaml;stream=watch,application/json", "application/yaml;as=Table;v=v1;g=meta.k8s.io,application/json",
		"application/yaml;as=Nothing;v=v1;g=meta.k8s.io,application/json", "application/YAML", "text/yaml", "application/yaml; charset=utf-8", "text/html,application/yaml;q=0.1",
		"application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/yaml",
	} {
		all = append(all, single("accept "+strings.ReplaceAll(accept, "*", "any"), createOwn(), get(ownPath, "Accept: "+accept), get(ownPath+"-none", "Accept: "+accept)))
	}
	return all
}
