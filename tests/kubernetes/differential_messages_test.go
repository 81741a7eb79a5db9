package kubernetes

import "strings"

// messageOperations are about names in messages, and about text that only looks like them.
func messageOperations() []operation {
	manager := "?fieldManager=me"
	apply := func(body string) step { return patch(applyPatch, ownPath+manager, body) }
	// User data that looks like a namespace in a message. It stays unchanged on both routes.
	userText := "(" + writeNamespaces.remote + "/x /namespaces/" + writeNamespaces.remote + "/ (" + writeNamespaces.remote + "/"
	all := []operation{
		single("apply an unknown field with special characters", apply(object("", `,"a&b<c>\u2028é\u0001":1`))),
		single("apply a label of another type", apply(object(`,"labels":{"a":yes}`, ""))),
		single("create without a kind and with special characters", post(resourcePath, strings.Replace(object("", `,"notes":"<&>\u2029"`), `"kind":"KubernetesCluster",`, "", 1))),
		single("conflict with a field manager with special characters", patch(applyPatch, ownPath+"?fieldManager=a%3Cb%3E", object("", "")), apply(strings.Replace(object("", ""), "3", "4", 1))),

		single("user text in a label", post(resourcePath, object(`,"labels":{"a":"`+userText+`"}`, ""))),
		single("user text in an annotation's name", post(resourcePath, object(`,"annotations":{"`+userText+`":"x"}`, ""))),
		single("user text in an unknown field", post(resourcePath, object("", `,"`+userText+`":1`))),
		single("user text in an unknown field, strictly", post(resourcePath+"?fieldValidation=Strict", object("", `,"`+userText+`":1`))),
		single("user text in an unknown field that is applied", apply(object("", `,"`+userText+`":1`))),
		single("user text in a finalizer", post(resourcePath, object(`,"finalizers":["`+userText+`"]`, ""))),
		single("user text in a field manager", post(resourcePath+"?fieldManager=%28"+writeNamespaces.remote+"/%00", object("", ""))),
		single("user text in apiVersion", post(resourcePath, strings.Replace(object("", ""), groupVersion, "("+writeNamespaces.remote+"/x", 1))),
		single("user text in a number", post(resourcePath, strings.Replace(object("", ""), `"nodeCount":3`, `"nodeCount":"`+userText+`"`, 1))),
		single("user text in a field selector", get(resourcePath+"?fieldSelector=%28"+writeNamespaces.remote+"/x%3D1")),

		single("network named like the namespace", post(networksPath, `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"Network","metadata":{"name":"`+writeNamespaces.remote+`"},"spec":{"region":"`+writeNamespaces.remote+`"}}`),
			get(networksPath+"/"+writeNamespaces.remote, acceptTable)),
		{name: "kubectl get nw -o wide", commands: []command{
			{args: "apply -f -", stdin: "apiVersion: k8s.starter.org/v1alpha1\nkind: Network\nmetadata: {name: \"{name}\", namespace: \"{ns}\"}\nspec: {region: eu}\n"},
			{args: "get nw -n {ns} -o wide {name}"},
		}},

		single("namespace selector with two equals signs", get(resourcePath+"?fieldSelector=metadata.namespace%3Da%3Db"),
			get(resourcePath+"?fieldSelector=metadata.namespace%3D{ns}%3Db"), get(allNamespacesPath+"?fieldSelector=metadata.namespace%21%3Da%3Db"),
			get(resourcePath+"?watch=true&fieldSelector=metadata.namespace%3Da%3Db"), remove(resourcePath+"?fieldSelector=metadata.namespace%3Da%3Db", "")),
	}
	return append(append(append(all, invalidTokens()...), metadataCopies()...), quotedObjectErrors()...)
}

// invalidTokens are rejected with the control plane's error.
func invalidTokens() []operation {
	token := func(name, token string) operation {
		return single(name, get(resourcePath+"?continue="+token), get(allNamespacesPath+"?continue="+token))
	}
	return []operation{
		token("token that is one letter", "x"),
		token("token with other characters", "a+b/c?"),
		token("token with padding", "bnVsbA%3D%3D"),
		token("token that is null", "bnVsbA"),
		token("token that is text", "aGVsbG8"),
		single("token of a watch", get(allNamespacesPath+"?watch=true&continue=x"), get(resourcePath+"?watch=true&continue=x")),
	}
}

func metadataCopies() []operation {
	sequence := func(name, patches string) operation {
		return single(name, createOwn(), patch(jsonPatch, ownPath, "["+patches+"]"), getOwn())
	}
	return []operation{
		sequence("JSON patch that copies labels to annotations", `{"op":"copy","from":"/metadata/labels","path":"/metadata/annotations"}`),
		sequence("JSON patch that moves labels to annotations", `{"path":"/metadata/annotations","from":"/metadata/labels","op":"move"}`),
	}
}

// quotedObjectErrors are errors whose message contains the whole object.
func quotedObjectErrors() []operation {
	applied := `,"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"metadata\":{\"name\":\"{name}\",\"namespace\":\"{ns}\"}}\n"}`
	signs := `,"notes":"<\u2028\u00e9\u007f\u200b\u263a\udb40\udc01\u0001 \\\" {\"metadata\":{\"namespace\":\"x\"}}"`
	deep := `,"parameters":` + strings.Repeat(`{"a":`, 1200) + "1" + strings.Repeat("}", 1200)
	rejectedPatches := func(name, object string) operation {
		return single(name, post(resourcePath, object),
			patch(mergePatch, ownPath, `{"metadata":{"labels":{"a":3}}}`),
			patch(mergePatch, ownPath+"?fieldValidation=Strict", `{"spec":{"no":1}}`),
			patch(mergePatch, ownPath+"/status", `{"metadata":{"labels":3}}`),
			patch(jsonPatch, ownPath, `[{"op":"replace","path":"/metadata/labels","value":1}]`),
			step{method: "PATCH", path: ownPath, body: `{"metadata":{"labels":3}}`, headers: []string{mergePatch, "Accept: application/yaml"}})
	}
	long := strings.Replace(object(applied, signs), `"kind":"KubernetesCluster"`, `"`+strings.Repeat("k", 5000)+`":1`, 1)
	return []operation{
		rejectedPatches("rejected patches of an applied object", object(applied, signs)),
		rejectedPatches("rejected patches of a deeply nested object", object("", deep)),
		single("missing kind and a long key", post(resourcePath, long)),
		onNewObject("apply a misspelt field to an applied object", kubectlRun("apply -f -", manifest), kubectlRun("apply -f -", manifestWithUnknownField)),
	}
}
