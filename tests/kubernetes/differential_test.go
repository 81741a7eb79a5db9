package kubernetes

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"claimgate.dev/tests/kubernetes/compare"
)

// namespaceNames is a local namespace, its remote namespace, and a namespace of the control plane
// that the direct route uses in its place. Local and direct names have the same length, so that
// kubectl prints columns of the same width. The remote name is longer, so that mapping moves bytes.
type namespaceNames struct{ local, remote, direct string }

var (
	// Operations only read here, after seed has filled it.
	readNamespaces  = namespaceNames{"harbour", "app-ns-4", "app-ns5"}
	writeNamespaces = namespaceNames{"estuary", "app-ns-6", "app-ns7"}
)

// step is one request. In its path and body, {ns} is the namespace, {name} the operation's own
// object, and {x} a value that an earlier step saved as x.
type step struct {
	method, path, body string
	// Each in the form "Name: value".
	headers []string
	// A value of the answer for later steps, as "x=path.in.the.answer". With expireToken, a
	// continue token is made to look old.
	save        string
	expireToken bool
	// For watches: close after this many lines, or events in protobuf. The steps run once the
	// headers have arrived.
	lines     int
	whileOpen []step
	// Repeat a watch that ends before its lines came. kube-apiserver does not guarantee bookmarks
	// (apiserver/pkg/storage/cacher, dispatchEvents) and sometimes omits one.
	retryIfCut bool
	// The answer depends on the progress of a garbage collector.
	notCompared bool
	// A resource that claimgate does not expose; it is removed from the control plane's resource
	// list.
	ignoredResource string
	// Use HTTP/1.1.
	overHTTP1 bool
	// For WebSockets: frames to send after the lines came.
	frames [][]byte
}

// command is a call of kubectl.
type command struct {
	args, stdin string
	// A sed script that serves as KUBE_EDITOR.
	edit string
}

// operation runs on both routes. The answers to all of its steps and commands are compared.
type operation struct {
	name     string
	steps    []step
	commands []command
	// Requests after the commands. They cost less than another kubectl process.
	after []step
	// The files in the directory in which the commands run, by path.
	files map[string]string
	// The name of its own object; derived from the operation's name if empty.
	object string
}

func (o operation) objectName() string { return cmp.Or(o.object, objectNameFor(o.name)) }

// route is one of the two routes to the control plane.
type route struct {
	cluster             *cluster
	client, http1Client *http.Client
	kubeconfig          string
	namespace           string
	// Names that must not appear on this route.
	forbiddenNames []string
}

// routes returns the direct route, with the connector's identity, and the route through the app
// cluster and claimgate.
func routes(t *testing.T, namespaces namespaceNames) (direct, proxied route) {
	t.Helper()
	connector := env.path("direct.kubeconfig")
	writeFile(connector, env.certificates.kubeconfig(fmt.Sprintf("https://localhost:%d", env.controlPlane.port), "connector"))
	direct = route{env.controlPlane, userClient("connector"), http1Client("connector"), connector, namespaces.direct, nil}
	proxied = route{env.app, userClient("admin"), http1Client("admin"), env.app.kubeconfig, namespaces.local, remoteNamespaces()}
	return direct, proxied
}

func http1Client(user string) *http.Client {
	transport := userClient(user).Transport.(*http.Transport)
	transport.ForceAttemptHTTP2 = false
	return &http.Client{Transport: transport}
}

// endedEarly marks the observation of a watch that ended before its lines came.
const endedEarly = "\nended early\n"

// stepTime bounds one step on a busy machine.
const stepTime = 60 * time.Second

func (s route) names() compare.Names { return compare.Names{s.namespace: "NAMESPACE"} }

// observe runs an operation and returns its observation.
func (s route) observe(o operation) string {
	known := map[string]string{"{ns}": s.namespace, "{name}": o.objectName()}
	s.forbiddenNames = slices.DeleteFunc(slices.Clone(s.forbiddenNames), o.mentions)
	var text strings.Builder
	runSteps := func(steps []step) {
		for _, step := range steps {
			if observation := s.request(step, known); !step.notCompared {
				text.WriteString(observation + "\n")
			}
		}
	}
	runSteps(o.steps)
	dir := o.filesDirectory(known)
	defer os.RemoveAll(dir)
	for _, command := range o.commands {
		text.WriteString(s.kubectl(command, dir, known) + "\n")
	}
	runSteps(o.after)
	return text.String()
}

// filesDirectory creates a directory with the operation's files. It returns "" if there are none.
func (o operation) filesDirectory(known map[string]string) string {
	if o.files == nil {
		return ""
	}
	dir, err := os.MkdirTemp(env.dir, "files-")
	must(err)
	for name, text := range o.files {
		path := filepath.Join(dir, name)
		must(os.MkdirAll(filepath.Dir(path), 0o755))
		writeFile(path, fillTemplate(text, known))
	}
	return dir
}

func (s route) request(step step, known map[string]string) string {
	if step.retryIfCut {
		step.retryIfCut = false
		for range 3 {
			if text := s.request(step, known); !strings.Contains(text, endedEarly) && !strings.Contains(text, compare.BrokenOff) {
				return text
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), stepTime)
	defer cancel()
	url := fmt.Sprintf("https://localhost:%d%s", s.cluster.port, fillTemplate(step.path, known))
	r, err := http.NewRequestWithContext(ctx, step.method, url, strings.NewReader(fillTemplate(step.body, known)))
	must(err)
	for _, header := range step.headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
	}
	client := s.client
	if step.overHTTP1 {
		client = s.http1Client
	}
	response, err := client.Do(r)
	if err != nil {
		return compare.Failure(err)
	}
	defer response.Body.Close()
	var whileOpen strings.Builder
	for _, step := range step.whileOpen {
		whileOpen.WriteString(s.request(step, known) + "\n")
	}
	body, messages, err := read(response, step)
	text := compare.Reply(response, body, s.names()) + messages + s.findLeaks(compare.Decoded(response, body), fmt.Append(nil, response.Header))
	if step.ignoredResource != "" && s.cluster == env.controlPlane {
		text = withoutResource(text, step.ignoredResource)
	}
	switch {
	case errors.Is(err, io.EOF):
		text += endedEarly
	case err != nil:
		text += "\n" + compare.Failure(err)
	}
	if step.save != "" {
		name, path, _ := strings.Cut(step.save, "=")
		known["{"+name+"}"] = findField(body, path)
		if step.expireToken {
			known["{"+name+"}"] = expiredToken(findField(body, path))
		}
	}
	return text + "\n" + whileOpen.String()
}

// read reads the lines of a step, or the whole body. Of a WebSocket it also returns a description
// of the messages.
func read(response *http.Response, step step) (body []byte, messages string, err error) {
	if response.StatusCode == http.StatusSwitchingProtocols {
		return readMessages(response.Body.(io.ReadWriteCloser), step)
	}
	if step.lines == 0 {
		body, err = io.ReadAll(response.Body)
		return body, "", err
	}
	reader := bufio.NewReader(response.Body)
	if response.Header.Get("Content-Type") == "application/vnd.kubernetes.protobuf;stream=watch" {
		body, err = compare.Frames(reader, step.lines)
		return body, "", err
	}
	if response.Header.Get("Content-Encoding") == "gzip" {
		body, err = gzipLines(reader, step.lines)
		return body, "", err
	}
	for range step.lines {
		line, err := reader.ReadBytes('\n')
		body = append(body, line...)
		if err != nil {
			return body, "", err
		}
	}
	return body, "", nil
}

// gzipLines reads gzip members until they contain this many lines, and returns them as one member.
func gzipLines(from *bufio.Reader, lines int) ([]byte, error) {
	var plain, packed bytes.Buffer
	reader, err := gzip.NewReader(from)
	for err == nil {
		reader.Multistream(false)
		if _, err = plain.ReadFrom(reader); err == nil {
			if bytes.Count(plain.Bytes(), []byte("\n")) >= lines {
				break
			}
			err = reader.Reset(from)
		}
	}
	writer := gzip.NewWriter(&packed)
	writer.Write(plain.Bytes())
	writer.Close()
	return packed.Bytes(), err
}

// findField returns a value for a later step. It is not part of the comparison.
func findField(body []byte, path string) string {
	var value any
	json.Unmarshal(body, &value)
	for _, name := range strings.Split(path, ".") {
		members, _ := value.(map[string]any)
		value = members[name]
	}
	return fmt.Sprint(value)
}

func (s route) kubectl(c command, dir string, known map[string]string) string {
	args := []string{"--kubeconfig", s.kubeconfig}
	for _, arg := range strings.Split(c.args, " ") {
		// Arguments are separated by spaces; an underscore stands for a space inside an argument.
		args = append(args, strings.ReplaceAll(fillTemplate(arg, known), "_", " "))
	}
	ctx, cancel := context.WithTimeout(context.Background(), stepTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary("kubectl"), args...)
	// Garbage collection would take a sixth of the time of such short processes.
	cmd.Env = append(cmd.Environ(), "GOGC=400", "HOME="+env.dir, "KUBE_EDITOR=sed -i '"+c.edit+"'")
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(fillTemplate(c.stdin, known))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		return compare.Failure(err)
	}
	observation := compare.Command(stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), s.names())
	return observation + s.findLeaks(stdout.Bytes(), stderr.Bytes())
}

func fillTemplate(template string, known map[string]string) string {
	for name, value := range known {
		template = strings.ReplaceAll(template, name, value)
	}
	return template
}

var invalidNameCharacters = regexp.MustCompile(`[^a-z0-9]+`)

const objectNameMax = 50

// objectNameFor returns the name of an operation's own object, unique for each operation name.
func objectNameFor(name string) string {
	slug := strings.Trim(invalidNameCharacters.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if len(slug) > objectNameMax {
		hash := fnv.New32a()
		hash.Write([]byte(name))
		slug = fmt.Sprintf("%s-%08x", strings.Trim(slug[:objectNameMax-9], "-"), hash.Sum32())
	}
	return "o-" + slug
}

// operationGroup is a list of operations and their namespaces.
type operationGroup struct {
	namespaces namespaceNames
	operations func() []operation
}

func commonGroups() []operationGroup {
	return []operationGroup{
		{readNamespaces, readOperations},
		{readNamespaces, expiredOperations},
		{writeNamespaces, watchOperations},
		{writeNamespaces, metadataOperations},
		{writeNamespaces, mappedMetadataPatchOperations},
		{writeNamespaces, writeOperations},
		{writeNamespaces, errorOperations},
		{writeNamespaces, messageOperations},
		{writeNamespaces, deletionPolicyOperations},
		{writeNamespaces, scopeOperations},
		{readNamespaces, discoveryOperations},
		{readNamespaces, foreignClaimLists},
		{unmappedNamespaces, unmappedOperations},
		{readNamespaces, kubectlReads},
		{readNamespaces, kubectlGets},
		{readNamespaces, kubectlReadsAndDryRuns},
		{writeNamespaces, kubectlWrites},
		{writeNamespaces, kubectlMoreWrites},
	}
}

// uncommonGroups are requests that few clients send, in all spellings.
func uncommonGroups() []operationGroup {
	return []operationGroup{
		{writeNamespaces, cborOperations},
		{writeNamespaces, uncommonFormOperations},
		{writeNamespaces, jsonPatchOperations},
		{writeNamespaces, versionOperations},
	}
}

// TestResponsesMatchControlPlane is the differential suite.
func TestResponsesMatchControlPlane(t *testing.T) {
	results := runGroups(t, commonGroups())
	if operationFilter.String() == "" {
		assertSuiteIsComplete(t, results)
	}
}

// TestUncommonRequestsMatchControlPlane is the slow part of the differential suite.
func TestUncommonRequestsMatchControlPlane(t *testing.T) {
	if os.Getenv("TEST_SLOW") == "" && operationFilter.String() == "" {
		t.Skip("only with `run --all`")
	}
	runGroups(t, uncommonGroups())
}

// runGroups runs groups of operations on both routes and reports the results.
func runGroups(t *testing.T, groups []operationGroup) []result {
	t.Helper()
	t.Cleanup(func() { deleteTestClaims(t) })
	seed(t)
	createForeignClaims(t)
	must(eventually(90*time.Second, func() error {
		// The aggregator refreshes OpenAPI once a minute.
		_, err := env.tryKubectl(env.app.kubeconfig, "", "explain", "kc.spec")
		return err
	}))
	compactVersions()
	var results []result
	for _, group := range groups {
		begin := time.Now()
		direct, proxied := routes(t, group.namespaces)
		results = append(results, compareOperations(direct, proxied, slices.DeleteFunc(group.operations(), isExcluded))...)
		t.Logf("%d operations after %s", len(results), time.Since(begin))
	}
	report(t, results)
	return results
}

// operationFilter selects operations by name, from TEST_OPERATIONS.
var operationFilter = regexp.MustCompile(os.Getenv("TEST_OPERATIONS"))

func isExcluded(o operation) bool { return !operationFilter.MatchString(o.name) }

// deleteTestClaims deletes the suite's objects, because later tests count claims.
func deleteTestClaims(t *testing.T) {
	t.Helper()
	for _, namespaces := range []namespaceNames{readNamespaces, writeNamespaces} {
		for _, namespace := range []string{namespaces.remote, namespaces.direct} {
			for _, resource := range []string{"kubernetesclusters", "networks"} {
				path := "/apis/" + groupVersion + "/namespaces/" + namespace + "/" + resource
				sendAsAdmin(t, env.controlPlane, "DELETE", path, "", nil)
			}
		}
	}
}
