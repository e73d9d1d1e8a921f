package main

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/watchword-auth/watchword/internal/cpuquota"
)

// Settings of the Go runtime. They belong to the process, so only this program sets them,
// and packages never do. The variables GOMAXPROCS, GOGC and GOMEMLIMIT have precedence.

// scheduled is GOMAXPROCS before tune raises it. Without the variable, it is the number of cores, or
// about the quota of the control group.
var scheduled = runtime.GOMAXPROCS(0)

// A processors says on how many processors the process may run.
type processors struct {
	machine   int     // cores, or fewer if the CPU affinity limits them
	scheduled int     // GOMAXPROCS
	quota     float64 // of the control group; 0: none
	fixed     bool    // the variable GOMAXPROCS is set
}

// usable returns the processors of this process.
func usable(getenv func(string) string) processors {
	return processors{runtime.NumCPU(), scheduled, cpuquota.Read(os.DirFS("/")), getenv("GOMAXPROCS") != ""}
}

// cores returns the number of processors that the process can keep busy.
func (p processors) cores() int { return min(p.machine, p.scheduled) }

// raised returns GOMAXPROCS for that many hash workers, or 0 to leave it.
//
// Each hash worker gets a processor of the Go scheduler in addition to those of the cores.
// Without it, a request waits until the scheduler preempts the hash, even if the hash runs with lower
// priority (see passhash.Pool). The additional processors are not
// used under a quota of the control group. There, lower priority has no benefit, and additional
// threads use up the quota earlier: the kernel then stops all threads for a part of its period.
// A quota above the cores of the machine can't be used up.
func (p processors) raised(workers int) int {
	if p.fixed || p.quota > 0 && p.quota <= float64(p.machine) {
		return 0
	}
	return p.cores() + workers
}

// mostWorkers returns how many hash workers can run without delaying requests. If GOMAXPROCS is not
// raised, one of its processors must stay free.
func (p processors) mostWorkers() int {
	if p.raised(0) > 0 {
		return p.cores()
	}
	return min(p.cores(), max(p.scheduled-1, 1))
}

// hashWorkersProblem refuses workers that would delay every other request: more than cores, or all
// processors of a scheduler that gets no more of them. A container can have fewer cores than its
// machine, so the same setting can be refused in one place and accepted in another.
func hashWorkersProblem(s *Settings) string {
	on := usable(os.Getenv)
	most := on.mostWorkers()
	switch {
	case s.HashWorkers <= most:
		return ""
	case s.HashWorkers <= on.cores():
		return fmt.Sprintf("%d would occupy every processor: a CPU quota or GOMAXPROCS allows only %d, and one must stay "+
			"free for other requests. Write 1 to %d, or 0 for the default.", s.HashWorkers, on.scheduled, most)
	}
	return fmt.Sprintf("%d is more than this process has processors. Write 1 to %d, or 0 for the default.",
		s.HashWorkers, most)
}

// A tuning holds values for the Go runtime. 0 leaves the value of the runtime.
type tuning struct {
	processors  int   // GOMAXPROCS
	collectAt   int   // GOGC
	memoryLimit int64 // GOMEMLIMIT, in bytes
}

// tuningFor returns the tuning of a server with that many hash workers. getenv reads the environment.
//
// The collector runs half as often as by default. A hash needs 19 MiB that are garbage
// afterwards, so without the memory limit, each worker would add much more than 19 MiB.
// The memory outside of the limit is about 20 MiB: the program and SQLite.
func tuningFor(workers int, on processors, getenv func(string) string) tuning {
	const mebibyte = 1 << 20
	t := tuning{processors: on.raised(workers)}
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
	t := tuningFor(s.hashWorkers(), usable(os.Getenv), os.Getenv)
	runtime.GOMAXPROCS(t.processors) // 0 has no effect
	if t.collectAt > 0 {
		debug.SetGCPercent(t.collectAt)
	}
	debug.SetMemoryLimit(cmp.Or(t.memoryLimit, -1)) // -1 has no effect
}
