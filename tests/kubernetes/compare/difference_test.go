package compare

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

// largeReply returns the observation of an answer that is large enough for the aggregator to
// request gzip.
func largeReply(status int, namespace string, header http.Header) string {
	body := strings.Replace(object, "remote-1", namespace, 1)
	body = strings.Replace(body, `"region":"eu"`, `"notes":"`+strings.Repeat("n", 200_000)+`","region":"eu"`, 1)
	header.Set("Content-Type", "application/json")
	return Reply(&http.Response{StatusCode: status, Header: header}, []byte(body), Names{"remote-1": "NAMESPACE", "local": "NAMESPACE"})
}

func vary() http.Header { return http.Header{"Vary": {"Accept-Encoding"}} }

// The only accepted difference of a large object is one header.
func TestAcceptedDifferenceHidesNothingElse(t *testing.T) {
	text, err := os.ReadFile("../accepted/large-object-by-watch.diff")
	must(err)
	accepted := string(text)
	direct := largeReply(200, "remote-1", http.Header{})
	if differences := Differences(direct, largeReply(200, "local", vary())); differences != accepted {
		t.Errorf("differences are %q, want %q", differences, accepted)
	}
	for name, proxied := range map[string]string{
		"a leaked namespace":     largeReply(200, "leaked", vary()),
		"a failure":              largeReply(500, "local", vary()),
		"a second header":        largeReply(200, "local", http.Header{"Vary": {"Accept-Encoding"}, "Via": {"x"}}),
		"the header twice":       largeReply(200, "local", http.Header{"Vary": {"Accept-Encoding", "Accept-Encoding"}}),
		"more after the end":     largeReply(200, "local", vary()) + "\nHTTP 200\n",
		"another reply after it": largeReply(200, "local", vary()) + "\n" + largeReply(500, "local", vary()),
	} {
		if Differences(direct, proxied) == accepted {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAllDifferencesAreReported(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, c := range []struct{ direct, proxied, differences string }{
		{"a\nb\nc", "a\nb\nc", ""},
		{"a\nb\nc\nd", "a\nB\nc\nD", "-b\n+B\n\n-d\n+D\n\n"},
		{"a\nc", "a\nb\nc\nd", "+b\n\n+d\n\n"},
		{"a\nb\nc", "c", "-a\n-b\n\n"},
		{long + "1" + long, long + "22" + long, "-…" + long[:40] + "1" + long[:40] + "…\n+…" + long[:40] + "22" + long[:40] + "…\n\n"},
	} {
		if differences := Differences(c.direct, c.proxied); differences != c.differences {
			t.Errorf("%q", differences)
		}
	}
}
