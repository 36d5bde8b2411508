// Prints, as JSON, every metric that controller-runtime exports: its type, help, labels, series and
// buckets; "born" is what is there before any work was done. Run by `python -m
// tests.framework.exposition.record`; no cluster is needed.
package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	dto "github.com/prometheus/client_model/go"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	_ "sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	_ "sigs.k8s.io/controller-runtime/pkg/webhook/conversion"
)

type series struct {
	Labels  map[string]string `json:"labels"`
	Buckets []float64         `json:"buckets,omitempty"`
}

type family struct {
	Type   string   `json:"type"`
	Help   string   `json:"help"`
	Series []series `json:"series"`
}

func gathered() map[string]family {
	families, err := metrics.Registry.Gather()
	must(err)
	found := map[string]family{}
	for _, each := range families {
		name := each.GetName()
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
			continue
		}
		list := []series{}
		for _, metric := range each.GetMetric() {
			list = append(list, shown(metric))
		}
		found[name] = family{strings.ToLower(each.GetType().String()), each.GetHelp(), list}
	}
	return found
}

func shown(metric *dto.Metric) series {
	one := series{Labels: map[string]string{}}
	for _, label := range metric.GetLabel() {
		one.Labels[label.GetName()] = label.GetValue()
	}
	for _, bucket := range metric.GetHistogram().GetBucket() {
		one.Buckets = append(one.Buckets, bucket.GetUpperBound())
	}
	sort.Float64s(one.Buckets)
	return one
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// request makes a server answer 429 once and then 200, so that retries are counted too.
func request(ctx context.Context) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if asked.Add(1) == 1 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		_, _ = w.Write([]byte(`{"kind":"NodeList","apiVersion":"v1","metadata":{},"items":[]}`))
	}))
	defer server.Close()
	port := server.URL[strings.LastIndex(server.URL, ":"):]
	client, err := kubernetes.NewForConfig(&rest.Config{Host: "http://localhost" + port})
	must(err)
	_, err = client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	must(err)
}

func lead(ctx context.Context) {
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: "default", Name: "lease"},
		Client:     fake.NewClientset().CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: "me"},
	}
	ctx, stop := context.WithCancel(ctx)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, Name: "lease", LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second,
		RetryPeriod: 2 * time.Second,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { stop() }, OnStoppedLeading: func() {},
		},
	})
	must(err)
	elector.Run(ctx)
}

func main() {
	ctrl.SetLogger(logr.Discard())
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	metrics.RegisterRESTClientMetrics(
		metrics.MetricRequestLatency, metrics.MetricDNSResolutionLatency, metrics.MetricRequestSize,
		metrics.MetricResponseSize, metrics.MetricRateLimiterLatency, metrics.MetricRequestRetry,
	)
	hook, err := admission.StandaloneWebhook(
		&admission.Webhook{}, admission.StandaloneOptions{MetricsPath: "/validate"},
	)
	must(err)
	started, ran := make(chan struct{}), make(chan struct{}, 1)
	widgets, err := controller.NewTypedUnmanaged("widgets", controller.Options{
		Reconciler: reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) {
			ran <- struct{}{}
			return reconcile.Result{}, nil
		}),
	})
	must(err)
	add := make(chan struct{})
	must(widgets.Watch(source.Func(func(
		_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request],
	) error {
		go func() { <-add; queue.Add(reconcile.Request{}) }()
		close(started)
		return nil
	})))
	go func() { _ = widgets.Start(ctx) }()
	<-started
	time.Sleep(time.Second)
	born := gathered()
	close(add)
	<-ran
	request(ctx)
	lead(ctx)
	hook.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/validate", nil))
	time.Sleep(time.Second)
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", " ")
	must(encoder.Encode(map[string]any{"born": born, "worked": gathered()}))
}
