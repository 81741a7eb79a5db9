package compare

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
)

const scrubbed = "*"

var uidPattern = regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`)

// textRules scrub text, such as messages, YAML and kubectl's output, where values are recognized by
// their form.
var textRules = []struct {
	form *regexp.Regexp
	with string
}{
	{uidPattern, "UID"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`(?i)(resource ?version\\*"?: *\\*"?)[1-9]\d*`), "${1}*"},
	{regexp.MustCompile(`(?m)^( +continue: )\S+`), "${1}*"},
	// "too old resource version: 1 (345)", "Too large resource version: 9, current: 345".
	{regexp.MustCompile(`((?:version: \S+|in record) \()\d+\)`), "${1}*)"},
	{regexp.MustCompile(`(, current: )\d+`), "${1}*"},
	{regexp.MustCompile(`\b(generated-)[a-z0-9]{5}\b`), "${1}*"},
	{regexp.MustCompile(`localhost:\d+`), "SERVER"},
	// The time and thread in kubectl's log lines.
	{regexp.MustCompile(`(?m)^([EWI])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ `), "$1 "},
	// The hash in the URL of an OpenAPI document.
	{regexp.MustCompile(`\bhash=[0-9A-F]{128}\b`), "hash=*"},
	// What kubectl -v=6 logs about itself: its kubeconfig, its feature gates in random order, and
	// response times.
	{regexp.MustCompile(`(?m)^I (?:loader|envvar)\.go:.*\n`), ""},
	{regexp.MustCompile(`\bmilliseconds=\d+`), "milliseconds=*"},
	// Temporary files of kubectl diff and kubectl edit.
	{regexp.MustCompile(`/tmp/(LIVE|MERGED|kubectl-edit)-\d+\S*`), "/tmp/$1"},
	{regexp.MustCompile(`(/tmp/(?:LIVE|MERGED))\t.*`), "$1"},
}

func scrubText(text string) string {
	for _, rule := range textRules {
		text = rule.form.ReplaceAllString(text, rule.with)
	}
	return text
}

// Printed tables contain ages, and columns as wide as the ages.
var (
	agePattern = regexp.MustCompile(`\b(\d+[dhm])?\d+[smhd]\b`)
	agePadding = regexp.MustCompile(`\bAGE +`)
)

func scrubAges(text string) string {
	return agePadding.ReplaceAllString(agePattern.ReplaceAllString(text, "AGE"), "AGE ")
}

// scrubBody scrubs JSON by the position of each value, and anything else as text.
func scrubBody(body []byte) string {
	if !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		return scrubText(string(body))
	}
	s := scanner{in: body}
	for s.space(); s.at < len(s.in); s.space() {
		if s.value(nil) != nil {
			return "malformed JSON\n" + scrubText(string(body))
		}
	}
	return s.out.String()
}

// scanner copies JSON byte for byte, except for strings that it scrubs.
type scanner struct {
	in  []byte
	at  int
	out bytes.Buffer
}

var errMalformed = errors.New("malformed JSON")

func (s *scanner) space() {
	for s.at < len(s.in) && strings.IndexByte(" \t\r\n", s.in[s.at]) >= 0 {
		s.byte()
	}
}

func (s *scanner) byte() {
	s.out.WriteByte(s.in[s.at])
	s.at++
}

func (s *scanner) peek() byte {
	if s.at < len(s.in) {
		return s.in[s.at]
	}
	return 0
}

func (s *scanner) value(path []string) error {
	switch s.peek() {
	case '{':
		return s.members(path, '}')
	case '[':
		return s.members(path, ']')
	case '"':
		raw, err := s.string()
		s.out.WriteString(scrubString(path, raw))
		return err
	}
	begin := s.at
	for s.at < len(s.in) && strings.IndexByte(" \t\r\n,]}", s.in[s.at]) < 0 {
		s.byte()
	}
	if !json.Valid(s.in[begin:s.at]) {
		return errMalformed
	}
	return nil
}

// members copies an object's or array's members. An array element has the path component "[]".
func (s *scanner) members(path []string, end byte) error {
	s.byte()
	for s.space(); s.peek() != end; s.space() {
		name := "[]"
		if end == '}' {
			raw, err := s.string()
			s.out.WriteString(uidPattern.ReplaceAllString(raw, "UID"))
			if err != nil || json.Unmarshal([]byte(raw), &name) != nil {
				return errMalformed
			}
			if s.space(); s.peek() != ':' {
				return errMalformed
			}
			s.byte()
			s.space()
		}
		if err := s.value(append(slices.Clone(path), name)); err != nil {
			return err
		}
		if s.space(); s.peek() == ',' {
			s.byte()
		} else if s.peek() != end {
			return errMalformed
		}
	}
	s.byte()
	return nil
}

// string reads a string, including its quotes.
func (s *scanner) string() (string, error) {
	if s.peek() != '"' {
		return "", errMalformed
	}
	for end := s.at + 1; end < len(s.in); end++ {
		switch s.in[end] {
		case '\\':
			end++
		case '"':
			raw := string(s.in[s.at : end+1])
			s.at = end + 1
			return raw, nil
		}
	}
	return "", errMalformed
}

var ageCell = regexp.MustCompile(`^"(\d+[dhms])+"$`)

// scrubString scrubs a quoted string by its path. Empty strings and "0" have a meaning and stay.
func scrubString(path []string, raw string) string {
	if len(path) == 0 || raw == `""` || raw == `"0"` {
		return raw
	}
	last, parent := path[len(path)-1], path[max(0, len(path)-2)]
	switch {
	case slices.Contains(path, "spec"):
		return scrubGenerated(raw)
	case last == "message":
		return scrubText(raw)
	case parent == "metadata" && slices.Contains([]string{"uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "continue"}, last):
		return `"` + scrubbed + `"`
	case last == "uid" && slices.Contains(path, "ownerReferences"), last == "uid" && parent == "details":
		return `"` + scrubbed + `"`
	case last == "time" && slices.Contains(path, "managedFields"):
		return `"` + scrubbed + `"`
	case parent == "cells" && ageCell.MatchString(raw):
		return `"AGE"`
	}
	return scrubGenerated(raw)
}

var generatedName = regexp.MustCompile(`\b(generated-)[a-z0-9]{5}\b`)

func scrubGenerated(raw string) string { return generatedName.ReplaceAllString(raw, "${1}*") }
