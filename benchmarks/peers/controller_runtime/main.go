// A no-op operator over Pods in controller-runtime, measured by benchmarks/watching.py.
//
// It speaks the contestants' protocol (benchmarks/peers/probe.py): for each line on standard input
// one JSON line with what it has seen and used so far, and the end of input ends it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

var events, reconciles, containers atomic.Int64

// The result line; the field names are those of benchmarks/peers/probe.py.
type sample struct {
	Events     int64   `json:"events"`
	Reconciles int64   `json:"reconciles"`
	CPUSeconds float64 `json:"cpu_seconds"`
	RSSBytes   int64   `json:"rss_bytes"`
}

func main() {
	// controller-runtime has a flag of that name in the default set.
	flags := flag.NewFlagSet("operator", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "the server")
	namespace := flags.String("namespace", "", "whose pods are watched")
	work := flags.String("work", "metadata", "metadata, spec, get or partial")
	content := flags.String("content", "protobuf", "protobuf or json")
	_ = flags.Parse(os.Args[1:])
	go answer()
	if err := run(*kubeconfig, *namespace, *work, *content); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(kubeconfig, namespace, work, content string) error {
	log.SetLogger(zap.New())
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	if content == "json" {
		config.ContentType = runtime.ContentTypeJSON
		config.AcceptContentTypes = runtime.ContentTypeJSON
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Cache:                  cache.Options{DefaultNamespaces: map[string]cache.Config{namespace: {}}},
		Metrics:                server.Options{BindAddress: "0"},
		HealthProbeBindAddress: "0",
	})
	if err != nil {
		return err
	}
	var watched client.Object = &corev1.Pod{}
	if work == "partial" {
		partial := &metav1.PartialObjectMetadata{}
		partial.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
		watched = partial
	}
	reconciler := reconcile.Func(func(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
		reconciles.Add(1)
		if work != "get" {
			return ctrl.Result{}, nil
		}
		pod := &corev1.Pod{}
		if err := manager.GetClient().Get(ctx, request.NamespacedName, pod); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
		read(pod)
		return ctrl.Result{}, nil
	})
	err = ctrl.NewControllerManagedBy(manager).
		Named("pods").
		For(watched, builder.WithPredicates(counting(work == "spec"))).
		Complete(reconciler)
	if err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}

// counting lets everything pass; it stands for the handler of a user, who may look at the spec.
func counting(spec bool) predicate.Predicate {
	saw := func(object client.Object) bool {
		events.Add(1)
		if pod, ok := object.(*corev1.Pod); ok && spec {
			read(pod)
		}
		return true
	}
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return saw(e.Object) },
		UpdateFunc: func(e event.UpdateEvent) bool { return saw(e.ObjectNew) },
		DeleteFunc: func(e event.DeleteEvent) bool { return saw(e.Object) },
	}
}

func read(pod *corev1.Pod) { containers.Add(int64(len(pod.Spec.Containers))) }

func answer() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		encoded, err := json.Marshal(sample{events.Load(), reconciles.Load(), cpu(), rss()})
		if err != nil {
			panic(err)
		}
		fmt.Println(string(encoded))
	}
	os.Exit(0)
}

func cpu() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}

func rss() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		panic(err)
	}
	return pages * int64(os.Getpagesize())
}
