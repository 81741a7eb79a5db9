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

// openapiServer is a server of OpenAPI documents.
type openapiServer struct {
	name   string
	client *http.Client
	port   int
}

func openapiOf(c *cluster) openapiServer { return openapiServer{c.name, adminClient(), c.port} }

func openapiOfClaimgate() openapiServer {
	return openapiServer{"claimgate", userClient("developer"), env.port}
}

// get sends a request and does not follow redirects.
func (s openapiServer) get(t *testing.T, path, ifNoneMatch string) *http.Response {
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

// documentURL returns the URL of the claims' document from the index.
func (s openapiServer) documentURL(t *testing.T) string {
	t.Helper()
	status, body, err := sendRequest(s.client, s.port, "GET", openapiIndex, "", nil)
	if err != nil || status != 200 {
		t.Fatal(status, body, err)
	}
	var index struct {
		Paths map[string]struct{ ServerRelativeURL string }
	}
	must(json.Unmarshal([]byte(body), &index))
	return index.Paths["apis/"+groupVersion].ServerRelativeURL
}

// tags returns the ETags of the documents and the hash in the index, which the app cluster reads
// once a minute.
func (s openapiServer) tags(t *testing.T) map[string]string {
	t.Helper()
	tags := map[string]string{}
	await(t, publishTimeout, func() error {
		for _, path := range []string{openapiV2, openapiIndex, openapiV3} {
			tags[path] = s.get(t, path, "").Header.Get("Etag")
		}
		tags["hash"] = s.documentURL(t)
		if want := openapiV3 + "?hash=" + strings.Trim(tags[openapiV3], `"`); tags["hash"] != want {
			return fmt.Errorf("%s: the index contains %s, want %s", s.name, tags["hash"], want)
		}
		return nil
	})
	return tags
}

func assertSameTags(t *testing.T, when string, got, want map[string]string) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("%s: tags are %v, want %v", when, got, want)
	}
}

// assertOtherTags requires all tags to differ; the app cluster's index has no ETag.
func assertOtherTags(t *testing.T, when string, got, want map[string]string) {
	t.Helper()
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if want[path] == got[path] && want[path] != "" {
			t.Errorf("%s: %s is still %s", when, path, got[path])
		}
	}
}

// awaitDiscoveryTwice waits for two refreshes, because the first may have started before the
// change.
func awaitDiscoveryTwice(t *testing.T) {
	t.Helper()
	for range 2 {
		if err := awaitDiscoveryRefresh(deadline); err != nil {
			t.Fatal(err)
		}
	}
}

// kube-apiserver's own document is the reference. The aggregator differs in two ways: it sends
// `no-cache` itself, and it turns a redirect of the server behind it into an error. So claimgate
// serves the document for any hash.
func TestOpenAPIWithHashIsCacheable(t *testing.T) {
	awaitDocument(t, env.app, openapiV3, "/kubernetesclusters/{name}\"", "/networks/{name}\"")
	const revalidated, cacheable = "no-cache, private", "public, immutable"
	for _, server := range []struct {
		openapiServer
		byHash  string
		byOther int
	}{
		{openapiOf(env.controlPlane), cacheable, 301},
		{openapiOfClaimgate(), cacheable, 200},
		{openapiOf(env.app), revalidated, 200},
	} {
		url := server.documentURL(t)
		_, hash, _ := strings.Cut(url, "?hash=")
		etag := strconv.Quote(hash)
		check := func(what string, response *http.Response, status int, control string) {
			t.Helper()
			header := response.Header
			if response.StatusCode != status || header.Get("Etag") != etag {
				t.Errorf("%s: %s: status %d with ETag %s, want %d with %s", server.name, what, response.StatusCode, header.Get("Etag"), status, etag)
			}
			if got := header.Values("Cache-Control"); !slices.Equal(got, []string{control}) {
				t.Errorf("%s: %s: Cache-Control is %q, want %q", server.name, what, got, control)
			}
			if _, has := header["Content-Type"]; has == (status == 304) {
				t.Errorf("%s: %s: status %d with Content-Type %q", server.name, what, status, header.Get("Content-Type"))
			}
		}
		byHash := server.get(t, url, "")
		check("correct hash", byHash, 200, server.byHash)
		expires, err := time.Parse(time.RFC1123, byHash.Header.Get("Expires"))
		if days := time.Until(expires).Hours() / 24; err != nil || days < 364 || days > 367 {
			t.Errorf("%s: Expires %q: %v", server.name, byHash.Header.Get("Expires"), err)
		}
		check("correct hash and ETag", server.get(t, url, etag), 304, server.byHash)
		check("correct hash and another ETag", server.get(t, url, `"other"`), 200, server.byHash)
		check("no hash", server.get(t, openapiV3, ""), 200, revalidated)
		check("correct ETag", server.get(t, openapiV3, etag), 304, revalidated)
		check("correct weak ETag", server.get(t, openapiV3, "W/"+etag), 304, revalidated)
		check("any ETag", server.get(t, openapiV3, "*"), 304, revalidated)
		check("another ETag", server.get(t, openapiV3, `"other"`), 200, revalidated)
		byOther := server.get(t, openapiV3+"?hash=OTHER", "")
		check("another hash", byOther, server.byOther, revalidated)
		if location := byOther.Header.Get("Location"); (location != "") != (server.byOther == 301) || location != "" && location != url {
			t.Errorf("%s: another hash redirects to %q, want %q", server.name, location, url)
		}
		v2 := server.get(t, openapiV2, "").Header.Get("Etag")
		if got := server.get(t, openapiV2, v2).StatusCode; got != 304 || v2 == "" {
			t.Errorf("%s: %s with ETag %s returns %d", server.name, openapiV2, v2, got)
		}
		if got := server.get(t, openapiV2, `"other"`).StatusCode; got != 200 {
			t.Errorf("%s: %s with another ETag returns %d", server.name, openapiV2, got)
		}
	}
}

// Clients of a Service reach any instance, before and after it restarts.
func TestOpenAPIETagsAreEqualOnAllInstances(t *testing.T) {
	want := openapiOfClaimgate().tags(t)
	second := startSecondClaimgate(t, newInstance("claimgate-etag", "auto"))
	assertSameTags(t, "another instance", openapiServer{"another", userClient("developer"), second.port}.tags(t), want)
	must(env.restartClaimgate())
	assertSameTags(t, "after a restart", openapiOfClaimgate().tags(t), want)
}
