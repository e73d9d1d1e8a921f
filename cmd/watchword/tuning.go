package main

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/watchword-auth/watchword/internal/cpuquota"
)

// Settings of the Go runtime. They affect the whole process, so only this program sets them;
// packages never do. The variables GOMAXPROCS, GOGC and GOMEMLIMIT take precedence.

// initialMaxProcs is the value of GOMAXPROCS before tuneRuntime raises it. Without the variable
// GOMAXPROCS, it is the number of cores or, if that is lower, about the CPU quota of the
// control group.
var initialMaxProcs = runtime.GOMAXPROCS(0)

// The CPU affinity, the quota of the control group and GOMAXPROCS limit the processors of the
// process.
type processors struct {
	machine       int     // cores, or fewer if the CPU affinity limits them
	scheduled     int     // GOMAXPROCS
	quota         float64 // CPUs of the control group's quota; 0: no quota
	maxProcsFixed bool    // the variable GOMAXPROCS is set
}

// usableProcessors reads the environment with getenv, so that a test can set GOMAXPROCS.
func usableProcessors(getenv func(string) string) processors {
	return processors{runtime.NumCPU(), initialMaxProcs, cpuquota.Read(os.DirFS("/")), getenv("GOMAXPROCS") != ""}
}

// usableCores is the number of processors that the process can keep busy.
func (p processors) usableCores() int { return min(p.machine, p.scheduled) }

// raisedMaxProcs returns the value of GOMAXPROCS for this number of hash workers, or 0 to keep
// the current value.
//
// The value is the number of cores plus one for each hash worker. With a lower value, a request
// waits until the Go scheduler preempts a hash, even if the hash runs with lower priority (see
// passhash.Pool).
//
// Under a CPU quota of the control group, raisedMaxProcs returns 0. Lower priority has no
// benefit there, and additional threads use up the quota earlier. The kernel then stops all
// threads for a part of its period. A quota above the number of cores can't be used up, so it
// does not count.
func (p processors) raisedMaxProcs(workers int) int {
	if p.maxProcsFixed || p.quota > 0 && p.quota <= float64(p.machine) {
		return 0
	}
	return p.usableCores() + workers
}

// maxHashWorkers is how many hash workers can run without delaying requests. If GOMAXPROCS is
// not raised, one processor of the Go scheduler must stay free for requests.
func (p processors) maxHashWorkers() int {
	if p.raisedMaxProcs(0) > 0 {
		return p.usableCores()
	}
	return min(p.usableCores(), max(p.scheduled-1, 1))
}

// hashWorkersProblem refuses a number of workers that would delay every other request. The
// number must not exceed the cores. If GOMAXPROCS is not raised, it must also leave one
// processor for requests. A container can have fewer cores than its machine, so a setting can
// be valid on one machine and refused in a container.
func hashWorkersProblem(s *Settings) string {
	on := usableProcessors(os.Getenv)
	most := on.maxHashWorkers()
	switch {
	case s.HashWorkers <= most:
		return ""
	case s.HashWorkers <= on.usableCores():
		return fmt.Sprintf("%d would occupy every processor: a CPU quota or GOMAXPROCS allows only %d, and one must stay "+
			"free for other requests. Write 1 to %d, or 0 for the default.", s.HashWorkers, on.scheduled, most)
	}
	return fmt.Sprintf("%d is more than this process has processors. Write 1 to %d, or 0 for the default.",
		s.HashWorkers, most)
}

// A tuning has values for the Go runtime. 0 means that the runtime keeps its own value.
type tuning struct {
	processors  int   // GOMAXPROCS
	collectAt   int   // GOGC
	memoryLimit int64 // GOMEMLIMIT, in bytes
}

// tuningFor returns the tuning of a server with this number of hash workers.
//
// GOGC is 200, so the collector runs half as often as with the default of 100. Each hash
// allocates 19 MiB, which are garbage afterwards. The memory limit makes the collector run
// before this garbage takes several times as much memory. The limit does not include about 20
// MiB for the program and SQLite.
func tuningFor(workers int, on processors, getenv func(string) string) tuning {
	const mebibyte = 1 << 20
	t := tuning{processors: on.raisedMaxProcs(workers)}
	if getenv("GOGC") == "" {
		t.collectAt = 200
	}
	if getenv("GOMEMLIMIT") == "" {
		t.memoryLimit = int64(60+30*workers) * mebibyte
	}
	return t
}

// tuneRuntime changes the whole process.
func (s *Settings) tuneRuntime() {
	t := tuningFor(s.hashWorkers(), usableProcessors(os.Getenv), os.Getenv)
	runtime.GOMAXPROCS(t.processors) // 0 has no effect
	if t.collectAt > 0 {
		debug.SetGCPercent(t.collectAt)
	}
	debug.SetMemoryLimit(cmp.Or(t.memoryLimit, -1)) // -1 has no effect
}
