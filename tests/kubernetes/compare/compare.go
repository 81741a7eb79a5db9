// Package compare compares the answers of two servers.
//
// An observation is text: the status line, a line for each header, and the body byte for byte. Only
// values that differ from call to call (scrub.go) and the names of each route are replaced. Nothing
// is decoded and encoded again, so key order, number format and escapes are compared too.
package compare

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// Names maps a name that one route uses to the placeholder that both routes share.
type Names map[string]string

// ignored lists headers that are not compared: lengths, times, and those of kube-apiserver's
// tracing and priority levels. Cache-Control is compared, because clients and caches act on it.
var ignored = []string{
	"Audit-Id", "Content-Length", "Date", "X-Kubernetes-Pf-Flowschema-Uid", "X-Kubernetes-Pf-Prioritylevel-Uid",
}

// Reply returns the observation of one HTTP response.
func Reply(response *http.Response, body []byte, names Names) string {
	var text strings.Builder
	fmt.Fprintf(&text, "HTTP %d\n", response.StatusCode)
	var lines []string
	for name, values := range response.Header {
		if slices.Contains(ignored, name) {
			continue
		}
		for _, value := range values {
			// Connection applies to the last hop only.
			if name == "Connection" && value == "close" {
				continue
			}
			lines = append(lines, name+": "+names.replace(scrubText(value)))
		}
	}
	// The sort is stable: repeated fields of one name keep their order.
	slices.SortStableFunc(lines, func(a, b string) int {
		return strings.Compare(a[:strings.Index(a, ":")], b[:strings.Index(b, ":")])
	})
	text.WriteString(strings.Join(lines, "\n") + "\n\n")
	plain := Decoded(response, body)
	switch {
	case bytes.HasPrefix(plain, protobufMagic):
		plain = fromProtobuf(plain)
	case response.Header.Get("Content-Type") == "application/vnd.kubernetes.protobuf;stream=watch",
		// The answer to a WebSocket upgrade does not announce the media type; JSON never starts
		// with a zero byte.
		response.StatusCode == http.StatusSwitchingProtocols && bytes.HasPrefix(plain, []byte{0}):
		plain = fromProtobufStream(plain)
	}
	text.WriteString(names.replace(scrubBody(plain)))
	return text.String()
}

// Decoded returns the body without gzip, with all of its gzip members.
func Decoded(response *http.Response, body []byte) []byte {
	if response.Header.Get("Content-Encoding") != "gzip" {
		return body
	}
	reader, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return append([]byte("not gzip: "+err.Error()+"\n"), body...)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		plain = append(plain, "\nbroken gzip: "+err.Error()...)
	}
	return plain
}

// Command returns the observation of a program that ended.
func Command(stdout, stderr string, code int, names Names) string {
	text := fmt.Sprintf("exit code %d\n--- stdout\n%s\n--- stderr\n%s", code, scrubAges(scrubBody([]byte(stdout))), scrubText(stderr))
	return names.replace(text)
}

// BrokenOff marks an answer that ended too early.
const BrokenOff = "cut off"

// NoAnswer marks a call that got no complete answer.
const NoAnswer = "no answer: "

// Failure returns the observation of a call that got no complete answer.
func Failure(err error) string {
	kind := BrokenOff
	if strings.Contains(err.Error(), "deadline exceeded") {
		kind = "timed out"
	}
	return NoAnswer + kind + "\n"
}

func (names Names) replace(text string) string {
	for here, everywhere := range names {
		text = strings.ReplaceAll(text, here, everywhere)
	}
	return text
}
