package kubernetes

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// residentKiB returns a process's resident memory.
func residentKiB(p *process) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	must(err)
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	must(err)
	return kib
}

// inParallel calls work with the numbers below count, and returns the last error.
func inParallel(count int, work func(int) error) (last error) {
	numbers := make(chan int)
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for number := range numbers {
				if err := work(number); err != nil {
					mu.Lock()
					last = err
					mu.Unlock()
				}
			}
		})
	}
	for number := range count {
		numbers <- number
	}
	close(numbers)
	all.Wait()
	return last
}

// manySecrets are the claims and connection Secrets of a memory test.
type manySecrets struct {
	count       int
	app, remote kubernetes.Interface
	uids        []types.UID
}

const manyNamespace = "team-a"

func manyName(number int) string { return fmt.Sprintf("many-%d", number) }

func (m *manySecrets) order() error {
	m.uids = make([]types.UID, m.count)
	client := stored(claims, manyNamespace)
	return inParallel(m.count, func(number int) error {
		claim := newClaim(manyName(number), "many")
		secret := remoteSecretName(manyNamespace, manyName(number))
		must(unstructured.SetNestedField(claim.Object, secret, "spec", "writeConnectionSecretToRef", "name"))
		created, err := client.Create(context.Background(), claim, metav1.CreateOptions{})
		if err == nil {
			m.uids[number] = created.GetUID()
		}
		return err
	})
}

// write writes the Secrets of all claims with a value of 300 bytes.
func (m *manySecrets) write(round int) error {
	secrets := m.remote.CoreV1().Secrets(mapping[manyNamespace])
	return inParallel(m.count, func(number int) error {
		isController := true
		owner := metav1.OwnerReference{APIVersion: groupVersion, Kind: "KubernetesCluster", Name: remoteName(manyNamespace, manyName(number)), UID: m.uids[number], Controller: &isController}
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Name: remoteSecretName(manyNamespace, manyName(number)), Labels: map[string]string{"test": "many"}, OwnerReferences: []metav1.OwnerReference{owner},
			},
			Type:       "connection.crossplane.io/v1alpha1",
			StringData: map[string]string{"round": fmt.Sprint(round), "password": strings.Repeat("p", 300)},
		}
		if round == 0 {
			_, err := secrets.Create(context.Background(), secret, metav1.CreateOptions{})
			return err
		}
		_, err := secrets.Update(context.Background(), secret, metav1.UpdateOptions{})
		return err
	})
}

// checkCopies returns an error unless all copies have the data of a round.
func (m *manySecrets) checkCopies(round int) error {
	list, err := m.app.CoreV1().Secrets(manyNamespace).List(context.Background(), metav1.ListOptions{LabelSelector: "claimgate.dev/claim"})
	if err != nil {
		return err
	}
	current := 0
	for _, secret := range list.Items {
		if string(secret.Data["round"]) == fmt.Sprint(round) {
			current++
		}
	}
	if current != m.count {
		return fmt.Errorf("%d of %d Secrets have the data of round %d", current, m.count, round)
	}
	return nil
}

func (m *manySecrets) remove() {
	selected := metav1.ListOptions{LabelSelector: "test=many"}
	stored(claims, manyNamespace).DeleteCollection(context.Background(), metav1.DeleteOptions{}, selected)
	m.remote.CoreV1().Secrets(mapping[manyNamespace]).DeleteCollection(context.Background(), metav1.DeleteOptions{}, selected)
	m.app.CoreV1().Secrets(manyNamespace).DeleteCollection(context.Background(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "claimgate.dev/claim"})
}

func TestMemoryStaysFlatWithThousandsOfCopiedSecrets(t *testing.T) {
	if os.Getenv("TEST_MEASURE") == "" {
		t.Skip("only with `run memory`")
	}
	m := &manySecrets{count: 10_000, app: kubernetes.NewForConfigOrDie(restConfig(env.app)), remote: kubernetes.NewForConfigOrDie(restConfig(env.controlPlane))}
	t.Cleanup(m.remove)
	must(m.order())
	must(m.write(0))

	idle := startCopierWith(t, "copies-off", "events: {claim: false}", "secrets.yaml", secretRights)
	awaitSuccessOf(t, idle)
	without := residentKiB(idle.process)
	idle.stop()

	c := startCopierWith(t, "copies-on", `events: {claim: false}, secrets: {connection: true, namespaces: ["*"]}`, "secrets.yaml", secretRights)
	awaitSuccessOf(t, c)
	var with []int
	for round := range 4 {
		if round > 0 {
			must(m.write(round))
		}
		await(t, slowDeadline, func() error {
			c.awaitIdle(t, "connection-secrets")
			return m.checkCopies(round)
		})
		with = append(with, residentKiB(c.process))
	}
	t.Logf("resident memory in KiB: %d without copies, %v after the first copies and each change of all Secrets", without, with)
	if perCopy := float64(with[0]-without) / float64(m.count); perCopy > 6 {
		t.Errorf("a copied Secret takes %.1f KiB", perCopy)
	}
	if growth := with[3] - with[1]; growth > 8<<10 {
		t.Errorf("memory grew by %d KiB in two changes of all Secrets", growth)
	}
}
