package kubernetes

import "strings"

// textOperations are about what stands in messages, and about text that only looks like it.
func textOperations() []operation {
	me := "?fieldManager=me"
	apply := func(body string) step { return patch(applyPatch, own+me, body) }
	// People's own, and in it what a message would name a namespace by. It is the same on both sides.
	words := "(" + writing.remote + "/x /namespaces/" + writing.remote + "/ (" + writing.remote + "/"
	all := []operation{
		single("apply an unknown field with signs", apply(object("", `,"a&b<c>\u2028é\u0001":1`))),
		single("apply a label of another type", apply(object(`,"labels":{"a":yes}`, ""))),
		single("create without a kind and with signs", post(resourcePath, strings.Replace(object("", `,"notes":"<&>\u2029"`), `"kind":"KubernetesCluster",`, "", 1))),
		single("manager with signs in a conflict", patch(applyPatch, own+"?fieldManager=a%3Cb%3E", object("", "")), apply(strings.Replace(object("", ""), "3", "4", 1))),

		single("words in a label", post(resourcePath, object(`,"labels":{"a":"`+words+`"}`, ""))),
		single("words in an annotation's name", post(resourcePath, object(`,"annotations":{"`+words+`":"x"}`, ""))),
		single("words in an unknown field", post(resourcePath, object("", `,"`+words+`":1`))),
		single("words in an unknown field, strictly", post(resourcePath+"?fieldValidation=Strict", object("", `,"`+words+`":1`))),
		single("words in an unknown field that is applied", apply(object("", `,"`+words+`":1`))),
		single("words in a finalizer", post(resourcePath, object(`,"finalizers":["`+words+`"]`, ""))),
		single("words in a manager", post(resourcePath+"?fieldManager=%28"+writing.remote+"/%00", object("", ""))),
		single("words in a version", post(resourcePath, strings.Replace(object("", ""), groupVersion, "("+writing.remote+"/x", 1))),
		single("words of a wrong type", post(resourcePath, strings.Replace(object("", ""), `"nodeCount":3`, `"nodeCount":"`+words+`"`, 1))),
		single("words in a field selector", get(resourcePath+"?fieldSelector=%28"+writing.remote+"/x%3D1")),

		single("network called like the namespace", post(networksPath, `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"Network","metadata":{"name":"`+writing.remote+`"},"spec":{"region":"`+writing.remote+`"}}`),
			get(networksPath+"/"+writing.remote, acceptTable)),
		{name: "kubectl get nw -o wide", commands: []command{
			{args: "apply -f -", stdin: "apiVersion: k8s.starter.org/v1alpha1\nkind: Network\nmetadata: {name: \"{name}\", namespace: \"{ns}\"}\nspec: {region: eu}\n"},
			{args: "get nw -n {ns} -o wide {name}"},
		}},

		single("namespace twice equal", get(resourcePath+"?fieldSelector=metadata.namespace%3Da%3Db"),
			get(resourcePath+"?fieldSelector=metadata.namespace%3D{ns}%3Db"), get(everywhere+"?fieldSelector=metadata.namespace%21%3Da%3Db"),
			get(resourcePath+"?watch=true&fieldSelector=metadata.namespace%3Da%3Db"), remove(resourcePath+"?fieldSelector=metadata.namespace%3Da%3Db", "")),
	}
	return append(append(append(all, tokens()...), copies()...), quoting()...)
}

// tokens are refused as the control plane refuses what is none.
func tokens() []operation {
	token := func(name, token string) operation {
		return single(name, get(resourcePath+"?continue="+token), get(everywhere+"?continue="+token))
	}
	return []operation{
		token("token of one letter", "x"),
		token("token of other letters", "a+b/c?"),
		token("token that is padded", "bnVsbA%3D%3D"),
		token("token of null", "bnVsbA"),
		token("token of text", "aGVsbG8"),
		single("token of a watch", get(everywhere+"?watch=true&continue=x"), get(resourcePath+"?watch=true&continue=x")),
	}
}

func copies() []operation {
	sequence := func(name, patches string) operation {
		return single(name, created(), patch(jsonPatch, own, "["+patches+"]"), then())
	}
	return []operation{
		sequence("JSON patch that copies labels to annotations", `{"op":"copy","from":"/metadata/labels","path":"/metadata/annotations"}`),
		sequence("JSON patch that moves labels to annotations", `{"path":"/metadata/annotations","from":"/metadata/labels","op":"move"}`),
	}
}

// quoting are failures whose message has the whole object in it.
func quoting() []operation {
	applied := `,"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"metadata\":{\"name\":\"{name}\",\"namespace\":\"{ns}\"}}\n"}`
	signs := `,"notes":"<\u2028\u00e9\u007f\u200b\u263a\udb40\udc01\u0001 \\\" {\"metadata\":{\"namespace\":\"x\"}}"`
	deep := `,"parameters":` + strings.Repeat(`{"a":`, 1200) + "1" + strings.Repeat("}", 1200)
	refused := func(name, object string) operation {
		return single(name, post(resourcePath, object),
			patch(mergePatch, own, `{"metadata":{"labels":{"a":3}}}`),
			patch(mergePatch, own+"?fieldValidation=Strict", `{"spec":{"no":1}}`),
			patch(mergePatch, own+"/status", `{"metadata":{"labels":3}}`),
			patch(jsonPatch, own, `[{"op":"replace","path":"/metadata/labels","value":1}]`),
			step{method: "PATCH", path: own, body: `{"metadata":{"labels":3}}`, headers: []string{mergePatch, "Accept: application/yaml"}})
	}
	long := strings.Replace(object(applied, signs), `"kind":"KubernetesCluster"`, `"`+strings.Repeat("k", 5000)+`":1`, 1)
	return []operation{
		refused("refused patches of what was applied", object(applied, signs)),
		refused("refused patches of what is deep", object("", deep)),
		single("no kind but a long key", post(resourcePath, long)),
		fresh("apply a misspelt field to what was applied", run("apply -f -", manifest), run("apply -f -", unknown)),
	}
}
