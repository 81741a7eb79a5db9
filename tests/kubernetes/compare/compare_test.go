package compare

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const (
	object = `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{"name":"a","namespace":"remote-1","resourceVersion":"17","uid":"0c5e4d0b-53b5-4c1f-a5b9-5a6c2f0f2f11"},"spec":{"big":12345678901234567890,"float":1.0,"notes":"\u003ca\u003e","region":"eu"}}`
	list   = `{"apiVersion":"k8s.starter.org/v1alpha1","items":[` + object + `],"kind":"KubernetesClusterList","metadata":{"continue":"","resourceVersion":"20"}}` + "\n"
	table  = `{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"20"},"columnDefinitions":[],"rows":[{"cells":["a","5s"],"object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"a","namespace":"remote-1"}}}]}` + "\n"
	status = `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"gave up after 10m of 1h","code":504}` + "\n"
	watch  = `{"type":"ADDED","object":` + object + `}` + "\n" +
		`{"type":"BOOKMARK","object":{"kind":"KubernetesCluster","apiVersion":"k8s.starter.org/v1alpha1","metadata":{"resourceVersion":"21"}}}` + "\n" +
		`{"type":"DELETED","object":` + object + `}` + "\n"
)

func observeBody(body, namespace string, header http.Header) string {
	if header == nil {
		header = http.Header{"Content-Type": {"application/json"}}
	}
	return Reply(&http.Response{StatusCode: 200, Header: header}, []byte(body), Names{namespace: "NAMESPACE"})
}

// faithfulProxy returns what a correct proxy sends at another time: names are mapped, and values
// that differ from call to call have changed.
func faithfulProxy(body string) string {
	return strings.NewReplacer(`"namespace":"remote-1"`, `"namespace":"local"`, `"resourceVersion":"2`, `"resourceVersion":"33`, "0c5e4d0b", "11111111", `"5s"`, `"2m3s"`).Replace(body)
}

func TestFaithfulProxyShowsNoDifference(t *testing.T) {
	for name, body := range map[string]string{"object": object, "list": list, "table": table, "watch": watch} {
		if differences := Differences(observeBody(body, "remote-1", nil), observeBody(faithfulProxy(body), "local", nil)); differences != "" {
			t.Errorf("%s: %s", name, differences)
		}
	}
}

// Each of these proxies has one fault.
func TestProxyFaultsAreDetected(t *testing.T) {
	replace := func(old, new string) func(string) string {
		return func(body string) string { return strings.Replace(body, old, new, 1) }
	}
	for name, c := range map[string]struct {
		body  string
		fault func(string) string
	}{
		"sorts keys by decoding and encoding": {object, func(body string) string {
			var value any
			must(json.Unmarshal([]byte(strings.Replace(body, `"float":1.0,`, "", 1)), &value))
			text, err := json.Marshal(value)
			must(err)
			return strings.Replace(string(text), `"spec":{`, `"spec":{"float":1.0,`, 1)
		}},
		"changes the order of keys":               {object, replace(`"float":1.0,"notes":"\u003ca\u003e"`, `"notes":"\u003ca\u003e","float":1.0`)},
		"changes the form of a number":            {object, replace(`1.0`, `1`)},
		"rounds a large integer":                  {object, replace(`12345678901234567890`, `12345678901234567000`)},
		"writes an escape another way":            {object, replace(`\u003ca\u003e`, `<a>`)},
		"adds white space":                        {object, replace(`,"kind"`, `, "kind"`)},
		"drops the newline at the end":            {list, func(body string) string { return strings.TrimSuffix(body, "\n") }},
		"drops a bookmark":                        {watch, func(body string) string { return strings.Replace(body, strings.Split(body, "\n")[1]+"\n", "", 1) }},
		"drops the last event":                    {watch, func(body string) string { return body[:strings.LastIndex(strings.TrimSpace(body), "\n")+1] }},
		"does not map the rows of a Table":        {table, replace(`"namespace":"local"`, `"namespace":"remote-1"`)},
		"does not map the items of a list":        {list, replace(`"namespace":"local"`, `"namespace":"remote-1"`)},
		"does not map the objects of a watch":     {watch, replace(`"namespace":"local"`, `"namespace":"remote-1"`)},
		"waits for another time":                  {status, replace(`10m`, `5s`)},
		"adds a member":                           {object, replace(`"region":"eu"`, `"region":"eu","x":null`)},
		"changes the list's resourceVersion to 0": {list, replace(`"resourceVersion":"330"`, `"resourceVersion":"0"`)},
		"adds a continue token":                   {list, replace(`"continue":""`, `"continue":"abc"`)},
	} {
		proxied := c.fault(faithfulProxy(c.body))
		if proxied == faithfulProxy(c.body) {
			t.Errorf("%s: the fault changed nothing", name)
		}
		if Differences(observeBody(c.body, "remote-1", nil), observeBody(proxied, "local", nil)) == "" {
			t.Errorf("%s: not detected", name)
		}
	}
}

// What kubectl -v=6 logs about itself differs from call to call. Its requests and their status are
// compared.
func TestRequestsInKubectlLogsAreCompared(t *testing.T) {
	logs := func(file, gates, asked, hash, status, time string) string {
		return Command("", "I1128 06:18:11.017875   24217 loader.go:408] Config loaded from file:  "+file+"\n"+
			"I1128 06:18:11.017885   24217 envvar.go:195] \"Feature gate default state\" feature="+gates+" enabled=true\n"+
			"I1128 06:18:1"+time[:1]+".017885   24217 round_trippers.go:632] \"Response\" verb=\"GET\" url=\"https://localhost:1"+time+"/apis/"+asked+
			"?hash="+strings.Repeat(hash, 64)+"\" status=\""+status+"\" milliseconds="+time+"\n", 0, Names{"remote-1": "NAMESPACE"})
	}
	direct := logs("/a/direct.kubeconfig", "A", "remote-1/a", "0F", "200 OK", "1")
	if differences := Differences(direct, logs("/b/app.kubeconfig", "B", "remote-1/a", "1E", "200 OK", "23")); differences != "" {
		t.Error(differences)
	}
	for name, proxied := range map[string]string{
		"another request": logs("/a/direct.kubeconfig", "A", "remote-1/b", "0F", "200 OK", "1"),
		"another status":  logs("/a/direct.kubeconfig", "A", "remote-1/a", "0F", "201 Created", "1"),
		"no request":      Command("", "", 0, nil),
	} {
		if Differences(direct, proxied) == "" {
			t.Errorf("%s: not detected", name)
		}
	}
}

func TestHeadersAndStatusAreCompared(t *testing.T) {
	kind := "application/json"
	direct := observeBody(object, "remote-1", http.Header{"Content-Type": {kind}, "Date": {"now"}, "Warning": {`299 - "b"`, `299 - "a"`}})
	for name, header := range map[string]http.Header{
		"a lost warning":            {"Content-Type": {kind}, "Warning": {`299 - "b"`}},
		"warnings in another order": {"Content-Type": {kind}, "Warning": {`299 - "a"`, `299 - "b"`}},
		"another content type":      {"Content-Type": {"text/plain"}, "Warning": {`299 - "b"`, `299 - "a"`}},
		"an additional header":      {"Content-Type": {kind}, "Warning": {`299 - "b"`, `299 - "a"`}, "Via": {"x"}},
	} {
		if Differences(direct, observeBody(object, "remote-1", header)) == "" {
			t.Errorf("%s: not detected", name)
		}
	}
	same := http.Header{"Content-Type": {kind}, "Date": {"later"}, "Warning": {`299 - "b"`, `299 - "a"`}}
	if differences := Differences(direct, observeBody(object, "remote-1", same)); differences != "" {
		t.Error(differences)
	}
}

func TestAllGzipMembersAreDecoded(t *testing.T) {
	var packed bytes.Buffer
	for _, part := range []string{object[:20], object[20:]} {
		writer := gzip.NewWriter(&packed)
		writer.Write([]byte(part))
		writer.Close()
	}
	header := http.Header{"Content-Encoding": {"gzip"}}
	if text := observeBody(packed.String(), "remote-1", header); !strings.HasSuffix(text, `"region":"eu"}}`) {
		t.Error(text)
	}
}

func TestProtobufFaultsAreDetected(t *testing.T) {
	protobuf := func(version string) []byte {
		object := metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: version, Labels: map[string]string{"b": "c"}}}
		raw, err := object.Marshal()
		must(err)
		unknown := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"}, Raw: raw}
		document, err := unknown.Marshal()
		must(err)
		return append(bytes.Clone(protobufMagic), document...)
	}
	seen := func(document []byte) string { return observeBody(string(document), "remote-1", nil) }
	if differences := Differences(seen(protobuf("17")), seen(protobuf("18"))); differences != "" {
		t.Error(differences)
	}
	for name, fault := range map[string][]byte{
		"another label":     bytes.Replace(protobuf("17"), []byte("c"), []byte("d"), 1),
		"an unknown field":  append(protobuf("17"), 0x28, 1),
		"no content type":   bytes.TrimSuffix(protobuf("17"), []byte{0x22, 0}),
		"a broken document": protobuf("17")[:20],
	} {
		if Differences(seen(protobuf("17")), seen(fault)) == "" {
			t.Errorf("%s: not detected", name)
		}
	}
}

func TestProtobufWatchFaultsAreDetected(t *testing.T) {
	event := func(kind, version, label string) string {
		object := metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: version, Labels: map[string]string{"b": label}}}
		raw, err := object.Marshal()
		must(err)
		unknown := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"}, Raw: raw}
		document, err := unknown.Marshal()
		must(err)
		event := metav1.WatchEvent{Type: kind, Object: runtime.RawExtension{Raw: append(bytes.Clone(protobufMagic), document...)}}
		text, err := event.Marshal()
		must(err)
		return string(binary.BigEndian.AppendUint32(nil, uint32(len(text)))) + string(text)
	}
	seen := func(body string) string {
		return observeBody(body, "remote-1", http.Header{"Content-Type": {"application/vnd.kubernetes.protobuf;stream=watch"}})
	}
	direct := seen(event("ADDED", "17", "c") + event("DELETED", "18", "c"))
	if differences := Differences(direct, seen(event("ADDED", "27", "c")+event("DELETED", "28", "c"))); differences != "" {
		t.Error(differences)
	}
	for name, body := range map[string]string{
		"a lost event":        event("ADDED", "17", "c"),
		"another label":       event("ADDED", "17", "d") + event("DELETED", "18", "c"),
		"another type":        event("ADDED", "17", "c") + event("MODIFIED", "18", "c"),
		"a truncated event":   event("ADDED", "17", "c") + event("DELETED", "18", "c")[:30],
		"a truncated length":  event("ADDED", "17", "c") + "\x00",
		"an additional event": event("ADDED", "17", "c") + event("DELETED", "18", "c") + event("DELETED", "18", "c"),
	} {
		if Differences(direct, seen(body)) == "" {
			t.Errorf("%s: not detected", name)
		}
	}
}
