package main

import (
	"cmp"
	"os"
	"runtime"
	"runtime/debug"
)

// Settings of the Go runtime. They belong to the process, so only this program sets them,
// and packages never do. The variables GOMAXPROCS, GOGC and GOMEMLIMIT have precedence.

// cores is the number of processors that the process may use: all, or fewer if the CPU
// affinity, a quota of the control group or GOMAXPROCS limits them. It is read before
// tune raises GOMAXPROCS.
var cores = min(runtime.GOMAXPROCS(0), runtime.NumCPU())

// A tuning holds values for the Go runtime. 0 leaves the value of the runtime.
type tuning struct {
	processors  int   // GOMAXPROCS
	collectAt   int   // GOGC
	memoryLimit int64 // GOMEMLIMIT, in bytes
}

// tuningFor returns the tuning of a server with that many hash workers. cores is the
// number of usable processors, machine that of the machine, and getenv reads the environment.
//
// Each hash worker gets a processor of the Go scheduler in addition to those of the cores.
// Without it, a request waits until the scheduler preempts the hash, even if the hash runs with lower
// priority (see passhash.Pool). The additional processors are not
// used under a quota of the control group. There, lower priority has no benefit, and additional
// threads use up the quota earlier: the kernel then stops all threads for a part of its period.
//
// The collector runs half as often as by default. A hash needs 19 MiB that are garbage
// afterwards, so without the memory limit, each worker would add much more than 19 MiB.
// The memory outside of the limit is about 20 MiB: the program and SQLite.
func tuningFor(workers, cores, machine int, getenv func(string) string) tuning {
	const mebibyte = 1 << 20
	var t tuning
	if getenv("GOMAXPROCS") == "" && cores == machine {
		t.processors = cores + workers
	}
	if getenv("GOGC") == "" {
		t.collectAt = 200
	}
	if getenv("GOMEMLIMIT") == "" {
		t.memoryLimit = int64(60+30*workers) * mebibyte
	}
	return t
}

// tune sets the Go runtime for these settings.
func (s *Settings) tune() {
	t := tuningFor(s.hashWorkers(), cores, runtime.NumCPU(), os.Getenv)
	runtime.GOMAXPROCS(t.processors) // 0 has no effect
	if t.collectAt > 0 {
		debug.SetGCPercent(t.collectAt)
	}
	debug.SetMemoryLimit(cmp.Or(t.memoryLimit, -1)) // -1 has no effect
}
