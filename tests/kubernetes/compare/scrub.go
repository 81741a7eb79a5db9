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

var uid = regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`)

// In text, which is messages, YAML and what kubectl prints, values are known by their form.
var inText = []struct {
	form *regexp.Regexp
	with string
}{
	{uid, "UID"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`(?i)(resource ?version\\*"?: *\\*"?)[1-9]\d*`), "${1}*"},
	{regexp.MustCompile(`(?m)^( +continue: )\S+`), "${1}*"},
	// "too old resource version: 1 (345)", "Too large resource version: 9, current: 345".
	{regexp.MustCompile(`((?:version: \S+|in record) \()\d+\)`), "${1}*)"},
	{regexp.MustCompile(`(, current: )\d+`), "${1}*"},
	{regexp.MustCompile(`\b(generated-)[a-z0-9]{5}\b`), "${1}*"},
	{regexp.MustCompile(`localhost:\d+`), "SERVER"},
	// kubectl's own time, before what it logs.
	{regexp.MustCompile(`(?m)^([EWI])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ `), "$1 "},
	// The version of an OpenAPI document in its address.
	{regexp.MustCompile(`\bhash=[0-9A-F]{128}\b`), "hash=*"},
	// What it logs of itself, by -v=6: its kubeconfig, its feature gates in no order, and how long answers took.
	{regexp.MustCompile(`(?m)^I (?:loader|envvar)\.go:.*\n`), ""},
	{regexp.MustCompile(`\bmilliseconds=\d+`), "milliseconds=*"},
	// Temporary files of kubectl diff and edit.
	{regexp.MustCompile(`/tmp/(LIVE|MERGED|kubectl-edit)-\d+\S*`), "/tmp/$1"},
	{regexp.MustCompile(`(/tmp/(?:LIVE|MERGED))\t.*`), "$1"},
}

func scrubText(text string) string {
	for _, rule := range inText {
		text = rule.form.ReplaceAllString(text, rule.with)
	}
	return text
}

// What a program prints has columns and lines with an age.
var (
	ages      = regexp.MustCompile(`\b(\d+[dhm])?\d+[smhd]\b`)
	afterAges = regexp.MustCompile(`\bAGE +`)
)

func scrubAges(text string) string {
	return afterAges.ReplaceAllString(ages.ReplaceAllString(text, "AGE"), "AGE ")
}

// scrubBody scrubs JSON by where a value stands, and anything else as text.
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

// scanner copies JSON values as they are written, less the strings that are scrubbed.
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

// members copies an object's or an array's; an element's name is "[]".
func (s *scanner) members(path []string, end byte) error {
	s.byte()
	for s.space(); s.peek() != end; s.space() {
		name := "[]"
		if end == '}' {
			raw, err := s.string()
			s.out.WriteString(uid.ReplaceAllString(raw, "UID"))
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

// string takes a string with its quotes.
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

var age = regexp.MustCompile(`^"(\d+[dhms])+"$`)

// scrubString scrubs a string with its quotes by its path. What is empty or "0" means something.
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
	case parent == "cells" && age.MatchString(raw):
		return `"AGE"`
	}
	return scrubGenerated(raw)
}

var generated = regexp.MustCompile(`\b(generated-)[a-z0-9]{5}\b`)

func scrubGenerated(raw string) string { return generated.ReplaceAllString(raw, "${1}*") }
