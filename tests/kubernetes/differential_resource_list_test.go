package kubernetes

import (
	"regexp"
	"strings"
	"testing"
)

// withoutResource removes a resource and its subresources from an APIResourceList in compact JSON,
// indented JSON or YAML. kube-apiserver does not list resources in a fixed order.
func withoutResource(text, name string) string {
	compact := regexp.MustCompile(`\{"name":"` + name + `["/][^{}]*\},?`)
	indented := regexp.MustCompile(`\n    \{\n      "name": "` + name + `["/][^{}]*\},?`)
	text = indented.ReplaceAllString(compact.ReplaceAllString(text, ""), "")
	text = strings.NewReplacer("},]", "}]", "},\n  ]", "}\n  ]").Replace(text)
	item := regexp.MustCompile(`(?m)^(- |  )name: ` + name + `(/.*)?$`)
	items := strings.Split(text, "\n- ")
	kept := items[:1]
	for _, one := range items[1:] {
		if !item.MatchString("- " + one) {
			kept = append(kept, one)
		}
	}
	rest := strings.Join(kept, "\n- ")
	// The last item ends with the text.
	if strings.HasSuffix(text, "\n") && !strings.HasSuffix(rest, "\n") {
		rest += "\n"
	}
	return rest
}

func TestResourceIsRemovedFromListAtAnyPosition(t *testing.T) {
	a, b, c := `{"name":"a","verbs":["get"]}`, `{"name":"b","verbs":["get"]},{"name":"b/status","verbs":["get"]}`, `{"name":"bc","verbs":["get"]}`
	pretty := func(entries ...string) string {
		return "  \"resources\": [\n    " + strings.Join(entries, ",\n    ") + "\n  ]\n}"
	}
	p := func(name string) string { return "{\n      \"name\": \"" + name + "\",\n      \"verbs\": []\n    }" }
	for _, one := range []struct{ text, without string }{
		{"[" + a + "," + b + "," + c + "]}", "[" + a + "," + c + "]}"},
		{"[" + a + "," + c + "," + b + "]}", "[" + a + "," + c + "]}"},
		{"[" + b + "," + a + "]}", "[" + a + "]}"},
		{pretty(p("a"), p("b"), p("bc")), pretty(p("a"), p("bc"))},
		{pretty(p("a"), p("bc"), p("b"), p("b/status")), pretty(p("a"), p("bc"))},
		{pretty(p("b"), p("a")), pretty(p("a"))},
		{"resources:\n- kind: A\n  name: a\n- name: b\n  verbs:\n  - get\n- kind: B\n  name: b/status\n- name: bc\n", "resources:\n- kind: A\n  name: a\n- name: bc\n"},
		{"resources:\n- kind: A\n  name: a\n- name: b\n  verbs:\n  - get\n", "resources:\n- kind: A\n  name: a\n"},
	} {
		if got := withoutResource(one.text, "b"); got != one.without {
			t.Errorf("%s\nbecame\n%s\nwant\n%s", one.text, got, one.without)
		}
	}
}
