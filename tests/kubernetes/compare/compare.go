// Package compare tells whether two servers answered alike.
//
// An observation is text: a status line, a line for each header, and the body byte for byte, in which
// only what differs from call to call (scrub.go) and the names of the sides were replaced. Nothing is
// decoded and encoded again, so the order of keys, the form of numbers and escapes are compared too.
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

// Names are what stands for the same on both sides, by what it is called here.
type Names map[string]string

// Headers of which nothing follows for a client: lengths, times, and what kube-apiserver's own
// tracing and priority levels add. Cache-Control is compared: clients and caches act on it.
var ignored = []string{
	"Audit-Id", "Content-Length", "Date", "X-Kubernetes-Pf-Flowschema-Uid", "X-Kubernetes-Pf-Prioritylevel-Uid",
}

// Reply is the observation of one response.
func Reply(response *http.Response, body []byte, names Names) string {
	var text strings.Builder
	fmt.Fprintf(&text, "HTTP %d\n", response.StatusCode)
	var lines []string
	for name, values := range response.Header {
		if slices.Contains(ignored, name) {
			continue
		}
		for _, value := range values {
			// Tells of the last hop alone.
			if name == "Connection" && value == "close" {
				continue
			}
			lines = append(lines, name+": "+names.replace(scrubText(value)))
		}
	}
	// Fields of one name keep their order.
	slices.SortStableFunc(lines, func(a, b string) int {
		return strings.Compare(a[:strings.Index(a, ":")], b[:strings.Index(b, ":")])
	})
	text.WriteString(strings.Join(lines, "\n") + "\n\n")
	plain := Decoded(response, body)
	switch {
	case bytes.HasPrefix(plain, protobufMagic):
		plain = fromProtobuf(plain)
	case response.Header.Get("Content-Type") == "application/vnd.kubernetes.protobuf;stream=watch",
		// Of a WebSocket, whose answer says nothing of what comes; JSON begins otherwise.
		response.StatusCode == http.StatusSwitchingProtocols && bytes.HasPrefix(plain, []byte{0}):
		plain = fromProtobufStream(plain)
	}
	text.WriteString(names.replace(scrubBody(plain)))
	return text.String()
}

// Decoded undoes gzip, in as many members as there are.
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

// Command is the observation of a program that ended.
func Command(stdout, stderr string, code int, names Names) string {
	text := fmt.Sprintf("exit code %d\n--- stdout\n%s\n--- stderr\n%s", code, scrubAges(scrubBody([]byte(stdout))), scrubText(stderr))
	return names.replace(text)
}

// BrokenOff is in the observation of an answer that ended too early.
const BrokenOff = "broken off"

// NoAnswer is in the observation of a call that had none, or none to its end.
const NoAnswer = "no answer: "

// Failure is the observation of a call that had no answer.
func Failure(err error) string {
	kind := BrokenOff
	if strings.Contains(err.Error(), "deadline exceeded") {
		kind = "no end"
	}
	return NoAnswer + kind + "\n"
}

func (names Names) replace(text string) string {
	for here, everywhere := range names {
		text = strings.ReplaceAll(text, here, everywhere)
	}
	return text
}
