package kubernetes

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const openapiIndex = "/openapi/v3"

// served is somewhere that OpenAPI is served.
type served struct {
	name   string
	client *http.Client
	port   int
}

func openapiOf(c *cluster) served { return served{c.name, admin(), c.port} }

func openapiOfClaimgate() served { return served{"claimgate", client("developer"), theBed.port} }

// get asks without following a redirect.
func (s served) get(t *testing.T, path, ifNoneMatch string) *http.Response {
	t.Helper()
	r, err := http.NewRequest("GET", fmt.Sprintf("https://localhost:%d%s", s.port, path), nil)
	must(err)
	r.Header.Set("Accept", "application/json")
	if ifNoneMatch != "" {
		r.Header.Set("If-None-Match", ifNoneMatch)
	}
	response, err := s.client.Transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response
}

// url is where the index says that the claims' document is.
func (s served) url(t *testing.T) string {
	t.Helper()
	status, body, err := ask(s.client, s.port, "GET", openapiIndex, "", nil)
	if err != nil || status != 200 {
		t.Fatal(status, body, err)
	}
	var index struct {
		Paths map[string]struct{ ServerRelativeURL string }
	}
	must(json.Unmarshal([]byte(body), &index))
	return index.Paths["apis/"+groupVersion].ServerRelativeURL
}

// tags are the ETags of the documents, and the hash in the index, which the app cluster reads once a minute.
func (s served) tags(t *testing.T) map[string]string {
	t.Helper()
	tags := map[string]string{}
	err := eventually(published, func() error {
		for _, path := range []string{openapiV2, openapiIndex, openapiV3} {
			tags[path] = s.get(t, path, "").Header.Get("Etag")
		}
		tags["hash"] = s.url(t)
		if want := openapiV3 + "?hash=" + strings.Trim(tags[openapiV3], `"`); tags["hash"] != want {
			return fmt.Errorf("%s: the index says %s, not %s", s.name, tags["hash"], want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tags
}

func sameTags(t *testing.T, when string, got, want map[string]string) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("%s: %v, not %v", when, got, want)
	}
}

// otherTags are all other ones; the app cluster's index has none.
func otherTags(t *testing.T, when string, got, want map[string]string) {
	t.Helper()
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if want[path] == got[path] && want[path] != "" {
			t.Errorf("%s: %s is still %s", when, path, got[path])
		}
	}
}

// refreshed waits until claimgate has asked the control plane twice: once may have begun before.
func refreshed(t *testing.T) {
	t.Helper()
	for range 2 {
		if err := refreshedWithin(deadline); err != nil {
			t.Fatal(err)
		}
	}
}

// kube-apiserver's own document is the measure. Two things the aggregator leaves to no server behind it:
// it says itself that nothing may be kept unasked, and it makes a failure of a redirect, so claimgate
// serves the document by any hash.
func TestOpenAPIIsKeptByItsHash(t *testing.T) {
	document(t, theBed.app, openapiV3, "/kubernetesclusters/{name}\"", "/networks/{name}\"")
	const asked, kept = "no-cache, private", "public, immutable"
	for _, at := range []struct {
		served
		byHash  string
		byOther int
	}{
		{openapiOf(theBed.cp), kept, 301},
		{openapiOfClaimgate(), kept, 200},
		{openapiOf(theBed.app), asked, 200},
	} {
		url := at.url(t)
		_, hash, _ := strings.Cut(url, "?hash=")
		etag := strconv.Quote(hash)
		is := func(what string, response *http.Response, status int, control string) {
			t.Helper()
			header := response.Header
			if response.StatusCode != status || header.Get("Etag") != etag {
				t.Errorf("%s: %s: %d with ETag %s, not %d with %s", at.name, what, response.StatusCode, header.Get("Etag"), status, etag)
			}
			if got := header.Values("Cache-Control"); !slices.Equal(got, []string{control}) {
				t.Errorf("%s: %s: Cache-Control %q, not %q", at.name, what, got, control)
			}
			if _, has := header["Content-Type"]; has == (status == 304) {
				t.Errorf("%s: %s: %d with Content-Type %q", at.name, what, status, header.Get("Content-Type"))
			}
		}
		byHash := at.get(t, url, "")
		is("the right hash", byHash, 200, at.byHash)
		expires, err := time.Parse(time.RFC1123, byHash.Header.Get("Expires"))
		if days := time.Until(expires).Hours() / 24; err != nil || days < 364 || days > 367 {
			t.Errorf("%s: Expires %q: %v", at.name, byHash.Header.Get("Expires"), err)
		}
		is("the right hash and ETag", at.get(t, url, etag), 304, at.byHash)
		is("the right hash and another ETag", at.get(t, url, `"other"`), 200, at.byHash)
		is("no hash", at.get(t, openapiV3, ""), 200, asked)
		is("the right ETag", at.get(t, openapiV3, etag), 304, asked)
		is("the right ETag, weakly", at.get(t, openapiV3, "W/"+etag), 304, asked)
		is("any ETag", at.get(t, openapiV3, "*"), 304, asked)
		is("another ETag", at.get(t, openapiV3, `"other"`), 200, asked)
		byOther := at.get(t, openapiV3+"?hash=OTHER", "")
		is("another hash", byOther, at.byOther, asked)
		if location := byOther.Header.Get("Location"); (location != "") != (at.byOther == 301) || location != "" && location != url {
			t.Errorf("%s: another hash leads to %q, not %q", at.name, location, url)
		}
		v2 := at.get(t, openapiV2, "").Header.Get("Etag")
		if got := at.get(t, openapiV2, v2).StatusCode; got != 304 || v2 == "" {
			t.Errorf("%s: %s with ETag %s is answered %d", at.name, openapiV2, v2, got)
		}
		if got := at.get(t, openapiV2, `"other"`).StatusCode; got != 200 {
			t.Errorf("%s: %s with another ETag is answered %d", at.name, openapiV2, got)
		}
	}
}

// Those who ask by way of a Service reach any of several instances, before and after one starts anew.
func TestOpenAPIHasOneETagOfAllInstances(t *testing.T) {
	want := openapiOfClaimgate().tags(t)
	port, _, _ := anotherClaimgate(t, "claimgate-etag", "auto")
	sameTags(t, "another instance", served{"another", client("developer"), port}.tags(t), want)
	must(theBed.restartClaimgate())
	sameTags(t, "started anew", openapiOfClaimgate().tags(t), want)
}
