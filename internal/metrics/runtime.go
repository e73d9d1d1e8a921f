package metrics

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// The names and meanings of go_ and process_ metrics are those of the client library of
// Prometheus, because dashboards and alerts for Go programs expect them.

// started is about the time at which the process started.
var started = time.Now()

// runtimeMetrics maps go_ metrics to the samples of package runtime/metrics whose sum they are.
var runtimeMetrics = []struct {
	kind, name, help string
	sum              []string
}{
	{"gauge", "go_goroutines", "Number of goroutines.", []string{"/sched/goroutines:goroutines"}},
	{"gauge", "go_sched_gomaxprocs_threads", "GOMAXPROCS.", []string{"/sched/gomaxprocs:threads"}},
	{"gauge", "go_gc_gogc_percent", "GOGC.", []string{"/gc/gogc:percent"}},
	{"gauge", "go_gc_gomemlimit_bytes", "GOMEMLIMIT.", []string{"/gc/gomemlimit:bytes"}},
	{"gauge", "go_memstats_sys_bytes", "Bytes obtained from the system.", []string{"/memory/classes/total:bytes"}},
	{"gauge", "go_memstats_alloc_bytes", "Bytes of allocated heap objects.",
		[]string{"/memory/classes/heap/objects:bytes"}},
	{"counter", "go_memstats_alloc_bytes_total", "Bytes allocated since the start.", []string{"/gc/heap/allocs:bytes"}},
	{"counter", "go_memstats_mallocs_total", "Heap objects allocated since the start.",
		[]string{"/gc/heap/allocs:objects", "/gc/heap/tiny/allocs:objects"}},
	{"counter", "go_memstats_frees_total", "Heap objects freed since the start.",
		[]string{"/gc/heap/frees:objects", "/gc/heap/tiny/allocs:objects"}},
	{"gauge", "go_memstats_heap_alloc_bytes", "Bytes of allocated heap objects.",
		[]string{"/memory/classes/heap/objects:bytes"}},
	{"gauge", "go_memstats_heap_idle_bytes", "Heap bytes in unused spans.",
		[]string{"/memory/classes/heap/released:bytes", "/memory/classes/heap/free:bytes"}},
	{"gauge", "go_memstats_heap_inuse_bytes", "Heap bytes in used spans.",
		[]string{"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes"}},
	{"gauge", "go_memstats_heap_objects", "Number of allocated heap objects.", []string{"/gc/heap/objects:objects"}},
	{"gauge", "go_memstats_heap_released_bytes", "Heap bytes returned to the system.",
		[]string{"/memory/classes/heap/released:bytes"}},
	{"gauge", "go_memstats_heap_sys_bytes", "Heap bytes obtained from the system.",
		[]string{"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes",
			"/memory/classes/heap/released:bytes", "/memory/classes/heap/free:bytes"}},
	{"gauge", "go_memstats_next_gc_bytes", "Heap size at which the next collection starts.",
		[]string{"/gc/heap/goal:bytes"}},
	{"gauge", "go_memstats_stack_inuse_bytes", "Bytes of goroutine stacks.",
		[]string{"/memory/classes/heap/stacks:bytes"}},
}

// Runtime writes the metrics of the Go runtime (go_) and, on Linux, of the process (process_).
func (p *Page) Runtime() {
	for _, m := range runtimeMetrics {
		samples := make([]metrics.Sample, len(m.sum))
		for i, name := range m.sum {
			samples[i].Name = name
		}
		metrics.Read(samples)
		total := 0.0
		for _, s := range samples {
			if s.Value.Kind() == metrics.KindUint64 { // KindBad: a later Go has renamed it
				total += float64(s.Value.Uint64())
			}
		}
		p.family(m.kind, m.name, m.help, []Sample{Value(total)})
	}
	threads, _ := runtime.ThreadCreateProfile(nil)
	p.Gauge("go_threads", "Number of system threads created.", Value(float64(threads)))
	p.Gauge("go_info", "Version of Go.", Value(1, "version", runtime.Version()))
	p.collections()
	p.process()
}

// collections writes the pauses of the garbage collector as quantiles: a summary.
func (p *Page) collections() {
	const name = "go_gc_duration_seconds"
	stats := debug.GCStats{PauseQuantiles: make([]time.Duration, 5)}
	debug.ReadGCStats(&stats)
	p.head("summary", name, "Pauses of the garbage collector.")
	for i, pause := range stats.PauseQuantiles {
		p.text.WriteString(line(name, Value(pause.Seconds(), "quantile", float(float64(i)/4))))
	}
	p.text.WriteString(line(name+"_sum", Value(stats.PauseTotal.Seconds())))
	p.text.WriteString(line(name+"_count", Value(float64(stats.NumGC))))
}

// process writes what /proc says. Without /proc it writes only the start time.
func (p *Page) process() {
	p.Gauge("process_start_time_seconds", "Start time of the process since 1970.",
		Value(float64(started.UnixMilli())/1000))
	const ticks = 100 // per second: Linux shows user programs this rate on all processors that Go supports
	if stat := processStat(); stat != nil {
		p.Counter("process_cpu_seconds_total", "Processor time of the process.", Value((stat[11]+stat[12])/ticks))
		p.Gauge("process_virtual_memory_bytes", "Virtual memory size.", Value(stat[20]))
		p.Gauge("process_resident_memory_bytes", "Resident memory size.", Value(stat[21]*float64(os.Getpagesize())))
	}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		p.Gauge("process_open_fds", "Number of open file descriptors.", Value(float64(len(open))))
	}
	if limits, err := os.ReadFile("/proc/self/limits"); err == nil {
		if _, after, ok := strings.Cut(string(limits), "Max open files"); ok {
			most, _ := strconv.ParseFloat(strings.Fields(after)[0], 64)
			p.Gauge("process_max_fds", "Maximum number of open file descriptors.", Value(most))
		}
	}
}

// processStat returns the fields of /proc/self/stat from the third on (proc_pid_stat(5)), or
// nil. The second field is the program's name, which may contain spaces and parentheses.
func processStat() (fields []float64) {
	text, err := os.ReadFile("/proc/self/stat")
	end := bytes.LastIndexByte(text, ')')
	if err != nil || end < 0 {
		return nil
	}
	for _, word := range strings.Fields(string(text[end+1:])) {
		n, _ := strconv.ParseFloat(word, 64) // the state is a letter
		fields = append(fields, n)
	}
	if len(fields) < 22 {
		return nil
	}
	return fields
}
