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

// pair is a local namespace with its remote one, and a namespace of the control plane that stands
// for the same where it is asked directly. Local and direct names are of one length, so that kubectl
// makes columns of one width; the remote one is longer, so that bytes move when names are mapped.
type pair struct{ local, remote, direct string }

var (
	// Only read from, after it was seeded.
	reading = pair{"harbour", "app-ns-4", "app-ns5"}
	writing = pair{"estuary", "app-ns-6", "app-ns7"}
)

// step is one request. In path and body {ns} is the namespace, {name} the operation's own object,
// and {x} what an earlier step kept as x.
type step struct {
	method, path, body string
	// As "Name: value".
	headers []string
	// Kept for later steps, as "x=path.in.the.answer"; of a continue token, as one of long ago.
	keep   string
	isAged bool
	// Of a watch: hang up after so many lines, or events in protobuf; what is done once its headers came.
	lines  int
	during []step
	// Ask again if a watch ends before its lines came: kube-apiserver gives no guarantee on bookmarks
	// (apiserver/pkg/storage/cacher, dispatchEvents), and now and then leaves one out.
	unsure bool
	// Not compared: what it is answered depends on how far a garbage collector came meanwhile.
	isQuiet bool
	// A resource that is not exposed, and left out of what the control plane lists.
	unexposed string
	// By HTTP/1.1.
	http1 bool
	// Of a WebSocket: frames that are sent after the lines came.
	frames [][]byte
}

// command is a call of kubectl.
type command struct {
	args, stdin string
	// A script for sed, as KUBE_EDITOR.
	edit string
}

// operation is what is done both ways. The answers of all steps and commands are compared.
type operation struct {
	name     string
	steps    []step
	commands []command
	// What is asked once its commands ended, which costs less than another process.
	after []step
	// Of the directory in which its commands run, by path.
	files map[string]string
	// What its own object is called, if not after it.
	object string
}

func (o operation) own() string { return cmp.Or(o.object, slug(o.name)) }

// side is one of the two ways to the control plane.
type side struct {
	cluster         *cluster
	client, client1 *http.Client
	kubeconfig      string
	namespace       string
	// Names that are never to be seen on this side.
	secrets []string
}

// sides are the direct way, with the connector's own identity, and the way through the app cluster.
func sides(t *testing.T, namespaces pair) (direct, through side) {
	t.Helper()
	connector := theBed.path("direct.kubeconfig")
	writeFile(connector, theBed.pki.kubeconfig(fmt.Sprintf("https://localhost:%d", theBed.cp.port), "connector"))
	direct = side{theBed.cp, client("connector"), http1("connector"), connector, namespaces.direct, nil}
	through = side{theBed.app, client("admin"), http1("admin"), theBed.app.kubeconfig, namespaces.local, secrets()}
	return direct, through
}

func http1(user string) *http.Client {
	transport := client(user).Transport.(*http.Transport)
	transport.ForceAttemptHTTP2 = false
	return &http.Client{Transport: transport}
}

// endedEarly is in the observation of a watch that came to its end before its lines did.
const endedEarly = "\nended early\n"

// stepTime is what one step may take at most, on a machine that is busy.
const stepTime = 60 * time.Second

func (s side) names() compare.Names { return compare.Names{s.namespace: "NAMESPACE"} }

// observe carries an operation out.
func (s side) observe(o operation) string {
	known := map[string]string{"{ns}": s.namespace, "{name}": o.own()}
	s.secrets = slices.DeleteFunc(slices.Clone(s.secrets), o.knows)
	var text strings.Builder
	ask := func(steps []step) {
		for _, step := range steps {
			if seen := s.request(step, known); !step.isQuiet {
				text.WriteString(seen + "\n")
			}
		}
	}
	ask(o.steps)
	dir := o.directory(known)
	defer os.RemoveAll(dir)
	for _, command := range o.commands {
		text.WriteString(s.kubectl(command, dir, known) + "\n")
	}
	ask(o.after)
	return text.String()
}

// directory is a new one with the operation's files, and "" if it has none.
func (o operation) directory(known map[string]string) string {
	if o.files == nil {
		return ""
	}
	dir, err := os.MkdirTemp(theBed.dir, "files-")
	must(err)
	for name, text := range o.files {
		path := filepath.Join(dir, name)
		must(os.MkdirAll(filepath.Dir(path), 0o755))
		writeFile(path, fill(text, known))
	}
	return dir
}

func (s side) request(step step, known map[string]string) string {
	if step.unsure {
		step.unsure = false
		for range 3 {
			if text := s.request(step, known); !strings.Contains(text, endedEarly) && !strings.Contains(text, compare.BrokenOff) {
				return text
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), stepTime)
	defer cancel()
	url := fmt.Sprintf("https://localhost:%d%s", s.cluster.port, fill(step.path, known))
	r, err := http.NewRequestWithContext(ctx, step.method, url, strings.NewReader(fill(step.body, known)))
	must(err)
	for _, header := range step.headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
	}
	client := s.client
	if step.http1 {
		client = s.client1
	}
	response, err := client.Do(r)
	if err != nil {
		return compare.Failure(err)
	}
	defer response.Body.Close()
	var during strings.Builder
	for _, step := range step.during {
		during.WriteString(s.request(step, known) + "\n")
	}
	body, messages, err := read(response, step)
	text := compare.Reply(response, body, s.names()) + messages + s.leaks(compare.Decoded(response, body), fmt.Append(nil, response.Header))
	if step.unexposed != "" && s.cluster == theBed.cp {
		text = withoutResource(text, step.unexposed)
	}
	switch {
	case errors.Is(err, io.EOF):
		text += endedEarly
	case err != nil:
		text += "\n" + compare.Failure(err)
	}
	if step.keep != "" {
		name, path, _ := strings.Cut(step.keep, "=")
		known["{"+name+"}"] = find(body, path)
		if step.isAged {
			known["{"+name+"}"] = aged(find(body, path))
		}
	}
	return text + "\n" + during.String()
}

// read takes so many lines, or all; of a WebSocket it also tells of the messages.
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

// gzipLines takes the members of which the first have so many lines, as one.
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

// find looks up what a later step needs; it is no part of the comparison.
func find(body []byte, path string) string {
	var value any
	json.Unmarshal(body, &value)
	for _, name := range strings.Split(path, ".") {
		members, _ := value.(map[string]any)
		value = members[name]
	}
	return fmt.Sprint(value)
}

func (s side) kubectl(c command, dir string, known map[string]string) string {
	args := []string{"--kubeconfig", s.kubeconfig}
	for _, arg := range strings.Split(c.args, " ") {
		// A space within an argument is written as an underscore.
		args = append(args, strings.ReplaceAll(fill(arg, known), "_", " "))
	}
	ctx, cancel := context.WithTimeout(context.Background(), stepTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary("kubectl"), args...)
	// Processes as short as these would spend a sixth of their time on collecting garbage.
	cmd.Env = append(cmd.Environ(), "GOGC=400", "HOME="+theBed.dir, "KUBE_EDITOR=sed -i '"+c.edit+"'")
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(fill(c.stdin, known))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		return compare.Failure(err)
	}
	seen := compare.Command(stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), s.names())
	return seen + s.leaks(stdout.Bytes(), stderr.Bytes())
}

func fill(template string, known map[string]string) string {
	for name, value := range known {
		template = strings.ReplaceAll(template, name, value)
	}
	return template
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

const slugMax = 50

// slug is a name for an operation's own object, another one for each name.
func slug(name string) string {
	slug := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if len(slug) > slugMax {
		hash := fnv.New32a()
		hash.Write([]byte(name))
		slug = fmt.Sprintf("%s-%08x", strings.Trim(slug[:slugMax-9], "-"), hash.Sum32())
	}
	return "o-" + slug
}

// theme is a list of operations, and where they are done.
type theme struct {
	namespaces pair
	operations func() []operation
}

func themes() []theme {
	return []theme{
		{reading, readOperations},
		{reading, expiredOperations},
		{writing, watchOperations},
		{writing, metadataOperations},
		{writing, copyOperations},
		{writing, writeOperations},
		{writing, errorOperations},
		{writing, textOperations},
		{writing, orphanOperations},
		{writing, suiteOperations},
		{reading, discoveryOperations},
		{reading, amongStrangers},
		{unmapped, unmappedOperations},
		{reading, kubectlReads},
		{reading, kubectlGets},
		{reading, kubectlLooks},
		{writing, kubectlWrites},
		{writing, kubectlMoreWrites},
	}
}

// oddThemes are what hardly any client does, in all its spellings.
func oddThemes() []theme {
	return []theme{
		{writing, cborOperations},
		{writing, formOperations},
		{writing, jsonPatchOperations},
		{writing, versionOperations},
	}
}

// TestBothWaysAreTheSame is the differential suite.
func TestBothWaysAreTheSame(t *testing.T) {
	results := runThemes(t, themes())
	if wanted.String() == "" {
		isWhole(t, results)
	}
}

// TestOddFormsAreTheSameBothWays is the rest of it.
func TestOddFormsAreTheSameBothWays(t *testing.T) {
	if os.Getenv("BED_SLOW") == "" && wanted.String() == "" {
		t.Skip("only by `run --all`")
	}
	runThemes(t, oddThemes())
}

// runThemes does what is in them both ways, and reports.
func runThemes(t *testing.T, themes []theme) []result {
	t.Helper()
	t.Cleanup(func() { emptyBothWays(t) })
	seed(t)
	seedStrangers(t)
	must(eventually(90*time.Second, func() error {
		// The aggregator looks for OpenAPI once a minute.
		_, err := theBed.try(theBed.app.kubeconfig, "", "explain", "kc.spec")
		return err
	}))
	compactVersions()
	var results []result
	for _, theme := range themes {
		begin := time.Now()
		direct, through := sides(t, theme.namespaces)
		results = append(results, runBothWays(direct, through, slices.DeleteFunc(theme.operations(), isLeftOut))...)
		t.Logf("%d operations after %s", len(results), time.Since(begin))
	}
	report(t, results)
	return results
}

// wanted are the operations that are run, by their names, while one works on a few: BED_OPERATIONS.
var wanted = regexp.MustCompile(os.Getenv("BED_OPERATIONS"))

func isLeftOut(o operation) bool { return !wanted.MatchString(o.name) }

// emptyBothWays leaves no claims to tests that count them.
func emptyBothWays(t *testing.T) {
	t.Helper()
	for _, namespaces := range []pair{reading, writing} {
		for _, namespace := range []string{namespaces.remote, namespaces.direct} {
			for _, resource := range []string{"kubernetesclusters", "networks"} {
				path := "/apis/" + groupVersion + "/namespaces/" + namespace + "/" + resource
				request(t, theBed.cp, "DELETE", path, "", nil)
			}
		}
	}
}
