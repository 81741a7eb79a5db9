package compare

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

// reply is the observation of an answer that is large enough for the aggregator to ask for gzip.
func reply(status int, namespace string, header http.Header) string {
	body := strings.Replace(object, "remote-1", namespace, 1)
	body = strings.Replace(body, `"region":"eu"`, `"notes":"`+strings.Repeat("n", 200_000)+`","region":"eu"`, 1)
	header.Set("Content-Type", "application/json")
	return Reply(&http.Response{StatusCode: status, Header: header}, []byte(body), Names{"remote-1": "NAMESPACE", "local": "NAMESPACE"})
}

func vary() http.Header { return http.Header{"Vary": {"Accept-Encoding"}} }

// What the suite accepts of a large object is one header, and nothing else.
func TestBehindAnAcceptedDifferenceAllIsCompared(t *testing.T) {
	text, err := os.ReadFile("../accepted/large-object-by-watch.diff")
	must(err)
	accepted := string(text)
	direct := reply(200, "remote-1", http.Header{})
	if differences := Differences(direct, reply(200, "local", vary())); differences != accepted {
		t.Errorf("%q is not %q", differences, accepted)
	}
	for name, through := range map[string]string{
		"a leaked namespace":  reply(200, "leaked", vary()),
		"a failure":           reply(500, "local", vary()),
		"a second header":     reply(200, "local", http.Header{"Vary": {"Accept-Encoding"}, "Via": {"x"}}),
		"the header twice":    reply(200, "local", http.Header{"Vary": {"Accept-Encoding", "Accept-Encoding"}}),
		"more after the end":  reply(200, "local", vary()) + "\nHTTP 200\n",
		"another reply later": reply(200, "local", vary()) + "\n" + reply(500, "local", vary()),
	} {
		if Differences(direct, through) == accepted {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAllDifferencesAreTold(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, c := range []struct{ direct, through, differences string }{
		{"a\nb\nc", "a\nb\nc", ""},
		{"a\nb\nc\nd", "a\nB\nc\nD", "-b\n+B\n\n-d\n+D\n\n"},
		{"a\nc", "a\nb\nc\nd", "+b\n\n+d\n\n"},
		{"a\nb\nc", "c", "-a\n-b\n\n"},
		{long + "1" + long, long + "22" + long, "-…" + long[:40] + "1" + long[:40] + "…\n+…" + long[:40] + "22" + long[:40] + "…\n\n"},
	} {
		if differences := Differences(c.direct, c.through); differences != c.differences {
			t.Errorf("%q", differences)
		}
	}
}
