package kubernetes

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// The names of the claims and Secrets. There are few, so that operations meet.
var (
	modelNamespaces = []string{"default", "team-a"}
	modelClaims     = []string{"model-a", "model-b"}
	modelSecrets    = []string{"model-x", "model-y"}
)

// modelPrefix begins all names of these tests.
const modelPrefix = "model-"

// pauseMax is the longest time between two operations. Some meet a daemon at work, some an idle one.
const pauseMax = 400 * time.Millisecond

// leaderTime is longer than a daemon stays the leader after its last renewal of the Lease.
const leaderTime = 11 * time.Second

// interleaving runs random operations on both clusters, the daemons and their links.
type interleaving struct {
	t           *testing.T
	random      *rand.Rand
	model       *copiesModel
	app, remote kubernetes.Interface
	replicas    []*copier
	isRunning   []bool
	step        int
}

// randomOperation changes both the clusters and the model. It returns what happened.
type randomOperation struct {
	name   string
	weight int
	run    func() string
}

func (i *interleaving) operations() []randomOperation {
	return []randomOperation{
		{"create claim", 6, i.createClaim},
		{"delete claim", 3, i.deleteClaim},
		{"change reference", 4, i.changeReference},
		{"publish", 12, func() string { return i.publish(i.claim()) }},
		{"delete Secret of control plane", 3, i.deleteRemote},
		{"write Secret of nobody", 1, i.writeRemoteOfNobody},
		{"edit Secret", 4, i.editLocal},
		{"delete Secret", 3, func() string { return i.deleteLocal(i.occupied()) }},
		{"create foreign Secret", 2, func() string { return i.createForeign(i.place()) }},
		{"replace Secret by foreign one", 2, func() string {
			place := i.occupied()
			return i.deleteLocal(place) + ", " + i.createForeign(place)
		}},
		{"remove labels", 1, i.removeLabels},
		{"kill", 2, func() string { return i.stop(func(c *copier) { c.process.kill() }) }},
		{"terminate", 1, func() string { return i.stop((*copier).stop) }},
		{"start", 5, i.start},
		{"cut control plane", 2, func() string { return i.cut(func(c *copier) *link { return c.link }) }},
		{"heal control plane", 4, func() string { return i.heal(func(c *copier) *link { return c.link }) }},
		{"cut app cluster", 2, func() string { return i.cut(func(c *copier) *link { return c.appLink }) }},
		{"heal app cluster", 4, func() string { return i.heal(func(c *copier) *link { return c.appLink }) }},
		{"lose the Lease", 1, i.loseLease},
	}
}

func pick[T any](random *rand.Rand, all []T) T { return all[random.IntN(len(all))] }

func (i *interleaving) namespace() string { return pick(i.random, modelNamespaces) }
func (i *interleaving) place() localKey   { return localKey{i.namespace(), pick(i.random, modelSecrets)} }
func (i *interleaving) value() string     { return fmt.Sprint("value-", i.step) }

// sortedKeys makes choices from a map reproducible.
func sortedKeys[V any](all map[localKey]V) []localKey {
	return slices.SortedFunc(maps.Keys(all), func(a, b localKey) int { return strings.Compare(a.String(), b.String()) })
}

// claim returns a claim that exists, if there is one.
func (i *interleaving) claim() localKey {
	random := localKey{i.namespace(), pick(i.random, modelClaims)}
	if len(i.model.claims) == 0 {
		return random
	}
	return pick(i.random, sortedKeys(i.model.claims))
}

// occupied returns the place of a Secret that the app cluster has, or will have.
func (i *interleaving) occupied() localKey {
	random := i.place()
	if expected := i.model.expected(); len(expected) > 0 {
		return pick(i.random, sortedKeys(expected))
	}
	return random
}

// check ends the test on errors other than those that mean that the operation came too late.
func (i *interleaving) check(err error) string {
	i.t.Helper()
	switch {
	case err == nil:
		return "done"
	case apierrors.IsNotFound(err), apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return string(apierrors.ReasonForError(err))
	}
	i.t.Fatal(err)
	return ""
}

func (i *interleaving) createClaim() string {
	key := localKey{i.namespace(), pick(i.random, modelClaims)}
	secret := pick(i.random, modelSecrets)
	return i.order(key, secret)
}

func (i *interleaving) order(key localKey, secret string) string {
	claim := newClaim(key.name, "model")
	must(unstructured.SetNestedField(claim.Object, secret, "spec", "writeConnectionSecretToRef", "name"))
	created, err := dynamicClient(env.app).Resource(claims).Namespace(key.namespace).Create(context.Background(), claim, metav1.CreateOptions{})
	if err == nil {
		i.model.claims[key] = modelClaim{string(created.GetUID()), secret}
	}
	return fmt.Sprint(key, " with ", secret, ": ", i.check(err))
}

func (i *interleaving) deleteClaim() string {
	key := i.claim()
	client := dynamicClient(env.app).Resource(claims).Namespace(key.namespace).Delete
	if i.random.IntN(2) == 0 {
		client = stored(claims, key.namespace).Delete
	}
	claim, found := i.model.claims[key]
	if !found {
		return fmt.Sprint(key, ": none")
	}
	err := client(context.Background(), key.name, metav1.DeleteOptions{})
	// Before the garbage collector of the control plane, so that the next operation finds them deleted.
	for place, secret := range i.model.remote {
		if secret.owner == claim.uid {
			i.deleteRemoteSecret(place)
		}
	}
	i.model.deleteClaim(key)
	return fmt.Sprint(key, ": ", i.check(err))
}

func (i *interleaving) changeReference() string {
	key := i.claim()
	secret := pick(i.random, append(modelSecrets, ""))
	claim, found := i.model.claims[key]
	if !found {
		return fmt.Sprint(key, ": none")
	}
	patch := fmt.Sprintf(`{"spec":{"writeConnectionSecretToRef":{"name":%q}}}`, secret)
	if secret == "" {
		patch = `{"spec":{"writeConnectionSecretToRef":null}}`
	}
	_, err := dynamicClient(env.app).Resource(claims).Namespace(key.namespace).Patch(context.Background(), key.name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	claim.secret = secret
	i.model.claims[key] = claim
	return fmt.Sprintf("%s to %q: %s", key, secret, i.check(err))
}

// publish writes the connection Secret of a claim as Crossplane does: not over that of somebody else.
func (i *interleaving) publish(key localKey) string {
	place, claim, may := i.model.publisher(key)
	if !may {
		return fmt.Sprint(key, ": impossible")
	}
	isController := true
	owner := metav1.OwnerReference{
		APIVersion: groupVersion, Kind: "KubernetesCluster", Name: remoteName(key.namespace, key.name),
		UID: types.UID(claim.uid), Controller: &isController,
	}
	err := i.writeRemote(place, i.value(), []metav1.OwnerReference{owner})
	i.model.remote[place] = modelSecret{claim.uid, i.value()}
	return fmt.Sprint(key, " to ", place.name, ": ", i.check(err))
}

func (i *interleaving) writeRemote(place localKey, value string, owners []metav1.OwnerReference) error {
	secrets := i.remote.CoreV1().Secrets(mapping[place.namespace])
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: remoteSecretName(place.namespace, place.name), OwnerReferences: owners},
		Type:       "connection.crossplane.io/v1alpha1", StringData: map[string]string{"value": value},
	}
	if _, exists := i.model.remote[place]; exists {
		_, err := secrets.Update(context.Background(), secret, metav1.UpdateOptions{})
		return err
	}
	_, err := secrets.Create(context.Background(), secret, metav1.CreateOptions{})
	return err
}

func (i *interleaving) deleteRemote() string {
	place := i.place()
	if _, exists := i.model.remote[place]; !exists {
		return fmt.Sprint(place, ": none")
	}
	delete(i.model.remote, place)
	return fmt.Sprint(place, ": ", i.deleteRemoteSecret(place))
}

func (i *interleaving) deleteRemoteSecret(place localKey) string {
	name := remoteSecretName(place.namespace, place.name)
	return i.check(i.remote.CoreV1().Secrets(mapping[place.namespace]).Delete(context.Background(), name, metav1.DeleteOptions{}))
}

func (i *interleaving) writeRemoteOfNobody() string {
	place := i.place()
	if _, exists := i.model.remote[place]; exists {
		return fmt.Sprint(place, ": exists")
	}
	err := i.writeRemote(place, i.value(), nil)
	i.model.remote[place] = modelSecret{"", i.value()}
	return fmt.Sprint(place, ": ", i.check(err))
}

// copyOwner returns the claim of a copy. It is empty for other Secrets.
func copyOwner(secret *corev1.Secret) string { return secret.Labels["claimgate.dev/claim"] }

func (i *interleaving) local(place localKey) (*corev1.Secret, error) {
	return i.app.CoreV1().Secrets(place.namespace).Get(context.Background(), place.name, metav1.GetOptions{})
}

func (i *interleaving) editLocal() string {
	place := i.occupied()
	secret, err := i.local(place)
	if err != nil {
		return fmt.Sprint(place, ": ", i.check(err))
	}
	secret.Data = map[string][]byte{"value": []byte("edited-" + i.value()), "more": []byte("x")}
	_, err = i.app.CoreV1().Secrets(place.namespace).Update(context.Background(), secret, metav1.UpdateOptions{})
	if foreign, isForeign := i.model.foreign[place]; isForeign && err == nil {
		foreign.value = "edited-" + i.value()
		i.model.foreign[place] = foreign
	}
	return fmt.Sprintf("%s (copy for %q): %s", place, copyOwner(secret), i.check(err))
}

// removeLabels makes a foreign Secret of a copy. The claim still owns it.
func (i *interleaving) removeLabels() string {
	place := i.occupied()
	secret, err := i.local(place)
	if err != nil || copyOwner(secret) == "" {
		return fmt.Sprint(place, ": no copy ", i.check(err))
	}
	owner := copyOwner(secret)
	secret.Labels = nil
	_, err = i.app.CoreV1().Secrets(place.namespace).Update(context.Background(), secret, metav1.UpdateOptions{})
	// Without its claim, the garbage collector deletes it.
	if err == nil && i.model.hasClaim(owner) {
		i.model.foreign[place] = modelSecret{owner, string(secret.Data["value"])}
	}
	return fmt.Sprint(place, ": ", i.check(err))
}

func (i *interleaving) deleteLocal(place localKey) string {
	secret, err := i.local(place)
	if err == nil {
		precondition := metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(secret.UID))}
		err = i.app.CoreV1().Secrets(place.namespace).Delete(context.Background(), place.name, precondition)
	}
	if err == nil {
		delete(i.model.foreign, place)
	}
	return fmt.Sprint(place, ": ", i.check(err))
}

func (i *interleaving) createForeign(place localKey) string {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: place.name}, StringData: map[string]string{"value": i.value()}}
	_, err := i.app.CoreV1().Secrets(place.namespace).Create(context.Background(), secret, metav1.CreateOptions{})
	if err == nil {
		i.model.foreign[place] = modelSecret{"", i.value()}
	}
	return fmt.Sprint(place, ": ", i.check(err))
}

func (i *interleaving) stop(end func(*copier)) string {
	at := i.random.IntN(len(i.replicas))
	if i.isRunning[at] {
		end(i.replicas[at])
		i.isRunning[at] = false
	}
	return fmt.Sprint("replica ", at)
}

func (i *interleaving) start() string {
	at := i.random.IntN(len(i.replicas))
	i.ensureRunning(at)
	return fmt.Sprint("replica ", at)
}

func (i *interleaving) ensureRunning(at int) {
	if !i.isRunning[at] {
		i.replicas[at].start(i.t)
		i.isRunning[at] = true
	}
}

// cut breaks the link of one replica or of both: it refuses connections or is silent.
func (i *interleaving) cut(of func(*copier) *link) string {
	first, count, isSilent := i.random.IntN(len(i.replicas)), 1+i.random.IntN(len(i.replicas)), i.random.IntN(2) == 0
	for offset := range count {
		link := of(i.replicas[(first+offset)%len(i.replicas)])
		if isSilent {
			link.stopForwarding()
		} else {
			link.refuseConnections()
		}
	}
	return fmt.Sprintf("%d from %d, silent %t", count, first, isSilent)
}

func (i *interleaving) heal(of func(*copier) *link) string {
	at := i.random.IntN(len(i.replicas))
	must(of(i.replicas[at]).restore())
	return fmt.Sprint("replica ", at)
}

// loseLease cuts both replicas off the app cluster for longer than they stay the leader.
func (i *interleaving) loseLease() string {
	for _, replica := range i.replicas {
		replica.appLink.refuseConnections()
	}
	time.Sleep(leaderTime)
	return "done"
}

// settle repairs everything and waits for the state of the model. A claim of its own shows that a daemon works.
func (i *interleaving) settle() {
	i.t.Helper()
	for at, replica := range i.replicas {
		must(replica.link.restore())
		must(replica.appLink.restore())
		i.ensureRunning(at)
	}
	last := localKey{"default", modelPrefix + "last"}
	if _, found := i.model.claims[last]; !found {
		i.order(last, last.name)
	}
	for range 2 {
		i.step++
		i.publish(last)
		begin := time.Now()
		await(i.t, slowDeadline, i.compare)
		i.t.Logf("equal to the model after %s", time.Since(begin).Round(10*time.Millisecond))
	}
}

// compare returns how the app cluster differs from the model.
func (i *interleaving) compare() error {
	found := map[localKey]string{}
	for _, namespace := range modelNamespaces {
		list, err := i.app.CoreV1().Secrets(namespace).List(context.Background(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, secret := range list.Items {
			if !strings.HasPrefix(secret.Name, modelPrefix) {
				continue
			}
			value := string(secret.Data["value"])
			if len(secret.Data) > 1 && copyOwner(&secret) != "" {
				value += " and more"
			}
			found[localKey{namespace, secret.Name}] = describeForeign(value)
			if owner := copyOwner(&secret); owner != "" {
				found[localKey{namespace, secret.Name}] = describeCopy(owner, value)
			}
		}
	}
	if expected := i.model.expected(); !reflect.DeepEqual(found, expected) {
		return fmt.Errorf("the app cluster has\n%s\nand the model\n%s", printState(found), printState(expected))
	}
	return nil
}

func printState(state map[localKey]string) string {
	var lines []string
	for key, text := range state {
		lines = append(lines, fmt.Sprintf("  %s: %s", key, text))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// removeAll deletes the claims and Secrets of the test.
func (i *interleaving) removeAll() {
	for key := range maps.Clone(i.model.claims) {
		dynamicClient(env.app).Resource(claims).Namespace(key.namespace).Delete(context.Background(), key.name, metav1.DeleteOptions{})
	}
	for place := range i.model.remote {
		i.remote.CoreV1().Secrets(mapping[place.namespace]).Delete(context.Background(), remoteSecretName(place.namespace, place.name), metav1.DeleteOptions{})
	}
	for place := range i.model.expected() {
		i.app.CoreV1().Secrets(place.namespace).Delete(context.Background(), place.name, metav1.DeleteOptions{})
	}
}

func TestCopiesEqualTheModelAfterRandomOperations(t *testing.T) {
	seeds := []uint64{1, 2, 3}
	if text := os.Getenv("TEST_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		must(err)
		seeds = []uint64{seed}
	}
	steps, err := strconv.Atoi(cmp.Or(os.Getenv("TEST_STEPS"), "40"))
	must(err)
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed-", seed), func(t *testing.T) { runInterleaving(t, seed, steps) })
	}
}

func runInterleaving(t *testing.T, seed uint64, steps int) {
	i := &interleaving{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), model: newCopiesModel(),
		app: kubernetes.NewForConfigOrDie(restConfig(env.app)), remote: kubernetes.NewForConfigOrDie(restConfig(env.controlPlane)),
	}
	t.Cleanup(i.removeAll)
	for at := range 2 {
		name := fmt.Sprintf("model-%d-%d", seed, at)
		i.replicas = append(i.replicas, startCopier(t, name, `{connection: true, namespaces: ["*"]}`))
		i.isRunning = append(i.isRunning, true)
	}
	for at, place := range []localKey{{"default", "model-x"}, {"default", "model-y"}, {"team-a", "model-x"}} {
		claim := localKey{place.namespace, modelClaims[at%2]}
		i.order(claim, place.name)
		i.publish(claim)
	}
	i.settle()
	var bag []randomOperation
	for _, operation := range i.operations() {
		for range operation.weight {
			bag = append(bag, operation)
		}
	}
	for i.step = 1; i.step <= steps; i.step++ {
		operation := pick(i.random, bag)
		pause := time.Duration(i.random.Int64N(int64(pauseMax)))
		outcome := operation.run()
		t.Logf("%2d %s: %s", i.step, operation.name, outcome)
		time.Sleep(pause)
	}
	i.settle()
}
