package kubernetes

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// operatorFinalizer is the finalizer that the operator adds to claims.
const operatorFinalizer = "operator.example.org/held"

// operator turns ConfigMaps with the label `order` into claims, and writes the node count of each
// ready claim to a ConfigMap.
type operator struct{ ctrlclient.Client }

// order creates or updates a claim from a ConfigMap.
func (o operator) order(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	var order corev1.ConfigMap
	if err := o.Get(ctx, r.NamespacedName, &order); err != nil {
		return reconcile.Result{}, ctrlclient.IgnoreNotFound(err)
	}
	nodes, err := strconv.ParseInt(order.Data["nodes"], 10, 64)
	if err != nil {
		return reconcile.Result{}, reconcile.TerminalError(err)
	}
	claim := newClaim(order.Name, "operator")
	claim.SetNamespace(order.Namespace)
	_, err = controllerutil.CreateOrUpdate(ctx, o.Client, claim, func() error {
		controllerutil.AddFinalizer(claim, operatorFinalizer)
		return unstructured.SetNestedField(claim.Object, nodes, "spec", "nodeCount")
	})
	return reconcile.Result{}, err
}

// report writes a claim's node count to a ConfigMap that the claim owns.
func (o operator) report(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	claim := newClaim(r.Name, "operator")
	if err := o.Get(ctx, r.NamespacedName, claim); err != nil {
		return reconcile.Result{}, ctrlclient.IgnoreNotFound(err)
	}
	if claim.GetDeletionTimestamp() != nil {
		before := claim.DeepCopy()
		controllerutil.RemoveFinalizer(claim, operatorFinalizer)
		return reconcile.Result{}, ctrlclient.IgnoreNotFound(o.Patch(ctx, claim, ctrlclient.MergeFrom(before)))
	}
	nodes, ready, err := unstructured.NestedInt64(claim.Object, "status", "nodeCount")
	if err != nil || !ready {
		return reconcile.Result{}, err
	}
	report := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: claim.GetName() + "-report", Namespace: claim.GetNamespace()}}
	_, err = controllerutil.CreateOrUpdate(ctx, o.Client, report, func() error {
		report.Data = map[string]string{"nodes": strconv.FormatInt(nodes, 10)}
		return controllerutil.SetControllerReference(claim, report, o.Scheme())
	})
	return reconcile.Result{}, err
}

// startOperator runs the operator in the app cluster until the test ends.
func startOperator(t *testing.T) ctrlclient.Client {
	t.Helper()
	log.SetLogger(logr.Discard())
	operators, err := manager.New(restConfig(env.app), manager.Options{
		Metrics: server.Options{BindAddress: "0"},
		// Read unstructured objects through the cache, as it is with typed ones.
		Client: ctrlclient.Options{Cache: &ctrlclient.CacheOptions{Unstructured: true}},
	})
	must(err)
	o := operator{operators.GetClient()}
	orders := predicate.NewPredicateFuncs(func(object ctrlclient.Object) bool { return object.GetLabels()["order"] != "" })
	must(builder.ControllerManagedBy(operators).Named("order").
		For(&corev1.ConfigMap{}, builder.WithPredicates(orders)).Complete(reconcile.Func(o.order)))
	must(builder.ControllerManagedBy(operators).Named("report").
		For(newClaim("", "")).Owns(&corev1.ConfigMap{}).Complete(reconcile.Func(o.report)))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- operators.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the manager ended with %v", err)
		}
	})
	return o.Client
}

func TestOperatorManagesClaims(t *testing.T) {
	awaitCollectorWatch(t)
	cached := startOperator(t)
	ctx := testContext(t, slowDeadline)
	remote := stored(claims, clientsLocal)
	order := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "ordered", Namespace: clientsLocal, Labels: map[string]string{"order": "yes"}},
		Data:       map[string]string{"nodes": "3"},
	}
	must(cached.Create(ctx, order))
	t.Cleanup(func() {
		cached.Delete(context.Background(), order)
		remote.Patch(context.Background(), "ordered", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		removeClaims(t, "operator")
	})
	nodesThere := func(want int64) error {
		return eventually(deadline, func() error {
			claim, err := remote.Get(ctx, "ordered", metav1.GetOptions{})
			if err != nil {
				return err
			}
			if nodes, _, _ := unstructured.NestedInt64(claim.Object, "spec", "nodeCount"); nodes != want {
				return fmt.Errorf("the claim has %d nodes, want %d", nodes, want)
			}
			return nil
		})
	}
	reported := func(want string) error {
		return eventually(deadline, func() error {
			var report corev1.ConfigMap
			err := cached.Get(ctx, ctrlclient.ObjectKey{Namespace: clientsLocal, Name: "ordered-report"}, &report)
			if err == nil && report.Data["nodes"] != want {
				err = fmt.Errorf("the report has %q nodes, want %q", report.Data["nodes"], want)
			}
			return err
		})
	}
	must(nodesThere(3))
	order.Data["nodes"] = "4"
	must(cached.Update(ctx, order))
	must(nodesThere(4))

	// The operator sees each change of the control plane.
	for _, nodes := range []string{"1", "4"} {
		status := fmt.Sprintf(`{"status":{"nodeCount":%s,"conditions":[{"type":"Ready","status":"True"}]}}`, nodes)
		_, err := remote.Patch(ctx, "ordered", types.MergePatchType, []byte(status), metav1.PatchOptions{}, "status")
		must(err)
		must(reported(nodes))
	}
	// The operator recreates the report after its deletion.
	report := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "ordered-report", Namespace: clientsLocal}}
	before := uid(t, env.app, "-n", clientsLocal, "configmap", report.Name)
	must(cached.Delete(ctx, report))
	must(eventually(deadline, func() error {
		out, err := env.tryKubectl(env.app.kubeconfig, "", "get", "-n", clientsLocal, "configmap", report.Name, "-o", "jsonpath={.metadata.uid}")
		if err == nil && out == before {
			err = fmt.Errorf("the report has not been recreated")
		}
		return err
	}))

	// The claim is deleted once the operator removes its finalizer, and the report with it.
	must(cached.Delete(ctx, order))
	claim := newClaim("ordered", "operator")
	claim.SetNamespace(clientsLocal)
	must(cached.Delete(ctx, claim))
	must(eventually(deadline, func() error {
		if _, err := remote.Get(ctx, "ordered", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the claim still exists: %v", err)
		}
		return nil
	}))
	must(eventually(collectorTimeout, checkGone(env.app, "-n", clientsLocal, "configmap", report.Name)))
}
