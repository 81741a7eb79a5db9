package kubernetes

import (
	"bytes"
	"encoding/base64"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// leak is in the observation of what holds a name that is none of the side's. Such a difference is
// forgiven nowhere.
const leak = "\nLEAK of "

// secrets are the namespaces of the control plane, which nobody in the app cluster is to hear of.
func secrets() []string {
	names := slices.Concat(slices.Collect(maps.Values(mapping)), foreign, []string{reading.direct, writing.direct})
	slices.Sort(names)
	return names
}

// coded is what may be text in base64, as tokens are, whose text is left out of the comparison.
var coded = regexp.MustCompile(`[A-Za-z0-9_-]{16,}`)

// leaks tells of the secrets in the parts of an answer, and in the tokens that it holds.
func (s side) leaks(answer ...[]byte) string {
	if s.secrets == nil {
		return ""
	}
	texts := slices.Clone(answer)
	for _, word := range coded.FindAll(bytes.Join(answer, []byte("\n")), -1) {
		if text, err := base64.RawURLEncoding.DecodeString(string(word)); err == nil {
			texts = append(texts, text)
		}
	}
	var told strings.Builder
	for _, name := range s.secrets {
		if slices.ContainsFunc(texts, func(text []byte) bool { return bytes.Contains(text, []byte(name)) }) {
			told.WriteString(leak + name)
		}
	}
	return told.String()
}

// knows tells whether an operation asks for a name itself, which then is no secret to it.
func (o operation) knows(name string) bool {
	return slices.ContainsFunc(slices.Concat(o.steps, o.after), func(s step) bool {
		return strings.Contains(s.path+s.body, name) || slices.ContainsFunc(s.headers, func(header string) bool {
			return strings.Contains(header, name)
		})
	})
}
